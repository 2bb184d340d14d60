"""Markets without prices: which steps the settlement keeper takes, what it pays out after, and what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.chain.transactions import Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.dead_markets import (
    CLOSE,
    DECLARE,
    MIN_LEFT,
    OFF,
    Left,
    SettleAccount,
    Silences,
    TakeStep,
    setting_named,
)
from plimsoll.keepers.settlement import POOL, RETRY_SECONDS, Pending, Settlement, Snapshot, decide
from plimsoll.keepers.telemetry import Telemetry
from plimsoll.risk.oracle import GRACE
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS
from plimsoll.sdk.shutdown import Standing
from tests.python.keepers.made_up import BTC, ETH, NOW, market
from tests.python.keepers.running import Ran
from tests.support.deployment import World

QUIET = NOW - DECLARE_SECONDS
"""A last price at which a market may be declared dead a second later."""
DECLARED = Standing(ETH, QUIET - DEAD_ORACLE_SECONDS - 9, NOW - DEAD_ORACLE_SECONDS, 0)
CONFIRMED = replace(DECLARED, confirmed_at=NOW - CLOSING_SECONDS)


def snapshot(
    standing: Standing | None = None,
    *,
    left: tuple[Left, ...] = (),
    long: int = WAD,
    is_open: bool = True,
    **options: Any,
) -> Snapshot:
    markets = {ETH: market(age=DECLARE_SECONDS, long=long), BTC: market(BTC)}
    standings = {} if standing is None else {standing.market_id: standing}
    requests = options.pop("requests", ())
    return Snapshot(NOW, requests, markets, {}, silences=Silences(standings, is_open), left=left, **options)


# --- decide --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "standing", "step"),
    [
        (DECLARE, Standing(ETH, QUIET, 0, 0), None),
        (DECLARE, Standing(ETH, QUIET - 1, 0, 0), "declare"),
        (OFF, Standing(ETH, QUIET - 1, 0, 0), None),
        (CLOSE, Standing(ETH, QUIET - 1, 0, 0), "declare"),
        (DECLARE, DECLARED, None),
        (CLOSE, DECLARED, "confirm"),
        (CLOSE, replace(DECLARED, declared_at=DECLARED.declared_at + 1), None),
        (DECLARE, CONFIRMED, None),
        (CLOSE, CONFIRMED, "close"),
        (CLOSE, replace(CONFIRMED, confirmed_at=CONFIRMED.confirmed_at + 1), None),
        (OFF, CONFIRMED, None),
    ],
)
def test_decide__silent_market__takes_the_steps_that_the_setting_allows_in_their_time(
    setting: str, standing: Standing, step: str | None
) -> None:
    wanted = [] if step is None else [TakeStep(ETH, step, standing.last_price_at)]
    assert decide(snapshot(standing), 0, setting) == wanted


def test_decide__silent_market_without_positions__is_left_alone() -> None:
    """Else one that is closed already would be declared dead again, for ever."""
    standing = Standing(ETH, QUIET - 1, 0, 0)
    assert decide(snapshot(standing, long=0), 0, CLOSE) == []
    assert decide(snapshot(standing, long=1), 0, CLOSE) != []


def test_decide__sequencer_just_back__nothing_is_confirmed_or_closed() -> None:
    assert decide(snapshot(DECLARED, is_open=False), 0, CLOSE) == []
    assert decide(snapshot(CONFIRMED, is_open=False), 0, CLOSE) == []
    assert decide(snapshot(Standing(ETH, 0, 0, 0), is_open=False), 0, CLOSE) != []


def test_decide__left_in_accounts__is_settled_from_a_dollar_on_the_largest_first() -> None:
    left = (Left(1, ETH, MIN_LEFT), Left(2, ETH, MIN_LEFT - 1), Left(3, ETH, -3 * WAD), Left(4, BTC, 1 - MIN_LEFT))
    assert decide(snapshot(left=left), 0, OFF) == [SettleAccount(3, ETH, -3 * WAD), SettleAccount(1, ETH, MIN_LEFT)]


def test_decide__all_at_once__steps_before_requests_before_accounts() -> None:
    request = Pending(POOL, 1, False, NOW - 9, NOW - 1)
    given = snapshot(DECLARED, left=(Left(1, ETH, WAD),), requests=(request,))
    assert [one.describe()["do"] for one in decide(given, 0, CLOSE)] == ["confirm dead", "give back", "settle account"]
    again = replace(given, retry_at={("confirm", ETH): NOW + 1})
    assert [one.describe()["do"] for one in decide(again, 0, CLOSE)] == ["give back", "settle account"]


def test_setting_named__unknown__is_refused() -> None:
    assert setting_named(OFF) == OFF
    with pytest.raises(UserError, match="shutdown: 'on' is none of off, declare, close"):
        setting_named("on")


# --- on the contracts ----------------------------------------------------------------------------------------------


class Case:
    """A long and a short of ETH with profit and loss, and a keeper."""

    def __init__(self, world: World, shutdown: str) -> None:
        self.world = world
        self.traders = {name: world.trader(name, 10_000) for name in ("long", "short")}
        for trader, size in zip(self.traders.values(), ("20", "-12"), strict=True):
            world.open(trader, "ETH", size)
        world.tick(5, {ETH: world.core.prices[ETH] * 101 // 100})
        self.signer: Signer = world.signer("keeper")
        self.job = Settlement(world.contracts, self.signer, min_sweep=0, shutdown=shutdown)
        self.ran = Ran(world, self.job, self.signer)

    def wait(self, seconds: int) -> list[Any]:
        """A round after some time without a price: what was done."""
        self.world.evm.block_number += 1
        self.world.evm.advance(seconds)
        return [line["do"] for line in self.ran.round()]

    def cash(self) -> list[int]:
        return [self.world.core.cash(trader.account()) for trader in self.traders.values()]

    def equity(self) -> list[int]:
        return [self.world.core.market.equity(trader.account()) for trader in self.traders.values()]


def test_act__close__a_silent_market_ends_and_everyone_is_paid(world: World) -> None:
    case = Case(world, CLOSE)
    before = case.equity()
    assert case.wait(DECLARE_SECONDS) == []
    assert case.wait(1) == ["declare dead"]
    assert case.wait(DEAD_ORACLE_SECONDS - 1) == []
    assert case.wait(1) == ["confirm dead"]
    assert case.wait(CLOSING_SECONDS - 1) == []
    assert case.wait(1) == ["close dead"]
    assert world.core.market.openInterest(ETH) == (0, 0)
    assert case.cash() != case.equity()
    assert case.wait(1) == ["settle account", "settle account"]
    assert case.cash() == case.equity()
    assert all(abs(now - then) < 100 * WAD for now, then in zip(case.equity(), before, strict=True))  # funding alone
    assert case.wait(DECLARE_SECONDS + DEAD_ORACLE_SECONDS) == []
    everyone = [trader.account() for trader in case.traders.values()]
    everyone += [ids.pack(world.signer(name).address) for name in ("keeper", "anyone")]
    world.core.check_sums(dust_bound=10**8, accounts=everyone)


def test_act__declare__a_price_ends_it_and_silence_begins_it_anew(world: World) -> None:
    case = Case(world, DECLARE)
    assert case.wait(DECLARE_SECONDS + 1) == ["declare dead"]
    assert case.wait(DEAD_ORACLE_SECONDS + 1) == []
    world.core.record(ETH)
    assert case.wait(1) == []
    assert case.wait(DECLARE_SECONDS) == ["declare dead"]
    assert world.core.market.openInterest(ETH) != (0, 0)


def test_act__declared_by_somebody_else__is_not_declared_again(world: World) -> None:
    case = Case(world, CLOSE)
    world.evm.advance(DECLARE_SECONDS + 1)
    world.core.liquidator.declareDead(ETH)
    assert case.wait(0) == []
    world.evm.advance(DEAD_ORACLE_SECONDS)
    snapshot = case.job.observe(world.chain.block())
    world.core.liquidator.confirmDead(ETH)  # faster than us
    case.job.act(case.job.decide(snapshot), case.ran.runner.log, case.ran.stop)
    [line] = case.ran.new()
    assert (line["event"], line["reason"]) == ("refused", f"Shutdown_AlreadyDeclared(marketId={ETH})")


def test_act__sequencer_is_down__waits(world: World) -> None:
    case = Case(world, CLOSE)
    assert case.wait(DECLARE_SECONDS + 1) == ["declare dead"]
    world.core.oracle.setSequencerState(GRACE)
    assert case.wait(DEAD_ORACLE_SECONDS) == []


def test_act__account_owes_more_than_it_has__is_refused_and_holds_up_nobody(world: World) -> None:
    """Nobody absorbed it in the last hour; the others are paid, and it waits for the backstop."""
    case = Case(world, OFF)
    poor = case.traders["short"]
    world.tick(1, {ETH: world.core.prices[ETH] * 2})
    for name, seconds in (("declareDead", DECLARE_SECONDS + 1), ("confirmDead", DEAD_ORACLE_SECONDS)):
        world.evm.advance(seconds)
        getattr(world.core.liquidator, name)(ETH)
    world.evm.advance(CLOSING_SECONDS)
    world.core.liquidator.closeDead(ETH)
    world.node.record(None)
    world.evm.block_number += 1
    lines = case.ran.round()
    assert [(line["event"], line["account"] == f"{poor.account():#066x}") for line in lines] == [
        ("refused", True),
        ("settled", False),
    ]
    assert lines[0]["reason"].startswith("PerpMarket_Bankrupt(")
    assert case.wait(RETRY_SECONDS) == []  # said once
    world.core.liquidator.absorb(poor.account(), [])
    world.node.record(None)
    assert case.wait(RETRY_SECONDS) == []


def test_figures__how_long_silent_and_how_far_the_shutdown_is(world: World) -> None:
    case = Case(world, CLOSE)

    def shown() -> dict[str, float]:
        text = Telemetry(case.ran.runner).text().decode()
        return {
            line.split()[0].removeprefix("plimsoll_"): float(line.split()[1])
            for line in text.splitlines()
            if line.startswith("plimsoll_market_")
        }

    assert shown() == {}  # nothing was looked at yet
    case.wait(DECLARE_SECONDS + 1)
    case.wait(0)
    of = f'{{keeper="settlement",market="{ETH}"}}'
    assert (shown()[f"market_silent_seconds{of}"], shown()[f"market_dead{of}"]) == (DECLARE_SECONDS + 1, 1)
    case.wait(DEAD_ORACLE_SECONDS)
    case.wait(0)
    assert shown()[f"market_dead{of}"] == 2
    case.wait(CLOSING_SECONDS)
    case.wait(0)
    assert f"market_dead{of}" not in shown()  # closed: no alarm for ever
