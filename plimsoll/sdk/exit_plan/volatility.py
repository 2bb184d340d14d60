"""How far a price may move over a wait: an estimate, and how it was made.

Estimator: realised volatility. Over prices at least `spacing` seconds apart, σ² a second = Σ ln(p_i / p_{i-1})² / Σ Δt,
with no mean taken off. Over T seconds a price moves by a factor e^(±z σ√T): z = 1 in two cases of three, z = 1.96 in
nineteen of twenty, if moves were independent and normal. They are neither in a crash: it is a scale, no bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import pairwise

from plimsoll.core.durations import about
from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, WAD

SPACING = 300
"""Seconds: closer prices tell more of the sources' noise than of the market."""
MIN_RETURNS = 24
DAYS_A_YEAR = 365
PRECISION = 50
Z_USUAL = Decimal(1)
Z_RARE = Decimal("1.96")


@dataclass(frozen=True, slots=True)
class Volatility:
    """Standard deviation of the logarithm of a price over a day, as a WAD fraction, and where it is from."""

    per_day: int
    source: str

    def move(self, seconds: int, z: Decimal = Z_USUAL) -> tuple[int, int]:
        """How far up and down a price may be after that time, as WAD fractions of it: e^(±zσ√T) − 1, down negative."""
        with localcontext() as context:
            context.prec = PRECISION
            exponent = z * Decimal(self.per_day) / WAD * (Decimal(seconds) / SECONDS_PER_DAY).sqrt()
            return int((exponent.exp() - 1) * WAD), int(((-exponent).exp() - 1) * WAD)


def realised(prices: Iterable[tuple[int, int]], *, spacing: int = SPACING) -> Volatility:
    """Of (Unix seconds, price) pairs, oldest first; prices in any one unit.

    Raises UserError where there are fewer than 25 of them far enough apart.
    """
    kept: list[tuple[int, int]] = []
    for at, price in prices:
        if price > 0 and (not kept or at - kept[-1][0] >= spacing):
            kept.append((at, price))
    returns = len(kept) - 1
    if returns < MIN_RETURNS:
        raise UserError(
            f"{len(kept)} price records at least {about(spacing)} apart are too few to estimate a volatility from "
            f"({MIN_RETURNS + 1} are needed); give one with --volatility"
        )
    seconds = kept[-1][0] - kept[0][0]
    with localcontext() as context:
        context.prec = PRECISION
        moves = [(Decimal(later) / earlier).ln() for (_, earlier), (_, later) in pairwise(kept)]
        squares = sum((one**2 for one in moves), Decimal())
        per_day = (squares / seconds * SECONDS_PER_DAY).sqrt()
        return Volatility(int(per_day * WAD), f"realised over {about(seconds)}, {returns} moves {about(spacing)} apart")


def given(percent: str) -> Volatility:
    """What a person says: "60" or "60%" a year, "3%/day" a day. Raises UserError."""
    text, _, unit = percent.replace(" ", "").partition("/")
    try:
        number = Decimal(text.removesuffix("%"))
    except ArithmeticError:
        number = Decimal(-1)
    if unit not in ("", "year", "day") or not number.is_finite() or not 0 < number <= 10_000:
        raise UserError(f'volatility {percent!r}: write it like "60%" (a year) or "3%/day"')
    with localcontext() as context:
        context.prec = PRECISION
        per_day = number / 100 if unit == "day" else number / 100 / Decimal(DAYS_A_YEAR).sqrt()
        return Volatility(int(per_day * WAD), f"given, {number.normalize():f}% a {unit or 'year'}")
