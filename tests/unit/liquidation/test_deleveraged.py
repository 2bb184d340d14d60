"""Liquidations of positions that a deleveraging of their side has cut or ended, before anybody settled them."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, Core, actor, deploy_core
from tests.support.evm import Evm, reverts
from tests.unit.liquidation.conftest import SetEquity
from tests.unit.liquidation.reference import close_out, holding, take_over


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, market_contract="PerpMarketHarness")


@pytest.fixture
def trader(core: Core) -> int:
    """Long 100 ETH and 10 BTC."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, 100 * WAD)
    core.open(account, BTC, 10 * WAD)
    core.tick(1)
    return account


def deleverage(core: Core, fraction: int = WAD) -> None:
    """Of the longs in ETH; a fraction of one ends their epoch."""
    core.market.injectDeleveraging(ETH, True, fraction, ETH_PRICE)


def test_liquidate__position_cut_by_half__closes_of_what_is_left(
    core: Core, trader: int, set_equity: SetEquity
) -> None:
    deleverage(core, WAD // 2)
    h = holding(core, trader, ETH)
    assert h.base == 50 * WAD
    set_equity(trader, h.maintenance // 2)
    h = holding(core, trader, ETH)
    expected = close_out(h)
    event = core.liquidator.liquidate(trader, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["base"], event["quote"], event["cost"]) == (expected.base, expected.quote, expected.cost)
    core.check_sums(dust_bound=10**9, base_dust=10**9)


def test_takeOver__position_cut_by_half__at_most_what_is_left(core: Core, trader: int, set_equity: SetEquity) -> None:
    deleverage(core, WAD // 2)
    set_equity(trader, holding(core, trader, ETH).maintenance // 2)
    taker = core.trader("taker", 1_000_000)
    expected = take_over(holding(core, trader, ETH), 50 * WAD)
    receipt = core.liquidator.takeOver(trader, ETH, 100 * WAD, taker, b"", [], sender=actor("taker"))
    assert (receipt.event("TakenOver")["base"], receipt.event("TakenOver")["quote"]) == (50 * WAD, expected.quote)
    assert core.market.position(taker, ETH) == (50 * WAD, -expected.quote, 0)
    core.check_sums(dust_bound=10**9, base_dust=10**9)


def test_liquidate__position_whose_epoch_ended__is_none(core: Core, trader: int, set_equity: SetEquity) -> None:
    """The account still counts the market among its own, until it is settled."""
    deleverage(core)
    set_equity(trader, WAD)
    assert core.vault.balanceOf(trader) >> 224 == 0b11
    with reverts("Liquidator_NoPosition", trader, ETH):
        core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)


def test_absorb__position_whose_epoch_ended__counts_as_closed_and_bears_nothing(
    core: Core, trader: int, set_equity: SetEquity
) -> None:
    """LQ-03: the market's weight in the debt is none."""
    deleverage(core)
    core.tick(1, {BTC: 39_000 * WAD})
    set_equity(trader, -5_000 * WAD)
    h = holding(core, trader, BTC)
    receipt = core.liquidator.absorb(trader, [], sender=KEEPER)
    closed = {event["marketId"]: (event["base"], event["quote"]) for event in receipt.events("PositionAbsorbed")}
    assert closed == {ETH: (0, 0), BTC: (-10 * WAD, h.close_quote(h.size))}
    assert receipt.event("PoolCharged")["marketId"] == BTC
    assert receipt.event("PoolCharged")["amount"] == receipt.event("DebtCovered")["debt"]
    assert core.vault.balanceOf(trader) == 0
    core.check_sums(dust_bound=10**9, base_dust=10**9)


@pytest.mark.parametrize("equity", [-3 * WAD, 0])
def test_absorb__nothing_but_a_position_that_ended__covers_the_debt(
    core: Core, set_equity: SetEquity, equity: int
) -> None:
    account = core.trader("other", 100_000)
    core.open(account, ETH, 10 * WAD)
    deleverage(core)
    set_equity(account, equity)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    assert core.vault.balanceOf(account) == 0
    if equity:
        debt = {"account": account, "debt": -equity, "byFund": 0, "byPool": -equity}
        assert receipt.event("DebtCovered").args == debt
        assert receipt.event("PoolCharged")["amount"] == -equity
    else:
        assert not receipt.events("DebtCovered")
    core.check_sums(dust_bound=10**9, base_dust=10**9)
