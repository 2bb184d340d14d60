"""A large book: accounts over eight markets, two positions each on average, touched at all times since the listing."""

from __future__ import annotations

import random
from collections.abc import Iterator

from plimsoll.core import ids
from plimsoll.core.units import RAY, WAD
from plimsoll.health.accounts import Balance
from plimsoll.health.monitor import Monitor
from plimsoll.risk import margin
from plimsoll.risk.config import MarketParams, OrderParams
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, effective

NOW = 1_750_000_000
POOL = 0xF001
PRICES = (2_500, 60_000, 150, 31, 640, 8, 1, 420)
POSITIONS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4)
"""Two on average; three in ten hold more."""
CROSS_SHARE = 0.8


def listed() -> dict[int, Market]:
    """Markets that have run for a while: funding went both ways, and one of the sides was deleveraged twice."""
    markets = {}
    for place, dollars in enumerate(PRICES):
        market_id, price = place + 1, dollars * WAD
        pool = ids.pack(POOL, market_id)
        market = Market(market_id, 2 * 10**9 * WAD * WAD // price, MarketParams(), OrderParams(), pool, NOW - 2)
        market.newest = Record(price, price // 2_000, NOW - 1, 0, 1)
        market.long = market.short = 50 * 10**6 * WAD * WAD // price
        market.g_long, market.g_short = dollars * RAY // 50, -dollars * RAY // 70
        market.k_long = RAY * 97 // 100 if place == 0 else RAY
        markets[market_id] = market
    return markets


def populated(accounts: int, below: float, seed: int = 1) -> Monitor:
    """A monitor of that many accounts, of which a share is below maintenance (and the rest up to 20 times above)."""
    source = random.Random(seed)
    monitor = Monitor(listed(), protocol=(POOL,))
    for account, held, cash in drawn(source, monitor.markets, accounts, below):
        monitor.set_balance(account, Balance(cash, 0, sum(1 << market_id - 1 for market_id in held)))
        for market_id, position in held.items():
            monitor.set_position(account, market_id, position)
    return monitor


def drawn(
    source: random.Random, markets: dict[int, Market], accounts: int, below: float
) -> Iterator[tuple[int, dict[int, Position], int]]:
    """(account, positions, cash)."""
    for _ in range(accounts):
        count = source.choice(POSITIONS)
        isolated = count == 1 and source.random() > CROSS_SHARE / 2
        held = {one: position(source, markets[one]) for one in source.sample(range(1, len(PRICES) + 1), count)}
        account = ids.pack(source.getrandbits(160) | 1, next(iter(held)) if isolated else 0)
        gap, required = sums(markets, held)
        ratio = source.uniform(0.5, 1) if source.random() < below else 1.02 + source.expovariate(0.25)
        yield account, held, int((ratio - 1) * required) - gap


def position(source: random.Random, market: Market) -> Position:
    """$1,000 to about $1m, either side, at a price within 20% of now's."""
    assert market.newest is not None
    held = Position()
    dollars = min(10**6, 1_000 + int(source.lognormvariate(8.5, 1.5)))
    held.base = dollars * WAD * WAD // market.newest.price * source.choice((1, -1)) + source.randrange(10**6)
    held.quote = -held.base * int(market.newest.price * source.uniform(0.8, 1.2)) // WAD
    side = market.side(held.base)
    held.g, held.k = int(side.g * source.random()), source.choice((side.k, RAY))
    return held


def sums(markets: dict[int, Market], held: dict[int, Position]) -> tuple[int, int]:
    """(E − M without cash, M) of positions, at the state the markets are listed in."""
    gap = total = 0
    for market_id, one in held.items():
        market = markets[market_id]
        base, quote, owed = effective(one, market.side(one.base))
        assert market.newest is not None
        price = margin.health_price(base, market.newest, True, market.rules)
        required = margin.maintenance(market, abs(base), price, NOW)
        gap += base * price // WAD + quote - owed - required
        total += required
    return gap, total


def move_prices(monitor: Monitor, percent: float, seconds: int = 1) -> int:
    """A record for every market, `percent` away from the last. Returns its time."""
    now = 0
    for market in monitor.markets.values():
        last = market.newest
        assert last is not None
        price = int(last.price * (1 + percent / 100))
        now = last.published_at + seconds
        market.newest = Record(price, price // 2_000, now, 0, last.sequence + 1)
    return now + 1
