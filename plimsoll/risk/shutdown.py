"""The end of a market without prices: declared, waited out, closed at its last one, and settled."""

from __future__ import annotations

from plimsoll.core.units import WAD
from plimsoll.risk.market import LONG, SHORT, Declaration, Market
from plimsoll.risk.oracle import OPEN
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State

DECLARE_SECONDS = 600
DEAD_ORACLE_SECONDS = 6 * 3600
CLOSING_SECONDS = 3600
HALTED = 2**32 - 1
"""Opening is halted until governance resumes it."""


def holding(market: Market) -> Declaration | None:
    """The declaration that no record ended."""
    found, newest = market.declaration, market.newest
    return found if found and newest and found.sequence == newest.sequence else None


def is_closing(market: Market) -> bool:
    """Whether bankrupt accounts of the market are absorbed at its last price."""
    found = holding(market)
    return found is not None and found.confirmed_at != 0


def declare_dead(state: State, now: int, market_id: int) -> None:
    market = state.markets.get(market_id)
    newest = market.newest if market else None
    if market is None or newest is None:
        raise Refusal("Shutdown_NotSilent", market_id, 0)
    if now <= newest.published_at + DECLARE_SECONDS:
        raise Refusal("Shutdown_NotSilent", market_id, newest.published_at)
    if holding(market):
        raise Refusal("Shutdown_AlreadyDeclared", market_id)
    state.journal.save(market)
    market.declaration = Declaration(now, 0, newest.sequence)


def confirm_dead(state: State, now: int, market_id: int, sequencer: int) -> None:
    market = state.markets.get(market_id)
    found = holding(market) if market else None
    if market is None or found is None:
        raise Refusal("Shutdown_NotDeclared", market_id)
    if found.confirmed_at:
        raise Refusal("Shutdown_AlreadyDeclared", market_id)
    _require_time(now, market_id, found.declared_at + DEAD_ORACLE_SECONDS, sequencer)
    state.journal.save(market)
    market.declaration = found._replace(confirmed_at=now)


def close_dead(state: State, now: int, market_id: int, sequencer: int) -> None:
    """Close both sides with the pool at the last price."""
    market = state.markets.get(market_id)
    found = holding(market) if market else None
    if market is None or found is None or not found.confirmed_at:
        raise Refusal("Shutdown_NotDeclared", market_id)
    _require_time(now, market_id, found.confirmed_at + CLOSING_SECONDS, sequencer)
    state.bring_up(market, now)
    assert market.newest is not None, "a declaration names a record"
    for side in (LONG, SHORT):
        market.deleverage(side, WAD, market.newest.price)
    market.rate = 0
    market.halt_until = HALTED
    market.declaration = None


def settle(state: State, now: int, account: int, market_id: int) -> int:
    """Pay what a position owes that has no base left. Returns the cash that the account got, 0 where there is none."""
    market = state.markets.get(market_id)
    if market is None:
        raise Refusal("PerpMarket_NotListed", market_id)
    if market not in state.markets_of(account):
        return 0
    before = state.cash_of(account)
    state.accrue(market, now)
    base, _ = state.settle(market, account)
    if base:
        raise Refusal("PerpMarket_StillOpen", account, market_id, base)
    after = state.cash_of(account)
    if after < 0 and not state.changed_account(account).markets:
        raise Refusal("PerpMarket_Bankrupt", account, after)
    return after - before


def _require_time(now: int, market_id: int, opens: int, sequencer: int) -> None:
    if now < opens:
        raise Refusal("Shutdown_TooEarly", market_id, opens)
    if sequencer != OPEN:
        raise Refusal("Shutdown_SequencerNotOpen", sequencer)
