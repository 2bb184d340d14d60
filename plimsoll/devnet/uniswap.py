"""Uniswap v3's real factory and pools out of the npm package, and where they stand."""

from __future__ import annotations

import json
from functools import cache

from eth_abi.abi import encode
from eth_utils import keccak

from plimsoll.chain.abi import checksum
from plimsoll.chain.build import ROOT, Artifact
from plimsoll.core.errors import UserError
from plimsoll.deploy.parameters import pool_feed_id
from plimsoll.sdk.pools import Q96

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


def pool_address(factory_: str, token0: str, token1: str) -> str:
    """Where a factory puts the pool of two tokens, the lower address first, with FEE."""
    salt = keccak(encode(["address", "address", "uint24"], [token0, token1, FEE]))
    code = keccak(pool().bytecode)
    return checksum(keccak(b"\xff" + bytes.fromhex(factory_[2:]) + salt + code)[12:])


def liquidity(dollars: int, sqrt: int, *, inverted: bool) -> int:
    """Of a position over the full range with so much of the dollar token, in its units, at a sqrtPriceX96."""
    return dollars * sqrt // Q96 if inverted else dollars * Q96 // sqrt


def feed_id(pool: str, window: int, decimals0: int, decimals1: int, *, inverted: bool = False) -> bytes:
    """What the Uniswap adapter knows an average by; `window` in seconds, `inverted` where token1 is the base."""
    return bytes.fromhex(pool_feed_id(pool, window, decimals0, decimals1, inverted=inverted)[2:])
