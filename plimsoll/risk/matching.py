"""Signed limit orders matched with each other at the maker's price: no pool, no delay."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk import exchange
from plimsoll.risk.commitments import FILLED, MATCHING, SPENT, record_of, require_counter
from plimsoll.risk.delegates import require_may_match, use_budget
from plimsoll.risk.exchange import Payment, Side
from plimsoll.risk.market import Market
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State

BAND_BPS = 25
"""How far from the index price a match may be."""


class Signed(NamedTuple):
    """An order, its key, and who signed it (None for nobody that could be recovered)."""

    order: Order
    key: Hashable
    signer: int | None


class MakerFill(NamedTuple):
    """A maker's order in a batch, and how much of it is matched: WAD base, unsigned."""

    order: Order
    signer: int | None
    base: int


class Match(NamedTuple):
    """base, quote: WAD, what the taker got. Fees in WAD dollars; the execution fee: from the taker to the caller."""

    base: int
    quote: int
    maker_fee: int
    taker_fee: int
    execution_fee: int


def match_orders(state: State, now: int, sender: int, maker: Signed, taker: Signed, base: int) -> Match:
    """Fill `base` of both orders against each other."""
    _require_terms(maker.order, taker.order, base)
    _require_matchable(state, now, taker, base)
    _require_all(taker, base)
    _require_matchable(state, now, maker, base)
    done = _fill(state, now, sender, maker, taker, base)
    _end_rest(state, taker)
    return done


def match_batch(
    state: State, now: int, sender: int, taker: Signed, makers: Sequence[tuple[Signed, int]]
) -> list[Match | Refusal]:
    """One taker against (maker, base) each in turn; who is refused is skipped and nothing happens to him."""
    _require_own_terms(taker.order)
    _require_matchable(state, now, taker, 0)
    done: list[Match | Refusal] = []
    for maker, base in makers:
        point = state.journal.begin()
        try:
            done.append(_match_one(state, now, sender, maker, taker, base))
        except BaseException as error:
            state.journal.rollback(point)
            if not isinstance(error, Refusal):
                raise
            done.append(error)
        else:
            state.journal.commit()
    matched = sum(abs(one.base) for one in done if isinstance(one, Match))
    if not matched:
        raise Refusal("OrderBook_NothingMatched", taker.key)
    _require_all(taker, matched)
    _end_rest(state, taker)
    return done


def _match_one(state: State, now: int, sender: int, maker: Signed, taker: Signed, base: int) -> Match:
    _require_terms(maker.order, taker.order, base)
    _require_left(state, taker, base)
    _require_matchable(state, now, maker, base)
    return _fill(state, now, sender, maker, taker, base)


# --------------------------------------------------------------------------------------------------------- the checks


def _require_terms(maker: Order, taker: Order, base: int) -> None:
    """Two orders that can be matched with each other."""
    if not base:
        raise Refusal("OrderBook_ZeroSize")
    if (maker.kind, taker.kind) != (OrderKind.LIMIT, OrderKind.LIMIT):
        raise Refusal("OrderBook_InvalidTerms", "kind")
    if maker.market_id != taker.market_id:
        raise Refusal("OrderBook_InvalidTerms", "marketId")
    if (maker.base > 0) == (taker.base > 0):
        raise Refusal("OrderBook_InvalidTerms", "side")
    if taker.time_in_force == TimeInForce.POST_ONLY or maker.time_in_force not in (
        TimeInForce.GOOD_TILL_TIME,
        TimeInForce.POST_ONLY,
    ):
        raise Refusal("OrderBook_InvalidTerms", "timeInForce")
    if (maker.parent, taker.parent) != (NO_PARENT, NO_PARENT):
        raise Refusal("OrderBook_InvalidTerms", "parent")
    if maker.account >> 96 == taker.account >> 96:
        raise Refusal("OrderBook_SelfMatch", maker.account >> 96)
    buyer, seller = (taker, maker) if taker.base > 0 else (maker, taker)
    if buyer.acceptable_price < seller.acceptable_price:
        raise Refusal("OrderBook_NotCrossing", maker.acceptable_price, taker.acceptable_price)


def _require_own_terms(taker: Order) -> None:
    """What no maker could change."""
    if taker.kind != OrderKind.LIMIT:
        raise Refusal("OrderBook_InvalidTerms", "kind")
    if taker.time_in_force == TimeInForce.POST_ONLY:
        raise Refusal("OrderBook_InvalidTerms", "timeInForce")
    if taker.parent != NO_PARENT:
        raise Refusal("OrderBook_InvalidTerms", "parent")


def _require_matchable(state: State, now: int, signed: Signed, base: int) -> None:
    """The order is still in force with `base` left of it, and signed by one who may."""
    order = signed.order
    if order.expiry and now > order.expiry:
        raise Refusal("OrderBook_Expired", order.expiry)
    require_counter(state, order.account, order.salt)
    if record_of(state, signed.key).status not in (0, MATCHING):
        raise Refusal("OrderBook_UnknownOrder", signed.key)
    _require_left(state, signed, base)
    require_may_match(state, now, order.account, signed.signer, order.market_id)


def _require_left(state: State, signed: Signed, base: int) -> None:
    left = abs(signed.order.base) - record_of(state, signed.key).matched
    if base > left:
        raise Refusal("OrderBook_Overfilled", signed.key, left)


def _require_all(taker: Signed, matched: int) -> None:
    if taker.order.time_in_force == TimeInForce.FILL_OR_KILL and matched < abs(taker.order.base):
        raise Refusal("OrderBook_FillOrKill", taker.key, matched)


def _require_in_band(market: Market | None, market_id: int, now: int, price: int) -> None:
    """The newest index price is fresh and near."""
    if market is None or market.newest is None or not market.is_fresh(now):
        published_at = market.newest.published_at if market and market.newest else 0
        raise Refusal("PerpMarket_StalePrice", market_id, published_at)
    index = market.newest.price
    if abs(price - index) * 10_000 > index * BAND_BPS:
        raise Refusal("OrderBook_OutsideBand", price, index)


def _require_worthwhile(state: State, market: Market, maker: Signed, taker: Signed, base: int) -> None:
    """A minimum position, or all that is left of the taker, or of a maker that was one: no dust."""
    price, minimum = maker.order.acceptable_price, market.rules.min_position
    value = base * price // WAD
    ends = [taker] if abs(maker.order.base) * price // WAD < minimum else [taker, maker]
    if value < minimum and base not in [abs(one.order.base) - record_of(state, one.key).matched for one in ends]:
        raise Refusal("OrderBook_TooSmall", value, minimum)


# ----------------------------------------------------------------------------------------------------------- the fill


def _fill(state: State, now: int, sender: int, maker: Signed, taker: Signed, base: int) -> Match:
    """From the budgets on."""
    market_id, price = taker.order.market_id, maker.order.acceptable_price
    for signed in (taker, maker):
        use_budget(state, now, signed.order.account, signed.signer, market_id, base)
    market = state.markets.get(market_id)
    _require_in_band(market, market_id, now, price)
    assert market is not None
    _require_worthwhile(state, market, maker, taker, base)
    params = market.rules.params
    size = base if taker.order.base > 0 else -base
    quote = -size * price // WAD
    done = Match(
        size,
        quote,
        -(-abs(quote) * params.maker_bps // 10_000),
        -(-abs(quote) * params.taker_bps // 10_000),
        0 if record_of(state, taker.key).matched else market.order_params.execution_fee,
    )
    exchange.match(
        state,
        now,
        market_id,
        Side(taker.order.account, size, quote, done.taker_fee, taker.order.reduce_only),
        Side(maker.order.account, -size, -quote, done.maker_fee, maker.order.reduce_only),
        Payment(ids.pack(sender), done.execution_fee),
    )
    for signed in (maker, taker):
        _remember(state, signed, base)
    return done


def _remember(state: State, signed: Signed, base: int) -> None:
    record = record_of(state, signed.key)
    matched = record.matched + base
    status = FILLED if matched == abs(signed.order.base) else MATCHING
    state.journal.put(state.orders, signed.key, record._replace(status=status, matched=matched))


def _end_rest(state: State, taker: Signed) -> None:
    record = record_of(state, taker.key)
    if taker.order.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL and record.status == MATCHING:
        state.journal.put(state.orders, taker.key, record._replace(status=SPENT))
