"""One market's price through a crash, second by second, of which a publisher shows every n-th."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plimsoll.core.units import SECONDS_PER_HOUR
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.bar import Bar

BEFORE, AFTER = SECONDS_PER_HOUR, 3 * SECONDS_PER_HOUR
"""Seconds of a crash before and after its worst hour begins."""
_CORNERS = 2


@dataclass(frozen=True)
class Crash:
    """`seconds` are WAD prices, one a second from `start` (Unix seconds); the worst hour begins at `worst`."""

    name: str
    market: str
    source: str
    start: int
    worst: int
    seconds: tuple[int, ...]

    def published(self, every: int) -> Iterator[tuple[int, int]]:
        """(Unix seconds, price) of every n-th second, the first included."""
        for place in range(0, len(self.seconds), every):
            yield self.start + place, self.seconds[place]


def crash_of(name: str, market: str, source: str, bars: Sequence[Bar]) -> Crash:
    """The crash around the worst hour of these bars.

    Within a bar the price goes in straight lines from the open to the extreme that hurts, and on to the close
    (`prices.path`). Where bars are missing the last price stands.
    """
    worst = bars[prices.crash_start(bars)].ts
    step = prices.interval(bars)
    seconds: list[int] = []
    start = None
    for bar in bars:
        if not worst - BEFORE <= bar.ts < worst + AFTER:
            continue
        if start is None:
            start = bar.ts
            seconds.append(bar.open)
        missing = bar.ts - start - (len(seconds) - 1)
        seconds += seconds[-1:] * missing
        seconds += prices.path(bar, _CORNERS, step // _CORNERS)
    assert start is not None, "the worst hour lies within the bars"
    return Crash(name, market, source, start, worst, tuple(seconds))
