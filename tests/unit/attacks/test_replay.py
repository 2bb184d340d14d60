"""Attack 12: an order that is brought a second time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import ETH, LIMIT_ORDER, WAD, Core, actor, deploy_core, owner_of
from tests.support.evm import Evm, reverts
from tests.unit.attacks.reference import MALLORY, main_account, wealth


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1)


def executed(core: Core, victim: int) -> dict[str, Any]:
    order = core.order(victim, ETH, WAD)
    core.place(order)
    core.settle(order).event("OrderExecuted")
    return order


def failed(core: Core, victim: int) -> dict[str, Any]:
    order = core.order(victim, ETH, WAD, acceptable=1)
    core.place(order)
    core.settle(order).event("OrderFailed")
    return order


def void(core: Core, victim: int) -> dict[str, Any]:
    order = core.order(victim, ETH, WAD)
    core.place(order)
    core.tick(60)
    core.execute(order).event("OrderVoided")
    return order


def cancelled(core: Core, victim: int) -> dict[str, Any]:
    order = core.order(victim, ETH, WAD, kind=LIMIT_ORDER)
    core.place(order)
    core.order_book.cancel(order, sender=owner_of(victim)).event("OrderCancelled")
    return order


@pytest.mark.parametrize("end", [executed, failed, void, cancelled])
def test_replay__of_an_order_that_ended__is_refused_for_ever(core: Core, end: Any) -> None:
    """A draft deleted an order's hash when it had ended, so that the same order, which is public, could be brought
    again for a second fill. A hash is spent for ever, however the order ended and whoever brings it."""
    main_account(core, 1_000)
    victim = core.trader("victim", 10_000)
    order = end(core, victim)
    hash_ = core.order_book.hashOf(order)
    before = core.market.position(victim, ETH), core.cash(victim), wealth(core, [main_account(core)])
    for _ in range(2):
        with reverts("OrderBook_UnknownOrder", hash_):
            core.order_book.execute(order, [], sender=MALLORY)
        with reverts("OrderBook_UnknownOrder", hash_):
            core.order_book.cancel(order, sender=actor("victim"))
        with reverts("OrderBook_AlreadyUsed", hash_):
            core.order_book.place(order, sender=actor("victim"))
        with reverts("OrderBook_NotPermitted", victim, MALLORY):
            core.order_book.place(order, sender=MALLORY)
        skipped = core.order_book.executeBatch([order, order], [], sender=MALLORY)
        assert len(skipped.events("OrderSkipped")) == len(skipped.logs) == 2
        core.tick(3)
    position = core.market.position(victim, ETH)
    assert position[:2] == before[0][:2]
    assert (core.cash(victim), wealth(core, [main_account(core)])) == before[1:]
    core.check_sums()


def test_replay__twice_in_one_batch__fills_once(core: Core) -> None:
    """The same order twice in one batch, before anything of the first is written."""
    victim = core.trader("victim", 10_000)
    main_account(core)
    order = core.order(victim, ETH, WAD)
    core.place(order)
    core.tick(2)
    receipt = core.order_book.executeBatch([order, order], [], sender=MALLORY)
    assert len(receipt.events("OrderExecuted")) == 1
    assert receipt.event("OrderSkipped")["hash"] == core.order_book.hashOf(order)
    assert core.market.position(victim, ETH)[0] == WAD
    core.check_sums()
