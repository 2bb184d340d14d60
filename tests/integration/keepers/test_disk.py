"""A disk without room: a limit on what a process may write, set from outside and lifted again.

What a keeper can't write down it doesn't send; it says so where it still can, and goes on by itself.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plimsoll.keepers.store import FileStore
from tests.integration.keepers.conftest import SECOND, Stage, until
from tests.integration.keepers.crowd import close_outs, crash, open_positions, unhealthy

pytestmark = pytest.mark.node


def fill_disk(pid: int) -> None:
    """Nothing of a file can be written any more, by this process."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def make_room(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Filed:
    """A liquidator whose log goes to a file on the same disk as its store."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.store, self._log = folder / "keepers.sqlite", folder / "liquidator.log"
        self._given = {
            "job": "liquidator",
            "uri": stage.devnet.node.url,
            "deployment": str(stage.devnet.manifest_path),
            "store": str(self.store),
            "metrics": "127.0.0.1:0",
            "patience": 1,
        }
        self._environment = {**os.environ, "KEY": stage.devnet.signers["keeper"].key}

    def start(self, **options: Any) -> None:
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.keepers.process", json.dumps(self._given)],
                stdout=log,
                stderr=subprocess.PIPE,
                text=True,
                env=self._environment,
                **options,
            )

    def lines(self) -> list[dict[str, Any]]:
        """Each is whole, or nothing of it is there: with no room at all none is cut."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]

    def get(self, path: str) -> str:
        port = self.said("serving")[-1]["port"]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def sent(self) -> dict[str, str]:
        """What is written down as under way."""
        return {name: text for name, text in FileStore(self.store).all("").items() if ":sent:" in name}


@pytest.fixture
def liquidator(stage: Stage, tmp_path: Path) -> Iterator[Filed]:
    filed = Filed(stage, tmp_path)
    yield filed
    if hasattr(filed, "process"):
        filed.process.kill()
        filed.process.communicate()


def test_disk__full__nothing_is_sent_until_there_is_room(stage: Stage, liquidator: Filed) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "carol")
    accounts = open_positions(stage, 4)
    liquidator.start()
    until("it works", lambda: liquidator.said("serving") and '"working"' in liquidator.get("/health"))
    fill_disk(liquidator.process.pid)
    until("it sees that", lambda: '"ok": false' in liquidator.get("/health"))
    crash(stage)
    until("they are due", lambda: len(unhealthy(stage, accounts)) == 4)
    time.sleep(8 * SECOND)
    assert liquidator.process.poll() is None
    assert stage.sent_by("keeper", "pending") == 0
    assert close_outs(stage) == {}
    health = json.loads(liquidator.get("/health"))
    assert (health["ok"], health["trouble"]) == (False, "store")
    shown = liquidator.get("/metrics")
    assert 'plimsoll_store_up{keeper="liquidator"} 0.0' in shown
    assert 'plimsoll_events_total{event="trouble",keeper="liquidator"} 1.0' in shown  # the line itself is lost
    assert liquidator.sent() == {}

    make_room(liquidator.process.pid)
    until("all are healthy", lambda: not unhealthy(stage, accounts), 30)
    assert {account: len(done) for account, done in close_outs(stage).items()} == dict.fromkeys(accounts, 1)
    assert stage.reverted("keeper") == []
    until("it says so", lambda: len(liquidator.said("closed out")) == 4)
    assert liquidator.said("recovered")
    liquidator.process.terminate()
    assert liquidator.process.wait(10) == 0


def test_disk__full_again_and_again__all_is_done_once(stage: Stage, tmp_path: Path) -> None:
    """Two liquidators with one store; the disk is full at another moment of their work each time."""
    stage.start("publisher", "provider")
    stage.start("executor", "carol")
    accounts = open_positions(stage, 12)
    options: dict[str, Any] = {"store": str(tmp_path / "keepers.sqlite"), "patience": 1}
    bots = [stage.start("liquidator", name, **options) for name in ("keeper", "bob")]
    crash(stage)
    for place in range(8):
        time.sleep(0.07 * place)
        for bot in bots:
            fill_disk(bot.process.pid)
        time.sleep(0.4)
        for bot in bots:
            make_room(bot.process.pid)
    until("all are healthy", lambda: not unhealthy(stage, accounts), 90)  # a claim that couldn't be given back ends
    assert {account: len(done) for account, done in close_outs(stage).items()} == dict.fromkeys(accounts, 1)
    assert stage.reverted("keeper") == stage.reverted("bob") == []
    assert any(line["kind"] == "store" for bot in bots for line in bot.said("trouble"))
    assert [bot.stop() for bot in bots] == [0, 0]


def test_disk__full_at_the_start__is_one_line_and_2(stage: Stage, liquidator: Filed) -> None:
    """A supervisor starts it again until there is room."""
    stage.start("publisher", "provider")
    liquidator.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)))
    _, errors = liquidator.process.communicate(timeout=20)
    assert liquidator.process.returncode == 2
    assert errors.startswith(f"error: store {liquidator.store}: ")
    assert errors.count("\n") == 1
    assert "full" in errors
    liquidator.start()
    until("it works", lambda: liquidator.said("serving") and '"working"' in liquidator.get("/health"))
