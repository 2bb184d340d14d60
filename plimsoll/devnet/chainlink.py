"""Chainlink's real contracts, compiled from the npm package, so that devnet and tests verify real signatures.

The package ships no compiled code, and its Data Streams contracts want exactly solc 0.8.19. What was compiled is kept
in `.cache/chainlink` under a hash of all that the compiler was given.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT, Artifact
from plimsoll.core.errors import UserError

PACKAGE = ROOT / "node_modules" / "@chainlink" / "contracts" / "src" / "v0.8"
COMPILER = "solc-0.8.19"
"""Name of the npm package, an alias of that version of `solc`."""
CACHE = ROOT / ".cache" / "chainlink"
OPTIMIZER_RUNS = 1_000_000

MESSENGER = "@eth-optimism/contracts/L2/messaging/IL2CrossDomainMessenger.sol"
PROVIDED = {
    MESSENGER: "// SPDX-License-Identifier: MIT\npragma solidity ^0.8.19;\n"
    "interface IL2CrossDomainMessenger { function xDomainMessageSender() external view returns (address); }\n"
}
"""Sources of another package that would come with a hundred more for the sake of one function."""

_IMPORT = re.compile(r'^\s*import\b[^"\';]*["\']([^"\']+)["\']', re.MULTILINE)
_COMPILE = "process.stdout.write(require(process.argv[1]).compile(require('fs').readFileSync(0, 'utf8')))"


@cache
def verifier_proxy() -> Artifact:
    """DestinationVerifierProxy: no constructor arguments."""
    return _artifact("llo-feeds/v0.4.0/DestinationVerifierProxy.sol")


@cache
def verifier() -> Artifact:
    """DestinationVerifier: constructor (address proxy). Its configuration is used from the second after it was set."""
    return _artifact("llo-feeds/v0.4.0/DestinationVerifier.sol")


@cache
def uptime_feed() -> Artifact:
    """OptimismSequencerUptimeFeed: constructor (address l1Sender, address l2Messenger, bool isDown)."""
    return _artifact("l2ep/dev/optimism/OptimismSequencerUptimeFeed.sol")


def _artifact(file: str) -> Artifact:
    name = Path(file).stem
    sources = _closure(file)
    request = json.dumps(
        {
            "language": "Solidity",
            "sources": {path: {"content": text} for path, text in sorted(sources.items())},
            "settings": {
                "optimizer": {"enabled": True, "runs": OPTIMIZER_RUNS},
                "evmVersion": "paris",
                "outputSelection": {file: {name: ["abi", "evm.bytecode.object"]}},
            },
        }
    )
    kept = CACHE / f"{hashlib.sha256((COMPILER + request).encode()).hexdigest()}.json"
    if not kept.exists():
        _keep(kept, _compiled(file, name, request))
    found = json.loads(kept.read_text())
    return Artifact(
        name=name,
        abi=found["abi"],
        bytecode=bytes.fromhex(found["bytecode"]),
        runtime=b"",
        source=f"@chainlink/contracts/{file}",
    )


def _closure(file: str) -> dict[str, str]:
    """A file and all that it imports, by path."""
    found: dict[str, str] = {}
    todo = [file]
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found[path] = PROVIDED.get(path) or _source(path)
        for written in _IMPORT.findall(found[path]):
            relative = written.startswith(".")
            todo.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), written)) if relative else written)
    return found


def _source(path: str) -> str:
    file = PACKAGE / path
    if not file.is_file():
        raise UserError(f"{file.relative_to(ROOT)} is missing; run `make bootstrap`")
    return file.read_text()


def _compiled(file: str, name: str, request: str) -> dict[str, Any]:
    if not (ROOT / "node_modules" / COMPILER).exists():
        raise UserError(f"node_modules/{COMPILER} is missing; run `make bootstrap`")
    done = subprocess.run(
        ["node", "-e", _COMPILE, COMPILER], cwd=ROOT, input=request, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"{file}: {COMPILER} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    answer = json.loads(done.stdout)
    errors = [one["message"] for one in answer.get("errors", []) if one["severity"] == "error"]
    if errors:
        raise UserError(f"{file}: {errors[0]}")
    contract = answer["contracts"][file][name]
    return {"abi": contract["abi"], "bytecode": contract["evm"]["bytecode"]["object"]}


def _keep(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)  # whole or not at all: several may compile at once
