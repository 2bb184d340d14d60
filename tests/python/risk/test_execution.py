"""Executing: the queue, the price nobody chooses, triggers, parents, failures, voids."""

from __future__ import annotations

import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.risk.commitments import FILLED, SPENT, WAITING
from plimsoll.risk.protocol import Protocol
from plimsoll.sdk.signing import order_hash
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER_ACCOUNT,
    PARAMS,
    PRICE,
    TRADER,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip

FUND = ids.pack(0xA002)
FEE = WAD // 10
T = NOW + 2
MARKET = Order(ACCOUNT, ETH, OrderKind.MARKET, 10 * WAD, 2**200, salt=1)
LIMIT = MARKET._replace(kind=OrderKind.LIMIT, salt=2)
EXIT = Order(ACCOUNT, ETH, OrderKind.STOP_LOSS, -10 * WAD, 0, trigger_price=990 * WAD, reduce_only=True, salt=3)


def place(protocol: Protocol, *orders: Order, now: int = NOW) -> None:
    for order in orders:
        protocol.place(order, now=now, sender=order.account >> 96)


def execute(protocol: Protocol, order: Order, now: int) -> str:
    return protocol.execute(order, now=now, sender=KEEPER).status


def holder(size: int = 10 * WAD) -> Protocol:
    """The trader has a position; keys are hashes, so that orders can name parents."""
    protocol = deployed()
    protocol.order_hash = order_hash
    buy(protocol, size)
    return protocol


# ----------------------------------------------------------------------------------------------------------- the queue


def test_execute__first_record_at_or_after_t__later_ones_do_not_matter():
    protocol = deployed()
    place(protocol, MARKET)
    set_price(protocol, 999 * WAD, T - 1)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, MARKET, T)
    set_price(protocol, 1_001 * WAD, T)
    set_price(protocol, 900 * WAD, T + 1)
    outcome = protocol.execute(MARKET, now=T + 50, sender=KEEPER)
    assert outcome.trade is not None
    assert outcome.trade.price == 1_001 * 1_000_005 * 10**12
    assert protocol.reserved_of(ACCOUNT) == 0
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
    assert protocol.state.orders[MARKET].status == FILLED
    with refused(protocol, "OrderBook_UnknownOrder", MARKET):
        execute(protocol, MARKET, T + 50)
    with refused(protocol, "OrderBook_AlreadyUsed", MARKET):
        place(protocol, MARKET, now=T + 50)
    protocol.check_sums(T + 50)


def test_execute__never_placed__is_unknown():
    protocol = deployed()
    with refused(protocol, "OrderBook_UnknownOrder", LIMIT):
        execute(protocol, LIMIT, NOW)


@pytest.mark.parametrize(("published", "status"), [(T + 3, "filled"), (T + 4, "void")])
def test_execute__record_after_the_window__is_void(published, status):
    protocol = deployed()
    place(protocol, MARKET)
    set_price(protocol, PRICE, published)
    assert execute(protocol, MARKET, published) == status
    assert protocol.reserved_of(ACCOUNT) == 0
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
    assert status == "filled" or protocol.cash_of(ACCOUNT) == 100_000 * WAD - FEE
    protocol.check_sums(published)


def test_execute__no_record__void_one_second_after_two_windows():
    protocol = deployed()
    place(protocol, MARKET)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, MARKET, T + 6)
    assert execute(protocol, MARKET, T + 7) == "void"
    assert protocol.state.orders[MARKET].status == SPENT


def test_execute__expiry_of_a_queued_order__means_nothing():
    protocol = deployed()
    order = MARKET._replace(expiry=NOW)
    place(protocol, order)
    set_price(protocol, PRICE, T)
    assert execute(protocol, order, T) == "filled"


def test_execute__void_reduce_only__waits_outside_of_the_queue():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    order = MARKET._replace(base=-10 * WAD, acceptable_price=0, reduce_only=True, expiry=NOW)
    place(protocol, order)
    reserved = protocol.reserved_of(ACCOUNT)
    assert execute(protocol, order, T + 7) == "waiting"
    assert protocol.state.orders[order].status == WAITING
    assert protocol.reserved_of(ACCOUNT) == reserved
    assert protocol.cash_of(KEEPER_ACCOUNT) == 0
    protocol.cancel_all(ACCOUNT, sender=TRADER)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, order, T + 7)
    set_price(protocol, PRICE, T + 8)
    assert execute(protocol, order, T + 8) == "filled"
    assert protocol.reserved_of(ACCOUNT) == 0
    protocol.check_sums(T + 8)


def test_execute__left_the_queue_and_nothing_left_to_reduce__void_and_released():
    protocol = deployed()
    order = MARKET._replace(base=-10 * WAD, acceptable_price=0, reduce_only=True)
    place(protocol, order)
    assert execute(protocol, order, T + 7) == "waiting"
    assert execute(protocol, order, T + 7) == "void"
    assert protocol.reserved_of(ACCOUNT) == 0
    assert protocol.cash_of(ACCOUNT) == 100_000 * WAD


def test_execute__out_of_turn__refused():
    protocol = deployed()
    second = MARKET._replace(account=OTHER_ACCOUNT, salt=5)
    place(protocol, MARKET, second)
    set_price(protocol, PRICE, T)
    with refused(protocol, "OrderBook_NotNext", 2, 1):
        execute(protocol, second, T)
    outcomes = protocol.execute_batch([second, MARKET, second], now=T, sender=KEEPER)
    assert [outcome.status for outcome in outcomes] == ["skipped", "filled", "filled"]


def test_execute__price_not_acceptable__fails_and_pays_the_executor_only():
    protocol = deployed()
    order = MARKET._replace(acceptable_price=PRICE)
    place(protocol, order)
    set_price(protocol, PRICE, T)
    outcome = protocol.execute(order, now=T, sender=KEEPER)
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert outcome.reason.name == "PerpMarket_PriceNotAcceptable"
    assert protocol.cash_of(ACCOUNT) == 100_000 * WAD - FEE
    assert protocol.reserved_of(ACCOUNT) == 0
    assert protocol.state.markets[ETH].queue_head == 2
    assert protocol.state.orders[order].status == SPENT


def test_execute__margin_fails__fee_reserve_goes_to_the_fund():
    """The look-back option: cash moved into another position so that the order can't fill once the price is known."""
    protocol = deployed(account_dollars=1_000)
    fund = protocol.cash_of(FUND)
    order = MARKET._replace(base=100 * WAD)
    place(protocol, order)
    reserve = protocol.reserved_of(ACCOUNT) - FEE
    assert reserve == 60 * WAD
    set_price(protocol, PRICE, T)
    outcome = protocol.execute(order, now=T, sender=KEEPER)
    assert outcome.reason is not None
    assert outcome.reason.name == "PerpMarket_InsufficientMargin"
    assert protocol.cash_of(FUND) - fund == reserve
    assert protocol.cash_of(ACCOUNT) == 1_000 * WAD - FEE - reserve
    protocol.check_sums(T)


@pytest.mark.parametrize(("late", "forfeited"), [(6, None), (7, 6 * WAD)])
def test_execute__another_markets_price_is_stale__refused_for_two_windows_then_failed(late, forfeited):
    protocol = deployed(PARAMS, PARAMS)
    buy(protocol, 10 * WAD, market=BTC)
    now = NOW + 15
    place(protocol, MARKET, now=now)
    set_price(protocol, PRICE, now + 2)
    fund, at = protocol.cash_of(FUND), now + 2 + late
    if forfeited is None:
        with refused(protocol, "PerpMarket_StalePrice", BTC, NOW):
            execute(protocol, MARKET, at)
        set_price(protocol, PRICE, at, market=BTC)
        assert execute(protocol, MARKET, at) == "filled"
    else:
        assert execute(protocol, MARKET, at) == "failed"
        assert protocol.cash_of(FUND) - fund == forfeited


def test_settlement__overwritten_ring__is_unknown():
    protocol = deployed()
    for n in range(1, 70):
        set_price(protocol, PRICE + n, NOW + n)
    records = {since: protocol.settlement(ETH, NOW + since) for since in (6, 7, 69, 70)}
    assert [record and record.published_at - NOW for record in records.values()] == [None, 7, 69, None]


# --------------------------------------------------------------------------------------------------- orders that wait


def test_execute__limit__waits_for_its_price_and_expires():
    protocol = deployed()
    order = LIMIT._replace(acceptable_price=PRICE - 1, expiry=T + 10)
    place(protocol, order)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, order, NOW)
    set_price(protocol, PRICE, T)
    price = protocol.fill_price(ETH, 10 * WAD)
    with refused(protocol, "PerpMarket_PriceNotAcceptable", price, PRICE - 1):
        execute(protocol, order, T)
    set_price(protocol, 990 * WAD, T + 6)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, order, T + 10)
    with refused(protocol, "OrderBook_Expired", T + 10):
        execute(protocol, order, T + 11)
    protocol.cancel(order, now=T + 11, sender=TRADER)
    with refused(protocol, "OrderBook_UnknownOrder", order):
        execute(protocol, order, T + 11)


def test_execute__limit_at_its_last_second__fills_and_pays_the_executor():
    protocol = deployed()
    order = LIMIT._replace(expiry=T + 3)
    place(protocol, order)
    set_price(protocol, PRICE, T)
    assert execute(protocol, order, T + 3) == "filled"
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE


def test_execute__record_before_t__is_too_early_however_young():
    protocol = deployed()
    place(protocol, LIMIT)
    set_price(protocol, PRICE, T - 1)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, LIMIT, T)


@pytest.mark.parametrize(
    ("kind", "base", "below", "above"),
    [
        (OrderKind.STOP_LOSS, -10, "filled", "waits"),
        (OrderKind.STOP_LOSS, 10, "waits", "filled"),
        (OrderKind.TAKE_PROFIT, -10, "waits", "filled"),
        (OrderKind.TAKE_PROFIT, 10, "filled", "waits"),
    ],
)
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_execute__trigger__at_the_price_and_one_wei_on_both_sides(kind, base, below, above, offset):
    """The record's confidence plays no part."""
    protocol = deployed()
    price = PRICE + offset
    order = Order(ACCOUNT, ETH, kind, base * WAD, 2**200 if base > 0 else 0, trigger_price=PRICE, salt=3)
    place(protocol, order)
    set_price(protocol, price, T, confidence=WAD)
    if offset == 0 or (below if offset < 0 else above) == "filled":
        assert execute(protocol, order, T) == "filled"
    else:
        with refused(protocol, "OrderBook_NotTriggered", price, PRICE):
            execute(protocol, order, T)


def test_execute__stop_that_fails_on_its_price__waits_unpaid_and_comes_again():
    protocol = holder()
    stop = EXIT._replace(acceptable_price=985 * WAD)
    place(protocol, stop)
    set_price(protocol, 980 * WAD, T)
    with refused(protocol, "PerpMarket_PriceNotAcceptable", 980_004_900_000_000_000_000, 985 * WAD):
        execute(protocol, stop, T)
    set_price(protocol, 989 * WAD, T + 1)
    assert execute(protocol, stop, T + 1) == "filled"
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE


def test_execute__reduce_only__clamps_to_what_is_left():
    protocol = holder()
    place(protocol, EXIT._replace(base=-50 * WAD))
    set_price(protocol, 990 * WAD, T)
    outcome = protocol.execute(EXIT._replace(base=-50 * WAD), now=T, sender=KEEPER)
    assert outcome.trade is not None
    assert outcome.trade.size == -10 * WAD


def test_execute__bracket__filling_one_voids_the_other():
    protocol = holder()
    profit = EXIT._replace(kind=OrderKind.TAKE_PROFIT, trigger_price=1_010 * WAD)
    place(protocol, EXIT, profit)
    set_price(protocol, 1_010 * WAD, T)
    assert execute(protocol, profit, T) == "filled"
    cash = protocol.cash_of(ACCOUNT)
    assert execute(protocol, EXIT, T + 60) == "void"
    assert protocol.state.orders[order_hash(EXIT)].status == SPENT
    assert (protocol.cash_of(ACCOUNT), protocol.cash_of(KEEPER_ACCOUNT)) == (cash, FEE)


@pytest.mark.parametrize("price", [980 * WAD, 995 * WAD])
def test_execute__reduce_only_against_the_same_side__void_whatever_refused_it(price):
    """Triggered or not, fresh or not: a position of the order's own sign is nothing to reduce."""
    protocol = holder(-10 * WAD)
    place(protocol, EXIT)
    set_price(protocol, price, T)
    for now in (T, T + 100):
        with protocol.simulated():
            assert execute(protocol, EXIT, now) == "void"


def test_execute__not_reduce_only_and_no_position__keeps_waiting():
    protocol = deployed()
    stop = EXIT._replace(reduce_only=False)
    place(protocol, stop)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, stop, T)


def test_execute__expired_or_pending_parent__is_not_void():
    protocol = deployed()
    protocol.order_hash = order_hash
    expired = EXIT._replace(expiry=NOW)
    child = EXIT._replace(parent=b"p" * 32)
    place(protocol, expired, child)
    with refused(protocol, "OrderBook_Expired", NOW):
        execute(protocol, expired, T)
    with refused(protocol, "OrderBook_ParentPending", b"p" * 32):
        execute(protocol, child, T)


def test_execute__limit_while_market_orders_pend__opening_waits_reducing_does_not():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    exit_ = LIMIT._replace(base=-5 * WAD, acceptable_price=0, reduce_only=True, salt=9)
    place(protocol, LIMIT, exit_, MARKET._replace(account=OTHER_ACCOUNT))
    set_price(protocol, PRICE, T)
    with refused(protocol, "OrderBook_MarketOrdersPending", ETH):
        execute(protocol, LIMIT, T)
    assert execute(protocol, exit_, T) == "filled"


# ------------------------------------------------------------------------------------------------------------- parents


def test_execute__parent__filled_first():
    protocol = deployed()
    protocol.order_hash = order_hash
    child = EXIT._replace(parent=order_hash(LIMIT))
    place(protocol, child, LIMIT)
    set_price(protocol, 990 * WAD, T)
    with refused(protocol, "OrderBook_ParentPending", order_hash(LIMIT)):
        execute(protocol, child, T)
    assert execute(protocol, LIMIT, T) == "filled"
    assert execute(protocol, child, T) == "filled"
    assert protocol.position(ACCOUNT, ETH, T)[0] == 0


def test_execute__parent_ended_unfilled__void():
    protocol = holder()
    child = EXIT._replace(parent=order_hash(LIMIT))
    opening = LIMIT._replace(parent=order_hash(LIMIT), salt=8)
    place(protocol, LIMIT, child, opening)
    protocol.cancel(LIMIT, now=NOW, sender=TRADER)
    set_price(protocol, 990 * WAD, T)
    for order in (child, opening):
        assert execute(protocol, order, T) == "void"
        assert protocol.state.orders[order_hash(order)].status == SPENT
    assert protocol.cash_of(KEEPER_ACCOUNT) == 0


def test_execute__parent_failed_in_the_queue__void():
    protocol = deployed()
    protocol.order_hash = order_hash
    parent = MARKET._replace(acceptable_price=1)
    child = EXIT._replace(parent=order_hash(parent))
    place(protocol, parent, child)
    set_price(protocol, PRICE, T)
    assert execute(protocol, parent, T) == "failed"
    assert execute(protocol, child, T) == "void"
