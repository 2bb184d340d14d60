"""The ring of records: the same library behind the aggregator and its stand-in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.evm import Contract, Evm, reverts
from tests.support.oracle import MARKET, NO_RECORD, NOW, OPEN, PRICE, WAD, MockedMarket, Record, unpack

HELD = 64


class Rings:
    """Both contracts, given the same records."""

    def __init__(self, evm: Evm) -> None:
        self.market = MockedMarket.create(evm)
        self.mock = evm.deploy("MockPriceRecords")

    def record(self, published_at: int, price: int = PRICE) -> None:
        self.market.evm.timestamp = published_at
        self.market.record_at(price)
        self.mock.record(MARKET, price, 0, published_at, OPEN)


@pytest.fixture
def rings(evm: Evm) -> Rings:
    return Rings(evm)


@pytest.fixture(params=["OracleAggregator", "MockPriceRecords"])
def contract(request: pytest.FixtureRequest, rings: Rings) -> Callable[[], Contract]:
    return lambda: rings.market.aggregator if request.param == "OracleAggregator" else rings.mock


def settle(contract: Contract, not_before: int) -> tuple[Record, Record]:
    first, newest = contract.settlement(MARKET, not_before)
    return unpack(first), unpack(newest)


def test_newest__no_record__is_zero(contract: Callable[[], Contract]) -> None:
    assert contract().newest(MARKET) == 0
    assert settle(contract(), 0) == (NO_RECORD, NO_RECORD)
    assert contract().price(MARKET) == (0, 0, 0)
    assert contract().recordAt(MARKET, 0) == 0
    assert contract().recordAt(MARKET, 1) == 0


def test_newest__after_records__is_the_last(contract: Callable[[], Contract], rings: Rings) -> None:
    rings.record(NOW + 1)
    rings.record(NOW + 5, PRICE + WAD)
    assert unpack(contract().newest(MARKET)) == Record(PRICE + WAD, 0, NOW + 5, OPEN, 2)
    assert contract().price(MARKET) == (PRICE + WAD, 0, NOW + 5)


def test_settlement__between_records__gives_the_first_not_before(
    contract: Callable[[], Contract], rings: Rings
) -> None:
    for second in (1, 3, 4, 9):
        rings.record(NOW + second)
    expected = {0: 1, 1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 9: 4}
    for not_before, sequence in expected.items():
        first, newest = settle(contract(), NOW + not_before)
        assert (first.sequence, newest.sequence) == (sequence, 4), not_before


def test_settlement__after_the_newest__gives_none(contract: Callable[[], Contract], rings: Rings) -> None:
    rings.record(NOW + 1)
    first, newest = settle(contract(), NOW + 2)
    assert first == NO_RECORD
    assert newest.sequence == 1


def test_settlement__64_records__still_knows_the_first(contract: Callable[[], Contract], rings: Rings) -> None:
    for second in range(HELD):
        rings.record(NOW + second)
    first, newest = settle(contract(), 0)
    assert (first.sequence, newest.sequence) == (1, HELD)


def test_settlement__older_ones_overwritten__gives_none(contract: Callable[[], Contract], rings: Rings) -> None:
    for second in range(HELD + 1):
        rings.record(NOW + second)
    assert settle(contract(), NOW + 1)[0] == NO_RECORD  # record 2 is the first, but nothing held is older
    assert settle(contract(), NOW + 2)[0].sequence == 3
    assert settle(contract(), 0)[0] == NO_RECORD


def test_recordAt__held_and_not__gives_the_record_or_none(contract: Callable[[], Contract], rings: Rings) -> None:
    for second in range(HELD + 6):
        rings.record(NOW + second, PRICE + second)
    count = HELD + 6
    for sequence in (0, 1, count - HELD, count + 1, 2**255):
        assert contract().recordAt(MARKET, sequence) == 0
    for sequence in (count - HELD + 1, HELD, HELD + 1, count - 1, count):
        assert unpack(contract().recordAt(MARKET, sequence)) == Record(
            PRICE + sequence - 1, 0, NOW + sequence - 1, OPEN, sequence
        )


def test_record__not_newer__reverts(rings: Rings) -> None:
    rings.mock.record(MARKET, PRICE, 0, NOW, OPEN)
    for published_at in (NOW, NOW - 1):
        with reverts("PriceRing_NotNewer", published_at, NOW):
            rings.mock.record(MARKET, PRICE, 0, published_at, OPEN)


def test_record__field_too_wide__reverts(rings: Rings) -> None:
    for price, confidence, published_at in ((2**96, 0, NOW), (1, 2**80, NOW), (1, 0, 2**40)):
        with reverts("PriceRecord_OutOfRange", price, confidence, published_at):
            rings.mock.record(MARKET, price, confidence, published_at, OPEN)
    rings.mock.record(MARKET, 2**96 - 1, 2**80 - 1, 2**40 - 1, 3)
    assert unpack(rings.mock.newest(MARKET)) == Record(2**96 - 1, 2**80 - 1, 2**40 - 1, 3, 1)


def test_update__mock__records_newer_and_skips_the_rest(rings: Rings) -> None:
    from eth_abi.abi import encode

    types = ["uint256", "uint256", "uint256", "uint256", "uint8"]
    items = [encode(types, [MARKET, PRICE + i, i, NOW + at, 1]) for i, at in enumerate((1, 1, 0, 2))]
    rings.mock.update(items)
    assert unpack(rings.mock.newest(MARKET)) == Record(PRICE + 3, 3, NOW + 2, 1, 2)
    with reverts("MockPriceRecords_ValueUnused", 1):
        rings.market.evm.set_balance(rings.mock.address, 0)
        rings.market.evm.set_balance("0x" + "11" * 20, 1)
        rings.mock.update([], sender="0x" + "11" * 20, value=1)


def test_settlement__random_records__agrees_with_a_list(built: None) -> None:
    evm = Evm()
    mock = evm.deploy("MockPriceRecords")

    @given(gaps=st.lists(st.integers(1, 3), max_size=150), asked=st.lists(st.integers(-3, 460), max_size=20))
    def check(gaps: list[int], asked: list[int]) -> None:
        with evm.isolated():
            times: list[int] = []
            for gap in gaps:
                times.append((times[-1] if times else NOW) + gap)
                mock.record(MARKET, PRICE, 0, times[-1], OPEN)
            for offset in asked:
                later = [time for time in times if time >= NOW + offset]
                known = bool(later) and (len(later) < HELD or len(times) == len(later) == HELD)
                first, newest = settle(mock, NOW + offset)
                assert first.published_at == (later[0] if known else 0)
                assert newest.published_at == (times[-1] if times else 0)

    check()
