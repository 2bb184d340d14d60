"""The OP stack's real contracts, compiled, out of the npm package `@eth-optimism/contracts-bedrock`.

`make bootstrap` keeps only the contracts that package.json names; add one there to use it here.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from plimsoll.chain.abi import Registry
from plimsoll.chain.build import ROOT, Artifact
from plimsoll.chain.contracts import Deployed, Interface, artifacts
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

PACKAGE = ROOT / "node_modules" / "@eth-optimism" / "contracts-bedrock"


@cache
def bedrock(name: str) -> Artifact:
    """A contract of the package by its name. Raises UserError where it isn't installed."""
    path = PACKAGE / "forge-artifacts" / f"{name}.sol" / f"{name}.json"
    if not path.exists():
        raise UserError(f"{path.relative_to(ROOT)} is missing; run `make bootstrap`")
    found: dict[str, Any] = json.loads(path.read_text())
    return Artifact(
        name=name,
        abi=found["abi"],
        bytecode=bytes.fromhex(found["bytecode"]["object"].removeprefix("0x")),
        runtime=bytes.fromhex(found["deployedBytecode"]["object"].removeprefix("0x")),
        source=f"@eth-optimism/contracts-bedrock/{name}",
    )


@cache
def bedrock_interface(name: str) -> Interface:
    """Its ABI."""
    return Interface(name, bedrock(name).abi)


def deployed(name: str, address: str, chain: Chain) -> Deployed:
    """A contract of the package at an address."""
    return Deployed(bedrock_interface(name), address, chain)


def creation(name: str, *args: Any) -> bytes:
    """Its creation code with encoded constructor arguments."""
    return bedrock(name).bytecode + bedrock_interface(name).encode_constructor(args)


@cache
def registry() -> Registry:
    """Errors and events of the project's contracts and of those that dispute games add with custom errors."""
    found = Registry()
    for one in artifacts().values():
        found.add(one.abi)
    for name in ("OptimismPortal2", "DisputeGameFactory", "FaultDisputeGame"):
        found.add(bedrock(name).abi)
    return found
