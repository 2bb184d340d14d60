"""Placing and cancelling: by the owner, and by anyone on his signature."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk.commitments import QUEUED, SPENT, WAITING
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.state import OrderRecord
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

FEE = WAD // 10
RELAY_FEE = WAD // 10
T = NOW + 2
MARKET = Order(ACCOUNT, ETH, OrderKind.MARKET, 10 * WAD, 2**200, salt=1)
LIMIT = MARKET._replace(kind=OrderKind.LIMIT, salt=2)
STOP = LIMIT._replace(kind=OrderKind.STOP_LOSS, trigger_price=PRICE)
RESERVE = FEE + 6 * WAD
COUNTER_ONE = 1 << 128


def place(protocol: Protocol, order: Order, now: int = NOW, sender: int = 0) -> None:
    protocol.place(order, now=now, sender=sender or order.account >> 96)


def place_for(protocol: Protocol, order: Order, signer: int | None = TRADER, now: int = NOW) -> None:
    protocol.place_for(order, signer, now=now, sender=KEEPER)


def with_cash(cash: int) -> Protocol:
    protocol = deployed()
    protocol.state.credit(ACCOUNT, cash - protocol.cash_of(ACCOUNT))
    return protocol


# --------------------------------------------------------------------------------------------------------------- place


def test_place__market_order__reserves_fee_and_takes_its_place():
    protocol = deployed()
    place(protocol, MARKET)
    assert protocol.reserved_of(ACCOUNT) == RESERVE
    assert protocol.withdrawable(ACCOUNT, NOW) == (100_000 * WAD - RESERVE) // 10**12
    assert protocol.state.orders[MARKET] == OrderRecord(QUEUED, T, 1, RESERVE, FEE)


@pytest.mark.parametrize("kind", [OrderKind.LIMIT, OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT])
def test_place__order_that_waits__reserves_nothing_and_takes_no_place(kind):
    protocol = deployed()
    trigger = 0 if kind == OrderKind.LIMIT else 1
    order = LIMIT._replace(kind=kind, trigger_price=trigger, account=ids.pack(0x55), parent=b"p" * 32)
    place(protocol, order)
    assert protocol.state.orders[order] == OrderRecord(WAITING, T, 0, 0, FEE)
    assert protocol.state.markets[ETH].queue_next == 1


def test_place__invalid__refused_in_the_order_of_the_specification():
    """Each line heals what the line before refused."""
    protocol = deployed()
    place(protocol, MARKET)
    everything = STOP._replace(
        base=0,
        time_in_force=TimeInForce.POST_ONLY,
        trigger_price=0,
        expiry=NOW - 1,
        market_id=7,
        salt=COUNTER_ONE,
    )
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, OTHER):
        place(protocol, everything, sender=OTHER)
    with refused(protocol, "OrderBook_ZeroSize"):
        place(protocol, everything)
    order = everything._replace(base=WAD)
    with refused(protocol, "OrderBook_InvalidTerms", "timeInForce"):
        place(protocol, order)
    order = order._replace(time_in_force=TimeInForce.GOOD_TILL_TIME)
    with refused(protocol, "OrderBook_InvalidTerms", "triggerPrice"):
        place(protocol, order)
    order = order._replace(trigger_price=1)
    with refused(protocol, "OrderBook_Expired", NOW - 1):
        place(protocol, order)
    order = order._replace(expiry=NOW)
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 0):
        place(protocol, order)
    order = order._replace(salt=0)
    with refused(protocol, "OrderBook_NotListed", 7):
        place(protocol, order)
    place(protocol, order._replace(market_id=ETH))
    with refused(protocol, "OrderBook_AlreadyUsed", MARKET):
        place(protocol, MARKET)


@pytest.mark.parametrize(
    ("order", "field"),
    [
        (MARKET._replace(trigger_price=1), "triggerPrice"),
        (LIMIT._replace(trigger_price=1), "triggerPrice"),
        (STOP._replace(trigger_price=0), "triggerPrice"),
        (STOP._replace(kind=OrderKind.TAKE_PROFIT, trigger_price=0), "triggerPrice"),
        (MARKET._replace(parent=b"p" * 32), "parent"),
        (MARKET._replace(time_in_force=TimeInForce.FILL_OR_KILL), "timeInForce"),
        (LIMIT._replace(time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL), "timeInForce"),
    ],
)
def test_place__terms_that_make_no_sense__refused(order, field):
    protocol = deployed()
    with refused(protocol, "OrderBook_InvalidTerms", field):
        place(protocol, order)


def test_place__expiry__is_the_last_second():
    protocol = deployed()
    for order in (MARKET, LIMIT):
        place(protocol, order._replace(expiry=NOW))
        with refused(protocol, "OrderBook_Expired", NOW - 1):
            place(protocol, order._replace(expiry=NOW - 1))


def test_place__market_order_under_another_counter__is_taken():
    protocol = deployed()
    place(protocol, MARKET._replace(salt=COUNTER_ONE))
    assert protocol.state.markets[ETH].queue_next == 2


def test_place__cash__one_wei_on_both_sides():
    protocol = with_cash(RESERVE - 1)
    with refused(protocol, "OrderBook_InsufficientCash", RESERVE - 1, RESERVE):
        place(protocol, MARKET)
    protocol.state.credit(ACCOUNT, 1)
    place(protocol, MARKET)
    with refused(protocol, "OrderBook_InsufficientCash", 0, RESERVE):
        place(protocol, MARKET._replace(salt=9))


def test_place__no_price__refused_for_a_market_order():
    protocol = Protocol()
    protocol.list_market(WAD, deployed().state.markets[ETH].rules.params, now=NOW)
    with refused(protocol, "OrderBook_NoPrice", ETH):
        place(protocol, MARKET)
    place(protocol, LIMIT)


def indebted() -> Protocol:
    """A long of 100 with $50,000 of gains and no cash."""
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 1_500 * WAD, NOW + 1)
    protocol.state.credit(ACCOUNT, -protocol.cash_of(ACCOUNT))
    protocol.state.totals.tokens = 0
    return protocol


def test_place__holder__reserves_out_of_what_could_be_withdrawn():
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    needed, _ = protocol.requirements(ACCOUNT, NOW)
    quote = -protocol.position(ACCOUNT, ETH, NOW)[1]
    free = protocol.cash_of(ACCOUNT) + 100_000 * WAD - quote - needed
    assert free > 0
    protocol.state.credit(ACCOUNT, RESERVE - 1 - free)
    with refused(protocol, "OrderBook_InsufficientCash", RESERVE - 1, RESERVE):
        place(protocol, MARKET)
    protocol.state.credit(ACCOUNT, 1)
    place(protocol, MARKET)
    with refused(protocol, "PerpMarket_StalePrice", ETH, NOW):
        place(protocol, MARKET._replace(salt=9), NOW + 16)


def test_place__reduce_only_holder__reserves_out_of_what_is_beyond_maintenance():
    protocol = indebted()
    order = MARKET._replace(base=-100 * WAD, acceptable_price=0)
    required = FEE + 90 * WAD
    needed, _ = protocol.requirements(ACCOUNT, NOW + 1)
    with refused(protocol, "OrderBook_InsufficientCash", -needed, required):
        place(protocol, order, NOW + 1)
    equity, maintenance = protocol.state.health(ACCOUNT, NOW + 1)
    protocol.state.credit(ACCOUNT, maintenance + required - equity - 1)
    exit_ = order._replace(reduce_only=True)
    with refused(protocol, "OrderBook_InsufficientCash", required - 1, required):
        place(protocol, exit_, NOW + 1)
    protocol.state.credit(ACCOUNT, 1)
    place(protocol, exit_, NOW + 1)


# ------------------------------------------------------------------------------------------------------------ placeFor


def test_placeFor__owner_signed__same_as_placed_and_the_relayer_is_paid():
    protocol = deployed()
    order = MARKET._replace(expiry=NOW)
    place_for(protocol, order)
    assert protocol.state.orders[order] == OrderRecord(QUEUED, T, 1, RESERVE, FEE)
    assert protocol.reserved_of(ACCOUNT) == RESERVE
    assert protocol.cash_of(ACCOUNT) == 100_000 * WAD - RELAY_FEE
    assert protocol.cash_of(KEEPER_ACCOUNT) == RELAY_FEE
    with refused(protocol, "OrderBook_AlreadyUsed", order):
        place_for(protocol, order)
    place_for(protocol, STOP)
    assert protocol.cash_of(KEEPER_ACCOUNT) == 2 * RELAY_FEE
    assert protocol.state.orders[STOP] == OrderRecord(WAITING, T, 0, 0, FEE)
    protocol.check_sums(NOW)


@pytest.mark.parametrize(("signer", "named"), [(None, 0), (OTHER, OTHER), (KEEPER, KEEPER)])
def test_placeFor__signed_by_another__refused(signer, named):
    protocol = deployed()
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, named):
        place_for(protocol, LIMIT, signer)


def test_placeFor__limit__refused_after_its_trigger_and_before_its_expiry():
    protocol = deployed()
    with refused(protocol, "OrderBook_InvalidTerms", "triggerPrice"):
        place_for(protocol, LIMIT._replace(trigger_price=1))
    with refused(protocol, "OrderBook_InvalidTerms", "kind"):
        place_for(protocol, LIMIT._replace(expiry=NOW - 1))


def test_placeFor__account_without_an_owner__nobody_signs_for_it():
    protocol = deployed()
    with refused(protocol, "OrderBook_NotPermitted", 5, 0):
        place_for(protocol, LIMIT._replace(account=5), None)


def test_placeFor__market_order__needs_an_expiry_and_the_counter():
    protocol = deployed()
    with refused(protocol, "OrderBook_InvalidTerms", "parent"):
        place_for(protocol, MARKET._replace(parent=b"p" * 32))
    with refused(protocol, "OrderBook_InvalidTerms", "expiry"):
        place_for(protocol, MARKET)
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 0):
        place_for(protocol, MARKET._replace(expiry=NOW, salt=COUNTER_ONE))
    with refused(protocol, "OrderBook_Expired", NOW):
        place_for(protocol, MARKET._replace(expiry=NOW), now=NOW + 1)


@pytest.mark.parametrize(("order", "required"), [(STOP, RELAY_FEE), (MARKET._replace(expiry=NOW), RESERVE + RELAY_FEE)])
def test_placeFor__cash__must_cover_the_relay_fee_too(order, required):
    protocol = with_cash(required - 1)
    with refused(protocol, "OrderBook_InsufficientCash", required - 1, required):
        place_for(protocol, order)
    protocol.state.credit(ACCOUNT, 1)
    place_for(protocol, order)
    assert protocol.cash_of(ACCOUNT) - protocol.reserved_of(ACCOUNT) == 0


def test_placeFor__reduce_only__may_back_the_relay_fee_with_equity():
    protocol = indebted()
    stop = STOP._replace(base=-100 * WAD, acceptable_price=0)
    needed, _ = protocol.requirements(ACCOUNT, NOW + 1)
    with refused(protocol, "OrderBook_InsufficientCash", -needed, RELAY_FEE):
        place_for(protocol, stop, now=NOW + 1)
    place_for(protocol, stop._replace(reduce_only=True), now=NOW + 1)
    assert protocol.cash_of(ACCOUNT) == -RELAY_FEE


@pytest.mark.parametrize("size", [2**96, -(2**96)])
def test_place__size_of_96_bits__refused(size):
    protocol = deployed()
    with refused(protocol, "OrderBook_InvalidTerms", "base"):
        place(protocol, LIMIT._replace(base=size))
    place(protocol, LIMIT._replace(base=size - (1 if size > 0 else -1)))


# -------------------------------------------------------------------------------------------------------------- cancel


def test_cancel__waiting__is_spent_for_ever():
    protocol = deployed()
    place(protocol, LIMIT)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, OTHER):
        protocol.cancel(LIMIT, now=NOW, sender=OTHER)
    protocol.cancel(LIMIT, now=NOW, sender=TRADER)
    assert protocol.state.orders[LIMIT].status == SPENT
    with refused(protocol, "OrderBook_UnknownOrder", LIMIT):
        protocol.cancel(LIMIT, now=NOW, sender=TRADER)
    with refused(protocol, "OrderBook_AlreadyUsed", LIMIT):
        place(protocol, LIMIT)


def test_cancel__never_seen__can_not_be_placed_any_more():
    protocol = deployed()
    protocol.cancel(LIMIT, now=NOW, sender=TRADER)
    with refused(protocol, "OrderBook_AlreadyUsed", LIMIT):
        place(protocol, LIMIT)


def test_cancel__queued__refused():
    protocol = deployed()
    place(protocol, MARKET)
    with refused(protocol, "OrderBook_NotCancellable", MARKET):
        protocol.cancel(MARKET, now=NOW, sender=TRADER)


def test_cancel__market_order_that_left_the_queue__releases_what_was_reserved():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    exit_ = MARKET._replace(base=-10 * WAD, acceptable_price=0, reduce_only=True)
    place(protocol, exit_)
    assert protocol.execute(exit_, now=T + 7, sender=KEEPER).status == "waiting"
    assert protocol.reserved_of(ACCOUNT) == RESERVE
    protocol.cancel(exit_, now=T + 7, sender=TRADER)
    assert protocol.reserved_of(ACCOUNT) == 0


def test_cancelFor__owners_signature__pays_the_relayer():
    protocol = deployed()
    place(protocol, LIMIT)
    for signer in (None, OTHER):
        with refused(protocol, "OrderBook_BadSignature", ACCOUNT):
            protocol.cancel_for(LIMIT, WAD, signer, now=NOW, sender=KEEPER)
    with refused(protocol, "OrderBook_InvalidTerms", "relayFee"):
        protocol.cancel_for(LIMIT, 10 * WAD + 1, TRADER, now=NOW, sender=KEEPER)
    protocol.cancel_for(LIMIT, 10 * WAD, TRADER, now=NOW, sender=KEEPER)
    assert protocol.cash_of(ACCOUNT) == 99_990 * WAD
    assert protocol.cash_of(KEEPER_ACCOUNT) == 10 * WAD
    with refused(protocol, "OrderBook_UnknownOrder", LIMIT):
        protocol.cancel_for(LIMIT, 11 * WAD, TRADER, now=NOW, sender=KEEPER)
    protocol.check_sums(NOW)


def test_cancelFor__delegates_signature__refused():
    protocol = deployed()
    place(protocol, MARKET)
    with refused(protocol, "OrderBook_NotCancellable", MARKET):
        protocol.cancel_for(MARKET, 0, TRADER, now=NOW, sender=KEEPER)
    with refused(protocol, "OrderBook_BadSignature", ACCOUNT):
        protocol.cancel_for(MARKET, 0, KEEPER, now=NOW, sender=KEEPER)


def test_cancelFor__relay_fee__comes_from_free_cash_one_wei_on_both_sides():
    protocol = with_cash(RESERVE + WAD - 1)
    place(protocol, MARKET)
    with refused(protocol, "OrderBook_InsufficientCash", WAD - 1, WAD):
        protocol.cancel_for(LIMIT, WAD, TRADER, now=NOW, sender=KEEPER)
    protocol.state.credit(ACCOUNT, 1)
    protocol.cancel_for(LIMIT, WAD, TRADER, now=NOW, sender=KEEPER)
    assert protocol.cash_of(ACCOUNT) == protocol.reserved_of(ACCOUNT) == RESERVE


def test_cancelAll__owner__ends_what_is_not_queued():
    protocol = deployed()
    place(protocol, MARKET)
    place(protocol, LIMIT)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, OTHER):
        protocol.cancel_all(ACCOUNT, sender=OTHER)
    protocol.cancel_all(ACCOUNT, sender=TRADER)
    assert (protocol.counter_of(ACCOUNT), protocol.counter_of(OTHER_ACCOUNT)) == (1, 0)
    set_price(protocol, PRICE, T)
    assert protocol.execute(MARKET, now=T, sender=KEEPER).status == "filled"
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 1):
        protocol.execute(LIMIT, now=T, sender=KEEPER)
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 1):
        place(protocol, LIMIT._replace(salt=3))
    place(protocol, LIMIT._replace(salt=COUNTER_ONE + 3))


def test_cancelAllFor__counter__is_the_next_one_only():
    protocol = deployed()
    with refused(protocol, "OrderBook_BadSignature", ACCOUNT):
        protocol.cancel_all_for(ACCOUNT, 1, 0, KEEPER, now=NOW, sender=KEEPER)
    for counter in (0, 2):
        with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 0):
            protocol.cancel_all_for(ACCOUNT, counter, 11 * WAD, TRADER, now=NOW, sender=KEEPER)
    with refused(protocol, "OrderBook_InvalidTerms", "relayFee"):
        protocol.cancel_all_for(ACCOUNT, 1, 11 * WAD, TRADER, now=NOW, sender=KEEPER)
    protocol.cancel_all_for(ACCOUNT, 1, WAD, TRADER, now=NOW, sender=KEEPER)
    assert protocol.counter_of(ACCOUNT) == 1
    assert protocol.cash_of(KEEPER_ACCOUNT) == WAD
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 1):
        protocol.cancel_all_for(ACCOUNT, 1, WAD, TRADER, now=NOW, sender=KEEPER)


def test_setOrderParams__pending_orders__keep_their_fee():
    protocol = deployed()
    place(protocol, MARKET)
    market = protocol.state.markets[ETH]
    protocol.set_order_params(ETH, replace(market.order_params, execution_fee=7 * WAD))
    set_price(protocol, PRICE, T)
    protocol.execute(MARKET, now=T, sender=KEEPER)
    assert protocol.cash_of(KEEPER_ACCOUNT) == FEE
