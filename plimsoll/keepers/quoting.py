"""Where a market maker's two quotes belong: after Avellaneda and Stoikov (2008), in integers.

With P the index price, v what P moves in a typical horizon (its standard deviation, a fraction), a the aversion to
risk and I the inventory as a share of its limit, −1 to 1:

    reservation price   r = P × (1 − I × a × v)            what the maker thinks that a unit is worth to him
    half-spread         h = P × (fee + edge + a × v / 2)   what he asks for a trade beyond that
    bid, ask            r − h, r + h; neither beyond P

Avellaneda and Stoikov have r = P − q γ σ² τ and h = γ σ² τ / 2 + ln(1 + γ/κ)/γ. Here γ is a over what the inventory's
limit moves in the horizon, so that one number does for every market and size, and the second term, which stands for
the competition, is `edge`. A long maker quotes lower on both sides, so that somebody buys from him sooner than sells to
him; the size of the side that adds shrinks to nothing at the limit. A quote past P would be a gift: whoever must get
rid of inventory that fast lays it off against the pool.

Prices, dollars and fractions are WAD, `base` is signed WAD, times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, WAD_PER_BPS

CALM_BPS = 10
"""What a price is taken to move in a minute before anything is known of it."""


@dataclass(frozen=True, slots=True)
class Quoting:
    """How to quote. Dollars are notional."""

    size: int = 10_000 * WAD
    """Dollars of a quote."""
    max_inventory: int = 100_000 * WAD
    """Dollars of a position at which nothing is added."""
    max_leverage: int = 3 * WAD
    """The position is at most so many times the equity, whatever `max_inventory`."""
    aversion: int = WAD
    edge: int = WAD_PER_BPS
    horizon: int = 60
    """For how long a fill is held before the other side comes, as far as one can say."""
    band: int = 22 * WAD_PER_BPS
    """No quote is farther from the index. The contracts match to 25 bps, and the index moves while a quote stands."""
    replace: int = WAD_PER_BPS
    """A quote whose price is off by more than this is replaced."""
    lifetime: int = 30
    """Until a quote expires by itself, whatever becomes of the bot."""
    min_health: int = 3 * WAD
    """Below, everything is pulled."""
    lay_off_beyond: int | None = None
    """Dollars of a position from which on it is brought down to half of that against the pool; never, where None."""
    lay_off_slippage: int = 50 * WAD_PER_BPS

    def __post_init__(self) -> None:
        """Raises UserError where it makes no sense."""
        if not 0 < self.size <= self.max_inventory:
            raise UserError("market maker: a quote's size must be positive and at most the largest inventory")
        if min(self.aversion, self.edge, self.replace, self.lay_off_slippage) < 0 or self.max_leverage <= 0:
            raise UserError("market maker: edge, aversion, threshold and slippage can't be negative")
        if not 0 < self.band <= 25 * WAD_PER_BPS:
            raise UserError("market maker: the contracts match within 25 bps of the index; quote inside of that")
        if self.lifetime < 4 or self.horizon < 1:
            raise UserError("market maker: quotes must live 4 seconds or longer, and the horizon be 1 or longer")
        if self.lay_off_beyond is not None and self.lay_off_beyond <= 0:
            raise UserError("market maker: what is laid off beyond must be positive")


@dataclass(frozen=True, slots=True)
class Volatility:
    """The index's variance a second, WAD², averaged with weights that halve in some `memory` × 0.7 seconds."""

    variance: int = (CALM_BPS * WAD_PER_BPS) ** 2 // 60
    memory: int = 1_800

    def after(self, before: int, price: int, seconds: int) -> Volatility:
        """What is known after the price went from one record to the next in so many seconds."""
        if seconds <= 0 or before <= 0:
            return self
        move = (price - before) * WAD // before
        return Volatility((self.variance * self.memory + move * move) // (self.memory + seconds), self.memory)

    def over(self, seconds: int) -> int:
        """The standard deviation of a move in so many seconds, a WAD fraction."""
        return isqrt(self.variance * seconds)


@dataclass(frozen=True, slots=True)
class View:
    """What a quote depends on."""

    index: int
    volatility: int
    """Of the horizon, a fraction."""
    base: int
    """The position, with what is matched and not settled."""
    equity: int
    fee: int
    """The maker's, a fraction."""
    min_notional: int
    """Dollars: of an order, and of a position that isn't zero."""
    tick: int
    lot: int
    best_bid: int = 0
    """Others'; 0 for none, as of the ask."""
    best_ask: int = 0


class Quote(NamedTuple):
    """A side: positive `base` is a bid."""

    base: int
    price: int


def quotes(view: View, terms: Quoting) -> list[Quote]:
    """The bid and the ask that there should be; a side that would be too small or too far out is left out."""
    found = []
    for side in (1, -1):
        price, size = _price(view, terms, side), _size(view, terms, side)
        if price and size:
            found.append(Quote(side * size, price))
    return found


def inventory(view: View, terms: Quoting) -> int:
    """The position as a share of its limit, −WAD to WAD."""
    limit = _limit(view, terms)
    held = view.base * view.index // WAD
    return max(-WAD, min(WAD, held * WAD // limit)) if limit > 0 else (WAD if held >= 0 else -WAD)


def _limit(view: View, terms: Quoting) -> int:
    """Dollars."""
    return min(terms.max_inventory, max(0, view.equity) * terms.max_leverage // WAD)


def _price(view: View, terms: Quoting, side: int) -> int:
    """0 where there is none inside of the band."""
    risk = terms.aversion * view.volatility // WAD
    half = view.fee + terms.edge + risk // 2
    distance = max(0, half + side * inventory(view, terms) * risk // WAD)
    if distance > terms.band:
        return 0
    wanted = view.index * (WAD - side * distance)
    if side > 0:
        price = wanted // (WAD * view.tick) * view.tick
        return min(price, view.best_ask - view.tick) if view.best_ask else price
    price = -(-wanted // (WAD * view.tick)) * view.tick
    return max(price, view.best_bid + view.tick) if view.best_bid else price


def _size(view: View, terms: Quoting, side: int) -> int:
    """Base, unsigned; 0 where it would be too little."""
    share = side * inventory(view, terms)
    dollars = min(terms.size, _limit(view, terms))
    if share > 0:
        dollars = dollars * (WAD - share) // WAD
    size = dollars * WAD // view.index // view.lot * view.lot
    after = abs(view.base + side * size)
    if share < 0 and 0 < after * view.index // WAD < view.min_notional:
        size = abs(view.base)  # what would be left is too little to be a position: out with all of it
    return size if size * view.index // WAD >= view.min_notional else 0
