"""The book as a process: it serves until it is told to stop, and ends where it can't go on."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from plimsoll.book import feed
from plimsoll.book.entry import Options, Process, _listening
from plimsoll.book.settle import Settler
from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from tests.python.book.setting import ModelChain, account_of, learn
from tests.python.book.test_service import A, B, World


class Watcher:
    """Sees nothing new, or fails as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.polls = 0

    def poll(self, *_: Any) -> None:
        self.polls += 1
        if self.error is not None:
            raise self.error


class Running:
    """A process on a free port."""

    def __init__(self, world: World, settler: Settler | None = None) -> None:
        self.world = world
        self.watcher = Watcher()
        self.log: list[tuple[str, dict[str, Any]]] = []
        options = Options(world.store.path, poll_seconds=0.01)
        watcher: Any = self.watcher
        self.process = Process(world.venue, watcher, settler, options, self.say)

    def say(self, event: str, **fields: Any) -> None:
        self.log.append((event, fields))

    def run(self, during: Callable[[int], Awaitable[None]]) -> None:
        """While `during` does something with its port; then it is told to stop."""

        async def both() -> None:
            with _listening("127.0.0.1", 0) as listener:
                port = listener.getsockname()[1]
                running = asyncio.create_task(self.process.run(listener))
                await asyncio.wait_for(during(port), 10)
                self.process.stop.set()
                await asyncio.wait_for(running, 10)

        asyncio.run(both())


async def request(port: int, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """What is answered, over a socket of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    answer = await reader.read()
    writer.close()
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


async def until(check: Callable[[], bool]) -> None:
    while not check():
        await asyncio.sleep(0.01)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path / "book.sqlite")
    yield world
    world.store.close()


def test_run__told_to_stop__served_until_then(world: World) -> None:
    async def during(port: int) -> None:
        assert (await request(port, "POST", "/orders", world.body(A, 5, 0)))["status"] == "open"
        assert (await request(port, "GET", "/health"))["liveOrders"] == 1

    Running(world).run(during)


def test_run__stream__over_a_socket(world: World) -> None:
    async def during(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/stream?channels=depth") as socket:
            assert json.loads(await socket.recv())["type"] == "snapshot"
            await request(port, "POST", "/orders", world.body(A, 5, 0))
            change = json.loads(await socket.recv())
            assert (change["type"], change["bids"][0]["size"]) == ("depth", str(5 * WAD))

    Running(world).run(during)


def test_run__told_to_stop_while_somebody_listens__listener_is_let_go(world: World) -> None:
    running = Running(world)

    async def during(port: int) -> None:
        socket = await connect(f"ws://127.0.0.1:{port}/stream?channels=depth")
        await socket.recv()
        running.process.stop.set()
        await socket.wait_closed()
        assert socket.close_code == 1012

    running.run(during)


def test_run__slow_listener__cut_off_with_1013(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "QUEUE", 2)

    async def during(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/stream?channels=depth") as socket:
            await socket.recv()
            (subscriber,) = world.venue.feed._subscribers
            while subscriber.put("{}"):
                pass
            await socket.wait_closed()
            assert socket.close_code == 1013

    Running(world).run(during)


def test_run__node_away_and_back__said_once_each(world: World) -> None:
    running = Running(world)

    async def during(port: int) -> None:
        running.watcher.error = RpcUnavailable("http://node: does not answer")
        await until(lambda: len(running.log) == 1 and running.watcher.polls > 3)
        running.watcher.error = None
        await until(lambda: len(running.log) == 2)

    running.run(during)
    assert [(event, fields["kind"]) for event, fields in running.log] == [("trouble", "node"), ("recovered", "node")]


def test_run__chain_is_another_one__ends_with_the_reason(world: World) -> None:
    running = Running(world)

    async def during(port: int) -> None:
        running.watcher.error = UserError("its chain is shorter than it was")
        await until(lambda: running.process.stop.is_set())

    with pytest.raises(UserError, match="shorter than it was"):
        running.run(during)


def test_run__disk_full__ends_with_the_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(world)

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async def during(port: int) -> None:
        monkeypatch.setattr(world.store, "commit", full)
        assert (await request(port, "POST", "/orders", world.body(A, 5, 0)))["code"] == "disk"
        await until(lambda: running.process.stop.is_set())

    with pytest.raises(UserError, match="disk is full"):
        running.run(during)


def test_run__bug_in_a_loop__is_not_hidden(world: World) -> None:
    running = Running(world)

    async def during(port: int) -> None:
        running.watcher.error = ZeroDivisionError()
        await until(lambda: running.process.stop.is_set())

    with pytest.raises(ExceptionGroup) as caught:
        running.run(during)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_run__settlement_in_trouble__said_shown_and_tried_again(world: World) -> None:
    chain = ModelChain(world.protocol, world.facts)
    send, tries = chain.send, []

    def poor(sent: Any) -> None:
        tries.append(sent)
        if len(tries) < 2:
            raise UserError("keeper has too little ETH")
        send(sent)

    chain.send = poor  # type: ignore[method-assign]

    async def refresh(accounts: Any) -> None:
        learn(world.facts, world.protocol, accounts)

    settler = Settler(world.engine, chain, world.venue.committer.flush, refresh=refresh)
    running = Running(world, settler)

    async def during(port: int) -> None:
        for number, size in ((A, -5), (B, 5)):
            await request(port, "POST", "/orders", world.body(number, size, 0))
        await until(lambda: len(tries) == 1)
        settler._sent_at = -1e9
        await until(lambda: len(world.engine.pending) == 0 and not world.engine.sent)

    running.run(during)
    assert ("trouble", {"kind": "settlement", "reason": "keeper has too little ETH"}) in running.log
    assert ("recovered", {"kind": "settlement"}) in running.log
    assert world.venue.troubles == {}
    assert world.protocol.position(account_of(B), 1, world.facts.now)[0] == 5 * 10**18


def test_listening__port_taken__says_so() -> None:
    with _listening("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"can't listen on 127.0.0.1:{port}"), _listening("127.0.0.1", port):
            pass
