"""A seeded path of prices, one a block: calm wandering, and falls and rises far beyond what 20x survives.

Every shock is a part of the day's length, so that a short soak has all of them, too. Some come within a block, which
leaves accounts bankrupt before anybody can close them out; some over minutes, through every keeper's hands.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import WAD
from plimsoll.risk.scenario.draws import Draws

ETH, BTC = "ETH/USD", "BTC/USD"
START = {ETH: 2_500, BTC: 60_000}
_PPM = 1_000_000
_CALM_PPM = 250
"""The largest step of a calm block, of three that are drawn."""
_PULL = 400
"""Blocks in which a deviation from the level is worn off."""


class Shock(NamedTuple):
    """From a place in the run (per mille of it) the level moves by so many millionths within so many blocks, in a short
    run a 40th of it at most."""

    at: int
    blocks: int
    eth: int
    btc: int


SHOCKS = (
    Shock(180, 90, -70_000, -50_000),
    Shock(300, 1, -45_000, -30_000),
    Shock(310, 120, 60_000, 45_000),
    Shock(430, 60, -120_000, -80_000),
    Shock(470, 90, 80_000, 60_000),
    Shock(570, 1, 70_000, 50_000),
    Shock(680, 45, -150_000, -110_000),
    Shock(685, 1, -60_000, -40_000),
    Shock(740, 120, 110_000, 80_000),
    Shock(850, 60, -90_000, -70_000),
)


def path(seed: int, blocks: int) -> list[dict[str, int]]:
    """WAD dollars by market for each block, to the cent."""
    draws = Draws(seed, "soak/prices")
    found = []
    levels, noise = {ETH: _PPM, BTC: _PPM}, {ETH: 0, BTC: 0}
    for block in range(blocks):
        moved = {ETH: sum(_step(one, one.eth, block, blocks) for one in SHOCKS)}
        moved[BTC] = sum(_step(one, one.btc, block, blocks) for one in SHOCKS)
        shared = sum(draws.between(-_CALM_PPM, _CALM_PPM) for _ in range(2))
        for name in START:
            own = shared + draws.between(-_CALM_PPM, _CALM_PPM)
            noise[name] = noise[name] * (_PULL - 1) // _PULL + own
            levels[name] += levels[name] * moved[name] // _PPM
        found.append({name: _price(name, levels[name], noise[name]) for name in START})
    return found


def _step(shock: Shock, move: int, block: int, blocks: int) -> int:
    """A shock's part in one block."""
    first, length = shock.at * blocks // 1_000, max(1, min(shock.blocks, blocks // 40))
    return move // length if first <= block < first + length else 0


def _price(name: str, level: int, noise: int) -> int:
    cents = START[name] * 100 * level // _PPM * (_PPM + noise) // _PPM
    return cents * (WAD // 100)
