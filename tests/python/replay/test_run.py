"""Whole replays on the model alone."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.dashboard.report import ReplayReport, checks
from plimsoll.replay.actions import Block, Execute, Match, Place, PlaceFor, Record, calls_of
from plimsoll.replay.run import Check, ModelOnly, Progress, Replay
from plimsoll.replay.stored import Layout, Ledger
from plimsoll.risk.scenario.bar import Bar
from plimsoll.risk.scenario.population import PopulationParameters
from plimsoll.risk.scenario.scenario import Scenario
from tests.python.replay.setting import PLAIN, crash, parameters, replay, scenario


class Recorder(ModelOnly):
    """Keeps the blocks that would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self.checks: list[Check] = []

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        super().send(block, touched, expected)
        self.blocks.append(block)

    def check(self, check: Check) -> None:
        super().check(check)
        self.checks.append(check)


def timeless(report: ReplayReport) -> ReplayReport:
    return dataclasses.replace(report, wall_seconds=Decimal(0))


def test_run__same_seed__same_report() -> None:
    assert timeless(replay().run()) == timeless(replay().run())


def test_run__another_seed__another_day() -> None:
    assert replay(seed=2).run().events != replay().run().events


def test_run__ten_minutes_of_the_crash__everything_holds() -> None:
    report = replay().run()
    assert all(check.passed for check in checks(report))
    assert (report.minutes, report.accounts, len(report.series)) == (10, 30, 10)
    assert report.sum_base == {"ETH": 0, "BTC": 0}
    assert report.fills > 30
    assert report.closeouts + report.takeovers + report.absorbed > 0
    assert report.series[-1].closeouts == report.closeouts
    assert report.insurance_start_usd == WAD * 10**6
    assert abs(report.pool_share_price_start - WAD) < 10**12
    assert report.keeper_rewards_usd == sum(e.keeper_usd for e in report.events if e.kind != "takeover")
    assert report.liquidation_delay_blocks.max >= report.liquidation_delay_blocks.median >= 1


def test_run__health_counts__are_at_the_worst_prices_of_a_minute() -> None:
    rows = replay().run().series
    assert any(sum(row.health[:3]) for row in rows)


def test_run__blocks__in_the_order_of_time_and_orders_settle_at_the_next_record() -> None:
    recorder = Recorder()
    done = replay()
    done.run(recorder)
    times = [block.ts for block in recorder.blocks]
    assert times == sorted(set(times))
    placed: dict[object, int] = {}
    for block in recorder.blocks:
        for applied in block.applied:
            for call in calls_of(applied.action):
                if isinstance(call, Place | PlaceFor):
                    placed[call.order] = block.ts
            if isinstance(applied.action, Execute) and applied.action.by is None:
                assert any(isinstance(one.action, Record) for one in block.applied)
                assert all(
                    block.ts - placed[order] == 3
                    for order in applied.action.orders
                    if applied.result and not order.kind
                )
    assert [check.minute for check in recorder.checks] == list(range(1, 11))
    assert recorder.checks[-1].healths is not None


def test_run__default_habits__all_of_the_order_book_is_used() -> None:
    recorder = Recorder()
    report = replay(minutes=60, accounts=80).run(recorder)
    assert all(check.passed for check in checks(report))
    used = (report.matches, report.stops_executed, report.take_profits_executed, report.orders_voided)
    assert all(used)
    assert all((report.relayed, report.delegated))
    last = report.series[-1]
    assert (last.matched_usd, last.pool_usd > 0, last.liquidated_usd > 0) == (report.matched_usd, True, True)
    matches = [one for block in recorder.blocks for one in block.applied if isinstance(one.action, Match)]
    assert report.matches <= sum(len(one.action.makers) for one in matches if isinstance(one.action, Match))
    promised = [len(check.promises.orders) for check in recorder.checks]
    assert promised[-1] == max(promised)
    assert all(len(check.promises) == len(check.promised) for check in recorder.checks)


def test_run__plain_habits__nothing_of_it_is_used() -> None:
    report = replay(minutes=10, population=PLAIN).run()
    assert (report.matches, report.matched_usd, report.stops_executed, report.take_profits_executed) == (0, 0, 0, 0)
    assert (report.relayed, report.delegated) == (0, 0)


def test_run__no_liquidator__nobody_is_liquidated() -> None:
    report = replay(liquidator=False).run()
    assert (report.closeouts, report.takeovers, report.absorbed, report.events) == (0, 0, 0, ())


def test_run__no_capital__close_outs_and_absorptions_only() -> None:
    report = replay(take_over_capital_usd=0).run()
    assert report.takeovers == 0
    assert report.closeouts > 0


def test_run__capital__closes_what_it_took_over() -> None:
    done = replay(minutes=30, accounts=80)
    report = done.run()
    assert report.takeovers > 0
    held = sum(abs(done.mirror.base_of(done.taker, market)) * done.mirror.price(market) // WAD for market in (1, 2))
    assert held < 2_000_000 * WAD
    assert done.findings.counts["filled"] > report.takeovers


def test_run__progress__once_a_minute() -> None:
    chosen = scenario()
    seen: list[Progress] = []
    Replay(chosen, crash(chosen, 5), parameters(), progress=seen.append).run()
    assert [(one.minute, one.minutes) for one in seen] == [(minute, 5) for minute in range(1, 6)]
    assert seen[-1].prices.keys() == {"ETH", "BTC"}


def test_replay__prices_too_often__says_the_minimum() -> None:
    chosen = scenario(publish_seconds=5)
    with pytest.raises(UserError, match="publish_seconds is 5; a replay needs 7 at least"):
        Replay(chosen, crash(chosen, 5), parameters())


def test_replay__market_that_is_not_listed__names_it() -> None:
    chosen = scenario()
    history = crash(chosen, 5)
    renamed = dataclasses.replace(history, markets={"SOL": history.markets["ETH"], "BTC": history.markets["BTC"]})
    with pytest.raises(UserError, match="prices: SOL is not listed; the deployment has ETH, BTC"):
        Replay(chosen, renamed, parameters())


def test_run__one_market_only__the_other_stays_without_a_price() -> None:
    base = scenario()
    chosen = dataclasses.replace(base, population=PopulationParameters(accounts=20, market_weights={"ETH": WAD}))
    history = crash(base, 5)
    only = dataclasses.replace(history, markets={"ETH": history.markets["ETH"]})
    report = Replay(chosen, only, parameters()).run()
    assert report.sum_base == {"ETH": 0}
    assert report.fills > 10


def test_run__publications_a_minute_apart__orders_settle_and_accounts_are_liquidated() -> None:
    report = replay(publish_seconds=60, points_per_bar=1).run()
    assert report.fills > 20
    assert report.closeouts + report.takeovers + report.absorbed > 0


def test_run__whole_defaults__scenario_is_the_demo() -> None:
    assert Scenario().population.accounts >= 200


def test_run__price_jumps_beyond_the_limit__that_market_has_no_record_until_the_limit_has_widened() -> None:
    chosen = scenario()
    history = crash(chosen, 6)
    jumped = [bar if place < 2 else _scaled(bar, 60) for place, bar in enumerate(history.markets["ETH"])]
    history = dataclasses.replace(history, markets=dict(history.markets) | {"ETH": tuple(jumped)})
    done = Replay(chosen, history, parameters())
    report = done.run()
    assert done.findings.failures["Oracle_MoveTooLarge"] > 3
    prices = [row.markets["ETH"].price for row in report.series]
    assert prices[2] == prices[1]
    assert prices[-1] == history.markets["ETH"][-1].close
    assert all(check.passed for check in checks(report))


def _scaled(bar: Bar, percent: int) -> Bar:
    return Bar(bar.ts, *(price * percent // 100 for price in (bar.open, bar.high, bar.low, bar.close)))
