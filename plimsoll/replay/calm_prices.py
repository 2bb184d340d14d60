"""A day of index prices on which nothing happens: the calmest that there is data of, or a made-up one.

A day is calm where its minutes' moves add up to at most `CALM_PERCENT` of the price (the root of the sum of their
squares). Prices are WAD, one every `STEP` seconds.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby, pairwise
from math import isqrt
from typing import NamedTuple

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, WAD
from plimsoll.risk.scenario.bar import Bar
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.prices import CRASH_FILES, data_folder, path, read_csv, utc

STEP = 10
CALM_PERCENT = 4
MADE_UP_START = 1_700_006_400  # 2023-11-15T00:00Z
MADE_UP_PRICE = 3_000 * WAD
MADE_UP_STEP = Decimal("0.00027")
"""Standard deviation of a step: 2.5% a day."""
_MINUTES = SECONDS_PER_DAY // 60
_CENT = WAD // 100


class Day(NamedTuple):
    """`name` says what it is; `prices` every `STEP` seconds from `start`, Unix seconds."""

    name: str
    start: int
    prices: tuple[int, ...]

    @property
    def moved(self) -> int:
        """The root of the sum of squares of its minutes' moves, a WAD fraction."""
        return _moved(self.prices[60 // STEP - 1 :: 60 // STEP])


def calm_day(seed: int = 1) -> Day:
    """The calmest day of the data where it is calm, else a made-up one."""
    found = calmest_day()
    return found if found is not None and found.moved * 100 <= CALM_PERCENT * WAD else made_up_day(seed)


def calmest_day() -> Day | None:
    """Of the complete days in the data's minutes of ETH; None where there is no such data."""
    folder = data_folder()
    if folder is None or not (file := folder / CRASH_FILES["ETH"]).is_file():
        return None
    by_day = [list(bars) for _, bars in groupby(read_csv(file), lambda bar: bar.ts // SECONDS_PER_DAY)]
    days = [bars for bars in by_day if len(bars) == _MINUTES]
    return _from_bars(min(days, key=lambda bars: _moved([bar.close for bar in bars]))) if days else None


def made_up_day(seed: int = 1, steps: int = SECONDS_PER_DAY // STEP) -> Day:
    """A random walk of normal steps, in cents."""
    draws = Draws(seed, "calm day")
    prices = [MADE_UP_PRICE]
    for _ in range(steps - 1):
        move = int(draws.normal() * MADE_UP_STEP * WAD)
        prices.append(prices[-1] * (WAD + move) // WAD // _CENT * _CENT)
    return Day(f"made-up calm day, seed {seed}", MADE_UP_START, tuple(prices))


def require_calmest_day() -> Day:
    """Raises UserError where there is none."""
    found = calmest_day()
    if found is None:
        raise UserError(f"no complete day in the folder of real data; PLIMSOLL_DATA must have {CRASH_FILES['ETH']}")
    return found


def _from_bars(bars: list[Bar]) -> Day:
    prices = [price for bar in bars for price in path(bar, points=2, steps=60 // STEP // 2)]
    return Day(f"ETH/USDT of {utc(bars[0].ts)[:10]}", bars[0].ts, tuple(prices))


def _moved(prices: list[int] | tuple[int, ...]) -> int:
    return isqrt(sum(((after - before) * WAD // before) ** 2 for before, after in pairwise(prices)))
