"""Signs prices with PLIMSOLL_BEACON_KEYS (commas between) from PLIMSOLL_PRICE_FILE, and records them."""

from __future__ import annotations

from pathlib import Path

from plimsoll.core.errors import UserError
from plimsoll.keepers.bots.wiring import make_bot, variable, whole_number
from plimsoll.keepers.entry import Start, keys_from_environment, make_publisher, price_source
from plimsoll.keepers.publisher import Cadence, Publisher


def make(start: Start) -> Publisher:
    file = variable("PLIMSOLL_PRICE_FILE")
    if not file:
        raise UserError("publisher: PLIMSOLL_PRICE_FILE is not set")
    source = price_source(start.deployment.markets, file=Path(file))
    cadence = Cadence(whole_number("PLIMSOLL_EVERY", 10), whole_number("PLIMSOLL_MOVE_BPS", 10))
    return make_publisher(start, keys_from_environment(["PLIMSOLL_BEACON_KEYS"]), source, cadence)


bot = make_bot("publisher", make)
