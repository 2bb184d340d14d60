"""The designs that others use, on the same book: what they cost, and what they miss.

- In turn: every account valued by itself, as by paging through all of them with eth_call; here in Python, in-process.
- By liquidation price: each position keyed by the price of its market at which its account becomes unhealthy with all
  other prices as they are; a new price finds the keys that it passed by bisection. The keys are computed from the same
  bounds, by NumPy, and to the first order, which errs in favour of this design.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.units import WAD
from plimsoll.health.monitor import Monitor
from plimsoll.health.sides import Side
from plimsoll.risk.margin import health_price

Floats = NDArray[np.float64]


def in_turn(monitor: Monitor, now: int, accounts: int) -> int:
    """How many of the first so many accounts are unhealthy, each valued by the model."""
    due = monitor._pending(now)
    sums = (monitor._sums(row, now, due) for row in range(accounts))
    return sum(equity < required for equity, required in sums)


class Keys(NamedTuple):
    """A side's liquidation prices, ascending, and the owners in that order."""

    prices: Floats
    owners: NDArray[np.int32]


def keyed(monitor: Monitor, now: int) -> Mapping[tuple[int, int], Keys]:
    """Every position's liquidation price at the present prices of the others, sorted."""
    _, of_sides = monitor._candidates(now, monitor._pending(now))
    gaps = monitor._totals
    keys = {}
    for (market_id, sign), side in monitor._sides.items():
        if side.count:
            keys[market_id, sign] = _keys(monitor, now, market_id, side, gaps)
    assert of_sides
    return keys


def _keys(monitor: Monitor, now: int, market_id: int, side: Side, gaps: Floats) -> Keys:
    """P − (E − M) / d(E − M)/dP: exact where maintenance is linear in the price, which it is."""
    market = monitor.markets[market_id]
    assert market.newest is not None
    rules, k = market.rules, market.side(side.sign).k
    price = health_price(side.sign, market.newest, market.is_fresh(now), rules)
    sizes = side.sizes[: side.count] * k
    owners = side.owners[: side.count]
    share = rules.mm_base_bps / 10_000 + sizes * (rules.mm_slope_bps / 10_000 / market.scale)
    share *= rules.mm_fraction(now) / 10**8
    share += rules.mm_penalty_bps / 10_000
    slope = sizes / WAD * (side.sign - share)
    prices = price - gaps[owners] / slope
    order = np.argsort(prices)
    return Keys(prices[order], owners[order])


def passed(monitor: Monitor, keys: Mapping[tuple[int, int], Keys], now: int) -> NDArray[np.int32]:
    """Rows of the accounts with a key that the newest price of its market passed."""
    found = []
    for (market_id, sign), one in keys.items():
        market = monitor.markets[market_id]
        assert market.newest is not None
        price = health_price(sign, market.newest, market.is_fresh(now), market.rules)
        place = int(np.searchsorted(one.prices, price, "right" if sign < 0 else "left"))
        found.append(one.owners[place:] if sign > 0 else one.owners[:place])
    return np.unique(np.concatenate(found))
