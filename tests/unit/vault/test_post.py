"""MarginVault.post: entries of the other rooms, and of nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import ADMIN, ETH, GUARDIAN, LISTING, RISK, TREASURY, WAD, Core, account_id, actor
from tests.support.evm import reverts
from tests.unit.vault.reference import MAX_CASH, MAX_RESERVED, packed

TRADER = actor("trader")


@pytest.mark.parametrize("room", ["market", "order_book", "liquidator", "pool", "fund"])
def test_post__by_a_room_of_the_core__adds_and_flips(core: Core, room: str) -> None:
    """MV-04"""
    first, second = account_id(TRADER), core.pool_account(ETH)
    entries = [(first, 7 * WAD, 2 * WAD, 0b101), (second, -3 * WAD, 0, 0), (first, -WAD, -WAD, 0b001)]
    receipt = core.vault.post(entries, sender=getattr(core, room))
    assert [event.args for event in receipt.events("Posted")] == [
        {"account": first, "balance": packed(7 * WAD, 2 * WAD, 0b101)},
        {"account": second, "balance": packed(-3 * WAD)},
        {"account": first, "balance": packed(6 * WAD, WAD, 0b100)},
    ]
    assert core.vault.balancesOf(first, second) == (packed(6 * WAD, WAD, 0b100), packed(-3 * WAD))
    assert (core.vault.cashOf(first), core.vault.cashOf(second)) == (6 * WAD, -3 * WAD)


def test_post__nothing__does_nothing(core: Core) -> None:
    assert core.vault.post([], sender=core.market).logs == []


@pytest.mark.parametrize("sender", [TRADER, ADMIN, RISK, GUARDIAN, LISTING, TREASURY])
def test_post__by_anybody_else__is_refused(core: Core, sender: str) -> None:
    """MV-04: no role may write a balance, the administrator included."""
    with reverts("MarginVault_NotModule", sender):
        core.vault.post([(account_id(TRADER), WAD, 0, 0)], sender=sender)
    with reverts("MarginVault_NotModule", sender):
        core.vault.post([], sender=sender)


@pytest.mark.parametrize("room", ["configurator", "governance", "oracle", "lens", "token"])
def test_post__by_a_contract_that_keeps_no_accounts__is_refused(core: Core, room: str) -> None:
    contract = getattr(core, room)
    with reverts("MarginVault_NotModule", contract):
        core.vault.post([(account_id(TRADER), WAD, 0, 0)], sender=contract)


@pytest.mark.parametrize(("edge", "step"), [(MAX_CASH, 1), (-MAX_CASH - 1, -1)])
def test_post__cash_at_the_edge_of_its_slot__fits_and_one_more_does_not(core: Core, edge: int, step: int) -> None:
    account = account_id(TRADER)
    core.vault.post([(account, edge, 3, 0b11)], sender=core.market)
    assert core.vault.cashOf(account) == edge
    assert core.vault.balanceOf(account) == packed(edge, 3, 0b11)
    with reverts("AccountBalance_OutOfRange", edge + step, 3):
        core.vault.post([(account, step, 0, 0)], sender=core.market)


def test_post__reservation_at_its_edges__fits_and_one_more_does_not(core: Core) -> None:
    account = account_id(TRADER)
    core.vault.post([(account, 0, MAX_RESERVED, 0)], sender=core.order_book)
    assert core.vault.balanceOf(account) == packed(0, MAX_RESERVED)
    with reverts("AccountBalance_OutOfRange", 0, MAX_RESERVED + 1):
        core.vault.post([(account, 0, 1, 0)], sender=core.order_book)
    core.vault.post([(account, 5, -MAX_RESERVED, 0)], sender=core.order_book)
    with reverts("AccountBalance_OutOfRange", 5, 2**256 - 1):  # what is negative shows as an unsigned word
        core.vault.post([(account, 0, -1, 0)], sender=core.order_book)


def test_post__one_entry_that_does_not_fit__undoes_all(core: Core) -> None:
    account = account_id(TRADER)
    with reverts("AccountBalance_OutOfRange", MAX_CASH + 1, 0):
        core.vault.post([(account, 1, 0, 0), (account, MAX_CASH, 0, 0)], sender=core.market)
    assert core.vault.balanceOf(account) == 0


@settings(max_examples=40)
@given(
    entries=st.lists(
        st.tuples(st.integers(-(2**120), 2**120), st.integers(0, 2**90), st.integers(0, 2**16 - 1)), max_size=6
    )
)
def test_post__random_entries__follow_a_ledger(shared_core: Core, entries: list[tuple[int, int, int]]) -> None:
    core, account = shared_core, account_id(TRADER)
    cash = sum(entry[0] for entry in entries)
    reserved = sum(entry[1] for entry in entries)
    markets = 0
    for _, _, flips in entries:
        markets ^= flips
    with core.evm.isolated():
        core.vault.post([(account, *entry) for entry in entries], sender=core.market)
        assert core.vault.balanceOf(account) == packed(cash, reserved, markets)
        assert core.vault.cashOf(account) == cash
