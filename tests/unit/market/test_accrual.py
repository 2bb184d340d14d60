"""Funding and the utilisation fee: integrated exactly, rounded for the ledger, whatever the state and the time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import ETH, ETH_PARAMS, ETH_PRICE, WAD
from tests.unit.market.conftest import Desk, signed
from tests.unit.market.reference import (
    DAY,
    ETH_SCALE,
    RAY,
    Accrued,
    Side,
    accrued,
    ceil_div,
    deleveraged,
    ownerless,
)


def predicted(desk: Desk, seconds: int, price: int, params: dict[str, Any] = ETH_PARAMS) -> Accrued:
    """What the state stored now becomes after `seconds` at a price recorded meanwhile."""
    s = desk.core.market.marketState(ETH)
    return accrued(
        Side(s.longG, s.longK, s.openLong),
        Side(s.shortG, s.shortK, s.openShort),
        s.rate,
        s.poolQuote,
        desk.core.cash(desk.core.pool_account(ETH)),
        price,
        seconds,
        params,
    )


def accrue(desk: Desk) -> Accrued:
    desk.core.market.accrue(ETH, sender=desk.core.pool)
    s = desk.core.market.marketState(ETH)
    return Accrued(s.rate, s.longG, s.shortG, s.poolQuote)


@settings(max_examples=60)
@given(
    longs=st.integers(WAD, 3_000 * WAD),
    shorts=st.integers(WAD, 3_000 * WAD),
    steps=st.lists(st.tuples(st.integers(1, 40 * DAY), st.integers(WAD, 10**6 * WAD)), min_size=1, max_size=4),
    velocity=st.integers(0, 18 * WAD),
    limit=st.integers(0, WAD),
    kink=st.integers(1, 9_999),
    rates=st.tuples(st.integers(0, 1_000), st.integers(0, 1_000)),
    exposure=st.integers(0, 20_000),
)
def test_accrue__random_states_and_times__are_those_of_the_specification(
    shared_desk: Desk,
    longs: int,
    shorts: int,
    steps: list[tuple[int, int]],
    velocity: int,
    limit: int,
    kink: int,
    rates: tuple[int, int],
    exposure: int,
) -> None:
    """A rate sampled when poked rather than integrated is a finding of audits; so is rounding that drains the pool.
    At prices that make the pool owe more than it bears, what is due is deleveraged after the accrual."""
    desk = shared_desk
    with desk.isolated():
        desk.trade(desk.rich("long"), longs)
        desk.trade(desk.rich("short"), -shorts)
        changes = {
            "maxFundingVelocity": velocity,
            "maxFundingRate": limit,
            "kinkBps": kink,
            "rateAtKinkBps": min(rates),
            "rateAtFullBps": max(rates),
            "exposureBps": exposure,
        }
        desk.core.set_params(ETH, **changes)
        events = 0
        for seconds, price in steps:
            wanted = predicted(desk, seconds, price, {**ETH_PARAMS, **changes})
            s = desk.core.market.marketState(ETH)
            cash = desk.core.cash(desk.core.pool_account(ETH))
            after = deleveraged(
                Side(wanted.long_g, s.longK, s.openLong, s.longEpoch),
                Side(wanted.short_g, s.shortK, s.openShort, s.shortEpoch),
                wanted.pool_quote,
                cash,
                price,
            )
            desk.core.tick(seconds, {ETH: price})
            assert desk.core.market.fundingRate(ETH) == wanted.rate
            receipt = desk.core.market.accrue(ETH)
            assert receipt.event("Accrued").args == {
                "marketId": ETH,
                "rate": wanted.rate,
                "longG": wanted.long_g,
                "shortG": wanted.short_g,
                "poolQuote": wanted.pool_quote,
            }
            s = desk.core.market.marketState(ETH)
            assert Side(s.longG, s.longK, s.openLong, s.longEpoch) == after.long
            assert Side(s.shortG, s.shortK, s.openShort, s.shortEpoch) == after.short
            assert (s.rate, s.poolQuote) == (wanted.rate, after.pool_quote)
            closings = [tuple(event.args.values())[1:] for event in receipt.events("Deleveraged")]
            assert closings == ([tuple(after.closing)] if after.closing else [])
            events += len(closings)
            base = ownerless(events, 2, longs + shorts)
            desk.core.check_sums(10**6 + (base + 1) * 10**6, base if events else 0)


@settings(max_examples=30)
@given(longs=st.integers(WAD, 1_500 * WAD), times=st.lists(st.integers(1, 3 * DAY), min_size=1, max_size=6))
def test_accrue__poked_often_or_once__comes_to_the_same(shared_desk: Desk, longs: int, times: list[int]) -> None:
    """The rate is integrated: who pokes when changes nothing but rounding, in the funding that the trader pays."""
    desk = shared_desk
    params = {"rateAtKinkBps": 0, "rateAtFullBps": 0}
    paid = []
    for stops in (times, [sum(times)]):
        with desk.isolated():
            desk.core.set_params(ETH, **params)
            trader = desk.rich()
            desk.trade(trader, longs)
            for seconds in stops:
                desk.core.evm.advance(seconds)
                desk.core.market.accrue(ETH, sender=desk.core.pool)
            paid.append(desk.position(trader)[2])
    # the rate is rounded to 1e-18 a day at each poke, and each error lasts to the end
    assert abs(paid[0] - paid[1]) <= longs * ETH_PRICE // WAD * len(times) * (sum(times) // DAY + 1) // 10**15 + 1_000


def test_accrue__price_stands_still__no_record_in_between(desk: Desk) -> None:
    """The newest price counts, however old."""
    desk.set_skew(1_000 * WAD)
    wanted = predicted(desk, DAY, ETH_PRICE)
    desk.core.evm.advance(DAY)
    assert accrue(desk) == wanted


@pytest.mark.parametrize("skew", [1_000 * WAD, -1_000 * WAD])
def test_accrue__rate__grows_with_time_to_its_limit_and_stays(desk: Desk, skew: int) -> None:
    """velocity = 2 a day² × k/S: 0.006 a day², so 8% after 13 days and a third."""
    desk.set_skew(skew)
    sign = 1 if skew > 0 else -1
    velocity = 2 * WAD * 1_000 * WAD // ETH_SCALE
    desk.core.evm.advance(DAY)
    assert accrue(desk).rate == sign * velocity
    desk.core.evm.advance(12 * DAY)
    assert accrue(desk).rate == sign * 13 * velocity
    for seconds in (DAY, 100 * DAY):
        desk.core.evm.advance(seconds)
        assert accrue(desk).rate == sign * 8 * WAD // 100


def test_accrue__rate__falls_and_turns_with_the_skew(desk: Desk) -> None:
    desk.set_skew(1_000 * WAD)
    desk.next_block(seconds=2 * DAY)
    up = desk.core.market.fundingRate(ETH)
    desk.trade(desk.rich(), -2_000 * WAD)
    desk.next_block(seconds=DAY)
    assert 0 < desk.core.market.fundingRate(ETH) < up
    desk.next_block(seconds=2 * DAY)
    assert desk.core.market.fundingRate(ETH) < 0
    desk.core.check_sums()


def test_accrue__no_skew__keeps_the_rate_and_charges_no_utilisation(desk: Desk) -> None:
    desk.set_skew(1_000 * WAD)
    desk.next_block(seconds=DAY)
    desk.trade(desk.rich(), -1_000 * WAD)
    rate, pool_quote = desk.core.market.fundingRate(ETH), desk.pool_quote()
    desk.next_block(seconds=DAY)
    assert desk.core.market.fundingRate(ETH) == rate > 0
    assert desk.pool_quote() == pool_quote  # longs pay the shorts, the pool has no part in it
    desk.core.check_sums()


def test_accrue__funding__what_longs_pay_shorts_and_pool_receive(desk: Desk) -> None:
    """Funding paid out beyond what was paid in is a finding of audits."""
    desk.core.set_params(ETH, rateAtKinkBps=0, rateAtFullBps=0)
    long, short = desk.rich("long"), desk.rich("short")
    desk.trade(long, 900 * WAD)
    desk.trade(short, -300 * WAD)
    pool_quote = desk.pool_quote()
    desk.next_block(seconds=5 * DAY)
    paid, received = desk.position(long)[2], -desk.position(short)[2]
    to_pool = desk.pool_quote() - pool_quote
    assert paid > 0
    assert received > 0
    assert 0 <= paid - received - to_pool <= 10
    assert abs(paid - 3 * received) <= 10


@pytest.mark.parametrize("skew", [1_000 * WAD, -1_000 * WAD])
def test_accrue__utilisation_fee__is_paid_by_the_heavier_side_to_the_pool(desk: Desk, skew: int) -> None:
    """At a third of the limit, with 8 bps a day at the kink of a half."""
    changes = {"maxFundingVelocity": 0, "kinkBps": 5_000, "rateAtKinkBps": 8, "rateAtFullBps": 800}
    desk.core.set_params(ETH, **changes)
    heavy, light = desk.rich("heavy"), desk.rich("light")
    desk.trade(light, -skew // 2)
    desk.trade(heavy, skew * 3 // 2)
    pool_quote = desk.pool_quote()
    _, limit = desk.core.market.poolCapital(ETH)
    used = 1_000 * ETH_PRICE * WAD // limit
    assert used < WAD // 2
    fee = (8 * 10**14 * used // (WAD // 2)) * 1_000 * ETH_PRICE * DAY // (WAD * DAY)
    desk.core.evm.advance(DAY)
    assert desk.position(desk.core.pool_account(ETH))[1] == pool_quote + fee
    assert desk.position(light)[2] == 0
    per_unit = ceil_div(RAY * fee, 1_500 * WAD)
    assert desk.position(heavy)[2] == ceil_div(1_500 * WAD * per_unit, RAY)
    desk.core.check_sums()


@pytest.mark.parametrize(("exposure_bps", "rate_bps"), [(0, 800), (1, 800), (3_000, 800)])
def test_accrue__utilisation_at_and_beyond_the_limit__is_the_full_rate(
    desk: Desk, exposure_bps: int, rate_bps: int
) -> None:
    desk.set_skew(1_000 * WAD)
    changes = {"maxFundingVelocity": 0, "rateAtFullBps": 800, "exposureBps": exposure_bps}
    desk.core.set_params(ETH, **changes)
    pool_quote = desk.pool_quote()
    capital, limit = desk.core.market.poolCapital(ETH)
    assert limit == capital * exposure_bps // 10_000 <= 1_000 * ETH_PRICE + 10_000 * WAD
    desk.core.evm.advance(DAY)
    fee = desk.position(desk.core.pool_account(ETH))[1] - pool_quote
    used = min(WAD, 1_000 * ETH_PRICE * WAD // limit) if limit else WAD
    rate = 2 * 10**14 + 798 * 10**14 * (used - 8 * WAD // 10) // (2 * WAD // 10)
    assert fee == rate * 1_000 * ETH_PRICE * DAY // (WAD * DAY)
    assert rate <= rate_bps * 10**14


@settings(max_examples=30)
@given(skew=signed(WAD, 3_000 * WAD), seconds=st.integers(1, 400 * DAY))
def test_position__of_the_pool_and_a_trader__mirror_each_other(shared_desk: Desk, skew: int, seconds: int) -> None:
    """With one trader alone all that he owes is the pool's, but for the rounding."""
    desk = shared_desk
    with desk.isolated():
        trader = desk.rich()
        desk.trade(trader, skew)
        base, before, _ = desk.position(desk.core.pool_account(ETH))
        desk.core.evm.advance(seconds)
        _, quote, _ = desk.position(desk.core.pool_account(ETH))
        assert base == -skew
        assert 0 <= desk.position(trader)[2] - (quote - before) <= 10
