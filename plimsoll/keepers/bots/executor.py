"""Executes orders. PLIMSOLL_MARGIN_BPS is what rewards have to be above the cost of gas."""

from __future__ import annotations

from plimsoll.keepers.bots.wiring import is_on, make_bot, whole_number
from plimsoll.keepers.entry import Start, make_executor
from plimsoll.keepers.executor import Executor


def make(start: Start) -> Executor:
    return make_executor(
        start,
        whole_number("PLIMSOLL_MAX_BATCH", 12),
        margin_bps=whole_number("PLIMSOLL_MARGIN_BPS", 1_000),
        sweeps=is_on("PLIMSOLL_SWEEP"),
    )


bot = make_bot("executor", make)
