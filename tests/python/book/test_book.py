"""The limit order book against itself done slowly, and each of its rules by name."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.book.book import NEVER, Book, End, Fill, Level, Limits, Matched, Removed, Resting
from plimsoll.core.orders import TimeInForce

GTT, POST_ONLY, IOC, FOK = TimeInForce
NOW = 1_000
OPEN = Limits(NOW)
BUY, SELL = True, False


class Books:
    """A book whose orders are named by numbers."""

    def __init__(self) -> None:
        self.book = Book()
        self.last = 0

    def order(self, is_buy: bool, price: int, size: int, *, owner: int = 0, last_second: int = NEVER) -> Resting:
        self.last += 1
        return Resting(key(self.last), owner or self.last, is_buy, price, size, self.last, last_second)

    def rest(self, is_buy: bool, price: int, size: int, **fields: int) -> Resting:
        order = self.order(is_buy, price, size, **fields)
        self.book.insert(order)
        return order

    def take(
        self,
        is_buy: bool,
        price: int,
        size: int,
        time_in_force: TimeInForce = GTT,
        limits: Limits = OPEN,
        owner: int = 0,
    ) -> Matched:
        return self.book.match(self.order(is_buy, price, size, owner=owner), time_in_force, limits)


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def fills(*parts: tuple[int, int, int]) -> list[Fill]:
    """(maker's number, base, price) each."""
    return [Fill(key(number), base, price) for number, base, price in parts]


@pytest.fixture
def books() -> Books:
    return Books()


def test_match__better_price_came_later__first(books: Books) -> None:
    books.rest(SELL, 102, 5)
    books.rest(SELL, 101, 5)
    books.rest(SELL, 103, 5)
    assert books.take(BUY, 102, 12) == Matched(fills((2, 5, 101), (1, 5, 102)), 2, None, [])
    assert books.book.depth(9) == ([Level(102, 2, 1)], [Level(103, 5, 1)])


def test_match__one_price__oldest_first(books: Books) -> None:
    for _ in range(3):
        books.rest(BUY, 100, 5)
    assert books.take(SELL, 100, 7).fills == fills((1, 5, 100), (2, 2, 100))
    assert books.book.depth(9) == ([Level(100, 8, 2)], [])


def test_match__partly_filled__keeps_its_place(books: Books) -> None:
    books.rest(SELL, 100, 5)
    books.rest(SELL, 100, 5)
    books.take(BUY, 100, 2)
    assert books.take(BUY, 100, 4).fills == fills((1, 3, 100), (2, 1, 100))


@pytest.mark.parametrize(("price", "matched"), [(99, 0), (100, 5)])
def test_match__limit__reached_or_not(books: Books, price: int, matched: int) -> None:
    books.rest(SELL, 100, 5)
    assert books.take(BUY, price, 5).left == 5 - matched


@pytest.mark.parametrize(("price", "matched"), [(101, 0), (100, 5)])
def test_match__limit_of_a_sell__reached_or_not(books: Books, price: int, matched: int) -> None:
    books.rest(BUY, 100, 5)
    assert books.take(SELL, price, 5).left == 5 - matched


def test_match__own_order_in_the_way__newest_ends(books: Books) -> None:
    books.rest(SELL, 100, 5)
    books.rest(SELL, 101, 5, owner=77)
    books.rest(SELL, 102, 5)
    found = books.take(BUY, 102, 15, owner=77)
    assert found == Matched(fills((1, 5, 100)), 10, End.SELF_MATCH, [])
    assert books.book.depth(9) == ([], [Level(101, 5, 1), Level(102, 5, 1)])


def test_match__own_order_not_reached__filled(books: Books) -> None:
    books.rest(SELL, 100, 5)
    books.rest(SELL, 101, 5, owner=77)
    assert books.take(BUY, 102, 5, owner=77).end is None


def test_match__post_only__rests_or_is_refused_whole(books: Books) -> None:
    books.rest(SELL, 100, 5)
    assert books.take(BUY, 100, 3, POST_ONLY) == Matched([], 3, End.WOULD_TAKE, [])
    assert books.take(BUY, 99, 3, POST_ONLY) == Matched([], 3, None, [])
    assert books.book.depth(9) == ([Level(99, 3, 1)], [Level(100, 5, 1)])


def test_match__immediate_or_cancel__rest_is_gone(books: Books) -> None:
    books.rest(SELL, 100, 5)
    assert books.take(BUY, 100, 5, IOC) == Matched(fills((1, 5, 100)), 0, None, [])
    books.rest(SELL, 100, 5)
    assert books.take(BUY, 100, 6, IOC) == Matched(fills((3, 5, 100)), 1, End.NOTHING_LEFT_TO_TAKE, [])
    assert len(books.book) == 0


def test_match__fill_or_kill__all_or_nothing(books: Books) -> None:
    books.rest(SELL, 100, 5)
    books.rest(SELL, 101, 5)
    assert books.take(BUY, 101, 11, FOK) == Matched([], 11, End.NOT_FILLED, [])
    assert books.take(BUY, 100, 6, FOK) == Matched([], 6, End.NOT_FILLED, [])
    assert len(books.book) == 2
    assert books.take(BUY, 101, 10, FOK) == Matched(fills((1, 5, 100), (2, 5, 101)), 0, None, [])


def test_match__fill_or_kill_needs_own_order__killed(books: Books) -> None:
    books.rest(SELL, 100, 5)
    books.rest(SELL, 100, 5, owner=77)
    assert books.take(BUY, 100, 6, FOK, owner=77).end == End.NOT_FILLED


@pytest.mark.parametrize(("time_in_force", "matched", "end"), [
    (GTT, 4, None), (IOC, 3, End.NOTHING_LEFT_TO_TAKE), (FOK, 0, End.NOT_FILLED),
])  # fmt: skip
def test_match__more_makers_than_one_settlement_takes__only_who_must_is_cut(
    books: Books, time_in_force: TimeInForce, matched: int, end: End | None
) -> None:
    for _ in range(4):
        books.rest(SELL, 100, 1)
    found = books.take(BUY, 100, 4, time_in_force, Limits(NOW, max_fills=3))
    assert (len(found.fills), found.end) == (matched, end)


@pytest.mark.parametrize(("last_second", "removed"), [(NOW - 1, True), (NOW, False)])
def test_match__expired_maker__removed_on_the_way(books: Books, last_second: int, removed: bool) -> None:
    books.rest(SELL, 100, 5, last_second=last_second)
    books.rest(SELL, 100, 5)
    found = books.take(BUY, 100, 5)
    assert found.removed == ([Removed(key(1), End.EXPIRED)] if removed else [])
    assert found.fills == fills((2, 5, 100) if removed else (1, 5, 100))
    assert len(books.book) == 1 - removed


def test_match__price_beyond_the_band__taker_stops_there(books: Books) -> None:
    books.rest(SELL, 110, 5)
    books.rest(SELL, 111, 5)
    found = books.take(BUY, 120, 10, limits=Limits(NOW, (90, 110)))
    assert found == Matched(fills((1, 5, 110)), 5, End.OUTSIDE_BAND, [])
    assert books.book.depth(9) == ([], [Level(111, 5, 1)])


def test_match__price_that_the_index_left_behind__removed(books: Books) -> None:
    books.rest(SELL, 89, 5)
    books.rest(SELL, 90, 5)
    found = books.take(BUY, 120, 5, limits=Limits(NOW, (90, 110)))
    assert found == Matched(fills((2, 5, 90)), 0, None, [Removed(key(1), End.OUTSIDE_BAND)])


def test_match__sells_in_a_band__both_edges(books: Books) -> None:
    books.rest(BUY, 111, 5)
    books.rest(BUY, 90, 5)
    books.rest(BUY, 89, 5)
    found = books.take(SELL, 80, 10, limits=Limits(NOW, (90, 110)))
    assert found == Matched(fills((2, 5, 90)), 5, End.OUTSIDE_BAND, [Removed(key(1), End.OUTSIDE_BAND)])


def test_insert__old_sequence__back_in_its_place(books: Books) -> None:
    first = books.rest(SELL, 100, 5)
    books.rest(SELL, 100, 5)
    books.book.remove(first.hash)
    books.book.insert(first)
    assert books.take(BUY, 100, 1).fills == fills((1, 1, 100))


def test_insert__twice_or_empty__ValueError(books: Books) -> None:
    order = books.rest(SELL, 100, 5)
    with pytest.raises(ValueError, match="rests already"):
        books.book.insert(order)
    with pytest.raises(ValueError, match="nothing left"):
        books.book.insert(books.order(SELL, 100, 0))


def test_remove__unknown__None(books: Books) -> None:
    assert books.book.remove(key(1)) is None


def test_changed_levels__each_change_once(books: Books) -> None:
    order = books.rest(SELL, 100, 5)
    books.rest(BUY, 90, 1)
    assert books.book.changed_levels() == ([Level(90, 1, 1)], [Level(100, 5, 1)])
    books.book.resize(order.hash, 2)
    assert books.book.changed_levels() == ([], [Level(100, 2, 1)])
    books.book.remove(order.hash)
    assert books.book.changed_levels() == ([], [Level(100, 0, 0)])
    assert books.book.changed_levels() == ([], [])


def test_depth__more_levels_than_wanted__the_best(books: Books) -> None:
    for price in (101, 103, 102):
        books.rest(SELL, price, 1)
        books.rest(BUY, price - 10, 1)
    bids, asks = books.book.depth(2)
    assert [level.price for level in bids] == [93, 92]
    assert [level.price for level in asks] == [101, 102]


# --- against the same done slowly ------------------------------------------------------------------------------------


class Order(NamedTuple):
    is_buy: bool
    price: int
    size: int
    owner: int
    time_in_force: TimeInForce
    last_second: int
    cancels: int
    """Which older order is cancelled first; none where there is no such."""


orders = st.builds(
    Order,
    st.booleans(),
    st.integers(95, 105),
    st.integers(1, 20),
    st.integers(1, 4),
    st.sampled_from(list(TimeInForce)),
    st.sampled_from([NOW - 1, NOW, NEVER]),
    st.integers(0, 60),
)


class SlowBook:
    """A list, sorted again for every order."""

    def __init__(self) -> None:
        self.resting: list[Resting] = []

    def match(self, taker: Resting, time_in_force: TimeInForce, limits: Limits) -> tuple[list[Fill], int, End | None]:
        others = sorted((one for one in self.resting if one.is_buy != taker.is_buy), key=lambda one: one.key)
        crossing = [one for one in others if taker.accepts(one.price)]
        found: list[Fill] = []
        left, end = taker.left, None
        gone = []
        for one in crossing:
            if not left:
                break
            if one.last_second < limits.now:
                gone.append(one)
            elif time_in_force == POST_ONLY:
                end = End.WOULD_TAKE
                break
            elif one.owner == taker.owner:
                end = End.SELF_MATCH
                break
            else:
                base = min(left, one.left)
                found.append(Fill(one.hash, base, one.price))
                left -= base
        for one in gone:
            self.resting.remove(one)
        if time_in_force == FOK and left:
            return [], taker.left, End.NOT_FILLED
        for fill in found:
            maker = next(one for one in self.resting if one.hash == fill.maker)
            maker.left -= fill.base
        self.resting = [one for one in self.resting if one.left]
        if left and time_in_force == IOC and end is None:
            end = End.NOTHING_LEFT_TO_TAKE
        if left and end is None:
            taker.left = left
            self.resting.append(taker)
        return found, left, end


@given(st.lists(orders, max_size=60))
def test_match__any_orders__as_done_slowly(given_orders: list[Order]) -> None:
    book, slow = Book(), SlowBook()
    for number, one in enumerate(given_orders, 1):
        book.remove(key(one.cancels))
        slow.resting = [other for other in slow.resting if other.hash != key(one.cancels)]
        made = [
            Resting(key(number), one.owner, one.is_buy, one.price, one.size, number, one.last_second) for _ in range(2)
        ]
        found = book.match(made[0], one.time_in_force, OPEN)
        assert found[:3] == slow.match(made[1], one.time_in_force, OPEN)
        assert not book.is_crossed
        assert sorted((one.hash, one.left) for one in book) == sorted((one.hash, one.left) for one in slow.resting)
        for is_buy, levels in zip((True, False), book.depth(99), strict=True):
            sizes: dict[int, int] = {}
            for other in sorted((one for one in slow.resting if one.is_buy == is_buy), key=lambda one: one.key):
                sizes[other.price] = sizes.get(other.price, 0) + other.left
            assert [(level.price, level.size) for level in levels] == list(sizes.items())
