"""The OP stack's real contracts out of the npm package, for tests that read what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT
from plimsoll.chain.contracts import Interface
from plimsoll.sdk.fees.fjord import L1Prices
from plimsoll.sdk.fees.oracle import GAS_PRICE_ORACLE

PACKAGE = ROOT / "node_modules" / "@eth-optimism" / "contracts-bedrock" / "forge-artifacts"
L1_BLOCK = "0x4200000000000000000000000000000000000015"
DEPOSITOR = "0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001"
_SET_L1_BLOCK_VALUES = bytes.fromhex("440a5e20")

Send = Callable[[str, str, bytes], Any]
"""Sender, receiver, data: a transaction."""


@dataclass(frozen=True)
class Bedrock:
    """One contract of the package."""

    interface: Interface
    bytecode: bytes
    runtime: bytes


@cache
def bedrock(name: str) -> Bedrock:
    """By its name, such as "OptimismPortal2"."""
    path: Path = PACKAGE / f"{name}.sol" / f"{name}.json"
    data = json.loads(path.read_text())
    code = [bytes.fromhex(data[part]["object"].removeprefix("0x")) for part in ("bytecode", "deployedBytecode")]
    return Bedrock(Interface(name, data["abi"]), code[0], code[1])


def set_l1_prices(send: Send, prices: L1Prices) -> None:
    """As the rollup's first transaction of each block does."""
    packed = b"".join(
        value.to_bytes(size, "big")
        for value, size in (
            (prices.base_fee_scalar, 4),
            (prices.blob_base_fee_scalar, 4),
            (0, 8),
            (0, 8),
            (0, 8),
            (prices.base_fee, 32),
            (prices.blob_base_fee, 32),
        )
    )
    send(DEPOSITOR, L1_BLOCK, _SET_L1_BLOCK_VALUES + packed + bytes(64))


def activate_fjord(send: Send) -> None:
    """As the upgrades' own transactions do; code has to be at GAS_PRICE_ORACLE and L1_BLOCK before."""
    for upgrade in ("setEcotone", "setFjord"):
        send(DEPOSITOR, GAS_PRICE_ORACLE, bedrock("GasPriceOracle").interface.function(upgrade).encode([]))
