"""A market whose oracle is dead: declared, waited out, closed at its last price; and everyone gets out."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, GRACE, OPEN, RISK, WAD, Core, account_id, actor, owner_of
from tests.support.evm import reverts
from tests.unit.liquidation.conftest import SetEquity
from tests.unit.orders.reference import reason_of

DECLARE_SECONDS, DEAD_ORACLE_SECONDS, CLOSING_SECONDS = 600, 6 * 3600, 3600
HALTED = 2**32 - 1
DOWN = 3


def silence(core: Core, seconds: int = DECLARE_SECONDS + 1) -> None:
    core.evm.advance(seconds)


def declared(core: Core, market: int = ETH) -> None:
    silence(core)
    core.liquidator.declareDead(market)


def confirmed(core: Core, market: int = ETH) -> None:
    declared(core, market)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(market)


def closed(core: Core, market: int = ETH) -> None:
    confirmed(core, market)
    core.evm.advance(CLOSING_SECONDS)
    core.liquidator.closeDead(market)


# --- declaring ---


def test_declareDead__ten_minutes_without_a_record__is_remembered(core: Core) -> None:
    """SD-01"""
    core.tick(1)
    recorded = core.evm.timestamp
    core.evm.advance(DECLARE_SECONDS)
    with reverts("Shutdown_NotSilent", ETH, recorded):
        core.liquidator.declareDead(ETH)
    core.evm.advance(1)
    event = core.liquidator.declareDead(ETH).event("DeclaredDead")
    sequence = core.liquidator.declaration(ETH).sequence
    assert event.args == {
        "marketId": ETH,
        "sequence": sequence,
        "confirmFrom": core.evm.timestamp + DEAD_ORACLE_SECONDS,
    }
    assert tuple(core.liquidator.declaration(ETH)) == (core.evm.timestamp, 0, sequence)
    assert tuple(core.liquidator.declaration(BTC)) == (0, 0, 0)


def test_declareDead__a_market_that_never_had_a_price__is_refused(core: Core) -> None:
    silence(core)
    with reverts("Shutdown_NotSilent", 7, 0):
        core.liquidator.declareDead(7)


def test_declareDead__again__does_not_set_the_clock_back(core: Core) -> None:
    """Else whoever wanted to keep others in declared it again and again."""
    declared(core)
    core.evm.advance(DEAD_ORACLE_SECONDS - 1)
    with reverts("Shutdown_AlreadyDeclared", ETH):
        core.liquidator.declareDead(ETH)
    core.evm.advance(1)
    core.liquidator.confirmDead(ETH).event("ConfirmedDead")
    with reverts("Shutdown_AlreadyDeclared", ETH):
        core.liquidator.declareDead(ETH)


# --- what ends it ---


@pytest.mark.parametrize("after", ["declareDead", "confirmDead"])
def test_record__in_between__ends_the_declaration(core: Core, after: str) -> None:
    """Attack 6: an oracle that only seemed dead. The price that came counts, not the one before."""
    declared(core)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    if after == "confirmDead":
        core.liquidator.confirmDead(ETH)
    core.record(ETH, ETH_PRICE * 6 // 10)
    core.evm.advance(CLOSING_SECONDS)
    assert tuple(core.liquidator.declaration(ETH)) == (0, 0, 0)
    for name in ("confirmDead", "closeDead"):
        with reverts("Shutdown_NotDeclared", ETH):
            getattr(core.liquidator, name)(ETH)
    core.liquidator.declareDead(ETH)
    assert core.liquidator.declaration(ETH).confirmedAt == 0


def test_confirmDead__before_its_time__is_refused(core: Core) -> None:
    """SD-02"""
    with reverts("Shutdown_NotDeclared", ETH):
        core.liquidator.confirmDead(ETH)
    declared(core)
    opens = core.evm.timestamp + DEAD_ORACLE_SECONDS
    core.evm.advance(DEAD_ORACLE_SECONDS - 1)
    with reverts("Shutdown_TooEarly", ETH, opens):
        core.liquidator.confirmDead(ETH)
    core.evm.advance(1)
    event = core.liquidator.confirmDead(ETH).event("ConfirmedDead")
    assert event["closeFrom"] == core.evm.timestamp + CLOSING_SECONDS
    with reverts("Shutdown_AlreadyDeclared", ETH):
        core.liquidator.confirmDead(ETH)


def test_closeDead__before_its_time__is_refused(core: Core) -> None:
    """SD-03"""
    declared(core)
    with reverts("Shutdown_NotDeclared", ETH):
        core.liquidator.closeDead(ETH)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(ETH)
    opens = core.evm.timestamp + CLOSING_SECONDS
    core.evm.advance(CLOSING_SECONDS - 1)
    with reverts("Shutdown_TooEarly", ETH, opens):
        core.liquidator.closeDead(ETH)
    core.evm.advance(1)
    core.liquidator.closeDead(ETH).event("MarketClosed")
    with reverts("Shutdown_NotDeclared", ETH):
        core.liquidator.closeDead(ETH)


@pytest.mark.parametrize("state", [GRACE, DOWN], ids=["grace", "down"])
def test_shutdown__sequencer_just_back__waits_for_its_grace(core: Core, state: int) -> None:
    """A market declared dead every day for nothing, an outage of a night: the first call after it must not close the
    market at the price of the evening before."""
    declared(core)
    core.evm.advance(12 * 3600)
    core.oracle.setSequencerState(state)
    with reverts("Shutdown_SequencerNotOpen", state):
        core.liquidator.confirmDead(ETH)
    core.oracle.setSequencerState(0)
    core.liquidator.confirmDead(ETH)
    core.evm.advance(12 * 3600)
    core.oracle.setSequencerState(state)
    with reverts("Shutdown_SequencerNotOpen", state):
        core.liquidator.closeDead(ETH)
    core.oracle.setSequencerState(0)
    core.record(ETH, ETH_PRICE // 2)
    with reverts("Shutdown_NotDeclared", ETH):
        core.liquidator.closeDead(ETH)


# --- closing ---


def test_closeDead__longs_and_shorts__closed_at_the_last_price(core: Core) -> None:
    """Everyone leaves without an oracle, with what his position was worth then."""
    long, short = core.trader("long", 100_000), core.trader("short", 100_000)
    core.open(long, ETH, 30 * WAD)
    core.open(short, ETH, -10 * WAD)
    last = ETH_PRICE * 102 // 100
    core.tick(1, {ETH: last})
    confirmed(core)
    core.evm.advance(CLOSING_SECONDS)
    core.market.accrue(ETH)
    worth = {account: core.market.equity(account) for account in (long, short)}
    pool = core.market.poolCapital(ETH)[0]
    event = core.liquidator.closeDead(ETH).event("MarketClosed")
    assert event.args == {"marketId": ETH, "price": last}
    assert core.market.openInterest(ETH) == (0, 0)
    assert (core.market.skew(ETH), core.market.fundingRate(ETH)) == (0, 0)
    assert abs(core.market.poolCapital(ETH)[0] - pool) < 10**6
    for account, equity in worth.items():
        assert core.market.position(account, ETH)[0] == 0
        assert 0 <= equity - core.market.equity(account) < 10**6
        core.market.settle(account, ETH).event("Settled")
        assert core.vault.balanceOf(account) >> 224 == 0
        owner = owner_of(account)
        amount = core.vault.withdrawable(account)
        assert amount == core.cash(account) // core.unit
        core.vault.withdraw(account, amount, owner, sender=owner)
    core.check_sums(dust_bound=10**8)


def test_closeDead__afterwards__nobody_opens_until_governance_says_so(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    closed(core)
    core.tick(1)
    receipt = core.try_open(trader, ETH, WAD)
    assert reason_of(receipt) == ("PerpMarket_OpeningHalted", ETH, 0, HALTED)
    assert core.market.position(trader, ETH)[0] == 0
    core.configurator.resumeOpening(ETH, sender=RISK)
    core.open(trader, ETH, WAD)
    core.check_sums(dust_bound=10**8)


def test_closeDead__a_cross_account__keeps_its_other_market(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 10 * WAD)
    core.open(trader, BTC, WAD)
    core.tick(1, {ETH: ETH_PRICE * 101 // 100})
    closed(core)
    core.record(BTC)
    assert core.market.position(trader, ETH)[0] == 0
    assert core.market.position(trader, BTC)[0] == WAD
    before = core.vault.withdrawable(trader)
    core.market.settle(trader, ETH)
    assert core.vault.withdrawable(trader) > before
    core.close(trader, BTC)
    core.check_sums(dust_bound=10**8)


def test_closeDead__a_pool_that_cannot_pay__gives_the_winners_what_it_has(core: Core) -> None:
    """What is due is deleveraged first, at the price at which the pool is worth nothing: both sides then close even."""
    winners = [core.trader(f"winner {number}", 3_000_000) for number in range(2)]
    for winner in winners:
        core.open(winner, ETH, 1_000 * WAD)
    core.tick(1, {ETH: ETH_PRICE * 11 // 10})
    missing = core.market.poolCapital(ETH)[0] + 100_000 * WAD
    core.vault.post([(core.pool_account(ETH), -missing, 0, 0), (core.fund_main, missing, 0, 0)], sender=core.pool)
    closed(core)
    assert 0 <= core.market.poolCapital(ETH)[0] < WAD
    for winner in winners:
        core.market.settle(winner, ETH)
        core.vault.withdraw(winner, core.vault.withdrawable(winner), owner_of(winner), sender=owner_of(winner))
    core.check_sums(dust_bound=10**8)


# --- the last hour ---


def test_absorb__market_that_closes__at_its_last_price(core: Core, set_equity: SetEquity) -> None:
    """Bankrupt at the last price itself, though not with the favour that a stale price gives."""
    trader = core.trader("trader", 5_000_000)
    core.open(trader, ETH, 100 * WAD)
    core.tick(1)
    set_equity(trader, -WAD)
    declared(core)
    equity = core.market.healthOf(trader)[0]
    assert equity > 0 > core.market.equity(trader)
    with reverts("Liquidator_NotBankrupt", trader, equity):
        core.liquidator.absorb(trader, [])
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(ETH)
    core.liquidator.absorb(trader, []).event("Absorbed")
    assert core.cash(trader) >= 0
    assert core.vault.balanceOf(trader) >> 224 == 0
    core.evm.advance(CLOSING_SECONDS)
    core.liquidator.closeDead(ETH)
    core.check_sums(dust_bound=10**8)


def test_absorb__another_market_without_a_price__waits_for_it(core: Core, set_equity: SetEquity) -> None:
    """A market that closes is no way round the favour of one that is only stale for a moment."""
    trader = core.trader("trader", 5_000_000)
    core.open(trader, ETH, 100 * WAD)
    core.open(trader, BTC, WAD)
    core.tick(1)
    set_equity(trader, -WAD)
    confirmed(core)
    equity = core.market.healthOf(trader)[0]
    with reverts("Liquidator_NotBankrupt", trader, equity):
        core.liquidator.absorb(trader, [])
    core.record(BTC)
    core.liquidator.absorb(trader, []).event("Absorbed")
    core.check_sums(dust_bound=10**8)


def test_absorb__after_the_closing__pays_what_is_left_of_a_debt(core: Core, set_equity: SetEquity) -> None:
    """Nobody came in the last hour: fund and pool bear it, and nothing is left of the account."""
    trader = core.trader("trader", 5_000_000)
    core.open(trader, ETH, 100 * WAD)
    core.tick(1)
    set_equity(trader, -5 * WAD)
    closed(core)
    cash = core.market.equity(trader)
    assert cash < 0
    with reverts("PerpMarket_Bankrupt", trader, cash):
        core.market.settle(trader, ETH)
    core.liquidator.absorb(trader, []).event("DebtCovered")
    assert core.cash(trader) == 0
    core.check_sums(dust_bound=10**8)


@pytest.mark.parametrize(("state", "age"), [(GRACE, 1), (OPEN, 16)], ids=["after an outage", "too old"])
def test_absorb__after_the_closing__other_market_needs_a_price_of_its_own(
    core: Core, set_equity: SetEquity, state: int, age: int
) -> None:
    """What is left of a market that was closed is cash: it makes no price of another market good enough."""
    trader = core.trader("trader", 5_000_000)
    core.open(trader, ETH, 100 * WAD)
    core.open(trader, BTC, WAD)
    closed(core)
    published_at = core.record(BTC, state=state)
    core.evm.advance(age)
    set_equity(trader, -WAD)
    with reverts("Liquidator_PriceUnusable", BTC, published_at, state):
        core.liquidator.absorb(trader, [])
    core.record(BTC)
    set_equity(trader, -WAD)
    core.liquidator.absorb(trader, []).event("Absorbed")
    assert core.cash(trader) >= 0
    assert core.vault.balanceOf(trader) >> 224 == 0
    core.check_sums(dust_bound=10**8)


# --- settling ---


def test_settle__a_position_that_is_open__is_refused(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, WAD)
    with reverts("PerpMarket_StillOpen", trader, ETH, WAD):
        core.market.settle(trader, ETH)
    core.check_sums()


def test_settle__nothing_there__nothing_happens(core: Core) -> None:
    trader = core.trader("trader", 100)
    for account in (trader, core.pool_account(ETH), core.fund_main, account_id(actor("nobody"))):
        assert core.market.settle(account, ETH).events("Settled") == []
    with reverts("PerpMarket_NotListed", 9):
        core.market.settle(trader, 9)


def test_closeMarket__not_the_liquidator__is_refused(core: Core) -> None:
    """PM-09"""
    with reverts("PerpMarket_NotModule", actor("anyone")):
        core.market.closeMarket(ETH, sender=actor("anyone"))
