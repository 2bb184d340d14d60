"""What a keeper earned and paid: by the events of its transactions, and as `status` and metrics show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from plimsoll.chain.sending import CarefulSigner
from plimsoll.chain.transactions import Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, format_usd, to_wad
from plimsoll.keepers.checks import Checks, Often
from plimsoll.keepers.earnings import Earnings
from plimsoll.keepers.executor import Executor
from plimsoll.keepers.guard import Guard
from plimsoll.keepers.liquidator import Liquidator
from plimsoll.keepers.operating import Operating
from plimsoll.keepers.runner import Log, Runner
from plimsoll.keepers.status import read_status, show_status
from plimsoll.keepers.store import FileStore
from tests.python.keepers.running import QUICK, Ran
from tests.support.core import ETH
from tests.support.deployment import World


def main_account(signer: Signer) -> int:
    return ids.pack(signer.address)


# --- adding up -----------------------------------------------------------------------------------------------------


def test_heard__only_what_was_paid__counts() -> None:
    earnings = Earnings()
    earnings.heard("executed", {"reward": "0.5", "tx": "0x1"})
    earnings.heard("executed", {"reward": "0.25", "tx": "0x1"})
    earnings.heard("executed", {"outcome": "left queue", "tx": "0x1"})
    earnings.heard("taken over", {"reward": "-3", "tx": "0x1"})  # a loss is no reward
    earnings.heard("would", {"reward": "9"})  # a dry run's
    earnings.heard("failed", {"reward": "9", "tx": "0x1"})  # what it had hoped for
    earnings.heard("left", {"reward": "9"})
    assert dict(earnings.rewards) == {"executed": 3 * WAD // 4}
    assert earnings.shown() == {"earned": "0.75", "gas": "0"}


def test_spent__gas__is_valued_at_the_price_of_its_time() -> None:
    earnings = Earnings()
    earnings.spent(10**15, None)  # nobody knows the price yet
    assert earnings.gas == 0
    earnings.spent(10**15, 2_000 * WAD)
    earnings.spent(10**15, 9_000 * WAD)
    assert earnings.gas == 2 * WAD
    earnings.spent(2 * 10**15, 3_000 * WAD)
    assert earnings.gas == 5 * WAD


def test_ether__price_without_sense__is_refused() -> None:
    assert Operating().ether is None
    assert Operating(eth_price="2000.5").ether == 20_005 * WAD // 10
    for given, said in (("0", "not more than zero"), ("-1", "not more than zero"), ("much", "'much' is not a number")):
        with pytest.raises(UserError, match=said):
            _ = Operating(eth_price=given).ether


# --- on the contracts ----------------------------------------------------------------------------------------------


def start(world: World, name: str = "keeper") -> Ran:
    signer = world.signer(name)
    return Ran(world, Executor(world.contracts, signer), signer)


def test_executor__orders_of_one_batch__each_with_what_it_paid(world: World) -> None:
    """A fill's event doesn't say it: an execution fee is a hundredth of a reduction at most."""
    trader = world.trader("trader", 50_000)
    world.open(trader, "ETH", "2")
    keeper = start(world)
    signer = world.signer("keeper")
    world.core.fund_account(main_account(signer), 77)  # money of his own is no reward
    trader.place_market("ETH", 1)
    trader.place_market("ETH", "-0.5", acceptable_price=0)
    trader.place_market("ETH", 1, acceptable_price=1)  # fails
    world.tick(2)
    lines = keeper.round()
    assert [line["outcome"] for line in lines] == ["filled", "filled", "failed"]
    assert [line["reward"] for line in lines] == ["0.5"] * 3
    earned = keeper.runner.earnings.rewards.total()
    assert (earned, world.core.cash(main_account(signer))) == (3 * WAD // 2, 77 * WAD + earned)
    trader.place_market("ETH", 1)
    world.tick(2)
    [line] = keeper.round()
    assert line["reward"] == "0.5"


def test_executor__account_below_maintenance__what_it_pays_on_top_is_counted(world: World) -> None:
    """Closing by oneself costs what a close-out would, and the executor gets the keeper's part of it."""
    trader = world.trader("trader", 2_000)
    world.open(trader, "ETH", "10")
    keeper = start(world)
    trader.close("ETH", slippage_bps=5_000)
    world.tick(2, {ETH: 2_870 * WAD})
    [line] = keeper.round()
    assert line["outcome"] == "filled"
    assert to_wad(line["reward"]) == world.core.cash(main_account(world.signer("keeper"))) > WAD // 2


def test_executor__its_own_order__is_no_reward(world: World) -> None:
    trader = world.trader("keeper", 50_000)
    trader.place_market("ETH", 1)
    world.tick(2)
    keeper = start(world)
    [line] = keeper.round()
    assert (line["outcome"], line["reward"]) == ("filled", "0")


def test_status__rewards_and_gas__of_a_keeper_that_worked(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trader = world.trader("trader", 2_000)
    world.open(trader, "ETH", "10")
    world.tick(1, {ETH: 2_870 * WAD})
    signer, store = CarefulSigner(world.chain, world.signer("keeper").wallet), FileStore(tmp_path / "s.sqlite")
    checks = Checks(world.contracts, world.chain.block(0).hash, signer, often=Often(sums=0), eth_market=ETH)
    guard = Guard("liquidator", store, signer, checks)
    log = Log("liquidator", (tmp_path / "log").open("w"))
    job = Liquidator(world.contracts, signer, ledger=world.ledger)
    runner = Runner(job, world.chain, signer, pace=QUICK, log=log, guard=guard)
    runner.once()
    signer.account.fees = 10**15  # this node's gas is free
    guard._beat_at = float("-inf")  # the next beat is due
    world.tick(1)
    runner.once()
    [seen] = read_status(store, world.chain.block()).keepers
    assert seen.earned == world.core.cash(main_account(signer)) > 0
    assert seen.gas == 287 * WAD // 100
    show_status(read_status(store, world.chain.block()))
    [_, line] = capsys.readouterr().out.splitlines()
    assert line.split()[5:7] == [format_usd(seen.earned), "$2.87"]
