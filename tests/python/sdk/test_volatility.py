"""Volatility of price records: the estimator, what is too little to estimate from, and what people give."""

from __future__ import annotations

import math
import random

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.sdk.exit_plan.volatility import SPACING, Z_RARE, given, realised

DAY = 86_400


def walk(per_day: float, *, spacing: int = SPACING, count: int = 5_000) -> list[tuple[int, int]]:
    draw = random.Random(3)
    price, found = 2_500.0, []
    for place in range(count):
        found.append((1_000 + place * spacing, int(price * 10**18)))
        price *= math.exp(draw.gauss(0, per_day * math.sqrt(spacing / DAY)))
    return found


def test_realised__a_walk_of_known_volatility__is_near_it() -> None:
    assert realised(walk(0.03)).per_day == pytest.approx(0.03 * WAD, rel=0.04)


def test_realised__equal_steps__is_exact() -> None:
    """Every 300 s up or down by e^±0.01: σ² a day is 288 × 0.0001."""
    prices = [(place * SPACING, int(1_000 * WAD * math.exp(0.01 * (place % 2)))) for place in range(26)]
    assert realised(prices).per_day == pytest.approx(math.sqrt(288 * 0.0001) * WAD, rel=1e-9)


def test_realised__records_close_together__are_thinned() -> None:
    """Noise of a record a second would look like a storm; a price every five minutes is taken."""
    noisy = [(at, price + (10**18 if at % 2 else 0)) for at, price in walk(0.0, spacing=1, count=8_000)]
    found = realised(noisy)
    assert "26 moves 5 min apart" in found.source
    assert found.per_day < WAD // 50


@pytest.mark.parametrize("count", [0, 1, 24])
def test_realised__too_few__says_how_many_are_needed(count: int) -> None:
    with pytest.raises(UserError, match=rf"^{count} price records at least 5 min apart are too few .*25 are needed"):
        realised(walk(0.03, count=count))
    assert realised(walk(0.03, count=25)).per_day > 0


def test_move__time__goes_with_its_root() -> None:
    calm = given("3%/day")
    up, down = calm.move(4 * DAY)
    assert up / WAD == pytest.approx(math.expm1(0.06))
    assert down / WAD == pytest.approx(math.expm1(-0.06))
    assert calm.move(0) == (0, 0)
    assert calm.move(DAY, Z_RARE)[0] / WAD == pytest.approx(math.expm1(0.0588))


@pytest.mark.parametrize(
    ("text", "per_day"), [("60%", 0.6 / math.sqrt(365)), ("60", 0.6 / math.sqrt(365)), ("3% / day", 0.03)]
)
def test_given__a_year_or_a_day__is_understood(text: str, per_day: float) -> None:
    assert given(text).per_day / WAD == pytest.approx(per_day)
    assert given(text).source.startswith("given, ")


@pytest.mark.parametrize("text", ["", "fast", "-3%", "0", "3%/week", "NaN", "100000%"])
def test_given__anything_else__says_how_to_write_it(text: str) -> None:
    with pytest.raises(UserError, match="write it like"):
        given(text)
