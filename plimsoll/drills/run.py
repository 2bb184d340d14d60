"""Playing drills by name: reports in a folder, lines for people, and one line of JSON for all of them."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from plimsoll.core.errors import UserError
from plimsoll.drills import (
    all_dead,
    l1_gas,
    lying_source,
    perp_below_spot,
    print_323,
    publisher_silent,
    sequencer_down,
    usdc,
)
from plimsoll.drills.notes import Figure, Notes, Report
from plimsoll.drills.venues import NoData

OUT = Path("reports") / "drills"
DRILLS: Mapping[str, ModuleType] = {
    "lying-source": lying_source,
    "perp-below-spot-2021": perp_below_spot,
    "print-323-2020": print_323,
    "publisher-silent": publisher_silent,
    "sequencer-down": sequencer_down,
    "all-dead": all_dead,
    "gas-2230-gwei": l1_gas,
    "usdc-0.97": usdc,
}
"""By name, in the order in which they are played. A module's first line says what its drill is about."""

WIDTH = 24
"""Of a drill's name."""


def drill(name: str, out: Path = OUT, play: Callable[[Notes], None] | None = None) -> Report:
    """Play a drill and write its report. What ends it early makes it fail, with the reason in the report.

    `play` in the place of the drill's own. Raises UserError for a name that there isn't.
    """
    if name not in DRILLS:
        raise UserError(f"no drill {name}; there are {', '.join(DRILLS)}")
    module, notes, began = DRILLS[name], Notes(), time.monotonic()
    what = (module.__doc__ or "").split("\n")[0]
    passed: bool | None
    try:
        (play or module.play)(notes)
        broken = notes.broken
        passed, reason = not broken, f"broken: {broken[0].text} ({broken[0].found})" if broken else ""
    except NoData as error:
        passed, reason = None, str(error)
    except UserError:
        raise
    except Exception as error:  # whatever it is, the other drills are played
        traceback.print_exc()
        passed, reason = False, f"{type(error).__name__}: {error}"
    report = Report(name, what, passed, reason, round(time.monotonic() - began), notes)
    report.write(out)
    return report


def drill_all(names: Sequence[str], out: Path = OUT, say: Callable[[str], None] = print) -> int:
    """Play drills one after another; the last line is JSON, name → {passed, figures}. Returns the exit code."""
    reports = []
    for name in names:
        report = drill(name, out)
        reports.append(report)
        say(headline(report))
        for line in promises_of(report, only_broken=True):
            say(line)
    say(f"reports in {out}")
    say(json.dumps({report.name: report.summary() for report in reports}, ensure_ascii=False))
    return 1 if any(report.passed is False for report in reports) else 0


def headline(report: Report) -> str:
    """One line: name, what became of it, and why where it did not pass."""
    word = {True: "passed", False: "FAILED", None: "skipped"}[report.passed]
    held = sum(one.held for one in report.notes.promises)
    counts = f"{held} of {len(report.notes.promises)} promises held, {report.seconds} s"
    return f"{report.name:<{WIDTH}}{word:<9}{report.reason or counts}"


def promises_of(report: Report, *, only_broken: bool = False) -> Iterator[str]:
    """A line each: whether it held, and what was found."""
    for one in report.notes.promises:
        if not (only_broken and one.held):
            found = f": {one.found}" if one.found else ""
            yield f"  {'holds ' if one.held else 'BROKEN'}  {one.text}{found}"


def figures_of(figures: Mapping[str, Figure], indent: str = "  ") -> Iterator[str]:
    """A line each, those inside of others below them."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from figures_of(value, indent + "  ")
        else:
            yield f"{indent}{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}"


def lines_of(report: Report) -> Iterator[str]:
    """All of a report, for people."""
    yield headline(report)
    yield report.what
    yield from figures_of(report.notes.parameters)
    yield "figures"
    yield from figures_of(report.notes.figures)
    yield "promises"
    yield from promises_of(report)
