"""Compile the contracts exactly when something they depend on has changed, and read what was compiled.

ape's own cache looks at each file alone: after an edit to an imported library, or a change of the compiler's settings,
the contracts that use it keep stale bytecode. So everything is compiled, or nothing is, by one hash over all inputs.

`python -m plimsoll.chain.build` prints one line, and exits with 2 and the compiler's message when compiling fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("contracts", "interfaces", "ape-config.yaml", "tools/solc", "package-lock.json")
SOLC_VERSION = "0.8.37"


class BuildError(Exception):
    """The contracts don't compile; the message is the compiler's."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract: what is needed to deploy it and to talk to it."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    """Creation code, without constructor arguments; empty for interfaces and abstract contracts."""
    runtime: bytes
    """Code on the chain, with zeros where the constructor puts immutables."""
    source: str
    """Path of the source file, relative to the project."""


def input_digest(root: Path = ROOT) -> str:
    """Hash over the paths and the contents of everything that the bytecode depends on."""
    total = hashlib.sha256()
    for name in INPUTS:
        base = root / name
        files = sorted(path for path in base.rglob("*") if path.is_file()) if base.is_dir() else [base]
        for path in files:
            total.update(path.relative_to(root).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def solc_folder(root: Path = ROOT) -> Path:
    """Folder with a `solc-v<version>`: a native compiler that py-solc-x installed, or else the launcher over npm's."""
    native = Path.home() / ".solcx"
    return native if os.access(native / f"solc-v{SOLC_VERSION}", os.X_OK) else root / "tools" / "solc"


def build_environment(root: Path = ROOT) -> dict[str, str]:
    """Environment in which ape finds this project's compiler and anvil; values that are set already win."""
    environment = {"SOLCX_BINARY_PATH": str(solc_folder(root)), **os.environ}
    folders = [str(Path(sys.executable).parent), str(root / "tools" / "bin")]
    environment["PATH"] = os.pathsep.join([*folders, environment.get("PATH", "")])
    return environment


def artifacts_path(root: Path = ROOT) -> Path:
    return root / ".build" / "__local__.json"


def is_current(root: Path = ROOT) -> bool:
    stamp = _stamp(root)
    return artifacts_path(root).exists() and stamp.exists() and stamp.read_text() == input_digest(root)


def ensure_built(root: Path = ROOT) -> bool:
    """Compile everything if any input changed since the last success. True if it compiled.

    Raises:
        BuildError: the contracts don't compile; the next call tries again.
    """
    with _locked(root):
        if is_current(root):
            return False
        stamp = _stamp(root)
        stamp.unlink(missing_ok=True)
        artifacts_path(root).unlink(missing_ok=True)  # or removed contracts would stay
        digest = input_digest(root)  # before compiling: an edit meanwhile must make the stamp stale
        ape = Path(sys.executable).parent / "ape"
        done = subprocess.run(
            [str(ape), "compile", "--force"],
            cwd=root,
            env=build_environment(root),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not artifacts_path(root).exists():
            artifacts_path(root).unlink(missing_ok=True)
            _, _, message = done.stdout.rpartition("ERROR:")  # after ape's own traceback
            raise BuildError(message.strip() or f"ape compile ended with {done.returncode} and no message")
        stamp.write_text(digest)
        return True


def load_artifacts(root: Path = ROOT) -> Mapping[str, Artifact]:
    """Every compiled contract and interface by name, without starting ape.

    Raises:
        BuildError: nothing has been compiled yet.
    """
    path = artifacts_path(root)
    if not path.exists():
        raise BuildError("nothing is compiled; run `make build`")
    types: dict[str, dict[str, Any]] = json.loads(path.read_text())["contractTypes"]
    return {
        name: Artifact(
            name=name,
            abi=contract["abi"],
            bytecode=_code(contract.get("deploymentBytecode")),
            runtime=_code(contract.get("runtimeBytecode")),
            source=contract["sourceId"],
        )
        for name, contract in types.items()
    }


def _code(entry: dict[str, str] | None) -> bytes:
    return bytes.fromhex((entry or {}).get("bytecode", "0x").removeprefix("0x"))


def _stamp(root: Path) -> Path:
    return root / ".build" / ".inputs"


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One build at a time: two test runs may start together."""
    folder = root / ".build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    started = time.monotonic()
    try:
        compiled = ensure_built()
    except BuildError as error:
        print(error, file=sys.stderr)
        print("build: failed", file=sys.stderr)
        return 2
    count = len(load_artifacts())
    print(
        f"build: {count} contracts " + (f"compiled in {time.monotonic() - started:.1f} s" if compiled else "up to date")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
