"""The command line: `make study-cascades`, or `python -m plimsoll.replay.cascades` for a part of the study."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from plimsoll.core.errors import UserError, run_command
from plimsoll.replay.cascades import grid, tables
from plimsoll.replay.cascades.grid import FlatRow, PushRow, Row, Study, load_crashes
from plimsoll.replay.cascades.plots import write_plots
from plimsoll.replay.cascades.report import fill, write_runs
from plimsoll.risk.study.result import Result

ROOT = Path(__file__).resolve().parents[3]
REPORT = ROOT / "docs" / "cascades.md"
TRACED = "ETH May 2021"
_SEEDS = range(1, 6)
_SECONDS = (1, 3_600)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 for wrong input."""
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll.replay.cascades",
        description="What the liquidation caps do in real crashes, on the reference model. Needs no chain. Prices come"
        " from PLIMSOLL_DATA, and are made up where it has none.",
    )
    parser.add_argument("--crash", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--sizes", metavar="N,N", help="of the open interest, in percent (default: 50,100,200)")
    parser.add_argument("--every", metavar="N,N", help="seconds between prices (default: 1,15,60)")
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"the whole study, into docs/{REPORT.name} and the folder of its figures (10 min)",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    started = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s  {what}", file=sys.stderr, flush=True)

    study = Study(load_crashes(options.crash), tell)
    if options.write:
        if options.crash or options.sizes or options.every:
            raise UserError("--write: the report is of the whole study; leave out --crash, --sizes and --every")
        for path in write(study, collect(study)):
            print(f"wrote {path.relative_to(ROOT)}")
        return 0
    sizes = _numbers("--sizes", options.sizes, grid.SIZES, (1, 1_000))
    frequencies = _numbers("--every", options.every, grid.FREQUENCIES, _SECONDS)
    print(tables.runs(study.main_rows(sizes, frequencies)))
    return 0


class Found(NamedTuple):
    """All runs of the study."""

    main: list[Row]
    seeds: list[Row]
    targets: list[Row]
    flat: list[FlatRow]
    pushes: list[PushRow]
    traces: dict[str, Result]


def collect(study: Study) -> Found:
    """Run all of it. Raises UserError where prices are missing."""
    if missing := [name for name in grid.FILES if name not in study.crashes]:
        raise UserError(
            f"--write: there are no prices of {', '.join(missing)}; set PLIMSOLL_DATA to a folder with them"
        )
    return Found(
        study.main_rows(),
        study.seed_rows(_SEEDS),
        study.target_rows(),
        study.flat_rows(),
        study.push_rows(),
        study.traces(TRACED),
    )


def write(study: Study, found: Found) -> list[Path]:
    """Tables into the report, figures and runs beside it. Returns the files written."""
    shown = tables.all_tables(found.main, found.seeds, found.targets, found.flat, found.pushes)
    text = fill(REPORT.read_text(encoding="utf-8"), shown)
    folder = REPORT.with_suffix("")
    crash = study.crashes[TRACED]
    figures = write_plots(folder, crash, found.traces, found.main, found.targets, found.flat, found.pushes)
    write_runs(folder / "runs.csv", [*found.main, *found.seeds, *found.targets])
    REPORT.write_text(text, encoding="utf-8")
    return [REPORT, *figures, folder / "runs.csv"]


def _numbers(option: str, text: str | None, default: Sequence[int], limits: tuple[int, int]) -> tuple[int, ...]:
    if text is None:
        return tuple(default)
    low, high = limits
    found = [int(part) if part.strip().isdigit() else -1 for part in text.split(",")]
    if any(not low <= number <= high for number in found):
        raise UserError(f"{option} {text}: give whole numbers from {low} to {high:,}, separated by commas")
    return tuple(found)
