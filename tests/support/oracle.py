"""A market's oracle on the in-process EVM: sources that a test sets as it likes, or API3's real server and signers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.devnet.api3 import ADMIN_ROLE, access_control_registry, api3_server
from plimsoll.sdk.oracle import Publisher, price_item
from tests.support.evm import DEPLOYER, ZERO_ADDRESS, Contract, Evm, Receipt, known

WAD = 10**18
MARKET = 1
NOW = 1_700_000_000
PRICE = 2_000 * WAD
GRACE_SECONDS = 300
OPEN, DOUBTFUL, GRACE, DOWN = range(4)

CONFIG: dict[str, int] = {
    "quorum": 2,
    "boundQuorum": 2,
    "dispersionBps": 50,
    "maxConfidenceBps": 100,
    "openConfidenceBps": 30,
    "recordWindow": 3,
    "silentAfter": 30,
    "moveBps": 1_000,
    "moveInterval": 60,
    "boundReduceBps": 200,
    "boundRefuseBps": 1_000,
}

SIGNER_KEYS = tuple(bytes([number]) * 32 for number in range(1, 9))


def feed_id(number: int) -> bytes:
    """The id of a mock source."""
    return number.to_bytes(32, "big")


def pull(adapter: Contract, feed: bytes) -> dict[str, Any]:
    return {"adapter": adapter.address, "isPush": False, "maxAge": 0, "feedId": feed}


def push(adapter: Contract, feed: bytes, max_age: int = 3_600) -> dict[str, Any]:
    return {"adapter": adapter.address, "isPush": True, "maxAge": max_age, "feedId": feed}


def address_feed(contract: Contract) -> bytes:
    """A Chainlink feed's id: its address."""
    return bytes.fromhex(contract.address[2:]).rjust(32, b"\0")


def deploy_aggregator(evm: Evm, uptime_feed: str = ZERO_ADDRESS) -> Contract:
    """An aggregator whose administrator is DEPLOYER."""
    guard = evm.deploy("SequencerGuard", uptime_feed, GRACE_SECONDS)
    return evm.deploy("OracleAggregator", evm.deploy("MockAuthority", DEPLOYER), guard)


def deploy_api3(evm: Evm) -> Contract:
    """API3's real server."""
    registry = evm.deploy(known().add(access_control_registry()))
    return evm.deploy(known().add(api3_server()), registry, ADMIN_ROLE, DEPLOYER)


@dataclass
class MockedMarket:
    """A market with pull and push sources behind one mock adapter; readings are set by index, push sources last."""

    evm: Evm
    aggregator: Contract
    adapter: Contract
    uptime: Contract
    pulls: int = 3
    pushes: int = 0
    push_age: int = 3_600

    @classmethod
    def create(cls, evm: Evm, *, pulls: int = 3, pushes: int = 0, **changes: int) -> MockedMarket:
        evm.timestamp = NOW
        uptime = evm.deploy("MockAggregatorV3", 0)
        uptime.setRound(1, 0, NOW - 10 * GRACE_SECONDS, NOW)
        market = cls(evm, deploy_aggregator(evm, uptime.address), evm.deploy("MockAdapter"), uptime, pulls, pushes)
        market.configure(**changes)
        return market

    def configure(self, **changes: int) -> Receipt:
        if "quorum" not in changes:
            changes["quorum"] = self.pulls // 2 + 1
        sources = [pull(self.adapter, feed_id(index)) for index in range(self.pulls)]
        sources += [push(self.adapter, feed_id(self.pulls + index), self.push_age) for index in range(self.pushes)]
        return self.aggregator.setMarket(MARKET, {**CONFIG, **changes}, sources, sender=DEPLOYER)

    def say(self, index: int, price: int = PRICE, *, confidence: int = 0, at: int | None = None) -> None:
        """What a source says from now on; published now unless `at` says otherwise."""
        self.adapter.set(feed_id(index), price, confidence, self.evm.timestamp if at is None else at)

    def say_all(self, prices: int | Sequence[int] = PRICE, *, at: int | None = None) -> None:
        """What every pull source says."""
        for index in range(self.pulls):
            self.say(index, prices if isinstance(prices, int) else prices[index], at=at)

    def record(self, *, value: int = 0) -> Receipt:
        """Record what the sources say."""
        return self.aggregator.update([price_item(MARKET)], value=value)

    def record_at(self, prices: int | Sequence[int] = PRICE) -> Receipt:
        """All pull sources say something now, and it is recorded."""
        self.say_all(prices)
        return self.record()

    @property
    def newest(self) -> Record:
        return unpack(self.aggregator.newest(MARKET))


@dataclass
class Api3Market:
    """A market of three beacons of the real server, and Chainlink feeds that bound it."""

    evm: Evm
    aggregator: Contract
    adapter: Contract
    server: Contract
    publisher: Publisher
    feeds: Sequence[Contract]

    @classmethod
    def create(cls, evm: Evm, *, signers: int = 3, feeds: int = 0, **changes: int) -> Api3Market:
        evm.timestamp = NOW
        server = deploy_api3(evm)
        adapter = evm.deploy("Api3Adapter", server)
        chainlink = evm.deploy("ChainlinkAdapter")
        publisher = Publisher.from_keys(SIGNER_KEYS[:signers], "ETH/USD")
        bounds = [evm.deploy("MockAggregatorV3", 8) for _ in range(feeds)]
        aggregator = deploy_aggregator(evm)
        sources = [pull(adapter, feed) for feed in publisher.feed_ids]
        sources += [push(chainlink, address_feed(feed)) for feed in bounds]
        config = {**CONFIG, "quorum": signers // 2 + 1, **changes}
        aggregator.setMarket(MARKET, config, sources, sender=DEPLOYER)
        return cls(evm, aggregator, adapter, server, publisher, bounds)

    def item(self, prices: int | Sequence[int | None] = PRICE, at: int | Sequence[int] | None = None) -> bytes:
        """An item of signed updates, of now unless `at` says otherwise."""
        return self.publisher.item(MARKET, prices, self.evm.timestamp if at is None else at)

    def update(self, prices: int | Sequence[int | None] = PRICE, at: int | Sequence[int] | None = None) -> Receipt:
        return self.aggregator.update([self.item(prices, at)])

    @property
    def newest(self) -> Record:
        return unpack(self.aggregator.newest(MARKET))


@dataclass(frozen=True)
class Record:
    """A price record, unpacked."""

    price: int
    confidence: int
    published_at: int
    state: int
    sequence: int


def unpack(word: int) -> Record:
    """A PriceRecord's fields."""
    return Record(
        price=word & (2**96 - 1),
        confidence=word >> 96 & (2**80 - 1),
        published_at=word >> 176 & (2**40 - 1),
        state=word >> 216 & 0xFF,
        sequence=word >> 224,
    )


NO_RECORD = unpack(0)


def recorded(receipt: Receipt) -> Mapping[str, Any]:
    """The arguments of the one PriceRecorded event."""
    return receipt.event("PriceRecorded").args
