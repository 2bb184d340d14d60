import hashlib
import itertools

import pytest

from plimsoll.core.units import WAD, div_trunc, to_wad
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.synthetic import LENGTH_MINUTES, synthetic_crash

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_synthetic_crash__any_seed__is_calibrated(seed: int) -> None:
    markets = synthetic_crash(seed)
    for market, minute, hour, day in (("ETH", "-0.09", "-0.30", "-0.44"), ("BTC", "-0.06", "-0.22", "-0.31")):
        bars = markets[market]
        assert abs(prices.worst_minute(bars) - to_wad(minute)) <= to_wad("0.005")
        assert abs(prices.worst_hour(bars) - to_wad(hour)) <= to_wad("0.01")
        assert abs(prices.worst_day(bars) - to_wad(day)) <= to_wad("0.01")


@pytest.mark.parametrize("seed", SEEDS)
def test_synthetic_crash__any_seed__bars_are_consistent(seed: int) -> None:
    for bars in synthetic_crash(seed).values():
        assert len(bars) == LENGTH_MINUTES
        assert {after.ts - before.ts for before, after in itertools.pairwise(bars)} == {60}
        assert all(0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        assert all(after.open == before.close for before, after in itertools.pairwise(bars))


def test_synthetic_crash__two_markets__move_together() -> None:
    def changes(market: str) -> list[int]:
        closes = [bar.close for bar in markets[market]]
        return [div_trunc(after - before, before) for before, after in itertools.pairwise(closes)]

    markets = synthetic_crash(5)
    pairs = [(eth, btc) for eth, btc in zip(changes("ETH"), changes("BTC"), strict=True) if abs(eth) > WAD // 10_000]
    same = sum((eth > 0) == (btc > 0) for eth, btc in pairs)
    assert same * 100 > 75 * len(pairs)


def test_synthetic_crash__one_seed__is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256(repr(synthetic_crash(1)).encode()).hexdigest()
    assert digest == "7328cbd7fb167f1122ebfd220a2ddd50a8aa9d60ec9ff3ceed49359d5e4ff648"
    assert synthetic_crash(1) != synthetic_crash(2)
