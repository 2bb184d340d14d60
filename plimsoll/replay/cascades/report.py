"""Where the study's figures go: into docs/cascades.md between markers, the plots and every run beside it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.replay.cascades.grid import Row
from plimsoll.risk.study.result import Result

_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ASKED = ("open_interest_percent", "publish_seconds", "window_cap_percent", "window_seconds", "absorb_cap_bps",
          "target_health_bps", "seed")  # fmt: skip
_COUNTS = {"accounts", "bankrupt", "counterparties", "deleveragings", "below_seconds", "still_unhealthy"}
_SKEWS = {"skew_at_start", "skew_lowest", "skew_highest", "fall_in_a_minute"}
_LISTS = {"delays", "trace"}


def fill(text: str, tables: Mapping[str, str]) -> str:
    """The text with its marked tables replaced. Raises UserError where markers and tables differ."""
    marked = [name for _, name, _ in _MARKED.findall(text)]
    if set(marked) != set(tables):
        raise UserError(f"the report marks tables {', '.join(marked)}, the study has {', '.join(tables)}")
    return _MARKED.sub(lambda found: f"{found[1]}{tables[found[2]]}\n{found[3]}", text)


def write_runs(path: Path, rows: Sequence[Row]) -> None:
    """Every run, one a line: what was asked, dollars in whole dollars, skews in basis points, delays in seconds."""
    found = [field.name for field in fields(Result) if field.name not in _LISTS]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("crash", "cap", "take_over_usd", *_ASKED, *found, "delay_50", "delay_95", "delay_100"))
        for row in rows:
            asked = [getattr(row.setting, name) for name in _ASKED]
            values = [_plain(name, getattr(row.result, name)) for name in found]
            delays = [row.result.delay(percent) for percent in (50, 95, 100)]
            lines.writerow((row.crash, row.cap, row.setting.take_over_usd // WAD, *asked, *values, *delays))


def _plain(name: str, value: int) -> int | str:
    if name in _COUNTS:
        return value
    if name in _SKEWS:
        return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02}"
    return (2 * value + WAD) // (2 * WAD)
