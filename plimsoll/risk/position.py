"""A position: what it owes since it was last touched, and what a fill does to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from plimsoll.core.units import RAY
from plimsoll.risk.journal import Recorded

MAX_WALK = 2


class SideState(NamedTuple):
    """A side's accumulators: G dollars a unit and K the scale, both RAY; ends holds (G, K) of each past epoch."""

    g: int
    k: int
    epoch: int
    ends: Sequence[tuple[int, int]]


class Position(Recorded):
    """Stored as when last touched. base and quote WAD; g, k RAY of its side."""

    __slots__ = ("base", "epoch", "g", "k", "quote")
    FIELDS: ClassVar[tuple[str, ...]] = ("base", "quote", "g", "k", "epoch")

    def __init__(self) -> None:
        super().__init__()
        self.base = 0
        self.quote = 0
        self.g = 0
        self.k = 0
        self.epoch = 0


def effective(position: Position, side: SideState) -> tuple[int, int, int]:
    """(base, quote, owed) as of `side`. Owed is positive where the account owes, rounded up."""
    base, quote, g, k, epoch = position.base, position.quote, position.g, position.k, position.epoch
    if not base:
        return 0, 0, 0
    if epoch == side.epoch and k == side.k:
        return base, quote, -(-base * (side.g - g) // k)
    owed = steps = 0
    while epoch < side.epoch and base and steps < MAX_WALK:
        end_g, end_k = side.ends[epoch]
        owed -= -base * (end_g - g) // k
        scaled = scale(quote, end_k, k)
        base = scale(base, end_k, k)
        owed -= quote - scaled
        quote, g, k = scaled, end_g, RAY
        epoch += 1
        steps += 1
    if epoch < side.epoch:
        return 0, 0, owed - quote
    owed -= -base * (side.g - g) // k
    scaled = scale(quote, side.k, k)
    base = scale(base, side.k, k)
    owed -= quote - scaled
    if not base:
        return 0, 0, owed - scaled
    return base, scaled, owed


def fill(base: int, quote: int, size: int, size_quote: int) -> tuple[int, int, int]:
    """A position after Δbase = size and Δquote = size_quote: (base, quote, cash released)."""
    if not base or (base > 0) == (size > 0):
        return base + size, quote + size_quote, 0
    held, taken = abs(base), abs(size)
    if taken == held:
        return 0, 0, quote + size_quote
    if taken < held:
        part = scale(quote, taken, held)
        return base + size, quote - part, part + size_quote
    closing = scale(size_quote, held, taken)
    return base + size, size_quote - closing, quote + closing


def scale(value: int, numerator: int, denominator: int) -> int:
    """value × numerator / denominator toward zero, for numerator ≥ 0 and denominator > 0."""
    return value * numerator // denominator if value >= 0 else -(-value * numerator // denominator)
