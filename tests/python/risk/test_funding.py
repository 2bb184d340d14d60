"""Accrual: the vectors of other protocols, the exact integral, conservation."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core.units import RAY, SECONDS_PER_DAY, WAD, to_wad
from plimsoll.risk.config import MarketParams
from plimsoll.risk.funding import flow, rate_after, utilisation_rate
from plimsoll.risk.scenario.prices import data_folder

DATA = data_folder()
FREE_OF_FEES = MarketParams(rate_at_kink_bps=0, rate_at_full_bps=0)


def vectors(kind: str) -> list[Any]:
    """Cases of one kind; a single skipped one where the data folder is absent."""
    if DATA is None:
        return [pytest.param({}, marks=pytest.mark.skip(reason="the folder of real data is absent"))]
    found = json.loads((DATA / "vectors.json").read_text())
    return [pytest.param(v, id=v["id"]) for v in found if v["kind"] == kind]


@pytest.mark.parametrize("vector", vectors("skew_velocity_funding"))
def test_flow__vector__rate_and_cost_match(vector):
    given_, expected = vector["inputs"], vector["expected"]
    scale, skew = to_wad(given_["skew_scale"]), to_wad(given_["skew_before"])
    size, price = to_wad(given_["trader_size"]), to_wad(given_["price"])
    tolerance = to_wad(vector["tolerance"])
    velocity = to_wad(given_["max_funding_velocity_per_day"])
    params = replace(FREE_OF_FEES, max_funding_velocity=velocity, max_funding_rate=10 * WAD)
    seconds = int(Fraction(given_["days_elapsed"]) * SECONDS_PER_DAY)
    open_interest = (size, size - skew)
    moved = flow(
        params, scale, open_interest, (RAY, RAY), to_wad(given_["rate_before_per_day"]), price, 10**30, seconds
    )
    assert abs(moved.rate - to_wad(expected["rate_after_per_day"])) <= tolerance
    cost = to_wad(given_["accrued_before"]) + size * moved.long // RAY
    assert abs(cost - to_wad(expected["accrued_funding_cost_of_long"])) <= tolerance
    after = skew + to_wad(given_["order_size_at_end"])
    assert after == to_wad(expected["skew_after"])
    velocity_after = rate_after(params, scale, after, 0, SECONDS_PER_DAY)[0]
    assert abs(velocity_after - to_wad(expected["velocity_after_per_day2"])) <= tolerance


@given(
    skew=st.integers(-2 * 10**24, 2 * 10**24),
    rate=st.integers(-8 * 10**16, 8 * 10**16),
    seconds=st.integers(1, 40 * SECONDS_PER_DAY),
)
def test_rate_after__clamp_met_or_not__integral_is_exact(skew, rate, seconds):
    """Against exact fractions, with the clamp's moment solved for. Three truncations of under a unit each."""
    params, scale = MarketParams(), 10**24
    velocity = Fraction(params.max_funding_velocity * max(-scale, min(skew, scale)), scale)
    limit = params.max_funding_rate
    days = Fraction(seconds, SECONDS_PER_DAY)
    end = rate + velocity * days
    if abs(end) <= limit:
        area = (rate + end) / 2 * days
    else:
        end = Fraction(limit if end > 0 else -limit)
        ramp = (end - rate) / velocity
        area = (rate + end) / 2 * ramp + end * (days - ramp)
    after, integral = rate_after(params, scale, skew, rate, seconds)
    assert abs(after - end) <= days + 1
    assert abs(integral - area * SECONDS_PER_DAY) <= (days + 2) * seconds
    assert abs(after) <= limit


def test_rate_after__at_the_limit_without_skew__stays_there():
    params = MarketParams()
    limit = params.max_funding_rate
    assert rate_after(params, 10**24, 0, limit, 100) == (limit, limit * 100)
    assert rate_after(params, 10**24, 0, -limit, 100) == (-limit, -limit * 100)


@pytest.mark.parametrize(
    ("used", "bps"), [(0, 0), (4 * 10**17, 2), (8 * 10**17, 4), (9 * 10**17, 27), (WAD, 50), (8 * 10**17 + 1, 4)]
)
def test_utilisation_rate__around_the_kink__is_linear_on_both_sides(used, bps):
    params = MarketParams(kink_bps=8_000, rate_at_kink_bps=4, rate_at_full_bps=50)
    assert utilisation_rate(params, used) // 10**14 == bps


@given(
    long=st.integers(0, 10**26),
    short=st.integers(0, 10**26),
    k_long=st.integers(10**18, RAY),
    k_short=st.integers(10**18, RAY),
    rate=st.integers(-8 * 10**16, 8 * 10**16),
    price=st.integers(10**15, 10**24),
    limit=st.integers(-(10**20), 10**28),
    seconds=st.integers(1, 10**6),
)
def test_flow__any_state__pays_out_at_most_what_it_takes(long, short, k_long, k_short, rate, price, limit, seconds):
    moved = flow(MarketParams(), 10**24, (long, short), (k_long, k_short), rate, price, limit, seconds)
    taken = Fraction(long * moved.long, k_long)
    given_out = Fraction(short * moved.short, k_short) + moved.pool_quote
    bound = 4 + Fraction(2 * (long + short), RAY) + Fraction(2 * long, k_long) + Fraction(2 * short, k_short)
    assert 0 <= taken - given_out <= bound


def test_flow__no_capital__utilisation_is_full():
    params = MarketParams(max_funding_velocity=0)
    moved = flow(params, 10**24, (3 * WAD, WAD), (RAY, RAY), 0, 1_000 * WAD, 0, SECONDS_PER_DAY)
    assert moved.pool_quote == 2_000 * WAD * params.rate_at_full_bps // 10_000
    assert moved.long == RAY * moved.pool_quote // (3 * WAD) + 1
    assert moved.short == 0
