"""The loop: outages, stops, dry runs, and what it says."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Block, Reverted
from plimsoll.core.errors import UserError
from plimsoll.keepers.runner import Log, Pace, Runner, account_shown, run_until_signalled, shown, stopping
from tests.python.keepers.running import QUICK
from tests.support.deployment import World


@dataclass(frozen=True)
class Do:
    what: str

    @property
    def key(self) -> str:
        return self.what

    def describe(self) -> dict[str, Any]:
        return {"do": self.what}


class Scripted:
    """A job whose rounds are told in advance: actions, or an error to raise."""

    name = "scripted"

    def __init__(self, *rounds: Sequence[str] | Exception) -> None:
        self.rounds = list(rounds)
        self.done: list[str] = []
        self.fail: Exception | None = None

    def check(self) -> dict[str, Any]:
        return {"ready": True}

    def observe(self, block: Block) -> Sequence[str]:
        due = self.rounds.pop(0) if self.rounds else []
        if isinstance(due, Exception):
            raise due
        return due

    def decide(self, snapshot: Sequence[str]) -> list[Do]:
        return [Do(one) for one in snapshot]

    def act(self, actions: Sequence[Do], log: Log, stop: threading.Event) -> None:
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self.done += [one.what for one in actions]
        for one in actions:
            log("did", **one.describe())


class Stop(threading.Event):
    """Notes how long it was waited on instead of waiting."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self.waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0)
        return self.is_set()


class Case:
    def __init__(self, world: World, job: Scripted, *, dry_run: bool = False, pace: Pace = QUICK) -> None:
        self.output = io.StringIO()
        self.waits: list[float] = []
        stop = Stop(self.waits)
        self.job = job
        signer = None if dry_run else world.signer("keeper")
        self.runner = Runner(
            job, world.chain, signer, dry_run=dry_run, pace=pace, log=Log(job.name, self.output), stop=stop
        )

    def run(self, rounds: int) -> list[dict[str, Any]]:
        assert self.runner.run(rounds) == 0
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


def said(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines]


def test_run__some_rounds__acts_and_says_what_it_did(world: World) -> None:
    case = Case(world, Scripted(["a"], [], ["b", "c"]))
    lines = case.run(3)
    assert said(lines) == ["started", "did", "did", "did", "stopped"]
    assert case.job.done == ["a", "b", "c"]
    assert lines[0] | {"time": ""} == {
        "time": "",
        "keeper": "scripted",
        "event": "started",
        "chain": 901,
        "dry_run": False,
        "ready": True,
        "address": world.signer("keeper").address,
    }
    assert lines[1]["do"] == "a"


def test_run__node_away__says_so_once_and_waits_longer_and_longer(world: World) -> None:
    away = RpcUnavailable("no answer")
    pace = Pace(poll=0, idle=0, first_wait=1, max_wait=5)
    case = Case(world, Scripted(away, away, RpcError("eth_call", -32000, "busy"), away, away, ["a"]), pace=pace)
    lines = case.run(6)
    assert said(lines) == ["started", "trouble", "did", "recovered", "stopped"]
    assert (lines[1]["kind"], lines[1]["reason"]) == ("node", "no answer")
    assert case.waits[:5] == [1, 2, 4, 5, 5]


def test_run__blocked__says_each_reason_once(world: World) -> None:
    poor, other = UserError("too little ETH"), Reverted(b"", "Foo", {})
    case = Case(world, Scripted(poor, poor, other, other, [], poor, []))
    lines = case.run(7)
    assert said(lines) == ["started", "trouble", "trouble", "recovered", "trouble", "recovered", "stopped"]
    assert [line["reason"] for line in lines if line["event"] == "trouble"] == [
        "too little ETH",
        "Foo()",
        "too little ETH",
    ]


def test_run__trouble_while_acting__looks_for_what_is_under_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(world, Scripted(["a"], ["b"]))
    case.job.fail = RpcUnavailable("gone")
    asked: list[str] = []
    real = world.node._eth_getTransactionCount

    def count(of: str, block: str) -> str:
        asked.append(block)
        return real(of, block)

    monkeypatch.setattr(world.node, "_eth_getTransactionCount", count)
    lines = case.run(2)
    assert said(lines) == ["started", "trouble", "did", "recovered", "stopped"]
    assert asked == ["pending", "latest"] * 2  # at the start, and after the trouble


def test_run__bug__is_not_swallowed(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        Case(world, Scripted(ZeroDivisionError())).run(1)


def test_run__stopped_in_a_round__ends_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(world, Scripted(["a"], ["b"]))
    act = case.job.act

    def act_and_stop(*given: Any) -> None:
        act(*given)
        case.runner.stop.set()

    monkeypatch.setattr(case.job, "act", act_and_stop)
    assert said(case.run(-1)) == ["started", "did", "stopped"]


def test_run__same_block__waits_for_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(world, Scripted(["a"], ["b"]), pace=Pace(poll=0, idle=1_000))
    count = 0
    block = world.chain.block

    def counted(*given: Any) -> Block:
        nonlocal count
        count += 1
        if count == 5:
            world.evm.block_number += 1
        return block(*given)

    monkeypatch.setattr(world.chain, "block", counted)
    case.run(2)
    assert count == 5
    assert case.job.done == ["a", "b"]


def test_dry_run__needs_no_key__and_only_says(world: World) -> None:
    case = Case(world, Scripted(["a", "a"], ["a"], ["a", "b"], [], ["a"]), dry_run=True)
    lines = case.run(5)
    assert [line["do"] for line in lines if line["event"] == "would"] == ["a", "b", "a"]
    assert case.job.done == []
    assert lines[0]["dry_run"] is True


def test_runner__no_key__is_refused(world: World) -> None:
    with pytest.raises(UserError, match="scripted: no key; name one, or use --dry-run"):
        Runner(Scripted(), world.chain, None)


def test_run_until_signalled__sigterm__ends_with_zero(world: World) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def run(stop: threading.Event) -> int:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        log = Log("scripted", io.StringIO())
        return Runner(Scripted(), world.chain, None, dry_run=True, pace=Pace(poll=0.01), log=log, stop=stop).run()

    assert run_until_signalled(run) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_stopping__sigint__sets_the_event() -> None:
    stop = threading.Event()
    with stopping(stop):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.is_set()


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1), (5, 8), (6, 15), (10_000, 15)])
def test_pace__wait__doubles_up_to_a_limit(failures: int, seconds: float) -> None:
    assert Pace().wait(failures) == seconds


def test_shown__is_exact() -> None:
    assert shown(10**18 + 1) == "1.000000000000000001"
    assert account_shown(1 << 96) == "0x" + "0" * 39 + "1" + "0" * 24


def test_log__disk_full_in_the_middle_of_a_line__the_next_line_is_whole() -> None:
    class Disk(io.StringIO):
        room = 1_000

        def write(self, text: str) -> int:
            super().write(text[: self.room])
            if len(text) > self.room:
                raise OSError("no space left on device")
            return len(text)

    disk = Disk()
    heard: list[str] = []
    log = Log("scripted", disk)
    log.listeners.append(lambda event, fields: heard.append(event))
    log("one")
    disk.room = 20
    log("two")
    disk.room = 1_000
    log("three")
    log("four")
    first, cut, *rest = disk.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in (first, *rest)] == ["one", "three", "four"]
    assert len(cut) == 20
    assert heard == ["one", "two", "three", "four"]  # counted all the same
