"""Reduce-only orders where nobody records prices: signed data, or the push sources, against the order."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode

from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    MARKET_ORDER,
    STOP_LOSS,
    WAD,
    Core,
    account_id,
    actor,
    owner_of,
)
from tests.support.evm import Receipt, reverts
from tests.unit.orders.reference import DELAY, EXECUTION_FEE, FILLED, SPENT, WAITING, WINDOW, fill, hash_of, status

FALLBACK_DELAY, FORCED_WINDOW, FORCED_FEE_BPS = 60, 120, 50
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
SIZE = 4 * WAD


def close_of(core: Core, account: int, sign: int = 1, **options: Any) -> dict[str, Any]:
    """A placed reduce-only order against the whole position of `open_one`."""
    order = core.order(account, ETH, -sign * SIZE, reduce_only=True, **options)
    core.place(order)
    return order


def missed(core: Core, account: int, sign: int = 1, **options: Any) -> dict[str, Any]:
    """A market order whose record never came: it waits outside of the queue."""
    order = close_of(core, account, sign, kind=MARKET_ORDER, **options)
    core.evm.advance(DELAY + 2 * WINDOW + 1)
    core.execute(order).event("OrderLeftQueue")
    return order


def force(core: Core, order: dict[str, Any], price: int, confidence: int = 0, age: int = 0) -> Receipt:
    """At signed data of that age, seconds."""
    core.track(account_id(KEEPER))
    payload = encode(["uint256"] * 3, [price, confidence, core.evm.timestamp - age])
    receipt: Receipt = core.order_book.executeForced(order, [payload], sender=KEEPER)
    return receipt


def against(price: int, doubt: int = 0) -> int:
    """The doubt that the fill adds to its price."""
    return doubt + -(-price * FORCED_FEE_BPS // 10_000)


@pytest.fixture
def settle_from(core: Core, trader: int) -> int:
    """T of the order that a test places at once: all positions are opened before."""
    return core.evm.timestamp + DELAY


# --- at signed data ---


@SIDES
@pytest.mark.parametrize("confidence", [0, 7 * WAD])
def test_executeForced__signed_data__fills_against_the_order(
    core: Core, trader: int, sign: int, confidence: int
) -> None:
    """OB-09: at P ∓ (confidence + 0.5 %), and whoever brought it is paid."""
    core.open(trader, ETH, sign * SIZE)
    order = missed(core, trader, sign)
    core.evm.advance(FORCED_WINDOW)
    price = ETH_PRICE * 99 // 100
    receipt = force(core, order, price, confidence)
    doubt = against(price, confidence)
    filled = fill(ETH, sign * SIZE, -sign * SIZE, price, doubt)
    event = receipt.event("Traded")
    assert (event["base"], event["fillPrice"], event["quote"]) == (-sign * SIZE, filled.price, filled.quote)
    forced = receipt.event("OrderForced")
    assert (forced["price"], forced["confidence"], forced["publishedAt"]) == (price, doubt, core.evm.timestamp)
    assert forced["hash"] == receipt.event("OrderExecuted")["hash"] == hash_of(core, order)
    assert core.market.position(trader, ETH) == (0, 0, 0)
    assert (status(core, order), core.cash(account_id(KEEPER))) == (FILLED, 2 * EXECUTION_FEE)
    core.check_sums()


def test_executeForced__the_owner_himself__needs_nobody(core: Core, trader: int) -> None:
    """And is his own keeper: he pays the execution fee to himself."""
    core.open(trader, ETH, SIZE)
    order = missed(core, trader)
    core.evm.advance(FORCED_WINDOW)
    payload = encode(["uint256"] * 3, [ETH_PRICE, 0, core.evm.timestamp - FORCED_WINDOW])
    core.order_book.executeForced(order, [payload], sender=owner_of(trader))
    core.vault.withdraw(trader, core.vault.withdrawable(trader), owner_of(trader), sender=owner_of(trader))
    assert core.cash(trader) < core.unit
    core.check_sums()


def test_executeForced__before_its_time__is_refused(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    opens = core.evm.timestamp + DELAY + FALLBACK_DELAY
    order = missed(core, trader)
    core.evm.advance(opens - 1 - core.evm.timestamp)
    with reverts("OrderBook_TooEarly", opens):
        force(core, order, ETH_PRICE)
    core.evm.advance(1)
    force(core, order, ETH_PRICE).event("OrderForced")
    core.check_sums()


def test_executeForced__a_queued_order__leaves_the_queue_first(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    order = close_of(core, trader)
    core.evm.advance(500)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        force(core, order, ETH_PRICE)
    core.execute(order)
    force(core, order, ETH_PRICE).event("OrderForced")
    core.check_sums()


def test_executeForced__queue_and_fill_in_one_call__by_multicall(core: Core, trader: int) -> None:
    """What a trader sends through L1: nobody else has to do anything."""
    other = core.trader("other", 100_000)
    core.open(trader, ETH, SIZE)
    ahead = core.order(other, ETH, WAD)
    core.place(ahead)
    order = close_of(core, trader)
    core.evm.advance(500)
    payload = encode(["uint256"] * 3, [ETH_PRICE, 0, core.evm.timestamp])
    book = core.order_book
    calls = [
        book.executeBatch.encode([ahead, order], []),
        book.executeForced.encode(order, [payload]),
    ]
    receipt = book.multicall(calls, sender=owner_of(trader))
    assert [len(receipt.events(name)) for name in ("OrderVoided", "OrderLeftQueue", "OrderForced")] == [1, 1, 1]
    assert core.market.position(trader, ETH) == (0, 0, 0)
    core.check_sums()


def test_executeForced__an_order_that_may_open__is_refused(core: Core, trader: int) -> None:
    order = core.order(trader, ETH, SIZE, kind=STOP_LOSS, trigger=ETH_PRICE)
    core.place(order)
    core.evm.advance(500)
    with reverts("OrderBook_InvalidTerms", b"reduceOnly".ljust(32, b"\0")):
        force(core, order, ETH_PRICE)


def test_executeForced__while_prices_are_recorded__is_refused(core: Core, trader: int) -> None:
    """Else its owner had a choice between the record and two minutes of signed data."""
    core.open(trader, ETH, SIZE)
    order = missed(core, trader)
    core.evm.advance(FORCED_WINDOW)
    recorded = core.record(ETH, ETH_PRICE)
    with reverts("OrderBook_NotSilent", ETH, recorded):
        force(core, order, ETH_PRICE * 2)
    core.evm.advance(FALLBACK_DELAY)
    with reverts("OrderBook_NotSilent", ETH, recorded):
        force(core, order, ETH_PRICE * 2)
    core.evm.advance(1)
    with reverts("Oracle_NotNewer", ETH, 0, recorded):
        force(core, order, ETH_PRICE * 2, age=FALLBACK_DELAY + 1)
    force(core, order, ETH_PRICE, age=FALLBACK_DELAY).event("OrderForced")
    core.check_sums()


def test_executeForced__data_from_before_the_order__is_refused(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    settle_from = core.evm.timestamp + DELAY
    order = missed(core, trader)
    core.evm.advance(settle_from + FALLBACK_DELAY - core.evm.timestamp)
    with reverts("Oracle_NotNewer", ETH, 0, settle_from - 1):
        force(core, order, ETH_PRICE, age=FALLBACK_DELAY + 1)
    force(core, order, ETH_PRICE, age=FALLBACK_DELAY).event("OrderForced")
    core.check_sums()


@pytest.mark.parametrize("age", [FORCED_WINDOW + 1, -1], ids=["too old", "from the future"])
def test_executeForced__data_of_another_time__is_refused(core: Core, trader: int, age: int) -> None:
    core.open(trader, ETH, SIZE)
    order = missed(core, trader)
    core.evm.advance(500)
    with reverts("Oracle_SourceMissing", ETH, 0):
        force(core, order, ETH_PRICE, age=age)
    assert status(core, order) == WAITING
    core.check_sums()


def test_executeForced__price_that_its_owner_does_not_accept__is_refused(core: Core, trader: int) -> None:
    """The half percent counts against his limit too."""
    core.open(trader, ETH, SIZE)
    order = missed(core, trader, acceptable=ETH_PRICE * 996 // 1000)
    core.evm.advance(FORCED_WINDOW)
    expected = fill(ETH, SIZE, -SIZE, ETH_PRICE, against(ETH_PRICE)).price
    with reverts("PerpMarket_PriceNotAcceptable", expected, ETH_PRICE * 996 // 1000):
        force(core, order, ETH_PRICE)
    assert status(core, order) == WAITING
    force(core, order, ETH_PRICE * 1002 // 1000).event("OrderForced")
    core.check_sums()


@SIDES
def test_executeForced__a_stop__is_due_at_its_trigger(core: Core, trader: int, sign: int) -> None:
    """A stop protects whom it protects also where nobody records."""
    core.open(trader, ETH, sign * SIZE)
    trigger = ETH_PRICE * (100 - sign * 5) // 100
    order = close_of(core, trader, sign, kind=STOP_LOSS, trigger=trigger)
    core.evm.advance(500)
    with reverts("OrderBook_NotTriggered", trigger + sign, trigger):
        force(core, order, trigger + sign)
    force(core, order, trigger).event("OrderForced")
    core.check_sums()


def test_executeForced__a_cancelled_or_expired_stop__is_refused(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    gone = close_of(core, trader, kind=STOP_LOSS, trigger=ETH_PRICE)
    core.order_book.cancel(gone, sender=owner_of(trader))
    expiry = core.evm.timestamp + 100
    late = close_of(core, trader, kind=STOP_LOSS, trigger=ETH_PRICE, expiry=expiry)
    old = close_of(core, trader, kind=STOP_LOSS, trigger=ETH_PRICE)
    core.order_book.cancelAll(trader, sender=owner_of(trader))
    core.evm.advance(500)
    with reverts("OrderBook_UnknownOrder", hash_of(core, gone)):
        force(core, gone, ETH_PRICE)
    with reverts("OrderBook_WrongCounter", trader, 1):
        force(core, late, ETH_PRICE)
    with reverts("OrderBook_WrongCounter", trader, 1):
        force(core, old, ETH_PRICE)


def test_executeForced__a_parent__has_to_be_filled(core: Core, trader: int) -> None:
    parent = core.order(trader, ETH, SIZE, kind=STOP_LOSS, trigger=ETH_PRICE * 2)
    child = core.order(
        trader, ETH, -SIZE, kind=STOP_LOSS, trigger=ETH_PRICE, reduce_only=True, parent=hash_of(core, parent)
    )
    core.place(parent)
    core.place(child)
    core.evm.advance(500)
    with reverts("OrderBook_ParentPending", hash_of(core, parent)):
        force(core, child, ETH_PRICE)
    core.order_book.cancel(parent, sender=owner_of(trader))
    force(core, child, ETH_PRICE).event("OrderVoided")
    assert status(core, child) == SPENT


def test_executeForced__nothing_left_to_reduce__is_refused(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    stop = close_of(core, trader, kind=STOP_LOSS, trigger=ETH_PRICE)
    core.close(trader, ETH)
    core.evm.advance(500)
    with reverts("PerpMarket_NothingToReduce", trader, ETH):
        force(core, stop, ETH_PRICE)


def test_executeForced__called_twice__fills_once(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    order = missed(core, trader)
    core.evm.advance(FORCED_WINDOW)
    force(core, order, ETH_PRICE)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        force(core, order, ETH_PRICE)


def test_executeForced__two_prices_in_one_transaction__is_refused(core: Core, trader: int) -> None:
    """Who is out at one and in at the other takes no risk."""
    other = core.trader("other", 100_000)
    core.open(trader, ETH, SIZE)
    core.open(other, ETH, SIZE)
    orders = [close_of(core, account, kind=STOP_LOSS, trigger=ETH_PRICE) for account in (trader, other)]
    core.evm.advance(500)
    book = core.order_book
    payloads = [encode(["uint256"] * 3, [ETH_PRICE - wei, 0, core.evm.timestamp]) for wei in (0, 1)]
    calls = [book.executeForced.encode(order, [data]) for order, data in zip(orders, payloads, strict=True)]
    with reverts("OrderBook_SecondPrice", ETH):
        book.multicall(calls, sender=actor("anyone"))


# --- at the push sources ---


def test_executeForced__push_sources__after_two_minutes_of_silence(core: Core, trader: int) -> None:
    """Attack 18: half a percent off is what the haircut takes, and a proper price supersedes it."""
    core.open(trader, ETH, SIZE)
    recorded = core.evm.timestamp
    order = missed(core, trader)
    core.track(account_id(KEEPER))
    tolerance = ETH_PRICE // 100
    core.evm.advance(recorded + FORCED_WINDOW - core.evm.timestamp)
    core.oracle.setBound(ETH, ETH_PRICE, tolerance, core.evm.timestamp)
    with reverts("OrderBook_NotSilent", ETH, recorded):
        core.order_book.executeForced(order, [], sender=KEEPER)
    core.evm.advance(1)
    receipt = core.order_book.executeForced(order, [], sender=KEEPER)
    expected = fill(ETH, SIZE, -SIZE, ETH_PRICE, against(ETH_PRICE, tolerance)).price
    assert receipt.event("Traded")["fillPrice"] == expected < ETH_PRICE * 9851 // 10_000
    core.check_sums()


def test_executeForced__a_round_from_before_the_order__is_refused(core: Core, trader: int) -> None:
    core.open(trader, ETH, SIZE)
    settle_from = core.evm.timestamp + DELAY
    order = missed(core, trader)
    core.evm.advance(FORCED_WINDOW)
    core.oracle.setBound(ETH, ETH_PRICE, 0, settle_from - 1)
    with reverts("Oracle_NoBound", ETH, settle_from):
        core.order_book.executeForced(order, [], sender=KEEPER)
    core.oracle.setBound(ETH, ETH_PRICE, 0, settle_from)
    core.order_book.executeForced(order, [], sender=KEEPER).event("OrderForced")


@SIDES
@pytest.mark.parametrize("better", [True, False], ids=["better", "worse"])
def test_executeForced__push_price__is_no_better_than_the_newest_record(
    core: Core, trader: int, sign: int, better: bool
) -> None:
    """A gain at push sources was paid, while who had lost by the same move could wait for the shutdown, which closes at
    the newest record. See tests/unit/attacks/test_dead_oracle.py."""
    core.open(trader, ETH, sign * SIZE)
    order = missed(core, trader, sign)
    core.evm.advance(FORCED_WINDOW)
    price = ETH_PRICE * (110 if (sign > 0) == better else 90) // 100
    core.oracle.setBound(ETH, price, price // 100, core.evm.timestamp)
    forced = core.order_book.executeForced(order, [], sender=KEEPER).event("OrderForced")
    assert forced["price"] == (ETH_PRICE if better else price)
    assert forced["confidence"] == against(price, price // 100)
    core.check_sums()


def test_executeForced__ether_that_nobody_takes__is_refused(core: Core, trader: int) -> None:
    """It was kept by the order book, for good."""
    core.open(trader, ETH, SIZE)
    order = missed(core, trader)
    parent = core.order(trader, ETH, WAD, kind=STOP_LOSS, trigger=ETH_PRICE * 2)
    core.place(parent)
    child = close_of(core, trader, kind=STOP_LOSS, trigger=ETH_PRICE, parent=hash_of(core, parent))
    core.order_book.cancel(parent, sender=owner_of(trader))
    core.evm.advance(FORCED_WINDOW)
    core.oracle.setBound(ETH, ETH_PRICE, 0, core.evm.timestamp)
    core.evm.set_balance(KEEPER, 10**18)
    payload = encode(["uint256"] * 3, [ETH_PRICE, 0, core.evm.timestamp])
    for late, payloads in ((order, []), (child, []), (child, [payload])):
        with reverts("Oracle_ValueUnused", 5):
            core.order_book.executeForced(late, payloads, sender=KEEPER, value=5)
    assert core.evm.balance(core.order_book) == 0


# --- a pool that can't pay all ---


def set_pool(core: Core, dollars: int) -> None:
    """The pool's capital in ETH at the newest price, whole dollars; what it had beyond that goes to the fund."""
    surplus = core.market.poolCapital(ETH)[0] - dollars * WAD
    core.vault.post([(core.pool_account(ETH), -surplus, 0, 0), (core.fund_main, surplus, 0, 0)], sender=core.pool)


@SIDES
@pytest.mark.parametrize("missing", [1, 2_500, 300_000])
def test_executeForced__small_skew_and_a_pool_in_debt__costs_no_more_than_what_is_missing(
    core: Core, sign: int, missing: int
) -> None:
    """The whole order was filled at the price that makes good a skew of one ETH: $2,500 that the pool was short of took
    $2,516,000 from whoever left with a thousand, to the pool's gain; from $3,000 on nobody could leave."""
    leaver, other = core.trader("leaver", 5_000_000), core.trader("other", 5_000_000)
    core.open(leaver, ETH, sign * 1_000 * WAD)
    core.open(other, ETH, -sign * 999 * WAD)
    order = core.order(leaver, ETH, -sign * 1_000 * WAD, reduce_only=True)
    core.place(order)
    core.evm.advance(500)
    core.execute(order)
    set_pool(core, -missing)
    before = core.market.equity(leaver)
    force(core, order, ETH_PRICE).event("OrderForced")
    haircut_fee_and_impact = ETH_PRICE * 1_000 * (50 + 6 + 30) // 10_000
    assert 0 < before - core.market.equity(leaver) < missing * WAD + haircut_fee_and_impact
    assert core.market.poolCapital(ETH)[0] >= 0
    core.check_sums(base_dust=10**6)


def test_executeForced__what_is_due_at_the_newest_record__comes_first(core: Core) -> None:
    """The price was made with the skew and the debt of before, which the trade then found gone: the order paid again."""
    leaver, other = core.trader("leaver", 5_000_000), core.trader("other", 5_000_000)
    core.open(leaver, ETH, 1_000 * WAD)
    core.open(other, ETH, -500 * WAD)
    order = core.order(leaver, ETH, -1_000 * WAD, reduce_only=True)
    core.place(order)
    core.evm.advance(500)
    core.execute(order)
    set_pool(core, -100_000)
    left = []
    for is_first in (True, False):
        with core.evm.isolated():
            if is_first:
                core.market.accrue(ETH)
            force(core, order, ETH_PRICE)
            left.append(core.market.equity(leaver))
    assert left[0] == left[1]


def test_executeForced__largest_skew_and_an_insolvent_pool__does_not_pay_for_the_balance(core: Core) -> None:
    """A fill against the skew is paid for it: with 1.8 % of the scale who came first left with 1.7 % more than all had."""
    core.give_pool(40_000_000)
    winners = [core.trader(f"winner {number}", 8_000_000) for number in range(2)]
    orders = []
    for winner in winners:
        core.open(winner, ETH, 3_000 * WAD)
    for winner in winners:
        orders.append(core.order(winner, ETH, -3_000 * WAD, reduce_only=True))
        core.place(orders[-1])
    core.evm.advance(500)
    for order in orders:
        core.execute(order)
    set_pool(core, 6_500_000)
    fills = []
    for order, winner in zip(orders, winners, strict=True):
        backed = core.market.backedPrice(winner, ETH, -3_000 * WAD, ETH_PRICE * 7 // 5)
        fills.append(force(core, order, ETH_PRICE * 7 // 5).event("Traded")["fillPrice"])
        assert fills[-1] < backed * 101 // 100
    assert fills[0] < fills[1] < ETH_PRICE * 7 // 5
    core.check_sums()


def test_executeForced__pool_insolvent_at_the_price__nobody_takes_first(core: Core) -> None:
    """A gap that the aggregator never saw: the winners share what there is, whoever comes first."""
    winners = [core.trader(f"winner {number}", 3_000_000) for number in range(2)]
    for winner in winners:
        core.open(winner, ETH, 1_000 * WAD)
    set_pool(core, 2_100_000)
    core.market.accrue(ETH)
    orders = []
    for winner in winners:
        order = core.order(winner, ETH, -1_000 * WAD, reduce_only=True)
        core.place(order)
        orders.append(order)
    core.evm.advance(500)
    for order in orders:
        core.execute(order)
    gap = ETH_PRICE * 3 // 2
    backed = core.market.backedPrice(winners[0], ETH, -1_000 * WAD, gap)
    assert backed < gap
    for order in orders:
        force(core, order, gap).event("OrderForced")
        assert core.market.poolCapital(ETH)[0] >= 0
    got = [core.market.equity(winner) for winner in winners]
    assert abs(got[0] - got[1]) < got[0] // 100
    core.check_sums()
