"""What absorbing pays: gas, out of the insurance fund, at a price that governance names the market of."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, BTC_PRICE, ETH, ETH_PRICE, KEEPER, RISK, WAD, Core, account_id
from tests.support.evm import ANYONE, reverts
from tests.unit.liquidation.conftest import SetBaseFee, SetEquity, bankrupt

GAS_COST_MAX = 25 * WAD

KEEPER_ACCOUNT = account_id(KEEPER)
GWEI = 10**9


def test_absorb__gas_market_set__pays_the_gas_and_a_tenth(
    core: Core, set_equity: SetEquity, set_base_fee: SetBaseFee
) -> None:
    """Before the debt: 80,000 gas and 65,000 a position, at the base fee and the gas market's price."""
    core.liquidator.setGasMarket(ETH, sender=RISK)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD, BTC: 10 * WAD})
    set_equity(account, -50_000 * WAD)
    core.give_fund(1_000)
    keeper = core.cash(KEEPER_ACCOUNT)
    set_base_fee(20 * GWEI)
    receipt = core.liquidator.absorb(account, [], sender=KEEPER)
    reward = 210_000 * 20 * GWEI * ETH_PRICE * 11 // (10 * WAD)
    assert receipt.event("Absorbed")["reward"] == reward
    assert core.cash(KEEPER_ACCOUNT) == keeper + reward
    assert receipt.event("DebtCovered")["byFund"] == 1_000 * WAD - reward
    assert core.cash(core.fund_main) == 0
    core.check_sums()


def test_absorb__no_gas_market__pays_nothing(core: Core, set_equity: SetEquity, set_base_fee: SetBaseFee) -> None:
    account = bankrupt(core, set_equity, {ETH: 100 * WAD})
    core.give_fund(1_000)
    set_base_fee(20 * GWEI)
    assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["reward"] == 0
    assert core.cash(core.fund_main) == 1_000 * WAD


@pytest.mark.parametrize("fund", [0, 1, 10 * WAD])
def test_absorb__fund_with_less_than_the_gas__pays_what_it_has(
    core: Core, set_equity: SetEquity, set_base_fee: SetBaseFee, fund: int
) -> None:
    core.liquidator.setGasMarket(ETH, sender=RISK)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD})
    core.post(core.fund_main, fund)
    set_base_fee(30 * GWEI)
    assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["reward"] == fund
    assert core.cash(core.fund_main) == 0


def test_absorb__gas_beyond_the_maximum__pays_the_maximum(
    core: Core, set_equity: SetEquity, set_base_fee: SetBaseFee
) -> None:
    core.liquidator.setGasMarket(BTC, sender=RISK)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD})
    core.give_fund(1_000)
    base_fee = GAS_COST_MAX * WAD // (145_000 * BTC_PRICE)
    with core.evm.isolated():
        set_base_fee(base_fee)
        reward = 145_000 * base_fee * BTC_PRICE // WAD * 11 // 10
        assert reward < GAS_COST_MAX * 11 // 10
        assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["reward"] == reward
    set_base_fee(base_fee + 1)
    paid = core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["reward"]
    assert paid == GAS_COST_MAX * 11 // 10


@pytest.mark.parametrize("market", [ETH, BTC, 0, 99])
def test_setGasMarket__by_its_role__takes_effect(core: Core, market: int) -> None:
    receipt = core.liquidator.setGasMarket(market, sender=RISK)
    assert receipt.event("GasMarketChanged").args == {"marketId": market}
    assert core.liquidator.gasMarket() == market


@pytest.mark.parametrize("caller", [ANYONE, KEEPER])
def test_setGasMarket__by_anyone_else__is_refused(core: Core, caller: str) -> None:
    with reverts("AccessManagedUnauthorized", caller):
        core.liquidator.setGasMarket(BTC, sender=caller)
    assert core.liquidator.gasMarket() == 0


def test_absorb__gas_market_without_a_price__pays_nothing(
    core: Core, set_equity: SetEquity, set_base_fee: SetBaseFee
) -> None:
    core.liquidator.setGasMarket(99, sender=RISK)
    account = bankrupt(core, set_equity, {ETH: 100 * WAD})
    core.give_fund(1_000)
    set_base_fee(20 * GWEI)
    assert core.liquidator.absorb(account, [], sender=KEEPER).event("Absorbed")["reward"] == 0
