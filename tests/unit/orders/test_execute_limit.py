"""Limit orders: they wait for their price, at the newest record, behind the market orders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import (
    BTC,
    DOUBTFUL,
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    LISTING,
    ORDER_CONFIG,
    WAD,
    Core,
    account_id,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, Evm, reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    SPENT,
    WAITING,
    WINDOW,
    fee_reserve,
    fill,
    hash_of,
    initial,
    queue,
    reserved,
    settle_from,
    status,
)

KEEPER_ACCOUNT = account_id(KEEPER)
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["buy", "sell"])


def placed(core: Core, account: int, base: int = 2 * WAD, **options: Any) -> tuple[dict[str, Any], int]:
    """A limit order in ETH and its T."""
    order = core.order(account, ETH, base, kind=LIMIT_ORDER, **options)
    core.place(order)
    return order, settle_from(core, order)


@SIDES
def test_execute__limit_order__events_and_resulting_state(core: Core, trader: int, sign: int) -> None:
    """OB-03: filled at the newest record; its execution fee comes out of the account only now."""
    order, start = placed(core, trader, sign * 2 * WAD)
    core.tick(DELAY + 600, {ETH: 2_950 * WAD})
    cash = core.cash(trader)
    receipt = core.execute(order)
    filled = fill(ETH, 0, sign * 2 * WAD, 2_950 * WAD)
    assert receipt.event("OrderExecuted").args == {"hash": hash_of(core, order), "account": trader, "executor": KEEPER}
    event = receipt.event("Traded")
    assert (event["fillPrice"], event["quote"], event["fee"]) == tuple(filled)
    assert core.market.position(trader, ETH) == (sign * 2 * WAD, filled.quote, 0)
    assert core.cash(trader) == cash - filled.fee - EXECUTION_FEE
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    assert (status(core, order), reserved(core, trader), queue(core, ETH)) == (FILLED, 0, (1, 1))
    assert settle_from(core, order) == start
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_execute__limit_order_with_other_tokens__the_ledger_adds_up(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    order, _ = placed(core, core.trader("trader", 10_000))
    core.tick(DELAY)
    core.execute(order, sender=ANYONE)
    assert core.vault.withdrawable(account_id(ANYONE)) == EXECUTION_FEE // core.unit
    core.check_sums()


# --- its price ---


@SIDES
def test_execute__limit_price_exactly__is_filled_and_a_wei_worse_waits(core: Core, trader: int, sign: int) -> None:
    """The fill price is held against the limit, not the index price. A refusal leaves the order as it was."""
    price = fill(ETH, 0, sign * 2 * WAD, ETH_PRICE, WAD).price
    missed, _ = placed(core, trader, sign * 2 * WAD, acceptable=price - sign)
    exact, _ = placed(core, trader, sign * 2 * WAD, acceptable=price)
    core.evm.advance(DELAY)
    core.record(ETH, ETH_PRICE, WAD)
    cash = core.cash(trader)
    with reverts("PerpMarket_PriceNotAcceptable", price, price - sign):
        core.execute(missed)
    assert (status(core, missed), core.cash(trader)) == (WAITING, cash)
    assert core.execute(exact).event("Traded")["fillPrice"] == price


def test_execute__limit_order__may_be_filled_at_better_than_its_limit(core: Core, trader: int) -> None:
    order, _ = placed(core, trader, acceptable=ETH_PRICE)
    core.tick(DELAY, {ETH: 2_700 * WAD})
    assert core.execute(order).event("Traded")["fillPrice"] == fill(ETH, 0, 2 * WAD, 2_700 * WAD).price


def test_execute__limit_order_whose_price_comes_later__is_filled_then(core: Core, trader: int) -> None:
    order, _ = placed(core, trader, acceptable=2_900 * WAD)
    for price in (3_000, 2_950, 2_901):
        core.tick(10, {ETH: price * WAD})
        with reverts("PerpMarket_PriceNotAcceptable", fill(ETH, 0, 2 * WAD, price * WAD).price, 2_900 * WAD):
            core.execute(order)
    core.tick(10, {ETH: 2_899 * WAD})
    core.execute(order).event("OrderExecuted")


# --- the record ---


def test_execute__limit_order_before_t__is_refused(core: Core, trader: int) -> None:
    """A price of before T may have been known when the order was placed."""
    order, start = placed(core, trader)
    core.tick(DELAY - 1)
    assert core.evm.timestamp == start - 1
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.advance(1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.record(ETH)
    core.execute(order).event("OrderExecuted")


def test_execute__limit_order__record_of_the_windows_age_is_fresh_and_older_not(core: Core, trader: int) -> None:
    order, start = placed(core, trader)
    core.tick(DELAY + 60)
    core.evm.advance(WINDOW + 1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.advance(-1)
    core.execute(order).event("OrderExecuted")


def test_execute__limit_order__window_is_the_markets_of_now(core: Core, trader: int) -> None:
    order, start = placed(core, trader)
    core.tick(DELAY)
    core.evm.advance(WINDOW)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "settlementWindow": WINDOW - 1}, sender=LISTING)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)


def test_execute__limit_order__keeps_the_execution_fee_of_its_placement(core: Core, trader: int) -> None:
    order, _ = placed(core, trader)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "executionFee": 5 * WAD}, sender=LISTING)
    core.tick(DELAY)
    core.execute(order)
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE


# --- expiry ---


def test_execute__limit_order_at_its_expiry__is_filled_and_a_second_later_refused(core: Core, trader: int) -> None:
    order, _ = placed(core, trader, expiry=core.evm.timestamp + 100)
    core.tick(101)
    with reverts("OrderBook_Expired", core.evm.timestamp - 1):
        core.execute(order)
    assert status(core, order) == WAITING
    late, _ = placed(core, trader, expiry=core.evm.timestamp + 100)
    core.tick(100)
    core.execute(late).event("OrderExecuted")


def test_execute__limit_order_without_expiry__waits_for_ever(core: Core, trader: int) -> None:
    order, _ = placed(core, trader)
    core.tick(10 * 365 * 86_400)
    core.execute(order).event("OrderExecuted")


# --- behind the market orders ---


def test_execute__limit_order_with_market_orders_queued__waits(core: Core, trader: int) -> None:
    """OB-03: what was committed to before its price was known goes first."""
    order, _ = placed(core, trader)
    market_order = core.order(trader, ETH, 2 * WAD)
    core.place(market_order)
    core.tick(DELAY)
    with reverts("OrderBook_MarketOrdersPending", ETH):
        core.execute(order)
    core.execute(market_order)
    core.execute(order).event("OrderExecuted")


def test_execute__limit_order_with_the_queue_of_another_market__does_not_wait(core: Core, trader: int) -> None:
    order, _ = placed(core, trader)
    core.place(core.order(trader, BTC, WAD))
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")


def test_execute__reduce_only_limit_order__does_not_wait_for_market_orders(core: Core, trader: int) -> None:
    """A stop is not held up by a queue."""
    core.open(trader, ETH, 4 * WAD)
    order, _ = placed(core, trader, -2 * WAD, reduce_only=True)
    core.place(core.order(trader, ETH, 2 * WAD))
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    assert core.market.position(trader, ETH)[0] == 2 * WAD
    assert queue(core, ETH) == (3, 2)
    assert reserved(core, trader) == EXECUTION_FEE + fee_reserve(2 * WAD, ETH_PRICE)


# --- a refusal leaves it waiting ---


def test_execute__limit_order_short_of_margin__waits_and_forfeits_nothing(core: Core) -> None:
    trader = core.trader("trader", 1)
    order, _ = placed(core, trader)
    core.tick(DELAY)
    filled = fill(ETH, 0, 2 * WAD, ETH_PRICE)
    required = initial(ETH, 2 * WAD, ETH_PRICE)
    available = WAD - filled.fee - EXECUTION_FEE + 2 * ETH_PRICE + filled.quote
    with reverts("PerpMarket_InsufficientMargin", trader, available, required):
        core.execute(order)
    assert (status(core, order), core.cash(trader)) == (WAITING, WAD)
    core.post(trader, required - available)
    core.execute(order).event("OrderExecuted")


def test_execute__limit_order_in_a_halted_market__waits(core: Core, trader: int) -> None:
    order, _ = placed(core, trader)
    core.halt(ETH, 600)
    until = core.evm.timestamp + 600
    core.tick(DELAY)
    with reverts("PerpMarket_OpeningHalted", ETH, 0, until):
        core.execute(order)
    core.tick(600 - DELAY)
    core.execute(order).event("OrderExecuted")


def test_execute__limit_order_at_a_doubtful_price__waits(core: Core, trader: int) -> None:
    order, _ = placed(core, trader)
    core.tick(DELAY, state=DOUBTFUL)
    with reverts("PerpMarket_OpeningHalted", ETH, DOUBTFUL, 0):
        core.execute(order)
    core.tick(1)
    core.execute(order).event("OrderExecuted")


@pytest.mark.parametrize("held", [0, -2 * WAD])
def test_execute__reduce_only_limit_order_with_nothing_to_reduce__is_void_and_unpaid(
    core: Core, trader: int, held: int
) -> None:
    """No position, or one of the order's own sign: the stop of a position that was closed ends when anyone tries it."""
    if held:
        core.open(trader, ETH, held)
    order, _ = placed(core, trader, -5 * WAD, reduce_only=True)
    core.tick(DELAY)
    cash, keeper = core.cash(trader), core.cash(KEEPER_ACCOUNT)
    receipt = core.execute(order)
    assert receipt.event("OrderVoided").args == {
        "hash": hash_of(core, order),
        "account": trader,
        "executor": KEEPER,
        "paid": 0,
    }
    assert status(core, order) == SPENT
    assert (core.cash(trader), core.cash(KEEPER_ACCOUNT)) == (cash, keeper)
    assert core.market.position(trader, ETH)[0] == held


def test_execute__reduce_only_limit_order_of_a_pending_parent__waits_for_its_position(core: Core, trader: int) -> None:
    """A stop may be placed before its position is opened, as the child of what opens it; it takes no more than there
    is."""
    entry = core.order(trader, ETH, 2 * WAD)
    order, _ = placed(core, trader, -5 * WAD, reduce_only=True, parent=hash_of(core, entry))
    core.tick(DELAY)
    with reverts("OrderBook_ParentPending", hash_of(core, entry)):
        core.execute(order)
    assert status(core, order) == WAITING
    core.place(entry)
    with reverts("OrderBook_ParentPending", hash_of(core, entry)):
        core.execute(order)
    core.settle(entry).event("OrderExecuted")
    core.tick(1)
    assert core.execute(order).event("Traded")["base"] == -2 * WAD
    assert core.market.position(trader, ETH) == (0, 0, 0)


def test_cancel__limit_order_that_was_refused__is_spent(core: Core, trader: int) -> None:
    order, _ = placed(core, trader, acceptable=1)
    core.tick(DELAY)
    with reverts("PerpMarket_PriceNotAcceptable", fill(ETH, 0, 2 * WAD, ETH_PRICE).price, 1):
        core.execute(order)
    core.order_book.cancel(order, sender=owner_of(trader))
    assert status(core, order) == SPENT
