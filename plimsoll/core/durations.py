"""Lengths of time as people write them, "3 days" or "15 s", and as they read them."""

from __future__ import annotations

import re

from plimsoll.core.errors import UserError

UNITS = {"s": 1, "min": 60, "h": 3_600, "day": 86_400, "days": 86_400}
_SHOWN = (("days", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def parse_duration(value: object, *, what: str = "time") -> int:
    """Seconds of "15 s", "5 min", "2 h" or "3 days". Raises UserError for anything else."""
    found = re.fullmatch(r"([0-9][0-9_]*)\s*([a-z]+)", value) if isinstance(value, str) else None
    if found is None or found[2] not in UNITS:
        raise UserError(f'{what}: {value!r} is not a time; write it like "15 s", "5 min", "2 h" or "3 days"')
    return int(found[1].replace("_", "")) * UNITS[found[2]]


def show_duration(value: int) -> str:
    """Exact, in the largest unit that divides it: `parse_duration` reads it back."""
    for unit in ("days", "h", "min"):
        if value and value % UNITS[unit] == 0:
            return f"{value // UNITS[unit]} {'day' if unit == 'days' and value == UNITS[unit] else unit}"
    return f"{value} s"


def about(value: int) -> str:
    """For a person: in the two largest units that it takes, the rest left out: "7 days 20 min"."""
    parts: list[str] = []
    for unit, size in _SHOWN:
        count, value = divmod(value, size)
        if count:
            parts.append(f"{count} {'day' if unit == 'days' and count == 1 else unit}")
    return " ".join(parts[:2]) or "0 s"
