"""The command line: `make soak`, or `python -m tests.soak` with a seed, a length and a speed of one's own."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from plimsoll.core.errors import run_command
from tests.soak.report import REPORT, shown, write
from tests.soak.run import soak
from tests.soak.setting import Setting

FAILED_EXIT = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where something does not hold, 2 for wrong input."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    usual = Setting()
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Keepers under load and faults on a devnet: three bots with two workers each, killed at random.",
    )
    parser.add_argument("--seed", type=int, default=usual.seed, help="of prices, traders and faults (default: 1)")
    parser.add_argument("--minutes", type=int, default=usual.minutes, help="of the chain's time (default: 120)")
    parser.add_argument("--accounts", type=int, default=usual.accounts, help="that trade (default: 1000)")
    parser.add_argument("--speed", type=int, default=usual.speed, help="chain seconds in a second (default: 4)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where logs and the index's file are left")
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{REPORT.name}")
    return parser


def _run(options: argparse.Namespace) -> int:
    setting = Setting(options.seed, options.minutes, options.accounts, options.speed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleared away
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {line}", file=sys.stderr, flush=True)

    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        verdict = soak(setting, options.keep, tell)
    else:
        with tempfile.TemporaryDirectory(prefix="plimsoll-soak-") as folder:
            verdict = soak(setting, Path(folder), tell)
    print(shown(verdict))
    if options.write:
        write(verdict)
    return FAILED_EXIT if verdict.failures else 0


if __name__ == "__main__":
    sys.exit(main())
