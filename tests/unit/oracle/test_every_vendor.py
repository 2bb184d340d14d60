"""One market of three vendors' signed prices, bounded by a push feed and a pool's average: all of it at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from plimsoll.sdk.oracle import price_item
from tests.support.evm import DEPLOYER, Contract, Evm, Receipt, reverts
from tests.support.oracle import (
    CONFIG,
    DOUBTFUL,
    MARKET,
    NOW,
    OPEN,
    PRICE,
    WAD,
    deploy_aggregator,
    pull,
    push,
    recorded,
)
from tests.support.vendors import STRANGER, WINDOW, Vendor, create

FEE = 7
SENDER = STRANGER.address


@dataclass
class Market:
    evm: Evm
    aggregator: Contract
    pulls: list[tuple[Vendor, bytes]]
    chainlink: tuple[Vendor, bytes]
    pool: tuple[Vendor, bytes]

    @property
    def average(self) -> int:
        vendor, feed = self.pool
        return vendor.peek(feed)[0][0]

    def items(self, *prices: int | None, confidence: int = 0) -> list[bytes]:
        """An item of updates of now, None for a source that brings none; one item, empty where there are no prices."""
        payloads = [
            b"" if price is None else vendor.update(feed, price, self.evm.timestamp, confidence)
            for (vendor, feed), price in zip(self.pulls, prices, strict=True)
        ]
        return [price_item(MARKET, payloads)]

    def update(self, *prices: int | None, value: int = FEE, confidence: int = 0) -> Receipt:
        self.evm.set_balance(SENDER, value)
        items = self.items(*prices, confidence=confidence)
        receipt: Receipt = self.aggregator.update(items, value=value, sender=SENDER)
        return receipt


@pytest.fixture
def market(evm: Evm) -> Market:
    vendors = {name: create(name, evm) for name in ("api3", "datastreams", "pyth", "chainlink", "uniswap")}
    feeds = {name: vendor.new_feed() for name, vendor in vendors.items()}
    vendors["uniswap"].publish(feeds["uniswap"], PRICE, NOW - WINDOW)
    vendors["chainlink"].publish(feeds["chainlink"], PRICE, NOW)
    sources = [pull(vendors[name].adapter, feeds[name]) for name in ("api3", "datastreams", "pyth")]
    sources += [push(vendors[name].adapter, feeds[name]) for name in ("chainlink", "uniswap")]
    aggregator = deploy_aggregator(evm)
    aggregator.setMarket(MARKET, CONFIG, sources, sender=DEPLOYER)
    pulls = [(vendors[name], feeds[name]) for name in ("api3", "datastreams", "pyth")]
    return Market(
        evm, aggregator, pulls, (vendors["chainlink"], feeds["chainlink"]), (vendors["uniswap"], feeds["uniswap"])
    )


def test_update__three_vendors__median_and_doubt_of_all(market: Market) -> None:
    record = recorded(market.update(PRICE - WAD, PRICE, PRICE + 3 * WAD, confidence=WAD))
    assert (record["price"], record["publishedAt"], record["state"], record["sources"]) == (PRICE, NOW, OPEN, 0b111)
    assert record["confidence"] == WAD  # second smallest of 1 + 0, 0 + 1 and 3 + 1


def test_update__one_vendor_lies_by_any_amount__price_stays_within_the_others(market: Market) -> None:
    for liar in range(3):
        for lie in (1, PRICE // 2, 4 * PRICE, 4_000_000 * WAD):
            prices = [PRICE, PRICE + WAD, PRICE + WAD]
            prices[liar] = lie - lie % 10**10 or 10**10
            with market.evm.isolated():
                assert PRICE <= recorded(market.update(*prices))["price"] <= PRICE + WAD


def test_update__ether_that_is_not_the_vendors__reverts(market: Market) -> None:
    with reverts("SignedAdapter_Fee", 0, FEE):
        market.update(PRICE, PRICE, PRICE, value=0)
    with reverts("Oracle_ValueUnused", 1):
        market.update(PRICE, PRICE, PRICE, value=FEE + 1)
    assert market.evm.balance(market.aggregator.address) == 0


def test_update__somebody_was_first__is_skipped_at_the_same_fee(market: Market) -> None:
    market.update(PRICE, PRICE, PRICE)
    receipt = market.update(PRICE, PRICE, PRICE)
    assert len(receipt.events("UpdateSkipped")) == 1
    assert receipt.events("PriceRecorded") == []


def test_update__brought_one_by_one__is_recorded_from_what_is_held(market: Market) -> None:
    """Each vendor's price may come in a transaction of its own, to the vendor or to the adapter."""
    for vendor, feed in market.pulls:
        vendor.read([feed], [vendor.update(feed, PRICE, NOW)])
    assert recorded(market.aggregator.update([price_item(MARKET)]))["price"] == PRICE


def test_update__feed_and_pool__bound_it(market: Market) -> None:
    off = PRICE * 103 // 100
    with market.evm.isolated():
        assert recorded(market.update(off, off, off))["state"] == DOUBTFUL
    far = PRICE * 112 // 100
    with reverts("Oracle_OutOfBounds", MARKET, far, market.average):
        market.update(far, far, far)
    vendor, feed = market.chainlink
    vendor.publish(feed, far, NOW)
    assert recorded(market.update(far, far, far))["state"] == DOUBTFUL
