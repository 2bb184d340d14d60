"""Attack 19: trades in the first minutes after the sequencer is back."""

from __future__ import annotations

import pytest

from tests.support.core import DOWN, ETH, ETH_PRICE, GRACE, LIMIT_ORDER, WAD, Core, deploy_core
from tests.support.evm import Evm, known, reverts
from tests.unit.attacks.reference import MALLORY, base_of, main_account, place, wealth

SIZE = base_of(500_000, ETH_PRICE)


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1, fund_dollars=100_000)


@pytest.mark.parametrize("state", [GRACE, DOWN])
@pytest.mark.parametrize("lag", [2, 600])
def test_after_the_outage__opening_at_a_price_that_is_known__is_refused(core: Core, state: int, lag: int) -> None:
    """After an outage the L2's clock lags behind: an order placed now has its time T in the past of the world, whose
    prices are known, and a draft settled it there: free trades. Opening is closed through the grace, for market orders
    and for limit orders that lay in wait; the attempt costs the execution fee."""
    account = main_account(core, 100_000)
    lying = core.order(account, ETH, SIZE, kind=LIMIT_ORDER)
    place(core, lying)
    core.evm.advance(lag)
    order = core.order(account, ETH, SIZE)
    place(core, order)
    before = wealth(core, [account])
    core.evm.advance(2)
    core.record(ETH, ETH_PRICE * 101 // 100, state=state)  # he knew
    failed = core.execute(order).event("OrderFailed")
    assert known().registry.decode_error(failed["reason"]) == ("PerpMarket_OpeningHalted", (ETH, state, 0))
    assert failed["forfeited"] == 0
    with reverts("PerpMarket_OpeningHalted", ETH, state, 0):
        core.order_book.execute(lying, [], sender=MALLORY)
    assert core.market.position(account, ETH) == (0, 0, 0)
    assert wealth(core, [account]) == before - failed["paid"]
    core.check_sums()


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_after_the_outage__order_from_before_it__is_void(core: Core, state: int) -> None:
    """An order placed just before the outage settles at no price after it: its window is over, and it is no option on
    what happened meanwhile."""
    account = main_account(core, 100_000)
    order = core.order(account, ETH, SIZE)
    place(core, order)
    before = wealth(core, [account])
    core.evm.advance(3_600)
    core.record(ETH, ETH_PRICE * 120 // 100, state=state)
    paid = core.execute(order).event("OrderVoided")["paid"]
    assert wealth(core, [account]) == before - paid
    core.check_sums()


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_after_the_outage__others_positions__are_not_taken_before_they_can_top_up(core: Core, state: int) -> None:
    """The keeper is there first and liquidates or takes over who had no chance to add margin. Liquidation is closed
    through the grace too, while deposits and reductions are open."""
    victim = core.trader("victim", 27_000)
    core.open(victim, ETH, SIZE)
    taker = main_account(core, 1_000_000)
    core.evm.advance(3_600)
    published = core.record(ETH, ETH_PRICE * 97 // 100, state=state)
    refusal = ("Liquidator_PriceUnusable", ETH, published, state)
    with reverts(*refusal):
        core.liquidator.liquidate(victim, ETH, [], sender=MALLORY)
    with reverts(*refusal):
        core.liquidator.takeOver(victim, ETH, SIZE, taker, b"", [], sender=MALLORY)
    core.fund_account(victim, 10_000)
    order = core.order(victim, ETH, -SIZE // 2, reduce_only=True)
    core.place(order)
    core.evm.advance(2)
    core.record(ETH, state=state)
    core.execute(order).event("OrderExecuted")
    core.evm.advance(2)
    core.record(ETH)
    with reverts("Liquidator_Healthy", victim, *core.market.healthOf(victim)):
        core.liquidator.liquidate(victim, ETH, [], sender=MALLORY)
    assert core.cash(taker) == 1_000_000 * WAD
    core.check_sums()


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_after_the_outage__bankrupt_account__waits_for_the_grace(core: Core, state: int) -> None:
    """Nor is a bankrupt account absorbed at the first price after it."""
    victim = core.trader("victim", 27_000)
    core.open(victim, ETH, SIZE)
    main_account(core)
    core.evm.advance(3_600)
    published = core.record(ETH, ETH_PRICE * 90 // 100, state=state)
    with reverts("Liquidator_PriceUnusable", ETH, published, state):
        core.liquidator.absorb(victim, [], sender=MALLORY)
    core.tick(300)
    core.liquidator.absorb(victim, [], sender=MALLORY).event("Absorbed")
    core.check_sums()
