"""Uniswap v3's real factory and pools out of the npm package, and the sums of its square-root prices."""

from __future__ import annotations

import json
from functools import cache
from math import isqrt

from plimsoll.chain.build import ROOT, Artifact
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.parameters import pool_feed_id

PACKAGE = ROOT / "node_modules" / "@uniswap" / "v3-core" / "artifacts" / "contracts"
FEE = 3_000
"""Millionths, of the pools here; their ticks are 60 apart."""
FULL_RANGE = (-887_220, 887_220)
"""The widest ticks of such a pool."""


@cache
def factory() -> Artifact:
    """UniswapV3Factory: no constructor arguments."""
    return _artifact("UniswapV3Factory")


@cache
def pool() -> Artifact:
    """UniswapV3Pool: deployed by the factory alone."""
    return _artifact("UniswapV3Pool")


def _artifact(name: str) -> Artifact:
    path = PACKAGE / f"{name}.sol" / f"{name}.json"
    if not path.exists():
        raise UserError(f"{path.relative_to(ROOT)} is missing; run `make bootstrap`")
    found = json.loads(path.read_text())
    return Artifact(
        name=name,
        abi=found["abi"],
        bytecode=bytes.fromhex(found["bytecode"][2:]),
        runtime=b"",
        source=f"@uniswap/v3-core/{name}",
    )


def sqrt_price(price: int, decimals0: int, decimals1: int, *, inverted: bool = False) -> int:
    """A pool's sqrtPriceX96, rounded down, at WAD dollars of the base: token1 where `inverted`, else token0."""
    above, below = (WAD, price) if inverted else (price, WAD)
    return isqrt((above * 10**decimals1 << 192) // (below * 10**decimals0))


def feed_id(pool: str, window: int, decimals0: int, decimals1: int, *, inverted: bool = False) -> bytes:
    """What the Uniswap adapter knows an average by; `window` in seconds, `inverted` where token1 is the base."""
    return bytes.fromhex(pool_feed_id(pool, window, decimals0, decimals1, inverted=inverted)[2:])
