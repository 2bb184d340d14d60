"""One price bar, and where in time the default crash lies."""

from __future__ import annotations

from dataclasses import dataclass

CRASH_CENTRE = 1_621_429_200  # 2021-05-19T13:00Z: ETH's low of that day came at 13:09


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `ts` in Unix seconds of its open, prices in WAD dollars."""

    ts: int
    open: int
    high: int
    low: int
    close: int

    @property
    def is_falling(self) -> bool:
        """Whether it closed below its open."""
        return self.close < self.open


Bars = tuple[Bar, ...]
