"""What was deployed where: `deployments/<network>.json`, written after each step: an interruption loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT, SOLC_VERSION
from plimsoll.chain.contracts import Deployed
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

FOLDER = ROOT / "deployments"


@dataclass
class Created:
    """One contract. `args` by the constructor's names; `code_hash` of the code on the chain; the rest where known."""

    address: str
    args: dict[str, Any]
    code_hash: str
    block: int | None = None
    tx_hash: str | None = None
    gas_used: int | None = None


@dataclass
class Called:
    """One configuration call."""

    label: str
    block: int
    tx_hash: str
    gas_used: int


@dataclass
class Manifest:
    """A deployment. `start_block` is where its history starts, `genesis` tells chains of one id apart."""

    network: str
    chain_id: int
    genesis: str
    deployer: str
    start_nonce: int
    start_block: int
    parameters_file: str
    parameters_hash: str
    git_commit: str | None
    compiler: str = SOLC_VERSION
    is_complete: bool = False
    end_block: int | None = None
    external: dict[str, str] = field(default_factory=dict)
    markets: dict[str, int] = field(default_factory=dict)
    contracts: dict[str, Created] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)

    @property
    def addresses(self) -> dict[str, str]:
        """Of what was created, by contract name."""
        return {name: created.address for name, created in self.contracts.items()}

    def contract(self, name: str, chain: Chain) -> Deployed:
        """Raises UserError where the deployment has none of that name."""
        if name not in self.contracts:
            raise UserError(f"the deployment on {self.network} has no {name}")
        return Deployed.of(name, self.contracts[name].address, chain)

    @property
    def gas_used(self) -> int:
        """Of all steps whose receipt was seen."""
        return sum(one.gas_used or 0 for one in self.contracts.values()) + sum(one.gas_used for one in self.calls)

    def save(self, path: Path) -> None:
        """Write it at once or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".json")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(self), file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @staticmethod
    def load(path: Path) -> Manifest | None:
        """None where there is no file. Raises UserError where it is no manifest."""
        if not path.exists():
            return None
        try:
            data = json.loads(path.read_text())
            data["contracts"] = {name: Created(**one) for name, one in data["contracts"].items()}
            data["calls"] = [Called(**one) for one in data["calls"]]
            return Manifest(**data)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{path}: not a manifest of a deployment; restore it or move it away") from None


def manifest_path(network: str, folder: Path = FOLDER) -> Path:
    return folder / f"{network}.json"


def require(path: Path) -> Manifest:
    """The manifest of a deployment. Raises UserError where there is none."""
    manifest = Manifest.load(path)
    if manifest is None:
        raise UserError(f"{path} does not exist; deploy first: ape run deploy --network <network>")
    return manifest


def genesis_of(chain: Chain) -> str:
    """Hash of the first block."""
    return chain.block(0).hash


def git_commit(root: Path = ROOT) -> str | None:
    """The checkout's commit, with "-dirty" where contracts or their settings differ from it; None outside git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "contracts", "interfaces", "ape-config.yaml")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("-dirty" if changed else "")


def readable(value: Any) -> Any:
    """Constructor arguments as JSON has them."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {name: readable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [readable(part) for part in value]
    return value


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()
