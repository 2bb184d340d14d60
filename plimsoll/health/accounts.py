"""The accounts of a ledger in 40 to 50 bytes each: id, cash, reserved cash, bitmap; found by id in a hash table."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from plimsoll.health.columns import INT128, UINT96, Packed, put, put_unsigned, take, take_unsigned

ID, BITMAP = 32, 4
_EMPTY = -1
_FEWEST_PLACES = 1 << 10


class Balance(NamedTuple):
    """An account's slot: cash and what is reserved of it, WAD dollars; bit m − 1 for its position in market m."""

    cash: int = 0
    reserved: int = 0
    markets: int = 0


class Accounts:
    """Rows in the order in which accounts came; none is ever taken out."""

    def __init__(self) -> None:
        self._ids = Packed(ID)
        self._balances = Packed(INT128 + UINT96 + BITMAP)
        self._places = array("i", [_EMPTY]) * _FEWEST_PLACES
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        return map(self.id_of, range(self._count))

    def find(self, account: int) -> int | None:
        """The account's row; None for one that was never seen."""
        row = self._places[self._place(put_unsigned(account, ID))]
        return None if row == _EMPTY else row

    def row_of(self, account: int) -> int:
        """The account's row, made where it is new."""
        key = put_unsigned(account, ID)
        place = self._place(key)
        row = self._places[place]
        if row != _EMPTY:
            return row
        row, self._count = self._count, self._count + 1
        self._ids.reserve(self._count)
        self._balances.reserve(self._count)
        self._ids[row] = key
        self._places[place] = row
        if self._count * 4 > len(self._places) * 3:
            self._rehash()
        return row

    def id_of(self, row: int) -> int:
        return take_unsigned(self._ids[row], 0, ID)

    def balance(self, row: int) -> Balance:
        data = self._balances[row]
        return Balance(
            take(data, 0, INT128),
            take_unsigned(data, INT128, UINT96),
            take_unsigned(data, INT128 + UINT96, BITMAP),
        )

    def cash(self, row: int) -> int:
        return take(self._balances[row], 0, INT128)

    def set_balance(self, row: int, balance: Balance) -> None:
        """Raises OverflowError where a number doesn't fit the contracts' storage."""
        self._balances[row] = (
            put(balance.cash, INT128) + put_unsigned(balance.reserved, UINT96) + put_unsigned(balance.markets, BITMAP)
        )

    @property
    def nbytes(self) -> int:
        return self._ids.nbytes + self._balances.nbytes + len(self._places) * self._places.itemsize

    def _place(self, key: bytes) -> int:
        """Where the account stands in the table, or would. Python's hash is keyed: no chosen ids pile up."""
        mask = len(self._places) - 1
        place = hash(key) & mask
        while (row := self._places[place]) != _EMPTY and self._ids[row] != key:
            place = place + 1 & mask
        return place

    def _rehash(self) -> None:
        places = array("i", [_EMPTY]) * (2 * len(self._places))
        mask = len(places) - 1
        for row in range(self._count):
            place = hash(bytes(self._ids[row])) & mask
            while places[place] != _EMPTY:
                place = place + 1 & mask
            places[place] = row
        self._places = places
