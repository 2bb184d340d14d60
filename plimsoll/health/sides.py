"""The positions of one side of a market: what a screen reads as arrays, and the exact words behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.units import RAY
from plimsoll.health.columns import INT128, UINT96, Packed, grow, put, put_unsigned, take, take_unsigned
from plimsoll.risk.position import Position, SideState, effective

EPOCH = 4
MIXED = -1
"""Sizes are as of several epochs, until the next `rebase`."""


class Side:
    """Rows 0 to count − 1, in no order: the last takes the place of one that goes.

    sizes: |base| by K as when the position was last touched, or as its epoch ended, so that K times it is the effective
    size for as long as the epoch lasts. owners: rows of accounts, each at most once.
    """

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.epoch = 0
        self.is_empty = False
        """Whether nothing is left of any position: so it is for all in a market that was closed."""
        self.count = 0
        self.owners: NDArray[np.int32] = np.zeros(0, np.int32)
        self.sizes: NDArray[np.float64] = np.zeros(0, np.float64)
        self._words = Packed(3 * INT128 + UINT96 + EPOCH)

    @property
    def nbytes(self) -> int:
        return self.owners.nbytes + self.sizes.nbytes + self._words.nbytes

    def reserve(self, rows: int) -> None:
        grow(self.owners, rows)
        grow(self.sizes, rows)
        self._words.reserve(rows)

    def add(self, owner: int, held: Position, state: SideState) -> int:
        """A position's new row."""
        row, self.count = self.count, self.count + 1
        self.reserve(self.count)
        self.owners[row] = owner
        self.write(row, held, state)
        return row

    def write(self, row: int, held: Position, state: SideState) -> None:
        """Raises OverflowError where a number doesn't fit the contracts' storage."""
        self._words[row] = (
            put(held.base, INT128)
            + put(held.quote, INT128)
            + put(held.g, INT128)
            + put_unsigned(held.k, UINT96)
            + put_unsigned(held.epoch, EPOCH)
        )
        self._scale(row, held, state)
        self.is_empty = False
        if state.epoch != self.epoch:
            self.epoch = MIXED

    def drop(self, row: int) -> int | None:
        """Take a position out. Returns the owner whose position moved into its row, None where none did."""
        self.count -= 1
        last = self.count
        if row == last:
            return None
        self.owners[row], self.sizes[row] = self.owners[last], self.sizes[last]
        self._words[row] = self._words[last]
        return int(self.owners[row])

    def position(self, row: int) -> Position:
        data = self._words[row]
        held = Position()
        held.base, held.quote = take(data, 0, INT128), take(data, INT128, INT128)
        held.g, held.k = take(data, 2 * INT128, INT128), take_unsigned(data, 3 * INT128, UINT96)
        held.epoch = take_unsigned(data, 3 * INT128 + UINT96, EPOCH)
        return held

    def constant(self, row: int, state: SideState) -> int:
        """quote + base × Gp / Kp, rounded down: what of the position's worth neither prices nor G nor K change."""
        base, value, g, k = at_epoch(self.position(row), state)
        return value + base * g // k

    def rebase(self, state: SideState) -> None:
        """After an epoch ended: every size as of the epoch that began."""
        for row in range(self.count):
            self._scale(row, self.position(row), state)
        self.epoch = state.epoch
        self.is_empty = not self.sizes[: self.count].any()

    def _scale(self, row: int, held: Position, state: SideState) -> None:
        base, _, _, k = at_epoch(held, state)
        self.sizes[row] = abs(base) / k


def at_epoch(held: Position, state: SideState) -> tuple[int, int, int, int]:
    """(base, quote − owed, G, K) since when it stands as it does in the side's present epoch; exact."""
    if held.epoch == state.epoch:
        return held.base, held.quote, held.g, held.k
    end_g, _ = state.ends[state.epoch - 1]
    base, quote, owed = effective(held, SideState(end_g, RAY, state.epoch, state.ends))
    return base, quote - owed, end_g, RAY
