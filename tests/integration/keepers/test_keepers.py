"""Keepers as processes on a devnet: the work, outages, kills, stops."""

from __future__ import annotations

import os
import signal
import time

import pytest

from plimsoll.core.units import WAD
from plimsoll.sdk.events import OrderExecuted, OrderSkipped
from tests.integration.keepers.conftest import SECOND, Door, Stage, until

pytestmark = pytest.mark.node

ETH = "ETH/USD"


def test_trade__from_placing_to_filling__is_the_keepers_work(stage: Stage) -> None:
    stage.start("publisher", "provider")
    executor = stage.start("executor", "keeper")
    alice = stage.client("alice")
    alice.deposit(10_000)
    placed = alice.place_market(ETH, "2.5")
    outcome = alice.wait_for(placed)
    assert (outcome.status, outcome.fill and outcome.fill.base) == ("filled", 25 * WAD // 10)
    limit = alice.place_limit(ETH, "-1", 2_510)
    stage.set_prices({ETH: 2_520 * WAD})
    assert alice.wait_for(limit).status == "filled"
    assert [line["outcome"] for line in executor.wait_for("executed", 2)] == ["filled", "filled"]
    assert stage.sent_by("keeper") == 2


def test_publisher__every_vendor__follows_the_file(stage: Stage) -> None:
    """Signed prices of three sources, a push feed, swaps in a pool; each market's by itself."""
    bot = stage.start("publisher", "provider", bounds=True)
    stage.set_prices({ETH: 2_520 * WAD})
    bot.wait_for("pushed")
    bot.wait_for("swapped")
    bot.wait_for("recorded")
    names = ("api3-1", "api3-2", "datastreams", "chainlink")

    def prices() -> set[int]:
        readings = stage.devnet.sources.readings(ETH)
        return {readings[name].price for name in names}

    until("all say so", lambda: prices() == {2_520 * WAD})
    assert bot.said("failed") == []


@pytest.mark.parametrize(("price", "out"), [(2_390, "stop_loss"), (2_620, "take_profit")])
def test_bracket__one_exit_goes__and_ends_the_other(stage: Stage, price: int, out: str) -> None:
    stage.start("publisher", "provider")
    executor = stage.start("executor", "keeper")
    alice = stage.client("alice")
    alice.deposit(10_000)
    parts = alice.bracket(ETH, 2, 2_400, 2_600)
    placed = dict(zip(parts._fields, alice.place_together(parts), strict=True))
    assert alice.wait_for(placed["entry"]).status == "filled"
    stage.set_prices({ETH: price * WAD})
    other = {"stop_loss": "take_profit", "take_profit": "stop_loss"}[out]
    assert alice.wait_for(placed[out]).status == "filled"
    assert alice.wait_for(placed[other]).status == "void"
    assert alice.position(ETH) is None
    lines = executor.wait_for("executed", 3)
    assert [line["outcome"] for line in lines] == ["filled", "filled", "void"]
    assert lines[1]["tx"] == lines[2]["tx"]
    assert stage.sent_by("keeper") == 2


def test_ladder__each_step_at_its_price(stage: Stage) -> None:
    stage.start("publisher", "provider")
    executor = stage.start("executor", "keeper")
    alice = stage.client("alice")
    alice.deposit(10_000)
    assert alice.wait_for(alice.place_market(ETH, 3)).status == "filled"
    steps = alice.place_together(alice.ladder(ETH, 2_520, 2_560, 3))
    stage.set_prices({ETH: 2_530 * WAD})
    assert alice.wait_for(steps[0]).status == "filled"
    assert [one.hash for one in alice.open_orders()] == [one.hash for one in steps[1:]]
    stage.set_prices({ETH: 2_570 * WAD})
    assert [alice.wait_for(one).status for one in steps[1:]] == ["filled", "filled"]
    assert alice.position(ETH) is None
    assert [line["outcome"] for line in executor.wait_for("executed", 4)] == ["filled"] * 4
    assert stage.sent_by("keeper") == 3


def test_crash__liquidator_closes_out__and_is_paid(stage: Stage) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "carol")
    bob = stage.client("bob")
    bob.deposit(2_600)
    assert bob.wait_for(bob.place_market(ETH, 20)).status == "filled"
    liquidator = stage.start("liquidator", "keeper")
    before = stage.client("keeper").account_snapshot().cash
    stage.set_prices({ETH: 2_400 * WAD})
    [line] = liquidator.wait_for("closed out")
    assert line["account"] == f"{bob.account():#066x}"
    held = bob.position(ETH)
    assert held is None or held.base < 20 * WAD
    assert stage.client("keeper").account_snapshot().cash > before
    assert not bob.account_snapshot().is_liquidatable


def test_outage__of_the_node__is_sat_out(stage: Stage, door: Door) -> None:
    """The node can't be reached for some seconds, then it hangs for some: nothing is lost, nothing done twice."""
    stage.start("publisher", "provider")
    executor = stage.start("executor", "keeper", uri=door.uri)
    alice = stage.client("alice")
    alice.deposit(10_000)
    alice.wait_for(alice.place_market(ETH, 1))

    door.shut()
    executor.wait_for("trouble")
    meanwhile = alice.place_limit(ETH, 1, 2_600)
    time.sleep(1.5)
    assert len(executor.said("trouble")) == 1  # said once, tried again and again
    door.open()
    executor.wait_for("recovered")
    assert alice.wait_for(meanwhile).status == "filled"

    pid = stage.devnet.node.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)
    assert alice.wait_for(alice.place_limit(ETH, 1, 2_600)).status == "filled"
    assert len(alice.history([OrderExecuted])) == 3
    assert stage.reverted("keeper") == []
    assert executor.stop() == 0


def test_killed__and_started_again__does_nothing_twice(stage: Stage) -> None:
    stage.start("publisher", "provider")
    alice = stage.client("alice")
    alice.deposit(10_000)
    first = alice.place_market(ETH, 1)
    executor = stage.start("executor", "keeper")
    until("a transaction is under way", lambda: stage.sent_by("keeper", "pending") > 0)
    executor.kill()

    second = alice.place_market(ETH, 1)
    again = stage.start("executor", "keeper")
    for placed in (first, second):
        assert alice.wait_for(placed).status == "filled"
    time.sleep(4 * SECOND)
    executions = [one.hash for one in alice.history([OrderExecuted]) if isinstance(one, OrderExecuted)]
    assert executions == [first.hash, second.hash]
    assert alice.history([OrderSkipped]) == []
    assert stage.sent_by("keeper", "pending") == 2
    assert again.stop(signal.SIGINT) == 0
    assert again.said("stopped")


def test_dry_run__says_what_it_would_do__and_sends_nothing(stage: Stage) -> None:
    stage.start("publisher", "provider")
    bots = [stage.start(job, "keeper", dry_run=True) for job in ("executor", "publisher", "liquidator")]
    alice = stage.client("alice")
    alice.deposit(10_000)
    placed = alice.place_market(ETH, 1)
    [would] = bots[0].wait_for("would")
    assert (would["do"], would["orders"]) == ("settle", [placed.hash.hex()])
    assert [bot.stop() for bot in bots] == [0, 0, 0]
    assert stage.sent_by("keeper", "pending") == 0
    assert [one.hash for one in alice.open_orders()] == [placed.hash]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop__by_a_signal__leaves_no_process(stage: Stage, door: Door, number: int) -> None:
    bots = [
        stage.start("publisher", "provider"),
        stage.start("executor", "keeper"),
        stage.start("liquidator", "carol", uri=door.uri, take_over="1000"),
    ]
    door.shut()
    bots[2].wait_for("trouble")  # a keeper whose node is away stops as well
    assert [bot.stop(number) for bot in bots] == [0, 0, 0]
    for bot in bots:
        assert bot.said("stopped")
        with pytest.raises(ProcessLookupError):
            os.killpg(bot.process.pid, 0)
