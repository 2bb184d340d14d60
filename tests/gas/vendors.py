"""What an update costs where its sources are of several vendors, as on the devnet.

Two API3 beacons and a stream of Data Streams set the price, a push feed and the average of a Uniswap pool bound it.
"""

from __future__ import annotations

from plimsoll.devnet.uniswap import FULL_RANGE
from plimsoll.sdk.oracle import Publisher, price_item
from tests.support.anvil_evm import AnvilEvm
from tests.support.core import KEEPER, WAD, actor
from tests.support.evm import Contract, Receipt
from tests.support.oracle import (
    CONFIG,
    MARKET,
    PRICE,
    SIGNER_KEYS,
    address_feed,
    deploy_aggregator,
    deploy_api3,
    pull,
    push,
)
from tests.support.vendors import WINDOW, DataStreams, Uniswap

MAX_AGE = 3_600


class Vendors:
    """An aggregator with one market of five sources."""

    def __init__(self, evm: AnvilEvm) -> None:
        self.evm = evm
        self.beacons = Publisher.from_keys(SIGNER_KEYS[:2], "five vendors")
        self.streams = DataStreams.create(evm)
        self.stream = self.streams.new_feed()
        self.feed: Contract = evm.deploy("MockAggregatorV3", 8)
        self.pools = Uniswap.create(evm)
        self.average = self.pools.new_feed(6)
        self.trader: Contract = evm.deploy("PoolTrader")
        self.pools.pool(self.average).initialize(self.pools.sqrt_price(self.average, PRICE))
        self.trader.addLiquidity(self.pools.pool(self.average), *FULL_RANGE, 10**18)
        self.pools.pool(self.average).increaseObservationCardinalityNext(64)
        api3 = evm.deploy("Api3Adapter", deploy_api3(evm))
        sources = [pull(api3, feed) for feed in self.beacons.feed_ids]
        sources += [pull(self.streams.adapter, self.stream)]
        sources += [push(evm.deploy("ChainlinkAdapter"), address_feed(self.feed), MAX_AGE)]
        sources += [push(self.pools.adapter, self.average, MAX_AGE)]
        self.aggregator = deploy_aggregator(evm)
        self.aggregator.setMarket(MARKET, CONFIG, sources, sender=actor("deployer"))
        evm.advance(WINDOW)

    def update(self) -> Receipt:
        """A second later, with bounds that were moved in it."""
        self.evm.advance(1)
        now, pool = self.evm.timestamp, self.pools.pool(self.average)
        self.feed.setAnswer(PRICE * 10**8 // WAD, now)
        current = pool.slot0().sqrtPriceX96
        self.trader.swapTo(pool, current, self.pools.sqrt_price(self.average, PRICE + now % 2 * PRICE // 1_000))
        payloads = [*self.beacons.payloads(PRICE, now), self.streams.update(self.stream, PRICE, now)]
        receipt: Receipt = self.aggregator.update([price_item(MARKET, payloads)], sender=KEEPER)
        return receipt
