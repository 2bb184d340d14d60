"""Brackets and ladders: compositions of orders, placed in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    actor,
    owner_of,
)
from tests.support.evm import Receipt, reverts
from tests.unit.orders.reference import DELAY, FILLED, QUEUED, SPENT, WAITING, fill, hash_of, reason_of, status

SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
OUTCOMES = pytest.mark.parametrize("outcome", ["stop", "profit"])


def bracket(core: Core, account: int, base: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An entry, and a stop-loss and a take-profit a hundred dollars on either side of it."""
    away = 100 * WAD if base > 0 else -100 * WAD
    entry = core.order(account, ETH, base)
    common: dict[str, Any] = {"reduce_only": True, "parent": hash_of(core, entry)}
    stop = core.order(account, ETH, -base, kind=STOP_LOSS, trigger=ETH_PRICE - away, **common)
    profit = core.order(account, ETH, -base, kind=TAKE_PROFIT, trigger=ETH_PRICE + away, **common)
    return entry, stop, profit


def place_all(core: Core, account: int, orders: Sequence[dict[str, Any]]) -> Receipt:
    """As the account's owner, in one transaction."""
    calls = [core.order_book.place.encode(order) for order in orders]
    receipt: Receipt = core.order_book.multicall(calls, sender=owner_of(account))
    return receipt


def batch(core: Core, orders: Sequence[dict[str, Any]]) -> Receipt:
    core.track(account_id(KEEPER))
    receipt: Receipt = core.order_book.executeBatch(orders, [], sender=KEEPER)
    return receipt


def test_multicall__entry_stop_and_profit__are_placed_in_one_transaction(core: Core, trader: int) -> None:
    orders = bracket(core, trader, 2 * WAD)
    receipt = place_all(core, trader, orders)
    assert [event["hash"] for event in receipt.events("OrderPlaced")] == [hash_of(core, order) for order in orders]
    assert [event["sequence"] for event in receipt.events("OrderPlaced")] == [1, 0, 0]
    assert [status(core, order) for order in orders] == [QUEUED, WAITING, WAITING]
    core.check_sums()


def test_multicall__one_of_them_refused__places_none(core: Core, trader: int) -> None:
    entry, stop, _ = bracket(core, trader, 2 * WAD)
    with reverts("OrderBook_InvalidTerms", b"triggerPrice".ljust(32, b"\0")):
        place_all(core, trader, [entry, stop, {**stop, "triggerPrice": 0}])
    assert (status(core, entry), status(core, stop)) == (0, 0)
    core.check_sums()


def test_multicall__by_somebody_else__is_his_own_call_and_refused(core: Core, trader: int) -> None:
    mallory = actor("mallory")
    calls = [core.order_book.place.encode(order) for order in bracket(core, trader, WAD)]
    with reverts("OrderBook_NotPermitted", trader, mallory):
        core.order_book.multicall(calls, sender=mallory)
    core.check_sums()


def test_execute__before_the_entry_is_filled__exits_are_pending_and_not_void(core: Core, trader: int) -> None:
    """Else whoever comes first could end the exits of a position that is not there yet."""
    entry, stop, profit = bracket(core, trader, 2 * WAD)
    place_all(core, trader, (entry, stop, profit))
    core.tick(DELAY)
    for order in (stop, profit):
        with reverts("OrderBook_ParentPending", hash_of(core, entry)):
            core.execute(order)
    assert [status(core, order) for order in (entry, stop, profit)] == [QUEUED, WAITING, WAITING]
    core.check_sums()


@SIDES
@OUTCOMES
def test_execute__one_exit_of_a_bracket__leaves_the_other_void(
    core: Core, trader: int, sign: int, outcome: str
) -> None:
    """One cancels the other: what closed the position leaves nothing to reduce."""
    entry, stop, profit = bracket(core, trader, sign * 2 * WAD)
    place_all(core, trader, (entry, stop, profit))
    core.settle(entry).event("OrderExecuted")
    for order in (stop, profit):
        with reverts("OrderBook_NotTriggered", ETH_PRICE, order["triggerPrice"]):
            core.execute(order)

    due, other = (stop, profit) if outcome == "stop" else (profit, stop)
    core.tick(1, {ETH: due["triggerPrice"]})
    event = core.execute(due).event("Traded")
    exit_ = fill(ETH, sign * 2 * WAD, -sign * 2 * WAD, due["triggerPrice"])
    assert (event["base"], event["fillPrice"], event["quote"], event["fee"]) == (-sign * 2 * WAD, *exit_)
    assert core.market.position(trader, ETH) == (0, 0, 0)

    receipt = core.execute(other)
    assert (receipt.event("OrderVoided")["hash"], receipt.event("OrderVoided")["paid"]) == (hash_of(core, other), 0)
    assert [status(core, order) for order in (entry, due, other)] == [FILLED, FILLED, SPENT]
    core.tick(1, {ETH: other["triggerPrice"]})
    with reverts("OrderBook_UnknownOrder", hash_of(core, other)):
        core.execute(other)
    core.check_sums()


@OUTCOMES
def test_execute_batch__both_exits_at_once__fills_one_and_voids_the_other(
    core: Core, trader: int, outcome: str
) -> None:
    entry, stop, profit = bracket(core, trader, 2 * WAD)
    place_all(core, trader, (entry, stop, profit))
    core.settle(entry)
    due, other = (stop, profit) if outcome == "stop" else (profit, stop)
    core.tick(1, {ETH: due["triggerPrice"]})
    receipt = batch(core, [due, other])
    assert receipt.event("OrderExecuted")["hash"] == hash_of(core, due)
    assert receipt.event("OrderVoided")["hash"] == hash_of(core, other)
    core.check_sums()


def test_execute__other_exit_not_voided_yet__closes_nothing_of_a_later_position(core: Core, trader: int) -> None:
    """It may be due for a position that the trader opens before anybody voided it: the keeper or he ends it first."""
    entry, stop, profit = bracket(core, trader, 2 * WAD)
    place_all(core, trader, (entry, stop, profit))
    core.settle(entry)
    core.tick(1, {ETH: stop["triggerPrice"]})
    core.execute(stop)
    calls = [core.order_book.cancel.encode(profit), core.order_book.place.encode(core.order(trader, ETH, WAD))]
    receipt = core.order_book.multicall(calls, sender=owner_of(trader))
    assert receipt.event("OrderCancelled")["hash"] == hash_of(core, profit)
    receipt.event("OrderPlaced")
    core.tick(DELAY, {ETH: profit["triggerPrice"]})
    with reverts("OrderBook_UnknownOrder", hash_of(core, profit)):
        core.execute(profit)
    core.check_sums()


@pytest.mark.parametrize("end", ["failed", "void"])
def test_execute__entry_ended_unfilled__exits_are_void(core: Core, trader: int, end: str) -> None:
    entry, stop, profit = bracket(core, trader, 2 * WAD)
    if end == "failed":
        entry["acceptablePrice"] = 1
        stop["parent"] = profit["parent"] = hash_of(core, entry)
    place_all(core, trader, (entry, stop, profit))
    core.tick(DELAY if end == "failed" else 60)
    core.execute(entry).event("OrderFailed" if end == "failed" else "OrderVoided")
    core.open(trader, ETH, 2 * WAD)
    for order in (stop, profit):
        core.execute(order).event("OrderVoided")
        assert status(core, order) == SPENT
    assert core.market.position(trader, ETH)[0] == 2 * WAD
    core.check_sums()


@SIDES
def test_ladder__exits_between_two_prices__each_takes_its_part_and_the_last_the_rest(
    core: Core, trader: int, sign: int
) -> None:
    entry = core.order(trader, ETH, sign * 3 * WAD)
    rungs = [
        core.order(
            trader, ETH, -sign * size, kind=TAKE_PROFIT, trigger=ETH_PRICE + sign * step * 20 * WAD, reduce_only=True,
            parent=hash_of(core, entry),
        )
        for step, size in enumerate([WAD, WAD, 5 * WAD], start=1)
    ]  # fmt: skip
    place_all(core, trader, [entry, *rungs])
    core.settle(entry)
    left = 3 * WAD
    for number, (rung, closed) in enumerate(zip(rungs, (WAD, WAD, WAD), strict=True)):
        core.tick(1, {ETH: rung["triggerPrice"]})
        receipt = batch(core, rungs)
        assert receipt.event("OrderExecuted")["hash"] == hash_of(core, rung)
        assert receipt.event("Traded")["base"] == -sign * closed
        assert len(receipt.events("OrderSkipped")) == 2
        left -= closed
        assert core.market.position(trader, ETH)[0] == sign * left
        assert [status(core, one) for one in rungs] == [FILLED] * (number + 1) + [WAITING] * (2 - number)
    core.check_sums()


def test_ladder__rung_that_would_leave_dust__waits_for_the_next_one(core: Core, trader: int) -> None:
    """Below the minimum position only all of it may go: the next rung, which is larger than the rest, closes it."""
    core.open(trader, ETH, WAD)
    rungs = [core.order(trader, ETH, -8 * WAD // 10, kind=LIMIT_ORDER, reduce_only=True) for _ in range(2)]
    last = core.order(trader, ETH, -2 * WAD, kind=LIMIT_ORDER, reduce_only=True)
    place_all(core, trader, [*rungs, last])
    core.tick(DELAY)
    receipt = batch(core, rungs)
    assert [event.name for event in receipt.logs if event.name.startswith("Order")] == ["OrderSkipped"] * 2
    core.execute(last).event("OrderExecuted")
    for rung in rungs:
        core.execute(rung).event("OrderVoided")
    core.check_sums()


def test_trailing_stop__replaced_in_one_transaction__the_old_one_is_dead(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    old = core.order(trader, ETH, -2 * WAD, kind=STOP_LOSS, trigger=2_900 * WAD, reduce_only=True)
    new = core.order(trader, ETH, -2 * WAD, kind=STOP_LOSS, trigger=3_000 * WAD, reduce_only=True)
    core.place(old)
    calls = [core.order_book.cancel.encode(old), core.order_book.place.encode(new)]
    core.order_book.multicall(calls, sender=owner_of(trader))
    assert (status(core, old), status(core, new)) == (SPENT, WAITING)
    core.tick(DELAY, {ETH: 2_950 * WAD})
    receipt = batch(core, [old, new])
    assert reason_of(receipt, "OrderSkipped") == ("OrderBook_UnknownOrder", hash_of(core, old))
    assert receipt.event("OrderExecuted")["hash"] == hash_of(core, new)
    core.check_sums()
