"""How long one price update takes to find what it makes due in a book of waiting orders."""

from __future__ import annotations

import random
import time

from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.keepers.triggers import Levels, TriggerIndex, fills
from plimsoll.risk.config import MarketParams, OrderParams
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.sdk.history import OpenOrder

MARKET, PRICE = 1, 3_000 * WAD
DUE = 5
UPDATES = 200
_REACH_BPS = 1_000
"""How far from the price orders wait, at most."""


def bench_triggers(orders: int = 10_000, *, updates: int = UPDATES) -> float:
    """Milliseconds for each of many price updates, some `DUE` orders due in each, in a book of `orders`.

    Of an update: what is due is found, priced exactly and taken out of the index, and as many new orders come in.
    """
    source = random.Random(orders)
    market = Market(MARKET, 333_333 * WAD, MarketParams(), OrderParams(), 1, 0)
    index, number = TriggerIndex(), 0
    for number in range(orders):
        index.add(made_up(source, number, PRICE))
    price, spent, step = PRICE, 0.0, 2 * PRICE * _REACH_BPS * DUE // (10_000 * orders)
    for sequence in range(updates):
        price += step  # half of all wait above it, evenly
        newest = Record(price, 0, sequence, OPEN, sequence + 1)
        started = time.perf_counter()
        found = index.candidates(MARKET, Levels.of(market, newest))
        for one in found:
            if fills(one.order, one.order.base, market, newest):
                index.remove(one.hash)
        for _ in range(orders - len(index)):
            number += 1
            index.add(made_up(source, number, price))
        spent += time.perf_counter() - started
    return spent / updates * 1_000


def made_up(source: random.Random, number: int, price: int) -> OpenOrder:
    """An order of any kind and side that waits somewhere on the far side of `price`, an account and hash its own."""
    kind = source.choice((OrderKind.LIMIT, OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT))
    base = source.choice((-1, 1)) * source.randrange(WAD // 100, 10 * WAD)
    rises = (base > 0) == (kind == OrderKind.STOP_LOSS)
    away = price * source.randrange(1, _REACH_BPS * 100) // 1_000_000
    level = price + away if rises else price - away
    if kind == OrderKind.LIMIT:
        order = Order(number << 96, MARKET, kind, base, level, salt=number)
    else:
        order = Order(number << 96, MARKET, kind, base, 2**256 - 1 if base > 0 else 0, level, salt=number)
    return OpenOrder(number.to_bytes(32, "big"), order, 0, 0, WAD // 2)
