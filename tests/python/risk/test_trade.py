"""Trades against the pool: price, fees, margin, limits, every refusal."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.units import WAD, to_wad
from plimsoll.risk.config import MarketParams, OrderParams
from plimsoll.risk.margin import initial, maintenance
from plimsoll.risk.market import Market
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.prices import data_folder
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER_ACCOUNT,
    NO_FEES,
    NOW,
    OTHER_ACCOUNT,
    PARAMS,
    PRICE,
    SCALE,
    TRADER,
    UNIT,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip

DATA = data_folder()
sizes = st.integers(2 * WAD, 5_000 * WAD)


def market_with_skew(skew: int, scale: int = SCALE) -> Market:
    market = Market(ETH, scale, PARAMS, OrderParams(), 1, NOW)
    market.long, market.short = max(skew, 0), max(-skew, 0)
    return market


@pytest.mark.skipif(DATA is None, reason="the folder of real data is absent")
def test_fillQuote__vectors__price_matches():
    assert DATA is not None
    for vector in json.loads((DATA / "vectors.json").read_text()):
        if vector["kind"] == "fill_price":
            given_ = vector["inputs"]
            market = market_with_skew(to_wad(given_["skew"]), to_wad(given_["skew_scale"]))
            quote = market.fill_quote(to_wad(given_["size_delta"]), to_wad(given_["oracle_price"]), 0)
            assert quote.price == to_wad(vector["expected"]["fill_price"])


@given(
    skew=st.integers(-SCALE, SCALE),
    parts=st.lists(st.integers(1, SCALE // 50), min_size=1, max_size=6),
    sign=st.sampled_from((1, -1)),
    price=st.integers(10**12, 10**24),
)
def test_fillQuote__split__is_path_independent_up_to_rounding_against_the_caller(skew, parts, sign, price):
    whole = market_with_skew(skew).fill_quote(sign * sum(parts), price, 0)
    size = sign * sum(parts)
    exact = -Fraction(size * price * (2 * SCALE + 2 * skew + size), 2 * SCALE * WAD)
    split, at = 0, skew
    for part in parts:
        split += market_with_skew(at).fill_quote(sign * part, price, 0).amount
        at += sign * part
    allowance = Fraction(sum(parts), WAD)
    assert 0 <= exact - whole.amount <= allowance + 1
    assert 0 <= exact - split <= allowance + len(parts)


@given(size=sizes, first=st.integers(-2_000 * WAD, 2_000 * WAD), sign=st.sampled_from((1, -1)))
@settings(max_examples=50)
def test_trade__round_trip__costs_only_fees(size, first, sign):
    protocol = deployed(account_dollars=10**8, pool_dollars=10**9)
    if abs(first) >= WAD:
        buy(protocol, first, account=OTHER_ACCOUNT)
    before = protocol.cash_of(ACCOUNT)
    there = buy(protocol, sign * size)
    back = buy(protocol, -sign * size)
    rounding = before - there.fee - back.fee - protocol.cash_of(ACCOUNT)
    assert 0 <= rounding <= 2 + 2 * size // WAD
    assert protocol.position(ACCOUNT, ETH, NOW) == (0, 0, 0)
    assert protocol.markets_bitmap(ACCOUNT) == 0
    protocol.check_sums(NOW)


@given(
    trades=st.lists(st.tuples(st.integers(-3_000 * WAD, 3_000 * WAD), st.booleans()), min_size=1, max_size=8),
    steps=st.lists(st.integers(0, 10**6), min_size=8, max_size=8),
)
@settings(max_examples=60)
def test_trade__any_sequence__every_dollar_has_an_owner(trades, steps):
    protocol = deployed(replace(PARAMS, max_price_age=2**16 - 1), account_dollars=10**8, pool_dollars=10**9)
    now = NOW
    for (size, other), step in zip(trades, steps, strict=False):
        if abs(size) < 2 * WAD:
            continue
        now += step
        set_price(protocol, PRICE + size % PRICE, now + 1, confidence=abs(size) % WAD)
        now += 1
        with suppress(Refusal):
            buy(protocol, size, account=OTHER_ACCOUNT if other else ACCOUNT, now=now)
        long, short = protocol.open_interest(ETH)
        bases = [protocol.position(account, ETH, now)[0] for account in (ACCOUNT, OTHER_ACCOUNT)]
        assert sum(bases) == long - short == -protocol.position(ids.pack(0xA001, ETH), ETH, now)[0]
        assert protocol.check_sums(now).lowest == 0


def test_trade__buy__price_fee_and_position_by_hand():
    """10 ETH of S = 10^6 at $1,000: the price is 1,000 × (1 + 5e-6); 6 bps; 20% to insurance, 10% to treasury."""
    protocol = deployed()
    done = buy(protocol, 10 * WAD, execution_fee=WAD)
    assert done.price == 1_000_005 * 10**15
    assert done.quote == -1_000_005 * 10**16
    assert done.fee == 6_000_030_000_000_000_000
    assert protocol.position(ACCOUNT, ETH, NOW) == (10 * WAD, done.quote, 0)
    assert protocol.cash_of(ACCOUNT) == 100_000 * WAD - done.fee - WAD
    assert protocol.cash_of(KEEPER_ACCOUNT) == WAD
    market = protocol.state.markets[ETH]
    assert market.unswept_insurance == done.fee * 2 // 10
    assert market.unswept_treasury == done.fee // 10
    assert market.pool_quote == -done.quote + done.fee * 7 // 10
    assert protocol.mark_price(ETH) == 1_000_010 * 10**15
    assert protocol.sweep(ETH) == (done.fee * 2 // 10, done.fee // 10)
    assert protocol.cash_of(ids.pack(0xA003)) == done.fee // 10


def test_trade__through_zero_skew__maker_for_the_part_toward_zero():
    protocol = deployed()
    buy(protocol, -40 * WAD, account=OTHER_ACCOUNT)
    done = buy(protocol, 100 * WAD)
    assert done.fee == -(done.quote * (40 * 2 + 60 * 6) // (100 * 10_000))


def test_trade__confidence__is_paid_both_ways():
    protocol = deployed()
    set_price(protocol, PRICE, NOW + 1, confidence=3 * WAD)
    assert buy(protocol, 10 * WAD, now=NOW + 1).price == 1_003 * 1_000_005 * 10**12
    assert buy(protocol, -10 * WAD, now=NOW + 1).price == 997 * 1_000_005 * 10**12


def test_trade__market_and_account__permissions():
    protocol = deployed(PARAMS, replace(PARAMS, isolated_only=True))
    with refused(protocol, "PerpMarket_NotListed", 3):
        buy(protocol, WAD, market=3)
    wrong = ids.pack(TRADER, BTC)
    with refused(protocol, "PerpMarket_WrongMarket", wrong, ETH):
        buy(protocol, WAD, account=wrong)
    with refused(protocol, "PerpMarket_IsolatedOnly", BTC):
        buy(protocol, WAD, market=BTC)
    with refused(protocol, "PerpMarket_ZeroSize"):
        buy(protocol, 0)
    protocol.deposit(wrong, 1_000 * UNIT)
    buy(protocol, 2 * WAD, account=wrong, market=BTC)


def test_trade__nine_markets__refused():
    protocol = deployed(*[replace(PARAMS, max_price_age=100)] * 9, pool_dollars=0, account_dollars=10**6)
    for listed in protocol.state.markets.values():
        protocol.state.credit(listed.pool_account, 10**6 * WAD)
    for market in range(1, 9):
        buy(protocol, 2 * WAD, market=market)
    with refused(protocol, "PerpMarket_TooManyMarkets", ACCOUNT):
        buy(protocol, 2 * WAD, market=9)
    buy(protocol, 2 * WAD, market=8)
    buy(protocol, -2 * WAD, market=1)
    buy(protocol, 2 * WAD, market=1)
    buy(protocol, -4 * WAD, market=8)
    buy(protocol, 2 * WAD, market=9)


def test_trade__reduce_only__clamps_and_needs_something_to_reduce():
    protocol = deployed()
    with refused(protocol, "PerpMarket_NothingToReduce", ACCOUNT, ETH):
        buy(protocol, WAD, reduce_only=True)
    buy(protocol, 5 * WAD)
    with refused(protocol, "PerpMarket_NothingToReduce", ACCOUNT, ETH):
        buy(protocol, WAD, reduce_only=True)
    assert buy(protocol, -100 * WAD, reduce_only=True).size == -5 * WAD
    assert protocol.position(ACCOUNT, ETH, NOW)[0] == 0


@pytest.mark.parametrize("state", [1, 2, 3])
def test_trade__guard_not_open__reduces_but_does_not_open(state):
    protocol = deployed()
    buy(protocol, 5 * WAD)
    set_price(protocol, PRICE, NOW + 1, state=state)
    with refused(protocol, "PerpMarket_OpeningHalted", ETH, state, 0):
        buy(protocol, WAD, now=NOW + 1)
    with refused(protocol, "PerpMarket_OpeningHalted", ETH, state, 0):
        buy(protocol, -6 * WAD, now=NOW + 1)
    buy(protocol, -2 * WAD, now=NOW + 1)


def test_trade__opening_halted__until_the_second():
    protocol = deployed()
    protocol.halt_opening(ETH, NOW + 5)
    with refused(protocol, "PerpMarket_OpeningHalted", ETH, 0, NOW + 5):
        buy(protocol, WAD, now=NOW + 4)
    buy(protocol, WAD, now=NOW + 5)


def test_trade__another_market_stale__opens_nothing_but_reduces():
    protocol = deployed(PARAMS, PARAMS)
    buy(protocol, 5 * WAD, market=BTC)
    buy(protocol, 5 * WAD)
    late = NOW + PARAMS.max_price_age + 1
    set_price(protocol, PRICE, late)
    with refused(protocol, "PerpMarket_StalePrice", BTC, NOW):
        buy(protocol, WAD, now=late)
    buy(protocol, -2 * WAD, now=late)


def test_trade__acceptable_price__is_inclusive():
    protocol = deployed()
    price = protocol.fill_price(ETH, 10 * WAD)
    with refused(protocol, "PerpMarket_PriceNotAcceptable", price, price - 1):
        buy(protocol, 10 * WAD, acceptable=price - 1)
    buy(protocol, 10 * WAD, acceptable=price)
    price = protocol.fill_price(ETH, -5 * WAD)
    with refused(protocol, "PerpMarket_PriceNotAcceptable", price, price + 1):
        buy(protocol, -5 * WAD, acceptable=price + 1)
    buy(protocol, -5 * WAD, acceptable=price)


def test_trade__price_out_of_range__refused():
    protocol = deployed()
    with refused(protocol, "PerpMarket_PriceOutOfRange", ETH):
        buy(protocol, -2 * SCALE)


def test_trade__minimum_position__boundary():
    protocol = deployed()
    with refused(protocol, "PerpMarket_BelowMinimumPosition", 1_000 * WAD - 1_000, 1_000 * WAD):
        buy(protocol, WAD - 1)
    buy(protocol, 2 * WAD)
    with refused(protocol, "PerpMarket_BelowMinimumPosition", 1_000 * WAD - 1_000, 1_000 * WAD):
        buy(protocol, -WAD - 1)
    buy(protocol, -WAD)
    buy(protocol, -WAD)


def test_trade__open_interest_limit__boundary():
    protocol = deployed(NO_FEES, pool_dollars=1_000_000, account_dollars=10**7)
    protocol.set_params(ETH, replace(NO_FEES, open_interest_bps=1_000), now=NOW)
    market = protocol.state.markets[ETH]
    with protocol.simulated():
        done = buy(protocol, 99 * WAD)
    assert done
    low, high = 99 * WAD, 101 * WAD
    while high - low > 1:
        middle = (low + high) // 2
        try:
            with protocol.simulated():
                buy(protocol, middle)
            low = middle
        except Refusal:
            high = middle
    with protocol.simulated():
        buy(protocol, low)
        limit = protocol.pool_capital(ETH, NOW) // 10
        assert 0 <= limit - low * 1_000 <= 1_001
    quote = market.fill_quote(high, PRICE, 0).amount
    capital = 1_000_000 * WAD - quote - high * 1_000
    with refused(protocol, "PerpMarket_OpenInterestLimit", high * 1_000, capital // 10):
        buy(protocol, high)


def test_trade__skew_limit__boundary():
    params = replace(NO_FEES, max_skew_bps=1)
    protocol = deployed(params, account_dollars=10**7)
    limit = SCALE // 10_000
    with refused(protocol, "PerpMarket_SkewLimit", limit + 1, limit):
        buy(protocol, limit + 1)
    buy(protocol, -limit)
    buy(protocol, 2 * limit, account=OTHER_ACCOUNT)


def test_trade__exposure_limit__skew_may_only_shrink():
    protocol = deployed(NO_FEES, pool_dollars=100_000, account_dollars=10**7)
    quote = protocol.state.markets[ETH].fill_quote(101 * WAD, PRICE, 0).amount
    limit = 100_000 * WAD - quote - 101_000 * WAD
    with refused(protocol, "PerpMarket_ExposureLimit", 101_000 * WAD, limit):
        buy(protocol, 101 * WAD)
    buy(protocol, 99 * WAD)
    buy(protocol, -198 * WAD, account=OTHER_ACCOUNT)


def test_trade__initial_margin__boundary():
    """What remains after the fee is compared to the wei."""
    for missing in (0, 1):
        protocol = deployed(account_dollars=0 + 1)
        with protocol.simulated():
            protocol.deposit(ACCOUNT, 100_000 * UNIT)
            done = buy(protocol, 100 * WAD)
        market = protocol.state.markets[ETH]
        loss = -(100 * PRICE + done.quote)
        required = initial(market, 100 * WAD, PRICE)
        protocol.state.credit(ACCOUNT, done.fee + loss + required - missing - WAD)
        protocol.state.totals.tokens += 10**9
        if missing:
            with refused(protocol, "PerpMarket_InsufficientMargin", ACCOUNT, required - 1, required):
                buy(protocol, 100 * WAD)
        else:
            buy(protocol, 100 * WAD)


def test_trade__gain_of_the_fill__is_not_margin():
    """A buy below the index, into a short skew: the difference is taken off the result that counts."""
    protocol = deployed(NO_FEES, account_dollars=10**7)
    buy(protocol, -20_000 * WAD, account=OTHER_ACCOUNT)
    poor = ids.pack(0x1003)
    market = protocol.state.markets[ETH]
    required = initial(market, 100 * WAD, PRICE)
    protocol.deposit(poor, required // 10**12)
    buy(protocol, 100 * WAD, account=poor)
    assert protocol.equity(poor, NOW) > required
    with refused(protocol, "PerpMarket_InsufficientMargin", poor, required, initial(market, 101 * WAD, PRICE)):
        buy(protocol, WAD, account=poor)


def test_trade__reduction_below_maintenance__pays_as_a_close_out_would():
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 970 * WAD, NOW + 1)
    assert protocol.is_liquidatable(ACCOUNT, NOW + 1)
    before = protocol.state.health(ACCOUNT, NOW + 1)
    with protocol.simulated():
        closed = protocol.liquidate(ACCOUNT, ETH, now=NOW + 1, sender=0x99)
        left = protocol.equity(ACCOUNT, NOW + 1)
    done = buy(protocol, -closed.size, now=NOW + 1, execution_fee=WAD)
    assert done.fee + done.surcharge == closed.cost
    assert protocol.equity(ACCOUNT, NOW + 1) == left - WAD
    assert protocol.cash_of(KEEPER_ACCOUNT) == WAD + closed.reward
    equity, required = protocol.state.health(ACCOUNT, NOW + 1)
    assert (equity + WAD) * before[1] >= before[0] * required
    protocol.check_sums(NOW + 1)


def test_trade__reduction_of_the_poor__execution_fee_first_then_fee():
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    equity = protocol.equity(ACCOUNT, NOW)
    price = PRICE - equity // 100 + 5 * 10**15
    set_price(protocol, price, NOW + 1)
    left = protocol.equity(ACCOUNT, NOW + 1)
    assert 0 < left < WAD
    done = buy(protocol, -100 * WAD, now=NOW + 1, execution_fee=10**17)
    assert done.execution_fee == 10**17
    assert done.surcharge == 0
    assert protocol.cash_of(ACCOUNT) == 0
    protocol.check_sums(NOW + 1)


def test_trade__bankrupt__refused_with_the_equity():
    protocol = deployed(NO_FEES, account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 940 * WAD, NOW + 1)
    equity = protocol.equity(ACCOUNT, NOW + 1)
    assert equity < 0
    with refused(protocol, "PerpMarket_Bankrupt", ACCOUNT, equity):
        buy(protocol, -100 * WAD, now=NOW + 1)


def test_setParams__raised__initial_at_once_maintenance_never_but_the_fraction_on_its_ramp():
    protocol = deployed(account_dollars=10**6)
    buy(protocol, 100 * WAD)
    market = protocol.state.markets[ETH]
    before = maintenance(market, 100 * WAD, PRICE, NOW)
    harder = replace(PARAMS, im_base_bps=1_000, penalty_bps=200, keeper_min_cents=10_000, mm_fraction_bps=9_000)
    protocol.set_params(ETH, harder, now=NOW)
    assert initial(market, 100 * WAD, PRICE) > 2 * before
    assert maintenance(market, 100 * WAD, PRICE, NOW) == before
    assert market.rules.mm_fraction(NOW + 86_400) == 70_000_000
    assert market.rules.mm_fraction(NOW + 86_401) == 70_000_000 + 30_000_000 // (3 * 86_400)
    assert market.rules.mm_fraction(NOW + 3 * 86_400) == 90_000_000
    protocol.set_params(ETH, replace(harder, mm_fraction_bps=9_500), now=NOW + 86_401)
    assert market.rules.mm_fraction(NOW + 86_401) == 70_010_000 - 10_000
    protocol.set_params(ETH, replace(PARAMS, im_base_bps=300, mm_fraction_bps=5_000), now=NOW + 86_402)
    assert market.rules.mm_fraction(NOW + 86_402) == 50_000_000
    assert market.rules.mm_base_bps == 300
    protocol.set_params(ETH, PARAMS, now=NOW + 86_403)
    assert market.rules.mm_base_bps == 300


def test_setParams__lower_funding_limit__rate_is_clamped():
    """With the rate above a lowered limit and no skew, the integral would divide by a velocity of zero."""
    protocol = deployed(account_dollars=10**8)
    buy(protocol, 5_000 * WAD)
    now = NOW + 40 * 86_400
    protocol.set_params(ETH, MarketParams(max_funding_rate=10**16), now=now)
    assert protocol.funding_rate(ETH, now) == 10**16
    set_price(protocol, PRICE, now)
    buy(protocol, -5_000 * WAD, now=now)
    assert protocol.funding_rate(ETH, now + 100) == 10**16
    protocol.check_sums(now + 100)


def test_trade__dust_closed__execution_fee_is_a_hundredth_of_it_at_most():
    protocol = deployed()
    buy(protocol, 10 * WAD)
    size = WAD // 1_000
    done = buy(protocol, -size, execution_fee=WAD)
    assert done.execution_fee == done.quote // 100 < WAD
    done = buy(protocol, -WAD, execution_fee=WAD)
    assert done.execution_fee == WAD
    protocol.check_sums(NOW)
