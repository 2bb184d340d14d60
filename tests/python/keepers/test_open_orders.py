"""Open orders by what they wait for, from events alone."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.core.units import WAD
from plimsoll.keepers.open_orders import OpenOrders
from plimsoll.sdk import events
from plimsoll.sdk.history import OpenOrder
from tests.python.keepers.made_up import PRICE, TRADER, profit, queued, stop, waiting

AT: dict[str, Any] = {"block_number": 1, "log_index": 0, "tx_hash": "0x"}
KEEPER: dict[str, Any] = {"account": TRADER, "executor": "0x", **AT}


def placed(one: OpenOrder) -> events.OrderPlaced:
    order = one.order
    return events.OrderPlaced(
        hash=one.hash,
        account=order.account,
        market_id=order.market_id,
        order=order,
        settle_from=one.settle_from,
        sequence=one.sequence,
        execution_fee=one.execution_fee,
        fee_reserve=0,
        **AT,
    )


def executed(hash_: bytes) -> events.OrderExecuted:
    return events.OrderExecuted(hash=hash_, **KEEPER)


def matched(maker: bytes, taker: bytes) -> events.OrdersMatched:
    numbers: dict[str, Any] = dict.fromkeys(
        ("market_id", "maker_account", "taker_account", "base", "quote", "maker_fee", "taker_fee", "execution_fee"), 0
    )
    return events.OrdersMatched(maker_hash=maker, taker_hash=taker, **numbers, **AT)


def ends(hash_: bytes) -> list[events.Happened]:
    return [
        events.OrderCancelled(hash=hash_, account=TRADER, **AT),
        events.OrderVoided(hash=hash_, paid=0, **KEEPER),
        events.OrderFailed(hash=hash_, paid=0, forfeited=0, reason=b"", **KEEPER),
    ]


def fed(*records: events.Happened) -> OpenOrders:
    orders = OpenOrders()
    orders.feed(records)
    return orders


def test_feed__market_order__is_queued_and_waits_once_it_left() -> None:
    one = queued(1, reduce_only=True)
    orders = fed(placed(one))
    assert (list(orders.queued), len(orders.index)) == ([one.hash], 0)
    orders.feed([events.OrderLeftQueue(hash=one.hash, account=TRADER, **AT)])
    assert (list(orders.queued), list(orders.index)) == ([], [one.hash])


@pytest.mark.parametrize("place", range(4))
def test_feed__end__is_gone(place: int) -> None:
    one = waiting(WAD, PRICE)
    orders = fed(placed(one), placed(one), [executed(one.hash), *ends(one.hash)][place], placed(one))
    assert (len(orders), len(orders.index), one.hash in orders) == (0, 0, False)


def test_feed__parent_filled__before_or_after() -> None:
    parent = waiting(WAD, PRICE)
    child = stop(-WAD, PRICE // 2, parent=parent.hash)
    orders = fed(placed(parent), placed(child))
    assert list(orders.index) == [parent.hash]
    orders.feed([executed(parent.hash)])
    assert list(orders.index) == [child.hash]
    assert list(fed(placed(parent), executed(parent.hash), placed(child)).index) == [child.hash]


def test_feed__parent_matched_in_part__counts_as_filled_however_it_ends() -> None:
    parent = waiting(WAD, PRICE)
    child = stop(-WAD, PRICE // 2, parent=parent.hash)
    for pair in ((parent.hash, bytes(32)), (bytes(32), parent.hash)):
        for end in ends(parent.hash):
            assert list(fed(placed(child), matched(*pair), end).index) == [child.hash]
            assert list(fed(matched(*pair), end, placed(child)).index) == [child.hash]


@pytest.mark.parametrize("place", range(3))
def test_feed__parent_ended_unfilled__is_an_orphan(place: int) -> None:
    parent = waiting(WAD, PRICE)
    child, end = profit(-WAD, 2 * PRICE, parent=parent.hash), ends(parent.hash)[place]
    for records in ([placed(child), end], [end, placed(child)]):
        orders = fed(*records)
        assert (list(orders.orphans), len(orders.index)) == ([child.hash], 0)
        orders.feed([events.OrderVoided(hash=child.hash, paid=0, **KEEPER)])
        assert (len(orders.orphans), len(orders)) == (0, 0)


def test_feed__counter__ends_what_waits_and_not_the_queue() -> None:
    parent = waiting(WAD, PRICE)
    pending = stop(-WAD, PRICE, parent=b"7" * 32)
    orders = fed(placed(parent), placed(pending), placed(queued(1)))
    orders.feed([events.AllCancelled(account=TRADER + (1 << 96), counter=1, **AT)])
    assert len(orders) == 3
    orders.feed([events.AllCancelled(account=TRADER, counter=1, **AT), executed(b"7" * 32)])
    assert (list(orders.queued), len(orders.index), len(orders)) == ([queued(1).hash], 0, 1)


def test_end__whatever_the_events_say() -> None:
    one = waiting(WAD, PRICE)
    orders = fed(placed(one))
    orders.end(one.hash)
    orders.feed([placed(one)])
    assert (len(orders), len(orders.index)) == (0, 0)


def test_forget_expired__is_not_looked_at_again() -> None:
    orders = fed(placed(waiting(WAD, PRICE, expiry=1_000)))
    orders.forget_expired(1_001)
    assert len(orders.index) == 0
