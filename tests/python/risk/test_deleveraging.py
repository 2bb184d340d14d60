"""Events of deleveraging: Σ base and Σ dollars are kept up to the stated dust."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.core import ids
from plimsoll.core.units import RAY, WAD
from plimsoll.risk.position import scale
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import ACCOUNT, ETH, NOW, OTHER_ACCOUNT, PARAMS, PRICE, buy, deployed, set_price

POOL = ids.pack(0xA001, ETH)
THIRD = ids.pack(0x1003)
QUIET = replace(
    PARAMS,
    max_funding_velocity=0,
    rate_at_kink_bps=0,
    rate_at_full_bps=0,
    maker_bps=0,
    taker_bps=0,
    max_price_age=60_000,
)


def three_positions(*, quiet: bool = True) -> Protocol:
    """Longs of 123.45… and 77.…, a short of 50.…."""
    protocol = deployed(QUIET if quiet else replace(PARAMS, max_price_age=60_000), account_dollars=10**6)
    protocol.deposit(THIRD, 10**12)
    buy(protocol, 123_456_789_012_345_678_901)
    buy(protocol, 77_777_777_777_777_777_777, account=OTHER_ACCOUNT)
    buy(protocol, -50_505_050_505_050_505_051, account=THIRD)
    return protocol


def base_dust(protocol: Protocol, now: int = NOW) -> int:
    accounts = (ACCOUNT, OTHER_ACCOUNT, THIRD, POOL)
    return sum(protocol.position(account, ETH, now)[0] for account in accounts)


def wealth(protocol: Protocol, now: int = NOW) -> int:
    return sum(protocol.equity(account, now) for account in (ACCOUNT, OTHER_ACCOUNT, THIRD, POOL))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize(("events", "epochs"), [(9, 0), (10, 1), (19, 1), (20, 2), (31, 3)])
def test_deleverage__nine_tenths_many_times__conserves_up_to_dust(sign, touched, events, epochs):
    """Rollovers on the way, with positions that are left alone and ones that are settled after every event."""
    protocol = three_positions()
    before = wealth(protocol)
    for _ in range(events):
        protocol.deleverage_event(ETH, sign, 9 * WAD // 10, PRICE, now=NOW)
        if touched:
            for account in (ACCOUNT, OTHER_ACCOUNT, THIRD):
                protocol.state.settle(protocol.state.markets[ETH], account)
        protocol.check_sums(NOW)
    market = protocol.state.markets[ETH]
    assert (market.epoch_long, market.epoch_short) == ((epochs, 0) if sign > 0 else (0, epochs))
    assert abs(base_dust(protocol)) <= events * 4
    assert abs(wealth(protocol) - before) <= events * 12 * (PRICE // WAD + 4)
    for account in (ACCOUNT, OTHER_ACCOUNT) if sign > 0 else (THIRD,):
        assert abs(protocol.position(account, ETH, NOW)[0]) <= 124 * WAD // 10**events


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__all__nothing_is_left_and_results_are_cash(sign):
    protocol = three_positions()
    before = wealth(protocol)
    equities = {account: protocol.equity(account, NOW) for account in (ACCOUNT, OTHER_ACCOUNT, THIRD)}
    protocol.deleverage_event(ETH, sign, WAD, PRICE, now=NOW)
    assert base_dust(protocol) == 0
    assert abs(wealth(protocol) - before) <= 10
    for account, equity in equities.items():
        assert 0 <= equity - protocol.equity(account, NOW) <= 300
    for account in (ACCOUNT, OTHER_ACCOUNT) if sign > 0 else (THIRD,):
        assert protocol.position(account, ETH, NOW)[:2] == (0, 0)
        protocol.state.settle(protocol.state.markets[ETH], account)
        assert protocol.markets_bitmap(account) == 0
    protocol.check_sums(NOW)
    protocol.deleverage_event(ETH, sign, WAD, PRICE, now=NOW)
    buy(protocol, 5 * WAD)
    assert protocol.position(ACCOUNT, ETH, NOW)[0] >= 5 * WAD
    protocol.check_sums(NOW)


@given(
    fractions=st.lists(st.one_of(st.just(WAD), st.just(9 * WAD // 10), st.integers(0, WAD)), min_size=1, max_size=12),
    signs=st.lists(st.sampled_from((1, -1)), min_size=12, max_size=12),
    prices=st.lists(st.integers(PRICE // 2, 2 * PRICE), min_size=12, max_size=12),
    touched=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=80)
def test_deleverage__any_events_with_funding__sums_stay_within_their_bounds(fractions, signs, prices, touched):
    protocol = three_positions(quiet=False)
    now = NOW
    for fraction, sign, price, touch in zip(fractions, signs, prices, touched, strict=False):
        now += 600
        set_price(protocol, price, now)
        protocol.deleverage_event(ETH, sign, fraction, price, now=now)
        if touch:
            protocol.state.settle(protocol.state.markets[ETH], ACCOUNT)
        sums = protocol.check_sums(now)
        assert sums.highest - sums.lowest < 10**9
        assert abs(base_dust(protocol, now)) <= 10**4


def test_deleverage__part__everybody_gives_the_same_fraction():
    protocol = three_positions()
    before = {account: protocol.position(account, ETH, NOW) for account in (ACCOUNT, OTHER_ACCOUNT)}
    long, short = protocol.open_interest(ETH)
    protocol.deleverage_event(ETH, 1, WAD // 4, 1_100 * WAD, now=NOW)
    assert protocol.open_interest(ETH) == (long - long // 4, short)
    for account, (base, quote, _) in before.items():
        after, after_quote, owed = protocol.position(account, ETH, NOW)
        assert abs(after - Fraction(3 * base, 4)) <= 1
        assert abs(after_quote - Fraction(3 * quote, 4)) <= 1
        assert abs(owed + Fraction(base, 4) * 1_100 + Fraction(quote, 4)) <= 2
    assert protocol.state.markets[ETH].k_long == 3 * RAY // 4


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__ten_thousand_positions__each_gives_its_part_when_it_is_touched(sign):
    """The event is a few sums; whoever comes then finds what the specification gives him, to the wei."""
    protocol = deployed(replace(QUIET, exposure_bps=40_000, open_interest_bps=40_000), pool_dollars=8_000_000)
    state, market = protocol.state, protocol.state.markets[ETH]
    accounts = [ids.pack(0x10_000 + number) for number in range(10_000)]
    state.journal.begin()
    for number, account in enumerate(accounts):
        size = sign * (WAD + number * 10**14 + number**3)
        quote = market.fill_quote(size, PRICE, 0).amount
        state.fill(market, account, size, quote)
        market.pool_quote -= quote
        state.credit(account, 100 * WAD)
        state.credit(POOL, -100 * WAD)
    state.journal.commit()
    open_interest = sum(protocol.open_interest(ETH))
    assert open_interest // WAD == 14_999
    price = PRICE + sign * 300 * WAD
    set_price(protocol, price, NOW + 1)
    before = {account: market.positions[account].base for account in accounts}
    total = protocol.pool_capital(ETH, NOW + 1) + sum(protocol.equity(account, NOW + 1) for account in accounts)

    done = protocol.deleverage(ETH, now=NOW + 1)

    assert 0 < done.fraction < WAD
    left = 0
    for account, held in before.items():
        base, _ = state.settle(market, account)
        assert base == scale(held, WAD - done.fraction, WAD)
        left += abs(base)
    assert 0 <= sum(protocol.open_interest(ETH)) - left <= 10_001
    after = protocol.pool_capital(ETH, NOW + 1) + sum(protocol.equity(account, NOW + 1) for account in accounts)
    assert abs(total - after) <= 10_000 * (3 + price // WAD)
    protocol.check_sums(NOW + 1)


def test_deleverage__ownerless_shorts__leave_the_ledger_some_wei_short():
    """The pool has the flow of all open interest, those who pay have a few wei less of it: why dust may be negative."""
    protocol = three_positions()
    market = protocol.state.markets[ETH]
    buy(protocol, -7_777_777_777_777_777_777, account=THIRD)
    protocol.deleverage_event(ETH, -1, WAD // 3 + 1, PRICE, now=NOW)
    protocol.state.settle(market, THIRD)
    assert (market.short - sum(max(0, -held.base) for held in market.positions.values())) == 1
    before = protocol.check_sums(NOW)
    protocol.deleverage_event(ETH, -1, WAD // 3 + 1, PRICE, now=NOW)
    after = protocol.check_sums(NOW)
    assert after.dust < 0
    assert before.lowest > after.lowest
    assert after.lowest <= after.dust


def test_deleverage__ownerless_longs__leave_the_ledger_some_wei_over():
    protocol = three_positions()
    market = protocol.state.markets[ETH]
    for _ in range(2):
        protocol.deleverage_event(ETH, 1, WAD // 3 + 1, PRICE, now=NOW)
        for account in (ACCOUNT, OTHER_ACCOUNT):
            protocol.state.settle(market, account)
    sums = protocol.check_sums(NOW)
    assert 300 < sums.dust <= sums.highest
    assert sums.lowest == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_deleverage__asleep_for_two_epochs_and_more__what_the_third_brought_is_nobodys(sign):
    """A position opened late in an epoch: after two rollovers it has a billionth, and the third takes it uncounted.

    The billionth of $123,456 is what the ledger keeps of a long, or is short of a short: some thousandths of a cent.
    """
    protocol = deployed(QUIET, account_dollars=10**6)
    buy(protocol, sign * 50 * WAD)
    market = protocol.state.markets[ETH]

    def close(fraction: int) -> None:
        protocol.deleverage_event(ETH, sign, fraction, PRICE, now=NOW)
        protocol.check_sums(NOW)

    for _ in range(9):
        close(9 * WAD // 10)
    assert (market.k_long, market.k_short)[sign < 0] == 10**18
    buy(protocol, sign * 123_456_789 * WAD // 10**6, account=OTHER_ACCOUNT)
    close(WAD // 1_000)
    close(WAD - 10**9 + 1)
    asleep = protocol.position(OTHER_ACCOUNT, ETH, NOW)[0] * sign
    assert asleep == 123_333_332_211 * (10**9 - 1) // 10**9
    dust = protocol.check_sums(NOW).dust
    close(WAD - 10**9 + 1)
    assert protocol.position(OTHER_ACCOUNT, ETH, NOW)[0] == 0
    sums = protocol.check_sums(NOW)
    nobodys = asleep * PRICE // WAD
    assert abs(sums.dust - dust - sign * nobodys) <= 10**6
    assert nobodys > 10**14
    assert sums.lowest <= sums.dust <= sums.highest <= 3 * nobodys
