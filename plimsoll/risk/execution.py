"""Executing on-chain orders: the queue of market orders, triggers, and who pays whom when one fails."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.orders import NO_PARENT, Order, OrderKind
from plimsoll.risk.commitments import FILLED, QUEUED, SPENT, WAITING, record_of, require_counter
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record, settlement_record
from plimsoll.risk.orders import end
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord, State
from plimsoll.risk.trade import Trade, trade

_OWN_FAULTS = ("PerpMarket_InsufficientMargin", "PerpMarket_StalePrice")
"""What costs a market order its fee reserve: its own margin, or a price of its account that nobody brought."""


class Outcome(NamedTuple):
    """How an execution ended: "filled", "failed" (with the reason), "void", "waiting", or "skipped" by a batch."""

    status: str
    trade: Trade | None = None
    reason: Refusal | None = None


def execute(state: State, now: int, sender: int, order: Order, key: Hashable) -> Outcome:
    """Settle an order; anyone may ask."""
    record = record_of(state, key)
    keeper = ids.pack(sender)
    if record.status == QUEUED:
        return _execute_queued(state, now, keeper, order, key, record)
    if record.status == WAITING:
        return _execute_waiting(state, now, keeper, order, key, record)
    raise Refusal("OrderBook_UnknownOrder", key)


# ---------------------------------------------------------------------------------------------------------- the queue


def _execute_queued(state: State, now: int, keeper: int, order: Order, key: Hashable, record: OrderRecord) -> Outcome:
    market = state.markets[order.market_id]
    if record.sequence != market.queue_head:
        raise Refusal("OrderBook_NotNext", record.sequence, market.queue_head)
    window = market.order_params.settlement_window
    first = settlement_record(market.records, market.newest, record.not_before)
    if first is None and now <= record.not_before + 2 * window:
        raise Refusal("OrderBook_NoRecord", record.not_before)
    state.journal.save(market)
    market.queue_head += 1
    if first is not None and first.published_at <= record.not_before + window:
        return _fill_or_fail(state, now, keeper, order, key, record, first, record.not_before + 2 * window)
    if order.reduce_only:
        state.journal.put(state.orders, key, record._replace(status=WAITING))
        return Outcome("waiting")
    end(state, order, key, record)
    _pay(state, order.account, (keeper, record.execution_fee))
    return Outcome("void")


def _fill_or_fail(
    state: State, now: int, keeper: int, order: Order, key: Hashable, record: OrderRecord, price: Record, until: int
) -> Outcome:
    """At `price`. The price of another market of the account may still come `until` then."""
    done = _tried_trade(state, now, keeper, order, record, price)
    if isinstance(done, Trade):
        _mark_filled(state, key, record)
        return Outcome("filled", done)
    if done.name == "PerpMarket_StalePrice" and now <= until:
        raise done
    end(state, order, key, record)
    forfeit = record.reserved - record.execution_fee if done.name in _OWN_FAULTS else 0
    _pay(state, order.account, (keeper, record.execution_fee), (state.fund_account, forfeit))
    return Outcome("failed", reason=done)


# --------------------------------------------------------------------------------------------------- orders that wait


def _execute_waiting(state: State, now: int, keeper: int, order: Order, key: Hashable, record: OrderRecord) -> Outcome:
    if is_orphan(state, now, order):
        end(state, order, key, record)
        return Outcome("void")
    try:
        newest = _due_record(state.markets[order.market_id], now, order, record)
    except Refusal as reason:
        done: Trade | Refusal = reason
    else:
        done = fill_waiting(state, now, keeper, order, key, record, newest)
    if isinstance(done, Trade):
        return Outcome("filled", done)
    if not order.reduce_only or not _has_nothing_to_reduce(state, now, order):
        raise done
    end(state, order, key, record)
    return Outcome("void")


def is_orphan(state: State, now: int, order: Order) -> bool:
    """Whether an order that waits never can be filled: its parent ended unfilled. Raises where it can't be now."""
    if order.kind != OrderKind.MARKET:
        require_counter(state, order.account, order.salt)
        if order.expiry and now > order.expiry:
            raise Refusal("OrderBook_Expired", order.expiry)
    return order.parent != NO_PARENT and not _has_filled_parent(state, order)


def fill_waiting(
    state: State, now: int, keeper: int, order: Order, key: Hashable, record: OrderRecord, price: Record
) -> Trade | Refusal:
    """The trade at `price`, or what refused it, which leaves no trace."""
    done = _tried_trade(state, now, keeper, order, record, price)
    if isinstance(done, Trade):
        _mark_filled(state, key, record)
    return done


def _has_filled_parent(state: State, order: Order) -> bool:
    """Whether the parent was filled, at least in part; False where it ended without. Raises where it may still be."""
    parent = record_of(state, order.parent)
    if parent.status == FILLED or parent.matched:
        return True
    if parent.status == SPENT:
        return False
    raise Refusal("OrderBook_ParentPending", order.parent)


def _due_record(market: Market, now: int, order: Order, record: OrderRecord) -> Record:
    """The newest record, young enough and where the order's trigger wants it, if it is the order's turn."""
    newest = market.newest
    window = market.order_params.settlement_window
    if newest is None or now - newest.published_at > window or newest.published_at < record.not_before:
        raise Refusal("OrderBook_NoRecord", record.not_before)
    require_triggered(order, newest.price)
    if not order.reduce_only and market.queue_head != market.queue_next:
        raise Refusal("OrderBook_MarketOrdersPending", order.market_id)
    return newest


def require_triggered(order: Order, price: int) -> None:
    """The index price is where the order's trigger wants it."""
    trigger = order.trigger_price
    with_fall = (order.base < 0) == (order.kind == OrderKind.STOP_LOSS)
    if order.kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT) and (
        price > trigger if with_fall else price < trigger
    ):
        raise Refusal("OrderBook_NotTriggered", price, trigger)


def _has_nothing_to_reduce(state: State, now: int, order: Order) -> bool:
    base, _, _ = state.view(state.markets[order.market_id], order.account, now)
    return not base or (base > 0) == (order.base > 0)


# ---------------------------------------------------------------------------------------------------------- the parts


def _tried_trade(
    state: State, now: int, keeper: int, order: Order, record: OrderRecord, price: Record
) -> Trade | Refusal:
    """The trade, or what refused it."""
    point = state.journal.begin()
    try:
        done = trade(
            state,
            now,
            keeper,
            order.account,
            order.market_id,
            order.base,
            order.acceptable_price,
            order.reduce_only,
            record.execution_fee,
            record.reserved,
            price,
        )
    except BaseException as error:
        state.journal.rollback(point)
        if isinstance(error, Refusal):
            return error
        raise
    state.journal.commit()
    return done


def _mark_filled(state: State, key: Hashable, record: OrderRecord) -> None:
    """The trade released what was reserved."""
    state.journal.put(state.orders, key, record._replace(status=FILLED, reserved=0))


def _pay(state: State, account: int, *payments: tuple[int, int]) -> None:
    """(to, amount) each in turn, as far as the cash goes that the account has before."""
    left = max(0, state.cash_of(account))
    for to, amount in payments:
        paid = min(amount, left)
        left -= paid
        state.credit(account, -paid)
        state.credit(to, paid)
