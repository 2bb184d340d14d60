"""A batch: one order after another; what can't be executed now is skipped, and nothing happens to it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, LIMIT_ORDER, OPEN, WAD, Core, account_id
from tests.support.evm import Receipt, Revert, reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    MIN_EXECUTION_GAS,
    QUEUED,
    WAITING,
    WINDOW,
    fill,
    hash_of,
    queue,
    reason_of,
    reserved,
    settle_from,
    status,
)

KEEPER_ACCOUNT = account_id(KEEPER)
ENDINGS = ("OrderExecuted", "OrderFailed", "OrderVoided", "OrderLeftQueue", "OrderSkipped")


def run(core: Core, *orders: dict[str, Any], data: tuple[bytes, ...] = ()) -> Receipt:
    core.track(KEEPER_ACCOUNT)
    receipt: Receipt = core.order_book.executeBatch(list(orders), list(data), sender=KEEPER)
    return receipt


def endings(receipt: Receipt) -> list[tuple[str, bytes]]:
    """What became of each order, in order."""
    return [(event.name, event["hash"]) for event in receipt.logs if event.name in ENDINGS]


def test_executeBatch__orders_of_two_markets__in_the_order_given(core: Core, trader: int) -> None:
    """OB-04: as if each had been executed by itself."""
    orders = [core.order(trader, market, WAD) for market in (ETH, BTC, ETH)]
    for order in orders:
        core.place(order)
    core.tick(DELAY)
    receipt = run(core, *orders)
    assert endings(receipt) == [("OrderExecuted", hash_of(core, order)) for order in orders]
    first, second, third = (event["fillPrice"] for event in receipt.events("Traded"))
    assert first == fill(ETH, 0, WAD, ETH_PRICE).price
    assert second == fill(BTC, 0, WAD, core.prices[BTC]).price
    assert third == fill(ETH, WAD, WAD, ETH_PRICE).price
    assert core.cash(KEEPER_ACCOUNT) == 3 * EXECUTION_FEE
    assert (reserved(core, trader), queue(core, ETH), queue(core, BTC)) == (0, (3, 3), (2, 2))
    core.check_sums()


def test_executeBatch__of_nothing__does_nothing(core: Core) -> None:
    assert run(core).logs == []


def test_executeBatch__price_data__is_recorded_before_the_first(core: Core, trader: int) -> None:
    orders = [core.order(trader, ETH, WAD) for _ in range(2)]
    for order in orders:
        core.place(order)
    core.evm.advance(DELAY)
    words = (ETH, 3_005 * WAD, 0, core.evm.timestamp, OPEN)
    receipt = run(core, *orders, data=(b"".join(word.to_bytes(32, "big") for word in words),))
    assert [event["fillPrice"] for event in receipt.events("Traded")] == [
        fill(ETH, skew, WAD, 3_005 * WAD).price for skew in (0, WAD)
    ]


def test_executeBatch__ether_that_no_oracle_takes__is_refused(core: Core) -> None:
    core.evm.set_balance(KEEPER, 1)
    with reverts("MockPriceRecords_ValueUnused", 1):
        core.order_book.executeBatch([], [], sender=KEEPER, value=1)


def test_executeBatch__failed_void_and_filled__each_ends_as_alone(core: Core, trader: int) -> None:
    """Failures pay the caller as they do by themselves, and the next in the queue has its turn."""
    void = core.order(trader, ETH, WAD)
    core.place(void)
    core.evm.advance(DELAY + WINDOW + 1)
    stop = core.order(trader, ETH, -WAD, reduce_only=True)
    failing, filled = core.order(trader, ETH, WAD, acceptable=1), core.order(trader, ETH, WAD)
    for order in (failing, stop, filled):
        core.place(order)
    core.tick(DELAY)
    cash = core.cash(trader)
    receipt = run(core, void, failing, stop, filled)
    names = ("OrderVoided", "OrderFailed", "OrderFailed", "OrderExecuted")
    assert endings(receipt) == [
        (name, hash_of(core, order)) for name, order in zip(names, (void, failing, stop, filled), strict=True)
    ]
    assert core.cash(trader) == cash - 4 * EXECUTION_FEE - fill(ETH, 0, WAD, ETH_PRICE).fee
    assert core.cash(KEEPER_ACCOUNT) == 4 * EXECUTION_FEE
    assert reserved(core, trader) == 0


# --- what is skipped ---


def test_executeBatch__out_of_turn__is_skipped_and_stays(core: Core, trader: int) -> None:
    """OB-04."""
    first, second = core.order(trader, ETH, WAD), core.order(trader, ETH, WAD)
    for order in (first, second):
        core.place(order)
    core.tick(DELAY)
    receipt = run(core, second, first)
    assert endings(receipt) == [("OrderSkipped", hash_of(core, second)), ("OrderExecuted", hash_of(core, first))]
    assert reason_of(receipt, "OrderSkipped") == ("OrderBook_NotNext", 2, 1)
    assert (status(core, first), status(core, second)) == (FILLED, QUEUED)
    run(core, second).event("OrderExecuted")


def test_executeBatch__the_same_order_twice__is_skipped_the_second_time(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, WAD)
    core.place(order)
    core.tick(DELAY)
    receipt = run(core, order, order)
    assert reason_of(receipt, "OrderSkipped") == ("OrderBook_UnknownOrder", hash_of(core, order))
    assert core.market.position(trader, ETH)[0] == WAD


def test_executeBatch__unknown_order__is_skipped(core: Core, trader: int) -> None:
    """Somebody else was first: that costs the others in the batch nothing."""
    unknown, order = core.order(trader, ETH, WAD), core.order(trader, ETH, WAD)
    core.place(order)
    core.tick(DELAY)
    receipt = run(core, unknown, order)
    assert receipt.event("OrderSkipped")["hash"] == hash_of(core, unknown)
    assert reason_of(receipt, "OrderSkipped") == ("OrderBook_UnknownOrder", hash_of(core, unknown))
    receipt.event("OrderExecuted")


def test_executeBatch__no_record_yet__is_skipped(core: Core, trader: int) -> None:
    order, limit = core.order(trader, ETH, WAD), core.order(trader, BTC, WAD, kind=LIMIT_ORDER)
    for each in (order, limit):
        core.place(each)
    core.evm.advance(DELAY)
    receipt = run(core, order, limit)
    assert [event["hash"] for event in receipt.events("OrderSkipped")] == [hash_of(core, o) for o in (order, limit)]
    assert (status(core, order), status(core, limit)) == (QUEUED, WAITING)
    assert settle_from(core, order) == settle_from(core, limit) == core.evm.timestamp


@pytest.mark.parametrize("reason", ["price", "margin", "expired", "pending"])
def test_executeBatch__limit_order_that_is_refused__is_skipped_and_waits(core: Core, trader: int, reason: str) -> None:
    account = core.trader("poor") if reason == "margin" else trader
    order = core.order(
        account,
        ETH,
        WAD,
        kind=LIMIT_ORDER,
        acceptable=1 if reason == "price" else None,
        expiry=core.evm.timestamp + 1 if reason == "expired" else 0,
    )
    core.place(order)
    if reason == "pending":
        core.place(core.order(trader, ETH, WAD))
    core.tick(DELAY)
    receipt = run(core, order)
    names = {
        "price": "PerpMarket_PriceNotAcceptable",
        "margin": "PerpMarket_InsufficientMargin",
        "expired": "OrderBook_Expired",
        "pending": "OrderBook_MarketOrdersPending",
    }
    assert receipt.event("OrderSkipped")["hash"] == hash_of(core, order)
    assert reason_of(receipt, "OrderSkipped")[0] == names[reason]
    assert [event.name for event in receipt.logs] == ["OrderSkipped"]
    assert (status(core, order), core.cash(KEEPER_ACCOUNT)) == (WAITING, 0)
    assert core.cash(account) == (0 if reason == "margin" else 100_000 * WAD)


def test_executeBatch__limit_order_behind_its_market_orders__is_filled_after_them(core: Core, trader: int) -> None:
    limit, order = core.order(trader, ETH, WAD, kind=LIMIT_ORDER), core.order(trader, ETH, WAD)
    for each in (limit, order):
        core.place(each)
    core.tick(DELAY)
    receipt = run(core, order, limit)
    assert endings(receipt) == [("OrderExecuted", hash_of(core, order)), ("OrderExecuted", hash_of(core, limit))]


# --- gas ---


def test_executeBatch__too_little_gas_for_the_next__reverts_the_whole(core: Core, trader: int) -> None:
    """An order that is tried has the gas it may need: a batch that runs short does nothing at all."""
    accounts = [trader, core.trader("second", 100_000)]
    orders = [core.order(account, ETH, WAD) for account in accounts]
    for order in orders:
        core.place(order)
    core.tick(DELAY)
    gas = 2 * MIN_EXECUTION_GAS
    with core.evm.isolated():
        receipt = core.order_book.executeBatch(orders, [], sender=KEEPER, gas=gas)
        assert len(receipt.events("OrderExecuted")) == 2
    with pytest.raises(Revert) as refused:
        core.order_book.executeBatch(orders, [], sender=KEEPER, gas=MIN_EXECUTION_GAS + 60_000)
    assert refused.value.name == "OrderBook_TooLittleGas"
    left, required = refused.value.values
    assert left < required == MIN_EXECUTION_GAS
    assert [status(core, order) for order in orders] == [QUEUED, QUEUED]
    assert core.cash(KEEPER_ACCOUNT) == 0
