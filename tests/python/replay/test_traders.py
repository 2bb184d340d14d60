from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from plimsoll.core.orders import OrderKind
from plimsoll.core.units import WAD
from plimsoll.replay.actions import Cancel, Deposit, Place, PlaceFor
from plimsoll.replay.day import Calendar, Intent, day_of
from plimsoll.replay.run import Replay
from plimsoll.replay.trader import Trader
from plimsoll.replay.traders import MAX_ATTEMPTS
from plimsoll.risk.execution import Outcome
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import PopulationParameters, build_population
from tests.python.replay.setting import PLAIN, crash, parameters, scenario, staged

DAY = Calendar(1_440, 15, 660)


def intents(count: int = 200) -> list[list[Intent]]:
    plans = build_population(PopulationParameters(accounts=count), crash_minute=DAY.crash_minute, seed=3)
    return [day_of(plan, DAY, Draws(3, f"test/{plan.owner_index}")) for plan in plans]


def test_calendar__publications__counted_from_the_first_prices() -> None:
    assert (DAY.ticks, DAY.ticks_a_minute) == (5_761, 4)
    assert Calendar(10, 60, 0).ticks == 11
    draws = Draws(1, "test")
    assert {DAY.tick(3, draws) for _ in range(50)} == {12, 13, 14, 15}
    assert DAY.tick(0, draws) >= 1


def test_day_of__whole_day__entries_before_the_crash_and_trading_before_and_after() -> None:
    days = intents()
    everything = [intent for day in days for intent in day]
    mains = [intent for intent in everything if intent.is_main]
    assert all(600 * 4 <= intent.tick <= 661 * 4 for intent in mains)
    entries = [intent for intent in everything if intent.kind == "enter"]
    assert min(intent.tick for intent in entries) < 200 * 4
    assert max(intent.tick for intent in entries) > 1_200 * 4
    assert any(intent.at_limit for intent in entries)
    assert all(0 < intent.tick < DAY.ticks for intent in everything)
    assert all(intent.notional_usd >= 2_000 * WAD for intent in entries)
    assert any(intent.kind == "withdraw" for intent in everything)


def test_day_of__ten_minutes__entries_only() -> None:
    short = Calendar(10, 15, 0)
    plans = build_population(PopulationParameters(accounts=50), crash_minute=0, seed=3)
    for plan in plans:
        day = day_of(plan, short, Draws(3, str(plan.owner_index)))
        assert [intent.is_main for intent in day] == [True] * len(plan.legs) * (plan.habits.way != "quote")


@pytest.fixture
def stage() -> Replay:
    return staged(population=PLAIN)


def someone(stage: Replay, temper: str) -> Trader:
    trader = next(iter(stage.traders.by_account.values()))
    trader.temper = temper  # type: ignore[assignment]
    return trader


def entered(stage: Replay, trader: Trader, at_limit: bool = False) -> Place:
    """The order of the account's first main entry."""
    stage.traders._queue.clear()
    leg = trader.plan.legs[0]
    intent = Intent(
        tick=1, kind="enter", market=leg.market, sign=1, notional_usd=10_000 * WAD, is_main=True, at_limit=at_limit
    )
    stage.traders._intend(trader, intent)
    [place] = list(stage.traders.due(1))
    assert isinstance(place, Place)
    return place


def test_due__cash_is_short__deposits_first(stage: Replay) -> None:
    trader = someone(stage, "hold")
    stage.traders._queue.clear()
    wanted = trader.plan.collateral_usd + 5 * WAD
    leg = trader.plan.legs[0]
    intent = Intent(tick=1, kind="enter", market=leg.market, sign=1, notional_usd=10_000 * WAD, cash_usd=wanted)
    stage.traders._intend(trader, intent)
    deposit, place = list(stage.traders.due(1))
    assert deposit == Deposit(trader.account, 5 * 10**6)
    assert isinstance(place, Place)
    assert place.order.account == trader.account


def test_hear__order_failed__tries_again_smaller_and_gives_up_in_the_end(stage: Replay) -> None:
    trader = someone(stage, "hold")
    order = entered(stage, trader).order
    sizes = [order.base]
    for attempt in range(1, MAX_ATTEMPTS):
        stage.traders.hear(order, Outcome("failed", reason=Refusal("x")), tick=attempt * 4)
        [place] = list(stage.traders.due((attempt + 1) * 4))
        assert isinstance(place, Place)
        order = place.order
        sizes.append(order.base)
    assert all(after < before for before, after in pairwise(sizes))
    stage.traders.hear(order, Outcome("failed", reason=Refusal("x")), tick=30)
    assert not list(stage.traders.due(39))


def test_due__limit_order_is_not_filled_in_time__cancelled_and_entered_at_the_market(stage: Replay) -> None:
    trader = someone(stage, "hold")
    stage.traders.calendar = DAY
    limit = entered(stage, trader, at_limit=True)
    assert limit.order.kind == OrderKind.LIMIT
    assert limit.order.acceptable_price < stage.mirror.price(limit.order.market_id)
    assert list(stage.traders.due(1 + 20 * 4)) == [Cancel(limit.order)]
    [place] = list(stage.traders.due(2 + 20 * 4 + 4))
    assert isinstance(place, Place)
    assert place.order.kind != OrderKind.LIMIT


def relayed(trader: Trader) -> None:
    habits = dataclasses.replace(trader.plan.habits, is_relayed=True)
    trader.plan = dataclasses.replace(trader.plan, habits=habits)


def test_due__limit_entry_of_a_relayed_account__at_the_market(stage: Replay) -> None:
    trader = someone(stage, "hold")
    relayed(trader)
    leg = trader.plan.legs[0]
    intent = Intent(tick=1, kind="enter", market=leg.market, sign=1, notional_usd=10_000 * WAD, at_limit=True)
    stage.traders._queue.clear()
    stage.traders._intend(trader, intent)
    [place] = list(stage.traders.due(1))
    assert isinstance(place, PlaceFor)
    assert place.order.kind == OrderKind.MARKET


@pytest.mark.parametrize(("is_relayed", "kind"), [(False, OrderKind.LIMIT), (True, OrderKind.TAKE_PROFIT)])
def test_aim__position__a_limit_order_or_a_trigger_where_it_is_relayed(
    stage: Replay, is_relayed: bool, kind: OrderKind
) -> None:
    trader = someone(stage, "take profit")
    order = entered(stage, trader).order
    if is_relayed:
        relayed(trader)
    stage.mirror.model.trade(trader.account, order.market_id, WAD, now=stage.mirror.now, sender=trader.key.number)
    stage.traders._aim(trader, order.market_id, 1)
    [action] = list(stage.traders.due(2))
    assert isinstance(action, Place | PlaceFor)
    assert (action.order.kind, action.order.base, action.order.reduce_only) == (kind, -WAD, True)
    assert (action.order.trigger_price > 0) == is_relayed


def test_refused__order_could_not_be_placed__is_forgotten(stage: Replay) -> None:
    trader = someone(stage, "hold")
    place = entered(stage, trader, at_limit=True)
    stage.traders.refused(place)
    assert not trader.resting


@pytest.mark.parametrize(("temper", "kind"), [("top up", Deposit), ("reduce", Place), ("stop", Place), ("hold", None)])
def test_look__health_is_falling__each_temper_acts_in_its_way(temper: str, kind: type | None) -> None:
    chosen = scenario(accounts=20, population=PLAIN)
    done = Replay(chosen, crash(chosen, 6), parameters())
    for trader in done.traders.by_account.values():
        trader.temper = temper  # type: ignore[assignment]
        trader.patience, trader.left = 1_000 * WAD, 1
    done.run()
    done.traders._queue.clear()
    for trader in done.traders.by_account.values():
        trader.left = 1
    tick = done.traders.calendar.ticks - 6
    for _ in range(20):
        done.traders.look(done._healths(), tick)
    acts = list(done.traders.due(done.traders.calendar.ticks))
    assert all(isinstance(act, kind) for act in acts) if kind else not acts
    assert bool(acts) == (kind is not None)
    assert all(act.order.reduce_only for act in acts if isinstance(act, Place))
