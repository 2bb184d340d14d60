"""Placing: who may, what is refused, what is set aside."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import (
    BTC,
    BTC_PRICE,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    LIMIT_ORDER,
    LISTING,
    MARKET_ORDER,
    ORDER_CONFIG,
    WAD,
    Core,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, Evm, reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    QUEUED,
    WAITING,
    fee_reserve,
    hash_of,
    initial,
    queue,
    reserved,
    status,
)

REQUIRED = EXECUTION_FEE + fee_reserve(2 * WAD, ETH_PRICE)
"""What an order of 2 ETH reserves."""


@pytest.mark.parametrize("base", [2 * WAD, -2 * WAD, 333_333_333_333_333_333], ids=["buy", "sell", "odd"])
def test_place__market_order__is_queued_and_its_fees_set_aside(core: Core, trader: int, base: int) -> None:
    """OB-01: the event says all of it."""
    order = core.order(trader, ETH, base)
    now, cash = core.evm.timestamp, core.cash(trader)
    receipt = core.place(order)
    reserve = fee_reserve(base, ETH_PRICE)
    args = dict(receipt.event("OrderPlaced").args)
    assert tuple(args.pop("order")) == tuple(order.values())
    assert args == {
        "hash": hash_of(core, order),
        "account": trader,
        "marketId": ETH,
        "settleFrom": now + DELAY,
        "sequence": 1,
        "executionFee": EXECUTION_FEE,
        "feeReserve": reserve,
    }
    kept = core.order_book.commitment(receipt.value)
    assert receipt.value == hash_of(core, order)
    assert (kept.status, kept.settleFrom, kept.sequence) == (QUEUED, now + DELAY, 1)
    assert (kept.executionFee, kept.amount) == (EXECUTION_FEE, reserve)
    assert queue(core, ETH) == (2, 1)
    assert queue(core, BTC) == (1, 1)
    assert (core.cash(trader), reserved(core, trader)) == (cash, EXECUTION_FEE + reserve)
    core.check_sums()


def test_place__limit_order__waits_and_reserves_nothing(core: Core, trader: int) -> None:
    """OB-01: it has no place in the queue."""
    order = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER, acceptable=2_900 * WAD)
    now = core.evm.timestamp
    receipt = core.place(order)
    args = receipt.event("OrderPlaced").args
    assert (args["settleFrom"], args["sequence"]) == (now + DELAY, 0)
    assert (args["executionFee"], args["feeReserve"]) == (EXECUTION_FEE, 0)
    assert status(core, order) == WAITING
    assert queue(core, ETH) == (1, 1)
    assert reserved(core, trader) == 0


def test_place__limit_order_without_any_cash__is_accepted(core: Core) -> None:
    """Its margin is looked at when it executes."""
    order = core.order(core.trader("poor"), ETH, 2 * WAD, kind=LIMIT_ORDER)
    core.place(order)
    assert status(core, order) == WAITING


def test_place__several_orders__are_numbered_market_by_market(core: Core, trader: int) -> None:
    markets = [ETH, BTC, ETH, ETH, BTC]
    sequences = [core.place(core.order(trader, m, WAD)).event("OrderPlaced")["sequence"] for m in markets]
    assert sequences == [1, 1, 2, 3, 2]
    assert (queue(core, ETH), queue(core, BTC)) == ((4, 1), (3, 1))
    per_order = [EXECUTION_FEE + fee_reserve(WAD, {ETH: ETH_PRICE, BTC: BTC_PRICE}[m]) for m in markets]
    assert reserved(core, trader) == sum(per_order)


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_place__with_other_tokens__cannot_be_withdrawn(evm: Evm, decimals: int) -> None:
    """What is set aside does not leave: to the token's unit."""
    core = deploy_core(evm, decimals=decimals)
    trader = core.trader("trader", 100)
    core.place(core.order(trader, ETH, 2 * WAD))
    free = (100 * WAD - REQUIRED) // core.unit
    owner = owner_of(trader)
    assert core.vault.withdrawable(trader) == free
    with reverts("MarginVault_InsufficientMargin", free, free + 1):
        core.vault.withdraw(trader, free + 1, owner, sender=owner)
    core.vault.withdraw(trader, free, owner, sender=owner)
    core.check_sums()


# --- authorisation ---


@pytest.mark.parametrize("kind", [0, LIMIT_ORDER])
def test_place__for_the_account_of_another__is_refused(core: Core, trader: int, kind: int) -> None:
    """OB-01: only the owner, where nobody is his delegate."""
    with reverts("OrderBook_NotPermitted", trader, ANYONE):
        core.order_book.place(core.order(trader, ETH, 2 * WAD, kind=kind), sender=ANYONE)


@pytest.mark.parametrize(("isolated", "index"), [(0, 3), (ETH, 0), (ETH, 2**64 - 1)])
def test_place__for_any_account_of_the_owner__is_accepted(core: Core, isolated: int, index: int) -> None:
    account = core.trader("trader", 100, isolated_market=isolated, index=index)
    order = core.order(account, ETH, 2 * WAD)
    core.place(order)
    assert status(core, order) == QUEUED
    assert reserved(core, account) == REQUIRED


# --- the order itself ---


@pytest.mark.parametrize("kind", [0, LIMIT_ORDER])
def test_place__of_nothing__is_refused(core: Core, trader: int, kind: int) -> None:
    with reverts("OrderBook_ZeroSize"):
        core.place(core.order(trader, ETH, 0, kind=kind))


@pytest.mark.parametrize(("kind", "becomes"), [(MARKET_ORDER, QUEUED), (LIMIT_ORDER, WAITING)])
def test_place__expiry_now__is_accepted_and_a_second_ago_refused(
    core: Core, trader: int, kind: int, becomes: int
) -> None:
    now = core.evm.timestamp
    with reverts("OrderBook_Expired", now - 1):
        core.place(core.order(trader, ETH, 2 * WAD, kind=kind, expiry=now - 1))
    order = core.order(trader, ETH, 2 * WAD, kind=kind, expiry=now)
    core.place(order)
    assert status(core, order) == becomes


def test_place__market_order_with_an_expiry__is_bound_by_it_until_its_placement_only(core: Core, trader: int) -> None:
    """Once queued it can't lapse: that would be a way to call it off when its price is known."""
    order = core.order(trader, ETH, 2 * WAD, expiry=core.evm.timestamp)
    core.place(order)
    core.settle(order).event("OrderExecuted")


@pytest.mark.parametrize("market", [0, 3, 2**256 - 1])
def test_place__unlisted_market__is_refused(core: Core, trader: int, market: int) -> None:
    for kind in (0, LIMIT_ORDER):
        with reverts("OrderBook_NotListed", market):
            core.place(core.order(trader, market, 2 * WAD, kind=kind))


def test_place__listed_market_without_terms_of_orders__is_refused(core: Core, trader: int) -> None:
    core.configurator.listMarket(3, 10**6 * WAD, ETH_PARAMS, sender=LISTING)
    core.record(3, 100 * WAD)
    with reverts("OrderBook_NotListed", 3):
        core.place(core.order(trader, 3, 20 * WAD))


def test_place__market_without_a_price__takes_limit_orders_only(core: Core, trader: int) -> None:
    """Without a price there is no notional to reserve the fee of."""
    core.configurator.listMarket(3, 10**6 * WAD, ETH_PARAMS, sender=LISTING)
    core.order_book.setOrderConfig(3, ORDER_CONFIG, sender=LISTING)
    with reverts("OrderBook_NoPrice", 3):
        core.place(core.order(trader, 3, 20 * WAD))
    assert queue(core, 3) == (1, 1)
    order = core.order(trader, 3, 20 * WAD, kind=LIMIT_ORDER)
    core.place(order)
    assert status(core, order) == WAITING


# --- a hash is spent for ever ---


@pytest.mark.parametrize("kind", [0, LIMIT_ORDER])
def test_place__the_same_order_again__is_refused(core: Core, trader: int, kind: int) -> None:
    """OB-01: while it is queued or waits, and after it was executed."""
    order = core.order(trader, ETH, 2 * WAD, kind=kind)
    core.place(order)
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        core.place(order)
    core.settle(order)
    assert status(core, order) == FILLED
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        core.place(order)


def test_place__an_order_that_was_cancelled__is_refused(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, 2 * WAD, kind=LIMIT_ORDER)
    core.place(order)
    core.order_book.cancel(order, sender=owner_of(trader))
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        core.place(order)


CHANGES: list[dict[str, Any]] = [
    {"account": 1},
    {"marketId": BTC},
    {"kind": LIMIT_ORDER},
    {"triggerPrice": 1},
    {"timeInForce": 1},
    {"parent": b"\1".rjust(32, b"\0")},
    {"base": 2 * WAD + 1},
    {"base": -2 * WAD},
    {"acceptablePrice": 1},
    {"reduceOnly": True},
    {"expiry": 1},
    {"salt": 8},
]


@pytest.mark.parametrize("change", CHANGES, ids=[next(iter(change)) for change in CHANGES])
def test_hashOf__any_field_changed__is_another_hash(core: Core, trader: int, change: dict[str, Any]) -> None:
    order = core.order(trader, ETH, 2 * WAD, salt=7)
    assert hash_of(core, order) == hash_of(core, dict(order))
    assert hash_of(core, order) != hash_of(core, {**order, **change})


# --- the cash for it ---


@pytest.mark.parametrize("reduce_only", [False, True])
def test_place__cash_for_the_fees_exactly__is_enough_and_a_wei_less_is_not(core: Core, reduce_only: bool) -> None:
    account = core.trader("trader")
    core.post(account, REQUIRED - 1)
    with reverts("OrderBook_InsufficientCash", REQUIRED - 1, REQUIRED):
        core.place(core.order(account, ETH, 2 * WAD, reduce_only=reduce_only))
    assert queue(core, ETH) == (1, 1)
    core.post(account, 1)
    core.place(core.order(account, ETH, 2 * WAD, reduce_only=reduce_only))
    assert reserved(core, account) == core.cash(account) == REQUIRED


def test_place__second_order__finds_what_the_first_left(core: Core) -> None:
    account = core.trader("trader")
    core.post(account, 2 * REQUIRED - 1)
    core.place(core.order(account, ETH, 2 * WAD))
    with reverts("OrderBook_InsufficientCash", REQUIRED - 1, REQUIRED):
        core.place(core.order(account, ETH, 2 * WAD))
    core.post(account, 1)
    core.place(core.order(account, ETH, 2 * WAD))
    assert reserved(core, account) == 2 * REQUIRED


@pytest.mark.parametrize("price", [2_900, 3_100])
def test_place__with_a_position__its_fees_are_of_what_could_be_withdrawn(core: Core, trader: int, price: int) -> None:
    """Cash less initial margin and losses, gains not counted: a wei less than the fees is refused. The margin of a
    position is not there to be paid out in fees of orders that fail."""
    core.open(trader, ETH, 2 * WAD)
    core.tick(1, {ETH: price * WAD})
    required = EXECUTION_FEE + fee_reserve(2 * WAD, price * WAD)
    base, quote, owed = core.market.position(trader, ETH)
    loss = min(0, base * price + quote - owed)
    margin = initial(ETH, 2 * WAD, price * WAD)
    core.post(trader, margin - loss + required - 1 - core.cash(trader))
    with reverts("OrderBook_InsufficientCash", required - 1, required):
        core.place(core.order(trader, ETH, 2 * WAD))
    core.post(trader, 1)
    core.place(core.order(trader, ETH, 2 * WAD))
    assert reserved(core, trader) == required
    with reverts("OrderBook_InsufficientCash", 0, required):
        core.place(core.order(trader, ETH, 2 * WAD))


def test_place__with_a_position_and_its_price_too_old__is_refused(core: Core, trader: int) -> None:
    """As a withdrawal is: how much is free can't be told. A reduction may be placed all the same."""
    core.open(trader, BTC, WAD)
    published = core.evm.timestamp
    core.evm.advance(16)
    core.record(ETH)
    with reverts("PerpMarket_StalePrice", BTC, published):
        core.place(core.order(trader, ETH, 2 * WAD))
    core.place(core.order(trader, BTC, -WAD, reduce_only=True))
    core.record(BTC)
    core.place(core.order(trader, ETH, 2 * WAD))


def test_place__reduce_only_without_cash__is_backed_by_equity_beyond_maintenance(core: Core, trader: int) -> None:
    """Nobody is locked in who has gains but no cash: exactly as much beyond maintenance as the fees."""
    core.open(trader, ETH, 2 * WAD)
    price = ETH_PRICE + 100 * WAD
    core.tick(1, {ETH: price})
    required = EXECUTION_FEE + fee_reserve(2 * WAD, price)
    equity, maintenance = core.market.healthOf(trader)
    core.post(trader, maintenance + required - 1 - equity)
    assert 0 < core.cash(trader) < maintenance
    with reverts("OrderBook_InsufficientCash", required - 1, required):
        core.place(core.order(trader, ETH, -2 * WAD, reduce_only=True))
    core.post(trader, 1)
    free = core.cash(trader) - initial(ETH, 2 * WAD, price)
    with reverts("OrderBook_InsufficientCash", free, required):
        core.place(core.order(trader, ETH, -2 * WAD))
    core.place(core.order(trader, ETH, -2 * WAD, reduce_only=True))
    assert reserved(core, trader) == required
    with reverts("OrderBook_InsufficientCash", 0, required):
        core.place(core.order(trader, ETH, -2 * WAD, reduce_only=True))


@pytest.mark.parametrize("cash", [0, -1])
def test_place__reduce_only_limit_order_below_maintenance__is_accepted(core: Core, trader: int, cash: int) -> None:
    """It reserves nothing: the way out for who has nothing left beyond maintenance."""
    core.open(trader, ETH, 2 * WAD)
    core.tick(1, {ETH: ETH_PRICE + 20 * WAD})
    core.post(trader, cash - core.cash(trader))
    equity, maintenance = core.market.healthOf(trader)
    assert 0 < equity < maintenance
    required = EXECUTION_FEE + fee_reserve(2 * WAD, core.prices[ETH])
    with reverts("OrderBook_InsufficientCash", equity - maintenance, required):
        core.place(core.order(trader, ETH, -2 * WAD, reduce_only=True))
    order = core.order(trader, ETH, -2 * WAD, kind=LIMIT_ORDER, reduce_only=True)
    core.place(order)
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    assert core.market.position(trader, ETH) == (0, 0, 0)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kind", [MARKET_ORDER, LIMIT_ORDER])
def test_place__size_that_no_slot_can_hold__is_refused_and_a_wei_less_is_not(
    core: Core, trader: int, sign: int, kind: int
) -> None:
    for beyond in (sign * 2**96, 2**255 - 1, -(2**255)):
        with reverts("OrderBook_InvalidTerms", b"base".ljust(32, b"\0")):
            core.place(core.order(trader, ETH, beyond, kind=kind))
    assert queue(core, ETH) == (1, 1)
    core.tick(1, {ETH: 1_000 * WAD})
    largest = core.order(trader, ETH, sign * (2**96 - 1), kind=kind)
    core.post(trader, EXECUTION_FEE + fee_reserve(2**96 - 1, 1_000 * WAD))
    core.place(largest)
    assert status(core, largest) == (QUEUED if kind == MARKET_ORDER else WAITING)


def test_place__fee_that_no_slot_can_hold__is_refused(core: Core, trader: int) -> None:
    """The largest size, at a price of which even its fee is more than the slot holds."""
    reserve = fee_reserve(2**96 - 1, ETH_PRICE)
    assert reserve >= 2**96
    with reverts("SafeCastOverflowedUintDowncast", 96, reserve):
        core.place(core.order(trader, ETH, 2**96 - 1))
    assert queue(core, ETH) == (1, 1)


@pytest.mark.parametrize("bps", [1, 100])
def test_place__other_terms__are_those_of_its_placement(core: Core, trader: int, bps: int) -> None:
    config = {
        **ORDER_CONFIG,
        "executionFee": 3 * WAD,
        "feeReserveBps": bps,
        "settlementDelay": 7,
        "settlementWindow": 9,
    }
    core.order_book.setOrderConfig(ETH, config, sender=LISTING)
    event = core.place(core.order(trader, ETH, 2 * WAD + 1)).event("OrderPlaced")
    assert (event["settleFrom"], event["executionFee"]) == (core.evm.timestamp + 7, 3 * WAD)
    assert event["feeReserve"] == fee_reserve(2 * WAD + 1, ETH_PRICE, bps)
    assert reserved(core, trader) == 3 * WAD + fee_reserve(2 * WAD + 1, ETH_PRICE, bps)


def test_place__market_halted__is_accepted(core: Core, trader: int) -> None:
    """Whether it may open is asked when it settles."""
    core.halt(ETH, 3_600)
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    assert status(core, order) == QUEUED
