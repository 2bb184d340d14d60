"""The insurance fund: shares over its cash, no price, and every fee swept before a share is bought or sold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import (
    BTC,
    ETH,
    FUND_DOLLARS,
    KEEPER,
    PROVIDER,
    RISK,
    TREASURY,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Evm, reverts
from tests.unit.pool.reference import to_assets, to_shares

COOLDOWN, WINDOW = 86_400, 600


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, fund_dollars=FUND_DOLLARS)


@pytest.fixture
def backer() -> int:
    return account_id(PROVIDER)


def test_balance__is_the_cash_of_the_main_account(core: Core) -> None:
    assert core.fund.balance() == core.cash(account_id(core.fund)) == FUND_DOLLARS * WAD
    assert core.fund.totalAssets() == core.amount(FUND_DOLLARS)
    core.post(core.fund_main, core.unit - 1)
    assert core.fund.totalAssets() == core.amount(FUND_DOLLARS)
    assert core.fund.balance() == FUND_DOLLARS * WAD + core.unit - 1


def test_coverage__without_open_interest__is_the_largest_number(core: Core) -> None:
    assert core.fund.coverage() == 2**256 - 1


def test_coverage__of_both_sides_of_all_markets__at_the_newest_prices(core: Core) -> None:
    core.open(core.trader("long", 1_000_000), ETH, 100 * WAD)
    core.open(core.trader("short", 1_000_000), ETH, -40 * WAD)
    core.open(core.trader("short"), BTC, -3 * WAD)
    core.tick(1, {ETH: 2_500 * WAD})
    assert core.fund.coverage() == FUND_DOLLARS * WAD * WAD // ((140 * 2_500 + 3 * 40_000) * WAD)
    assert core.lens.protocol().coverage == core.fund.coverage()


def test_requests__without_any_price__are_executed(evm: Evm) -> None:
    core = deploy_core(evm, markets=0)
    backer = core.trader("backer", 100)
    request = core.request_deposit(core.fund, backer, core.amount(100))
    core.evm.advance(59)
    with reverts("RequestVault_NotMature", core.evm.timestamp + 1):
        core.fund.executeRequest(request)
    core.evm.advance(1)
    receipt = core.fund.executeRequest(request, sender=KEEPER)
    assert receipt.value == (False, 100 * 10**12)
    assert core.fund.balanceOf(actor("backer")) == 100 * 10**12
    assert core.cash(core.fund_main) == 100 * WAD
    request = core.request_redeem(core.fund, backer, 40 * 10**12)
    core.evm.advance(COOLDOWN)
    assert core.fund.executeRequest(request).value == (False, 40 * 10**6)
    assert core.cash(backer) == 40 * WAD
    assert core.cash(core.fund_main) == 60 * WAD
    core.check_sums()


def test_executeRequest__while_the_guard_is_closed__needs_no_price(core: Core, backer: int) -> None:
    core.open(core.trader("trader", 100_000), ETH, 10 * WAD)
    core.fund_account(backer, 10)
    request = core.request_deposit(core.fund, backer, core.amount(10))
    core.tick(60, state=3)
    assert core.fund.executeRequest(request).value[0] is False


@pytest.mark.parametrize("is_redeem", [False, True])
def test_executeRequest__after_the_deadline__lapses(core: Core, backer: int, is_redeem: bool) -> None:
    core.fund_account(backer, 10)
    shares = core.fund.balanceOf(PROVIDER)
    request = (core.request_redeem if is_redeem else core.request_deposit)(core.fund, backer, 10**6)
    deadline = core.fund.request(request).deadline
    core.evm.timestamp = deadline + 1
    receipt = core.fund.executeRequest(request)
    assert receipt.event("RequestLapsed").args == {
        "requestId": request,
        "owner": PROVIDER,
        "isRedeem": is_redeem,
        "amount": 10**6,
    }
    assert (core.fund.balanceOf(PROVIDER), core.cash(backer)) == (shares, 10 * WAD)
    core.check_sums()


def test_unswept_fees__entering_before_the_sweep__buys_none_of_them(core: Core, backer: int) -> None:
    """Fees wait in the markets for months. Mallory enters the fund, sweeps, and leaves with her part of what others
    earned. So a request sweeps every market before it takes the share price."""
    trader = core.trader("trader", 2_000_000)
    for _ in range(5):
        core.open(trader, ETH, 2_000 * WAD)
        core.close(trader, ETH)
    insurance, treasury = core.market.unsweptFees(ETH)
    assert insurance > 4_000 * WAD
    mallory = core.trader("mallory", 1_000_000)
    receipt = core.execute_request(core.fund, core.request_deposit(core.fund, mallory, core.amount(1_000_000)))
    assert receipt.event("FeesSwept").args == {"marketId": ETH, "insurance": insurance, "treasury": treasury}
    shares = core.fund.balanceOf(actor("mallory"))
    assert shares == to_shares(
        core.amount(1_000_000), FUND_DOLLARS * 10**12, (FUND_DOLLARS * WAD + insurance) // core.unit
    )
    core.market.sweep(ETH)
    assert core.fund.convertToAssets(shares) <= core.amount(1_000_000)
    assert core.cash(account_id(TREASURY)) == treasury
    core.check_sums()


def test_unswept_fees__leaving__takes_ones_own_part_of_them(core: Core, backer: int) -> None:
    trader = core.trader("trader", 2_000_000)
    core.open(trader, ETH, 2_000 * WAD)
    request = core.request_redeem(core.fund, backer, FUND_DOLLARS * 10**12)
    core.tick(COOLDOWN)
    insurance, _ = core.market.unsweptFees(ETH)
    total = (FUND_DOLLARS * WAD + insurance) // core.unit
    supply = core.fund.totalSupply()
    assert core.fund.executeRequest(request).value == (False, to_assets(FUND_DOLLARS * 10**12, supply, total))
    core.check_sums()


def test_payout__while_shares_wait__is_borne_by_them_too(core: Core, backer: int) -> None:
    """The fund pays a debt between the request and its execution: what is in escrow falls like the rest."""
    request = core.request_redeem(core.fund, backer, FUND_DOLLARS * 10**12 // 2)
    core.post(core.fund_main, -400_000 * WAD)
    receipt = core.execute_request(core.fund, request)
    assert receipt.event("Withdraw")["assets"] == core.amount(300_000)


def test_emptied_fund__still_takes_entries_and_its_old_shares_are_worth_nothing(core: Core, backer: int) -> None:
    core.post(core.fund_main, -FUND_DOLLARS * WAD)
    assert (core.fund.balance(), core.fund.convertToAssets(FUND_DOLLARS * 10**12)) == (0, 0)
    mallory = core.trader("mallory")
    shares = core.enter(core.fund, mallory, 100)
    assert core.fund.convertToAssets(shares) in (core.amount(100) - 1, core.amount(100))
    assert core.fund.convertToAssets(FUND_DOLLARS * 10**12) <= 1


def test_accounts__of_the_fund__take_nothing_from_outside(core: Core) -> None:
    core.token.mint(PROVIDER, 10)
    core.token.approve(core.vault, 10, sender=PROVIDER)
    for account in (core.fund_main, core.fund.escrowAccount()):
        with reverts("MarginVault_InvalidAccount", account):
            core.vault.deposit(account, 10, sender=PROVIDER)


def test_setDelays__of_the_fund__are_its_own(core: Core) -> None:
    core.fund.setDelays((5, 7 * 86_400, 60), sender=RISK)
    assert tuple(core.fund.delays()) == (5, 7 * 86_400, 60)
    assert tuple(core.pool.delays()) == (60, 86_400, 600)


@pytest.mark.parametrize("decimals", [6, 8, 18])
@settings(max_examples=20)
@given(
    entries=st.lists(st.integers(1, 10**9), min_size=1, max_size=4),
    flow=st.integers(-(10**6) * WAD, 10**6 * WAD),
    part=st.integers(1, 10_000),
)
def test_requests__random_entries_and_flows__follow_the_reference(
    built: None, decimals: int, entries: list[int], flow: int, part: int
) -> None:
    core = deploy_core(Evm(), decimals=decimals, pool_dollars=0)
    cash = supply = 0
    for number, assets in enumerate(entries):
        backer = core.trader(f"backer {number}")
        core.deposit(backer, assets)
        shares = to_shares(assets, supply, cash // core.unit)
        core.execute_request(core.fund, core.request_deposit(core.fund, backer, assets))
        assert core.fund.balanceOf(owner_of(backer)) == shares
        supply, cash = supply + shares, cash + assets * core.unit
        assert (core.fund.totalSupply(), core.fund.balance()) == (supply, cash)
    flow = max(flow, -cash)
    core.post(core.fund_main, flow)
    cash += flow
    shares = max(1, core.fund.balanceOf(actor("backer 0")) * part // 10_000)
    assets = to_assets(shares, supply, cash // core.unit)
    assert core.leave(core.fund, core.trader("backer 0"), shares) == assets
    assert (core.fund.totalSupply(), core.fund.balance()) == (supply - shares, cash - assets * core.unit)
