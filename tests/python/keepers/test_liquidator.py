"""The liquidator at work: on the contracts, behind a node in this process."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, to_wad
from plimsoll.keepers.liquidations import Capital, CloseOut
from plimsoll.keepers.liquidator import Liquidator
from plimsoll.sdk.client import Plimsoll
from tests.python.keepers.running import Ran, events
from tests.support.core import BTC, ETH, GRACE
from tests.support.deployment import World


def start(world: World, *, dry_run: bool = False, capital: int = 0, min_profit_bps: int = 1) -> Ran:
    """With `capital` dollars to take over with, if any."""
    signer = world.signer("keeper")
    account = int(signer.address, 16) << 96
    if capital:
        world.core.fund_account(account, capital)
    limits = Capital(account, 10**30, min_profit_bps) if capital else None
    job = Liquidator(world.contracts, None if dry_run and not capital else signer, capital=limits, ledger=world.ledger)
    return Ran(world, job, signer, dry_run=dry_run)


def crash(world: World, price: int) -> None:
    world.tick(1, {ETH: price * WAD})


@pytest.fixture
def trader(world: World) -> Plimsoll:
    """10 ETH long with 2,000 dollars: closed out from about 2,890 down, bankrupt near 2,800."""
    trader = world.trader("trader", 2_000)
    world.open(trader, "ETH", "10")
    return trader


def test_act__price_falls__closes_out_and_is_paid(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    assert keeper.round() == []
    crash(world, 2_870)
    assert world.core.liquidator.isLiquidatable(trader.account())
    [line] = keeper.round()
    assert (line["event"], line["market"]) == ("closed out", ETH)
    assert float(line["reward"]) >= 2
    account = int(world.signer("keeper").address, 16) << 96
    assert world.core.cash(account) == to_wad(line["reward"])
    held = trader.position("ETH")
    assert held is None or 0 < held.base < 10 * WAD
    assert not world.core.liquidator.isLiquidatable(trader.account())
    assert keeper.round() == []


def test_act__forecast__is_what_the_contracts_do(world: World, trader: Plimsoll) -> None:
    """The model's chunk and reward, to the last wei of the block in which it is carried out."""
    keeper = start(world)
    crash(world, 2_880)
    job = keeper.runner.job
    [decision] = job.decide(job.observe(world.chain.block()))
    assert isinstance(decision, CloseOut)
    [line] = keeper.round()
    assert line["base"] == f"-{decision.describe()['size']}"
    assert line["reward"] == decision.describe()["reward"]


def test_act__several_accounts__go_in_one_round(world: World, trader: Plimsoll) -> None:
    other = world.trader("other", 2_000)
    world.open(other, "ETH", "10.5")
    crash(world, 2_870)
    lines = start(world).round()
    assert [line["event"] for line in lines] == ["closed out"] * 2
    assert [line["account"] for line in lines] == [f"{one.account():#066x}" for one in (other, trader)]


def test_act__bankrupt__is_absorbed_and_the_debt_covered(world: World, trader: Plimsoll) -> None:
    crash(world, 2_700)
    keeper = start(world)
    lines = keeper.round()
    assert sorted(events(lines)) == ["absorbed", "debt covered"]
    assert trader.position("ETH") is None
    assert world.core.cash(trader.account()) == 0
    assert keeper.round() == []


def test_act__cap_reached__goes_on_in_the_next_window(world: World) -> None:
    """8 bps of the scale, 266.67 ETH, may be moved by close-outs in 5 seconds."""
    trader = world.trader("trader", 200_000)
    world.open(trader, "ETH", "900")
    crash(world, 2_840)
    keeper = start(world)
    [first] = keeper.round()
    assert first["event"] == "closed out"
    assert abs(float(first["base"])) == pytest.approx(266.6664)
    world.tick(1)
    assert keeper.round() == []
    world.tick(3)
    assert keeper.round() == []
    world.tick(1)
    [second] = keeper.round()
    assert second["event"] == "closed out"


def test_act__cap_reached_and_capital__takes_over(world: World) -> None:
    trader = world.trader("trader", 200_000)
    world.open(trader, "ETH", "900")
    keeper = start(world, capital=500_000)
    crash(world, 2_830)
    assert events(keeper.round()) == ["closed out"]
    world.tick(1)
    [line] = keeper.round()
    assert line["event"] == "taken over"
    assert float(line["discount"]) > float(line["fee"])
    own = world.client(world.signer("keeper")).position("ETH")
    assert own is not None
    assert own.base == to_wad(line["base"])


def test_act__price_in_grace__waits(world: World, trader: Plimsoll) -> None:
    world.core.tick(1, {ETH: 2_870 * WAD}, state=GRACE)
    keeper = start(world)
    assert keeper.round() == []
    world.tick(1)
    assert events(keeper.round()) == ["closed out"]


def test_act__someone_else_was_faster__sends_nothing(world: World, trader: Plimsoll) -> None:
    crash(world, 2_870)
    keeper = start(world)
    job: Any = keeper.runner.job
    actions = job.decide(job.observe(world.chain.block()))
    world.core.liquidator.liquidate(trader.account(), ETH, [])
    before = len(world.node.sent)
    job.act(actions, keeper.runner.log, keeper.stop)
    [line] = keeper.new()
    assert line["event"] == "refused"
    assert line["reason"].startswith("Liquidator_Healthy")
    assert len(world.node.sent) == before
    assert keeper.round() == []


def test_act__refused_by_the_chain__is_tried_at_the_next_record(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash(world, 2_870)
    keeper = start(world)
    world.chain.block()

    def refuse(calls: list[Any], **options: Any) -> list[Reverted]:
        return [Reverted(b"", "Liquidator_CapReached", {"marketId": 1}) for _ in calls]

    monkeypatch.setattr(world.chain, "estimates", refuse)
    assert events(keeper.round()) == ["refused"]
    assert keeper.round() == []
    monkeypatch.undo()
    assert keeper.round() == []
    world.tick(1)
    assert events(keeper.round()) == ["closed out"]


def test_act__fails_on_the_chain__is_said_and_tried_later(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the simulation and the block somebody else took the chunk."""
    crash(world, 2_870)
    keeper = start(world)
    real = world.chain.estimates

    def faster(*args: Any, **options: Any) -> Any:
        gas = real(*args, **options)
        world.core.liquidator.liquidate(trader.account(), ETH, [])
        return gas

    monkeypatch.setattr(world.chain, "estimates", faster)
    [line] = keeper.round()
    assert line["event"] == "failed"
    assert keeper.round() == []


def test_act__cross_account__largest_position_first(world: World) -> None:
    trader = world.trader("trader", 5_000)
    world.open(trader, "ETH", "2")
    world.open(trader, "BTC", "1")
    world.tick(1, {BTC: 35_900 * WAD})
    [line] = start(world).round()
    assert (line["event"], line["market"]) == ("closed out", BTC)


def test_restart__accounts_are_found_from_events(world: World, trader: Plimsoll) -> None:
    start(world).round()
    crash(world, 2_870)
    assert events(start(world).round()) == ["closed out"]
    assert start(world).round() == []


def test_dry_run__says_it_and_sends_nothing(world: World, trader: Plimsoll) -> None:
    crash(world, 2_870)
    keeper = start(world, dry_run=True)
    before = len(world.node.sent)
    [line] = keeper.round()
    assert (line["event"], line["do"]) == ("would", "close out")
    world.tick(1, {ETH: 2_869 * WAD})
    assert keeper.round() == []  # the forecast is another, the deed is the same
    assert len(world.node.sent) == before


def test_capital__of_someone_else__is_refused(world: World) -> None:
    with pytest.raises(UserError, match="must be the signer's own"):
        Liquidator(world.contracts, world.signer("keeper"), capital=Capital(5 << 96, 1))


def test_act__pool_could_not_pay__deleverages(world: World) -> None:
    trader = world.trader("trader", 2_000_000)
    world.open(trader, "ETH", "900")
    keeper = start(world)
    assert keeper.round() == []
    pool = world.core.pool_account(ETH)
    world.core.post(pool, 500_000 * WAD - world.core.cash(pool))  # it lost the rest elsewhere
    world.tick(1)
    [line] = keeper.round()
    assert (line["event"], line["market"], line["side"]) == ("deleveraged", ETH, "long")
    held = trader.position("ETH")
    assert held is not None
    assert 0 < held.base < 900 * WAD
    assert keeper.round() == []
