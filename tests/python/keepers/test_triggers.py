"""The index of waiting orders: it finds what asking every single order would find."""

from __future__ import annotations

import random

import pytest

from plimsoll.core.orders import OrderKind
from plimsoll.core.units import WAD
from plimsoll.keepers.triggers import Levels, TriggerIndex, clamped, fills
from plimsoll.keepers.triggers_bench import MARKET, bench_triggers, made_up
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.sdk.history import OpenOrder
from tests.python.keepers.made_up import BTC, ETH, NOW, PRICE, TRADER, left_queue, market, profit, stop, waiting


def index_of(*orders: OpenOrder) -> TriggerIndex:
    index = TriggerIndex()
    for one in orders:
        index.add(one)
    return index


def due(*orders: OpenOrder, price: int = PRICE) -> list[OpenOrder]:
    made = market(price=price)
    assert made.newest is not None
    return index_of(*orders).candidates(ETH, Levels.of(made.model(), made.newest))


@pytest.mark.parametrize(
    ("one", "last", "first"),
    [
        (stop(-WAD, PRICE), PRICE + 1, PRICE),
        (stop(WAD, PRICE), PRICE - 1, PRICE),
        (profit(-WAD, PRICE), PRICE - 1, PRICE),
        (profit(WAD, PRICE), PRICE + 1, PRICE),
    ],
)
def test_candidates__trigger__from_its_price_on(one: OpenOrder, last: int, first: int) -> None:
    assert due(one, price=last) == []
    assert due(one, price=first) == [one]


def test_candidates__limit__from_the_price_of_the_smallest_fill_on() -> None:
    made = market()
    assert made.newest is not None
    levels = Levels.of(made.model(), made.newest)
    assert levels == Levels(PRICE, PRICE + 1, PRICE - 1)
    assert due(waiting(WAD, PRICE)) == []
    assert due(waiting(WAD, PRICE + 1)) != []
    assert due(waiting(-WAD, PRICE)) == []
    assert due(waiting(-WAD, PRICE - 1)) != []
    assert due(left_queue(-WAD, PRICE)) == []
    assert due(left_queue(-WAD, PRICE - 1)) != []


def test_candidates__trigger_met_and_price_not_acceptable__is_left_out() -> None:
    gone = stop(-WAD, PRICE, acceptable=PRICE - 10 * WAD)
    assert due(gone, price=PRICE - 10 * WAD) == []
    assert due(gone, price=PRICE - 9 * WAD) == [gone]


def test_candidates__several__oldest_first_and_of_their_market() -> None:
    orders = [waiting(WAD, PRICE + place * WAD, salt=place) for place in (3, 1, 2)]
    assert due(*orders, waiting(WAD, 2 * PRICE, market_id=BTC)) == orders


def test_candidates__side_without_a_price__has_none() -> None:
    assert index_of(waiting(-WAD, 1)).candidates(ETH, Levels(PRICE, PRICE, None)) == []
    assert index_of(stop(-WAD, PRICE)).candidates(ETH, Levels(PRICE, PRICE, None)) == []


def test_remove__and_add_again__as_if_new() -> None:
    first, second = waiting(WAD, 2 * PRICE, salt=1), waiting(WAD, 2 * PRICE, salt=2)
    index = index_of(first, second, first)
    assert len(index) == 2
    index.remove(first.hash)
    index.remove(first.hash)
    assert first.hash not in index
    assert index.of_account(TRADER, ETH) == [second]
    index.add(first)
    assert index.candidates(ETH, Levels(PRICE, PRICE, PRICE)) == [second, first]


def test_drop_expired__after_the_last_second__and_not_of_a_market_order() -> None:
    expiring, ever, left = waiting(WAD, 1, expiry=NOW), waiting(WAD, 1, salt=2), left_queue(-WAD, 1, expiry=NOW)
    index = index_of(expiring, ever, left)
    index.drop_expired(NOW)
    assert len(index) == 3
    index.drop_expired(NOW + 1)
    assert set(index) == {ever.hash, left.hash}


@pytest.mark.parametrize(
    ("base", "held", "size"),
    [(-5, 3, -3), (-5, 7, -5), (-5, 0, 0), (-5, -3, 0), (5, -3, 3), (5, -7, 5), (5, 3, 0)],
)
def test_clamped__reduce_only__at_most_what_is_held(base: int, held: int, size: int) -> None:
    assert clamped(waiting(base, PRICE, reduce_only=True).order, held) == size
    assert clamped(waiting(base, PRICE).order, held) == base


def _asked(one: OpenOrder, model: Market, newest: Record) -> bool:
    """By the words of the specification."""
    order = one.order
    if order.kind == OrderKind.STOP_LOSS and not (
        newest.price >= order.trigger_price if order.base > 0 else newest.price <= order.trigger_price
    ):
        return False
    if order.kind == OrderKind.TAKE_PROFIT and not (
        newest.price <= order.trigger_price if order.base > 0 else newest.price >= order.trigger_price
    ):
        return False
    return fills(order, order.base, model, newest)


@pytest.mark.parametrize("seed", range(3))
def test_candidates__ten_thousand_orders__are_those_that_asking_each_finds(seed: int) -> None:
    source = random.Random(seed)
    made = market(long=source.randrange(1_000) * WAD, short=source.randrange(1_000) * WAD)
    model, book = made.model(), [made_up(source, number, PRICE) for number in range(10_000)]
    index, found_any = index_of(*book), 0
    for sequence in range(6):
        price = PRICE * source.randrange(9_900, 10_100) // 10_000
        newest = Record(price, source.randrange(WAD), NOW, OPEN, sequence)
        found = [
            one
            for one in index.candidates(MARKET, Levels.of(model, newest))
            if fills(one.order, one.order.base, model, newest)
        ]
        assert found == [one for one in book if _asked(one, model, newest)]
        found_any += len(found)
        for one in found:
            index.remove(one.hash)
        gone = {one.hash for one in found}
        book = [one for one in book if one.hash not in gone]
        assert len(index) == len(book)
    assert found_any > 100


def test_bench_triggers__any_size__gives_a_time() -> None:
    assert bench_triggers(100, updates=3) > 0
