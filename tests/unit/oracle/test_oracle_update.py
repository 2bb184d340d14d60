"""Section 8 of the specification, step by step: each refusal by its error and values, each limit on both sides."""

from __future__ import annotations

import pytest

from plimsoll.sdk.oracle import price_item
from tests.support.evm import ANYONE, DEPLOYER, Evm, reverts
from tests.support.oracle import (
    CONFIG,
    DOUBTFUL,
    DOWN,
    GRACE,
    GRACE_SECONDS,
    MARKET,
    NO_RECORD,
    NOW,
    OPEN,
    PRICE,
    MockedMarket,
    Record,
    feed_id,
    pull,
    recorded,
)

BPS = PRICE // 10_000


@pytest.fixture
def market(evm: Evm) -> MockedMarket:
    return MockedMarket.create(evm)


@pytest.fixture
def bounded(evm: Evm) -> MockedMarket:
    market = MockedMarket.create(evm, pushes=2)
    market.say_all()
    return market


# ------------------------------------------------------------------------------------------------- what is recorded


def test_update__three_agree__records_and_tells(market: MockedMarket) -> None:
    market.say(0, PRICE + 2 * BPS, confidence=BPS, at=NOW - 1)
    market.say(1, PRICE - BPS, confidence=2 * BPS, at=NOW - 2)
    market.say(2, PRICE, confidence=5 * BPS, at=NOW)
    receipt = market.record()
    assert recorded(receipt) == {
        "marketId": MARKET,
        "price": PRICE,
        "confidence": 3 * BPS,  # the second of 3, 3 and 5
        "publishedAt": NOW - 2,
        "state": OPEN,
        "sequence": 1,
        "sources": 0b111,
    }
    assert market.newest == Record(PRICE, 3 * BPS, NOW - 2, OPEN, 1)
    assert len(receipt.logs) == 1


def test_update__several_markets__records_each(evm: Evm, market: MockedMarket) -> None:
    sources = [pull(market.adapter, feed_id(index)) for index in (1, 2, 3)]
    market.aggregator.setMarket(2, CONFIG, sources, sender=DEPLOYER)
    market.say_all()
    market.say(3)
    receipt = market.aggregator.update([price_item(MARKET), price_item(2)])
    assert [event["marketId"] for event in receipt.events("PriceRecorded")] == [MARKET, 2]


def test_update__nothing_given__does_nothing(market: MockedMarket) -> None:
    assert market.aggregator.update([]).logs == []


def test_update__unknown_market__reverts(market: MockedMarket) -> None:
    with reverts("Oracle_UnknownMarket", 9):
        market.aggregator.update([price_item(9)])


def test_update__wrong_number_of_payloads__reverts(market: MockedMarket) -> None:
    for count in (1, 2, 4):
        with reverts("Oracle_PayloadCount", MARKET, count, 3):
            market.aggregator.update([price_item(MARKET, [b""] * count)])


def test_update__malformed_item__reverts(market: MockedMarket) -> None:
    with reverts(None):
        market.aggregator.update([b"\1" * 31])


def test_update__one_adapter__is_called_once(market: MockedMarket) -> None:
    market.say_all()
    market.aggregator.update([price_item(MARKET, [b""] * 3)])
    assert market.adapter.calls() == 1


def test_update__two_adapters__payloads_reach_their_sources(evm: Evm, market: MockedMarket) -> None:
    other = evm.deploy("MockAdapter")
    sources = [pull(market.adapter, feed_id(0)), pull(other, feed_id(0)), pull(other, feed_id(1))]
    market.aggregator.setMarket(MARKET, CONFIG, sources, sender=DEPLOYER)
    payloads = [b"".join(n.to_bytes(32, "big") for n in (PRICE + i, 0, NOW)) for i in range(3)]
    market.aggregator.update([price_item(MARKET, payloads)])
    assert [reading.price for reading in market.aggregator.readings(MARKET).pulls] == [PRICE, PRICE + 1, PRICE + 2]
    assert (market.adapter.calls(), other.calls()) == (1, 1)
    assert market.newest.price == PRICE + 1


# ------------------------------------------------------------------------------------------------------------- ether


def test_update__fee__is_passed_on_exactly(evm: Evm, market: MockedMarket) -> None:
    market.adapter.setFee(7)
    market.say(1)
    evm.set_balance(ANYONE, 100)
    payload = b"".join(n.to_bytes(32, "big") for n in (PRICE, 0, NOW))
    item = price_item(MARKET, [payload, b"", payload])
    with reverts("MockAdapter_Fee", 0, 14):
        market.aggregator.update([item])
    with reverts("Oracle_ValueUnused", 1):
        market.aggregator.update([item], value=15)
    market.aggregator.update([item], value=14)
    assert evm.balance(market.adapter) == 14
    assert evm.balance(market.aggregator) == 0


def test_update__ether_that_nobody_takes__is_refused(evm: Evm, market: MockedMarket) -> None:
    evm.set_balance(ANYONE, 1)
    market.say_all()
    with reverts("Oracle_ValueUnused", 1):
        market.record(value=1)
    with reverts("Oracle_ValueUnused", 1):
        market.aggregator.update([], value=1)


# ------------------------------------------------------------------------------------------------------ 1, 2: timely


@pytest.mark.parametrize(("age", "accepted"), [(0, True), (3, True), (4, False), (-1, False)])
def test_update__age_of_a_reading__at_most_the_window_and_not_the_future(
    market: MockedMarket, age: int, accepted: bool
) -> None:
    market.say_all()
    market.say(1, at=NOW - age)
    if accepted:
        assert recorded(market.record())["publishedAt"] == NOW - age
    else:
        with reverts("Oracle_SourceMissing", MARKET, 1):
            market.record()


def test_update__source_never_spoke__is_missing(market: MockedMarket) -> None:
    market.say(0)
    market.say(1)
    with reverts("Oracle_SourceMissing", MARKET, 2):
        market.record()


def test_update__several_missing__names_the_first(market: MockedMarket) -> None:
    market.say(0)
    with reverts("Oracle_SourceMissing", MARKET, 1):
        market.record()


def test_update__same_readings_again__is_skipped(market: MockedMarket) -> None:
    market.record_at()
    event = market.record().event("UpdateSkipped")
    assert event.args == {"marketId": MARKET, "index": 0, "publishedAt": NOW}
    assert market.newest.sequence == 1


def test_update__one_source_not_newer__is_skipped(evm: Evm, market: MockedMarket) -> None:
    market.record_at()
    evm.advance(1)
    market.say(0)
    market.say(2)
    assert market.record().event("UpdateSkipped")["index"] == 1
    market.say(1)
    assert recorded(market.record())["sequence"] == 2


def test_update__older_than_the_last_and_too_old__is_skipped_rather_than_missing(
    evm: Evm, market: MockedMarket
) -> None:
    market.say(0, at=NOW - 1)
    market.say(1)
    market.say(2)
    market.record()
    evm.advance(4)  # sources 1 and 2 are newer than the record, and too old by now
    assert market.record().event("UpdateSkipped")["index"] == 0


def test_update__newer_but_too_old__is_missing(evm: Evm, market: MockedMarket) -> None:
    market.record_at()
    evm.advance(5)
    market.say_all()
    market.say(1, at=NOW + 1)
    with reverts("Oracle_SourceMissing", MARKET, 1):
        market.record()


# ----------------------------------------------------------------------------------------------------- 3: candidates


@pytest.mark.parametrize("price", [0, 2**96, 2**256 - 1])
def test_update__no_price__is_left_out_and_blocks_nothing(market: MockedMarket, price: int) -> None:
    market.say_all()
    market.say(1, price)
    assert recorded(market.record())["sources"] == 0b101


def test_update__too_uncertain_a_reading__is_left_out(market: MockedMarket) -> None:
    market.say_all()
    market.say(2, confidence=100 * BPS + 1)
    assert recorded(market.record())["sources"] == 0b011


def test_update__reading_at_the_limit_of_confidence__counts(market: MockedMarket) -> None:
    market.say_all()
    market.say(2, confidence=100 * BPS)
    assert recorded(market.record())["sources"] == 0b111


def test_update__absurd_confidence__does_not_overflow(market: MockedMarket) -> None:
    market.say_all()
    market.say(0, confidence=2**256 - 1)
    assert recorded(market.record())["sources"] == 0b110


def test_update__fewer_than_quorum__reverts(market: MockedMarket) -> None:
    market.say_all()
    market.say(0, 0)
    market.say(1, confidence=PRICE)
    with reverts("Oracle_QuorumMissing", MARKET, 1, 2):
        market.record()


# -------------------------------------------------------------------------------------------------- 4, 5: the median


@pytest.mark.parametrize(
    ("prices", "median"),
    [
        ([100, 101, 102], 101),
        ([102, 100, 101], 101),
        ([101, 101, 101], 101),
        ([100, 101, 102, 103], 101),
        ([103, 100, 102, 100], 101),
        ([100, 100, 101, 102, 102], 101),
        ([104, 100, 103, 101, 102], 102),
    ],
)
def test_update__price__is_the_median_rounded_down(evm: Evm, prices: list[int], median: int) -> None:
    market = MockedMarket.create(evm, pulls=len(prices))
    assert recorded(market.record_at([PRICE + price for price in prices]))["price"] == PRICE + median


def test_update__reading_at_the_limit_of_dispersion__is_kept(market: MockedMarket) -> None:
    assert recorded(market.record_at([PRICE, PRICE, PRICE + 50 * BPS]))["sources"] == 0b111


def test_update__reading_beyond_dispersion__is_dropped(market: MockedMarket) -> None:
    market.say_all(PRICE)
    market.say(2, PRICE + 50 * BPS + 1, at=NOW - 3)
    event = recorded(market.record())
    assert (event["sources"], event["confidence"], event["publishedAt"]) == (0b011, 0, NOW)


def test_update__all_apart__reverts(market: MockedMarket) -> None:
    market.say_all([PRICE - 51 * BPS, PRICE, PRICE + 51 * BPS])
    with reverts("Oracle_Dispersed", MARKET, 1, 2):
        market.record()


# ----------------------------------------------------------------------------------------------------- 6: confidence


def test_update__confidence__is_that_of_a_quorum(evm: Evm) -> None:
    market = MockedMarket.create(evm, pulls=5)
    for index, (deviation, confidence) in enumerate(((-20, 1), (-1, 7), (0, 3), (2, 2), (30, 0))):
        market.say(index, PRICE + deviation * BPS, confidence=confidence * BPS)
    assert recorded(market.record())["confidence"] == 8 * BPS  # the third of 3, 4, 8, 21, 30


def test_update__confidence__at_the_limit_and_beyond(market: MockedMarket) -> None:
    market.say(0, 0)
    market.say(1, PRICE - BPS, confidence=99 * BPS)
    market.say(2, PRICE + BPS, confidence=99 * BPS)
    assert recorded(market.record())["confidence"] == 100 * BPS
    market.evm.advance(1)
    market.say(0, 0)
    market.say(1, PRICE - BPS, confidence=99 * BPS + 1)
    market.say(2, PRICE + BPS, confidence=99 * BPS + 1)
    with reverts("Oracle_TooUncertain", MARKET, 100 * BPS + 1, 100 * BPS):
        market.record()


@pytest.mark.parametrize(("confidence", "state"), [(30 * BPS, OPEN), (30 * BPS + 1, DOUBTFUL)])
def test_update__confidence_to_open__decides_the_state(market: MockedMarket, confidence: int, state: int) -> None:
    for index in range(3):
        market.say(index, confidence=confidence)
    assert recorded(market.record())["state"] == state


# ------------------------------------------------------------------------------------------------------ 8: the move


@pytest.mark.parametrize(("elapsed", "limit_bps"), [(0, 1_000), (1, 1_016), (60, 2_000), (600, 11_000)])
@pytest.mark.parametrize("sign", [1, -1])
def test_update__move__is_limited_and_the_limit_widens(
    market: MockedMarket, elapsed: int, limit_bps: int, sign: int
) -> None:
    market.say_all(at=NOW - 1)
    market.record()
    market.evm.timestamp = NOW - 1 + elapsed + (elapsed == 0)
    elapsed = market.evm.timestamp - (NOW - 1)
    limit = PRICE * 1_000 * (60 + elapsed) // (60 * 10_000)
    assert limit // BPS in (limit_bps, limit_bps + 16)
    if sign < 0 and limit >= PRICE:
        assert recorded(market.record_at(1))["price"] == 1
        return
    market.say_all(PRICE + sign * (limit + 1))
    with reverts("Oracle_MoveTooLarge", MARKET, PRICE + sign * (limit + 1), PRICE, limit):
        market.record()
    market.say_all(PRICE + sign * limit)
    assert recorded(market.record())["price"] == PRICE + sign * limit


def test_update__first_record__has_no_move_limit(market: MockedMarket) -> None:
    assert recorded(market.record_at(1))["price"] == 1


# ---------------------------------------------------------------------------------------------------- 9: push bounds


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("deviation", "state"), [(200 * BPS, OPEN), (200 * BPS + 1, DOUBTFUL)])
def test_update__push_source_off__makes_it_doubtful(
    bounded: MockedMarket, sign: int, deviation: int, state: int
) -> None:
    bounded.say(3, PRICE + sign * deviation)
    assert recorded(bounded.record())["state"] == state


@pytest.mark.parametrize("sign", [1, -1])
def test_update__enough_push_sources_far_off__reverts(bounded: MockedMarket, sign: int) -> None:
    far = PRICE + sign * (1_000 * BPS + 1)
    bounded.say(3, far + sign)
    bounded.say(4, far)
    with reverts("Oracle_OutOfBounds", MARKET, PRICE, far):
        bounded.record()
    bounded.say(4, PRICE + sign * 1_000 * BPS)
    assert recorded(bounded.record())["state"] == DOUBTFUL


def test_update__bound_quorum_of_one__lets_one_refuse(evm: Evm) -> None:
    market = MockedMarket.create(evm, pushes=1, boundQuorum=1)
    market.say_all()
    market.say(3, PRICE + 1_000 * BPS + 1)
    with reverts("Oracle_OutOfBounds", MARKET, PRICE, PRICE + 1_000 * BPS + 1):
        market.record()
    market.say(3, PRICE + 1_000 * BPS)
    assert recorded(market.record())["state"] == DOUBTFUL


@pytest.mark.parametrize(
    ("price", "at"), [(1, NOW - 3_601), (1, NOW + 1), (1, 0), (0, NOW), (2**96, NOW), (2**256 - 1, NOW)]
)
def test_update__push_source_old_future_or_empty__says_nothing(bounded: MockedMarket, price: int, at: int) -> None:
    bounded.say(3, price, at=at)
    bounded.say(4, price, at=at)
    assert recorded(bounded.record())["state"] == OPEN


def test_update__push_source_at_its_greatest_age__counts(bounded: MockedMarket) -> None:
    bounded.say(3, 1, at=NOW - 3_600)
    assert recorded(bounded.record())["state"] == DOUBTFUL


# ------------------------------------------------------------------------------------------------------ 10: the state


def test_update__guard__wins_over_doubt(market: MockedMarket) -> None:
    def say_uncertain() -> None:
        for index in range(3):
            market.say(index, confidence=40 * BPS)

    say_uncertain()
    market.uptime.setRound(2, 1, NOW, NOW)
    assert recorded(market.record())["state"] == DOWN
    market.evm.advance(10)
    market.uptime.setRound(3, 0, market.evm.timestamp, market.evm.timestamp)
    say_uncertain()
    assert recorded(market.record())["state"] == GRACE
    market.evm.advance(GRACE_SECONDS)
    say_uncertain()
    assert recorded(market.record())["state"] == DOUBTFUL
    market.evm.advance(1)
    market.say_all()
    assert recorded(market.record())["state"] == OPEN


# -------------------------------------------------------------------------------------------------- forced and bound


def test_forcedPrice__signed_data__aggregates_without_recording(market: MockedMarket) -> None:
    market.record_at()
    market.evm.advance(100)
    for index, price in enumerate((PRICE // 2, PRICE // 2 + 3, PRICE // 2 + 1)):
        market.say(index, price, at=NOW + 20 + index)
    result = market.aggregator.forcedPrice.call(MARKET, NOW + 20, 80, [])
    assert tuple(result) == (PRICE // 2 + 1, 1, NOW + 20)
    assert market.newest.sequence == 1


def test_forcedPrice__data_before_the_order__reverts(market: MockedMarket) -> None:
    market.say_all()
    market.say(1, at=NOW - 1)
    with reverts("Oracle_NotNewer", MARKET, 1, NOW - 1):
        market.aggregator.forcedPrice(MARKET, NOW, 60, [])


def test_forcedPrice__age__at_most_what_is_asked_and_the_constant(market: MockedMarket) -> None:
    market.say_all()
    market.evm.advance(120)
    with reverts("Oracle_SourceMissing", MARKET, 0):
        market.aggregator.forcedPrice(MARKET, 0, 119, [])
    assert market.aggregator.forcedPrice.call(MARKET, 0, 120, [])[0] == PRICE
    with reverts("Oracle_MaxAgeOutOfBounds", 121, 120):
        market.aggregator.forcedPrice(MARKET, 0, 121, [])


def test_forcedPrice__ether_that_nobody_takes__is_refused(evm: Evm, market: MockedMarket) -> None:
    market.say_all()
    evm.set_balance(ANYONE, 1)
    with reverts("Oracle_ValueUnused", 1):
        market.aggregator.forcedPrice(MARKET, NOW, 60, [], value=1)


def test_boundPrice__push_sources__gives_their_median(bounded: MockedMarket) -> None:
    with reverts("Oracle_NoBound", MARKET, NOW):
        bounded.aggregator.boundPrice(MARKET, NOW)
    tolerance = PRICE * CONFIG["boundReduceBps"] // 10_000 + 1
    bounded.say(3, PRICE + 4, at=NOW - 5)
    assert bounded.aggregator.boundPrice(MARKET, NOW - 5) == (PRICE + 4, tolerance, NOW - 5)
    bounded.say(4, PRICE + 7, at=NOW)
    assert bounded.aggregator.boundPrice(MARKET, NOW - 5) == (PRICE + 5, tolerance, NOW - 5)
    assert bounded.aggregator.boundPrice(MARKET, NOW - 4) == (PRICE + 7, tolerance, NOW)
    bounded.evm.advance(3_600)
    assert bounded.aggregator.boundPrice(MARKET, 0) == (PRICE + 7, tolerance, NOW)
    bounded.evm.advance(1)
    with reverts("Oracle_NoBound", MARKET, 0):
        bounded.aggregator.boundPrice(MARKET, 0)


def test_readings__all_sources__in_order(bounded: MockedMarket) -> None:
    bounded.say(4, 77, at=NOW - 9)
    pulls, pushes = bounded.aggregator.readings(MARKET)
    assert [tuple(reading) for reading in pulls] == [(PRICE, 0, NOW)] * 3
    assert [tuple(reading) for reading in pushes] == [(0, 0, 0), (77, 0, NOW - 9)]
    assert bounded.newest == NO_RECORD
