"""Moments as people write them: Unix seconds, or how long from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE

LONGEST = 2**40 - 1
LAST_DATE = 253_402_300_799
_UNITS = {"s": 1, "m": SECONDS_PER_MINUTE, "h": SECONDS_PER_HOUR, "d": SECONDS_PER_DAY}


def moment(text: str, now: int, *, what: str = "time") -> int:
    """Unix seconds of "1764000000", or of "90s", "10m", "12h", "7d" from `now`. Raises UserError, also for the past."""
    written = re.fullmatch(r"(\d{1,15})([smhd]?)", text.strip().replace("_", ""))
    if written is None:
        raise UserError(f"{what}: {text!r} is no time; write Unix seconds, or from now 90s, 10m, 12h, 7d")
    number, unit = int(written[1]), written[2]
    found = now + number * _UNITS[unit] if unit else number
    if found > LONGEST:
        raise UserError(f"{what}: {text} is no time in seconds")
    if found < now:
        raise UserError(f"{what}: {text} has passed; it is {now} now")
    return found


def date(seconds: int) -> str:
    """Unix seconds as people read them: "2026-11-27 12:00:00 UTC", or the number beyond the year 9999."""
    if seconds > LAST_DATE:
        return str(seconds)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: int) -> str:
    """How long in the two largest units: "6 d 23 h", "12 min 5 s", "40 s"."""
    parts: list[str] = []
    for unit, size in (("d", SECONDS_PER_DAY), ("h", SECONDS_PER_HOUR), ("min", SECONDS_PER_MINUTE), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
