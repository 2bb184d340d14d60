"""Sums of Uniswap v3 pools whose one token stands for a dollar: prices in WAD, square roots in Q64.96."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from plimsoll.chain.abi import checksum, function_json
from plimsoll.chain.contracts import Interface
from plimsoll.core.units import WAD

Q96 = 1 << 96
NUDGE = 1_000_075, 1_000_000
"""What a square root is multiplied with to leave its tick for certain: one and a half basis points of the price."""


POOL = Interface(
    "UniswapV3Pool",
    [
        function_json("slot0", [], ["uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool"]),
        function_json("observations", ["uint256"], ["uint32", "int56", "uint160", "bool"]),
    ],
)
"""What is read of a pool to trade in it: first of each are the sqrtPriceX96, and the time of an observation."""
PRICE, INDEX = 0, 2
"""Places in slot0: the present sqrtPriceX96, and the index of the newest observation."""


def sqrt_price(price: int, decimals0: int, decimals1: int, *, inverted: bool = False) -> int:
    """A pool's sqrtPriceX96, rounded down, at WAD dollars of the base: token1 where `inverted`, else token0."""
    above, below = (WAD, price) if inverted else (price, WAD)
    return isqrt((above * 10**decimals1 << 192) // (below * 10**decimals0))


@dataclass(frozen=True, slots=True)
class PoolFeed:
    """What the Uniswap adapter's feed id says: a pool, the seconds of its average, its tokens' decimals, and whether
    token1 is the base."""

    pool: str
    window: int
    decimals0: int
    decimals1: int
    inverted: bool

    @classmethod
    def of(cls, feed_id: bytes) -> PoolFeed:
        """From the 32 bytes."""
        word = int.from_bytes(feed_id, "big")
        pool = checksum(feed_id[12:])
        return cls(pool, word >> 160 & 0xFFFFFFFF, word >> 192 & 0xFF, word >> 200 & 0xFF, bool(word >> 208 & 1))

    def sqrt_price(self, price: int) -> int:
        """The pool's sqrtPriceX96 at WAD dollars of the base."""
        return sqrt_price(price, self.decimals0, self.decimals1, inverted=self.inverted)

    def price(self, sqrt: int) -> int:
        """WAD dollars of the base at a sqrtPriceX96, rounded down; 0 for a pool that has none."""
        if not sqrt:
            return 0
        square: int = sqrt * sqrt * 10**self.decimals0
        scale: int = 10**self.decimals1 << 192
        return WAD * scale // square if self.inverted else WAD * square // scale


def out_of_tick(current: int, target: int) -> int:
    """The target if it lies in another tick for certain, else a square root beside it that does: only a swap that
    leaves its tick is an observation of the pool."""
    up, down = current * NUDGE[0] // NUDGE[1], current * NUDGE[1] // NUDGE[0]
    if down < target < up:
        return down if target < current else up
    return target
