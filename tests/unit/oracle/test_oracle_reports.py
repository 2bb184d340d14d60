"""Silence of a source is reported, waited for, and ended."""

from __future__ import annotations

import pytest

from tests.support.evm import Evm, reverts
from tests.support.oracle import MARKET, NOW, PRICE, MockedMarket, recorded

SILENT_AFTER = 30
PROBATION = 600


@pytest.fixture
def market(evm: Evm) -> MockedMarket:
    """Recorded once; ten seconds later nothing on the chain is fresh."""
    market = MockedMarket.create(evm, pushes=1)
    market.record_at()
    evm.advance(10)
    return market


def record_without(market: MockedMarket, absent: int) -> dict[str, int]:
    market.evm.advance(1)
    for index in range(market.pulls):
        if index != absent:
            market.say(index)
    return dict(recorded(market.record()))


def test_reportMissing__no_fresh_reading__starts_the_clock(market: MockedMarket) -> None:
    event = market.aggregator.reportMissing(MARKET, 1).event("SourceReported")
    assert event.args == {"marketId": MARKET, "index": 1, "missingSince": NOW + 10}
    assert market.aggregator.missingSince(MARKET, 1) == NOW + 10
    assert [market.aggregator.missingSince(MARKET, index) for index in (0, 2, 8, 100)] == [0, 0, 0, 0]
    assert market.aggregator.isRequired(MARKET, 1)


def test_reportMissing__fresh_reading__is_refused(market: MockedMarket) -> None:
    market.say(1, at=NOW + 7)
    with reverts("Oracle_SourcePresent", MARKET, 1, NOW + 7):
        market.aggregator.reportMissing(MARKET, 1)
    market.say(1, at=NOW + 6)
    market.aggregator.reportMissing(MARKET, 1)


def test_reportMissing__reading_from_the_future__is_missing(market: MockedMarket) -> None:
    market.say(1, at=NOW + 11)
    market.aggregator.reportMissing(MARKET, 1)


def test_reportMissing__not_newer_than_the_record__is_missing(evm: Evm) -> None:
    market = MockedMarket.create(evm)
    market.record_at()
    market.aggregator.reportMissing(MARKET, 0)


def test_reportMissing__twice__is_refused(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.evm.advance(100)
    with reverts("Oracle_AlreadyReported", MARKET, 1, NOW + 10):
        market.aggregator.reportMissing(MARKET, 1)


@pytest.mark.parametrize("index", [3, 8, 2**255])
def test_reportMissing__no_pull_source__is_refused(market: MockedMarket, index: int) -> None:
    with reverts("Oracle_UnknownSource", MARKET, index):
        market.aggregator.reportMissing(MARKET, index)
    assert not market.aggregator.isRequired(MARKET, index)


def test_update__source_silent_long_enough__is_left_out(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.evm.advance(SILENT_AFTER - 2)
    with reverts("Oracle_SourceMissing", MARKET, 1):
        market.say(1, at=NOW + 1)
        record_without(market, 1)
    assert market.aggregator.isRequired(MARKET, 1)
    assert record_without(market, 1)["sources"] == 0b101
    assert not market.aggregator.isRequired(MARKET, 1)


def test_update__source_back_before_its_silence_is_proven__ends_the_report(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.evm.advance(SILENT_AFTER - 1)
    market.say_all()
    receipt = market.record()
    assert recorded(receipt)["sources"] == 0b111
    assert receipt.event("SourceReturned").args == {"marketId": MARKET, "index": 1}
    assert market.aggregator.missingSince(MARKET, 1) == 0


def test_update__source_back_after_its_silence__stays_optional_for_ten_minutes(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.evm.advance(SILENT_AFTER + PROBATION - 1)
    receipt = market.record_at()
    assert recorded(receipt)["sources"] == 0b111
    assert receipt.events("SourceReturned") == []
    assert not market.aggregator.isRequired(MARKET, 1)
    market.evm.advance(1)
    market.record_at().event("SourceReturned")
    assert market.aggregator.isRequired(MARKET, 1)


def test_update__optional_source_with_old_data__is_left_out_without_a_skip(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.evm.advance(SILENT_AFTER)
    market.say(1, at=NOW)
    assert record_without(market, 1)["sources"] == 0b101


def test_update__source_back_with_nonsense__counts_as_back(market: MockedMarket) -> None:
    market.aggregator.reportMissing(MARKET, 1)
    market.say_all()
    market.say(1, 0)
    assert recorded(market.record())["sources"] == 0b101
    assert market.aggregator.missingSince(MARKET, 1) == 0


def test_update__too_many_silent__has_no_quorum(market: MockedMarket) -> None:
    for index in (0, 1):
        market.aggregator.reportMissing(MARKET, index)
    market.evm.advance(SILENT_AFTER)
    market.say(2)
    with reverts("Oracle_QuorumMissing", MARKET, 1, 2):
        market.record()


def test_update__reports_of_several__end_one_by_one(market: MockedMarket) -> None:
    for index in range(3):
        market.aggregator.reportMissing(MARKET, index)
    market.evm.advance(SILENT_AFTER - 1)
    market.say_all()
    assert [event["index"] for event in market.record().events("SourceReturned")] == [0, 1, 2]
    assert [market.aggregator.missingSince(MARKET, index) for index in range(3)] == [0, 0, 0]


def test_update__eight_sources__each_has_its_clock(evm: Evm) -> None:
    market = MockedMarket.create(evm, pulls=8)
    market.record_at()
    for index in range(8):
        evm.advance(1)
        market.aggregator.reportMissing(MARKET, index)
    assert [market.aggregator.missingSince(MARKET, index) for index in range(8)] == [NOW + 1 + i for i in range(8)]
    evm.timestamp = NOW + 3 + SILENT_AFTER
    assert [market.aggregator.isRequired(MARKET, index) for index in range(8)] == [False] * 3 + [True] * 5
    for index in range(3, 8):
        market.say(index, PRICE)
    assert recorded(market.record())["sources"] == 0b11111000
