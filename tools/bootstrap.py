"""Install what the lock files say: `.venv` from uv.lock, `node_modules` from package-lock.json.

Runs with any Python >= 3.11 and its standard library alone. Each half leaves a stamp with the hash of what it was
installed from, so that a second run does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
NODE_MODULES = ROOT / "node_modules"


def digest(*names: str) -> str:
    """Hash of the files' contents, in the order given."""
    total = hashlib.sha256()
    for name in names:
        total.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return total.hexdigest()


def uv_requirement() -> str:
    """The pin of uv in the development group, so that the version is written down once."""
    pin = re.search(r'"(uv==[\d.]+)"', (ROOT / "pyproject.toml").read_text())
    if pin is None:
        sys.exit("bootstrap: pyproject.toml has no pin of uv")
    return pin.group(1)


def install_python() -> None:
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    uv = VENV / "bin" / "uv"
    if not uv.exists():
        subprocess.run([str(VENV / "bin" / "pip"), "install", "--quiet", uv_requirement()], check=True)
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON": str(VENV / "bin" / "python")}
    environment.pop("VIRTUAL_ENV", None)
    subprocess.run([str(uv), "sync", "--locked", "--quiet"], cwd=ROOT, env=environment, check=True)


def install_node() -> None:
    subprocess.run(["npm", "ci", "--loglevel=error"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    prune()


def prune() -> None:
    """Remove what is large and never used: of the folders under "keep" in package.json, all but what it names."""
    wanted: dict[str, list[str]] = json.loads((ROOT / "package.json").read_text())["keep"]
    for folder, names in wanted.items():
        for path in (NODE_MODULES / folder).iterdir():
            if path.name not in names:
                shutil.rmtree(path)


def ensure(stamp: Path, wanted: str, install: Callable[[], None]) -> None:
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"bootstrap: installing {stamp.parent.name}", flush=True)
    install()
    stamp.write_text(wanted)


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036  # this script meets whatever Python is installed
        print(f"bootstrap: Python 3.11 or later is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    missing = [tool for tool in ("node", "npm") if shutil.which(tool) is None]
    if missing:
        print(f"bootstrap: {' and '.join(missing)} not found; Node 20 or later is needed", file=sys.stderr)
        return 1
    with (ROOT / "tools" / "bootstrap.py").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            ensure(VENV / ".stamp", digest("pyproject.toml", "uv.lock"), install_python)
            ensure(NODE_MODULES / ".stamp", digest("package.json", "package-lock.json"), install_node)
        except subprocess.CalledProcessError as error:
            print(f"bootstrap: {' '.join(error.cmd)} failed", file=sys.stderr)
            return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
