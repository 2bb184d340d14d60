"""Attack 23: an order that is given too little gas."""

from __future__ import annotations

import pytest

from tests.support.core import WAD, deploy_core
from tests.support.evm import Evm, Halt, Revert
from tests.unit.attacks.reference import MALLORY, main_account

MIN_EXECUTION_GAS = 450_000
QUEUED = 1


@pytest.mark.parametrize("count", [1, 8])
def test_starving_gas__any_amount__fills_the_order_or_reverts_the_whole(evm: Evm, count: int) -> None:
    """The keeper gives the order just so much gas that its trade runs out of it inside, the order book takes that for a
    refusal, cancels the order and pays him the execution fee: a fee, and the victim's order gone. The gas that is left
    is checked before the order is tried, and a refusal without data reverts the whole."""
    core = deploy_core(evm)
    while core.market.marketCount() < count:
        market = core.list_market(100 * WAD, 10**7 * WAD)
        core.post(core.pool_account(market), 10**7 * WAD)
    victim = core.trader("victim", 1_000_000)
    keeper = main_account(core)
    for market in range(1, count):
        core.open(victim, market, 2_000 * WAD * WAD // core.prices[market])
    market = count
    order = core.order(victim, market, 2_000 * WAD * WAD // core.prices[market])
    core.place(order)
    core.tick(2)
    hash_ = core.order_book.hashOf(order)
    cash, paid = core.cash(victim), core.cash(keeper)
    outcomes = set()
    for gas in range(30_000, 1_300_000, 10_000):
        with core.evm.isolated():
            try:
                receipt = core.order_book.execute(order, [], sender=MALLORY, gas=gas)
            except (Revert, Halt, ValueError) as refusal:
                outcomes.add(getattr(refusal, "name", None))
                if getattr(refusal, "name", None) == "OrderBook_TooLittleGas":
                    left, required = refusal.values  # type: ignore[union-attr]
                    assert left < required == MIN_EXECUTION_GAS
                assert core.order_book.commitment(hash_).status == QUEUED
                assert (core.cash(victim), core.cash(keeper)) == (cash, paid)
            else:
                assert gas > MIN_EXECUTION_GAS
                outcomes.add("filled")
                receipt.event("OrderExecuted")
                assert not receipt.events("OrderFailed")
                assert core.market.position(victim, market)[0] == order["base"]
    assert {"OrderBook_TooLittleGas", "filled"} <= outcomes <= {None, "OrderBook_TooLittleGas", "filled"}
    core.check_sums()
