"""Close-out, take-over, backstop and debt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.orders import Scope
from plimsoll.core.units import WAD
from plimsoll.risk.config import Gas
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MAX_HEALTH
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER,
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

FUND = ids.pack(0xA002)
LATER = NOW + 1


def sick(price: int = 970 * WAD, size: int = 100 * WAD, dollars: int = 5_200) -> Protocol:
    """The trader's long of 100 at $1,000 on $5,200, and a price at which he is liquidatable."""
    protocol = deployed(account_dollars=dollars)
    buy(protocol, size)
    set_price(protocol, price, LATER)
    return protocol


def threshold() -> int:
    """The lowest price at which the trader of `sick` is healthy."""
    low, high = 900 * WAD, PRICE
    while high - low > 1:
        middle = (low + high) // 2
        if sick(middle).is_liquidatable(ACCOUNT, LATER):
            low = middle
        else:
            high = middle
    return high


def test_liquidate__one_wei_of_price_around_health_one__refused_above_done_below():
    price = threshold()
    protocol = sick(price)
    equity, required = protocol.state.health(ACCOUNT, LATER)
    assert equity >= required
    with refused(protocol, "Liquidator_Healthy", ACCOUNT, equity, required):
        protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    protocol = sick(price - 1)
    protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)


def test_liquidate__below_maintenance__closes_to_the_target_and_splits_the_cost():
    protocol = sick()
    before = protocol.cash_of(FUND)
    done = protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    assert 0 < done.size < 100 * WAD
    assert protocol.health(ACCOUNT, LATER) >= 124 * WAD // 100
    assert done.cost == -(-done.size * 970 * 75 // 10_000)
    assert done.reward == done.cost * 3 // 10 == protocol.cash_of(KEEPER_ACCOUNT)
    assert protocol.cash_of(FUND) - before == done.cost - done.reward
    assert (done.top_up, done.debt) == (0, 0)
    assert protocol.state.markets[ETH].moved_in(LATER) == done.size
    protocol.check_sums(LATER)


def test_liquidate__short__mirrors():
    protocol = sick(1_035 * WAD, -100 * WAD)
    done = protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    assert protocol.position(ACCOUNT, ETH, LATER)[0] == done.size - 100 * WAD
    assert protocol.health(ACCOUNT, LATER) >= 124 * WAD // 100
    protocol.check_sums(LATER)


@given(
    price=st.integers(947 * WAD, 976 * WAD), size=st.integers(90 * WAD, 102 * WAD), confidence=st.integers(0, 5 * WAD)
)
@settings(max_examples=60)
def test_liquidate__any_sick_account__is_left_no_less_healthy(price, size, confidence):
    protocol = deployed(account_dollars=5_200)
    buy(protocol, size)
    protocol.record_price(ETH, price, confidence, LATER)
    equity, required = protocol.state.health(ACCOUNT, LATER)
    if not 0 < equity < required:
        return
    done = protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    after, required_after = protocol.state.health(ACCOUNT, LATER)
    if required_after:
        assert after * required >= equity * required_after - required
        assert done.size * price // WAD >= 999 * WAD
        left = abs(protocol.position(ACCOUNT, ETH, LATER)[0])
        assert left * price // WAD >= 999 * WAD
    assert after >= 0
    protocol.check_sums(LATER)


def test_liquidate__no_usable_price__refused():
    protocol = sick()
    late = LATER + PARAMS.max_price_age + 1
    with refused(protocol, "Liquidator_PriceUnusable", ETH, LATER, 0):
        protocol.liquidate(ACCOUNT, ETH, now=late, sender=KEEPER)
    set_price(protocol, 970 * WAD, LATER + 1, state=2)
    with refused(protocol, "Liquidator_PriceUnusable", ETH, LATER + 1, 2):
        protocol.liquidate(ACCOUNT, ETH, now=LATER + 1, sender=KEEPER)
    with refused(protocol, "Liquidator_PriceUnusable", 9, 0, 0):
        protocol.liquidate(ACCOUNT, 9, now=LATER + 1, sender=KEEPER)
    set_price(protocol, 970 * WAD, LATER + 2, state=1)
    protocol.liquidate(ACCOUNT, ETH, now=LATER + 2, sender=KEEPER)


def test_liquidate__nothing_or_bankrupt__refused():
    protocol = sick(940 * WAD)
    with refused(protocol, "Liquidator_NoPosition", OTHER_ACCOUNT, ETH):
        protocol.liquidate(OTHER_ACCOUNT, ETH, now=LATER, sender=KEEPER)
    equity = protocol.state.health(ACCOUNT, LATER)[0]
    assert equity < 0
    with refused(protocol, "Liquidator_Bankrupt", ACCOUNT, equity):
        protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)


def test_liquidate__cap_of_a_window__then_the_next():
    params = replace(PARAMS, maker_bps=0, taker_bps=1)
    protocol = deployed(params, account_dollars=25_000)
    buy(protocol, 480 * WAD)
    set_price(protocol, 952 * WAD, LATER)
    cap = SCALE // 10_000
    assert protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER).size == cap
    until = LATER + 5
    for now in (LATER, until - 1):  # whether there is a newer record or not
        if now > LATER:
            set_price(protocol, 952 * WAD, now)
        with refused(protocol, "Liquidator_CapReached", ETH, until, 0):
            protocol.liquidate(ACCOUNT, ETH, now=now, sender=KEEPER)
    with refused(protocol, "Liquidator_CapReached", ETH, until, 0):  # the record, not the clock, makes the window
        protocol.liquidate(ACCOUNT, ETH, now=until, sender=KEEPER)
    set_price(protocol, 952 * WAD, until)
    assert protocol.liquidate(ACCOUNT, ETH, now=until + 2, sender=KEEPER).size == cap
    assert protocol.state.markets[ETH].moved_since == until
    protocol.check_sums(until + 2)


def test_liquidate__cap_of_a_small_market__leaves_room_for_a_minimum_and_a_remainder():
    protocol = deployed(replace(PARAMS, maker_bps=0, taker_bps=0), account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 960 * WAD, LATER)
    done = protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    assert done.size == 2 * -(-1_000 * WAD * WAD // (960 * WAD))
    with refused(protocol, "Liquidator_CapReached", ETH, LATER + 5, 0):
        protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)


def test_liquidate__small_cost__fund_tops_the_keeper_up():
    protocol = sick(959 * WAD, 3 * WAD, dollars=160)
    equity, required = protocol.state.health(ACCOUNT, LATER)
    assert 0 < equity < required
    done = protocol.liquidate(ACCOUNT, ETH, now=LATER, sender=KEEPER)
    assert done.reward >= 2 * WAD
    assert done.top_up == max(0, done.reward - done.cost)
    protocol.check_sums(LATER)


def test_takeOver__part__discount_fee_and_both_accounts():
    protocol = sick()
    equity, required = protocol.state.health(ACCOUNT, LATER)
    protocol.deposit(OTHER_ACCOUNT, 100_000 * UNIT)
    cash = protocol.cash_of(OTHER_ACCOUNT)
    done = protocol.take_over(ACCOUNT, ETH, 40 * WAD, OTHER_ACCOUNT, now=LATER, sender=OTHER)
    assert done.discount == (required - equity) * 40 * 970 * WAD * 500 // (required * 10_000)
    assert done.amount == 40 * 970 * WAD - done.discount
    assert done.fee == -(-done.amount * 6 // 10_000)
    assert protocol.position(OTHER_ACCOUNT, ETH, LATER) == (40 * WAD, -done.amount, 0)
    assert protocol.cash_of(OTHER_ACCOUNT) == cash - done.fee
    assert protocol.position(ACCOUNT, ETH, LATER)[0] == 60 * WAD
    after, required_after = protocol.state.health(ACCOUNT, LATER)
    assert after * required >= equity * required_after
    assert protocol.open_interest(ETH) == (100 * WAD, 0)
    protocol.check_sums(LATER)


@given(price=st.integers(947 * WAD, 976 * WAD), part=st.integers(WAD, 100 * WAD), short=st.booleans())
@settings(max_examples=60)
def test_takeOver__any_part__leaves_no_less_health_and_no_debt(price, part, short):
    sign = -1 if short else 1
    protocol = sick(2 * PRICE - price if short else price, sign * 100 * WAD)
    protocol.deposit(OTHER_ACCOUNT, 100_000 * UNIT)
    equity, required = protocol.state.health(ACCOUNT, LATER)
    with suppress(Refusal):
        protocol.take_over(ACCOUNT, ETH, sign * part, OTHER_ACCOUNT, now=LATER, sender=OTHER)
    after, required_after = protocol.state.health(ACCOUNT, LATER)
    assert after * required >= equity * required_after
    assert after >= 0 or equity < 0
    protocol.check_sums(LATER)


def test_takeOver__arguments__refused():
    protocol = sick()
    second = ids.pack(TRADER, 0, 1)

    def take(base: int, to: int = OTHER_ACCOUNT, sender: int = OTHER, account: int = ACCOUNT) -> None:
        protocol.take_over(account, ETH, base, to, now=LATER, sender=sender)

    with refused(protocol, "OrderBook_NotPermitted", OTHER_ACCOUNT, TRADER):
        take(WAD, sender=TRADER)
    with refused(protocol, "Liquidator_SameAccount", ACCOUNT):
        take(WAD, ACCOUNT, TRADER)
    with refused(protocol, "Liquidator_NoPosition", OTHER_ACCOUNT, ETH):
        take(WAD, second, TRADER, OTHER_ACCOUNT)
    for base in (0, -WAD):
        with refused(protocol, "Liquidator_WrongSize", base, 100 * WAD):
            take(base)
    with refused(protocol, "Liquidator_BelowMinimumPosition", 970 * WAD, 1_000 * WAD):
        take(99 * WAD)
    with refused(protocol, "PerpMarket_BelowMinimumPosition", 970 * WAD, 1_000 * WAD):
        take(WAD)
    wrong = ids.pack(OTHER, BTC)
    with refused(protocol, "PerpMarket_WrongMarket", wrong, ETH):
        take(WAD, wrong)
    with pytest.raises(Refusal, match="PerpMarket_InsufficientMargin"):
        take(100 * WAD, second, TRADER)


def test_takeOver__more_than_there_is__takes_all():
    protocol = sick()
    protocol.deposit(OTHER_ACCOUNT, 100_000 * UNIT)
    done = protocol.take_over(ACCOUNT, ETH, 100 * WAD + 1, OTHER_ACCOUNT, now=LATER, sender=OTHER)
    assert done.size == 100 * WAD
    assert protocol.markets_bitmap(ACCOUNT) == 0
    protocol.check_sums(LATER)


def test_takeOver__delegate__needs_the_permission_and_the_budget():
    protocol = sick()
    protocol.deposit(OTHER_ACCOUNT, 100_000 * UNIT)

    def take(base: int = 40 * WAD) -> None:
        protocol.take_over(ACCOUNT, ETH, base, OTHER_ACCOUNT, now=LATER, sender=KEEPER)

    scope = Scope(1, LATER, 38_800, may_match=True)
    protocol.set_delegate(OTHER_ACCOUNT, KEEPER, scope, sender=OTHER)
    with refused(protocol, "OrderBook_NotPermitted", OTHER_ACCOUNT, KEEPER):
        take()
    scope = scope._replace(may_match=False, may_take_over=True)
    for changed in (scope._replace(until=LATER - 1), scope._replace(markets=2)):
        protocol.set_delegate(OTHER_ACCOUNT, KEEPER, changed, sender=OTHER)
        with refused(protocol, "OrderBook_NotPermitted", OTHER_ACCOUNT, KEEPER):
            take()
    protocol.set_delegate(OTHER_ACCOUNT, KEEPER, scope, sender=OTHER)
    with refused(protocol, "OrderBook_BudgetExceeded", OTHER_ACCOUNT, KEEPER, 38_800, 38_801):
        take(40 * WAD + 1)
    take()
    assert protocol.delegation(OTHER_ACCOUNT, KEEPER, LATER) == (scope, 38_800)
    protocol.check_sums(LATER)


def test_takeOver__isolated_only__cross_taker_refused_whatever_it_holds():
    protocol = sick(1_030 * WAD, -100 * WAD)
    buy(protocol, -10 * WAD, account=OTHER_ACCOUNT, now=LATER)
    protocol.set_params(ETH, replace(PARAMS, isolated_only=True), now=LATER)
    with refused(protocol, "PerpMarket_IsolatedOnly", ETH):
        protocol.take_over(ACCOUNT, ETH, -10 * WAD, OTHER_ACCOUNT, now=LATER, sender=OTHER)


def test_takeOver__netting_while_sick_oneself__must_not_leave_less_health():
    protocol = sick()
    buy(protocol, -20 * WAD, account=OTHER_ACCOUNT, now=LATER)
    protocol.take_over(ACCOUNT, ETH, 10 * WAD, OTHER_ACCOUNT, now=LATER, sender=OTHER)
    assert protocol.position(OTHER_ACCOUNT, ETH, LATER)[0] == -10 * WAD
    assert protocol.open_interest(ETH) == (90 * WAD, 10 * WAD)
    protocol.check_sums(LATER)


def test_absorb__bankrupt__fund_pays_the_debt():
    protocol = sick(940 * WAD)
    before = protocol.cash_of(FUND)
    done = protocol.absorb(ACCOUNT, now=LATER, sender=KEEPER)
    assert done.positions == 1
    assert done.debt == done.from_fund > 0
    assert protocol.cash_of(FUND) == before - done.debt
    assert protocol.cash_of(ACCOUNT) == 0
    assert protocol.markets_bitmap(ACCOUNT) == 0
    market = protocol.state.markets[ETH]
    assert (market.moved_in(LATER), market.absorbed_in(LATER)) == (0, 0)
    protocol.check_sums(LATER)


def test_absorb__skew_grows__is_counted():
    protocol = deployed(account_dollars=5_200)
    protocol.deposit(OTHER_ACCOUNT, 10**6 * UNIT)
    buy(protocol, -150 * WAD, account=OTHER_ACCOUNT)
    buy(protocol, 100 * WAD)
    set_price(protocol, 940 * WAD, LATER)
    protocol.absorb(ACCOUNT, now=LATER, sender=KEEPER)
    market = protocol.state.markets[ETH]
    assert market.moved_in(LATER) == market.absorbed_in(LATER) == 100 * WAD
    assert market.absorbed_in(LATER + 3_600) == 0


def test_absorb__healthy_empty_or_priceless__refused():
    protocol = sick()
    for account in (ACCOUNT, OTHER_ACCOUNT, ids.pack(0x77)):
        equity = protocol.state.health(account, LATER)[0]
        with refused(protocol, "Liquidator_NotBankrupt", account, equity):
            protocol.absorb(account, now=LATER, sender=KEEPER)
    set_price(protocol, 880 * WAD, LATER + 1)
    with refused(protocol, "Liquidator_PriceUnusable", ETH, LATER + 1, 0):
        protocol.absorb(ACCOUNT, now=LATER + 100, sender=KEEPER)


def test_absorb__fund_empty__pool_bears_by_unrealised_loss():
    """The same account absorbed with and without a fund: the difference in each market is its share of the debt.

    The weights are the unrealised losses after settling, so without what was owed.
    """
    capitals = []
    for fund_dollars in (1_000_000, 0):
        protocol = deployed(PARAMS, PARAMS, fund_dollars=fund_dollars, account_dollars=8_000)
        buy(protocol, 100 * WAD)
        buy(protocol, 50 * WAD, market=BTC)
        set_price(protocol, 900 * WAD, LATER)
        set_price(protocol, 980 * WAD, LATER, market=BTC)
        losses = []
        for market in (ETH, BTC):
            base, quote, _ = protocol.position(ACCOUNT, market, LATER)
            price = {ETH: 900, BTC: 980}[market]
            losses.append(-(base * price + quote))
        done = protocol.absorb(ACCOUNT, now=LATER, sender=KEEPER)
        assert done.from_fund == (done.debt if fund_dollars else 0)
        assert protocol.cash_of(ACCOUNT) == 0
        protocol.check_sums(LATER)
        capitals.append([protocol.pool_capital(market, LATER) for market in (ETH, BTC)])
    first = done.debt * losses[0] // sum(losses)
    assert first > done.debt - first > 0
    assert capitals[0] == [capitals[1][0] + first, capitals[1][1] + done.debt - first]


def test_absorb__reward__gas_and_a_tenth_more_before_the_debt():
    protocol = deployed(gas_market=ETH, account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, 940 * WAD, LATER)
    done = protocol.absorb(ACCOUNT, now=LATER, sender=KEEPER, gas=Gas(50 * 10**9))
    assert done.reward == 145_000 * 50 * 10**9 * 940 * 11 // 10
    assert protocol.cash_of(KEEPER_ACCOUNT) == done.reward
    protocol.check_sums(LATER)


def test_health__no_position__extremes():
    protocol = deployed()
    assert protocol.health(ACCOUNT, NOW) == MAX_HEALTH
    assert protocol.health(ids.pack(0x77), NOW) == MAX_HEALTH
    assert not protocol.is_bankrupt(ids.pack(0x77), NOW)


def test_health__stale_price__is_widened_in_favour():
    protocol = sick()
    assert protocol.is_liquidatable(ACCOUNT, LATER)
    assert not protocol.is_liquidatable(ACCOUNT, LATER + PARAMS.max_price_age + 1)


def test_health__confidence__counts_a_quarter_percent_at_most():
    protocol = deployed(account_dollars=5_200)
    buy(protocol, 100 * WAD)
    set_price(protocol, PRICE, LATER, confidence=PRICE)
    assert protocol.state.health(ACCOUNT, LATER)[0] - protocol.equity(ACCOUNT, LATER) == 250 * WAD
