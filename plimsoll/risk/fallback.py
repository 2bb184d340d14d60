"""The way out where nobody records prices: reduce-only orders that wait, at signed data or at the push sources."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.orders import Order
from plimsoll.risk.commitments import WAITING, record_of
from plimsoll.risk.execution import Outcome, fill_waiting, is_orphan, require_triggered
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.risk.orders import end
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord, State

FALLBACK_DELAY = 60
"""Seconds after an order's time, and of silence, from which signed data will do."""
FORCED_WINDOW = 120
"""Seconds: how old that data may be, and how long a silence opens the push sources."""
FORCED_FEE_BPS = 50


class Quoted(NamedTuple):
    """A price that nobody recorded, and what it is in doubt: WAD dollars; Unix seconds."""

    price: int
    doubt: int
    published_at: int


def execute_forced(
    state: State, now: int, sender: int, order: Order, key: Hashable, data: Quoted | None, bound: Quoted | None
) -> Outcome:
    """Settle a reduce-only order without a record: at signed `data`, or where that is None at the push `bound`."""
    record = record_of(state, key)
    if record.status != WAITING:
        raise Refusal("OrderBook_UnknownOrder", key)
    if not order.reduce_only:
        raise Refusal("OrderBook_InvalidTerms", "reduceOnly")
    if now < record.not_before + FALLBACK_DELAY:
        raise Refusal("OrderBook_TooEarly", record.not_before + FALLBACK_DELAY)
    if is_orphan(state, now, order):
        end(state, order, key, record)
        return Outcome("void")
    market = state.markets[order.market_id]
    quoted = _quoted(market, now, record, data, bound)
    require_triggered(order, quoted.price)
    price = quoted.price
    if data is None and market.newest is not None:
        price = (max if order.base > 0 else min)(price, market.newest.price)
    state.bring_up(market, now)
    held, _, _ = state.view(market, order.account, now)
    price = market.backed_price(state.cash_of(market.pool_account), order.base, held, price)
    doubt = quoted.doubt - -quoted.price * FORCED_FEE_BPS // 10_000
    done = fill_waiting(
        state, now, ids.pack(sender), order, key, record, Record(price, doubt, quoted.published_at, OPEN, 0)
    )
    if isinstance(done, Refusal):
        raise done
    return Outcome("filled", done)


def _quoted(market: Market, now: int, record: OrderRecord, data: Quoted | None, bound: Quoted | None) -> Quoted:
    """The price, newer than any record."""
    newest = market.newest.published_at if market.newest else 0
    if now <= newest + (FORCED_WINDOW if data is None else FALLBACK_DELAY):
        raise Refusal("OrderBook_NotSilent", market.id, newest)
    since = max(record.not_before, newest + 1)
    if data is None:
        if bound is None or bound.published_at < since:
            raise Refusal("Oracle_NoBound", market.id, since)
        return bound
    if data.published_at < since:
        raise Refusal("Oracle_NotNewer", market.id, 0, data.published_at)
    if not 0 <= now - data.published_at <= FORCED_WINDOW:
        raise Refusal("Oracle_SourceMissing", market.id, 0)
    return data
