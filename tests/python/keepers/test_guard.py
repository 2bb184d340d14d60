"""Between decisions and transactions: two keepers at once, one sender an address, the circuit breaker, being seen."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.chain.sending import CarefulSigner, Limits
from plimsoll.chain.transactions import Block
from plimsoll.core.units import WAD
from plimsoll.keepers.checks import Checks, Often
from plimsoll.keepers.guard import Guard, Halted
from plimsoll.keepers.ledger import Broken
from plimsoll.keepers.liquidator import Liquidator
from plimsoll.keepers.runner import Log, Runner
from plimsoll.keepers.status import Status, close_breaker, read_status, show_status
from plimsoll.keepers.store import FileStore, Store, StoredJournal, StoreUnavailable
from plimsoll.sdk.client import Plimsoll
from tests.python.keepers.running import QUICK
from tests.support.core import ETH
from tests.support.deployment import World


class Keeper:
    """A liquidator as a process of its own would be, with what it said."""

    def __init__(self, world: World, store: Store | None, name: str = "keeper", checks: Any = None) -> None:
        journal = None if store is None else StoredJournal(store, world.signer(name).address)
        self.signer = CarefulSigner(world.chain, world.signer(name).wallet, journal=journal)
        self.job = Liquidator(world.contracts, self.signer, ledger=world.ledger)
        self.world = world
        self.output = io.StringIO()
        guard = Guard("liquidator", store, self.signer, checks)
        self.stop = threading.Event()
        log = Log("liquidator", self.output)
        self.runner = Runner(self.job, world.chain, self.signer, pace=QUICK, log=log, stop=self.stop, guard=guard)

    def once(self) -> bool:
        return self.runner.once()

    def said(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.output.getvalue().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keepers.sqlite"


@pytest.fixture
def sick(world: World) -> Plimsoll:
    """Somebody to close out."""
    trader = world.trader("trader", 2_000)
    world.open(trader, "ETH", "10")
    world.tick(1, {ETH: 2_870 * WAD})
    return trader


# --- two at once ---------------------------------------------------------------------------------------------------


class Between:
    """Lets another keeper have its turn in the middle of a keeper's: after it has seen, and before it sends."""

    def __init__(self, keeper: Keeper, what: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
        real = keeper.signer.dispatch

        def dispatch(calls: Any) -> Any:
            monkeypatch.setattr(keeper.signer, "dispatch", real)
            what()
            return real(calls)

        monkeypatch.setattr(keeper.signer, "dispatch", dispatch)


def test_two_liquidators__same_work_at_once__one_pays(
    world: World, sick: Plimsoll, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one decides and simulates before the first has sent: without claims both would send, and one revert."""
    one, two = Keeper(world, FileStore(path), "one"), Keeper(world, FileStore(path), "two")
    Between(one, two.once, monkeypatch)
    assert one.once()
    assert (one.said(), two.said()) == (["closed out"], [])
    assert [receipt["status"] for receipt in world.node.sent[-1:]] == ["0x1"]
    assert two.signer.account.outcomes == {}
    assert two.once()
    assert two.said() == []


def test_two_liquidators__without_a_store__the_slower_one_pays_for_a_revert(
    world: World, sick: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What claims are for: simulation alone doesn't see what is under way."""
    one, two = Keeper(world, None, "one"), Keeper(world, None, "two")
    Between(one, two.once, monkeypatch)
    one.once()
    assert (one.signer.account.outcomes, two.signer.account.outcomes) == ({"reverted": 1}, {"mined": 1})


def test_two_liquidators__different_work__both_send(world: World, sick: Plimsoll, path: Path) -> None:
    one, two = Keeper(world, FileStore(path), "one"), Keeper(world, FileStore(path), "two")
    other = world.trader("other", 2_000)
    world.tick(1, {ETH: 3_000 * WAD})
    world.open(other, "ETH", "10")
    assert one.runner.guard.claimed([], world.chain.block()) == []
    FileStore(path).lease(f"work:account:{other.account():x}", 60)  # a third one has that in hand
    world.tick(1, {ETH: 2_870 * WAD})
    two.once()
    assert two.said() == ["closed out"]
    assert world.core.liquidator.isLiquidatable(other.account())


def test_work__its_keeper_killed__is_done_by_another_after_two_and_a_half_patiences(
    world: World, sick: Plimsoll, path: Path
) -> None:
    """It was a minute, in which the publisher that was left recorded no price."""
    killed, other = Keeper(world, FileStore(path), "one"), Keeper(world, FileStore(path), "two")
    killed.signer.limits = Limits(patience_seconds=0.2)
    guard = Guard("liquidator", FileStore(path), killed.signer)
    actions = killed.job.decide(killed.job.observe(world.chain.block()))
    assert guard.claimed(actions, world.chain.block()) == actions
    assert other.once()
    assert other.said() == []
    time.sleep(0.6)
    assert other.once()
    assert other.said() == ["closed out"]


def test_work__taken_over_while_it_was_prepared__nothing_is_sent(
    world: World, sick: Plimsoll, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its nodes stalled for longer than it had claimed it for."""
    slow, quick = Keeper(world, FileStore(path), "one"), Keeper(world, FileStore(path), "two")
    slow.signer.limits = Limits(patience_seconds=0.1)
    slow.runner.guard = Guard("liquidator", FileStore(path), slow.signer)

    def overtaken() -> None:
        time.sleep(0.3)
        assert quick.once()

    Between(slow, overtaken, monkeypatch)
    slow.once()
    assert quick.said() == ["closed out"]
    assert "closed out" not in slow.said()
    assert slow.signer.account.outcomes == {}


# --- one sender an address -----------------------------------------------------------------------------------------


def test_same_key_twice__one_works_and_the_other_stands_by(world: World, sick: Plimsoll, path: Path) -> None:
    one, two = Keeper(world, FileStore(path)), Keeper(world, FileStore(path))
    assert one.once()
    assert two.once()
    assert (one.said(), two.said()) == (["closed out"], ["standby"])
    assert two.runner.guard.is_standby
    one.runner.end()
    world.tick(1, {ETH: 2_700 * WAD})
    two.once()
    assert two.said()[:2] == ["standby", "takes over"]
    assert "absorbed" in two.said()


HOLDING = """
import sys
from pathlib import Path
from plimsoll.keepers.store import FileStore
print([FileStore(Path(sys.argv[1])).lease(name, 60) for name in sys.argv[2:]], flush=True)
input()
"""


def test_same_key_again__after_a_kill__works_at_once_on_what_the_killed_one_had_not_claimed(
    world: World, sick: Plimsoll, path: Path
) -> None:
    """Its address is free as soon as it is seen to be gone; what it may have sent for its work isn't seen so soon."""
    keeper = Keeper(world, FileStore(path))
    claimed = world.trader("claimed", 2_000)
    world.tick(1, {ETH: 3_000 * WAD})
    world.open(claimed, "ETH", "10")
    world.tick(1, {ETH: 2_870 * WAD})
    names = [f"sender:{keeper.signer.address.lower()}", f"work:account:{claimed.account():x}"]
    command = [sys.executable, "-c", HOLDING, str(path), *names]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "[True, True]\n"
        keeper.once()
        assert keeper.said() == ["standby"]
        process.kill()
    keeper.once()
    assert keeper.said() == ["standby", "takes over", "closed out"]
    assert world.core.liquidator.isLiquidatable(claimed.account())
    assert not world.core.liquidator.isLiquidatable(sick.account())


def test_lease_lost_meanwhile__nothing_is_sent(
    world: World, sick: Plimsoll, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that slept for minutes wakes up, and another has taken over from its address."""
    one = Keeper(world, FileStore(path))
    sender = f"sender:{one.signer.address.lower()}"

    def steal() -> None:
        one.runner.guard.store.release(sender)  # type: ignore[union-attr]
        FileStore(path).lease(sender, 60)

    Between(one, steal, monkeypatch)
    before = len(world.node.sent)
    assert not one.once()
    assert len(world.node.sent) == before
    assert one.said() == ["trouble"]


# --- the store -----------------------------------------------------------------------------------------------------


def test_store_away__nothing_is_sent__and_all_goes_on_when_it_is_back(
    world: World, sick: Plimsoll, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(path)
    keeper = Keeper(world, store)

    def fail(*_: object) -> Any:
        raise StoreUnavailable("gone")

    before = len(world.node.sent)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_do", fail)
        assert not keeper.once()
        assert not keeper.once()
        assert not keeper.runner.guard.store_is_up
    assert len(world.node.sent) == before
    assert keeper.once()
    assert keeper.said() == ["trouble", "closed out", "recovered"]


# --- the circuit breaker -------------------------------------------------------------------------------------------


class Looks(Checks):
    """Finds what a test says."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.balance = self.cash = self.totals = self.eth_price = None
        self.disagreements = 0

    def look(self, block: Block) -> None:
        if self.error is not None:
            raise self.error


def test_breaker__sums_are_wrong__stops_every_keeper_until_it_is_reset(
    world: World, sick: Plimsoll, path: Path
) -> None:
    one = Keeper(world, FileStore(path), "one", Looks(Broken("block 7: the ledger is off by 5 dollars")))
    two = Keeper(world, FileStore(path), "two", Looks(None))
    before = len(world.node.sent)
    assert not one.once()
    assert not two.once()
    assert (one.said(), two.said()) == (["trouble"], ["trouble"])
    assert json.loads(one.output.getvalue())["reason"] == "block 7: the ledger is off by 5 dollars"
    assert len(world.node.sent) == before
    assert one.runner.end() == two.runner.end() == 3

    status = read_status(FileStore(path), world.chain.block())
    assert status.breaker.startswith("opened by liquidator at ")
    assert status.breaker.endswith("the ledger is off by 5 dollars")
    assert "Start the keepers that it halted again" in close_breaker(FileStore(path))
    assert close_breaker(FileStore(path)) == "the circuit breaker is closed already"
    again = Keeper(world, FileStore(path), "one")
    assert again.once()
    assert again.said() == ["closed out"]


def test_breaker__without_a_store__stops_this_keeper(world: World, sick: Plimsoll) -> None:
    keeper = Keeper(world, None, checks=Looks(Broken("wrong")))
    assert not keeper.once()
    keeper.runner.guard.checks = None
    assert not keeper.once()
    with pytest.raises(Halted, match="wrong"):
        keeper.runner.guard.watch(world.chain.block())


def test_nodes_that_disagree__stop_nothing_for_good(world: World, sick: Plimsoll) -> None:
    looks = Looks(RpcUnavailable("block 5 is not the same"))
    keeper = Keeper(world, None, checks=looks)
    assert not keeper.once()
    looks.error = None
    assert keeper.once()
    assert keeper.said() == ["trouble", "closed out", "recovered"]


# --- gas -----------------------------------------------------------------------------------------------------------


def test_balance__low__is_said_once__and_when_it_is_restored(world: World) -> None:
    signer = world.signer("keeper")
    checks = Checks(world.contracts, world.chain.block(0).hash, signer, often=Often(nodes=0, sums=0, low_balance=WAD))
    keeper = Keeper(world, None, checks=checks)
    for balance in (5 * WAD, WAD - 1, 7, WAD):
        world.evm.set_balance(signer.address, balance)
        world.evm.block_number += 1
        assert keeper.once()
    lines = [json.loads(line) for line in keeper.output.getvalue().splitlines()]
    assert [(line["event"], line["ether"]) for line in lines] == [
        ("balance low", "0.999999999999999999"),
        ("balance restored", "1"),
    ]
    assert checks.cash == 0


# --- being seen ----------------------------------------------------------------------------------------------------


def test_status__of_keepers__says_who_is_ill(
    world: World, sick: Plimsoll, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(path)
    assert read_status(store, world.chain.block()) == Status((), "")
    show_status(read_status(store, world.chain.block()))
    assert "no keeper has written into this store" in capsys.readouterr().out
    keeper = Keeper(world, store)
    keeper.once()
    [seen] = read_status(store, world.chain.block()).keepers
    assert (seen.job, seen.state, seen.address, seen.behind) == ("liquidator", "working", keeper.signer.address, 1)
    assert read_status(store, world.chain.block()).is_well
    world.evm.advance(20, 20)
    [seen] = read_status(store, world.chain.block()).keepers
    assert seen.state == "21 blocks behind"
    now = store.now()
    monkeypatch.setattr(store, "now", lambda: now + 100)
    status = read_status(store, world.chain.block())
    assert status.keepers[0].state.startswith("silent for 1")
    assert not status.is_well
    show_status(status)
    assert "silent for 1" in capsys.readouterr().out
    keeper.runner.end()
    assert read_status(store, world.chain.block()).keepers == ()
