"""Where each account's position in each market stands: its row in a side, and the side."""

from __future__ import annotations

from plimsoll.health.columns import Packed

_WIDTH = 4


class Places:
    """A number an account and market: 0 for no position, row + 1 in the long side, −(row + 1) in the short one."""

    def __init__(self) -> None:
        self.markets = 0
        self._rows = Packed(0)
        self._count = 0

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes

    def reserve(self, rows: int, markets: int) -> None:
        """Room for so many accounts and for markets 1 to `markets`."""
        if markets > self.markets:
            wider = Packed(_WIDTH * markets)
            wider.reserve(self._count)
            for row in range(self._count):
                wider[row][: self._rows.width] = self._rows[row]
            self._rows, self.markets = wider, markets
        self._rows.reserve(rows)
        self._count = max(rows, self._count)

    def of(self, row: int) -> list[int]:
        """By market, the first at 0."""
        return self._rows[row].cast("i").tolist() if self.markets else []

    def get(self, row: int, market_id: int) -> int:
        return self._rows[row].cast("i")[market_id - 1] if market_id <= self.markets else 0

    def set(self, row: int, market_id: int, place: int) -> None:
        self._rows[row].cast("i")[market_id - 1] = place
