"""A real pool's average as a bound of a price: a little off, reduce only; far off, refused; it never sets one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from plimsoll.devnet.uniswap import FULL_RANGE
from plimsoll.sdk.oracle import price_item as item
from tests.support.evm import DEPLOYER, Contract, Evm, Receipt, reverts
from tests.support.oracle import (
    CONFIG,
    DOUBTFUL,
    MARKET,
    NOW,
    OPEN,
    PRICE,
    address_feed,
    deploy_aggregator,
    feed_id,
    pull,
    push,
    recorded,
)
from tests.support.vendors import WINDOW, Uniswap, create

BPS = PRICE // 10_000
MAX_AGE = 3_600
BEGAN = NOW - 2 * WINDOW
"""When the pool got its price and its liquidity."""


@dataclass
class Market:
    """Three sources that a test sets, one pool whose average bounds them, and a push feed where asked for."""

    uniswap: Uniswap
    aggregator: Contract
    adapter: Contract
    trader: Contract
    feed: bytes
    chainlink: Contract | None

    @classmethod
    def create(cls, evm: Evm, *, feed: bool = False, **changes: int) -> Market:
        uniswap = create("uniswap", evm)
        assert isinstance(uniswap, Uniswap)
        adapter, trader = evm.deploy("MockAdapter"), evm.deploy("PoolTrader")
        pool = uniswap.new_feed(6)
        uniswap.publish(pool, PRICE, BEGAN)
        evm.timestamp = BEGAN
        trader.addLiquidity(uniswap.pool(pool), *FULL_RANGE, 10**18)
        uniswap.pool(pool).increaseObservationCardinalityNext(50)
        evm.timestamp = NOW
        chainlink = evm.deploy("MockAggregatorV3", 18) if feed else None
        sources = [pull(adapter, feed_id(number)) for number in range(3)]
        sources += [push(uniswap.adapter, pool, MAX_AGE)]
        if chainlink is not None:
            sources += [push(evm.deploy("ChainlinkAdapter"), address_feed(chainlink), MAX_AGE)]
        aggregator = deploy_aggregator(evm)
        aggregator.setMarket(MARKET, {**CONFIG, "boundQuorum": 1, **changes}, sources, sender=DEPLOYER)
        return cls(uniswap, aggregator, adapter, trader, pool, chainlink)

    @property
    def average(self) -> int:
        return self.uniswap.peek(self.feed)[0][0]

    def swap(self, price: int) -> None:
        pool = self.uniswap.pool(self.feed)
        self.trader.swapTo(pool, pool.slot0().sqrtPriceX96, self.uniswap.sqrt_price(self.feed, price))

    def record(self, price: int) -> Receipt:
        for number in range(3):
            self.adapter.set(feed_id(number), price, 0, self.uniswap.evm.timestamp)
        return self.aggregator.update([item(MARKET)])


def test_update__average_near__is_open(evm: Evm) -> None:
    market = Market.create(evm)
    assert abs(market.average - PRICE) < BPS
    assert recorded(market.record(PRICE))["state"] == OPEN


@pytest.mark.parametrize("sign", [-1, 1])
def test_update__average_off__only_reduces_and_farther_is_refused(evm: Evm, sign: int) -> None:
    """Off beyond 200 basis points of the price, far beyond 1,000: both sides of each boundary."""
    market = Market.create(evm)
    average = market.average
    for bps, state in ((200, OPEN), (1_000, DOUBTFUL)):
        edge = average * 10_000 // (10_000 - sign * bps)  # |price − average| = bps of the price, rounded
        with evm.isolated():
            assert recorded(market.record(edge - sign * 10))["state"] == state
        with evm.isolated():
            if bps == 1_000:
                with reverts("Oracle_OutOfBounds", MARKET, edge + sign * 10, average):
                    market.record(edge + sign * 10)
            else:
                assert recorded(market.record(edge + sign * 10))["state"] == DOUBTFUL


def test_update__average_far_and_the_feed_near__takes_both_to_refuse(evm: Evm) -> None:
    market = Market.create(evm, feed=True, boundQuorum=2)
    assert market.chainlink is not None
    market.chainlink.setAnswer(PRICE * 5 // 4, NOW)
    assert recorded(market.record(PRICE * 5 // 4))["state"] == DOUBTFUL
    market.chainlink.setAnswer(PRICE, NOW)
    evm.timestamp = NOW + 1
    with reverts("Oracle_OutOfBounds", MARKET, PRICE * 5 // 4, PRICE):
        market.record(PRICE * 5 // 4)


def test_update__one_block_of_a_wild_pool__does_not_even_make_it_doubtful(evm: Evm) -> None:
    """Ten times the price for two seconds of the window costs a fortune in fees and moves the average by 77 bps."""
    market = Market.create(evm)
    market.swap(10 * PRICE)
    evm.timestamp = NOW + 2
    assert recorded(market.record(PRICE))["state"] == OPEN


def test_update__market_falls_and_the_pool_with_it__lags_and_then_agrees(evm: Evm) -> None:
    market = Market.create(evm)
    market.record(PRICE)
    market.swap(PRICE * 92 // 100)
    for passed, state in ((60, DOUBTFUL), (WINDOW - 1, OPEN)):
        evm.timestamp = NOW + passed
        assert recorded(market.record(PRICE * 92 // 100))["state"] == state


def test_update__pool_that_nobody_trades__falls_silent(evm: Evm) -> None:
    """An hour after its last observation it no longer refuses what has moved since."""
    market = Market.create(evm)
    evm.timestamp = BEGAN + MAX_AGE
    with reverts("Oracle_OutOfBounds", MARKET, PRICE * 5 // 4, market.average):
        market.record(PRICE * 5 // 4)
    evm.timestamp = BEGAN + MAX_AGE + 1
    assert recorded(market.record(PRICE * 5 // 4))["state"] == OPEN


def test_boundPrice__average__never_sets_it(evm: Evm) -> None:
    """A lagging average as the price of an exit would be a free option, so only the push feed's round counts."""
    market = Market.create(evm)
    for not_before in (0, BEGAN):
        with reverts("Oracle_NoBound", MARKET, not_before):
            market.aggregator.boundPrice(MARKET, not_before)


def test_boundPrice__average_and_feed__is_the_feeds(evm: Evm) -> None:
    market = Market.create(evm, feed=True)
    assert market.chainlink is not None
    market.chainlink.setAnswer(PRICE + 7, NOW - 3)
    assert market.aggregator.boundPrice(MARKET, 0)[::2] == (PRICE + 7, NOW - 3)


def test_update__average_as_a_pull_source__never_counts(evm: Evm) -> None:
    market = Market.create(evm)
    sources = [
        pull(market.adapter, feed_id(0)),
        pull(market.adapter, feed_id(1)),
        pull(market.uniswap.adapter, market.feed),
    ]
    config = {**CONFIG, "recordWindow": 30}
    market.aggregator.setMarket(MARKET, config, sources, sender=DEPLOYER)
    for number in range(2):
        market.adapter.set(feed_id(number), PRICE, 0, NOW)
    with reverts("Oracle_SourceMissing", MARKET, 2):
        market.aggregator.update([item(MARKET)])
    market.aggregator.reportMissing(MARKET, 2)
    evm.timestamp = NOW + CONFIG["silentAfter"]
    for number in range(2):
        market.adapter.set(feed_id(number), PRICE, 0, evm.timestamp)
    assert recorded(market.aggregator.update([item(MARKET)]))["sources"] == 0b11
