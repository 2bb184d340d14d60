"""What each adapter does in its own way; what all of them must do is in test_adapter_properties.py."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from eth_abi.abi import encode
from eth_account.messages import encode_defunct
from eth_utils import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.devnet.api3 import ADMIN_ROLE
from plimsoll.devnet.uniswap import FULL_RANGE, feed_id
from plimsoll.sdk.oracle import beacon_id, beacon_update, encode_price, encode_update, sign_update, template_id
from plimsoll.sdk.pools import sqrt_price
from plimsoll.sdk.streams import encode_report, sign_report, stream_id
from tests.support.evm import DEPLOYER, Contract, Evm, Revert, reverts
from tests.support.oracle import NOW, PRICE, WAD, address_feed
from tests.support.vendors import (
    NOTHING,
    SIGNER,
    SIGNERS,
    STRANGER,
    WINDOW,
    Api3,
    Chainlink,
    DataStreams,
    Pyth,
    Uniswap,
    create,
    pyth_update,
    readings,
)

TEMPLATE = template_id("ETH/USD")


@pytest.fixture
def api3(evm: Evm) -> Api3:
    found = create("api3", evm)
    assert isinstance(found, Api3)
    return found


@pytest.fixture
def chainlink(evm: Evm) -> Chainlink:
    found = create("chainlink", evm)
    assert isinstance(found, Chainlink)
    return found


@pytest.fixture
def streams(evm: Evm) -> DataStreams:
    found = create("datastreams", evm)
    assert isinstance(found, DataStreams)
    return found


@pytest.fixture
def pyth(evm: Evm) -> Pyth:
    found = create("pyth", evm)
    assert isinstance(found, Pyth)
    return found


@pytest.fixture
def uniswap(evm: Evm) -> Uniswap:
    found = create("uniswap", evm)
    assert isinstance(found, Uniswap)
    return found


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


def test_api3_read__same_update_twice__second_is_skipped(api3: Api3) -> None:
    receipt = api3.adapter.read([FEED, FEED], [update_of(), update_of()])
    assert [tuple(reading) for reading in receipt.value] == [(PRICE, 0, NOW)] * 2
    assert len(receipt.logs) == 1


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
    assert chainlink.peek(address_feed(feed)) == [(expected, 0, NOW)]


@pytest.mark.parametrize("decimals", [37, 77, 78, 255])
def test_chainlink_peek__absurd_decimals__gives_zeros(chainlink: Chainlink, decimals: int) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", decimals)
    feed.setAnswer(PRICE, NOW)
    assert chainlink.peek(address_feed(feed)) == [NOTHING]


@pytest.mark.parametrize("answer", [2**192, 2**255 - 1])
def test_chainlink_peek__absurd_answer__gives_zeros(chainlink: Chainlink, answer: int) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", 0)
    feed.setAnswer(answer, NOW)
    assert chainlink.peek(address_feed(feed)) == [NOTHING]
    feed.setAnswer(2**192 - 1, NOW)
    assert chainlink.peek(address_feed(feed)) == [((2**192 - 1) * WAD, 0, NOW)]


def test_chainlink_peek__no_round__gives_zeros(chainlink: Chainlink) -> None:
    feed = chainlink.evm.deploy("MockAggregatorV3", 18)
    feed.setRound(0, PRICE, NOW, NOW)
    assert chainlink.peek(address_feed(feed)) == [NOTHING]


@pytest.mark.parametrize("fault", [1, 2, 3], ids=["revert", "short answer", "burns gas"])
def test_chainlink_peek__broken_feed__gives_zeros_and_spares_the_others(chainlink: Chainlink, fault: int) -> None:
    broken, sound = (chainlink.evm.deploy("MockAggregatorV3", 18) for _ in range(2))
    for feed in (broken, sound):
        feed.setAnswer(PRICE, NOW)
    broken.setFault(fault)
    feeds = [address_feed(broken), address_feed(sound)]
    assert chainlink.peek(*feeds) == [NOTHING, (PRICE, 0, NOW)]
    assert chainlink.adapter.peek.transact(feeds).gas_used < 200_000


def test_chainlink_peek__feed_id_beyond_an_address__gives_zeros(chainlink: Chainlink) -> None:
    feed = chainlink.new_feed()
    chainlink.publish(feed, PRICE, NOW)
    assert chainlink.peek(b"\1" + feed[1:]) == [NOTHING]


def test_chainlink_read__update__reverts(chainlink: Chainlink) -> None:
    with reverts("ChainlinkAdapter_NothingToUpdate", 1):
        chainlink.adapter.read([chainlink.new_feed()] * 2, [b"", b"\1"])


# -------------------------------------------------------------------------------------------------- Chainlink's streams

STREAM = stream_id("ETH/USD")


def report(price: int = PRICE, at: int = NOW, half_spread: int = 0, stream: bytes = STREAM) -> bytes:
    return encode_report(stream, at, price, half_spread)


def test_streams_read__signed_report__is_verified_by_chainlinks_contract(streams: DataStreams) -> None:
    verifier = streams.evm.at("DestinationVerifier", streams.adapter.verifier())
    receipt = streams.read([STREAM], [sign_report(SIGNERS[:2], report(half_spread=WAD))])
    assert readings(receipt) == [(PRICE, WAD, NOW)]
    assert receipt.event("ReportVerified")["feedId"] == STREAM
    assert verifier.typeAndVersion.call() == "DestinationVerifierProxy 0.4.0"


@pytest.mark.parametrize("count", [2, 3, 4])
def test_streams_read__more_than_f_signers__any_of_the_set(streams: DataStreams, count: int) -> None:
    assert readings(streams.read([STREAM], [sign_report(SIGNERS[-count:], report())])) == [(PRICE, 0, NOW)]


def test_streams_read__f_signers_or_one_twice_or_a_stranger__reverts(streams: DataStreams) -> None:
    for signers in (SIGNERS[:1], SIGNERS[:1] * 2, (*SIGNERS[:2], STRANGER), (SIGNERS[0], STRANGER)):
        with reverts("BadVerification"):
            streams.read([STREAM], [sign_report(signers, report())])
    with reverts("NoSigners"):
        streams.read([STREAM], [sign_report((), report())])


def test_streams_read__altered_report__reverts(streams: DataStreams) -> None:
    genuine = sign_report(SIGNERS[:2], report())
    altered = genuine.replace(PRICE.to_bytes(24, "big"), (PRICE + 1).to_bytes(24, "big"))
    assert altered != genuine
    with reverts("BadVerification"):
        streams.read([STREAM], [altered])


def test_streams_read__another_stream__reverts(streams: DataStreams) -> None:
    other = stream_id("BTC/USD")
    with reverts("SignedAdapter_WrongFeed", 1, STREAM, other):
        streams.read([STREAM, STREAM], [b"", sign_report(SIGNERS[:2], report(stream=other))])


@pytest.mark.parametrize("schema", [0, 1, 2, 4, 0xFFFF])
def test_streams_read__another_schema__reverts(streams: DataStreams, schema: int) -> None:
    stream = schema.to_bytes(2, "big") + STREAM[2:]
    with reverts("DataStreamsAdapter_Schema", 0, stream, 288):
        streams.read([stream], [sign_report(SIGNERS[:2], report(stream=stream))])


@pytest.mark.parametrize("length", [96, 256, 320])
def test_streams_read__another_length__reverts(streams: DataStreams, length: int) -> None:
    content = report().ljust(320, b"\0")[:length]
    with reverts("DataStreamsAdapter_Schema", 0, STREAM, length):
        streams.read([STREAM], [sign_report(SIGNERS[:2], content)])


@pytest.mark.parametrize(
    ("bid", "ask", "confidence"),
    [(-3, 5, 5), (-5, 3, 5), (0, 0, 0), (5, -3, 5), (2, 7, 7), (-PRICE, 0, PRICE), (-PRICE - 1, 0, PRICE + 1)],
)
def test_streams_read__bid_and_ask__the_farther_is_the_confidence(
    streams: DataStreams, bid: int, ask: int, confidence: int
) -> None:
    kinds = ["bytes32", "uint32", "uint32", "uint192", "uint192", "uint32", "int192", "int192", "int192"]
    content = encode(kinds, [STREAM, NOW, NOW, 0, 0, NOW, PRICE, PRICE + bid, PRICE + ask])
    assert readings(streams.read([STREAM], [sign_report(SIGNERS[:2], content)])) == [(PRICE, confidence, NOW)]


@pytest.mark.parametrize(
    ("price", "spread", "expected"),
    [
        (2**112 - 1, 0, (2**112 - 1, 0)),
        (2**112, 0, (0, 0)),
        (2**190, 2**113, (0, 2**112 - 1)),
        (PRICE, 2**112 - 1, (PRICE, 2**112 - 1)),
        (PRICE, 2**112, (PRICE, 2**112 - 1)),
    ],
)
def test_streams_read__beyond_what_is_kept__no_price_and_the_widest(
    streams: DataStreams, price: int, spread: int, expected: tuple[int, int]
) -> None:
    receipt = streams.read([STREAM], [sign_report(SIGNERS[:2], report(price, half_spread=spread))])
    assert readings(receipt) == [(*expected, NOW)]


# ---------------------------------------------------------------------------------------------------------------- Pyth

PYTH_FEED = b"\7" * 32


def test_pyth_read__several_updates__pays_for_each(pyth: Pyth) -> None:
    feeds = [pyth.new_feed() for _ in range(3)]
    updates = [pyth.update(feeds[0], PRICE, NOW), b"", pyth.update(feeds[2], PRICE, NOW)]
    assert pyth.adapter.fee(updates) == 14
    assert readings(pyth.read(feeds, updates)) == [(PRICE, 0, NOW), NOTHING, (PRICE, 0, NOW)]
    assert pyth.evm.balance(pyth.adapter.pyth()) == 14


def test_pyth_read__another_feed__reverts(pyth: Pyth) -> None:
    with reverts("PriceFeedNotFoundWithinRange"):
        pyth.read([PYTH_FEED], [pyth_update(b"\6" * 32, 1, 0, 0, NOW)])


@pytest.mark.parametrize(
    ("price", "confidence", "exponent", "expected"),
    [
        (123, 4, 0, (123 * WAD, 4 * WAD)),
        (123, 4, -18, (123, 4)),
        (129, 11, -19, (12, 2)),
        (129, 10, -19, (12, 1)),
        (2**63 - 1, 2**64 - 1, -36, (9, 19)),
        (2**63 - 1, 0, -37, (0, 0)),
        (123, 4, 1, (0, 0)),
        (123, 4, 2**31 - 1, (0, 0)),
        (123, 4, -(2**31), (0, 0)),
        (-(2**63), 4, -8, (0, 0)),
    ],
)
def test_pyth_read__exponent__becomes_18_decimals(
    pyth: Pyth, price: int, confidence: int, exponent: int, expected: tuple[int, int]
) -> None:
    receipt = pyth.read([PYTH_FEED], [pyth_update(PYTH_FEED, price, confidence, exponent, NOW)])
    assert readings(receipt) == [(*expected, NOW)]


# ------------------------------------------------------------------------------------------------------ Uniswap's pools


@pytest.fixture
def trader(uniswap: Uniswap) -> Contract:
    return uniswap.evm.deploy("PoolTrader")


def move(uniswap: Uniswap, trader: Contract, feed: bytes, price: int) -> None:
    """By a real swap."""
    pool = uniswap.pool(feed)
    trader.swapTo(pool, pool.slot0().sqrtPriceX96, uniswap.sqrt_price(feed, price))


def started(uniswap: Uniswap, trader: Contract, at: int, *, window: int = WINDOW, decimals: int = 6) -> bytes:
    """A pool with liquidity and a memory of 50 observations."""
    feed = uniswap.new_feed(decimals, window)
    uniswap.publish(feed, PRICE, at)
    uniswap.evm.timestamp = at
    trader.addLiquidity(uniswap.pool(feed), *FULL_RANGE, 10**18)
    uniswap.pool(feed).increaseObservationCardinalityNext(50)
    return feed


def test_uniswap_peek__swap_half_a_window_ago__is_the_geometric_mean(uniswap: Uniswap, trader: Contract) -> None:
    feed = started(uniswap, trader, NOW - 2 * WINDOW)
    uniswap.evm.timestamp = NOW - WINDOW // 2
    move(uniswap, trader, feed, 4 * PRICE)
    uniswap.evm.timestamp = NOW
    assert uniswap.is_near(uniswap.peek(feed)[0], 2 * PRICE, 0, NOW - WINDOW)


def test_uniswap_peek__one_block_of_a_wild_price__hardly_moves_it(uniswap: Uniswap, trader: Contract) -> None:
    """Ten times the price for two seconds of 600: 10^(2/600) − 1 is 77 basis points."""
    feed = started(uniswap, trader, NOW - 2 * WINDOW)
    uniswap.evm.timestamp = NOW - 2
    move(uniswap, trader, feed, 10 * PRICE)
    assert uniswap.is_near(uniswap.peek(feed)[0], PRICE, 0, NOW - 2 - WINDOW)
    uniswap.evm.timestamp = NOW
    price = uniswap.peek(feed)[0][0]
    assert PRICE * 10_075 // 10_000 < price < PRICE * 10_079 // 10_000


def test_uniswap_peek__nobody_traded_since__is_as_old_as_the_last_trade(uniswap: Uniswap, trader: Contract) -> None:
    feed = started(uniswap, trader, NOW - 3 * WINDOW)
    uniswap.evm.timestamp = NOW - 2 * WINDOW
    move(uniswap, trader, feed, 2 * PRICE)
    for now in (NOW - WINDOW, NOW, NOW + 86_400):
        uniswap.evm.timestamp = now
        assert uniswap.is_near(uniswap.peek(feed)[0], 2 * PRICE, 0, NOW - 2 * WINDOW)


def test_uniswap_peek__window_longer_than_its_memory__gives_zeros(uniswap: Uniswap, trader: Contract) -> None:
    feed = started(uniswap, trader, NOW - WINDOW)
    assert uniswap.peek(feed) == [NOTHING]
    uniswap.evm.timestamp = NOW - 1
    assert uniswap.peek(feed) == [NOTHING]
    uniswap.evm.timestamp = NOW
    assert uniswap.is_near(uniswap.peek(feed)[0], PRICE, 0, NOW - WINDOW)


@pytest.mark.parametrize(("window", "sound"), [(0, False), (59, False), (60, True), (86_400, True), (86_401, False)])
def test_uniswap_peek__window__only_within_bounds(uniswap: Uniswap, window: int, sound: bool) -> None:
    feed = uniswap.new_feed(6, window)
    uniswap.publish(feed, PRICE, NOW - 86_401)
    assert (uniswap.peek(feed) != [NOTHING]) == sound
    assert (uniswap.adapter.MIN_WINDOW(), uniswap.adapter.MAX_WINDOW()) == (60, 86_400)


def test_uniswap_peek__id_with_more_in_it__gives_zeros(uniswap: Uniswap) -> None:
    feed = uniswap.new_feed(6)
    uniswap.publish(feed, PRICE, NOW - WINDOW)
    word = int.from_bytes(feed, "big")
    assert uniswap.peek(feed) != [NOTHING]
    for other in (word | 1 << 209, word | 1 << 255, word | 19 << 192, word | 19 << 200):
        assert uniswap.peek(other.to_bytes(32, "big")) == [NOTHING]


def test_uniswap_peek__either_order_of_tokens__is_the_same_price(uniswap: Uniswap) -> None:
    seen: set[int] = set()
    while len(seen) < 2:
        feed = uniswap.new_feed(6)
        seen.add(feed[5])
        uniswap.publish(feed, PRICE, NOW - WINDOW)
        assert uniswap.is_near(uniswap.peek(feed)[0], PRICE, 0, NOW - WINDOW)


def test_uniswap_peek__pool_that_is_none__gives_zeros_and_spares_the_others(uniswap: Uniswap) -> None:
    sound = uniswap.new_feed(6)
    uniswap.publish(sound, PRICE, NOW - WINDOW)
    for code in ("MockAggregatorV3", "MockAdapter"):
        other = uniswap.evm.deploy(code, *([18] if code == "MockAggregatorV3" else []))
        broken = feed_id(other.address, WINDOW, 18, 6)
        assert uniswap.peek(broken, sound)[0] == NOTHING
        assert uniswap.peek(broken, sound)[1] != NOTHING


def test_uniswap_peek__price__is_the_power_of_the_tick_to_15_digits(uniswap: Uniswap) -> None:
    """Against 60 decimal places: 1.0001 to the tick, in tokens of 18 and 6 decimals."""

    @given(price=st.integers(10**12, 2**95))
    @settings(max_examples=30)
    def check(price: int) -> None:
        feed = uniswap.new_feed(6)
        uniswap.publish(feed, price, NOW - WINDOW)
        with localcontext(prec=60):
            exact = Decimal("1.0001") ** uniswap.pool(feed).slot0().tick * Decimal(10) ** (feed[7] - feed[6])
            exact = WAD * (1 / exact if feed[5] else exact)
            assert abs(uniswap.peek(feed)[0][0] - exact) <= exact / 10**15 + 1

    check()


def test_uniswap_sqrt_price__one_dollar__is_two_to_the_96() -> None:
    assert sqrt_price(WAD, 18, 18) == sqrt_price(WAD, 6, 6, inverted=True) == 2**96
    assert sqrt_price(4 * WAD, 18, 18) == 2**97
    assert sqrt_price(4 * WAD, 18, 18, inverted=True) == 2**95


def test_uniswap_peek__gas__of_a_full_memory_stays_below_the_cap(uniswap: Uniswap, trader: Contract) -> None:
    feed = started(uniswap, trader, NOW - 5 * WINDOW)
    for number in range(60):
        uniswap.evm.timestamp = NOW - 1_000 + 10 * number
        move(uniswap, trader, feed, PRICE + number * WAD)
    uniswap.evm.timestamp = NOW
    assert uniswap.peek(feed) != [NOTHING]
    assert uniswap.adapter.peek.transact([feed]).gas_used < 100_000
    longer = feed_id("0x" + feed[12:].hex(), 950, feed[7], feed[6], inverted=bool(feed[5]))
    assert uniswap.peek(longer) == [NOTHING]  # 50 observations, the oldest 900 seconds ago
