"""`make lint`: every check, as many at once as there are cores; prints one line for each and the output of failures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from plimsoll.chain.build import ROOT, build_environment

PYTHON = [sys.executable, "-m"]
SOLIDITY = ["contracts", "interfaces"]
TYPED = [folder for folder in ("plimsoll", "scripts", "tools", "tests") if (ROOT / folder).exists()]

# the slow ones first
CHECKS: dict[str, list[str]] = {
    "slither": [*PYTHON, "tools.check_slither"],
    "mypy": [*PYTHON, "mypy", *TYPED],
    "solhint": ["node_modules/.bin/solhint", "--noPoster", *(f"{folder}/**/*.sol" for folder in SOLIDITY)],
    "imports": [str(Path(sys.executable).parent / "lint-imports")],
    "rooms": [*PYTHON, "tools.check_rooms"],
    "sizes": [*PYTHON, "tools.check_sizes"],
    "forge fmt": ["tools/bin/forge", "fmt", "--check", "--root", "tools/forge", *SOLIDITY],
    "ruff": [*PYTHON, "ruff", "check", "--quiet", "."],
    "ruff format": [*PYTHON, "ruff", "format", "--check", "--quiet", "."],
}


def run(name: str) -> tuple[str, int, str, float]:
    started = time.monotonic()
    done = subprocess.run(
        CHECKS[name],
        cwd=ROOT,
        env=build_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return name, done.returncode, done.stdout, time.monotonic() - started


def main() -> int:
    chosen = sys.argv[1:] or list(CHECKS)
    failed = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for future in as_completed([pool.submit(run, name) for name in chosen]):
            name, code, output, seconds = future.result()
            print(f"{'ok  ' if code == 0 else 'FAIL'} {name:12} {seconds:5.1f} s", flush=True)
            if code != 0:
                failed.append(name)
                print(output.rstrip(), flush=True)
    print(f"lint: {', '.join(failed)} failed" if failed else "lint: all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
