"""A small crowd in the made-up crash, small enough to run in a tenth of a second."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from plimsoll.core.units import WAD
from plimsoll.risk.scenario.synthetic import synthetic_crash
from plimsoll.risk.study.crash import Crash, crash_of
from plimsoll.risk.study.setting import Setting

MILLION = 10**6 * WAD


@cache
def made_up() -> Crash:
    """The synthetic ETH crash, its first two hours: the one of entries and the worst one."""
    crash = crash_of("made up", "ETH", "synthetic", synthetic_crash(1)["ETH"])
    return replace(crash, seconds=crash.seconds[: 2 * 3_600 + 1])


def small(**changes: Any) -> Setting:
    """Sixty accounts with all the open interest."""
    return replace(Setting(accounts=60), **changes)
