"""Executes orders. PLIMSOLL_MARGIN_BPS is what rewards have to be above the cost of gas.

With what a publisher has (PLIMSOLL_PRICE_FILE, keys that sign) it brings prices along where orders want younger ones.
"""

from __future__ import annotations

from pathlib import Path

from plimsoll.keepers.bots.wiring import is_on, make_bot, signing_keys, variable, whole_number
from plimsoll.keepers.entry import Start, make_executor, price_source
from plimsoll.keepers.executor import Executor


def make(start: Start) -> Executor:
    beacons, streams = signing_keys()
    file = variable("PLIMSOLL_PRICE_FILE") if beacons or streams else ""
    return make_executor(
        start,
        whole_number("PLIMSOLL_MAX_BATCH", 12),
        margin_bps=whole_number("PLIMSOLL_MARGIN_BPS", 1_000),
        sweeps=is_on("PLIMSOLL_SWEEP"),
        keys=beacons,
        stream_keys=streams,
        source=price_source(start.deployment.markets, file=Path(file), job="executor") if file else None,
    )


bot = make_bot("executor", make)
