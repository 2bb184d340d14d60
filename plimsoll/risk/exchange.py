"""A fill between two accounts, of matches and of take-overs: the end of the specification's section 7."""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import WAD
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State
from plimsoll.risk.trade import (
    require_initial,
    require_minimum,
    require_open_interest,
    require_open_to,
    require_opening,
    require_own_market,
    require_room,
)


class Side(NamedTuple):
    """One account's part: Δbase and Δquote that it gets, and what it pays beside; all WAD."""

    account: int
    size: int
    quote: int
    fee: int = 0
    reduce_only: bool = False


class Payment(NamedTuple):
    """WAD dollars out of the receiving side's cash, to a third account."""

    payee: int
    amount: int


class _Before(NamedTuple):
    """A side before its fill: whether its risk increases; its health where it does not."""

    increases: bool
    equity: int = 0
    required: int = 0


def match(state: State, now: int, market_id: int, to: Side, giver: Side, payment: Payment) -> None:
    """Both sides are asked: who grows passes the test of opening, who shrinks is not left less healthy."""
    market, record = _open(state, now, market_id)
    state.deleverage_due(market)
    sides = [(side, _fill(state, now, market, record, side, is_match=True)) for side in (to, giver)]
    for side, before in sides:
        if before.increases:
            require_open_interest(state, market, side.size, record.price)
    state.credit(to.account, -to.fee - payment.amount)
    state.credit(giver.account, -giver.fee)
    market.book_fee(to.fee + giver.fee)
    for side, before in sides:
        _require_sound(state, now, market, record, side, before)
    state.credit(payment.payee, payment.amount)


def hand_over(state: State, now: int, market_id: int, to: Side, giver: Side) -> None:
    """Only the side that receives is asked."""
    market, record = _open(state, now, market_id)
    before = _fill(state, now, market, record, to, is_match=False)
    state.settle(market, giver.account)
    state.fill(market, giver.account, giver.size, giver.quote)
    state.credit(to.account, -to.fee)
    market.book_fee(to.fee)
    _require_sound(state, now, market, record, to, before)


def _open(state: State, now: int, market_id: int) -> tuple[Market, Record]:
    """The market, accrued, and its newest record."""
    market = state.markets.get(market_id)
    if market is None or market.newest is None:
        raise Refusal("PerpMarket_NotListed", market_id)
    state.accrue(market, now)
    return market, market.newest


def _fill(state: State, now: int, market: Market, record: Record, side: Side, *, is_match: bool) -> _Before:
    """What a side is asked before its fill, and the fill."""
    held, _ = state.settle(market, side.account)
    increases = not held or (held > 0) == (side.size > 0) or abs(side.size) > abs(held)
    if increases and side.reduce_only:
        raise Refusal("PerpMarket_NothingToReduce", side.account, market.id)
    require_own_market(side.account, market)
    if increases:
        require_open_to(side.account, market)
        if is_match:
            require_opening(market, record, now)
        state.require_fresh(side.account, now, but=market.id)
        require_room(state, side.account, market)
        before = _Before(True)
    else:
        before = _Before(False, *state.health(side.account, now))
    after, _ = state.fill(market, side.account, side.size, side.quote)
    require_minimum(market, after, record.price)
    return before


def _require_sound(state: State, now: int, market: Market, record: Record, side: Side, before: _Before) -> None:
    """The margin of a side after everything it paid."""
    if before.increases:
        gain = side.size * record.price // WAD + side.quote
        require_initial(state, side.account, now, market.id, record.price, gain)
        return
    equity, required = state.health(side.account, now)
    if equity < required and equity * before.required < before.equity * required:
        raise Refusal("PerpMarket_LessHealthy", side.account, equity, required)
