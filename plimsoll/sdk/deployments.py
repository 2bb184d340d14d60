"""The published record of a deployment (`deployments/<network>.json`): which contracts are where, since which block."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError
from plimsoll.sdk.contracts import Contracts

FOLDER = ROOT / "deployments"


@dataclass(frozen=True, slots=True)
class Deployment:
    """`addresses` by contract name, `markets` ids by name ("ETH/USD"); `genesis` is the hash of the chain's block 0."""

    path: Path
    network: str
    chain_id: int
    genesis: str
    start_block: int
    addresses: Mapping[str, str]
    markets: Mapping[str, int]

    def on(self, chain: Chain) -> Contracts:
        """Its contracts. Raises UserError where the chain is another one, or lacks them."""
        if chain.chain_id != self.chain_id:
            raise UserError(f"{self.path}: is of chain {self.chain_id}, and {chain.uri} is chain {chain.chain_id}")
        if chain.block(0).hash != self.genesis:
            raise UserError(f"{self.path}: is of another chain {self.chain_id} than {chain.uri}; was it started again?")
        contracts = Contracts(chain, self.addresses, from_block=self.start_block)
        contracts.require_deployed()
        return contracts


def load(path: Path) -> Deployment:
    """Raises UserError where the file is missing or no such record."""
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        return Deployment(
            path=path,
            network=data["network"],
            chain_id=data["chain_id"],
            genesis=data["genesis"],
            start_block=data["start_block"],
            addresses={name: one["address"] for name, one in data["contracts"].items()},
            markets=dict(data["markets"]),
        )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; deploy first, or name the deployment's file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: not a record of a deployment") from None


def choose(chain: Chain, file: Path | None, folder: Path | None = None) -> Deployment:
    """That of a file where one is named, else the one on this chain, as far as a folder knows. Raises UserError."""
    return load(file) if file is not None else find(chain, folder or FOLDER)


def find(chain: Chain, folder: Path = FOLDER) -> Deployment:
    """The deployment on this chain. Raises UserError where there is none, or several."""
    candidates = [one for one in _all(folder) if one.chain_id == chain.chain_id]
    if len(candidates) > 1:
        genesis = chain.block(0).hash
        candidates = [one for one in candidates if one.genesis == genesis] or candidates
    if not candidates:
        raise UserError(f"nothing is deployed on chain {chain.chain_id} as far as {folder} knows; deploy first")
    if len(candidates) > 1:
        raise UserError(
            f"chain {chain.chain_id} has several: {', '.join(str(one.path) for one in candidates)}; name one"
        )
    return candidates[0]


def _all(folder: Path) -> Iterable[Deployment]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield load(path)
        except UserError:
            continue
