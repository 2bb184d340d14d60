"""Liquidation when prices fail, and after they come back: the core on the real aggregator and guard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.core import (
    BTC,
    DOWN,
    ETH,
    GRACE,
    KEEPER,
    ORDER_CONFIG,
    PRICES,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Evm, known, reverts
from tests.support.oracle import DOUBTFUL, GRACE_SECONDS, OPEN, MockedMarket
from tests.unit.audit import reference
from tests.unit.audit.steps import absorb, fall, liquidate

EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
SILENT_AFTER = 30
START = 2_000 * WAD
FALLEN = 1_925 * WAD
SIZE = 40 * WAD


class World:
    """A core whose one market is priced by three pull sources and two push sources, with a debtor in it."""

    def __init__(self, evm: Evm) -> None:
        self.prices = MockedMarket.create(evm, pulls=3, pushes=2)
        self.core = deploy_core(evm, markets=1, oracle=self.prices.aggregator)
        self.evm = evm
        self.core.set_params(ETH, maxFundingVelocity=0, rateAtKinkBps=0, rateAtFullBps=0)
        self.pushed(START)
        self.prices.record_at(START)
        self.debtor = self.core.trader("debtor", 4_500)
        self.open(self.debtor, SIZE)
        self.core.track(account_id(KEEPER))

    def pushed(self, price: int) -> None:
        for index in (3, 4):
            self.prices.say(index, price)

    def open(self, account: int, base: int, price: int = START, **options: Any) -> Mapping[str, Any]:
        """Place, wait, record, execute; the arguments of what came of it."""
        order = self.core.order(account, ETH, base, **options)
        self.core.place(order)
        self.evm.advance(2)
        self.prices.record_at(price)
        receipt = self.core.execute(order)
        failed = receipt.events("OrderFailed")
        return (failed or receipt.events("Traded"))[0].args

    def equity(self, price: int, skew: int = 0) -> int:
        """Of the debtor, who has nothing but his purchase at 2,000."""
        fill = reference.fill(ETH, skew, SIZE, START)
        return self.core.cash(self.debtor) + SIZE * price // WAD + fill.quote


@pytest.fixture
def world(evm: Evm) -> World:
    return World(evm)


# ------------------------------------------------------------------------------------------------------------ fail-over


def test_fail_over__one_source_of_three_fallen_silent__liquidation_goes_on(world: World) -> None:
    """Elsewhere liquidation hung on one oracle, and when its updates stopped or reverted nobody could be liquidated.
    Here anyone reports a source that is silent, and after half a minute the others make the price without it.
    """
    spoken = world.evm.timestamp
    world.evm.advance(20)
    for index in (0, 1):
        world.prices.say(index, FALLEN)
    skipped = world.prices.record().event("UpdateSkipped")
    assert skipped.args == {"marketId": ETH, "index": 2, "publishedAt": spoken}
    world.prices.aggregator.reportMissing(ETH, 2, sender=actor("anyone"))
    world.evm.advance(SILENT_AFTER)
    for index in (0, 1):
        world.prices.say(index, FALLEN)
    world.pushed(FALLEN)
    world.prices.record()
    _requires_close_out(world, OPEN)


def test_fail_over__no_push_source_answers__liquidation_goes_on(world: World) -> None:
    """As above for the sources that only bound: where none of them speaks, none of them stops the market."""
    for index in (3, 4):
        world.prices.say(index, 0, at=0)
    world.evm.advance(20)
    world.prices.record_at(FALLEN)
    _requires_close_out(world, OPEN)


def test_fail_over__a_push_source_that_disagrees__liquidation_goes_on(world: World) -> None:
    """As above for a bound that is stuck at an old price: the record is doubtful, in which nobody opens and everybody
    unhealthy is liquidated all the same.
    """
    world.evm.advance(20)
    world.prices.say(3, FALLEN)
    world.prices.say(4, START)
    world.prices.record_at(FALLEN)
    _requires_close_out(world, DOUBTFUL)


def _requires_close_out(world: World, state: int) -> None:
    assert (world.prices.newest.price, world.prices.newest.state) == (FALLEN, state)
    equity, required = world.equity(FALLEN), reference.maintenance(ETH, SIZE, FALLEN)
    assert 0 < equity < required
    chunk = reference.close_out(ETH, SIZE, SIZE, FALLEN, equity, required, reference.cap(ETH))
    assert liquidate(world.core, world.debtor).event("Liquidated")["base"] == chunk.base
    world.core.check_sums()


def test_fail_over__one_market_of_a_cross_account_without_price__the_other_is_liquidated(calm: Core) -> None:
    """Elsewhere one dead price made the whole account uncomputable, and its large position in another market could not
    be touched. Here the dead market counts at its last price, widened in the account's favour, and the other is closed.
    """
    debtor = calm.trader("debtor", 12_000)
    calm.open(debtor, BTC, WAD)
    calm.open(debtor, ETH, 60 * WAD)
    died = calm.evm.timestamp
    calm.evm.advance(1_000)
    for dollars, is_unhealthy in ((2_890, False), (2_870, True)):
        calm.evm.advance(1)
        calm.record(ETH, dollars * WAD)
        at = {BTC: 42_000 * WAD, ETH: dollars * WAD}  # 5% more than its last price
        equity = calm.cash(debtor)
        required = 0
        for market, size in ((BTC, WAD), (ETH, 60 * WAD)):
            equity += size * at[market] // WAD + reference.fill(market, 0, size, PRICES[market]).quote
            required += reference.maintenance(market, size, at[market])
        assert (equity < required) == is_unhealthy
        assert calm.market.healthOf(debtor) == (equity, required)
        with reverts("Liquidator_PriceUnusable", BTC, died, OPEN):
            liquidate(calm, debtor, BTC)
        if not is_unhealthy:
            with reverts("Liquidator_Healthy", debtor, equity, required):
                liquidate(calm, debtor)
    skew = 60 * WAD
    chunk = reference.close_out(ETH, skew, skew, 2_870 * WAD, equity, required, reference.cap(ETH))
    assert liquidate(calm, debtor).event("Liquidated")["base"] == chunk.base

    calm.evm.advance(1)
    calm.record(ETH, 2_500 * WAD)
    absorbed = absorb(calm, debtor).events("PositionAbsorbed")
    assert [(event["marketId"], event["publishedAt"]) for event in absorbed] == [(ETH, calm.evm.timestamp), (BTC, died)]
    calm.check_sums()


# ------------------------------------------------------------------------------------------------------------ sequencer


def test_sequencer__down_and_back__nobody_is_liquidated_before_he_could_act(world: World) -> None:
    """Elsewhere the first block after an outage liquidated everybody at a price that they could not have reacted to.
    Here a record of an outage, or of the minutes after it, liquidates nobody; after the grace it does.
    """
    world.evm.advance(20)
    down = world.evm.timestamp
    world.prices.uptime.setRound(2, 1, down, down)
    world.prices.record_at(FALLEN)
    with reverts("Liquidator_PriceUnusable", ETH, down, DOWN):
        liquidate(world.core, world.debtor)
    world.evm.advance(3_600)
    back = world.evm.timestamp
    world.prices.uptime.setRound(3, 0, back, back)
    for waited in (0, GRACE_SECONDS - 1):
        world.evm.timestamp = back + waited
        world.prices.record_at(FALLEN)
        with reverts("Liquidator_PriceUnusable", ETH, back + waited, GRACE):
            liquidate(world.core, world.debtor)
    world.evm.advance(1)
    world.prices.record_at(FALLEN)
    _requires_close_out(world, OPEN)


def test_sequencer__price_known_from_the_outage__opens_nothing(world: World) -> None:
    """Elsewhere orders placed before an outage were filled after it at prices that everybody knew by then. Here the
    order is void, or refused while the grace lasts; a close is not.
    """
    account = world.core.trader("trader", 10_000)
    order = world.core.order(account, ETH, WAD)
    world.core.place(order)
    placed = world.evm.timestamp
    world.evm.advance(3_600)
    back = world.evm.timestamp
    world.prices.uptime.setRound(3, 0, back, back)
    world.prices.record_at(2_100 * WAD)
    assert placed + 5 < back
    assert world.core.execute(order).event("OrderVoided")["paid"] == EXECUTION_FEE
    reason = world.open(account, WAD, 2_100 * WAD)["reason"]
    assert known().registry.decode_error(reason) == ("PerpMarket_OpeningHalted", (ETH, GRACE, 0))
    assert world.open(world.debtor, -SIZE, 2_100 * WAD, reduce_only=True)["newBase"] == 0
    world.core.check_sums()


# --------------------------------------------------------------------------------------------------------------- grace


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_grace__topping_up_and_reducing__are_never_blocked(calm: Core, state: int) -> None:
    """Elsewhere a pause or a grace period stopped deposits and closes along with liquidations, and ended with everybody
    liquidated at once. Here, in every state, one may add margin, reduce, close, and withdraw what is free.
    """
    debtor = calm.trader("debtor", 10_000)
    calm.open(debtor, ETH, 60 * WAD)
    calm.tick(1, {ETH: 2_900 * WAD}, state=state)
    assert calm.liquidator.isLiquidatable(debtor)
    before = calm.cash(debtor)
    calm.fund_account(debtor, 3_000)
    assert calm.cash(debtor) == before + 3_000 * WAD
    assert not calm.liquidator.isLiquidatable(debtor)

    for base, left in ((-20 * WAD, 40 * WAD), (-40 * WAD, 0)):
        order = calm.order(debtor, ETH, base, reduce_only=True)
        calm.place(order)
        calm.tick(2, state=state)
        assert calm.execute(order).event("Traded")["newBase"] == left
    owner, free = owner_of(debtor), calm.cash(debtor) // calm.unit
    calm.vault.withdraw(debtor, free, owner, sender=owner)
    assert calm.token.balanceOf(owner) == free
    calm.check_sums()


def test_grace__margin_added_in_it__is_enough_after_it(calm: Core) -> None:
    """As above to its end: who topped up while nobody could liquidate him is not liquidated when they can again."""
    debtor, idle = (calm.trader(name, 10_000) for name in ("debtor", "idle"))
    calm.open(debtor, ETH, 60 * WAD)
    calm.open(idle, ETH, 60 * WAD)
    calm.tick(1, {ETH: 2_900 * WAD}, state=GRACE)
    for account in (debtor, idle):
        with reverts("Liquidator_PriceUnusable", ETH, calm.evm.timestamp, GRACE):
            liquidate(calm, account)
    calm.fund_account(debtor, 3_000)
    fall(calm, 2_900)
    with reverts("Liquidator_Healthy", debtor, *calm.market.healthOf(debtor)):
        liquidate(calm, debtor)
    assert liquidate(calm, idle).event("Liquidated")["base"] < 0
    calm.check_sums()
