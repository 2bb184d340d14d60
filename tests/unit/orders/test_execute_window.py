"""Which record a market order settles at: the first at or after T, within the window; or none, and then it is void."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, LISTING, ORDER_CONFIG, WAD, Core, account_id, owner_of
from tests.support.evm import ANYONE, reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    QUEUED,
    SPENT,
    WAITING,
    WINDOW,
    fee_reserve,
    fill,
    hash_of,
    queue,
    reserved,
    settle_from,
    status,
)

KEEPER_ACCOUNT = account_id(KEEPER)
HELD_RECORDS = 64


def placed(core: Core, account: int, base: int = 2 * WAD, **options: Any) -> tuple[dict[str, Any], int]:
    """The order and its T."""
    order = core.order(account, ETH, base, **options)
    core.place(order)
    return order, settle_from(core, order)


def record_at(core: Core, when: int, price: int = ETH_PRICE) -> None:
    """Time moves to `when`, and a price published then is recorded."""
    core.evm.timestamp = when
    core.record(ETH, price)


# --- the first record at or after T ---


@pytest.mark.parametrize("after", [0, 1, WINDOW - 1, WINDOW])
def test_execute__first_record_within_the_window__settles_at_it(core: Core, trader: int, after: int) -> None:
    """OB-03: from T to T + W, both included."""
    order, start = placed(core, trader)
    assert start == core.evm.timestamp + DELAY
    record_at(core, start - 1, 2_990 * WAD)
    record_at(core, start + after, 3_010 * WAD)
    event = core.execute(order).event("Traded")
    assert event["fillPrice"] == fill(ETH, 0, 2 * WAD, 3_010 * WAD).price


def test_execute__later_records__change_nothing(core: Core, trader: int) -> None:
    """Nobody chooses the price: neither by waiting nor by recording again."""
    order, start = placed(core, trader)
    for after, price in enumerate((3_010, 2_000, 4_000, 3_500)):
        record_at(core, start + after, price * WAD)
    core.tick(30, {ETH: 2_500 * WAD})
    event = core.execute(order).event("Traded")
    assert event["fillPrice"] == fill(ETH, 0, 2 * WAD, 3_010 * WAD).price


def test_execute__record_of_a_second_before_t__does_not_count(core: Core, trader: int) -> None:
    order, start = placed(core, trader)
    record_at(core, start - 1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.timestamp = start
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    assert (status(core, order), queue(core, ETH)) == (QUEUED, (2, 1))


def test_execute__record_published_in_time_and_recorded_late__settles(core: Core, trader: int) -> None:
    """The publish time counts, not when it came on chain; even after the order could have been voided."""
    order, start = placed(core, trader)
    core.evm.timestamp = start + 2 * WINDOW + 60
    core.record(ETH, 3_010 * WAD, published_at=start + WINDOW)
    core.execute(order).event("OrderExecuted")


# --- void ---


def test_execute__first_record_after_the_window__is_void(core: Core, trader: int) -> None:
    """OB-03: published a second after T + W. The reservation ends, the executor is paid, the queue goes on."""
    order, start = placed(core, trader)
    record_at(core, start + WINDOW + 1)
    cash = core.cash(trader)
    receipt = core.execute(order)
    assert receipt.event("OrderVoided").args == {
        "hash": hash_of(core, order),
        "account": trader,
        "executor": KEEPER,
        "paid": EXECUTION_FEE,
    }
    assert not receipt.events("Traded")
    assert (status(core, order), queue(core, ETH)) == (SPENT, (2, 2))
    assert (core.cash(trader), reserved(core, trader)) == (cash - EXECUTION_FEE, 0)
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    assert core.market.position(trader, ETH) == (0, 0, 0)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.check_sums()


def test_execute__no_record__is_void_a_second_after_twice_the_window(core: Core, trader: int) -> None:
    """OB-03: at T + 2W a record may still come, after it none is waited for."""
    order, start = placed(core, trader)
    core.evm.timestamp = start + 2 * WINDOW
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.advance(1)
    assert core.execute(order, sender=ANYONE).event("OrderVoided")["executor"] == ANYONE
    assert queue(core, ETH) == (2, 2)


def test_execute__record_of_before_t_only__is_void_as_if_there_were_none(core: Core, trader: int) -> None:
    order, start = placed(core, trader)
    record_at(core, start - 1)
    core.evm.timestamp = start + 2 * WINDOW + 1
    core.execute(order).event("OrderVoided")


def test_execute__void_order__keeps_those_behind_it_waiting_until_then(core: Core, trader: int) -> None:
    first, start = placed(core, trader)
    core.evm.timestamp = start + WINDOW + 1
    second, later = placed(core, trader)
    with reverts("OrderBook_NotNext", 2, 1):
        core.execute(second)
    record_at(core, later)
    core.execute(first).event("OrderVoided")
    core.execute(second).event("OrderExecuted")


@pytest.mark.parametrize("cash", [EXECUTION_FEE + 1, EXECUTION_FEE, EXECUTION_FEE - 1, 1, 0, -1])
def test_execute__void_without_the_cash__executor_gets_what_there_is(core: Core, trader: int, cash: int) -> None:
    """Funding and closes may take cash that was set aside."""
    core.open(trader, BTC, WAD)
    order, start = placed(core, trader)
    core.post(trader, cash - core.cash(trader))
    keeper = core.cash(KEEPER_ACCOUNT)
    record_at(core, start + WINDOW + 1)
    paid = min(EXECUTION_FEE, max(0, cash))
    assert core.execute(order).event("OrderVoided")["paid"] == paid
    assert core.cash(trader) == cash - paid
    assert core.cash(KEEPER_ACCOUNT) == keeper + paid
    assert reserved(core, trader) == 0


# --- records that were overwritten ---


@pytest.mark.parametrize(("count", "known"), [(HELD_RECORDS - 1, True), (HELD_RECORDS, False)])
def test_execute__first_record_may_be_overwritten__is_void(core: Core, trader: int, count: int, known: bool) -> None:
    """With 64 records at or after T held and older ones gone, which one was the first can't be known."""
    order, start = placed(core, trader)
    for after in range(count):
        record_at(core, start + after, (3_000 + after) * WAD)
    receipt = core.execute(order)
    if known:
        assert receipt.event("Traded")["fillPrice"] == fill(ETH, 0, 2 * WAD, 3_000 * WAD).price
    else:
        assert receipt.event("OrderVoided")["paid"] == EXECUTION_FEE


def test_execute__first_record_overwritten_but_the_window_open__waits(core: Core, trader: int) -> None:
    """As for an order without a record: no more than T + 2W, for a window of a minute."""
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "settlementWindow": 60}, sender=LISTING)
    order, start = placed(core, trader)
    for after in range(HELD_RECORDS):
        record_at(core, start + after)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.timestamp = start + 121
    core.execute(order).event("OrderVoided")


# --- reduce-only ---


def reduce_only(core: Core, account: int) -> tuple[dict[str, Any], int]:
    """A position of 2 ETH, and a reduce-only order for it that left the queue; its T."""
    core.open(account, ETH, 2 * WAD)
    order, start = placed(core, account, -2 * WAD, reduce_only=True)
    core.evm.timestamp = start + 2 * WINDOW + 1
    core.execute(order)
    return order, start


def test_execute__void_reduce_only_order__leaves_the_queue_and_waits(core: Core, trader: int) -> None:
    """OB-03: nobody is kept in a position by a price that did not come. Its reservation stays."""
    core.open(trader, ETH, 2 * WAD)
    order, start = placed(core, trader, -2 * WAD, reduce_only=True)
    cash, keeper, aside = core.cash(trader), core.cash(KEEPER_ACCOUNT), reserved(core, trader)
    assert aside == EXECUTION_FEE + fee_reserve(2 * WAD, ETH_PRICE)
    record_at(core, start + WINDOW + 1)
    receipt = core.execute(order)
    assert receipt.event("OrderLeftQueue").args == {"hash": hash_of(core, order), "account": trader}
    assert not receipt.events("Traded")
    assert (status(core, order), queue(core, ETH)) == (WAITING, (3, 3))
    assert (core.cash(trader), core.cash(KEEPER_ACCOUNT), reserved(core, trader)) == (cash, keeper, aside)


def test_execute__reduce_only_order_out_of_the_queue__executes_at_the_newest(core: Core, trader: int) -> None:
    order, _ = reduce_only(core, trader)
    core.tick(60, {ETH: 3_100 * WAD})
    cash, keeper = core.cash(trader), core.cash(KEEPER_ACCOUNT)
    _, entered, owed = core.market.position(trader, ETH)
    event = core.execute(order).event("Traded")
    filled = fill(ETH, 2 * WAD, -2 * WAD, 3_100 * WAD)
    assert (event["fillPrice"], event["quote"], event["fee"]) == tuple(filled)
    assert core.cash(trader) == cash - owed + entered + filled.quote - filled.fee - EXECUTION_FEE
    assert core.cash(KEEPER_ACCOUNT) == keeper + EXECUTION_FEE
    assert (status(core, order), reserved(core, trader)) == (FILLED, 0)
    core.check_sums()


def test_execute__reduce_only_order_out_of_the_queue__does_not_wait_for_market_orders(core: Core, trader: int) -> None:
    order, _ = reduce_only(core, trader)
    placed(core, trader)
    core.tick(1)
    core.execute(order).event("OrderExecuted")
    assert queue(core, ETH) == (4, 3)


def test_execute__reduce_only_order_out_of_the_queue__needs_a_record_of_the_window(core: Core, trader: int) -> None:
    order, start = reduce_only(core, trader)
    core.tick(1)
    core.evm.advance(WINDOW + 1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.advance(-1)
    core.execute(order).event("OrderExecuted")


def test_execute__reduce_only_order_out_of_the_queue__stays_when_a_rule_refuses(core: Core, trader: int) -> None:
    """As a limit order does: the acceptable price may still come."""
    core.open(trader, ETH, 2 * WAD)
    order, start = placed(core, trader, -2 * WAD, reduce_only=True, acceptable=3_000 * WAD)
    record_at(core, start + WINDOW + 1, 2_900 * WAD)
    core.execute(order).event("OrderLeftQueue")
    aside = reserved(core, trader)
    price = fill(ETH, 2 * WAD, -2 * WAD, 2_900 * WAD).price
    with reverts("PerpMarket_PriceNotAcceptable", price, 3_000 * WAD):
        core.execute(order)
    assert (status(core, order), reserved(core, trader)) == (WAITING, aside)
    core.tick(1, {ETH: 3_000 * WAD})
    core.execute(order).event("OrderExecuted")


def test_cancel__reduce_only_order_out_of_the_queue__releases_its_reservation(core: Core, trader: int) -> None:
    """OB-02."""
    order, _ = reduce_only(core, trader)
    cash = core.cash(trader)
    receipt = core.order_book.cancel(order, sender=owner_of(trader))
    assert receipt.event("OrderCancelled").args == {"hash": hash_of(core, order), "account": trader}
    assert (status(core, order), reserved(core, trader), core.cash(trader)) == (SPENT, 0, cash)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)


# --- the terms that an order keeps ---


def test_execute__delay_and_fees_changed_since__order_keeps_its_own(core: Core, trader: int) -> None:
    order, start = placed(core, trader)
    changed = {
        "executionFee": 2 * WAD,
        "feeReserveBps": 50,
        "settlementDelay": 30,
        "settlementWindow": WINDOW,
        "relayFee": WAD,
    }
    core.order_book.setOrderConfig(ETH, changed, sender=LISTING)
    assert settle_from(core, order) == start
    record_at(core, start)
    core.execute(order).event("OrderExecuted")
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    assert reserved(core, trader) == 0


@pytest.mark.parametrize("window", [1, WINDOW + 2])
def test_execute__window_changed_since__is_the_markets(core: Core, trader: int, window: int) -> None:
    order, start = placed(core, trader)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "settlementWindow": window}, sender=LISTING)
    record_at(core, start + 2)
    receipt = core.execute(order)
    assert bool(receipt.events("OrderVoided")) == (window == 1)
    assert bool(receipt.events("OrderExecuted")) == (window != 1)
