"""Executes requests of pool and fund, gives lapsed ones back, sweeps fees from PLIMSOLL_MIN_SWEEP dollars on.

PLIMSOLL_SHUTDOWN says how far it goes with a market without prices: off, declare, close.
"""

from __future__ import annotations

from plimsoll.keepers.bots.wiring import make_bot, variable
from plimsoll.keepers.dead_markets import DECLARE
from plimsoll.keepers.entry import Start, make_settlement
from plimsoll.keepers.settlement import Settlement


def make(start: Start) -> Settlement:
    return make_settlement(start, variable("PLIMSOLL_MIN_SWEEP", "100"), variable("PLIMSOLL_SHUTDOWN") or DECLARE)


bot = make_bot("settlement", make)
