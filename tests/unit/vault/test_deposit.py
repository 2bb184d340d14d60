"""MarginVault.deposit: exactly amount × unit of cash for the tokens received."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import ETH, TREASURY, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import ZERO_ADDRESS, Evm, reverts
from tests.unit.vault.reference import MAX_CASH, approved, packed

TRADER, STRANGER = actor("trader"), actor("stranger")


def test_deposit__any_decimals__adds_amount_times_unit(decimal_core: Core) -> None:
    """MV-01"""
    core, account = decimal_core, account_id(TRADER)
    unit = 10 ** (18 - core.token.decimals())
    approved(core, TRADER, 1_234_567)
    receipt = core.vault.deposit(account, 1_234_567, sender=TRADER)
    assert receipt.event("Deposited").args == {
        "account": account,
        "from": TRADER,
        "amount": 1_234_567,
        "cash": 1_234_567 * unit,
    }
    assert receipt.event("Transfer").args == {"from": TRADER, "to": core.vault.address, "value": 1_234_567}
    assert core.vault.cashOf(account) == 1_234_567 * unit
    assert core.vault.balanceOf(account) == packed(1_234_567 * unit)
    assert core.vault.withdrawable(account) == 1_234_567
    assert (core.token.balanceOf(TRADER), core.token.balanceOf(core.vault)) == (0, 1_234_567)


def test_deposit__again__adds_to_the_cash_and_leaves_reservation_and_bitmap(core: Core) -> None:
    account = account_id(TRADER)
    core.vault.post([(account, 5 * WAD, 2 * WAD, 0b101)], sender=core.market)
    approved(core, TRADER, 7)
    receipt = core.vault.deposit(account, 7, sender=TRADER)
    assert receipt.event("Deposited")["cash"] == 5 * WAD + 7 * core.unit
    assert core.vault.balanceOf(account) == packed(5 * WAD + 7 * core.unit, 2 * WAD, 0b101)


def test_deposit__one_unit__is_the_least(decimal_core: Core) -> None:
    core, account = decimal_core, account_id(TRADER)
    approved(core, TRADER, 1)
    core.vault.deposit(account, 1, sender=TRADER)
    assert core.vault.cashOf(account) == core.unit


@pytest.mark.parametrize("isolated_market", [0, ETH, 2**32 - 1])
@pytest.mark.parametrize("index", [0, 1, 2**64 - 1])
def test_deposit__by_anyone__into_any_account_of_anybody(core: Core, isolated_market: int, index: int) -> None:
    """Topping up is always open, for others too."""
    account = account_id(TRADER, isolated_market, index)
    approved(core, STRANGER, 3)
    receipt = core.vault.deposit(account, 3, sender=STRANGER)
    assert receipt.event("Deposited").args == {
        "account": account,
        "from": STRANGER,
        "amount": 3,
        "cash": 3 * core.unit,
    }
    assert core.vault.cashOf(account) == 3 * core.unit
    assert core.vault.cashOf(account_id(STRANGER)) == 0


def test_deposit__into_negative_cash__raises_it(core: Core) -> None:
    account = account_id(TRADER)
    core.vault.post([(account, -10 * WAD, 0, 1)], sender=core.market)
    approved(core, TRADER, 4 * 10**6)
    assert core.vault.deposit(account, 4 * 10**6, sender=TRADER).event("Deposited")["cash"] == -6 * WAD
    assert core.vault.cashOf(account) == -6 * WAD


def test_deposit__nothing__is_refused(core: Core) -> None:
    with reverts("MarginVault_ZeroAmount"):
        core.vault.deposit(account_id(TRADER), 0, sender=TRADER)


@pytest.mark.parametrize("owner", ["pool", "fund", "treasury", "nobody"])
@pytest.mark.parametrize(("isolated_market", "index"), [(0, 0), (ETH, 0), (0, 1)])
def test_deposit__into_an_account_of_the_protocol__is_refused(
    core: Core, owner: str, isolated_market: int, index: int
) -> None:
    """MV-01: never into an account of pool, fund or treasury."""
    owners = {"pool": core.pool, "fund": core.fund, "treasury": TREASURY, "nobody": ZERO_ADDRESS}
    account = account_id(owners[owner], isolated_market, index)
    approved(core, TRADER, 1)
    with reverts("MarginVault_InvalidAccount", account):
        core.vault.deposit(account, 1, sender=TRADER)


def test_deposit__of_nothing_into_the_pool__the_amount_is_checked_first(core: Core) -> None:
    with reverts("MarginVault_ZeroAmount"):
        core.vault.deposit(core.pool_account(ETH), 0, sender=TRADER)


def test_deposit__beyond_allowance_or_balance__is_refused_by_the_token(core: Core) -> None:
    account = account_id(TRADER)
    approved(core, TRADER, 10)
    with reverts("ERC20InsufficientAllowance", core.vault, 10, 11):
        core.vault.deposit(account, 11, sender=TRADER)
    core.token.approve(core.vault, 11, sender=TRADER)
    with reverts("ERC20InsufficientBalance", TRADER, 10, 11):
        core.vault.deposit(account, 11, sender=TRADER)
    assert core.vault.cashOf(account) == 0


def test_deposit__cash_at_the_edge_of_its_slot__fits_and_one_more_does_not(evm: Evm) -> None:
    core = deploy_core(evm, markets=0, decimals=18)
    account = account_id(TRADER)
    approved(core, TRADER, MAX_CASH + 1)
    core.vault.deposit(account, MAX_CASH, sender=TRADER)
    assert core.vault.cashOf(account) == MAX_CASH
    with reverts("AccountBalance_OutOfRange", MAX_CASH + 1, 0):
        core.vault.deposit(account, 1, sender=TRADER)


def test_donation__tokens_sent_to_the_vault__belong_to_nobody(core: Core) -> None:
    approved(core, TRADER, 5)
    core.vault.deposit(account_id(TRADER), 5, sender=TRADER)
    core.token.mint(core.vault, 10**6)
    assert core.vault.cashOf(account_id(TRADER)) == 5 * core.unit
    assert core.vault.withdrawable(account_id(TRADER)) == 5


@settings(max_examples=25)
@given(amounts=st.lists(st.integers(1, 10**30), min_size=1, max_size=5))
def test_deposit__random_amounts__cash_is_the_sum_times_unit(shared_core: Core, amounts: list[int]) -> None:
    core, account = shared_core, account_id(TRADER)
    unit = 10 ** (18 - core.token.decimals())
    amounts = [1 + amount % (10**34 // unit) for amount in amounts]
    with core.evm.isolated():
        for number, amount in enumerate(amounts, start=1):
            approved(core, TRADER, amount)
            receipt = core.vault.deposit(account, amount, sender=TRADER)
            assert receipt.event("Deposited")["cash"] == sum(amounts[:number]) * unit
        assert core.token.balanceOf(core.vault) == sum(amounts) == core.vault.withdrawable(account)


# --- deployment ---


@pytest.mark.parametrize(("decimals", "unit"), [(6, 10**12), (8, 10**10), (17, 10), (18, 1)])
def test_constructor__six_to_eighteen_decimals__sets_the_unit(evm: Evm, decimals: int, unit: int) -> None:
    core = deploy_core(evm, markets=0, decimals=decimals)
    assert (core.vault.token(), core.vault.unit()) == (core.token.address, unit)


@pytest.mark.parametrize("decimals", [0, 5, 19, 255])
def test_constructor__other_decimals__is_refused(core: Core, decimals: int) -> None:
    token = core.evm.deploy("MockToken", "Dollar", "USD", decimals)
    with reverts("MarginVault_UnsupportedToken", token, decimals):
        core.evm.deploy("MarginVault", {**core.addresses, "token": token.address})
