"""A devnet whose seconds are short, keepers as processes, and a door in front of the node that can be shut."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plimsoll.chain.rpc import RpcClient
from plimsoll.chain.transactions import Reverted
from plimsoll.core.units import from_wad
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.deployments import load

T = TypeVar("T")

PATIENCE = 30.0
"""Of a machine that has other things to do as well; nothing waits so long that works."""
SECOND = 0.25
"""How long a second of the chain takes here: keepers go by the chain's time alone."""


def asked(ask: Callable[[], T]) -> T:
    """What `ask` says of the chain. While the next block is mined anvil may answer with its state at the old time, from
    which the contracts reckon backwards and panic: asked again.
    """
    for _ in range(20):
        try:
            return ask()
        except Reverted as error:
            if "Panic" not in error.reason:
                raise
            time.sleep(0.05)
    raise AssertionError("the node answers with a panic, again and again")


def until(what: str, check: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `check` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := asked(check)):
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.05)
    return found


class Bot:
    """A keeper's process and what it printed."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
        )
        self.lines: list[dict[str, Any]] = []
        self.others: list[str] = []
        """What it printed beside them."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.append(json.loads(line))
            else:
                self.others.append(line)

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def wait_for(self, event: str, count: int = 1, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """Until it has said something so often; at once an error where it has ended."""

        def check() -> bool:
            assert self.process.poll() is None or len(self.said(event)) >= count, self.errors()
            return len(self.said(event)) >= count

        until(f"{event} × {count} in {self.lines}", check, seconds)
        return self.said(event)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return f"it ended with {self.process.wait()}: {self.process.stderr.read()}"

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self._reader.join(2)
        return code

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(2)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class Door:
    """A port in front of the node. While it is shut connections are refused, and those that stood are cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._sockets: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.open()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(32)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._sockets.discard(one)


class Miner:
    """Mines one block after the other: of a second each, and every `SECOND`, unless a test says otherwise."""

    def __init__(self, devnet: Devnet) -> None:
        self._rpc = RpcClient(devnet.node.url)
        self._time = devnet.now
        self._stop = threading.Event()
        self.paused = False
        self.wait = SECOND
        """Between blocks, as the machine sees it."""
        self.block_time = 1
        """The same as the chain sees it, seconds."""
        self._rpc.call("evm_setAutomine", False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(self.wait):
            if self.paused:
                continue
            self._time += self.block_time
            self._rpc.batch([("evm_setNextBlockTimestamp", [self._time]), ("evm_mine", [])])

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        self._rpc.close()


class Stage:
    """A devnet, its prices in a file that the publisher reads, and the keepers that run on it."""

    def __init__(self, devnet: Devnet, folder: Path, miner: Miner) -> None:
        self.devnet = devnet
        self.miner = miner
        self.folder = folder
        self.bots: list[Bot] = []
        self.prices = folder / "prices.json"
        self.deployment = load(devnet.manifest_path)
        self._sent_at_boot = {name: self._nonce(name) for name in devnet.signers}
        self._booted = devnet.chain.block_number
        self.set_prices(devnet.prices)

    def set_prices(self, prices: dict[str, int]) -> None:
        """WAD dollars by market, from the publisher's next look on."""
        self.devnet.prices.update(prices)
        text = json.dumps({name: f"{from_wad(price):f}" for name, price in self.devnet.prices.items()})
        temporary = self.folder / "prices.new"
        temporary.write_text(text)
        temporary.replace(self.prices)

    def client(self, name: str) -> Plimsoll:
        """A named account's client, to the node itself."""
        contracts = self.deployment.on(self.devnet.chain)
        return Plimsoll(self.devnet.chain, contracts, self.devnet.signers[name], markets=self.deployment.markets)

    def pass_seconds(self, seconds: int) -> None:
        """Until so many seconds have passed on the chain."""
        then = self.devnet.now + seconds
        until("time passes", lambda: self.devnet.now >= then)

    def start(self, job: str, account: str, *, uri: str | None = None, **options: Any) -> Bot:
        """A keeper that sends from a named account, once it says that it has started."""
        given = {
            "job": job,
            "uri": uri or self.devnet.node.url,
            "deployment": str(self.devnet.manifest_path),
            "prices": str(self.prices),
            **options,
        }
        bot = Bot(
            [sys.executable, "-m", "tests.integration.keepers.process", json.dumps(given)],
            env={**os.environ, "KEY": self.devnet.signers[account].key},
        )
        self.bots.append(bot)
        bot.wait_for("started")
        return bot

    def reverted(self, account: str) -> list[str]:
        """Transactions of an account that were mined and reverted: what it paid for nothing."""
        chain, address = self.devnet.chain, self.devnet.signers[account].address.lower()
        blocks = chain.rpc.batch(
            [("eth_getBlockReceipts", [hex(number)]) for number in range(self._booted + 1, chain.block_number + 1)]
        )
        return [
            receipt["transactionHash"]
            for receipts in blocks
            for receipt in receipts
            if receipt["from"].lower() == address and int(receipt["status"], 16) == 0
        ]

    def sent_by(self, account: str, block: str = "latest") -> int:
        """How many transactions of an account were mined since the boot; with "pending" those under way, too."""
        return self._nonce(account, block) - self._sent_at_boot[account]

    def _nonce(self, account: str, block: str = "latest") -> int:
        return self.devnet.chain.nonce(self.devnet.signers[account].address, block)


@pytest.fixture
def stage(built: None, tmp_path: Path) -> Iterator[Stage]:
    with boot_devnet(folder=tmp_path) as devnet:
        miner = Miner(devnet)
        stage = Stage(devnet, tmp_path, miner)
        try:
            yield stage
        finally:
            for bot in stage.bots:
                bot.kill()
            miner.stop()


@pytest.fixture
def door(stage: Stage) -> Iterator[Door]:
    door = Door(stage.devnet.node.port)
    yield door
    door.shut()
