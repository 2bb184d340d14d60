"""Closes out, absorbs and deleverages. PLIMSOLL_TAKE_OVER (dollars) lets it take positions over, too."""

from __future__ import annotations

from plimsoll.keepers.bots.wiring import make_bot, variable, whole_number
from plimsoll.keepers.entry import Start, make_liquidator
from plimsoll.keepers.liquidator import Liquidator


def make(start: Start) -> Liquidator:
    return make_liquidator(
        start,
        variable("PLIMSOLL_TAKE_OVER") or None,
        variable("PLIMSOLL_TAKE_OVER_ACCOUNT") or None,
        whole_number("PLIMSOLL_MIN_PROFIT_BPS", 10),
    )


bot = make_bot("liquidator", make)
