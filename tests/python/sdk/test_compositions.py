"""Brackets, ladders, exits over time and trailing stops: what they consist of, to the wei."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.sdk.compositions import bracket, ladder, split, spread_over_time, trail
from plimsoll.sdk.orders import (
    ANY_PRICE_BUY,
    ANY_PRICE_SELL,
    limit_order,
    market_order,
    stop_loss_order,
    take_profit_order,
)
from plimsoll.sdk.signing import order_hash

ACCOUNT = ids.pack("0x" + "ab" * 20)
LONG, SHORT = 2 * WAD, -2 * WAD
PRICE, LOW, HIGH = 3_000 * WAD, 2_900 * WAD, 3_200 * WAD


# --- brackets ----------------------------------------------------------------------------------------------------


def test_bracket__of_a_long__has_exits_that_wait_for_it() -> None:
    entry = limit_order(ACCOUNT, 1, LONG, PRICE, counter=7)
    whole = bracket(entry, LOW, HIGH, stop_acceptable=LOW - WAD, profit_acceptable=HIGH - WAD, expiry=99)
    assert whole.entry is entry
    parent = order_hash(entry)
    low_salt, high_salt = whole.stop_loss.salt, whole.take_profit.salt
    assert whole.stop_loss == Order(
        ACCOUNT, 1, OrderKind.STOP_LOSS, -LONG, LOW - WAD, LOW, True, 0, 99, parent, low_salt
    )
    assert whole.take_profit == Order(
        ACCOUNT, 1, OrderKind.TAKE_PROFIT, -LONG, HIGH - WAD, HIGH, True, 0, 99, parent, high_salt
    )
    assert low_salt != high_salt
    assert low_salt >> 128 == high_salt >> 128 == 7


def test_bracket__of_a_short__buys_back_at_any_price() -> None:
    whole = bracket(market_order(ACCOUNT, 1, SHORT), HIGH, LOW)
    assert (whole.stop_loss.base, whole.stop_loss.trigger_price) == (2 * WAD, HIGH)
    assert (whole.take_profit.base, whole.take_profit.trigger_price) == (2 * WAD, LOW)
    assert whole.stop_loss.acceptable_price == whole.take_profit.acceptable_price == ANY_PRICE_BUY


@pytest.mark.parametrize(
    "entry",
    [
        limit_order(ACCOUNT, 1, LONG, PRICE),
        stop_loss_order(ACCOUNT, 1, LONG, PRICE, reduce_only=False),
        take_profit_order(ACCOUNT, 1, LONG, PRICE, reduce_only=False),
    ],
    ids=["limit", "stop", "dip"],
)
@pytest.mark.parametrize(("stop", "profit", "fine"), [(-1, 1, True), (0, 1, False), (-1, 0, False)])
def test_bracket__entry_has_a_price__lies_strictly_between(entry: Order, stop: int, profit: int, fine: bool) -> None:
    if fine:
        assert bracket(entry, PRICE + stop, PRICE + profit).entry == entry
    else:
        with pytest.raises(UserError, match="an exit would be due at once"):
            bracket(entry, PRICE + stop, PRICE + profit)


@pytest.mark.parametrize(
    ("base", "stop", "profit", "where"),
    [(LONG, HIGH, LOW, "below"), (LONG, LOW, LOW, "below"), (SHORT, LOW, HIGH, "above"), (SHORT, HIGH, HIGH, "above")],
)
def test_bracket__triggers_on_the_wrong_sides__is_refused(base: int, stop: int, profit: int, where: str) -> None:
    with pytest.raises(UserError, match=f"lies {where} its take-profit"):
        bracket(market_order(ACCOUNT, 1, base), stop, profit)


def test_bracket__entry_only_reduces__is_refused() -> None:
    with pytest.raises(UserError, match="its entry is reduce-only"):
        bracket(market_order(ACCOUNT, 1, LONG, reduce_only=True), LOW, HIGH)


# --- ladders -----------------------------------------------------------------------------------------------------


def test_ladder__three_steps__are_take_profits_from_end_to_end() -> None:
    parent = b"\5" * 32
    rungs = ladder(ACCOUNT, 1, -10, LOW, HIGH, 3, expiry=99, parent=parent, counter=2)
    middle = (LOW + HIGH) // 2
    assert rungs == [
        Order(ACCOUNT, 1, OrderKind.TAKE_PROFIT, base, price, price, True, 0, 99, parent, rung.salt)
        for base, price, rung in zip((-3, -3, -4), (LOW, middle, HIGH), rungs, strict=True)
    ]
    assert {rung.counter for rung in rungs} == {2}
    assert len({rung.salt for rung in rungs}) == 3


def test_ladder__one_step__is_all_at_the_first_price() -> None:
    (rung,) = ladder(ACCOUNT, 1, LONG, LOW, HIGH, 1)
    assert (rung.base, rung.trigger_price, rung.parent) == (LONG, LOW, NO_PARENT)


@given(
    st.integers(-(10**24), 10**24).filter(lambda base: abs(base) >= 40),
    st.integers(1, 10**24),
    st.integers(1, 10**24),
    st.integers(1, 40),
)
def test_ladder__any__sums_exactly_between_its_prices(base: int, first: int, last: int, steps: int) -> None:
    rungs = ladder(ACCOUNT, 1, base, first, last, steps)
    assert len(rungs) == steps
    assert sum(rung.base for rung in rungs) == base
    assert max(rung.base for rung in rungs) - min(rung.base for rung in rungs) <= 1
    prices = [rung.trigger_price for rung in rungs]
    assert prices == sorted(prices, reverse=last < first)
    assert prices[0] == first
    assert steps == 1 or prices[-1] == last


@pytest.mark.parametrize(
    ("base", "steps", "said"),
    [(0, 1, "too small to be split, or zero"), (4, 5, "too small"), (4, 0, "0 is no number"), (4, -1, "-1 is no")],
)
def test_split__nothing_to_split__is_refused(base: int, steps: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        split(base, steps)
    assert split(-5, 5) == [-1] * 5


def test_ladder__a_price_of_zero__is_refused() -> None:
    with pytest.raises(UserError, match="trigger price is not more than zero"):
        ladder(ACCOUNT, 1, SHORT, 0, HIGH, 2)


# --- over time ---------------------------------------------------------------------------------------------------


def test_spread_over_time__three__follow_each_other_without_overlap() -> None:
    exits = spread_over_time(ACCOUNT, 1, -10, 1_000, 60, 3, acceptable_price=LOW, counter=4)
    assert [one.at for one in exits] == [1_000, 1_060, 1_120]
    assert [one.order for one in exits] == [
        Order(
            ACCOUNT, 1, OrderKind.MARKET, base, LOW, 0, True, TimeInForce.GOOD_TILL_TIME, expiry, NO_PARENT, found.salt
        )
        for base, expiry, found in zip((-3, -3, -4), (1_059, 1_119, 1_179), (one.order for one in exits), strict=True)
    ]
    assert exits[0].order.counter == 4
    assert spread_over_time(ACCOUNT, 1, -10, 0, 1, 1)[0].order.acceptable_price == ANY_PRICE_SELL


@pytest.mark.parametrize(("first", "interval", "said"), [(5, 0, "interval of 0 s"), (-1, 5, "-1 is no Unix time")])
def test_spread_over_time__no_time__is_refused(first: int, interval: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        spread_over_time(ACCOUNT, 1, 10, first, interval, 2)


# --- trailing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "trigger"),
    [(3_100, 3_000), (3_050, 2_950), (3_000, None), (2_999, None), (50, None)],
)
def test_trail__a_longs_stop__follows_up_only(price: int, trigger: int | None) -> None:
    stop = stop_loss_order(
        ACCOUNT, 1, -5, LOW, acceptable_price=LOW - 3 * WAD, expiry=99, parent=b"\1" * 32, counter=6, salt=1
    )
    moved = trail(stop, price * WAD, 100 * WAD)
    if trigger is None:
        assert moved is None
        return
    assert moved is not None
    assert moved == stop._replace(trigger_price=trigger * WAD, acceptable_price=(trigger - 3) * WAD, salt=moved.salt)
    assert (moved.counter, moved.salt != stop.salt) == (6, True)


@pytest.mark.parametrize(
    ("price", "trigger"),
    [(2_900, 3_000), (3_099, 3_199), (3_100, None), (3_101, None)],
)
def test_trail__a_shorts_stop__follows_down_only(price: int, trigger: int | None) -> None:
    stop = stop_loss_order(ACCOUNT, 1, 5, HIGH)
    moved = trail(stop, price * WAD, 100 * WAD)
    assert (None if moved is None else moved.trigger_price) == (None if trigger is None else trigger * WAD)
    assert moved is None or moved.acceptable_price == ANY_PRICE_BUY


@pytest.mark.parametrize(("moved", "replaced"), [(9, False), (10, True), (11, True)])
def test_trail__less_than_a_step__stays(moved: int, replaced: bool) -> None:
    stop = stop_loss_order(ACCOUNT, 1, -5, LOW)
    assert (trail(stop, LOW + 100 + moved, 100, step=10) is not None) is replaced


@pytest.mark.parametrize("numbers", [{"distance": 0}, {"distance": -1}, {"distance": 1, "step": 0}])
def test_trail__no_distance_or_step__is_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must be more than zero"):
        trail(stop_loss_order(ACCOUNT, 1, -5, LOW), PRICE, **numbers)


def test_trail__another_kind__is_refused() -> None:
    with pytest.raises(UserError, match="no stop-loss"):
        trail(take_profit_order(ACCOUNT, 1, -5, LOW), PRICE, 1)
