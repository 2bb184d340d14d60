"""Markets and accounts anywhere in the range of what the contracts store, for Hypothesis; and the exact answer."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.units import RAY, WAD
from plimsoll.health.accounts import Balance
from plimsoll.health.monitor import Monitor
from plimsoll.risk import margin
from plimsoll.risk.config import MarketParams, MarketRules, OrderParams
from plimsoll.risk.market import ROLLOVER_BELOW, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, effective

NOW = 1_700_000_000
POOL, TRADER = 0xF001, 0x1001
PRICES = st.one_of(st.integers(10**6, 10**24), st.sampled_from([WAD, 3_000 * WAD, 60_000 * WAD]))
ACCUMULATORS = st.one_of(st.just(0), st.integers(-(10**30), 10**30), st.integers(-(10**34), 10**34))
SCALES = st.one_of(st.just(RAY), st.integers(ROLLOVER_BELOW, RAY))
SIZES = st.one_of(st.integers(1, 10**4), st.integers(1, 10**24), st.integers(10**15, 10**26))
ENDS = st.lists(st.tuples(ACCUMULATORS, st.integers(0, ROLLOVER_BELOW - 1)), max_size=3)


@st.composite
def markets(draw: st.DrawFn, market_id: int) -> Market:
    """A market at any parameters, accumulators and epochs; fresh or stale; accrued up to now or not."""
    params = MarketParams(
        im_base_bps=draw(st.integers(0, 5_000)),
        im_slope_bps=draw(st.sampled_from([0, 1, 10_000, 1_000_000])),
        mm_fraction_bps=draw(st.integers(1_000, 9_000)),
        penalty_bps=draw(st.integers(0, 500)),
        keeper_min_cents=draw(st.sampled_from([0, 200, 10**6])),
        stale_widen_bps=draw(st.integers(0, 1_000)),
    )
    scale = draw(st.integers(10**16, 10**27))
    pool = ids.pack(POOL, market_id)
    market = Market(market_id, scale, params, OrderParams(), pool, NOW - draw(st.sampled_from([0, 1, 3_600])))
    market.rules = MarketRules.first(params, NOW - 10**7).changed(params, NOW - draw(st.integers(0, 4 * 86_400)))
    price = draw(PRICES)
    market.newest = Record(price, draw(st.integers(0, price // 100)), NOW - draw(st.sampled_from([0, 15, 16])), 0, 1)
    market.ends_long, market.ends_short = tuple(draw(ENDS)), tuple(draw(ENDS))
    market.epoch_long, market.epoch_short = len(market.ends_long), len(market.ends_short)
    market.g_long, market.g_short = draw(ACCUMULATORS), draw(ACCUMULATORS)
    market.k_long, market.k_short = draw(SCALES), draw(SCALES)
    market.long, market.short = draw(SIZES), draw(SIZES)
    return market


@st.composite
def positions(draw: st.DrawFn, market: Market) -> Position:
    """A position as it may have been stored at any time before."""
    held = Position()
    held.base = draw(SIZES) * draw(st.sampled_from([1, -1]))
    assert market.newest is not None
    held.quote = -held.base * market.newest.price // WAD + draw(st.integers(-(10**22), 10**22))
    held.g = draw(ACCUMULATORS)
    held.epoch = draw(st.integers(0, market.side(held.base).epoch))
    least = market.side(held.base).k if held.epoch == market.side(held.base).epoch else ROLLOVER_BELOW
    held.k = draw(st.one_of(st.just(least), st.integers(least, RAY)))
    return held


@dataclass
class Book:
    """One account's positions by market."""

    markets: dict[int, Market]
    positions: dict[int, Position]

    def gap(self, cash: int) -> int:
        """E − M, straight from the model's functions."""
        total = cash
        for market_id, held in self.positions.items():
            market = self.markets[market_id]
            base, quote, owed = effective(held, market.side(held.base, market.pending(0, NOW)))
            assert market.newest is not None
            price = margin.health_price(base, market.newest, market.is_fresh(NOW), market.rules)
            total += base * price // WAD + quote - owed - margin.maintenance(market, abs(base), price, NOW)
        return total

    def monitor(self, cash: int, account: int) -> Monitor:
        found = Monitor(self.markets, protocol=(POOL,))
        bitmap = sum(1 << market_id - 1 for market_id in self.positions)
        found.set_balance(account, Balance(cash, 0, bitmap))
        for market_id, held in self.positions.items():
            found.set_position(account, market_id, held)
        return found


@st.composite
def books(draw: st.DrawFn) -> Book:
    held = draw(st.lists(st.integers(1, 16), min_size=1, max_size=8, unique=True))
    listed = {market_id: draw(markets(market_id)) for market_id in held}
    return Book(listed, {market_id: draw(positions(market)) for market_id, market in listed.items()})
