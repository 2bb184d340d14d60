"""A run: its sums, and that caps hold where they are on and are gone where they are off."""

from __future__ import annotations

import pytest

from plimsoll.core.units import SECONDS_PER_HOUR, WAD
from plimsoll.risk.study.cascade import Cascade
from plimsoll.risk.study.result import Result
from plimsoll.risk.study.setting import OFF_BPS, OFF_PERCENT, Setting
from tests.python.risk.study.setting import MILLION, made_up, small


def run(setting: Setting) -> Result:
    return Cascade(made_up(), setting).run()


@pytest.mark.parametrize(
    "setting",
    [
        small(),
        small(window_cap_percent=OFF_PERCENT),
        small(absorb_cap_bps=1, window_cap_percent=400),
        small(take_over_usd=MILLION // 2, buyers_usd=MILLION, open_interest_percent=200),
    ],
    ids=("as shipped", "no window", "absorption", "takers and buyers"),
)
def test_run__any_setting__every_record_leaves_the_sums_of_the_ledger(setting: Setting) -> None:
    cascade = Cascade(made_up(), setting)
    protocol = cascade.world.protocol
    for now, price in made_up().published(15):
        cascade.world.publish(now, price)
        cascade.step()
        protocol.check_sums_quickly(now)
    result = cascade.end()
    state = protocol.state
    equity = sum(state.equity(account, cascade.world.now) for account in state.accounts if account >> 96 != state.pool)
    unswept = cascade.world.market.unswept_insurance + cascade.world.market.unswept_treasury
    total = equity + cascade.world.pool_equity + unswept
    assert abs(state.totals.tokens * state.unit - total) < WAD // 10**6
    assert result.accounts
    assert result.notional


def test_run__positions_of_the_unhealthy__went_one_of_four_ways() -> None:
    """What longs and shorts no longer hold is what was closed out, absorbed, or closed against both sides."""
    crash = made_up()
    cascade = Cascade(crash, small())
    closed = before = 0
    for now, price in crash.published(15):
        cascade.world.publish(now, price)
        cascade.step()
        found = cascade.result
        part = found.closed_out + found.absorbed + 2 * found.against
        closed, before = closed + (part - before) * WAD // price, part
        if now <= crash.worst:
            opened = sum(cascade.world.protocol.open_interest(1)) + closed
    left = sum(cascade.world.protocol.open_interest(1))
    assert cascade.result.against
    assert abs(opened - left - closed) < WAD // 10**6


@pytest.mark.parametrize(("percent", "seconds"), [(50, 15), (100, 15), (100, 4), (200, 4)])
def test_run__window_capped__close_outs_of_a_window_stay_within_it(percent: int, seconds: int) -> None:
    setting = small(window_cap_percent=percent, window_seconds=seconds, publish_seconds=1)
    cascade = Cascade(made_up(), setting)
    cap = cascade.world.market.scale * 8 * percent // (10_000 * 100)
    began = moved = most = 0
    for now, price in made_up().published(1):
        before = cascade.result.closed_out
        cascade.world.publish(now, price)
        cascade.step()
        size = (cascade.result.closed_out - before) * WAD // price
        if size:
            if now > began + seconds:
                began, moved = now, 0
            moved += size
            most = max(most, moved)
    assert cap * 99 // 100 < most <= cap
    assert max(cascade.result.delays) > 0


def test_run__no_caps__nobody_waits_and_nobody_is_closed_against() -> None:
    result = run(small(window_cap_percent=OFF_PERCENT, absorb_cap_bps=OFF_BPS))
    assert result.accounts
    assert set(result.delays) == {0}
    assert result.against == result.given_up == result.counterparties == 0


@pytest.mark.parametrize("bps", [1, 5])
def test_run__absorption_capped__the_pool_takes_no_more_an_hour(bps: int) -> None:
    setting = small(window_cap_percent=100, absorb_cap_bps=bps)
    cascade = Cascade(made_up(), setting)
    market, most = cascade.world.market, {}
    for now, price in made_up().published(15):
        cascade.world.publish(now, price)
        cascade.step()
        if market.absorbed_hour == now // SECONDS_PER_HOUR:
            most[market.absorbed_hour] = market.absorbed
    cap = market.scale * bps // 10_000
    assert max(most.values()) <= cap
    freed = run(small(window_cap_percent=100, absorb_cap_bps=OFF_BPS))
    assert cascade.result.against > freed.against


def test_run__with_take_over_capital__takers_relieve_the_cap() -> None:
    alone, helped = run(small()), run(small(take_over_usd=2 * MILLION))
    assert alone.taken_over == 0 < helped.taken_over
    assert helped.bankrupt < alone.bankrupt
    assert helped.taker_discount > 0


def test_run__with_buyers__the_mark_stays_nearer_to_the_index() -> None:
    alone, helped = run(small(window_cap_percent=200)), run(small(window_cap_percent=200, buyers_usd=3 * MILLION))
    assert helped.bought > 0
    assert alone.skew_lowest < helped.skew_lowest < 0


def test_run__pool_too_small_for_the_skew__counts_deleveragings() -> None:
    assert run(small(pool_usd=4 * MILLION)).deleveragings > 0
    assert run(small()).deleveragings == 0


def test_run__traced__samples_every_record_and_changes_nothing() -> None:
    traced = Cascade(made_up(), small()).run(trace=True)
    assert len(traced.trace) == len(made_up().seconds) // 15 + 1
    traced.trace = []
    assert traced == run(small())
