"""Accounts found again by id, whatever their ids have in common."""

from __future__ import annotations

import random

import pytest

from plimsoll.core import ids
from plimsoll.health.accounts import Accounts, Balance


@pytest.mark.parametrize("alike", ["owners in a row", "one owner's indexes", "one owner's markets", "random owners"])
def test_find__thousands_of_accounts__gives_each_its_row(alike: str) -> None:
    source = random.Random(1)
    made = {
        "owners in a row": lambda place: ids.pack(1 + place),
        "one owner's indexes": lambda place: ids.pack(7, 0, place),
        "one owner's markets": lambda place: ids.pack(7, place),
        "random owners": lambda place: ids.pack(source.getrandbits(160) | 1),
    }[alike]
    accounts, wanted = Accounts(), [made(place) for place in range(5_000)]
    for row, account in enumerate(wanted):
        assert accounts.find(account) is None
        assert accounts.row_of(account) == row
    assert [accounts.find(account) for account in wanted] == list(range(5_000))
    assert [accounts.row_of(account) for account in wanted] == list(range(5_000))
    assert list(accounts) == wanted
    assert len(accounts) == 5_000


def test_set_balance__extremes_of_the_vault__are_kept_exactly() -> None:
    accounts = Accounts()
    balances = [Balance(-(2**127), 2**96 - 1, 2**16 - 1), Balance(2**127 - 1, 0, 1), Balance(-1, 1, 0)]
    for place, balance in enumerate(balances):
        accounts.set_balance(accounts.row_of(ids.pack(1 + place)), balance)
    assert [accounts.balance(place) for place in range(3)] == balances
    assert accounts.cash(0) == -(2**127)


def test_find__crowded_table__takes_few_steps() -> None:
    """Ids that differ in few bits don't pile up: the mean distance from where a hash points stays small."""
    accounts = Accounts()
    for place in range(20_000):
        accounts.row_of(ids.pack(0xABCDEF, place % 8, place // 8))
    mask, steps = len(accounts._places) - 1, 0
    for row in range(len(accounts)):
        key = accounts.id_of(row).to_bytes(32, "little")
        steps += accounts._place(key) - hash(key) & mask
    assert steps / len(accounts) < 3
