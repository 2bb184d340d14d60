"""MarginVault.transfer: between accounts of one owner, within what is withdrawable."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import DOWN, ETH, TREASURY, WAD, Core, account_id, actor
from tests.support.evm import ANYONE, reverts
from tests.unit.vault.reference import packed

TRADER = actor("trader")


@pytest.mark.parametrize(("isolated_market", "index"), [(0, 1), (ETH, 0), (2**32 - 1, 2**64 - 1)])
def test_transfer__between_accounts_of_one_owner__moves_cash_and_no_tokens(
    decimal_core: Core, isolated_market: int, index: int
) -> None:
    """MV-03"""
    core = decimal_core
    cross = core.trader("trader", 100)
    to = core.trader("trader", 0, isolated_market, index)
    amount = core.amount(30) + 1
    receipt = core.vault.transfer(cross, to, amount, sender=TRADER)
    assert receipt.event("Transferred").args == {"from": cross, "to": to, "amount": amount}
    assert [event.name for event in receipt.logs] == ["Transferred"]
    assert core.vault.balanceOf(cross) == packed(100 * WAD - amount * core.unit)
    assert core.vault.balanceOf(to) == packed(amount * core.unit)
    core.check_sums()


def test_transfer__all_and_one_more__only_all(decimal_core: Core) -> None:
    core = decimal_core
    cross, to = core.trader("trader", 7), core.trader("trader", index=1)
    with reverts("MarginVault_InsufficientMargin", core.amount(7), core.amount(7) + 1):
        core.vault.transfer(cross, to, core.amount(7) + 1, sender=TRADER)
    core.vault.transfer(cross, to, core.amount(7), sender=TRADER)
    assert (core.cash(cross), core.cash(to)) == (0, 7 * WAD)


def test_transfer__to_itself__changes_nothing(core: Core) -> None:
    account = core.trader("trader", 7)
    core.vault.post([(account, 0, WAD, 0)], sender=core.order_book)
    core.vault.transfer(account, account, core.amount(6), sender=TRADER)
    assert core.vault.balanceOf(account) == packed(7 * WAD, WAD)


def test_transfer__reservation_and_bitmap_of_both__stay(core: Core) -> None:
    cross, to = core.trader("trader", 7), core.trader("trader", index=1)
    core.vault.post([(cross, 0, WAD, 0), (to, -5 * WAD, 2 * WAD, 0b10)], sender=core.market)
    core.vault.transfer(cross, to, core.amount(6), sender=TRADER)
    assert core.vault.balanceOf(cross) == packed(WAD, WAD)
    assert core.vault.balanceOf(to) == packed(WAD, 2 * WAD, 0b10)


def test_transfer__nothing__is_refused_first(core: Core) -> None:
    with reverts("MarginVault_ZeroAmount"):
        core.vault.transfer(account_id(TRADER), account_id(ANYONE), 0, sender=ANYONE)


def test_transfer__by_another__is_refused(core: Core) -> None:
    cross, to = core.trader("trader", 7), core.trader("trader", index=1)
    with reverts("MarginVault_NotOwner", cross, ANYONE):
        core.vault.transfer(cross, to, 1, sender=ANYONE)
    with reverts("MarginVault_NotOwner", cross, ANYONE):
        core.vault.transfer(cross, account_id(ANYONE), 1, sender=ANYONE)


@pytest.mark.parametrize("to", ["other", "pool", "fund", "treasury"])
def test_transfer__to_another_owner__is_refused(core: Core, to: str) -> None:
    cross = core.trader("trader", 7)
    owners = {"other": actor("other"), "pool": core.pool, "fund": core.fund, "treasury": TREASURY}
    with reverts("MarginVault_DifferentOwners", cross, account_id(owners[to])):
        core.vault.transfer(cross, account_id(owners[to]), core.amount(8), sender=TRADER)


def test_transfer__by_the_protocol_between_its_own_accounts__is_refused(core: Core) -> None:
    """MV-03 and MV-01: what would be a deposit into a market's capital passes by no share."""
    for owner in (core.pool.address, core.fund.address, TREASURY):
        core.post(account_id(owner), 5 * WAD)
        with reverts("MarginVault_InvalidAccount", account_id(owner, ETH)):
            core.vault.transfer(account_id(owner), account_id(owner, ETH), 1, sender=owner)


def test_transfer__from_an_account_with_a_position__keeps_what_it_needs(trading_core: Core) -> None:
    core = trading_core
    cross, isolated = core.trader("trader", 10_000), core.trader("trader", 0, ETH)
    core.open(cross, ETH, 10 * WAD)
    free = core.vault.withdrawable(cross)
    assert 0 < free < core.amount(9_000)
    with reverts("MarginVault_InsufficientMargin", free, free + 1):
        core.vault.transfer(cross, isolated, free + 1, sender=TRADER)
    core.vault.transfer(cross, isolated, free, sender=TRADER)
    assert (core.cash(isolated), core.vault.withdrawable(cross)) == (free * core.unit, 0)
    core.check_sums()


def test_transfer__from_an_account_with_a_stale_market__is_refused_and_into_it_not(trading_core: Core) -> None:
    """A market without prices stops nobody from topping up."""
    core = trading_core
    holder, spare = core.trader("trader", 10_000), core.trader("trader", 10, index=1)
    core.open(holder, ETH, 10 * WAD)
    core.tick(1, state=DOWN)
    published = core.evm.timestamp
    core.evm.advance(16)
    with reverts("PerpMarket_StalePrice", ETH, published):
        core.vault.transfer(holder, spare, 1, sender=TRADER)
    cash = core.cash(holder)
    core.vault.transfer(spare, holder, core.amount(10), sender=TRADER)
    assert core.cash(holder) == cash + 10 * WAD


@settings(max_examples=25)
@given(
    start=st.integers(1, 10**12),
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 10**12)), max_size=6),
)
def test_transfer__random_moves__follow_a_ledger_of_three(
    shared_core: Core, start: int, moves: list[tuple[int, int, int]]
) -> None:
    core = shared_core
    unit = 10 ** (18 - core.token.decimals())
    accounts = [account_id(TRADER), account_id(TRADER, ETH), account_id(TRADER, 0, 9)]
    ledger = [start, 0, 0]
    with core.evm.isolated():
        core.deposit(accounts[0], start)
        for source, target, amount in moves:
            if amount > ledger[source]:
                with reverts("MarginVault_InsufficientMargin", ledger[source], amount):
                    core.vault.transfer(accounts[source], accounts[target], amount, sender=TRADER)
                continue
            core.vault.transfer(accounts[source], accounts[target], amount, sender=TRADER)
            ledger[source] -= amount
            ledger[target] += amount
        assert [core.cash(account) for account in accounts] == [amount * unit for amount in ledger]
