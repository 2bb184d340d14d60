"""Calls that elsewhere walked through everything there was, until they no longer fitted into a block."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ETH,
    ETH_PRICE,
    LISTING,
    ORDER_CONFIG,
    WAD,
    Core,
    deploy_core,
)
from tests.support.evm import Evm, reverts

EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])


def test_loops__queue_of_hundreds__costs_the_next_order_nothing(calm: Core) -> None:
    """Elsewhere a call walked through all orders, positions or holders, until it no longer fitted into a block. Here an
    execution reads its own order and the queue's head: with hundreds behind it, it takes the gas that it takes alone.
    """
    trader, crowd = calm.trader("trader", 10_000), calm.trader("crowd", 1_000_000)
    first = calm.order(trader, ETH, WAD)
    calm.place(first)
    with calm.evm.isolated():
        alone = calm.settle(first).gas_used
    for _ in range(300):
        calm.place(calm.order(crowd, ETH, WAD // 1_000))
    assert abs(calm.settle(first).gas_used - alone) < 100
    calm.check_sums()


@pytest.mark.parametrize("years", [1, 30])
def test_loops__market_untouched_for_years__accrues_at_once(core: Core, years: int) -> None:
    """As above for time: nothing is counted by the day or by the record, so years of silence cost a second's gas."""
    trader = core.trader("trader", 10_000_000)
    core.open(trader, ETH, WAD)
    core.open(trader, ETH, WAD)
    with core.evm.isolated():
        core.evm.advance(60)
        soon = core.market.accrue(ETH, sender=core.pool).gas_used
    core.evm.advance(years * 365 * 86_400)
    late = core.market.accrue(ETH, sender=core.pool).gas_used
    assert late - soon < 2_000
    core.check_sums(10**7)


def test_loops__settlement_among_thousands_of_records__looks_at_the_last_ones_only(calm: Core) -> None:
    """As above for prices: an order older than the ring is void rather than searched for, and its gas is bounded."""
    trader = calm.trader("trader", 10_000)
    order = calm.order(trader, ETH, WAD)
    calm.place(order)
    for _ in range(400):
        calm.tick(1)
    receipt = calm.execute(order)
    assert receipt.event("OrderVoided")["paid"] == EXECUTION_FEE
    assert receipt.gas_used < 250_000
    calm.check_sums()


def test_loops__order_config__is_bounded(calm: Core) -> None:
    """A delay without bound would be a queue without end: the first order would hold all others for ever."""
    for field in ("settlementDelay", "settlementWindow"):
        with reverts("OrderBook_InvalidConfig", field.encode().ljust(32, b"\0")):
            calm.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, field: 61}, sender=LISTING)
    calm.check_sums()


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_loops__position_of_many_epochs_ago__is_settled_in_three_steps_at_most(evm: Evm, epochs: int) -> None:
    """As above for what happened to a position while its owner slept: each epoch's end took all but a billionth of it,
    so that after two nothing is left to walk for, and its owner is not locked in by the length of the way.
    """
    core = deploy_core(evm, market_contract="PerpMarketHarness")
    sleeper, other = core.trader("sleeper", 10_000), core.trader("other", 10_000)
    core.open(sleeper, ETH, 10 * WAD)
    for _ in range(epochs):
        core.open(other, ETH, WAD)
        core.market.injectDeleveraging(ETH, True, WAD, ETH_PRICE)
    assert core.market.marketState(ETH).longEpoch == epochs
    assert core.market.position(sleeper, ETH)[:2] == (0, 0)
    receipt = core.open(sleeper, ETH, -WAD)
    assert core.market.position(sleeper, ETH)[0] == -WAD
    assert receipt.gas_used < 250_000
    core.check_sums(10**6, 10**3 * epochs)
