"""Cancelling: what waits, never what is queued."""

from __future__ import annotations

import pytest

from tests.support.core import ETH, LIMIT_ORDER, MARKET_ORDER, WAD, Core, actor, owner_of
from tests.support.evm import ANYONE, reverts
from tests.unit.orders.reference import DELAY, QUEUED, SPENT, WAITING, hash_of, reserved, status


def test_cancel__limit_order__is_spent(core: Core, trader: int) -> None:
    """OB-02: it never executes afterwards."""
    order = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER)
    core.place(order)
    receipt = core.order_book.cancel(order, sender=owner_of(trader))
    assert receipt.event("OrderCancelled").args == {"hash": hash_of(core, order), "account": trader}
    assert status(core, order) == SPENT
    assert reserved(core, trader) == 0
    core.tick(DELAY)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)


def test_cancel__before_anything_could_execute__is_allowed(core: Core, trader: int) -> None:
    """Not bound to T, nor to prices, nor to the expiry."""
    now = core.evm.timestamp
    for wait in (0, DELAY, 3_600):
        order = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER, expiry=now + 10**4)
        core.place(order)
        core.evm.advance(wait)
        core.order_book.cancel(order, sender=owner_of(trader))
        assert status(core, order) == SPENT
    expired = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER, expiry=core.evm.timestamp)
    core.place(expired)
    core.evm.advance(1)
    core.order_book.cancel(expired, sender=owner_of(trader))
    assert status(core, expired) == SPENT


@pytest.mark.parametrize("reduce_only", [False, True])
def test_cancel__queued_market_order__is_refused(core: Core, trader: int, reduce_only: bool) -> None:
    """OB-02: a market order binds, however long its turn takes."""
    core.open(trader, ETH, 2 * WAD)
    order = core.order(trader, ETH, -WAD, reduce_only=reduce_only)
    core.place(order)
    for wait in (0, DELAY, 3_600):
        core.evm.advance(wait)
        with reverts("OrderBook_NotCancellable", hash_of(core, order)):
            core.order_book.cancel(order, sender=owner_of(trader))


def test_cancel__by_another__is_refused(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER)
    core.place(order)
    for caller in (ANYONE, actor("traders")):
        with reverts("OrderBook_NotPermitted", trader, caller):
            core.order_book.cancel(order, sender=caller)


@pytest.mark.parametrize("kind", [MARKET_ORDER, LIMIT_ORDER])
def test_cancel__order_that_was_never_placed__is_spent_and_can_not_be_placed(
    core: Core, trader: int, kind: int
) -> None:
    """OB-02: whoever signed an order and gave it away takes it back; one that is like it but for a field is another."""
    order = core.order(trader, ETH, 2 * WAD, kind=kind)
    other = {**order, "base": 3 * WAD}
    core.place(other)
    receipt = core.order_book.cancel(order, sender=owner_of(trader))
    assert receipt.event("OrderCancelled").args == {"hash": hash_of(core, order), "account": trader}
    kept = core.order_book.commitment(hash_of(core, order))
    assert tuple(kept) == (SPENT, 0, 0, 0, 0)
    assert status(core, other) == (QUEUED if kind == MARKET_ORDER else WAITING)
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        core.place(order)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.order_book.cancel(order, sender=owner_of(trader))


def test_cancel__a_second_time_or_after_execution__is_unknown(core: Core, trader: int) -> None:
    cancelled = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER)
    executed = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER)
    for order in (cancelled, executed):
        core.place(order)
    core.order_book.cancel(cancelled, sender=owner_of(trader))
    core.settle(executed)
    for order in (cancelled, executed):
        with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
            core.order_book.cancel(order, sender=owner_of(trader))
