"""What every adapter must do: one suite, which each vendor's contract goes through."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.chain.build import load_artifacts
from tests.support.evm import ANYONE, Evm, Halt, Revert, reverts
from tests.support.oracle import NOW, PRICE, WAD
from tests.support.vendors import NOTHING, VENDORS, Vendor, create, readings

FEED_GAS = 40_000
"""Of a peek, at a warm chain."""

PULLS = [name for name, vendor in VENDORS.items() if vendor.is_pull]
PUSHES = [name for name, vendor in VENDORS.items() if not vendor.is_pull]
SPOKEN = [name for name, vendor in VENDORS.items() if vendor.is_signed]


@pytest.fixture(params=VENDORS)
def vendor(evm: Evm, request: pytest.FixtureRequest) -> Vendor:
    return create(request.param, evm)


@pytest.fixture(params=PULLS)
def puller(evm: Evm, request: pytest.FixtureRequest) -> Vendor:
    return create(request.param, evm)


@pytest.fixture(params=PUSHES)
def pusher(evm: Evm, request: pytest.FixtureRequest) -> Vendor:
    return create(request.param, evm)


@pytest.fixture(params=SPOKEN)
def speaker(evm: Evm, request: pytest.FixtureRequest) -> Vendor:
    return create(request.param, evm)


def recent(vendor: Vendor, age: int = 0) -> int:
    return min(NOW, vendor.latest) - age


def test_every_adapter__goes_through_the_suite(built: None) -> None:
    names = {name for name, one in load_artifacts().items() if name.endswith("Adapter") and one.bytecode}
    tested = {create(name, Evm()).adapter.contract_type.name for name in VENDORS}
    assert names - {"MockAdapter"} == tested


# ------------------------------------------------------------------------------------------------------ what is read


def test_peek__published__gives_price_and_time(vendor: Vendor) -> None:
    feed, at = vendor.new_feed(), recent(vendor, 5)
    vendor.publish(feed, PRICE, at)
    assert vendor.is_near(vendor.peek(feed)[0], PRICE, 0, at)


def test_peek__never_published__gives_zeros(vendor: Vendor) -> None:
    assert vendor.peek(vendor.new_feed()) == [NOTHING]


@pytest.mark.parametrize("feed", [b"\0" * 32, b"\xff" * 32, b"\0" * 12 + b"\x77" * 20, b"\1" + b"\0" * 31])
def test_peek__unknown_feed__gives_zeros(vendor: Vendor, feed: bytes) -> None:
    assert vendor.peek(feed) == [NOTHING]


def test_peek__no_feeds__gives_none(vendor: Vendor) -> None:
    assert vendor.peek() == []


def test_peek__several__keeps_their_order(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(4)]
    for number, feed in enumerate(feeds):
        if number != 2:
            vendor.publish(feed, PRICE * (number + 1), recent(vendor, number))
    found = vendor.peek(*feeds)
    assert found[2] == NOTHING
    for number in (0, 1, 3):
        assert vendor.is_near(found[number], PRICE * (number + 1), 0, recent(vendor, number))
    assert vendor.peek(*reversed(feeds), feeds[0]) == [*reversed(found), found[0]]


@pytest.mark.parametrize("price", [0, -1, -PRICE, -(2**62)])
def test_peek__zero_or_negative__gives_no_price(speaker: Vendor, price: int) -> None:
    feed = speaker.new_feed()
    speaker.publish(feed, price, NOW)
    found = speaker.peek(feed)[0]
    assert found[0] == 0
    assert found[2] in (0, NOW)


def test_peek__largest_recordable_price__is_exact(vendor: Vendor) -> None:
    feed, at, price = vendor.new_feed(), recent(vendor), 2**96 - 1
    price -= price % vendor.quantum
    vendor.publish(feed, price, at)
    assert vendor.is_near(vendor.peek(feed)[0], price, 0, at)


def test_peek__random__price_and_time_survive(vendor: Vendor) -> None:
    @given(price=st.integers(1, 2**96 - 1), at=st.integers(1, recent(vendor)))
    @settings(max_examples=50)
    def check(price: int, at: int) -> None:
        price += -price % vendor.quantum
        feed = vendor.new_feed()
        vendor.publish(feed, price, at)
        assert vendor.is_near(vendor.peek(feed)[0], price, 0, at)

    check()


def test_peek__decimals__become_18(vendor: Vendor) -> None:
    for decimals in vendor.decimals:
        feed, at = vendor.new_feed(decimals), recent(vendor)
        price = 3 * WAD // 2 if decimals else WAD
        vendor.publish(feed, price, at)
        assert vendor.is_near(vendor.peek(feed)[0], price, 0, at), decimals


@pytest.mark.parametrize("width", [0, 1, 300])
def test_peek__confidence__is_what_the_vendor_says(vendor: Vendor, width: int) -> None:
    feed, at, confidence = vendor.new_feed(), recent(vendor), PRICE * width // 10_000
    vendor.publish(feed, PRICE, at, confidence)
    assert vendor.is_near(vendor.peek(feed)[0], PRICE, confidence if vendor.has_confidence else 0, at)


# --------------------------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("age", [0, 1, 86_400, NOW - 10_000])
def test_peek__old__tells_its_true_time(vendor: Vendor, age: int) -> None:
    feed, at = vendor.new_feed(), recent(vendor, age)
    vendor.publish(feed, PRICE, at)
    assert vendor.is_near(vendor.peek(feed)[0], PRICE, 0, at)


def test_peek__time_passes__it_stays_as_old_as_it_is(speaker: Vendor) -> None:
    feed = speaker.new_feed()
    speaker.publish(feed, PRICE, NOW)
    speaker.evm.timestamp = NOW + 100_000
    assert speaker.peek(feed) == [(PRICE, 0, NOW)]


def test_peek__from_the_future__is_never_told_as_now(vendor: Vendor) -> None:
    """Whatever the vendor stored: either there is nothing, or the reading says that it is of the future."""
    feed, at = vendor.new_feed(), vendor.latest
    vendor.publish(feed, PRICE, at)
    vendor.evm.timestamp = min(NOW, at) - 10
    found = vendor.peek(feed)[0]
    assert found == NOTHING or found[2] == at > vendor.evm.timestamp


# ------------------------------------------------------------------------------------------------------ what is brought


def test_read__nothing_new__is_a_peek(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(3)]
    for feed in feeds:
        vendor.publish(feed, PRICE, recent(vendor))
    receipt = vendor.read(feeds, [b""] * 3)
    assert readings(receipt) == vendor.peek(*feeds)
    assert receipt.logs == []


@pytest.mark.parametrize("length", [1, 31, 32, 64, 128, 256, 1_000])
def test_read__data_that_is_no_update__reverts(vendor: Vendor, length: int) -> None:
    feed = vendor.new_feed()
    for byte in (b"\0", b"\1", b"\xff"):
        with pytest.raises(Revert):
            vendor.read([feed], [byte * length])
    assert vendor.peek(feed) == [NOTHING]


def test_read__push_source__takes_no_update(pusher: Vendor) -> None:
    with pytest.raises(Revert, match="NothingToUpdate"):
        pusher.read([pusher.new_feed()] * 2, [b"", b"\1"])


def test_read__ether_that_nobody_takes__reverts_or_is_not_asked_for(vendor: Vendor) -> None:
    feed = vendor.new_feed()
    updates = [vendor.update(feed, PRICE, NOW)] if vendor.is_pull else [b""]
    assert vendor.adapter.fee([b""]) == vendor.adapter.fee([]) == 0
    assert vendor.adapter.fee(updates * 3) == 3 * vendor.adapter.fee(updates)
    vendor.read([feed], updates)
    assert vendor.evm.balance(vendor.adapter.address) == 0


def test_peek__gas__is_bounded(vendor: Vendor) -> None:
    feeds = [vendor.new_feed() for _ in range(8)]
    for feed in feeds:
        vendor.publish(feed, PRICE, recent(vendor))
    assert vendor.adapter.peek.transact(feeds).gas_used < 30_000 + 8 * FEED_GAS


# -------------------------------------------------------------------------------------------------- signed updates only


def test_read__update__is_applied_and_read(puller: Vendor) -> None:
    feed = puller.new_feed()
    receipt = puller.read([feed], [puller.update(feed, PRICE, NOW)])
    assert readings(receipt) == puller.peek(feed) == [(PRICE, 0, NOW)]


@pytest.mark.parametrize("age", [0, 1, 1_000])
def test_read__not_newer__is_skipped(puller: Vendor, age: int) -> None:
    feed = puller.new_feed()
    puller.read([feed], [puller.update(feed, PRICE, NOW)])
    receipt = puller.read([feed], [puller.update(feed, 2 * PRICE, NOW - age)])
    assert readings(receipt) == puller.peek(feed) == [(PRICE, 0, NOW)]


def test_read__newer__replaces(puller: Vendor) -> None:
    feed = puller.new_feed()
    puller.read([feed], [puller.update(feed, PRICE, NOW - 1)])
    puller.read([feed], [puller.update(feed, 2 * PRICE, NOW)])
    assert puller.peek(feed) == [(2 * PRICE, 0, NOW)]


def test_read__being_first__breaks_nobody_and_costs_nobody_more(puller: Vendor) -> None:
    feed = puller.new_feed()
    update = puller.update(feed, PRICE, NOW)
    before = puller.adapter.fee([update])
    puller.read([feed], [update])
    assert puller.adapter.fee([update]) == before
    assert readings(puller.read([feed], [update])) == [(PRICE, 0, NOW)]


def test_read__from_the_future__is_skipped(puller: Vendor) -> None:
    feed = puller.new_feed()
    receipt = puller.read([feed], [puller.update(feed, PRICE, NOW + 1)])
    assert readings(receipt) == puller.peek(feed) == [NOTHING]
    puller.read([feed], [puller.update(feed, 2 * PRICE, NOW)])
    assert puller.peek(feed) == [(2 * PRICE, 0, NOW)]


def test_read__another_feed__reverts(puller: Vendor) -> None:
    feed, other = puller.new_feed(), puller.new_feed()
    with pytest.raises(Revert):
        puller.read([feed, feed], [b"", puller.update(other, PRICE, NOW)])
    assert puller.peek(feed, other) == [NOTHING] * 2


def test_read__forged__reverts(puller: Vendor) -> None:
    feed = puller.new_feed()
    with pytest.raises(Revert) if puller.verifies else nullcontext():  # Pyth's stand-in takes what nobody signed
        puller.read([feed], [puller.update(feed, PRICE, NOW, forged=True)])
    assert puller.verifies == (puller.peek(feed) == [NOTHING])


def test_read__truncated__reverts(puller: Vendor) -> None:
    feed = puller.new_feed()
    update = puller.update(feed, PRICE, NOW)
    for length in range(32, len(update) - 64, 32):
        with pytest.raises(Revert):
            puller.read([feed], [update[:length]])
    assert puller.peek(feed) == [NOTHING]


def test_read__another_number_of_updates__reverts(puller: Vendor) -> None:
    feed = puller.new_feed()
    with pytest.raises(Revert, match=r"UpdateCount\(1, 2\)"):
        puller.read([feed], [b"", b""])
    with pytest.raises(Revert, match=r"UpdateCount\(2, 1\)"):
        puller.read([feed, feed], [b""])


def test_read__too_little_gas__is_no_skip(puller: Vendor) -> None:
    """The vendor's call fails for want of gas: that is not 'not newer', so nothing may go on without the update."""
    feed = puller.new_feed()
    update = puller.update(feed, PRICE, NOW)
    for gas in range(30_000, 120_000, 2_000):
        with puller.evm.isolated():
            try:
                found = readings(puller.read([feed], [update], gas=gas))
            except (Revert, Halt, ValueError):
                continue
            assert found == [(PRICE, 0, NOW)], gas


def test_read__ether_is_wrong__reverts(evm: Evm) -> None:
    pyth = create("pyth", evm)
    feed = pyth.new_feed()
    update = pyth.update(feed, PRICE, NOW)
    evm.set_balance(ANYONE, 100)
    for paid in (0, 6, 8):
        with reverts("SignedAdapter_Fee", paid, 7):
            pyth.adapter.read([feed], [update], value=paid)
