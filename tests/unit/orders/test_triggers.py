"""Stop-losses, take-profits and limit orders: due at the index price alone, and no moment can kill one."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode

from tests.support.core import (
    BTC,
    DOUBTFUL,
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    MARKET_ORDER,
    OPEN,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    owner_of,
)
from tests.support.evm import reverts
from tests.support.signed import Signed
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    FILLED,
    MATCHING,
    QUEUED,
    SPENT,
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
TRIGGER = 2_900 * WAD
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["buy", "sell"])
KINDS = pytest.mark.parametrize("kind", [LIMIT_ORDER, STOP_LOSS, TAKE_PROFIT], ids=["limit", "stop", "profit"])
TRIGGERS = pytest.mark.parametrize(
    ("kind", "sign", "before"),
    [
        pytest.param(STOP_LOSS, -1, 1, id="a selling stop-loss is due at its trigger and below"),
        pytest.param(STOP_LOSS, 1, -1, id="a buying stop-loss at its trigger and above"),
        pytest.param(TAKE_PROFIT, -1, -1, id="a selling take-profit at its trigger and above"),
        pytest.param(TAKE_PROFIT, 1, 1, id="a buying take-profit at its trigger and below"),
    ],
)


def placed(core: Core, account: int, kind: int, base: int, **options: Any) -> dict[str, Any]:
    """An order in ETH that is due at once, unless a trigger says otherwise."""
    if kind in (STOP_LOSS, TAKE_PROFIT):
        above = (base > 0) == (kind == TAKE_PROFIT)
        options.setdefault("trigger", (10 if above else 1) * ETH_PRICE // (1 if above else 10))
    order = core.order(account, ETH, base, kind=kind, **options)
    core.place(order)
    return order


# --- the trigger ---


@TRIGGERS
def test_execute__a_wei_before_the_trigger__waits(core: Core, trader: int, kind: int, sign: int, before: int) -> None:
    """OB-03: and nothing happens to it; whoever brought it is not paid."""
    order = placed(core, trader, kind, sign * 2 * WAD, trigger=TRIGGER)
    core.tick(DELAY, {ETH: TRIGGER + before})
    cash = core.cash(trader)
    with reverts("OrderBook_NotTriggered", TRIGGER + before, TRIGGER):
        core.execute(order)
    assert (status(core, order), core.cash(trader), core.cash(KEEPER_ACCOUNT)) == (WAITING, cash, 0)
    core.check_sums()


@TRIGGERS
@pytest.mark.parametrize("beyond", [0, 1, 10**20])
def test_execute__at_the_trigger_or_beyond__is_filled(
    core: Core, trader: int, kind: int, sign: int, before: int, beyond: int
) -> None:
    """At the price of the record, not at that of the trigger."""
    base, price = sign * 2 * WAD, TRIGGER - before * beyond
    order = placed(core, trader, kind, base, trigger=TRIGGER)
    core.tick(DELAY, {ETH: price})
    cash = core.cash(trader)
    receipt = core.execute(order)
    filled = fill(ETH, 0, base, price)
    assert receipt.event("OrderExecuted").args == {"hash": hash_of(core, order), "account": trader, "executor": KEEPER}
    event = receipt.event("Traded")
    assert (event["base"], event["fillPrice"], event["quote"], event["fee"]) == (base, *filled)
    assert core.market.position(trader, ETH) == (base, filled.quote, 0)
    assert core.cash(trader) == cash - filled.fee - EXECUTION_FEE
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    assert (status(core, order), reserved(core, trader), queue(core, ETH)) == (FILLED, 0, (1, 1))
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.check_sums()


@TRIGGERS
def test_execute__price_in_doubt__is_judged_by_itself(
    core: Core, trader: int, kind: int, sign: int, before: int
) -> None:
    """The confidence plays no part in the trigger, and all of it in the fill."""
    early = placed(core, trader, kind, sign * 2 * WAD, trigger=TRIGGER)
    core.evm.advance(DELAY)
    core.record(ETH, TRIGGER + before, 10 * WAD)
    with reverts("OrderBook_NotTriggered", TRIGGER + before, TRIGGER):
        core.execute(early)
    core.evm.advance(1)
    core.record(ETH, TRIGGER, 10 * WAD)
    assert core.execute(early).event("Traded")["fillPrice"] == fill(ETH, 0, sign * 2 * WAD, TRIGGER, 10 * WAD).price
    core.check_sums()


@TRIGGERS
def test_execute__price_that_touched_the_trigger_and_left__is_judged_by_the_newest(
    core: Core, trader: int, kind: int, sign: int, before: int
) -> None:
    """Nobody may pick a record of the past for a trader."""
    order = placed(core, trader, kind, sign * 2 * WAD, trigger=TRIGGER)
    core.tick(DELAY, {ETH: TRIGGER})
    core.tick(1, {ETH: TRIGGER + before * WAD})
    with reverts("OrderBook_NotTriggered", TRIGGER + before * WAD, TRIGGER):
        core.execute(order)
    core.tick(1, {ETH: TRIGGER})
    core.execute(order).event("OrderExecuted")
    core.check_sums()


@SIDES
def test_execute__limit_order__its_limit_is_held_against_the_fill(core: Core, trader: int, sign: int) -> None:
    price = fill(ETH, 0, sign * 2 * WAD, ETH_PRICE).price
    missed = placed(core, trader, LIMIT_ORDER, sign * 2 * WAD, acceptable=price - sign)
    exact = placed(core, trader, LIMIT_ORDER, sign * 2 * WAD, acceptable=price)
    core.tick(DELAY)
    with reverts("PerpMarket_PriceNotAcceptable", price, price - sign):
        core.execute(missed)
    assert core.execute(exact).event("Traded")["fillPrice"] == price
    assert (status(core, missed), status(core, exact)) == (WAITING, FILLED)
    core.check_sums()


# --- the record ---


@KINDS
@SIDES
def test_execute__record_of_before_t__is_refused(core: Core, trader: int, kind: int, sign: int) -> None:
    """A price of before T may have been known when the order was placed."""
    order = placed(core, trader, kind, sign * WAD)
    start = settle_from(core, order)
    core.tick(DELAY - 1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.evm.advance(1)
    with reverts("OrderBook_NoRecord", start):
        core.execute(order)
    core.record(ETH)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


@KINDS
def test_execute__record_of_the_windows_age__is_fresh_and_a_second_older_not(
    core: Core, trader: int, kind: int
) -> None:
    order = placed(core, trader, kind, WAD)
    core.tick(DELAY + 60)
    core.evm.advance(WINDOW + 1)
    with reverts("OrderBook_NoRecord", settle_from(core, order)):
        core.execute(order)
    core.evm.advance(-1)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_execute__two_prices_in_one_transaction__the_second_fills_nothing(core: Core, trader: int) -> None:
    """Who knows two prices, and is in at the one and out at the other at once, takes no risk."""
    buy, sell = placed(core, trader, LIMIT_ORDER, WAD), placed(core, trader, LIMIT_ORDER, -WAD)
    start = core.evm.timestamp
    core.evm.advance(DELAY + 1)
    record = [
        encode(["uint256"] * 5, [ETH, price, 0, start + DELAY + age, OPEN])
        for age, price in enumerate((ETH_PRICE, 3_100 * WAD))
    ]
    calls = [core.order_book.execute.encode(order, [item]) for order, item in zip((buy, sell), record, strict=True)]
    with reverts("OrderBook_SecondPrice", ETH):
        core.order_book.multicall(calls, sender=KEEPER)
    batches = [
        core.order_book.executeBatch.encode([order], [item]) for order, item in zip((buy, sell), record, strict=True)
    ]
    receipt = core.order_book.multicall(batches, sender=KEEPER)
    assert receipt.event("OrderExecuted")["hash"] == hash_of(core, buy)
    assert receipt.event("OrderSkipped")["hash"] == hash_of(core, sell)
    assert reason_of(receipt, "OrderSkipped") == ("OrderBook_SecondPrice", ETH)
    core.execute(sell).event("OrderExecuted")
    core.track(KEEPER_ACCOUNT)
    core.check_sums()


def test_execute__two_orders_at_one_price_in_one_transaction__are_both_filled(core: Core, trader: int) -> None:
    orders = [placed(core, trader, LIMIT_ORDER, base) for base in (WAD, 2 * WAD)]
    core.tick(DELAY)
    core.track(KEEPER_ACCOUNT)
    receipt = core.order_book.executeBatch(orders, [], sender=KEEPER)
    assert [event["hash"] for event in receipt.events("OrderExecuted")] == [hash_of(core, order) for order in orders]
    core.check_sums()


def test_execute__one_price_each_of_two_markets__are_both_filled(core: Core, trader: int) -> None:
    orders = [core.order(trader, market, WAD, kind=LIMIT_ORDER) for market in (ETH, BTC)]
    for order in orders:
        core.place(order)
    core.tick(DELAY)
    core.track(KEEPER_ACCOUNT)
    receipt = core.order_book.executeBatch(orders, [], sender=KEEPER)
    assert len(receipt.events("OrderExecuted")) == 2
    core.check_sums()


# --- expiry, the counter ---


@KINDS
def test_execute__at_its_expiry__is_filled_and_a_second_later_refused(core: Core, trader: int, kind: int) -> None:
    expiry = core.evm.timestamp + 100
    first, second = (placed(core, trader, kind, WAD, expiry=expiry) for _ in range(2))
    core.tick(100)
    core.execute(first).event("OrderExecuted")
    core.tick(1)
    with reverts("OrderBook_Expired", expiry):
        core.execute(second)
    assert status(core, second) == WAITING
    core.check_sums()


@KINDS
def test_place__at_its_expiry__waits_and_a_second_later_is_refused(core: Core, trader: int, kind: int) -> None:
    now = core.evm.timestamp
    assert status(core, placed(core, trader, kind, WAD, expiry=now)) == WAITING
    with reverts("OrderBook_Expired", now - 1):
        placed(core, trader, kind, WAD, expiry=now - 1)


@KINDS
def test_execute__under_another_counter__is_refused(core: Core, trader: int, kind: int) -> None:
    order = placed(core, trader, kind, WAD)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    core.tick(DELAY)
    with reverts("OrderBook_WrongCounter", trader, 1):
        core.execute(order)
    assert status(core, order) == WAITING
    core.check_sums()


@KINDS
@pytest.mark.parametrize("counter", [1, 2**128 - 1])
def test_place__under_another_counter__is_refused(core: Core, trader: int, kind: int, counter: int) -> None:
    with reverts("OrderBook_WrongCounter", trader, 0):
        placed(core, trader, kind, WAD, counter=counter)


# --- terms ---


@pytest.mark.parametrize(
    ("kind", "trigger"),
    [(MARKET_ORDER, 1), (LIMIT_ORDER, 1), (STOP_LOSS, 0), (TAKE_PROFIT, 0)],
    ids=["market with", "limit with", "stop without", "profit without"],
)
def test_place__trigger_that_its_kind_has_not__is_refused(core: Core, trader: int, kind: int, trigger: int) -> None:
    with reverts("OrderBook_InvalidTerms", b"triggerPrice".ljust(32, b"\0")):
        placed(core, trader, kind, WAD, trigger=trigger)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("time_in_force", [1, 2, 3])
def test_place__time_in_force_of_orders_that_are_matched__is_refused(
    core: Core, trader: int, kind: int, time_in_force: int
) -> None:
    with reverts("OrderBook_InvalidTerms", b"timeInForce".ljust(32, b"\0")):
        placed(core, trader, kind, WAD, time_in_force=time_in_force)


def test_place__market_order_with_a_parent__is_refused(core: Core, trader: int) -> None:
    with reverts("OrderBook_InvalidTerms", b"parent".ljust(32, b"\0")):
        placed(core, trader, MARKET_ORDER, WAD, parent=b"\1" * 32)


@SIDES
def test_place__size_of_more_than_96_bits__is_refused(core: Core, trader: int, sign: int) -> None:
    with reverts("OrderBook_InvalidTerms", b"base".ljust(32, b"\0")):
        placed(core, trader, LIMIT_ORDER, sign * 2**96)
    placed(core, trader, LIMIT_ORDER, sign * (2**96 - 1))


@KINDS
def test_place__no_size__is_refused(core: Core, trader: int, kind: int) -> None:
    with reverts("OrderBook_ZeroSize"):
        placed(core, trader, kind, 0)


@KINDS
@SIDES
def test_place__order_that_waits__reserves_nothing(core: Core, kind: int, sign: int) -> None:
    """OB-01: not even of an account without cash; it takes no place in the queue."""
    nobody = core.trader("nobody")
    order = placed(core, nobody, kind, sign * WAD)
    found = core.order_book.commitment(hash_of(core, order))
    assert found == (WAITING, core.evm.timestamp + DELAY, 0, EXECUTION_FEE, 0)
    assert (reserved(core, nobody), queue(core, ETH)) == (0, (1, 1))


# --- the parent ---


def child_of(core: Core, account: int, parent: bytes) -> dict[str, Any]:
    return placed(core, account, LIMIT_ORDER, WAD, parent=parent)


def test_execute__parent_never_seen_queued_or_waiting__is_pending(core: Core, trader: int) -> None:
    parents = [
        core.order(trader, ETH, WAD, kind=LIMIT_ORDER, acceptable=1),
        placed(core, trader, MARKET_ORDER, WAD),
        placed(core, trader, LIMIT_ORDER, WAD, acceptable=1),
    ]
    children = [child_of(core, trader, hash_of(core, parent)) for parent in parents]
    core.tick(DELAY)
    assert [status(core, parent) for parent in parents] == [0, QUEUED, WAITING]
    for parent, child in zip(parents, children, strict=True):
        with reverts("OrderBook_ParentPending", hash_of(core, parent)):
            core.execute(child)
        assert status(core, child) == WAITING
    core.check_sums()


@pytest.mark.parametrize("kind", range(4))
def test_execute__parent_filled__is_executable(core: Core, trader: int, kind: int) -> None:
    parent = placed(core, trader, kind, 2 * WAD)
    child = child_of(core, trader, hash_of(core, parent))
    core.tick(DELAY)
    core.execute(parent)
    assert status(core, parent) == FILLED
    core.execute(child).event("OrderExecuted")
    assert core.market.position(trader, ETH)[0] == 3 * WAD
    core.check_sums()


def cancelled(core: Core, trader: int) -> dict[str, Any]:
    order = placed(core, trader, LIMIT_ORDER, WAD)
    core.order_book.cancel(order, sender=owner_of(trader))
    return order


def cancelled_unseen(core: Core, trader: int) -> dict[str, Any]:
    order = core.order(trader, ETH, WAD, kind=LIMIT_ORDER)
    core.order_book.cancel(order, sender=owner_of(trader))
    return order


def failed(core: Core, trader: int) -> dict[str, Any]:
    order = placed(core, trader, MARKET_ORDER, WAD, acceptable=1)
    core.settle(order).event("OrderFailed")
    return order


def void(core: Core, trader: int) -> dict[str, Any]:
    order = placed(core, trader, MARKET_ORDER, WAD)
    core.tick(60)
    core.execute(order).event("OrderVoided")
    return order


@pytest.mark.parametrize("end", [cancelled, cancelled_unseen, failed, void])
def test_execute__parent_ended_unfilled__is_void_and_nobody_is_paid(core: Core, trader: int, end: Any) -> None:
    parent = end(core, trader)
    child = child_of(core, trader, hash_of(core, parent))
    cash, paid = core.cash(trader), core.cash(KEEPER_ACCOUNT)
    receipt = core.execute(child)
    assert receipt.event("OrderVoided").args == {
        "hash": hash_of(core, child),
        "account": trader,
        "executor": KEEPER,
        "paid": 0,
    }
    assert (status(core, child), core.cash(trader), core.cash(KEEPER_ACCOUNT)) == (SPENT, cash, paid)
    core.check_sums()


@pytest.mark.parametrize("ended", [False, True])
def test_execute__parent_matched_in_part__counts_as_filled_however_it_ended(core: Core, ended: bool) -> None:
    signed = Signed(core)
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    entry = signed.limit(taker, ETH, 4 * WAD, ETH_PRICE)
    signed.match(signed.limit(maker, ETH, -WAD, ETH_PRICE), entry)
    if ended:
        core.order_book.cancel(entry, sender=owner_of(taker))
    assert status(core, entry) == (SPENT if ended else MATCHING)
    child = child_of(core, taker, hash_of(core, entry))
    core.tick(DELAY)
    core.execute(child).event("OrderExecuted")
    core.check_sums()


def test_execute__grandchild__waits_for_the_child(core: Core, trader: int) -> None:
    parent = placed(core, trader, LIMIT_ORDER, WAD)
    child = child_of(core, trader, hash_of(core, parent))
    grandchild = child_of(core, trader, hash_of(core, child))
    core.tick(DELAY)
    core.execute(parent)
    with reverts("OrderBook_ParentPending", hash_of(core, child)):
        core.execute(grandchild)
    core.execute(child)
    core.execute(grandchild).event("OrderExecuted")
    core.check_sums()


# --- reduce-only ---


@SIDES
@pytest.mark.parametrize("kind", [STOP_LOSS, TAKE_PROFIT, LIMIT_ORDER])
@pytest.mark.parametrize(
    ("size", "closed"), [(WAD, WAD), (2 * WAD, 2 * WAD), (2 * WAD + 1, 2 * WAD), (9 * WAD, 2 * WAD)]
)
def test_execute__reduce_only__takes_no_more_than_there_is(
    core: Core, trader: int, sign: int, kind: int, size: int, closed: int
) -> None:
    core.open(trader, ETH, -sign * 2 * WAD)
    order = placed(core, trader, kind, sign * size, reduce_only=True)
    core.tick(DELAY)
    assert core.execute(order).event("Traded")["base"] == sign * closed
    assert core.market.position(trader, ETH)[0] == sign * (closed - 2 * WAD)
    assert status(core, order) == FILLED
    core.check_sums()


def test_execute__not_reduce_only__goes_through_to_the_other_side(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    order = placed(core, trader, STOP_LOSS, -5 * WAD)
    core.tick(DELAY)
    core.execute(order)
    assert core.market.position(trader, ETH)[0] == -3 * WAD
    core.check_sums()


@SIDES
@pytest.mark.parametrize("held", [0, 2 * WAD], ids=["no position", "a position of its own side"])
def test_execute__nothing_to_reduce__is_void_and_nobody_is_paid(core: Core, trader: int, sign: int, held: int) -> None:
    """Also where its price was never reached, and before T."""
    if held:
        core.open(trader, ETH, sign * held)
    order = placed(core, trader, STOP_LOSS, sign * WAD, reduce_only=True, trigger=ETH_PRICE + sign * WAD)
    cash, paid = core.cash(trader), core.cash(KEEPER_ACCOUNT)
    receipt = core.execute(order)
    assert receipt.event("OrderVoided").args == {
        "hash": hash_of(core, order),
        "account": trader,
        "executor": KEEPER,
        "paid": 0,
    }
    assert (status(core, order), core.cash(trader), core.cash(KEEPER_ACCOUNT)) == (SPENT, cash, paid)
    assert core.market.position(trader, ETH)[0] == sign * held
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.check_sums()


def test_execute__something_left_to_reduce__is_not_void_until_it_is_closed(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    order = placed(core, trader, STOP_LOSS, -WAD, reduce_only=True, trigger=WAD)
    core.tick(DELAY)
    with reverts("OrderBook_NotTriggered", ETH_PRICE, WAD):
        core.execute(order)
    assert status(core, order) == WAITING
    core.close(trader, ETH)
    core.execute(order).event("OrderVoided")
    core.check_sums()


def test_execute__nothing_to_reduce_for_one_that_is_not_reduce_only__waits(core: Core, trader: int) -> None:
    order = placed(core, trader, STOP_LOSS, -WAD, trigger=TRIGGER)
    core.tick(DELAY)
    with reverts("OrderBook_NotTriggered", ETH_PRICE, TRIGGER):
        core.execute(order)
    core.check_sums()


@pytest.mark.parametrize("reason", ["expired", "counter"])
def test_execute__nothing_to_reduce_but_dead_already__is_refused_as_dead(core: Core, trader: int, reason: str) -> None:
    expiry = core.evm.timestamp
    order = placed(core, trader, STOP_LOSS, -WAD, reduce_only=True, expiry=expiry)
    core.evm.advance(1)
    if reason == "counter":
        core.order_book.cancelAll(trader, sender=owner_of(trader))
        with reverts("OrderBook_WrongCounter", trader, 1):
            core.execute(order)
    else:
        with reverts("OrderBook_Expired", expiry):
            core.execute(order)
    core.check_sums()


def test_execute__market_orders_pending__hold_up_no_reduction(core: Core, trader: int) -> None:
    core.open(trader, ETH, 4 * WAD)
    stop = placed(core, trader, STOP_LOSS, -2 * WAD, reduce_only=True)
    plain = placed(core, trader, STOP_LOSS, -2 * WAD)
    placed(core, trader, MARKET_ORDER, WAD)
    core.tick(DELAY)
    with reverts("OrderBook_MarketOrdersPending", ETH):
        core.execute(plain)
    core.execute(stop).event("OrderExecuted")
    assert core.market.position(trader, ETH)[0] == 2 * WAD
    core.check_sums()


# --- a refusal leaves it waiting ---


@SIDES
def test_execute__stop_refused_for_its_price__is_filled_at_the_next_record(core: Core, trader: int, sign: int) -> None:
    """Attack 11: whoever picks a moment of a bad price for a stop can't kill it."""
    core.open(trader, ETH, -sign * 2 * WAD)
    limit = 3_050 * WAD if sign > 0 else 2_950 * WAD
    order = placed(core, trader, STOP_LOSS, sign * 2 * WAD, reduce_only=True, trigger=ETH_PRICE, acceptable=limit)
    core.tick(DELAY, {ETH: ETH_PRICE + sign * 100 * WAD})
    price = fill(ETH, -sign * 2 * WAD, sign * 2 * WAD, core.prices[ETH]).price
    cash = core.cash(trader)
    with reverts("PerpMarket_PriceNotAcceptable", price, limit):
        core.execute(order)
    receipt = core.order_book.executeBatch([order], [], sender=KEEPER)
    assert reason_of(receipt, "OrderSkipped") == ("PerpMarket_PriceNotAcceptable", price, limit)
    assert (status(core, order), core.cash(trader)) == (WAITING, cash)
    core.tick(1, {ETH: ETH_PRICE + sign * 10 * WAD})
    core.execute(order).event("OrderExecuted")
    assert core.market.position(trader, ETH) == (0, 0, 0)
    core.check_sums()


def test_execute__stop_of_a_bankrupt_account__waits_for_another_price(core: Core) -> None:
    trader = core.trader("trader", 1_000)
    core.open(trader, ETH, 4 * WAD)
    order = placed(core, trader, STOP_LOSS, -4 * WAD, reduce_only=True, trigger=2_900 * WAD)
    core.tick(DELAY, {ETH: 2_700 * WAD})
    equity = core.market.equity(trader)
    with reverts("PerpMarket_Bankrupt", trader, equity):
        core.execute(order)
    assert status(core, order) == WAITING
    core.tick(1, {ETH: 2_850 * WAD})
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_execute__stop_that_can_not_pay_its_fees__pays_what_it_leaves(core: Core) -> None:
    """A stop fails for no fee: a reduction pays out of what it leaves."""
    trader = core.trader("trader", 1_000)
    core.open(trader, ETH, 4 * WAD)
    order = placed(core, trader, STOP_LOSS, -4 * WAD, reduce_only=True, trigger=2_900 * WAD)
    core.tick(DELAY, {ETH: 2_752 * WAD})
    core.execute(order).event("OrderExecuted")
    assert core.market.position(trader, ETH) == (0, 0, 0)
    assert 0 <= core.cash(trader) < WAD
    core.check_sums()


@SIDES
@pytest.mark.parametrize(
    ("size", "paid"),
    [
        pytest.param(10**14, None, id="dust pays a hundredth of what it closes"),
        pytest.param(WAD // 10, EXECUTION_FEE, id="the fee is less than a hundredth"),
    ],
)
def test_execute__reduction__pays_its_executor_at_most_a_hundredth_of_it(
    core: Core, trader: int, sign: int, size: int, paid: int | None
) -> None:
    """Else stops of dust, again and again, would draw out a position's margin."""
    core.open(trader, ETH, sign * 2 * WAD)
    order = placed(core, trader, STOP_LOSS, -sign * size, reduce_only=True)
    core.tick(DELAY)
    before = core.cash(KEEPER_ACCOUNT)
    quote = abs(core.execute(order).event("Traded")["quote"])
    assert core.cash(KEEPER_ACCOUNT) - before == (quote // 100 if paid is None else paid)
    core.check_sums()


def test_execute__stop_at_a_doubtful_price_in_a_halted_market__is_filled(core: Core, trader: int) -> None:
    core.open(trader, ETH, 2 * WAD)
    order = placed(core, trader, STOP_LOSS, -2 * WAD, reduce_only=True)
    core.halt(ETH, 600)
    core.tick(DELAY, state=DOUBTFUL)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


@pytest.mark.parametrize("kind", [STOP_LOSS, TAKE_PROFIT])
def test_execute__trigger_that_opens_in_a_halted_market__waits(core: Core, trader: int, kind: int) -> None:
    order = placed(core, trader, kind, 2 * WAD)
    core.halt(ETH, 600)
    until = core.evm.timestamp + 600
    core.tick(DELAY)
    with reverts("PerpMarket_OpeningHalted", ETH, OPEN, until):
        core.execute(order)
    core.tick(600)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_cancel__stop_that_was_refused__is_spent(core: Core, trader: int) -> None:
    order = placed(core, trader, STOP_LOSS, -WAD, trigger=WAD)
    core.tick(DELAY)
    with reverts("OrderBook_NotTriggered", ETH_PRICE, WAD):
        core.execute(order)
    receipt = core.order_book.cancel(order, sender=owner_of(trader))
    assert receipt.event("OrderCancelled").args == {"hash": hash_of(core, order), "account": trader}
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        core.execute(order)
    core.check_sums()
