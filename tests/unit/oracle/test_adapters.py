"""What every adapter must do, and then what each one does in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.devnet.api3 import ADMIN_ROLE
from plimsoll.sdk.oracle import (
    beacon_id,
    beacon_update,
    encode_price,
    encode_update,
    sign_update,
    template_id,
)
from tests.support.evm import DEPLOYER, Contract, Evm, Halt, Revert, reverts
from tests.support.oracle import NOW, PRICE, SIGNER_KEYS, WAD, address_feed, deploy_api3

SIGNER = Account.from_key(SIGNER_KEYS[0])
STRANGER = Account.from_key(SIGNER_KEYS[7])
TEMPLATE = template_id("ETH/USD")
NOTHING = (0, 0, 0)
PEEK_GAS = 20_000


class Vendor(Protocol):
    """An adapter over its vendor's contract, and a way to make the vendor say something."""

    adapter: Contract

    def new_feed(self) -> bytes: ...

    def publish(self, feed: bytes, price: int, at: int) -> None: ...

    latest: int
    """The newest publish time that the vendor's own contract takes."""


@dataclass
class Api3:
    evm: Evm
    server: Contract
    adapter: Contract
    feeds: int = 0
    latest: int = NOW + 3_599

    def __post_init__(self) -> None:
        self.templates: dict[bytes, bytes] = {}

    def new_feed(self) -> bytes:
        self.feeds += 1
        template = template_id(f"feed {self.feeds}")
        feed = beacon_id(SIGNER.address, template)
        self.templates[feed] = template
        return feed

    def publish(self, feed: bytes, price: int, at: int) -> None:
        template, data = self.templates[feed], encode_price(price)
        signature = sign_update(SIGNER, template, at, data)
        self.server.updateBeaconWithSignedData(SIGNER.address, template, at, data, signature)


@dataclass
class Chainlink:
    evm: Evm
    adapter: Contract
    latest: int = 2**256 - 1

    def new_feed(self) -> bytes:
        return address_feed(self.evm.deploy("MockAggregatorV3", 18))

    def publish(self, feed: bytes, price: int, at: int) -> None:
        self.evm.at("MockAggregatorV3", feed[12:]).setAnswer(price, at)


@pytest.fixture
def api3(evm: Evm) -> Api3:
    evm.timestamp = NOW
    server = deploy_api3(evm)
    return Api3(evm, server, evm.deploy("Api3Adapter", server))


@pytest.fixture
def chainlink(evm: Evm) -> Chainlink:
    evm.timestamp = NOW
    return Chainlink(evm, evm.deploy("ChainlinkAdapter"))


@pytest.fixture(params=["api3", "chainlink"])
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found: Vendor = request.getfixturevalue(request.param)
    return found


def peek(vendor: Vendor, *feeds: bytes) -> list[tuple[int, int, int]]:
    return [tuple(reading) for reading in vendor.adapter.peek(list(feeds))]


# ------------------------------------------------------------------------------------------------------- every adapter


def test_peek__published__gives_price_and_time(vendor: Vendor) -> None:
    feed = vendor.new_feed()
    vendor.publish(feed, PRICE, NOW - 5)
    assert peek(vendor, feed) == [(PRICE, 0, NOW - 5)]


def test_peek__never_published__gives_zeros(vendor: Vendor) -> None:
    assert peek(vendor, vendor.new_feed()) == [NOTHING]


@pytest.mark.parametrize("feed", [b"\0" * 32, b"\xff" * 32, b"\0" * 12 + b"\x77" * 20, b"\1" + b"\0" * 31])
def test_peek__unknown_feed__gives_zeros(vendor: Vendor, feed: bytes) -> None:
    assert peek(vendor, feed) == [NOTHING]


def test_peek__no_feeds__gives_none(vendor: Vendor) -> None:
    assert peek(vendor) == []


def test_peek__several__keeps_their_order(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(4)]
    for number, feed in enumerate(feeds):
        if number != 2:
            vendor.publish(feed, PRICE + number, NOW - number)
    expected = [(PRICE + number, 0, NOW - number) if number != 2 else NOTHING for number in range(4)]
    assert peek(vendor, *feeds) == expected
    assert peek(vendor, *reversed(feeds), feeds[0]) == [*reversed(expected), expected[0]]


@pytest.mark.parametrize("price", [0, -1, -PRICE, -(2**223)])
def test_peek__zero_or_negative__gives_no_price(vendor: Vendor, price: int) -> None:
    feed = vendor.new_feed()
    vendor.publish(feed, price, NOW)
    assert peek(vendor, feed)[0][0] == 0


def test_peek__largest_price__does_not_revert(vendor: Vendor) -> None:
    feed = vendor.new_feed()
    vendor.publish(feed, 2**223 - 1, NOW)
    assert peek(vendor, feed)[0][0] in (0, 2**223 - 1)


@pytest.mark.parametrize("age", [0, 1, 86_400, NOW - 1])
def test_peek__old__tells_its_true_time(vendor: Vendor, age: int) -> None:
    feed = vendor.new_feed()
    vendor.publish(feed, PRICE, NOW - age)
    assert peek(vendor, feed) == [(PRICE, 0, NOW - age)]


def test_peek__future__tells_its_true_time(vendor: Vendor) -> None:
    feed = vendor.new_feed()
    vendor.publish(feed, PRICE, vendor.latest)
    assert peek(vendor, feed) == [(PRICE, 0, vendor.latest)]


def test_peek__random__price_and_time_survive(vendor: Vendor) -> None:
    @given(price=st.integers(1, 2**96 - 1), at=st.integers(1, NOW))
    def check(price: int, at: int) -> None:
        feed = vendor.new_feed()
        vendor.publish(feed, price, at)
        assert peek(vendor, feed) == [(price, 0, at)]

    check()


def test_read__nothing_new__is_a_peek(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(3)]
    for feed in feeds:
        vendor.publish(feed, PRICE, NOW)
    receipt = vendor.adapter.read(feeds, [b""] * 3)
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)] * 3
    assert receipt.logs == []


def test_read__data_that_is_no_update__reverts(vendor: Vendor) -> None:
    feed = vendor.new_feed()
    with pytest.raises(Exception, match=r"NothingToUpdate|no revert data"):
        vendor.adapter.read([feed], [b"\1"])


def test_fee__any__is_nothing(vendor: Vendor) -> None:
    assert vendor.adapter.fee([]) == vendor.adapter.fee([b"", b"\1" * 100]) == 0


def test_peek__gas__is_bounded(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(8)]
    for feed in feeds:
        vendor.publish(feed, PRICE, NOW)
    assert vendor.adapter.peek.transact(feeds).gas_used < 30_000 + 8 * PEEK_GAS


# ---------------------------------------------------------------------------------------------------------------- API3


def update_of(template: bytes = TEMPLATE, at: int = NOW, price: int = PRICE) -> bytes:
    return beacon_update(SIGNER, template, at, price)


FEED = beacon_id(SIGNER.address, TEMPLATE)


def test_api3_read__signed_update__is_applied_and_read(api3: Api3) -> None:
    receipt = api3.adapter.read([FEED], [update_of()])
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)]
    event = receipt.event("UpdatedBeaconWithSignedData", api3.server)
    assert (event["beaconId"], event["value"], event["timestamp"]) == (FEED, PRICE, NOW)
    assert api3.server.dataFeeds(FEED) == (PRICE, NOW)


@pytest.mark.parametrize("age", [0, 1, 1_000])
def test_api3_read__not_newer__is_skipped(api3: Api3, age: int) -> None:
    api3.adapter.read([FEED], [update_of()])
    receipt = api3.adapter.read([FEED], [update_of(at=NOW - age, price=PRICE + 1)])
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)]
    assert receipt.logs == []


def test_api3_read__from_the_future__is_skipped(api3: Api3) -> None:
    receipt = api3.adapter.read([FEED], [update_of(at=NOW + 1)])
    assert [tuple(reading) for reading in receipt.value] == [NOTHING]
    assert receipt.logs == []


@pytest.mark.parametrize("price", [0, -1, -(2**223)])
def test_api3_read__no_price__applies_and_reads_as_zero(api3: Api3, price: int) -> None:
    receipt = api3.adapter.read([FEED], [update_of(price=price)])
    assert [tuple(reading) for reading in receipt.value] == [(0, 0, NOW)]
    assert api3.server.dataFeeds(FEED) == (price, NOW)


def test_api3_read__another_beacon__reverts(api3: Api3) -> None:
    other = template_id("BTC/USD")
    with reverts("Api3Adapter_WrongFeed", 1, FEED, beacon_id(SIGNER.address, other)):
        api3.adapter.read([FEED, FEED], [b"", update_of(other)])


def test_api3_read__another_signer__reverts(api3: Api3) -> None:
    with reverts("Api3Adapter_WrongFeed", 0, FEED, beacon_id(STRANGER.address, TEMPLATE)):
        api3.adapter.read([FEED], [beacon_update(STRANGER, TEMPLATE, NOW, PRICE)])


def test_api3_read__forged_signature__reverts(api3: Api3) -> None:
    data = encode_price(PRICE)
    good = sign_update(SIGNER, TEMPLATE, NOW, data)
    for signature in (
        sign_update(STRANGER, TEMPLATE, NOW, data),
        sign_update(SIGNER, TEMPLATE, NOW - 1, data),
        sign_update(SIGNER, template_id("BTC/USD"), NOW, data),
        sign_update(SIGNER, TEMPLATE, NOW, encode_price(PRICE + 1)),
    ):
        with reverts("Error", "Signature mismatch"):
            api3.adapter.read([FEED], [encode_update(SIGNER.address, TEMPLATE, NOW, data, signature)])
    with reverts("Error", "ECDSA: invalid signature length"):
        api3.adapter.read([FEED], [encode_update(SIGNER.address, TEMPLATE, NOW, data, good[:64])])


@pytest.mark.parametrize("data", [b"", b"\0" * 31, b"\0" * 33, b"\0" * 64])
def test_api3_read__data_of_another_length__reverts(api3: Api3, data: bytes) -> None:
    signature = sign_update(SIGNER, TEMPLATE, NOW, data)
    with reverts("Error", "Data length not correct"):
        api3.adapter.read([FEED], [encode_update(SIGNER.address, TEMPLATE, NOW, data, signature)])


def test_api3_read__more_than_an_int224__reverts(api3: Api3) -> None:
    data = (2**223).to_bytes(32, "big")
    signature = sign_update(SIGNER, TEMPLATE, NOW, data)
    with reverts("Error", "Value typecasting error"):
        api3.adapter.read([FEED], [encode_update(SIGNER.address, TEMPLATE, NOW, data, signature)])


@pytest.mark.parametrize("length", [1, 31, 32, 127])
def test_api3_read__truncated_head__reverts(api3: Api3, length: int) -> None:
    with reverts(None):
        api3.adapter.read([FEED], [update_of()[:length]])


@pytest.mark.parametrize("length", [128, 160, 255, 320])
def test_api3_read__truncated_tail__reverts(api3: Api3, length: int) -> None:
    with reverts("FailedCall"):
        api3.adapter.read([FEED], [update_of()[:length]])


@pytest.mark.parametrize("offset", [0, 32, 2**255, 2**256 - 32, 2**256 - 1])
def test_api3_read__data_elsewhere__is_what_the_server_saw_or_reverts(api3: Api3, offset: int) -> None:
    update = update_of()
    moved = update[:96] + offset.to_bytes(32, "big") + update[128:]
    with pytest.raises(Revert):
        api3.adapter.read([FEED], [moved])


def test_api3_read__data_at_an_unusual_place__reads_the_same(api3: Api3) -> None:
    data = encode_price(PRICE)
    signature = sign_update(SIGNER, TEMPLATE, NOW, data)
    tail = encode(["bytes"], [signature])[32:]
    head = bytes.fromhex(SIGNER.address[2:]).rjust(32, b"\0") + TEMPLATE + NOW.to_bytes(32, "big")
    at = 160 + len(tail) + 32
    update = head + at.to_bytes(32, "big") + (160).to_bytes(32, "big") + tail
    update += b"\xff" * 32 + (32).to_bytes(32, "big") + data
    receipt = api3.adapter.read([FEED], [update])
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)]
    assert api3.server.dataFeeds(FEED) == (PRICE, NOW)


def test_api3_read__another_number_of_updates__reverts(api3: Api3) -> None:
    with reverts("Api3Adapter_UpdateCount", 1, 2):
        api3.adapter.read([FEED], [b"", b""])


def test_api3_read__same_update_twice__second_is_skipped(api3: Api3) -> None:
    receipt = api3.adapter.read([FEED, FEED], [update_of(), update_of()])
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)] * 2
    assert len(receipt.logs) == 1


def test_api3_read__too_little_gas__is_no_skip(api3: Api3) -> None:
    """The server's call fails for want of gas: that is not 'not newer', so nothing may go on without the update."""
    complete = api3.adapter.read.call([FEED], [update_of()])
    assert tuple(complete[0]) == (PRICE, 0, NOW)
    for gas in range(30_000, 70_000, 1_000):
        with api3.evm.isolated():
            try:
                readings = api3.adapter.read([FEED], [update_of()], gas=gas).value
            except (Revert, Halt):
                continue
            assert tuple(readings[0]) == (PRICE, 0, NOW), gas


def test_api3_signature__is_the_one_that_wallets_make() -> None:
    data = encode_price(PRICE)
    digest = keccak(TEMPLATE + NOW.to_bytes(32, "big") + data)
    assert sign_update(SIGNER, TEMPLATE, NOW, data) == SIGNER.sign_message(encode_defunct(digest)).signature
    assert beacon_id(SIGNER.address, TEMPLATE) == keccak(bytes.fromhex(SIGNER.address[2:]) + TEMPLATE)
    assert update_of() == encode(
        ["address", "bytes32", "uint256", "bytes", "bytes"],
        [SIGNER.address, TEMPLATE, NOW, data, sign_update(SIGNER, TEMPLATE, NOW, data)],
    )


def test_api3_server__is_the_published_contract(api3: Api3) -> None:
    assert api3.server.adminRoleDescription() == ADMIN_ROLE
    assert api3.server.manager() == DEPLOYER
    assert api3.adapter.server() == api3.server.address


# ----------------------------------------------------------------------------------------------------------- Chainlink


@pytest.mark.parametrize("decimals", [*range(19), 19, 24, 36])
def test_chainlink_peek__decimals__become_18_rounded_down(chainlink: Chainlink, decimals: int) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", decimals)
    answer = 1_234 * 10**decimals + 10**decimals // 2 + (decimals > 18)
    feed.setAnswer(answer, NOW)
    expected = 1_234 * WAD + (WAD // 2 if decimals else 0)
    assert peek(chainlink, address_feed(feed)) == [(expected, 0, NOW)]


@pytest.mark.parametrize("decimals", [37, 77, 78, 255])
def test_chainlink_peek__absurd_decimals__gives_zeros(chainlink: Chainlink, decimals: int) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", decimals)
    feed.setAnswer(PRICE, NOW)
    assert peek(chainlink, address_feed(feed)) == [NOTHING]


@pytest.mark.parametrize("answer", [2**192, 2**255 - 1])
def test_chainlink_peek__absurd_answer__gives_zeros(chainlink: Chainlink, answer: int) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", 0)
    feed.setAnswer(answer, NOW)
    assert peek(chainlink, address_feed(feed)) == [NOTHING]
    feed.setAnswer(2**192 - 1, NOW)
    assert peek(chainlink, address_feed(feed)) == [((2**192 - 1) * WAD, 0, NOW)]


def test_chainlink_peek__no_round__gives_zeros(chainlink: Chainlink) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", 18)
    feed.setRound(0, PRICE, NOW, NOW)
    assert peek(chainlink, address_feed(feed)) == [NOTHING]


@pytest.mark.parametrize("fault", [1, 2, 3], ids=["revert", "short answer", "burns gas"])
def test_chainlink_peek__broken_feed__gives_zeros_and_spares_the_others(chainlink: Chainlink, fault: int) -> None:
    broken, sound = (chainlink.evm.deploy("MockAggregatorV3", 18) for _ in range(2))
    for feed in (broken, sound):
        feed.setAnswer(PRICE, NOW)
    broken.setFault(fault)
    feeds = [address_feed(broken), address_feed(sound)]
    assert peek(chainlink, *feeds) == [NOTHING, (PRICE, 0, NOW)]
    assert chainlink.adapter.peek.transact(feeds).gas_used < 200_000


def test_chainlink_peek__feed_id_beyond_an_address__gives_zeros(chainlink: Chainlink) -> None:
    feed = chainlink.new_feed()
    chainlink.publish(feed, PRICE, NOW)
    assert peek(chainlink, b"\1" + feed[1:]) == [NOTHING]


def test_chainlink_read__update__reverts(chainlink: Chainlink) -> None:
    with reverts("ChainlinkAdapter_NothingToUpdate", 1):
        chainlink.adapter.read([chainlink.new_feed()] * 2, [b"", b"\1"])
