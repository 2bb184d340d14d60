"""Records prices of PLIMSOLL_PRICE_FILE, signed with PLIMSOLL_BEACON_KEYS and PLIMSOLL_STREAM_KEYS (commas between)."""

from __future__ import annotations

from pathlib import Path

from plimsoll.core.errors import UserError
from plimsoll.keepers.bots.wiring import make_bot, signing_keys, variable, whole_number
from plimsoll.keepers.entry import Start, make_publisher, price_source
from plimsoll.keepers.publisher import Publisher
from plimsoll.keepers.publishing import Cadence


def make(start: Start) -> Publisher:
    file = variable("PLIMSOLL_PRICE_FILE")
    if not file:
        raise UserError("publisher: PLIMSOLL_PRICE_FILE is not set")
    source = price_source(start.deployment.markets, file=Path(file))
    cadence = Cadence(whole_number("PLIMSOLL_EVERY", 10), whole_number("PLIMSOLL_MOVE_BPS", 10))
    beacons, streams = signing_keys()
    return make_publisher(start, beacons, source, cadence, stream_keys=streams)


bot = make_bot("publisher", make)
