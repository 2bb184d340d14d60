"""API3's real contracts out of the npm package, so that devnet and tests verify real signatures.

The package ships compiled code only inside the JavaScript of its ethers factories; it is read from there.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT, Artifact
from plimsoll.core.errors import UserError

PACKAGE = ROOT / "node_modules" / "@api3" / "contracts"
ADMIN_ROLE = "Api3ServerV1 admin"
"""The server's second constructor argument: the name of its admin role, which nothing here uses."""

_FACTORY = re.compile(r'^const _abi = (\[.*?^\]);\s*^const _bytecode = "0x([0-9a-f]+)";', re.MULTILINE | re.DOTALL)


@cache
def access_control_registry() -> Artifact:
    """AccessControlRegistry: no constructor arguments."""
    return _artifact("access", "AccessControlRegistry")


@cache
def api3_server() -> Artifact:
    """Api3ServerV1: constructor (address registry, string adminRole, address manager)."""
    return _artifact("api3-server-v1", "Api3ServerV1")


def _artifact(folder: str, name: str) -> Artifact:
    path = PACKAGE / "dist" / "typechain-types" / "factories" / folder / f"{name}__factory.js"
    if not path.exists():
        raise UserError(f"{path.relative_to(ROOT)} is missing; run `make bootstrap`")
    return parse_factory(name, path)


def parse_factory(name: str, path: Path) -> Artifact:
    """The contract inside an ethers factory. Raises UserError where the file has another shape."""
    found = _FACTORY.search(path.read_text())
    if found is None:
        raise UserError(f"{path}: no ABI and bytecode in it; was the package updated?")
    return Artifact(
        name=name, abi=_json(found[1]), bytecode=bytes.fromhex(found[2]), runtime=b"", source=f"@api3/contracts/{name}"
    )


def _json(literal: str) -> list[dict[str, Any]]:
    """A JavaScript literal as the factories have it: keys without quotation marks, commas at ends."""
    quoted = re.sub(r"^(\s*)(\w+):", r'\1"\2":', literal, flags=re.MULTILINE)
    parsed: list[dict[str, Any]] = json.loads(re.sub(r",(\s*[}\]])", r"\1", quoted))
    return parsed
