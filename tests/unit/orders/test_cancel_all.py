"""One bump of a counter, and all of an account's orders are dead but market orders already queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    MARKET_ORDER,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    actor,
    owner_of,
)
from tests.support.evm import reverts
from tests.support.signed import Signed
from tests.unit.orders.reference import DELAY, FILLED, MATCHING, QUEUED, WAITING, hash_of, status


@pytest.fixture
def signed(core: Core) -> Signed:
    return Signed(core)


def test_cancel_all__event_and_counter(core: Core, trader: int) -> None:
    """OB-02."""
    for counter in (1, 2, 3):
        receipt = core.order_book.cancelAll(trader, sender=owner_of(trader))
        assert receipt.event("AllCancelled").args == {"account": trader, "counter": counter}
        assert [event.name for event in receipt.logs] == ["AllCancelled"]
        assert core.order_book.counterOf(trader) == counter


def test_cancel_all__by_somebody_else__is_refused(core: Core, trader: int) -> None:
    mallory = actor("mallory")
    with reverts("OrderBook_NotPermitted", trader, mallory):
        core.order_book.cancelAll(trader, sender=mallory)
    assert core.order_book.counterOf(trader) == 0


def test_cancel_all__by_a_delegate__is_refused(core: Core, trader: int) -> None:
    """Only the owner: what a delegate may end is one order at a time."""
    bot = actor("bot")
    scope = (0xFFFF, 2**40 - 1, 10**6, True, True)
    core.order_book.setDelegate(trader, bot, scope, sender=owner_of(trader))
    with reverts("OrderBook_NotPermitted", trader, bot):
        core.order_book.cancelAll(trader, sender=bot)


@pytest.mark.parametrize("kind", [LIMIT_ORDER, STOP_LOSS])
def test_cancel_all__orders_that_wait__are_dead(core: Core, trader: int, kind: int) -> None:
    trigger = {STOP_LOSS: ETH_PRICE}.get(kind, 0)
    orders = [core.order(trader, ETH, WAD, kind=kind, trigger=trigger) for _ in range(3)]
    for order in orders:
        core.place(order)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    core.tick(DELAY)
    for order in orders:
        with reverts("OrderBook_WrongCounter", trader, 1):
            core.execute(order)
        assert status(core, order) == WAITING
    core.check_sums()


def test_cancel_all__market_order_queued__is_filled_all_the_same(core: Core, trader: int) -> None:
    """It is committed to: else whoever sees its price first could take it back."""
    order = core.order(trader, ETH, WAD)
    core.place(order)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    assert status(core, order) == QUEUED
    core.settle(order).event("OrderExecuted")
    core.check_sums()


def test_cancel_all__market_order_that_left_the_queue__stays(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    order = core.order(trader, ETH, -2 * WAD, reduce_only=True)
    core.place(order)
    core.tick(60)
    core.execute(order).event("OrderLeftQueue")
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_place__under_the_old_counter__is_refused_and_under_the_new_one_waits(core: Core, trader: int) -> None:
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    with reverts("OrderBook_WrongCounter", trader, 1):
        core.place(core.order(trader, ETH, WAD, kind=LIMIT_ORDER))
    with reverts("OrderBook_WrongCounter", trader, 1):
        core.place(core.order(trader, ETH, WAD, kind=LIMIT_ORDER, counter=2))
    order = core.order(trader, ETH, WAD, kind=LIMIT_ORDER, counter=1)
    core.place(order)
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_place__market_order_of_any_counter__is_queued(core: Core, trader: int) -> None:
    """By call: its owner sends it now, whatever its salt."""
    order = core.order(trader, ETH, WAD, kind=MARKET_ORDER, counter=7)
    core.place(order)
    assert status(core, order) == QUEUED


def test_cancel_all__orders_of_the_same_owners_other_accounts__live(core: Core, trader: int) -> None:
    other = core.trader("trader", 10_000, index=1)
    order = core.order(other, ETH, WAD, kind=LIMIT_ORDER)
    core.place(order)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    assert (core.order_book.counterOf(trader), core.order_book.counterOf(other)) == (1, 0)
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


# --- signed orders ---


def test_cancel_all__signed_orders__can_neither_be_matched_nor_placed(core: Core, signed: Signed) -> None:
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    made, taken = signed.limit(maker, ETH, -2 * WAD, ETH_PRICE), signed.limit(taker, ETH, 2 * WAD, ETH_PRICE)
    signed.match(made, taken, WAD)
    core.order_book.cancelAll(maker, sender=owner_of(maker))
    with reverts("OrderBook_WrongCounter", maker, 1):
        signed.match(made, taken, WAD)
    core.order_book.cancelAll(taker, sender=owner_of(taker))
    with reverts("OrderBook_WrongCounter", taker, 1):
        signed.match(made, taken, WAD)
    assert (status(core, made), status(core, taken)) == (MATCHING, MATCHING)

    market_order = core.order(maker, ETH, -WAD, expiry=core.evm.timestamp)
    with reverts("OrderBook_WrongCounter", maker, 1):
        core.order_book.placeFor(market_order, signed.order(market_order), sender=KEEPER)
    core.check_sums()


def test_cancel_all__again_under_the_new_counter__signed_orders_are_matched(core: Core, signed: Signed) -> None:
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    core.order_book.cancelAll(maker, sender=owner_of(maker))
    made = signed.limit(maker, ETH, -WAD, ETH_PRICE, counter=1)
    signed.match(made, signed.limit(taker, ETH, WAD, ETH_PRICE))
    assert status(core, made) == FILLED
    core.check_sums()


def _placing(core: Core, signed: Signed, account: int) -> Callable[[], Any]:
    order = core.order(account, ETH, WAD, kind=TAKE_PROFIT, trigger=ETH_PRICE)
    return lambda: core.order_book.placeFor(order, signed.order(order), sender=KEEPER)


def _matching(core: Core, signed: Signed, account: int) -> Callable[[], Any]:
    made = signed.limit(account, ETH, -WAD, ETH_PRICE)
    taken = signed.limit(signed.trader("taker", 10_000), ETH, WAD, ETH_PRICE)
    return lambda: signed.match(made, taken)


@pytest.mark.parametrize("use", [_placing, _matching], ids=["placed", "matched"])
@pytest.mark.parametrize("bumps", [1, 2])
def test_cancel_all__what_was_signed_under_any_older_counter__stays_dead(
    core: Core, signed: Signed, bumps: int, use: Callable[[Core, Signed, int], Callable[[], Any]]
) -> None:
    trader = signed.trader("trader", 10_000)
    bring = use(core, signed, trader)
    for _ in range(bumps):
        core.order_book.cancelAll(trader, sender=owner_of(trader))
    with reverts("OrderBook_WrongCounter", trader, bumps):
        bring()


def test_cancel__order_of_an_old_counter__is_spent_all_the_same(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, WAD, kind=LIMIT_ORDER)
    core.place(order)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    assert core.order_book.cancel(order, sender=owner_of(trader)).event("OrderCancelled")["hash"] == hash_of(
        core, order
    )
