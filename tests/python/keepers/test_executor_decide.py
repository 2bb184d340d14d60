"""What the executor decides: queues in order, triggers by the model's price, nothing that isn't due."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.core.units import WAD
from plimsoll.keepers.batches import Leave, Rescan, Settle, Snapshot, Trigger, decide, limit_of
from plimsoll.keepers.costs import Costs
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.snapshots import MarketSnapshot
from tests.python.keepers.made_up import BTC, ETH, NOW, PRICE, TRADER, left_queue, market, profit, queued, stop, waiting

FEE = WAD // 2


def snapshot(
    *orders: OpenOrder, markets: list[MarketSnapshot] | None = None, now: int = NOW, then: int = NOW, **more: Any
) -> Snapshot:
    return Snapshot(
        now,
        then,
        {one.market_id: one for one in markets or [market()]},
        tuple(one for one in orders if one.is_queued),
        tuple(one for one in orders if not one.is_queued),
        **more,
    )


def costing(order: int, batch: int = 0, margin_bps: int = 0) -> Costs:
    """So many WAD dollars for each order and for each transaction, by their L1 data alone."""
    return Costs(eth_price=WAD, l1_batch=batch, l1_order=order, margin_bps=margin_bps)


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


def test_decide__more_than_a_block_has_room_for__queues_go_first_and_markets_take_turns() -> None:
    """What waited in one market keeps no market order in another, and what isn't sent isn't claimed."""
    orders = [queued(1), queued(2), queued(3, market_id=BTC), waiting(WAD, 2 * PRICE, reduce_only=True)]
    markets = [market(head=1, following=3), market(BTC, head=3, following=4)]
    found = decide(snapshot(*orders, markets=markets), 1)
    assert [(type(one), one.market_id) for one in found] == [
        (Settle, ETH), (Settle, BTC), (Settle, ETH), (Trigger, ETH),
    ]  # fmt: skip
    each = limit_of(1)
    for room, count in ((1, 1), (each, 1), (each + 1, 2), (3 * each, 3), (3 * each + 1, 4)):
        assert decide(snapshot(*orders, markets=markets, room=room), 1) == found[:count]


def test_decide__no_room_left__what_is_not_sent_needs_none() -> None:
    assert decide(snapshot(queued(8), markets=[market(head=7, following=9)], room=0)) == [Rescan(ETH, 7)]
    left = decide(snapshot(queued(7), markets=[market(head=7, following=8)], costs=costing(WAD), room=0))
    assert [type(one) for one in left] == [Leave]


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


@pytest.mark.parametrize(("held", "going"), [(WAD // 10, True), (10_000 * WAD, False), (0, False), (-WAD, False)])
def test_decide__reduce_only__is_priced_for_what_it_clamps_to(held: int, going: bool) -> None:
    """A limit just below the index does for a small rest of a position, not for a large one."""
    order = waiting(-10_000 * WAD, PRICE - WAD // 1000, reduce_only=True)
    found = decide(snapshot(order, held={(TRADER, ETH): held}))
    assert [type(one) for one in found] == ([Trigger] if going else [])


def test_decide__steps_of_one_position__share_what_it_holds() -> None:
    """Of two exits of two thirds each the second clamps, and a third has nothing left."""
    steps = [profit(-2 * WAD, PRICE - place) for place in (3, 2, 1)]
    [decision] = decide(snapshot(*steps, held={(TRADER, ETH): 3 * WAD}))
    assert decision == Trigger(ETH, tuple(steps[:2]), (FEE, FEE))


def test_decide__refused_at_this_record__waits_for_a_later_one() -> None:
    order = waiting(WAD, 2 * PRICE)
    assert decide(snapshot(order, markets=[market(sequence=5)], retry_at={order.hash: 6})) == []
    assert decide(snapshot(order, markets=[market(sequence=6)], retry_at={order.hash: 6}))


def test_decide__race_lost__rests() -> None:
    order, first, second = waiting(WAD, 2 * PRICE, reduce_only=True), queued(1), queued(2)
    head = market(head=1, following=3)
    found = decide(snapshot(order, first, second, markets=[head], resting=frozenset({order.hash, second.hash})))
    assert found == [Settle(ETH, (first,), (FEE,))]
    assert decide(snapshot(first, second, markets=[head], resting=frozenset({first.hash}))) == []


def test_decide__market_order_that_left_the_queue__has_no_expiry() -> None:
    assert decide(snapshot(left_queue(-WAD, PRICE // 2, expiry=NOW - 50), held={(TRADER, ETH): WAD}))


def test_decide__no_price_or_none_for_that_size__does_nothing() -> None:
    assert decide(snapshot(waiting(WAD, PRICE), markets=[market(price=None)])) == []
    assert decide(snapshot(waiting(-700_000 * WAD, 1))) == []


def test_decide__queue_before_triggers() -> None:
    found = decide(snapshot(waiting(WAD, 2 * PRICE, reduce_only=True), queued(1), markets=[market(following=2)]))
    assert [type(one) for one in found] == [Settle, Trigger]


# --- what pays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_cost", "batch_cost", "margin_bps", "pays"),
    [
        (FEE, 0, 0, True),
        (FEE + 1, 0, 0, False),
        (0, FEE, 0, True),
        (0, FEE + 1, 0, False),
        (FEE // 2, FEE // 2, 0, True),
        (FEE * 10 // 11, 0, 1_000, True),
        (FEE * 10 // 11 + 1, 0, 1_000, False),
    ],
)
def test_decide__one_order__goes_where_it_pays(order_cost: int, batch_cost: int, margin_bps: int, pays: bool) -> None:
    costs = costing(order_cost, batch_cost, margin_bps)
    for order, kind in ((waiting(WAD, 2 * PRICE), Trigger), (queued(1), Settle)):
        [decision] = decide(snapshot(order, markets=[market(following=1 + order.is_queued)], costs=costs))
        assert decision == (
            kind(ETH, (order,), (FEE,)) if pays else Leave(ETH, (order,), (FEE,), order_cost + batch_cost)
        )


def test_decide__several_orders__share_what_a_transaction_costs() -> None:
    costs, orders = costing(FEE // 2, FEE), [waiting(WAD, 2 * PRICE, salt=salt) for salt in (1, 2)]
    assert [type(one) for one in decide(snapshot(orders[0], costs=costs))] == [Leave]
    assert decide(snapshot(*orders, costs=costs)) == [Trigger(ETH, tuple(orders), (FEE, FEE))]


@pytest.mark.parametrize(("held", "reward"), [(WAD, FEE), (WAD // 50, FEE), (WAD // 100, WAD * 3 // 10)])
def test_decide__reduction__pays_a_hundredth_of_what_it_closes_at_most(held: int, reward: int) -> None:
    [decision] = decide(snapshot(stop(-WAD, PRICE), held={(TRADER, ETH): held}))
    assert isinstance(decision, Trigger)
    assert decision.reward == reward


def test_decide__queue__goes_no_further_than_it_pays() -> None:
    """A reduction that closes dust pays less than it costs; where a later order makes up for it, it goes along."""
    dust, good = queued(1, base=-WAD // 10_000), queued(2, account=TRADER + (1 << 96))
    held, costs, both = {(TRADER, ETH): WAD}, costing(FEE // 2), market(following=3)
    assert decide(snapshot(dust, markets=[market(following=2)], held=held, costs=costs)) == [
        Leave(ETH, (dust,), (WAD * 3 // 1_000,), FEE // 2)
    ]
    assert decide(snapshot(dust, good, markets=[both], held=held, costs=costs)) == [
        Settle(ETH, (dust, good), (WAD * 3 // 1_000, FEE))
    ]
    first = [queued(1), queued(2, base=-WAD // 10_000, account=TRADER + (1 << 96))]
    found = decide(snapshot(*first, markets=[both], held={(TRADER + (1 << 96), ETH): WAD}, costs=costs))
    assert [type(one) for one in found] == [Settle, Leave]
    assert [one.key for one in found] == [(first[0].hash,), (first[1].hash,)]


# --- what is ended along -----------------------------------------------------------------------------------------


def test_decide__all_of_a_position_closed__ends_the_other_exit_along() -> None:
    out, other = stop(-WAD, PRICE), profit(-WAD, 2 * PRICE)
    found = decide(snapshot(out, siblings=(out, other), held={(TRADER, ETH): WAD}))
    assert found == [Trigger(ETH, (out, other), (FEE, 0))]
    rest = decide(snapshot(out, siblings=(out, other), held={(TRADER, ETH): WAD + 1}))
    assert rest == [Trigger(ETH, (out,), (FEE,))]


def test_decide__ending_along__only_as_far_as_the_batch_pays_and_holds() -> None:
    out, others = stop(-WAD, PRICE), tuple(profit(-WAD, (2 + place) * PRICE) for place in range(3))
    given: dict[str, Any] = {"siblings": (out, *others), "held": {(TRADER, ETH): WAD}}
    assert decide(snapshot(out, **given, costs=costing(FEE // 3))) == [Trigger(ETH, (out, *others[:2]), (FEE, 0, 0))]
    assert decide(snapshot(out, **given, costs=costing(FEE))) == [Trigger(ETH, (out,), (FEE,))]
    assert decide(snapshot(out, **given), 2) == [Trigger(ETH, (out, others[0]), (FEE, 0))]


def test_decide__dead_otherwise__only_where_it_sweeps() -> None:
    """Nothing is left of one account, another's parent ended: both go with somebody's fill, never alone."""
    stranger = TRADER + (1 << 96)
    out, dead, orphan = waiting(WAD, 2 * PRICE), stop(-WAD, PRICE, account=stranger), profit(-WAD, PRICE)
    given: dict[str, Any] = {"siblings": (dead,), "orphans": (orphan,), "held": {(stranger, ETH): 0}}
    assert decide(snapshot(out, dead, **given)) == [Trigger(ETH, (out,), (FEE,))]
    assert decide(snapshot(out, dead, **given, sweeps=True)) == [Trigger(ETH, (out, dead, orphan), (FEE, 0, 0))]
    assert decide(snapshot(dead, **given, sweeps=True)) == []


def test_describe__names_the_orders_and_what_they_pay() -> None:
    one = queued(1)
    for decision, name in (
        (Settle(ETH, (one,), (FEE,)), "settle"),
        (Trigger(ETH, (one,), (FEE,)), "trigger"),
        (Leave(ETH, (one,), (FEE,), WAD), "leave"),
    ):
        said = decision.describe()
        assert (said["do"], said["orders"], said["reward"]) == (name, [one.hash.hex()], "0.5")
    assert Rescan(ETH, 3).describe() == {"do": "rescan", "market": ETH, "head": 3}
