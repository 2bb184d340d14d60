"""Deleveraging that is due: when, of which side, at what price; and that it comes first in what touches a market."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import RAY, WAD
from plimsoll.risk.market import Deleveraging, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import scale
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import (
    ACCOUNT,
    ETH,
    KEEPER,
    NO_FEES,
    NOW,
    OTHER,
    OTHER_ACCOUNT,
    PRICE,
    PROVIDER,
    TRADER,
    UNIT,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip

POOL, FUND = ids.pack(0xA001, ETH), ids.pack(0xA002)
THIRD = ids.pack(0x1003)
LATER = NOW + 1
WIDE = replace(NO_FEES, exposure_bps=100_000, open_interest_bps=200_000)
"""So that the pool's exposure may grow to ten times its capital."""

BOUNDARY = {1: 1_125_040 * WAD // 1_000, -1: 749_920 * WAD // 1_000}
"""By the sign of the heavy side: where exposure is three times the capital and a dollar."""
CAPITAL = {1: 37_501 * WAD, -1: 24_997 * WAD}
"""What the pool has there."""
WORTHLESS = {1: 1_500_050 * WAD // 1_000, -1: 499_950 * WAD // 1_000}
"""The price at which the pool has nothing left."""


def heavy(sign: int = 1, price: int = 0) -> Protocol:
    """Two accounts of the heavy side with 75 and 45, one of the other with 20; $50,000 of the pool's; then a price.

    The pool has ±100 against a quote of ±$100,005 (fills are at the mark's mean, 0.005% from $1,000).
    """
    protocol = deployed(WIDE, pool_dollars=50_000)
    protocol.deposit(THIRD, 100_000 * UNIT)
    buy(protocol, sign * 75 * WAD)
    buy(protocol, sign * 45 * WAD, account=OTHER_ACCOUNT)
    buy(protocol, -sign * 20 * WAD, account=THIRD)
    assert protocol.state.markets[ETH].pool_quote == (100_005 if sign > 0 else -99_995) * WAD
    if price:
        set_price(protocol, price, LATER)
    return protocol


def drain(protocol: Protocol, dollars: int) -> None:
    """Capital of the pool's, WAD, to the fund."""
    protocol.state.credit(POOL, -dollars)
    protocol.state.credit(FUND, dollars)


def wealth(protocol: Protocol, now: int = LATER) -> int:
    return sum(protocol.equity(account, now) for account in (ACCOUNT, OTHER_ACCOUNT, THIRD, POOL))


# ------------------------------------------------------------------------------------------------------------ when


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__three_times_the_capital_and_a_dollar__is_not_due(sign):
    protocol = heavy(sign, BOUNDARY[sign])
    assert protocol.pool_capital(ETH, LATER) == CAPITAL[sign]
    assert 100 * BOUNDARY[sign] == 3 * CAPITAL[sign] + WAD
    with refused(protocol, "Liquidator_NothingDue", ETH):
        protocol.deleverage(ETH, now=LATER)
    assert protocol.accrue(ETH, now=LATER) is None
    assert protocol.open_interest(ETH)[0 if sign > 0 else 1] == 120 * WAD


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__a_wei_of_price_further__brings_the_pool_to_twice_its_capital(sign):
    price = BOUNDARY[sign] + sign
    protocol = heavy(sign, price)
    before = {account: protocol.position(account, ETH, LATER) for account in (ACCOUNT, OTHER_ACCOUNT, THIRD)}
    equities = {account: protocol.equity(account, LATER) for account in before}
    total = wealth(protocol)
    capital = CAPITAL[sign] - 100
    assert protocol.pool_capital(ETH, LATER) == capital

    done = protocol.deleverage(ETH, now=LATER)

    fraction = (100 * WAD - 2 * capital * WAD // price) * WAD // (120 * WAD)
    cut = 120 * WAD * fraction // WAD
    assert done[:4] == (sign, fraction, price, cut)
    assert abs(done.flow - cut * price // WAD) <= 120 + price // WAD
    assert protocol.open_interest(ETH)[::sign] == (120 * WAD - cut, 20 * WAD)
    assert abs(abs(protocol.skew(ETH)) * price // WAD - 2 * capital) <= 200 * price // WAD
    assert abs(protocol.pool_capital(ETH, LATER) - capital) <= 2 * price // WAD
    for account, (base, quote, _) in before.items():
        part = fraction if account != THIRD else 0
        after = protocol.position(account, ETH, LATER)
        assert after[0] == scale(base, WAD - part, WAD)
        assert abs(after[1] - quote * (WAD - part) // WAD) <= 1
        assert 0 <= equities[account] - protocol.equity(account, LATER) <= 200 * price // WAD
    assert abs(wealth(protocol) - total) <= 4 * price // WAD
    protocol.check_sums(LATER)
    with refused(protocol, "Liquidator_NothingDue", ETH):
        protocol.deleverage(ETH, now=LATER)


def test_deleverage__no_market_price_or_skew__is_not_due():
    protocol = deployed(WIDE, pool_dollars=50_000)
    with refused(protocol, "PerpMarket_NotListed", 9):
        protocol.deleverage(9, now=NOW)
    drain(protocol, 100_000 * WAD)
    with refused(protocol, "Liquidator_NothingDue", ETH):
        protocol.deleverage(ETH, now=NOW)
    protocol.list_market(WAD, WIDE, now=NOW)
    with refused(protocol, "Liquidator_NothingDue", 2):
        protocol.deleverage(2, now=NOW)


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__exposure_of_a_dollar_without_capital__is_dust(sign):
    """A dollar is left alone, a wei of base more is closed."""
    for size, due in ((WAD // 1_000, False), (WAD // 1_000 + 1, True)):
        protocol = deployed(replace(WIDE, min_position_usd=0), pool_dollars=50_000)
        buy(protocol, sign * size)
        drain(protocol, 60_000 * WAD)
        assert (protocol.accrue(ETH, now=NOW) is not None) is due
        assert protocol.open_interest(ETH) == ((0, 0) if due else (size, 0)[::sign])
        protocol.check_sums(NOW)


# ---------------------------------------------------------------------------------------------- where the pool is broke


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("beyond", [0, 1, 100 * WAD])
def test_deleverage__pool_insolvent__closes_at_the_price_at_which_it_has_nothing(sign, beyond):
    """Longs get less than the price, shorts pay more: what the pool has, and not a wei that it hasn't."""
    price = WORTHLESS[sign] + sign * beyond
    protocol = heavy(sign, price)
    assert protocol.pool_capital(ETH, LATER) == -100 * beyond
    total = wealth(protocol)
    equities = {account: protocol.equity(account, LATER) for account in (ACCOUNT, OTHER_ACCOUNT, THIRD)}

    done = protocol.deleverage(ETH, now=LATER)

    fraction = 100 * WAD * WAD // (120 * WAD)
    assert done[:4] == (sign, fraction, WORTHLESS[sign], 120 * WAD * fraction // WAD)
    assert abs(done.flow - 100 * WORTHLESS[sign]) <= 120 * WORTHLESS[sign] // WAD
    assert 0 <= abs(protocol.skew(ETH)) <= 120
    assert abs(protocol.pool_capital(ETH, LATER)) <= 10**6
    for account, share in ((ACCOUNT, 75), (OTHER_ACCOUNT, 45)):
        lost = share * beyond * fraction // WAD
        assert abs(equities[account] - protocol.equity(account, LATER) - lost) <= 10**6
    assert equities[THIRD] == protocol.equity(THIRD, LATER)
    assert abs(wealth(protocol) - total) <= 10**6
    protocol.check_sums(LATER)
    assert protocol.accrue(ETH, now=LATER) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__a_wei_of_capital__closes_at_the_price(sign):
    protocol = heavy(sign, WORTHLESS[sign] - sign)
    drain(protocol, 99)
    assert protocol.pool_capital(ETH, LATER) == 1
    done = protocol.deleverage(ETH, now=LATER)
    assert (done.sign, done.price) == (sign, WORTHLESS[sign] - sign)
    assert done.fraction == 100 * WAD * WAD // (120 * WAD)
    protocol.check_sums(LATER)


@pytest.mark.parametrize(("sign", "worst"), [(1, 0), (-1, 2 * PRICE)])
@pytest.mark.parametrize("more", [0, 100, 10**6 * WAD])
def test_deleverage__pool_owes_more_than_its_position__nobody_gives_more_than_the_price(sign, worst, more):
    """Longs get nothing, shorts pay twice the price; what the pool owes beyond that it goes on owing."""
    protocol = heavy(sign, PRICE)
    drain(protocol, 150_005 * WAD + more)
    done = protocol.deleverage(ETH, now=LATER)
    assert done.price == worst
    assert abs(protocol.pool_capital(ETH, LATER) + more) <= 10**6
    assert abs(protocol.skew(ETH)) <= 120
    protocol.check_sums(LATER)
    assert protocol.accrue(ETH, now=LATER) is None


def test_deleverage__a_wei_short_of_the_worst__is_not_the_worst():
    for sign, price in ((1, 1), (-1, 2 * PRICE - 1)):
        protocol = heavy(sign, PRICE)
        drain(protocol, 150_005 * WAD - 100)
        assert protocol.deleverage(ETH, now=LATER).price == price


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__whole_side__ends_the_epoch_and_clears_every_position(sign):
    protocol = deployed(WIDE, pool_dollars=50_000)
    buy(protocol, sign * 60 * WAD)
    buy(protocol, sign * 40 * WAD, account=OTHER_ACCOUNT)
    price = WORTHLESS[sign] + sign * WAD
    set_price(protocol, price, LATER)
    done = protocol.deleverage(ETH, now=LATER)
    assert done.fraction == WAD
    assert protocol.open_interest(ETH) == (0, 0)
    market = protocol.state.markets[ETH]
    assert (market.k_long, market.k_short) == (RAY, RAY)
    assert (market.epoch_long, market.epoch_short) == ((1, 0) if sign > 0 else (0, 1))
    assert market.ends_long + market.ends_short == ((-done.price * RAY // WAD, 0),)
    for account in (ACCOUNT, OTHER_ACCOUNT):
        protocol.state.settle(market, account)
        assert protocol.markets_bitmap(account) == 0
    assert protocol.cash_of(ACCOUNT) + protocol.cash_of(OTHER_ACCOUNT) + protocol.pool_capital(ETH, LATER) in range(
        250_000 * WAD - 10, 250_000 * WAD + 1
    )
    protocol.check_sums(LATER)
    drain(protocol, -100_000 * WAD)
    buy(protocol, sign * 3 * WAD, now=LATER)
    assert protocol.position(ACCOUNT, ETH, LATER)[0] == sign * 3 * WAD
    protocol.check_sums(LATER)


# ------------------------------------------------------------------------------------------------------- first and last


DUE = BOUNDARY[1] + WAD


def _trade(protocol: Protocol) -> None:
    buy(protocol, -2 * WAD, now=LATER)


def _match(protocol: Protocol) -> None:
    orders = [
        Order(account, ETH, OrderKind.LIMIT, base, DUE, 0, False, salt=number)
        for number, (account, base) in enumerate(((THIRD, 2 * WAD), (ACCOUNT, -2 * WAD)))
    ]
    protocol.match_orders(orders[0], THIRD >> 96, orders[1], TRADER, 2 * WAD, now=LATER, sender=KEEPER)


def _enter(protocol: Protocol) -> None:
    assert not protocol.execute_request(protocol.pool, 2, now=LATER).lapsed


def _set_params(protocol: Protocol) -> None:
    protocol.set_params(ETH, replace(WIDE, im_base_bps=500), now=LATER)


def _accrue(protocol: Protocol) -> None:
    assert protocol.accrue(ETH, now=LATER) is not None


def _inject(protocol: Protocol) -> None:
    protocol.deleverage_event(ETH, -1, WAD // 2, DUE, now=LATER)


def _liquidate(protocol: Protocol) -> None:
    _drain_account(protocol, 500)
    protocol.liquidate(THIRD, ETH, now=LATER, sender=KEEPER)


def _take_over(protocol: Protocol) -> None:
    _drain_account(protocol, 500)
    protocol.take_over(THIRD, ETH, -20 * WAD, OTHER_ACCOUNT, now=LATER, sender=OTHER)


def _absorb(protocol: Protocol) -> None:
    _drain_account(protocol, -1_000)
    protocol.absorb(THIRD, now=LATER, sender=KEEPER)


def _drain_account(protocol: Protocol, left: int) -> None:
    """All of the short's equity but `left` dollars, at the newest price, to the fund."""
    taken = protocol.equity(THIRD, LATER) - left * WAD
    protocol.state.credit(THIRD, -taken)
    protocol.state.credit(FUND, taken)


@pytest.mark.parametrize(
    "call", [_trade, _match, _enter, _set_params, _accrue, _inject, _liquidate, _take_over, _absorb]
)
def test_deleverage__anything_that_touches_the_market__comes_after_it(call: Callable[[Protocol], None], monkeypatch):
    """Once, and as if it came alone; what the call does is done to what is left."""
    events: list[Deleveraging] = []
    deleverage = Market.deleverage

    def noted(market: Market, sign: int, fraction: int, price: int) -> Deleveraging:
        events.append(deleverage(market, sign, fraction, price))
        return events[-1]

    twin = heavy(1, DUE)
    alone = twin.deleverage(ETH, now=LATER)
    protocol = heavy(1)
    protocol.deposit(ids.pack(PROVIDER), 1_000 * UNIT)
    protocol.request_deposit(protocol.pool, 1_000 * UNIT, PROVIDER, PROVIDER, now=LATER - 60, sender=PROVIDER)
    protocol.record_price(ETH, DUE, 0, LATER)
    monkeypatch.setattr(Market, "deleverage", noted)
    call(protocol)
    assert [event for event in events if event.sign > 0] == [alone]
    assert len(events) == (2 if call is _inject else 1)
    protocol.check_sums(LATER)


def test_trade__reduce_only_of_all_there_was__closes_what_deleveraging_left():
    protocol = heavy(1, DUE)
    twin = heavy(1, DUE)
    left = 75 * WAD * (WAD - twin.deleverage(ETH, now=LATER).fraction) // WAD
    done = buy(protocol, -75 * WAD, now=LATER, reduce_only=True)
    assert done.size == -left
    assert protocol.markets_bitmap(ACCOUNT) == 0
    protocol.check_sums(LATER)


def test_trade__not_reduce_only_of_all_there_was__crosses():
    """Who sends no reduce-only order takes the other side with what deleveraging had closed already."""
    protocol = heavy(1, DUE)
    buy(protocol, -75 * WAD, now=LATER)
    assert protocol.position(ACCOUNT, ETH, LATER)[0] < 0
    protocol.check_sums(LATER)


def test_trade__refused_after_it__leaves_nothing_of_it():
    protocol = heavy(1, DUE)
    with refused(protocol, "PerpMarket_ZeroSize"):
        buy(protocol, 0, now=LATER)
    with refused(protocol, "PerpMarket_NothingToReduce", ACCOUNT, ETH):
        buy(protocol, WAD, now=LATER, reduce_only=True)


@pytest.mark.parametrize(("newest", "events"), [(480_019_150 * 10**15 // 440, 0), (480_019_150 * 10**15 // 440 + 1, 1)])
def test_trade__at_an_old_record__deleverages_last_what_it_made_due(newest, events):
    """A market order fills at the first record of its window, $1,000; what it leaves is judged at the newest.

    The pool has −110 against $160,006.05: at 440 P = 3 × 160,006.05 + 1 it is not due, a wei of price above it is.
    """
    protocol = heavy(1, newest)
    buy(protocol, 10 * WAD, now=LATER, record=Record(PRICE, 0, NOW, 0, 1))
    market = protocol.state.markets[ETH]
    assert market.events == events
    exposure, capital = market.skew * newest // WAD, protocol.pool_capital(ETH, LATER)
    assert exposure <= 3 * capital + WAD
    assert (abs(exposure - 2 * capital) < 10**6) is bool(events)
    assert protocol.accrue(ETH, now=LATER) is None
    protocol.check_sums(LATER)


def test_trade__skew_shrinks__deleverages_only_first():
    """Nothing was due right before; a smaller exposure is only by a fill off the newest price, and waits."""
    protocol = heavy(1, BOUNDARY[1])
    buy(protocol, -2 * WAD, now=LATER)
    assert protocol.state.markets[ETH].events == 0
    assert protocol.accrue(ETH, now=LATER) is None


# -------------------------------------------------------------------------------------------------------------- any


@given(
    sign=st.sampled_from((1, -1)),
    sizes=st.lists(st.integers(2 * WAD, 60 * WAD), min_size=2, max_size=2),
    other=st.integers(2 * WAD, 40 * WAD),
    moves=st.lists(st.integers(5_000, 16_000), min_size=1, max_size=6),
    touched=st.booleans(),
)
@settings(max_examples=60)
def test_deleverage__any_prices__leaves_nothing_due_and_every_dollar(sign, sizes, other, moves, touched):
    protocol = deployed(replace(WIDE, max_funding_velocity=2 * WAD, rate_at_full_bps=50), pool_dollars=50_000)
    protocol.deposit(THIRD, 100_000 * UNIT)
    for account, size in ((ACCOUNT, sizes[0]), (OTHER_ACCOUNT, sizes[1]), (THIRD, -other)):
        buy(protocol, sign * size, account=account)
    now, price = NOW, PRICE
    for move in moves:
        now += 600
        price = price * move // 10_000
        set_price(protocol, price, now)
        capital = protocol.pool_capital(ETH, now)
        exposure = abs(protocol.skew(ETH)) * price
        done = protocol.accrue(ETH, now=now)
        assert (done is not None) is (exposure > (3 * max(0, capital) + WAD) * WAD)
        if done is not None:
            after = protocol.pool_capital(ETH, now)
            exposure = abs(protocol.skew(ETH)) * price // WAD
            slack = 10**6 + price * 10**3 // WAD
            if capital > 0:
                assert abs(after - capital) <= slack
                assert abs(exposure - 2 * capital) <= slack
            else:
                assert exposure <= slack
                assert after <= slack
        assert protocol.accrue(ETH, now=now) is None
        if touched:
            for account in (ACCOUNT, THIRD):
                protocol.state.settle(protocol.state.markets[ETH], account)
        protocol.check_sums(now)
