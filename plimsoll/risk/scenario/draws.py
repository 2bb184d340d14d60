"""Seeded random draws that are the same on every machine.

Uniform bits come from the Mersenne twister; logarithms and exponentials from `decimal`, which rounds correctly in a
fixed context. Floats and libm, whose last digit differs between machines, take no part.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TypeVar

T = TypeVar("T")

_CONTEXT = Context(prec=40, rounding=ROUND_HALF_EVEN)
_RESOLUTION_BITS = 53
_RESOLUTION = 1 << _RESOLUTION_BITS


class Draws:
    """A stream of draws. Streams of one seed with other labels are independent, so that adding draws to one purpose
    changes nothing for another."""

    def __init__(self, seed: int, label: str) -> None:
        self._bits = random.Random(f"plimsoll/{label}/{seed}")

    def below(self, limit: int) -> int:
        """An int in [0, limit), by rejection. `limit` > 0."""
        if limit <= 0:
            raise ValueError(f"limit must be positive, not {limit}")
        size = limit.bit_length()
        while (value := self._bits.getrandbits(size)) >= limit:
            pass
        return value

    def between(self, low: int, high: int) -> int:
        """An int in [low, high]."""
        return low + self.below(high - low + 1)

    def uniform(self) -> Decimal:
        """A Decimal in [0, 1)."""
        return _CONTEXT.divide(Decimal(self._bits.getrandbits(_RESOLUTION_BITS)), Decimal(_RESOLUTION))

    def normal(self) -> Decimal:
        """A standard normal draw (Marsaglia's polar method; Bray and Marsaglia 1964)."""
        while True:
            u = self._signed_unit()
            v = self._signed_unit()
            square = _CONTEXT.add(_CONTEXT.multiply(u, u), _CONTEXT.multiply(v, v))
            if 0 < square < 1:
                ratio = _CONTEXT.divide(_CONTEXT.multiply(Decimal(-2), _CONTEXT.ln(square)), square)
                return _CONTEXT.multiply(u, _CONTEXT.sqrt(ratio))

    def log_normal(self, median: Decimal, sigma: Decimal) -> Decimal:
        """median × e^(sigma z)."""
        return _CONTEXT.multiply(median, _CONTEXT.exp(_CONTEXT.multiply(sigma, self.normal())))

    def log_uniform(self, low: Decimal, high: Decimal) -> Decimal:
        """A draw in [low, high] whose logarithm is uniform. 0 < low <= high."""
        start = _CONTEXT.ln(low)
        span = _CONTEXT.subtract(_CONTEXT.ln(high), start)
        drawn = _CONTEXT.exp(_CONTEXT.add(start, _CONTEXT.multiply(span, self.uniform())))
        return min(max(drawn, low), high)

    def flags(self, count: int, chosen: int) -> list[bool]:
        """`count` flags of which exactly `chosen` are set, shuffled (Fisher and Yates)."""
        flags = [place < chosen for place in range(count)]
        for place in range(count - 1, 0, -1):
            other = self.below(place + 1)
            flags[place], flags[other] = flags[other], flags[place]
        return flags

    def weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        """One of the choices, in proportion to its whole, non-negative weight. Raises ValueError if all are zero."""
        ticket = self.below(sum(weight for _, weight in choices))
        for choice, weight in choices:
            if ticket < weight:
                return choice
            ticket -= weight
        raise AssertionError("the weights sum to more than the ticket")

    def _signed_unit(self) -> Decimal:
        return _CONTEXT.subtract(_CONTEXT.multiply(Decimal(2), self.uniform()), Decimal(1))
