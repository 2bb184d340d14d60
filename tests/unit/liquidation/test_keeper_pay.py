"""What a close-out pays for gas: execution at the base fee, data on L1, once a transaction; and nobody earns by it."""

from __future__ import annotations

import pytest

from plimsoll.sdk.gas import L1_BLOCK
from tests.support.core import ETH, KEEPER, RISK, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import Contract, Evm
from tests.unit.liquidation.conftest import SetBaseFee, Weaken, sick

GWEI = 10**9
KEEPER_ACCOUNT = account_id(KEEPER)
LIQUIDATE_GAS, TRANSACTION_GAS, TRANSACTION_BYTES = 65_000, 60_000, 100
GAS_COST_MAX, KEEPER_MIN = 25 * WAD, 2 * WAD
SMALLEST = WAD * 2 // 5
"""A position of 1,200 dollars, 20 % above the minimum."""
SCALARS = (5_227, 1_014_213)
"""OP Mainnet's, in millionths: of L1's base fee and of its blobs'."""


@pytest.fixture
def paid(core: Core) -> Core:
    """Gas priced in ETH, a fund, no rollup."""
    core.liquidator.setGasMarket(ETH, sender=RISK)
    core.give_fund(10_000)
    return core


def price(core: Core) -> int:
    found: int = core.oracle.price(ETH)[0]
    return found


def gas_cost(core: Core, wei: int, *, is_first: bool = True, data: int = 0) -> int:
    gas = LIQUIDATE_GAS + (TRANSACTION_GAS if is_first else 0)
    return min(GAS_COST_MAX, (gas * wei + data) * price(core) // WAD)


def test_liquidate__smallest_position__is_paid_the_minimum_and_its_gas(
    paid: Core, weaken: Weaken, set_base_fee: SetBaseFee
) -> None:
    """LQ-05: out of the cost as far as that goes, the rest from the fund."""
    account = sick(paid, weaken, SMALLEST)
    set_base_fee(19 * GWEI)
    before = paid.cash(KEEPER_ACCOUNT)
    event = paid.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    expected = KEEPER_MIN + gas_cost(paid, 19 * GWEI)
    assert expected > event["cost"]
    assert (event["reward"], event["topUp"]) == (expected, expected - event["cost"])
    assert paid.cash(KEEPER_ACCOUNT) - before == expected
    paid.check_sums()


def test_liquidate__share_beyond_what_gas_can_be__is_the_share(
    paid: Core, weaken: Weaken, set_base_fee: SetBaseFee
) -> None:
    account = sick(paid, weaken, 100 * WAD)
    set_base_fee(20 * GWEI)
    event = paid.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["reward"] == event["cost"] * 3_000 // 10_000 > KEEPER_MIN + GAS_COST_MAX


def test_liquidate__gas_beyond_the_bound__pays_the_bound(paid: Core, weaken: Weaken, set_base_fee: SetBaseFee) -> None:
    account = sick(paid, weaken, SMALLEST)
    set_base_fee(10_000 * GWEI)
    event = paid.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["reward"] == KEEPER_MIN + GAS_COST_MAX


def test_liquidate__account_that_can_bear_nothing__the_fund_pays_the_gas_and_a_tenth(
    paid: Core, weaken: Weaken, set_base_fee: SetBaseFee
) -> None:
    """And not the least reward: who brings his own account there would be paid it for nothing."""
    account = sick(paid, weaken, SMALLEST, health=WAD // 10_000)
    set_base_fee(10 * GWEI)
    event = paid.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["cost"] < WAD // 100
    assert event["topUp"] == gas_cost(paid, 10 * GWEI) * 11 // 10
    assert event["reward"] == event["cost"] + event["topUp"]
    paid.check_sums()


def test_liquidate__no_gas_market__pays_the_minimum(core: Core, weaken: Weaken, set_base_fee: SetBaseFee) -> None:
    core.give_fund(10_000)
    account = sick(core, weaken, SMALLEST)
    set_base_fee(20 * GWEI)
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["reward"] == max(KEEPER_MIN, event["cost"] * 3_000 // 10_000)


@pytest.mark.parametrize("fund", [0, 3 * WAD])
def test_liquidate__fund_with_less__pays_what_there_is(
    core: Core, weaken: Weaken, set_base_fee: SetBaseFee, fund: int
) -> None:
    core.liquidator.setGasMarket(ETH, sender=RISK)
    account = sick(core, weaken, SMALLEST)
    core.post(core.fund_main, fund - core.cash(core.fund_main))
    set_base_fee(60 * GWEI)
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["reward"], event["topUp"]) == (event["cost"] + fund, fund)


def test_liquidate__two_in_a_transaction__the_transaction_is_paid_once(
    paid: Core, weaken: Weaken, set_base_fee: SetBaseFee
) -> None:
    """Else a contract that liquidates a hundred of its own accounts at once is paid for a hundred transactions."""
    accounts = []
    for name in ("first", "second"):
        account = paid.trader(name, 1_000_000)
        paid.open(account, ETH, SMALLEST)
        accounts.append(account)
    for account in accounts:
        weaken(account, WAD * 60 // 100)
    set_base_fee(5 * GWEI)
    batcher = paid.evm.deploy("Batcher")
    calls = [paid.liquidator.liquidate.encode(account, ETH, []) for account in accounts]
    first, second = batcher.run([paid.liquidator.address] * 2, calls).events("Liquidated")
    assert first["reward"] == KEEPER_MIN + gas_cost(paid, 5 * GWEI)
    assert second["reward"] == KEEPER_MIN + gas_cost(paid, 5 * GWEI, is_first=False)
    paid.track(account_id(batcher))
    paid.check_sums()


# --- on a rollup ---


@pytest.fixture
def l1_block(evm: Evm) -> Contract:
    """The predeploy, at 100 gwei and a blob base fee of 1, with OP Mainnet's scalars."""
    mock = evm.deploy("MockL1Block")
    evm.set_code(L1_BLOCK, evm.code(mock))
    there = evm.at("MockL1Block", L1_BLOCK)
    there.set(100 * GWEI, SCALARS[0], GWEI, SCALARS[1])
    return there


@pytest.fixture
def rollup(l1_block: Contract, evm: Evm) -> Core:
    core = deploy_core(evm)
    core.liquidator.setGasMarket(ETH, sender=RISK)
    core.give_fund(10_000)
    return core


def data_fee(base_fee: int, blob_fee: int, scalars: tuple[int, int] = SCALARS) -> int:
    return TRANSACTION_BYTES * ((16 * scalars[0] * base_fee + scalars[1] * blob_fee) // 10**6)


def liquidated(core: Core) -> int:
    """What a smallest position at half its maintenance pays."""
    account, other = core.trader("trader", 1_000_000), core.trader("other")
    core.open(account, ETH, SMALLEST)
    equity, required = core.market.healthOf(account)
    core.vault.post([(account, required // 2 - equity, 0, 0), (other, equity - required // 2, 0, 0)], sender=core.pool)
    reward: int = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")["reward"]
    core.check_sums()
    return reward


def test_liquidate__on_a_rollup__is_paid_for_its_data(rollup: Core) -> None:
    """100 gwei on L1, twice the bytes that are paid for, and a base fee of a hundredth of a gwei: the smallest position
    leaves its keeper more than the half of his reward."""
    data = 2 * data_fee(100 * GWEI, GWEI)
    spent = (data + 151_000 * GWEI // 100) * price(rollup) // WAD
    reward = liquidated(rollup)
    assert reward == SMALLEST * price(rollup) // WAD * 75 // 10_000 * 3_000 // 10_000 > KEEPER_MIN
    assert 0 < 2 * spent < reward


def test_liquidate__no_rollup__is_paid_for_no_data(paid: Core) -> None:
    assert liquidated(paid) == SMALLEST * price(paid) // WAD * 75 // 10_000 * 3_000 // 10_000


def test_liquidate__a_crash_on_l1__pays_for_itself(rollup: Core, l1_block: Contract) -> None:
    """2,230 gwei, and the scalars of a rollup that posts to blocks: what is more than the minimum is the data."""
    scalars = (684_000, 0)
    l1_block.set(2_230 * GWEI, scalars[0], 0, scalars[1])
    expected = data_fee(2_230 * GWEI, 0, scalars) * price(rollup) // WAD
    assert 7 * WAD < expected < GAS_COST_MAX
    assert liquidated(rollup) == KEEPER_MIN + expected


# --- against oneself ---


@pytest.mark.parametrize("wei", [0, GWEI // 100, GWEI, 50 * GWEI, 10_000 * GWEI])
@pytest.mark.parametrize("health", [WAD - 1, WAD // 2, WAD // 20, WAD // 1_000])
def test_liquidate__own_account_as_own_executor_and_keeper__earns_nothing(
    paid: Core, weaken: Weaken, set_base_fee: SetBaseFee, wei: int, health: int
) -> None:
    """Attack 14: his loss in the market is another account's gain; what is left is fees, cost, reward, and the gas of
    two calls to open and one to liquidate. Nearly bankrupt the account bears no cost, and the reward is the fund's.
    """
    dollars = 100 * WAD
    set_base_fee(wei)
    account = paid.trader("trader", 100)
    order = paid.order(account, ETH, SMALLEST)
    paid.place(order)
    paid.tick(2)
    paid.execute(order, sender=actor("trader")).event("OrderExecuted")
    opened = paid.market.healthOf(account)[0] - dollars
    weak = weaken(account, health)
    paid.liquidator.liquidate(account, ETH, [], sender=actor("trader")).event("Liquidated")
    closed = paid.market.healthOf(account)[0] - weak
    gas = (58_000 + 68_000 + LIQUIDATE_GAS) * wei * price(paid) // WAD
    assert opened + closed - gas < 0
