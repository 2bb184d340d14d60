"""Every adapter over its vendor's contract, and one way to make any vendor say something: for the shared properties.

The vendors' contracts are the published ones, but for Chainlink's push feed, which is any contract with its two
functions, and Pyth's, which is Pyth's own stand-in: it verifies nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache

from eth_abi.abi import encode
from eth_account import Account

from plimsoll.chain.build import ROOT, Artifact
from plimsoll.devnet import chainlink, uniswap
from plimsoll.sdk.oracle import beacon_id, beacon_update, encode_price, sign_update, template_id
from plimsoll.sdk.pools import sqrt_price
from plimsoll.sdk.streams import encode_report, sign_report, stream_id
from tests.support.evm import DEPLOYER, Contract, Evm, Receipt, known
from tests.support.oracle import NOW, SIGNER_KEYS, WAD, address_feed, deploy_api3

SIGNER = Account.from_key(SIGNER_KEYS[0])
SIGNERS = tuple(Account.from_key(key) for key in SIGNER_KEYS[:4])
STRANGER = Account.from_key(SIGNER_KEYS[7])
Reading = tuple[int, int, int]
NOTHING: Reading = (0, 0, 0)
WINDOW = 600
"""Seconds of the averages of pools."""


@dataclass
class Vendor:
    """`publish` is what happens at the vendor; a price is WAD dollars."""

    evm: Evm
    adapter: Contract
    decimals: tuple[int, ...] = (18,)
    """Of the feeds that `new_feed` can make."""
    quantum: int = 1
    """What prices of a feed with no decimals named are multiples of, WAD."""
    latest: int = NOW
    """The newest publish time that a feed can be made to tell."""
    tolerance: int = 0
    """Of a price, in millionths."""
    has_confidence: bool = False
    is_pull: bool = True
    is_signed: bool = True
    """Prices can be zero or negative, because somebody says them."""
    verifies: bool = True
    is_average: bool = False
    """Its confidence is the price itself."""
    feeds: int = 0

    def new_feed(self, decimals: int | None = None) -> bytes:
        raise NotImplementedError

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        raise NotImplementedError

    def update(self, feed: bytes, price: int, at: int, confidence: int = 0, *, forged: bool = False) -> bytes:
        raise NotImplementedError

    def peek(self, *feeds: bytes) -> list[Reading]:
        return [(one.price, one.confidence, one.publishedAt) for one in self.adapter.peek(list(feeds))]

    def read(self, feeds: list[bytes], updates: list[bytes], gas: int | None = None) -> Receipt:
        """With the ether that it takes."""
        value = self.adapter.fee(updates)
        if value:
            self.evm.set_balance(STRANGER.address, value)
        receipt: Receipt = self.adapter.read(feeds, updates, sender=STRANGER.address, value=value, gas=gas)
        return receipt

    def is_near(self, found: Reading, price: int, confidence: int, at: int) -> bool:
        if self.is_average:
            confidence = found[0]
        far = abs(found[0] - price) * 10**6 > price * self.tolerance + (2 * 10**6 if self.tolerance else 0)
        return not far and found[1:] == (confidence, at)

    def _number(self) -> int:
        self.feeds += 1
        return self.feeds


def readings(receipt: Receipt) -> list[Reading]:
    """What `read` returned."""
    return [(one.price, one.confidence, one.publishedAt) for one in receipt.value]


@dataclass
class Api3(Vendor):
    latest: int = NOW + 3_599
    templates: dict[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def create(cls, evm: Evm) -> Api3:
        return cls(evm, evm.deploy("Api3Adapter", deploy_api3(evm)))

    @property
    def server(self) -> Contract:
        return self.evm.at("Api3ServerV1", self.adapter.server())

    def new_feed(self, decimals: int | None = None) -> bytes:
        template = template_id(f"feed {self._number()}")
        feed = beacon_id(SIGNER.address, template)
        self.templates[feed] = template
        return feed

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        template, data = self.templates[feed], encode_price(price)
        signature = sign_update(SIGNER, template, at, data)
        self.server.updateBeaconWithSignedData(SIGNER.address, template, at, data, signature)

    def update(self, feed: bytes, price: int, at: int, confidence: int = 0, *, forged: bool = False) -> bytes:
        update = beacon_update(SIGNER, self.templates[feed], at, price)
        return update[:-32] + bytes(32) if forged else update


@dataclass
class Chainlink(Vendor):
    decimals: tuple[int, ...] = (*range(19), 24, 36)
    latest: int = 2**256 - 1
    is_pull: bool = False

    @classmethod
    def create(cls, evm: Evm) -> Chainlink:
        return cls(evm, evm.deploy("ChainlinkAdapter"))

    def new_feed(self, decimals: int | None = None) -> bytes:
        return address_feed(self.evm.deploy("MockAggregatorV3", 18 if decimals is None else decimals))

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        contract = self.evm.at("MockAggregatorV3", feed[12:])
        decimals = contract.decimals()
        contract.setAnswer(price * 10**decimals // WAD, at)


@dataclass
class DataStreams(Vendor):
    has_confidence: bool = True

    @classmethod
    def create(cls, evm: Evm) -> DataStreams:
        """The verifier takes reports that two of four have signed, from a second ago on."""
        proxy = deploy_verifier(evm, [signer.address for signer in SIGNERS], 1)
        return cls(evm, evm.deploy("DataStreamsAdapter", proxy))

    def new_feed(self, decimals: int | None = None) -> bytes:
        return stream_id(f"feed {self._number()}")

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        self.read([feed], [self.update(feed, price, at, confidence)])

    def update(self, feed: bytes, price: int, at: int, confidence: int = 0, *, forged: bool = False) -> bytes:
        signers = (SIGNERS[0], STRANGER) if forged else SIGNERS[:2]
        return sign_report(signers, encode_report(feed, at, price, confidence))


@dataclass
class Pyth(Vendor):
    decimals: tuple[int, ...] = tuple(range(19))
    quantum: int = 10**10
    has_confidence: bool = True
    verifies: bool = False
    fee: int = 7
    exponents: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def create(cls, evm: Evm) -> Pyth:
        return cls(evm, evm.deploy("PythAdapter", evm.deploy(known().add(mock_pyth()), 60, cls.fee)))

    def new_feed(self, decimals: int | None = None) -> bytes:
        feed = self._number().to_bytes(32, "big")
        self.exponents[feed] = -8 if decimals is None else -decimals
        return feed

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        self.read([feed], [self.update(feed, price, at, confidence)])

    def update(self, feed: bytes, price: int, at: int, confidence: int = 0, *, forged: bool = False) -> bytes:
        unit = 10 ** (18 + self.exponents[feed])
        return pyth_update(feed, price // unit, confidence // unit, self.exponents[feed], at)


@dataclass
class Uniswap(Vendor):
    decimals: tuple[int, ...] = tuple(range(19))
    latest: int = NOW - WINDOW
    tolerance: int = 101  # a tick
    is_pull: bool = False
    is_signed: bool = False
    is_average: bool = True
    factory: Contract = field(init=False)

    def __post_init__(self) -> None:
        known().add(uniswap.pool())
        self.factory = self.evm.deploy(known().add(uniswap.factory()))

    @classmethod
    def create(cls, evm: Evm) -> Uniswap:
        return cls(evm, evm.deploy("UniswapV3Adapter"))

    def new_feed(self, decimals: int | None = None, window: int = WINDOW, base_decimals: int = 18) -> bytes:
        base = self.evm.deploy("MockToken", "Base", "BASE", base_decimals)
        dollar = self.evm.deploy("MockToken", "Dollar", "USD", 18 if decimals is None else decimals)
        self.factory.createPool(base, dollar, uniswap.FEE)
        pool = self.factory.getPool(base, dollar, uniswap.FEE)
        inverted = int(dollar.address, 16) < int(base.address, 16)
        tokens = (dollar, base) if inverted else (base, dollar)
        return uniswap.feed_id(pool, window, tokens[0].decimals(), tokens[1].decimals(), inverted=inverted)

    def pool(self, feed: bytes) -> Contract:
        return self.evm.at("UniswapV3Pool", feed[12:])

    def sqrt_price(self, feed: bytes, price: int) -> int:
        return sqrt_price(price, feed[7], feed[6], inverted=bool(feed[5]))

    def publish(self, feed: bytes, price: int, at: int, confidence: int = 0) -> None:
        """The pool starts at that price at that time."""
        now, self.evm.timestamp = self.evm.timestamp, at
        self.pool(feed).initialize(self.sqrt_price(feed, price))
        self.evm.timestamp = now


VENDORS: dict[str, type[Vendor]] = {
    "api3": Api3,
    "chainlink": Chainlink,
    "datastreams": DataStreams,
    "pyth": Pyth,
    "uniswap": Uniswap,
}


def create(name: str, evm: Evm) -> Vendor:
    evm.timestamp = NOW
    vendor: Vendor = VENDORS[name].create(evm)  # type: ignore[attr-defined]
    return vendor


def deploy_verifier(evm: Evm, signers: list[str], faults: int) -> Contract:
    """Chainlink's real verifier behind its proxy, which it returns; its signers hold from time 0 on."""
    proxy = evm.deploy(known().add(chainlink.verifier_proxy()))
    verifier = evm.deploy(known().add(chainlink.verifier()), proxy)
    proxy.setVerifier(verifier, sender=DEPLOYER)
    verifier.setConfigWithActivationTime(signers, faults, [], 0, sender=DEPLOYER)
    return proxy


def pyth_update(feed: bytes, price: int, confidence: int, exponent: int, at: int) -> bytes:
    """What Pyth's stand-in takes: a PriceFeed, and when the price before it was published."""
    one = (price, confidence, exponent, at)
    shape = "(int64,uint64,int32,uint256)"
    return encode([f"(bytes32,{shape},{shape})", "uint64"], [(feed, one, one), 0])


@cache
def mock_pyth() -> Artifact:
    """MockPyth: constructor (uint256 validSeconds, uint256 feePerUpdate)."""
    package = ROOT / "node_modules" / "@pythnetwork" / "pyth-sdk-solidity"
    return Artifact(
        name="MockPyth",
        abi=json.loads((package / "abis" / "MockPyth.json").read_text()),
        bytecode=bytes.fromhex((package / "build" / "MockPyth_sol_MockPyth.bin").read_text()),
        runtime=b"",
        source="@pythnetwork/pyth-sdk-solidity/MockPyth",
    )
