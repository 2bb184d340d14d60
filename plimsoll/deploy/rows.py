"""What was compared, in words: a row each, and lines of text of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One thing compared, in words: what the file says and what the chain says."""

    group: str
    item: str
    expected: str
    actual: str

    @property
    def ok(self) -> bool:
        return self.expected == self.actual


def table(rows: Sequence[Row], *, only_differences: bool = False) -> list[str]:
    """Lines of text, one a row."""
    shown = [row for row in rows if not (only_differences and row.ok)]
    group = max((len(row.group) for row in shown), default=0)
    item = max((len(row.item) for row in shown), default=0)
    return [
        f"{'ok  ' if row.ok else 'DIFF'}  {row.group:<{group}}  {row.item:<{item}}  "
        + (row.actual if row.ok else f"{row.actual}, not {row.expected}")
        for row in shown
    ]


def summary(rows: Sequence[Row]) -> str:
    """How many there are, and which differ, in one line."""
    different = [row for row in rows if not row.ok]
    names = "; ".join(f"{row.group} {row.item} is {row.actual}, not {row.expected}" for row in different)
    return f"{len(rows)} checks, {len(different)} differences" + (f": {names}" if names else "")
