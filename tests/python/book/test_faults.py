"""Who has to go when the contracts refuse a match, and in which order matches can all be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.book.faults import Fault, arranged, fault_of
from plimsoll.book.records import BookOrder, Match
from plimsoll.chain.transactions import Reverted
from plimsoll.core.units import WAD
from tests.python.book.setting import ETH, Desk, account_of, desk
from tests.python.risk.setting import BTC

A, B = 1, 2
MINIMUM = WAD
"""A position of $1,000."""


@pytest.fixture
def pair() -> tuple[Desk, Match, BookOrder, BookOrder]:
    """A buy of five against a sale of five."""
    book = desk(A, B)
    maker, taker = book.submit(A, -5, 0), book.submit(B, 5, 0)
    return book, book.engine.work(1)[0].matches[0], maker, taker


Pair = tuple[Desk, Match, BookOrder, BookOrder]


def judged(pair: Pair, name: str, **values: Any) -> Fault:
    book, match, maker, taker = pair
    return fault_of(Reverted(b"", name, values), match, maker, taker, book.facts)


def hold(pair: Pair, number: int, size: int, market_id: int = ETH) -> None:
    pair[0].facts.accounts[account_of(number)].positions[market_id] = size, -size * 1_000, 0


@pytest.mark.parametrize("name", ["PerpMarket_InsufficientMargin", "OrderBook_WrongCounter", "PerpMarket_LessHealthy"])
def test_fault_of__account_named__its_own(pair: Pair, name: str) -> None:
    assert judged(pair, name, account=account_of(A)) is Fault.MAKER
    assert judged(pair, name, account=account_of(B)) is Fault.TAKER


@pytest.mark.parametrize("name", ["OrderBook_UnknownOrder", "OrderBook_Overfilled"])
def test_fault_of__hash_named__its_own(pair: Pair, name: str) -> None:
    assert judged(pair, name, hash=pair[2].hash) is Fault.MAKER
    assert judged(pair, name, hash=pair[3].hash) is Fault.TAKER


@pytest.mark.parametrize(("name", "values", "fault"), [
    ("OrderBook_Expired", {"expiry": 1}, Fault.MAKER),
    ("OrderBook_OutsideBand", {"price": 1, "indexPrice": 2}, Fault.MAKER),
    ("Whatever", {}, Fault.MAKER),
    ("OrderBook_SelfMatch", {"owner": "0x"}, Fault.TAKER),
    ("OrderBook_NotCrossing", {}, Fault.TAKER),
    ("PerpMarket_OpeningHalted", {"marketId": ETH}, Fault.NOBODY),
    ("PerpMarket_StalePrice", {"marketId": ETH}, Fault.NOBODY),
])  # fmt: skip
def test_fault_of__nobody_named__by_the_kind(pair: Pair, name: str, values: dict[str, Any], fault: Fault) -> None:
    assert judged(pair, name, **values) is fault


def test_fault_of__another_markets_stale_price__of_who_holds_it(pair: Pair) -> None:
    assert judged(pair, "PerpMarket_StalePrice", marketId=BTC) is Fault.TAKER
    hold(pair, A, WAD, BTC)
    assert judged(pair, "PerpMarket_StalePrice", marketId=BTC) is Fault.MAKER
    hold(pair, B, WAD, BTC)
    assert judged(pair, "PerpMarket_StalePrice", marketId=BTC) is Fault.TAKER


@pytest.mark.parametrize("name", ["PerpMarket_OpenInterestLimit", "PerpMarket_IsolatedOnly"])
def test_fault_of__limit_on_growth__of_who_grows_the_taker_first(pair: Pair, name: str) -> None:
    assert judged(pair, name) is Fault.TAKER
    hold(pair, B, -5 * WAD)
    assert judged(pair, name) is Fault.MAKER


def test_fault_of__too_small_a_position__the_makers_own_or_the_takers(pair: Pair) -> None:
    name = "PerpMarket_BelowMinimumPosition"
    hold(pair, A, 55 * WAD // 10)
    assert judged(pair, name, notional=500 * WAD, minimum=1_000 * WAD) is Fault.MAKER
    assert judged(pair, name, notional=400 * WAD, minimum=1_000 * WAD) is Fault.TAKER


def test_fault_of__crumb_that_leaves_too_little__dust_where_it_ends_the_maker_alone(pair: Pair) -> None:
    _, match, maker, taker = pair
    match.base = WAD // 2
    small = ("PerpMarket_BelowMinimumPosition", {"notional": 500 * WAD, "minimum": 1_000 * WAD})
    assert judged(pair, small[0], **small[1]) is Fault.DUST
    maker.left = WAD
    assert judged(pair, small[0], **small[1]) is Fault.TAKER
    maker.left, taker.pending = 0, match.base
    assert judged(pair, small[0], **small[1]) is Fault.TAKER


@pytest.mark.parametrize(("minimum", "fault"), [(5_000, Fault.CRUMB), (5_001, Fault.MAKER)])
def test_fault_of__too_small_a_match__of_the_maker_if_all_of_his_order_is(
    pair: Pair, minimum: int, fault: Fault
) -> None:
    assert judged(pair, "OrderBook_TooSmall", notional=1, minimum=minimum * WAD) is fault


# --- order of matches ------------------------------------------------------------------------------------------------


def parts(pair: Pair, *tenths: int) -> list[tuple[Match, BookOrder]]:
    """Matches of so many tenths of a unit, each with a larger maker's."""
    _, match, maker, taker = pair
    return [
        (Match(place, ETH, maker.hash, taker.hash, True, size * WAD // 10, match.price, 0), maker)
        for place, size in enumerate(tenths)
    ]


@pytest.mark.parametrize(("held", "tenths", "expected"), [
    (0, (20, 15, 15), [20, 15, 15]),
    (0, (5, 45), [45, 5]),
    (-50, (45, 5), [45, 5]),
    (-14, (12, 38), [38, 12]),
    (0, (5, 5), [5, 5]),
])  # fmt: skip
def test_arranged__nothing_too_small_on_the_way__where_it_can_be(
    pair: Pair, held: int, tenths: tuple[int, ...], expected: list[int]
) -> None:
    found = arranged(pair[3], parts(pair, *tenths), held * WAD // 10, MINIMUM)
    assert [match.base * 10 // WAD for match, _ in found] == expected


def test_arranged__crumb_that_is_all_of_its_maker__anywhere(pair: Pair) -> None:
    crumb, *rest = parts(pair, 5, 20, 20)
    maker = pair[0].submit(A, 0, 0, base=-5 * WAD // 10 * 2)
    maker.filled = WAD // 2
    given_parts = [rest[0], (crumb[0], maker), rest[1]]
    assert arranged(pair[3], given_parts, 0, MINIMUM) == given_parts


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(-200, 200))
def test_arranged__any__the_same_matches(tenths: list[int], held: int) -> None:
    book = desk(A, B)
    maker, taker = book.submit(A, -5, 0), book.submit(B, 5, 0)
    given_parts = parts((book, book.engine.work(1)[0].matches[0], maker, taker), *tenths)
    found = arranged(taker, given_parts, held * WAD // 10, MINIMUM)
    assert sorted(match.id for match, _ in found) == list(range(len(tenths)))
