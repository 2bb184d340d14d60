"""`make drills`: all fault drills, or those that are named. Exit code 1 where one fails, 2 for wrong input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from plimsoll.chain.build import BuildError, ensure_built
from plimsoll.core.errors import UserError, run_command
from plimsoll.drills.run import DRILLS, OUT, drill_all


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m plimsoll.drills", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(DRILLS)}")
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=f"for the reports (default: {OUT})")
    return parser


def _run(options: argparse.Namespace) -> int:
    unknown = [name for name in options.names if name not in DRILLS]
    if unknown:
        raise UserError(f"no drill {unknown[0]}; there are {', '.join(DRILLS)}")
    try:
        ensure_built()
    except BuildError as error:
        raise UserError(f"the contracts do not compile: {error}") from None
    return drill_all(options.names or list(DRILLS), options.out, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
