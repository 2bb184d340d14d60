"""A verdict as text, and the figures in docs/soak.md between their markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plimsoll.replay.cascades.report import fill
from tests.soak.verdict import Verdict

REPORT = Path(__file__).resolve().parents[2] / "docs" / "soak.md"
HEADS: dict[str, tuple[str, ...]] = {
    "load": ("what", "how much"),
    "waits": ("while", "waits", "ended by a liquidation", "median", "p99", "worst", "worst with excused blocks"),
    "orders": ("what became of them", "how many"),
    "faults": ("fault", "times"),
    "keepers": ("job", "transactions", "reverted", "why", "gas", "of it wasted", "fees, $", "earned, $"),
    "units": ("process", "kills", "other ends", "exit code"),
    "said": ("event", "lines"),
    "troubles": ("kind", "times"),
}


def shown(verdict: Verdict) -> str:
    """For a terminal."""
    parts = [f"{title}\n{table(title, rows)}" for title, rows in verdict.figures.items()]
    failures = [f"FAILED: {one}" for one in verdict.failures] or ["all holds"]
    return "\n\n".join([*parts, "\n".join(failures)])


def table(title: str, rows: Sequence[Sequence[str]]) -> str:
    heads = HEADS[title]
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(verdict: Verdict) -> None:
    """Into the report. Raises UserError where its markers are others."""
    tables = {title: table(title, rows) for title, rows in verdict.figures.items()}
    REPORT.write_text(fill(REPORT.read_text(encoding="utf-8"), tables), encoding="utf-8")
