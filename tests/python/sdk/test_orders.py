"""Building orders: what each kind carries, and what makes no sense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_SCOPE, Scope
from plimsoll.core.units import WAD
from plimsoll.sdk.orders import (
    ANY_PRICE_BUY,
    ANY_PRICE_SELL,
    MAX_EXPIRY,
    MAX_SIZE,
    NO_PARENT,
    Order,
    OrderKind,
    TimeInForce,
    limit_order,
    market_order,
    new_salt,
    order_from,
    require_relayable,
    stop_loss_order,
    take_profit_order,
)

ACCOUNT = ids.pack("0x" + "ab" * 20)
ISOLATED = ids.pack("0x" + "ab" * 20, 2)
PARENT = b"\7" * 32
PRICE = 3_000 * WAD


def test_market_order__all_given__carries_it() -> None:
    order = market_order(ACCOUNT, 1, -5, acceptable_price=7, reduce_only=True, expiry=99, counter=3, salt=4)
    assert order == Order(
        account=ACCOUNT,
        market_id=1,
        kind=OrderKind.MARKET,
        base=-5,
        acceptable_price=7,
        trigger_price=0,
        reduce_only=True,
        time_in_force=TimeInForce.GOOD_TILL_TIME,
        expiry=99,
        parent=NO_PARENT,
        salt=3 << 128 | 4,
    )
    assert (order.counter, order.is_buy) == (3, False)


def test_limit_order__all_given__carries_it() -> None:
    order = limit_order(ACCOUNT, 2, 5, 7, reduce_only=True, expiry=99, parent=PARENT, counter=1, salt=4)
    assert order == Order(ACCOUNT, 2, OrderKind.LIMIT, 5, 7, 0, True, 0, 99, PARENT, 1 << 128 | 4)
    assert order.is_buy
    to_match = limit_order(ACCOUNT, 2, 5, 7, time_in_force=TimeInForce.POST_ONLY, salt=4)
    assert to_match == Order(ACCOUNT, 2, OrderKind.LIMIT, 5, 7, 0, False, TimeInForce.POST_ONLY, 0, NO_PARENT, 4)


@pytest.mark.parametrize(
    ("build", "kind"), [(stop_loss_order, OrderKind.STOP_LOSS), (take_profit_order, OrderKind.TAKE_PROFIT)]
)
def test_triggered_order__all_given__carries_it(build: Callable[..., Order], kind: OrderKind) -> None:
    order = build(
        ACCOUNT, 1, -5, 100, acceptable_price=98, reduce_only=False, expiry=99, parent=PARENT, counter=1, salt=4
    )
    assert order == Order(ACCOUNT, 1, kind, -5, 98, 100, False, 0, 99, PARENT, 1 << 128 | 4)
    assert build(ACCOUNT, 1, -5, 100).reduce_only


@pytest.mark.parametrize("build", [market_order, stop_loss_order, take_profit_order])
def test_order__without_an_acceptable_price__accepts_any(build: Callable[..., Order]) -> None:
    trigger = () if build is market_order else (PRICE,)
    assert build(ACCOUNT, 1, 5, *trigger).acceptable_price == ANY_PRICE_BUY
    assert build(ACCOUNT, 1, -5, *trigger).acceptable_price == ANY_PRICE_SELL


# --- salts -------------------------------------------------------------------------------------------------------


def test_new_salt__not_given__differs_each_time_below_the_counter() -> None:
    one, two = new_salt(5), new_salt(5)
    assert one != two
    assert one >> 128 == two >> 128 == 5
    assert market_order(ACCOUNT, 1, 5).salt != market_order(ACCOUNT, 1, 5).salt


@pytest.mark.parametrize(
    ("counter", "salt", "expected"),
    [(0, 0, 0), (0, 2**128 - 1, 2**128 - 1), (1, 0, 2**128), (2**128 - 1, 2**128 - 1, 2**256 - 1)],
)
def test_new_salt__at_the_bounds__has_the_counter_above(counter: int, salt: int, expected: int) -> None:
    assert new_salt(counter, salt) == expected


@pytest.mark.parametrize(("counter", "salt"), [(0, -1), (0, 2**128), (-1, 0), (2**128, 0)])
def test_new_salt__out_of_range__is_refused(counter: int, salt: int) -> None:
    with pytest.raises(UserError, match=r"salt does not lie|counter can't be"):
        new_salt(counter, salt)


# --- nonsense ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"account": 5}, "has no owner"),
        ({"market_id": 0}, "there is no market 0"),
        ({"market_id": 2**32}, "there is no market"),
        ({"account": ISOLATED}, "isolated in market 2 can't hold market 1"),
        ({"base": 0}, "size is zero"),
        ({"base": MAX_SIZE + 1}, "size is out of range"),
        ({"base": -MAX_SIZE - 1}, "size is out of range"),
        ({"price": -1}, "price is negative"),
        ({"price": 2**256}, "out of range"),
        ({"price": 0}, "needs a price; one for any price is a market order"),
        ({"price": 2**256 - 1}, "needs a price"),
        ({"expiry": -1}, "no Unix time in seconds"),
        ({"expiry": 1_800_000_000_000}, "no Unix time in seconds"),
        ({"parent": b"\1" * 31}, "no hash of 32 bytes"),
        ({"parent": PARENT, "time_in_force": TimeInForce.FILL_OR_KILL}, "can't wait for a parent"),
    ],
)
def test_limit_order__what_makes_no_sense__is_refused(changed: dict[str, Any], said: str) -> None:
    fields: dict[str, Any] = {"account": ACCOUNT, "market_id": 1, "base": 5, "price": PRICE}
    limit_order(**fields)
    with pytest.raises(UserError, match=said):
        limit_order(**fields | changed)


def test_limit_order__at_the_bounds__is_taken() -> None:
    assert limit_order(ACCOUNT, ids.MAX_MARKET, MAX_SIZE, 2**256 - 2, expiry=MAX_EXPIRY).base == MAX_SIZE
    assert limit_order(ISOLATED, 2, -MAX_SIZE, 1).acceptable_price == 1


def test_market_order__a_buy_for_nothing__is_refused() -> None:
    with pytest.raises(UserError, match="nobody sells at a price of zero"):
        market_order(ACCOUNT, 1, 5, acceptable_price=0)
    assert market_order(ACCOUNT, 1, -5, acceptable_price=0).acceptable_price == 0


@pytest.mark.parametrize("build", [stop_loss_order, take_profit_order])
@pytest.mark.parametrize("trigger", [0, -1, 2**256])
def test_triggered_order__no_trigger_price__is_refused(build: Callable[..., Order], trigger: int) -> None:
    with pytest.raises(UserError, match="trigger price"):
        build(ACCOUNT, 1, 5, trigger)


@pytest.mark.parametrize(("base", "acceptable"), [(5, PRICE - 1), (-5, PRICE + 1)])
def test_stop_loss_order__acceptable_better_than_the_trigger__is_refused(base: int, acceptable: int) -> None:
    with pytest.raises(UserError, match="never fills at"):
        stop_loss_order(ACCOUNT, 1, base, PRICE, acceptable_price=acceptable)
    assert stop_loss_order(ACCOUNT, 1, base, PRICE, acceptable_price=PRICE).acceptable_price == PRICE
    take_profit = take_profit_order(ACCOUNT, 1, base, PRICE, acceptable_price=acceptable)  # a limit order, in effect
    assert take_profit.acceptable_price == acceptable


# --- on signatures -----------------------------------------------------------------------------------------------


def test_require_relayable__any_kind_but_limit__is_fine() -> None:
    for order in (
        market_order(ACCOUNT, 1, 5, expiry=99),
        stop_loss_order(ACCOUNT, 1, -5, PRICE),
        take_profit_order(ACCOUNT, 1, 5, PRICE, acceptable_price=PRICE, reduce_only=False),
    ):
        require_relayable(order)


@pytest.mark.parametrize("in_force", TimeInForce)
@pytest.mark.parametrize("reduce_only", [False, True])
def test_require_relayable__limit_order__is_for_matching(in_force: TimeInForce, reduce_only: bool) -> None:
    order = limit_order(ACCOUNT, 1, 5, PRICE, time_in_force=in_force, reduce_only=reduce_only)
    said = "order: a signed limit order is for matching; use a take-profit order with the same trigger and limit, or"
    with pytest.raises(UserError, match=said) as refused:
        require_relayable(order)
    assert "\n" not in str(refused.value)


# --- structs -----------------------------------------------------------------------------------------------------


def test_order_from__the_contracts_struct__gives_it_back() -> None:
    order = Order(ACCOUNT, 1, OrderKind.STOP_LOSS, -5, 10, 11, True, TimeInForce.POST_ONLY, 99, PARENT, 3)
    names = (
        "account", "marketId", "kind", "base", "acceptablePrice", "triggerPrice", "reduceOnly", "timeInForce", "expiry",
        "parent", "salt",
    )  # fmt: skip
    found = order_from(dict(zip(names, (int(one) if one in (1, 2) else one for one in order), strict=True)))
    assert found == order
    assert found.kind is OrderKind.STOP_LOSS


@pytest.mark.parametrize(
    ("market_id", "now", "covered"),
    [(1, 100, True), (1, 101, False), (2, 100, False), (3, 100, True), (16, 100, True), (17, 0, False), (0, 0, False)],
)
def test_covers__each_market_until_the_last_second__is_its_bit(market_id: int, now: int, covered: bool) -> None:
    scope = Scope(markets=0b101 | 1 << 15, until=100, daily_budget=1)
    assert scope.covers(market_id, now) is covered
    assert not NO_SCOPE.covers(market_id, now)
