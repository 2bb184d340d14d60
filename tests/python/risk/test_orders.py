"""Orders: placing, the queue, the price nobody chooses, failures, voids."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk.orders import KIND_LIMIT, KIND_MARKET, Order
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import (
    ACCOUNT,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER,
    OTHER_ACCOUNT,
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
MARKET = Order(ACCOUNT, ETH, KIND_MARKET, 10 * WAD, 2**200, False, 0, 1)
LIMIT = MARKET._replace(kind=KIND_LIMIT, salt=2)
RESERVE = FEE + 6 * WAD


def place(protocol: Protocol, order: Order, now: int = NOW) -> None:
    protocol.place(order, now=now, sender=order.account >> 96)


def execute(protocol: Protocol, order: Order, now: int) -> str:
    return protocol.execute(order, now=now, sender=KEEPER).status


def test_place__market_order__reserves_fee_and_takes_its_place():
    protocol = deployed()
    place(protocol, MARKET)
    assert protocol.reserved_of(ACCOUNT) == RESERVE
    assert protocol.withdrawable(ACCOUNT, NOW) == (100_000 * WAD - RESERVE) // 10**12
    record = protocol.state.orders[MARKET]
    assert (record.not_before, record.sequence) == (T, 1)


def test_place__invalid__refused():
    protocol = deployed()

    def attempt(order: Order, sender: int = TRADER, now: int = NOW) -> None:
        protocol.place(order, now=now, sender=sender)

    with refused(protocol, "OrderBook_NotOwner", ACCOUNT, OTHER):
        attempt(MARKET, OTHER)
    with refused(protocol, "OrderBook_ZeroSize"):
        attempt(MARKET._replace(base=0))
    with refused(protocol, "OrderBook_ExpiryNotAllowed"):
        attempt(MARKET._replace(expiry=NOW + 9))
    with refused(protocol, "OrderBook_Expired", NOW - 1):
        attempt(LIMIT._replace(expiry=NOW - 1))
    with refused(protocol, "OrderBook_NotListed", 7):
        attempt(MARKET._replace(market_id=7))
    poor = ids.pack(0x55)
    with refused(protocol, "OrderBook_InsufficientCash", 0, RESERVE):
        attempt(MARKET._replace(account=poor), 0x55)
    attempt(MARKET)
    with refused(protocol, "OrderBook_AlreadyUsed", MARKET):
        attempt(MARKET)


def test_place__no_price__refused_for_a_market_order():
    protocol = Protocol()
    protocol.list_market(WAD, deployed().state.markets[ETH].rules.params, now=NOW)
    with refused(protocol, "OrderBook_NoPrice", ETH):
        place(protocol, MARKET)
    place(protocol, LIMIT)


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
    with refused(protocol, "OrderBook_UnknownOrder", MARKET):
        execute(protocol, MARKET, T + 50)
    with refused(protocol, "OrderBook_AlreadyUsed", MARKET):
        place(protocol, MARKET, T + 50)
    protocol.check_sums(T + 50)


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


def test_execute__void_reduce_only__waits_outside_of_the_queue():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    order = MARKET._replace(base=-10 * WAD, acceptable_price=0, reduce_only=True)
    place(protocol, order)
    reserved = protocol.reserved_of(ACCOUNT)
    with refused(protocol, "OrderBook_NotCancellable", order):
        protocol.cancel(order, now=NOW, sender=TRADER)
    assert execute(protocol, order, T + 7) == "waiting"
    assert protocol.reserved_of(ACCOUNT) == reserved
    assert protocol.cash_of(KEEPER_ACCOUNT) == 0
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, order, T + 7)
    set_price(protocol, PRICE, T + 8)
    assert execute(protocol, order, T + 8) == "filled"
    assert protocol.reserved_of(ACCOUNT) == 0
    protocol.check_sums(T + 8)


def test_execute__out_of_turn__refused():
    protocol = deployed()
    second = MARKET._replace(account=OTHER_ACCOUNT, salt=5)
    place(protocol, MARKET)
    place(protocol, second)
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
    set_price(protocol, 990 * WAD, T + 10)
    with refused(protocol, "OrderBook_NoRecord", T):
        execute(protocol, order, T + 14)
    set_price(protocol, 990 * WAD, T + 11)
    with refused(protocol, "OrderBook_Expired", T + 10):
        execute(protocol, order, T + 11)
    protocol.cancel(order, now=T + 11, sender=TRADER)
    with refused(protocol, "OrderBook_UnknownOrder", order):
        protocol.cancel(order, now=T + 11, sender=TRADER)


def test_execute__limit_while_market_orders_pend__opening_waits_reducing_does_not():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    exit_ = LIMIT._replace(base=-5 * WAD, acceptable_price=0, reduce_only=True, salt=9)
    place(protocol, LIMIT)
    place(protocol, exit_)
    place(protocol, MARKET._replace(account=OTHER_ACCOUNT))
    set_price(protocol, PRICE, T)
    with refused(protocol, "OrderBook_MarketOrdersPending", ETH):
        execute(protocol, LIMIT, T)
    assert execute(protocol, exit_, T) == "filled"


def test_cancel__by_another__refused():
    protocol = deployed()
    place(protocol, LIMIT)
    with refused(protocol, "OrderBook_NotOwner", ACCOUNT, OTHER):
        protocol.cancel(LIMIT, now=NOW, sender=OTHER)


def test_settlement__overwritten_ring__is_unknown():
    protocol = deployed()
    for n in range(1, 70):
        set_price(protocol, PRICE + n, NOW + n)
    records = {since: protocol.settlement(ETH, NOW + since) for since in (6, 7, 69, 70)}
    assert [record and record.published_at - NOW for record in records.values()] == [None, 7, 69, None]


def test_place__reduce_only__may_reserve_against_equity():
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 1_500 * WAD, NOW + 1)
    protocol.state.credit(ACCOUNT, -protocol.cash_of(ACCOUNT))
    protocol.state.totals.tokens = 0
    order = MARKET._replace(base=-100 * WAD, acceptable_price=0)
    with refused(protocol, "OrderBook_InsufficientCash", 0, FEE + 90 * WAD):
        place(protocol, order, NOW + 1)
    place(protocol, order._replace(reduce_only=True), NOW + 1)


def test_setOrderParams__pending_orders__keep_their_fee():
    protocol = deployed()
    place(protocol, MARKET)
    market = protocol.state.markets[ETH]
    protocol.set_order_params(ETH, replace(market.order_params, execution_fee=7 * WAD))
    set_price(protocol, PRICE, T)
    execute(protocol, MARKET, T)
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
