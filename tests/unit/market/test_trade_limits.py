"""PerpMarket.trade: each limit of an increase on both of its sides, and what has none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, BTC_PARAMS, BTC_PRICE, ETH, ETH_PARAMS, ETH_PRICE, SCALES, WAD
from tests.support.evm import Evm, reverts
from tests.unit.market.conftest import Desk, open_desk, signed
from tests.unit.market.reference import ETH_SCALE, ceil_div, fill_price, initial, notional, trading_fee, worth

# --- open interest ---


def set_capital(desk: Desk, wanted: int, base: int, price: int = ETH_PRICE) -> None:
    """The pool's capital in ETH after a fill of `base` shall be `wanted`: before the fee's part."""
    skew = desk.core.market.skew(ETH)
    _, quote = fill_price(skew, base, price)
    cash = wanted - (desk.pool_quote() - quote) + ceil_div((skew + base) * price, WAD)
    desk.set_cash(desk.core.pool_account(ETH), cash)


@pytest.mark.parametrize("base", [1_000 * WAD, -1_000 * WAD])
@pytest.mark.parametrize("crowd", [0, 300 * WAD, -300 * WAD])
def test_trade__open_interest_of_the_side__at_its_limit_and_above(desk: Desk, base: int, crowd: int) -> None:
    """PM-01: ⌈OI × P⌉ ≤ capital × openInterest, capital after the fill and before its fee."""
    desk.core.set_params(ETH, openInterestBps=10_000, exposureBps=20_000)
    desk.set_skew(crowd)
    trader = desk.rich()
    open_interest = abs(base) + (abs(crowd) if crowd * base > 0 else 0)
    wanted = notional(open_interest, ETH_PRICE)
    set_capital(desk, wanted - 1, base)
    with reverts("PerpMarket_OpenInterestLimit", wanted, wanted - 1):
        desk.trade(trader, base)
    set_capital(desk, wanted, base)
    desk.trade(trader, base)


def test_trade__open_interest_of_the_other_side__is_not_looked_at(desk: Desk) -> None:
    desk.core.set_params(ETH, openInterestBps=10_000, exposureBps=20_000)
    desk.set_skew(2_000 * WAD)
    trader = desk.rich()
    base = -100 * WAD
    set_capital(desk, notional(100 * WAD, ETH_PRICE), base)
    desk.trade(trader, base)


@pytest.mark.parametrize("wanted", [0, -1, -(10**24)])
def test_trade__pool_without_capital__opens_nothing(desk: Desk, wanted: int) -> None:
    trader = desk.rich()
    set_capital(desk, wanted, WAD)
    with reverts("PerpMarket_OpenInterestLimit", ETH_PRICE, 0):
        desk.trade(trader, WAD)


# --- skew ---


@pytest.fixture
def wide_desk(evm: Evm) -> Desk:
    """A pool so large that only the skew limit binds: 2.5% of 333,333 ETH."""
    return open_desk(evm, pool_dollars=200_000_000)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("crowd", [0, 5_000 * WAD])
def test_trade__skew__at_its_limit_and_above(wide_desk: Desk, sign: int, crowd: int) -> None:
    """PM-01: |k| ≤ S × maxSkew where the trade enlarges |k|."""
    desk = wide_desk
    limit = ETH_SCALE * 250 // 10_000
    desk.set_skew(sign * crowd)
    trader = desk.rich(dollars=100_000_000)
    with reverts("PerpMarket_SkewLimit", limit + 1, limit):
        desk.trade(trader, sign * (limit + 1 - crowd))
    desk.trade(trader, sign * (limit - crowd))
    assert desk.core.market.skew(ETH) == sign * limit


def test_trade__skew_from_one_limit_to_the_other__is_allowed_and_no_farther(wide_desk: Desk) -> None:
    desk = wide_desk
    limit = ETH_SCALE * 250 // 10_000
    desk.set_skew(limit)
    trader = desk.rich(dollars=100_000_000)
    desk.core.set_params(ETH, imSlopeBps=0)
    with reverts("PerpMarket_SkewLimit", limit + 1, limit):
        desk.trade(trader, -2 * limit - 1)
    desk.trade(trader, -2 * limit)
    assert desk.core.market.skew(ETH) == -limit


def test_trade__skew_beyond_a_lowered_limit__still_shrinks(wide_desk: Desk) -> None:
    """An increase of the account's risk that brings the skew down passes; one that keeps |k| too."""
    desk = wide_desk
    desk.set_skew(1_000 * WAD)
    desk.core.set_params(ETH, maxSkewBps=1)
    trader = desk.rich()
    with reverts("PerpMarket_SkewLimit", 1_001 * WAD, ETH_SCALE // 10_000):
        desk.trade(trader, WAD)
    desk.trade(trader, -1_999 * WAD)
    assert desk.core.market.skew(ETH) == -999 * WAD
    desk.trade(desk.rich("other"), 1_998 * WAD)
    assert desk.core.market.skew(ETH) == 999 * WAD


# --- exposure ---


@pytest.mark.parametrize("base", [1_000 * WAD, -1_000 * WAD])
@pytest.mark.parametrize("price", [ETH_PRICE, 3_100 * WAD])
def test_trade__exposure_of_the_pool__at_its_limit_and_above(desk: Desk, base: int, price: int) -> None:
    """PM-01: ⌈|k| × P⌉ ≤ X(P), P the order's own record."""
    trader = desk.rich()
    wanted = notional(1_000 * WAD, price)
    record = desk.record(price)
    set_capital(desk, wanted - 1, base, price)
    with reverts("PerpMarket_ExposureLimit", wanted, wanted - 1):
        desk.trade(trader, base, record=record)
    set_capital(desk, wanted, base, price)
    desk.trade(trader, base, record=record)


def test_trade__exposure_beyond_its_limit__still_shrinks(desk: Desk) -> None:
    desk.set_skew(1_000 * WAD)
    trader = desk.rich()
    set_capital(desk, 2 * 10**6 * WAD, -WAD)
    desk.trade(trader, -WAD)
    set_capital(desk, 2 * 10**6 * WAD, WAD)
    with reverts("PerpMarket_ExposureLimit", 1_000 * ETH_PRICE, 2 * 10**6 * WAD):
        desk.trade(desk.rich("other"), WAD)


def test_trade__no_exposure_allowed__no_skew_at_all(desk: Desk) -> None:
    desk.core.set_params(ETH, exposureBps=0)
    with reverts("PerpMarket_ExposureLimit", ETH_PRICE, 0):
        desk.trade(desk.rich(), WAD)


@settings(max_examples=50)
@given(
    base=signed(WAD, 3_000 * WAD),
    crowd=signed(WAD, 2_000 * WAD),
    dollars=st.integers(2_100_000, 12_000_000),
)
def test_trade__random_capital__the_first_limit_that_binds_is_named(
    shared_desk: Desk, base: int, crowd: int, dollars: int
) -> None:
    """With capital for a third of the crowd's 6 million: no deleveraging is due, which has tests of its own."""
    desk = shared_desk
    with desk.isolated():
        desk.set_skew(crowd)
        trader = desk.rich()
        set_capital(desk, dollars * WAD, base)
        after = crowd + base
        side = abs(base) + (abs(crowd) if crowd * base > 0 else 0)
        exposure = notional(abs(after), ETH_PRICE)
        limit = min(ETH_SCALE * ETH_PRICE * 250 // (10_000 * WAD), dollars * WAD)
        if notional(side, ETH_PRICE) > 2 * dollars * WAD:
            with reverts("PerpMarket_OpenInterestLimit", notional(side, ETH_PRICE), 2 * dollars * WAD):
                desk.trade(trader, base)
        elif abs(after) > abs(crowd) and exposure > limit:
            with reverts("PerpMarket_ExposureLimit", exposure, limit):
                desk.trade(trader, base)
        else:
            desk.trade(trader, base)
            assert desk.core.market.skew(ETH) == after


# --- minimum position ---

LEAST = 333_333_333_333_333_334
"""The least size worth 1,000 dollars, the minimum, at 3,000."""


@pytest.mark.parametrize("sign", [1, -1])
def test_trade__minimum_position__at_it_and_below(desk: Desk, trader: int, sign: int) -> None:
    assert worth(LEAST, ETH_PRICE) >= 1_000 * WAD > worth(LEAST - 1, ETH_PRICE)
    with reverts("PerpMarket_BelowMinimumPosition", worth(LEAST - 1, ETH_PRICE), 1_000 * WAD):
        desk.trade(trader, sign * (LEAST - 1))
    desk.trade(trader, sign * LEAST)
    desk.trade(trader, sign)  # of what results, not of the trade


@pytest.mark.parametrize("sign", [1, -1])
def test_trade__what_a_reduction_leaves__is_the_minimum_or_nothing(desk: Desk, trader: int, sign: int) -> None:
    """Dust that nobody would liquidate can't be left."""
    desk.trade(trader, sign * 2 * WAD)
    with reverts("PerpMarket_BelowMinimumPosition", worth(LEAST - 1, ETH_PRICE), 1_000 * WAD):
        desk.trade(trader, -sign * (2 * WAD - LEAST + 1))
    with reverts("PerpMarket_BelowMinimumPosition", 3_000, 1_000 * WAD):
        desk.trade(trader, -sign * (2 * WAD - 1))
    desk.trade(trader, -sign * (2 * WAD - LEAST))
    desk.trade(trader, -sign * LEAST)
    assert desk.position(trader) == (0, 0, 0)


def test_trade__minimum_position__is_measured_at_the_orders_record(desk: Desk, trader: int) -> None:
    record = desk.record(2_900 * WAD)
    with reverts("PerpMarket_BelowMinimumPosition", worth(LEAST, 2_900 * WAD), 1_000 * WAD):
        desk.trade(trader, LEAST, record=record)


def test_trade__position_below_a_raised_minimum__may_be_closed(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.core.set_params(ETH, minPositionUsd=5_000)
    with reverts("PerpMarket_BelowMinimumPosition", 1_500 * WAD, 5_000 * WAD):
        desk.trade(trader, -WAD // 2)
    desk.trade(trader, -WAD)


# --- initial margin ---


@pytest.mark.parametrize("base", [10 * WAD, -10 * WAD, 3_000 * WAD, -3_000 * WAD])
@pytest.mark.parametrize("confidence", [0, 5 * WAD])
def test_trade__initial_margin__at_it_and_below(desk: Desk, base: int, confidence: int) -> None:
    """PM-01: no increase below initial margin; a fill worse than the index counts, one better does not."""
    trader = desk.core.trader("trader")
    _, quote = fill_price(0, base, ETH_PRICE, confidence)
    fee = trading_fee(0, base, quote)
    gain = max(0, worth(base, ETH_PRICE) + quote)
    loss = min(0, worth(base, ETH_PRICE) + quote - gain)
    required = initial(base, ETH_PRICE)
    record = desk.record(confidence=confidence)
    enough = required + fee + WAD // 2 - loss
    desk.set_cash(trader, enough - 1)
    with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
        desk.trade(trader, base, record=record, execution_fee=WAD // 2)
    desk.set_cash(trader, enough)
    desk.trade(trader, base, record=record, execution_fee=WAD // 2)


def test_trade__gain_of_the_fill__is_no_margin(desk: Desk) -> None:
    """A buy where shorts pay the premium is won against the index at once, and counts for nothing."""
    desk.set_skew(-2_000 * WAD)
    trader = desk.core.trader("trader")
    base = 10 * WAD
    _, quote = fill_price(-2_000 * WAD, base, ETH_PRICE)
    assert worth(base, ETH_PRICE) + quote > 0
    required, fee = initial(base, ETH_PRICE), trading_fee(-2_000 * WAD, base, quote)
    desk.set_cash(trader, required + fee - 1)
    with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
        desk.trade(trader, base)
    desk.set_cash(trader, required + fee)
    desk.trade(trader, base)


def test_trade__reserved_cash__is_no_margin_but_what_this_order_releases_is(desk: Desk) -> None:
    trader = desk.core.trader("trader")
    base = 10 * WAD
    _, quote = fill_price(0, base, ETH_PRICE)
    required = initial(base, ETH_PRICE)
    enough = required + trading_fee(0, base, quote) - worth(base, ETH_PRICE) - quote
    desk.set_cash(trader, enough + 6 * WAD)
    desk.core.vault.post([(trader, 0, 10 * WAD, 0)], sender=desk.core.order_book)
    with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
        desk.trade(trader, base, reserved=4 * WAD - 1)
    desk.trade(trader, base, reserved=4 * WAD)
    assert desk.slot(trader).reserved == 6 * WAD


@pytest.mark.parametrize("move", [-100 * WAD, 100 * WAD])
def test_trade__other_markets__losses_and_initial_margin_count_and_gains_do_not(desk: Desk, move: int) -> None:
    """PM-07"""
    trader = desk.rich()
    desk.trade(trader, WAD, market=BTC)
    desk.next_block(BTC_PRICE + move, BTC)
    base, other, owed = desk.position(trader, BTC)
    result = min(0, worth(base, BTC_PRICE + move) + other - owed)
    _, quote = fill_price(0, 10 * WAD, ETH_PRICE)
    required = initial(10 * WAD, ETH_PRICE) + initial(WAD, BTC_PRICE + move, BTC_PARAMS, SCALES[BTC])
    own = worth(10 * WAD, ETH_PRICE) + quote
    assert own < 0
    enough = required - result - own + trading_fee(0, 10 * WAD, quote)
    desk.set_cash(trader, enough - 1)
    with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
        desk.trade(trader, 10 * WAD)
    desk.set_cash(trader, enough)
    desk.trade(trader, 10 * WAD)


def test_trade__slope_of_the_margin__ends_at_the_whole_notional(desk: Desk) -> None:
    """Where imBase + imSlope × |b|/S passes one, a position needs what it is worth, and the penalty."""
    params = {**ETH_PARAMS, "imSlopeBps": 1_000_000}
    desk.core.set_params(ETH, imSlopeBps=1_000_000)
    whole = ceil_div(ETH_SCALE * 9_575, 1_000_000)
    below, above = initial(whole - 10**9, ETH_PRICE, params), initial(whole + 10**9, ETH_PRICE, params)
    assert above == notional(whole + 10**9, ETH_PRICE) + notional((whole + 10**9) * 75 // 10_000, ETH_PRICE)
    for size, required in ((whole - 10**9, below), (whole + 10**9, above)):
        with desk.isolated():
            trader = desk.core.trader("trader")
            _, quote = fill_price(0, size, ETH_PRICE)
            desk.set_cash(trader, required + trading_fee(0, size, quote) - worth(size, ETH_PRICE) - quote - 1)
            with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
                desk.trade(trader, size)
