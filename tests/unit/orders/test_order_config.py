"""The terms of a market's orders: who sets them, and within which bounds."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ADMIN,
    BTC,
    ETH,
    ETH_PARAMS,
    GUARDIAN,
    KEEPER,
    LISTING,
    ORDER_CONFIG,
    RISK,
    WAD,
    Core,
)
from tests.support.evm import ANYONE, reverts
from tests.unit.orders.reference import queue

BOUNDS = {
    "executionFee": (0, 10 * WAD),
    "feeReserveBps": (1, 100),
    "settlementDelay": (1, 60),
    "settlementWindow": (1, 60),
    "relayFee": (0, 10 * WAD),
}
RULES = {"feeReserveBps": "feeReserve"}


def test_setOrderConfig__by_its_role__takes_effect(core: Core) -> None:
    config = {
        "executionFee": WAD,
        "feeReserveBps": 7,
        "settlementDelay": 3,
        "settlementWindow": 11,
        "relayFee": 2 * WAD,
    }
    other = core.order_book.queue(BTC)
    receipt = core.order_book.setOrderConfig(ETH, config, sender=LISTING)
    args = receipt.event("OrderConfigChanged").args
    assert (args["marketId"], tuple(args["config"])) == (ETH, tuple(config.values()))
    kept, following, head = core.order_book.queue(ETH)
    assert (tuple(kept), following, head) == (tuple(config.values()), 1, 1)
    assert core.order_book.queue(BTC) == other


def test_setOrderConfig__a_second_time__leaves_the_queue_as_it_is(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.settle(order)
    core.place(core.order(trader, ETH, 2 * WAD))
    assert queue(core, ETH) == (3, 2)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "settlementDelay": 9}, sender=LISTING)
    assert queue(core, ETH) == (3, 2)


def test_setOrderConfig__of_a_market_just_listed__opens_its_queue(core: Core) -> None:
    core.configurator.listMarket(3, 10**6 * WAD, ETH_PARAMS, sender=LISTING)
    config, following, head = core.order_book.queue(3)
    assert (tuple(config), following, head) == ((0, 0, 0, 0, 0), 0, 0)
    core.order_book.setOrderConfig(3, ORDER_CONFIG, sender=LISTING)
    config, following, head = core.order_book.queue(3)
    assert (tuple(config), following, head) == (tuple(ORDER_CONFIG.values()), 1, 1)


@pytest.mark.parametrize("caller", [ANYONE, ADMIN, RISK, GUARDIAN, KEEPER])
def test_setOrderConfig__by_anyone_else__is_refused(core: Core, caller: str) -> None:
    before = core.order_book.queue(ETH)
    with reverts("AccessManagedUnauthorized", caller):
        core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "settlementDelay": 9}, sender=caller)
    assert core.order_book.queue(ETH) == before


@pytest.mark.parametrize("market", [0, 3, 2**256 - 1])
def test_setOrderConfig__of_an_unlisted_market__is_refused(core: Core, market: int) -> None:
    with reverts("OrderBook_NotListed", market):
        core.order_book.setOrderConfig(market, ORDER_CONFIG, sender=LISTING)


@pytest.mark.parametrize("name", list(BOUNDS))
def test_setOrderConfig__within_its_bounds__is_accepted_and_a_unit_beyond_refused(core: Core, name: str) -> None:
    lowest, highest = BOUNDS[name]
    rule = RULES.get(name, name).encode().ljust(32, b"\0")
    for value in (lowest, highest):
        core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, name: value}, sender=LISTING)
        config, _, _ = core.order_book.queue(ETH)
        assert getattr(config, name) == value
    for value in (lowest - 1, highest + 1):
        if value >= 0:
            with reverts("OrderBook_InvalidConfig", rule):
                core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, name: value}, sender=LISTING)
