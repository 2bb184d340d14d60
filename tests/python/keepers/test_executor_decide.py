"""What the executor decides: queues in order, triggers by the model's price, nothing that isn't due."""

from __future__ import annotations

import pytest

from plimsoll.core.units import WAD
from plimsoll.keepers.executor import Rescan, Settle, Snapshot, Trigger, decide
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.snapshots import MarketSnapshot
from tests.python.keepers.made_up import BTC, ETH, NOW, PRICE, market, queued, waiting


def snapshot(*orders: OpenOrder, markets: list[MarketSnapshot], now: int = NOW, then: int = NOW) -> Snapshot:
    return Snapshot(now, then, {one.market_id: one for one in markets}, orders, {})


def sequences(decision: object) -> list[int]:
    assert isinstance(decision, Settle)
    return [one.sequence for one in decision.orders]


def test_decide__nothing_open__does_nothing() -> None:
    assert decide(snapshot(markets=[market()])) == []


def test_decide__queue__goes_from_its_head_in_order() -> None:
    orders = [queued(9), queued(7), queued(8)]
    [decision] = decide(snapshot(*orders, markets=[market(head=7, following=10)]))
    assert sequences(decision) == [7, 8, 9]


def test_decide__queue__stops_at_the_first_that_is_not_due() -> None:
    orders = [queued(7), queued(8, settle_from=NOW + 1), queued(9)]
    [decision] = decide(snapshot(*orders, markets=[market(head=7, following=10)]))
    assert sequences(decision) == [7]


def test_decide__queue__stops_at_an_order_that_it_does_not_know() -> None:
    [decision] = decide(snapshot(queued(7), queued(9), markets=[market(head=7, following=10)]))
    assert sequences(decision) == [7]


def test_decide__head_unknown__reads_the_events_again() -> None:
    assert decide(snapshot(queued(8), markets=[market(head=7, following=9)])) == [Rescan(ETH, 7)]


def test_decide__orders_before_the_head__are_settled_already() -> None:
    """After a restart, events may lag behind the views."""
    assert decide(snapshot(queued(5), queued(6), markets=[market(head=7, following=7)])) == []


@pytest.mark.parametrize(
    ("settle_from", "published_age", "now", "due"),
    [
        (NOW, 0, NOW, True),  # a record at T
        (NOW, 1, NOW, False),  # the last record is older than T
        (NOW - 6, 10, NOW, False),  # no record at all until T + 2 windows
        (NOW - 7, 10, NOW, True),  # void from then on
    ],
)
def test_decide__market_order__is_due_with_its_record_or_void(
    settle_from: int, published_age: int, now: int, due: bool
) -> None:
    head = market(head=7, following=8, age=published_age)
    assert bool(decide(snapshot(queued(7, settle_from=settle_from), markets=[head], now=now))) == due


def test_decide__market_without_any_price__voids_what_is_too_late() -> None:
    silent = market(head=7, following=8, price=None)
    assert decide(snapshot(queued(7, settle_from=NOW - 6), markets=[silent])) == []
    assert decide(snapshot(queued(7, settle_from=NOW - 7), markets=[silent]))


def test_decide__long_queue__goes_in_batches() -> None:
    orders = [queued(place) for place in range(1, 6)]
    decisions = decide(snapshot(*orders, markets=[market(head=1, following=6)]), 2)
    assert [sequences(one) for one in decisions] == [[1, 2], [3, 4], [5]]


def test_decide__several_markets__each_has_its_own_queue() -> None:
    orders = [queued(3, market_id=BTC), queued(1)]
    decisions = decide(snapshot(*orders, markets=[market(BTC, head=3, following=4), market(head=1, following=2)]))
    assert [one.market_id for one in decisions] == [ETH, BTC]


# --- triggers ----------------------------------------------------------------------------------------------------

IMPACT = market().model().fill_quote(10 * WAD, PRICE, 0).price
SKEWED = {"long": 100 * WAD}


@pytest.mark.parametrize(
    ("base", "limit", "triggered"),
    [
        (10 * WAD, IMPACT, True),
        (10 * WAD, IMPACT - 1, False),
        (10 * WAD, PRICE, False),  # the index is there, the fill price is not
        (-10 * WAD, PRICE, False),
        (-10 * WAD, 2 * PRICE - IMPACT, True),
    ],
)
def test_decide__limit_order__goes_at_the_models_fill_price(base: int, limit: int, triggered: bool) -> None:
    found = decide(snapshot(waiting(base, limit), markets=[market()]))
    assert [type(one) for one in found] == ([Trigger] if triggered else [])


def test_decide__skew__moves_the_price_of_a_limit() -> None:
    sell = waiting(-10 * WAD, PRICE)
    assert decide(snapshot(sell, markets=[market()])) == []
    assert decide(snapshot(sell, markets=[market(long=100 * WAD)]))


@pytest.mark.parametrize(
    ("age", "settle_from", "expiry", "then", "due"),
    [
        (0, NOW, 0, NOW, True),
        (0, NOW + 1, 0, NOW + 1, False),  # the record is older than T
        (3, NOW - 9, 0, NOW, True),
        (4, NOW - 9, 0, NOW, False),  # older than the settlement window
        (3, NOW - 9, 0, NOW + 1, False),  # will be, by the time that it is executed
        (0, NOW, NOW, NOW, True),
        (0, NOW, NOW - 1, NOW, False),  # expired
    ],
)
def test_decide__limit_order__needs_a_young_record_after_t(
    age: int, settle_from: int, expiry: int, then: int, due: bool
) -> None:
    order = waiting(WAD, 2 * PRICE, settle_from=settle_from, expiry=expiry)
    assert bool(decide(snapshot(order, markets=[market(age=age)], then=then))) == due


def test_decide__market_orders_pending__only_reductions_go() -> None:
    opening, reducing = waiting(WAD, 2 * PRICE, salt=1), waiting(WAD, 2 * PRICE, reduce_only=True, salt=2)
    not_due = queued(4, settle_from=NOW + 1)
    [decision] = decide(snapshot(opening, reducing, not_due, markets=[market(head=4, following=5)]))
    assert isinstance(decision, Trigger)
    assert decision.orders == (reducing,)


def test_decide__reduce_only__is_tried_at_the_best_price_that_a_smaller_fill_has() -> None:
    """What it clamps to isn't known: a limit just above the index may do for a small rest of a position."""
    order = waiting(10_000 * WAD, PRICE + WAD // 1000, reduce_only=True)
    assert decide(snapshot(order, markets=[market()]))
    assert not decide(snapshot(waiting(10_000 * WAD, PRICE - 1, reduce_only=True), markets=[market()]))


def test_decide__refused_at_this_record__waits_for_the_next() -> None:
    order = waiting(WAD, 2 * PRICE)
    refused = Snapshot(NOW, NOW, {ETH: market(sequence=5)}, (order,), {order.hash: 5})
    assert decide(refused) == []
    assert decide(Snapshot(NOW, NOW, {ETH: market(sequence=6)}, (order,), {order.hash: 5}))


def test_decide__no_price_or_none_for_that_size__does_nothing() -> None:
    assert decide(snapshot(waiting(WAD, PRICE), markets=[market(price=None)])) == []
    assert decide(snapshot(waiting(-700_000 * WAD, 1), markets=[market()])) == []


def test_decide__queue_before_triggers() -> None:
    found = decide(snapshot(waiting(WAD, 2 * PRICE, reduce_only=True), queued(1), markets=[market(following=2)]))
    assert [type(one) for one in found] == [Settle, Trigger]


def test_describe__names_the_orders() -> None:
    for decision in (Settle(ETH, (queued(1),)), Trigger(ETH, (queued(1),))):
        assert decision.describe()["orders"] == [queued(1).hash.hex()]
    assert Rescan(ETH, 3).describe() == {"do": "rescan", "market": ETH, "head": 3}
