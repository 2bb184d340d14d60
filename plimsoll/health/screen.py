"""Bounds of E − M of every account at once, in float64, that the exact integers never leave.

A position of stored (base, quote, Gp, Kp) on a side (G, K) is effectively b = base × K / Kp. With x = |base| / Kp and
sign s it adds, but for the wei that integers are rounded to, to E − M

    x × s(K × Ph − G)  +  (quote + base × Gp / Kp)  −  f × N × min(1, mmBase + slope × b / S)  −  max(N × penalty, min)

where N = x × K × Ph is its notional and f = mmFraction. The second term is a constant until the position is touched,
and is kept summed up with the account's cash. The others are a polynomial of degree two in x with the same
coefficients for a whole side: prices, funding and deleveraging change a few numbers a side, and no array.

Proof of the bounds, with u = 2^−53. Every coefficient, x and the constant carry at most 12 roundings, a term's
arithmetic 5 more, and its way through a sum of at most 17 terms 17 more: all in all less than 40 u relative to the
absolute value of the parts that it is added up from. Each part is moved by MARGIN = 64 u of itself to the side that
the bound is on, for which no array is needed either; what is left over covers products of errors. K × Ph is rounded to
a whole number, which is 1 of the coefficient. What the model's integers are rounded by is less than `Terms.wei` a
position (a wei of base at Ph twice, a dozen of dollars), and an account has at most one position a market, so that
comparing with the sum over markets settles it. Hence:

    lower bound ≥ Σ wei   ⇒  E ≥ M, exactly      it leaves out min(1, …), which only makes it smaller
    upper bound < −Σ wei  ⇒  E < M, exactly      it leaves out the keeper's minimum, which only makes it larger
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.units import WAD
from plimsoll.health.sides import Side
from plimsoll.risk import margin
from plimsoll.risk.config import BPS_WAD
from plimsoll.risk.market import Market
from plimsoll.risk.position import SideState

MARGIN = 64 * 2.0**-53
MOST_POSITIONS = 16
"""A bitmap of the vault has that many bits; the proof counts on no more."""
CHUNK = 1 << 14
"""Positions worked on at once: few enough that scratch stays in a core's cache."""

Floats = NDArray[np.float64]


class Terms(NamedTuple):
    """A side's numbers at one time: what to multiply |base| / K by. Dollars are WAD."""

    worth: float
    worth_parts: float
    notional: float
    notional_less: float
    fraction: float
    base_share: float
    base_share_less: float
    slope: float
    penalty: float
    least: float
    wei: float


def terms(market: Market, state: SideState, sign: int, now: int) -> Terms:
    """The terms of a side whose accumulators are accrued to `now`, at the price in its favour."""
    rules = market.rules
    assert market.newest is not None, "a position in a market without a price"
    price = margin.health_price(sign, market.newest, market.is_fresh(now), rules)
    at_price = state.k * price // WAD
    slope = rules.mm_slope_bps * BPS_WAD / WAD / market.scale
    fraction = rules.mm_fraction(now) / 10**8
    return Terms(
        worth=float(sign * (at_price - state.g)),
        worth_parts=float(at_price + abs(state.g)),
        notional=float(at_price + 1),
        notional_less=float(at_price),
        fraction=fraction,
        base_share=rules.mm_base_bps / 10_000 + 1 / WAD,
        base_share_less=rules.mm_base_bps / 10_000 - slope,
        slope=slope * state.k,
        penalty=rules.mm_penalty_bps / 10_000,
        least=float(rules.mm_keeper_min),
        wei=(4 * price / WAD + 16) * max(1.0, fraction),
    )


class Scratch:
    """Room for one chunk."""

    def __init__(self) -> None:
        self.first: Floats = np.empty(CHUNK)
        self.second: Floats = np.empty(CHUNK)


def add_lower(totals: Floats, side: Side, t: Terms, scratch: Scratch) -> None:
    """Add to each owner's total at most what its position adds to E − M."""
    required = t.notional * t.fraction * t.base_share
    linear = t.worth - required - MARGIN * (t.worth_parts + required) - 1
    square = -t.notional * t.fraction * t.slope * (1 + MARGIN)
    penalty, least = t.notional * t.penalty * (1 + MARGIN), t.least * (1 + MARGIN)
    for start in range(0, side.count, CHUNK):
        sizes = side.sizes[start : min(start + CHUNK, side.count)]
        value, cost = scratch.first[: len(sizes)], scratch.second[: len(sizes)]
        np.multiply(sizes, square, out=value)
        np.add(value, linear, out=value)
        np.multiply(value, sizes, out=value)
        np.multiply(sizes, penalty, out=cost)
        np.maximum(cost, least, out=cost)
        np.subtract(value, cost, out=value)
        np.add.at(totals, side.owners[start : start + len(sizes)], value)


def add_upper(totals: Floats, side: Side, t: Terms, scratch: Scratch) -> None:
    """Add to each owner's total at least what its position adds to E − M."""
    penalty = t.notional_less * t.penalty
    linear = t.worth - penalty + MARGIN * (t.worth_parts + penalty) + 1
    required = -t.notional_less * t.fraction * (1 - MARGIN)
    for start in range(0, side.count, CHUNK):
        sizes = side.sizes[start : min(start + CHUNK, side.count)]
        value = scratch.first[: len(sizes)]
        np.multiply(sizes, t.slope * (1 - MARGIN), out=value)
        np.add(value, t.base_share_less, out=value)
        np.minimum(value, 1.0, out=value)
        np.multiply(value, required, out=value)
        np.add(value, linear, out=value)
        np.multiply(value, sizes, out=value)
        np.add.at(totals, side.owners[start : start + len(sizes)], value)
