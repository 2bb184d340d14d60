"""A made-up crash for machines without price data: seeded, in integers alone, as bad as 19 May 2021.

The path of closes runs through pins that fix the day, the hour and the worst minute; between pins it wanders by a
mean-reverting noise that fades out toward each pin. BTC shares most of ETH's noise and falls less.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from plimsoll.core.units import SECONDS_PER_MINUTE, WAD
from plimsoll.risk.scenario.bar import CRASH_CENTRE, Bar, Bars
from plimsoll.risk.scenario.draws import Draws

LOW_MINUTE = 26 * 60  # the low comes after 26 of 48 hours, so that the day before it is complete
LENGTH_MINUTES = 48 * 60
START = CRASH_CENTRE - LOW_MINUTE * SECONDS_PER_MINUTE

_PPM = 1_000_000
_CENT = WAD // 100
_FADE_MINUTES = 12
_DAY = LOW_MINUTE - 24 * 60
_HOUR = LOW_MINUTE - 60
_MINUTE = LOW_MINUTE - 8  # the worst minute ends here

_CALM_STEP_PPM = 900
_CRASH_STEP_PPM = 5_000
_CRASH_FROM = LOW_MINUTE - 90
_CRASH_UNTIL = LOW_MINUTE + 180


@dataclass(frozen=True)
class _Shape:
    """Where the path is pinned, in millionths of the price a day before the low, by minute."""

    start_price: int
    pins: tuple[tuple[int, int], ...]
    own_noise_ppm: int  # share of the market's noise that is its own


# ETH: day 1 → 0.56, hour 0.8 → 0.56 (−30%), worst minute 0.676 → 0.61516 (−9%)
_ETH = _Shape(
    3_400 * WAD,
    (
        (0, 1_010_000),
        (_DAY, 1_000_000),
        (LOW_MINUTE - 600, 900_000),
        (LOW_MINUTE - 200, 835_000),
        (_HOUR, 800_000),
        (_MINUTE - 20, 715_000),
        (_MINUTE - 1, 676_000),
        (_MINUTE, 615_160),
        (LOW_MINUTE, 560_000),
        (LOW_MINUTE + 10, 640_000),
        (LOW_MINUTE + 90, 735_000),
        (LOW_MINUTE + 400, 790_000),
        (LENGTH_MINUTES, 760_000),
    ),
    own_noise_ppm=0,
)

# BTC: day 1 → 0.6864 (−31%), hour 0.88 → 0.6864 (−22%), worst minute 0.78 → 0.7332 (−6%)
_BTC = _Shape(
    43_500 * WAD,
    (
        (0, 1_008_000),
        (_DAY, 1_000_000),
        (LOW_MINUTE - 600, 945_000),
        (LOW_MINUTE - 200, 905_000),
        (_HOUR, 880_000),
        (_MINUTE - 20, 805_000),
        (_MINUTE - 1, 780_000),
        (_MINUTE, 733_200),
        (LOW_MINUTE, 686_400),
        (LOW_MINUTE + 10, 752_000),
        (LOW_MINUTE + 90, 820_000),
        (LOW_MINUTE + 400, 885_000),
        (LENGTH_MINUTES, 870_000),
    ),
    own_noise_ppm=300_000,
)


def synthetic_crash(seed: int) -> dict[str, Bars]:
    """48 hours of 1-minute bars of ETH and BTC, the low at the same time as in the default window.

    By `prices.worst_minute`, `worst_hour` and `worst_day` ETH falls 9% (±0.5), 30% (±1) and 44% (±1); BTC about 6%,
    22% and 31%. The same seed gives the same bars on every machine.
    """
    shared = _noise(Draws(seed, "prices/shared"))
    return {
        "ETH": _bars(_ETH, shared, Draws(seed, "prices/ETH")),
        "BTC": _bars(_BTC, shared, Draws(seed, "prices/BTC")),
    }


def _bars(shape: _Shape, shared: list[int], draws: Draws) -> Bars:
    own = _noise(draws)
    share = shape.own_noise_ppm
    closes = [
        _cents(
            shape.start_price
            * level
            * (_PPM + (wobble * (_PPM - share) + own[minute] * share) * fade // _PPM // _PPM)
            // _PPM
            // _PPM
        )
        for minute, (wobble, (level, fade)) in enumerate(zip(shared, _levels(shape), strict=True))
    ]
    bars = []
    for minute, (open_, close) in enumerate(zip([closes[0], *closes], closes, strict=False)):
        reach = _step_ppm(minute) // 2
        high = _cents(max(open_, close) * (_PPM + draws.below(reach)) // _PPM)
        low = _cents(min(open_, close) * (_PPM - draws.below(reach)) // _PPM)
        bars.append(Bar(START + minute * SECONDS_PER_MINUTE, open_, max(high, open_, close), low, close))
    return tuple(bars)


def _levels(shape: _Shape) -> list[tuple[int, int]]:
    """For each minute the level between the pins and how much of the noise applies there, both in millionths."""
    levels = []
    for (start, before), (end, after) in pairwise(shape.pins):
        for minute in range(start, end):
            level = before + (after - before) * (minute - start) // (end - start)
            fade = min(minute - start, end - minute, _FADE_MINUTES) * _PPM // _FADE_MINUTES
            levels.append((level, fade))
    return levels


def _noise(draws: Draws) -> list[int]:
    """A mean-reverting walk in millionths, one value a minute."""
    value = 0
    walk = []
    for minute in range(LENGTH_MINUTES):
        reach = _step_ppm(minute)
        value = value * 92 // 100 + sum(draws.between(-reach, reach) for _ in range(3)) * 2 // 3
        walk.append(value)
    return walk


def _step_ppm(minute: int) -> int:
    return _CRASH_STEP_PPM if _CRASH_FROM <= minute < _CRASH_UNTIL else _CALM_STEP_PPM


def _cents(price: int) -> int:
    return price // _CENT * _CENT
