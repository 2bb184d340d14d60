"""Three jobs as docs/keepers.md runs them: over Redis, with one process that follows the chain and two workers each.

A supervisor starts again whatever ends, as systemd does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from plimsoll.chain.build import ROOT, build_environment
from plimsoll.chain.transactions import Signer
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from tests.soak.ground import Ground
from tests.soak.setting import Setting
from tests.support.guarded import Guarded

JOBS = ("publisher", "executor", "liquidator")
WORKERS = 2
RESTART_SECONDS = 2.0
STOP_SECONDS = 60.0


class Unit:
    """A process that runs again whenever it ends. Workers sign with keys of their own, heads have none."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], signer: Signer | None) -> None:
        self.name = name
        self.signer = signer
        self.kills = 0
        self.ends: list[int] = []
        """Exit codes, where it ended although nobody had killed it."""
        self._command = command
        self._environment = dict(environment)
        self._log = Path(environment["SOAK_LOGS"]) / f"{name}.log"
        self._file: IO[bytes] | None = None
        self._running: Guarded | None = None
        self._start_at = 0.0
        self._read_to = 0
        self.is_up = False
        """Whether it said so since it was started; heads say nothing, and count as up at once."""

    def start(self) -> None:
        self._read_to = self._log.stat().st_size if self._log.exists() else 0
        self._file = self._log.open("ab")
        self._running = Guarded(
            self._command, cwd=ROOT, env=self._environment, stdout=self._file, stderr=subprocess.STDOUT
        )
        self.is_up = self.signer is None

    def look(self, wait: float) -> None:
        """Start it again where it has ended, so many seconds later; notice where it has come up."""
        running = self._running
        if running is None:
            if time.monotonic() >= self._start_at:
                self.start()
        elif running.process.poll() is not None:
            self.ends.append(running.process.returncode)
            self._clear(wait)
        elif not self.is_up:
            with self._log.open("rb") as file:
                file.seek(self._read_to)
                self.is_up = b'"event": "started"' in file.read()

    def kill(self, wait: float) -> None:
        """SIGKILL, and a new start so many seconds later."""
        if self._running is not None:
            self.kills += 1
            self._clear(wait)

    def _clear(self, wait: float) -> None:
        assert self._running is not None
        assert self._file is not None
        self._running.kill()
        self._file.close()
        self._running, self.is_up, self._start_at = None, False, time.monotonic() + wait

    def ask_to_stop(self) -> None:
        if self._running is not None:
            self._running.process.send_signal(signal.SIGTERM)

    def stopped(self, until: float) -> int | None:
        """Its exit code once it has stopped; None where it had to be killed, or wasn't running."""
        if self._running is None:
            return None
        try:
            code: int | None = self._running.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            code = None
        self._clear(0)
        return code

    def lines(self) -> list[dict[str, Any]]:
        """All that its keeper logged."""
        found = []
        for line in self._log.read_text(errors="replace").splitlines() if self._log.exists() else ():
            if line.startswith("{"):
                try:
                    found.append(json.loads(line))
                except ValueError:
                    continue  # killed in the middle of it
        return found


class Fleet:
    """All units. Use as a context manager: nothing of it is left behind."""

    def __init__(self, ground: Ground, setting: Setting) -> None:
        self._wait = RESTART_SECONDS / setting.speed
        self.keepers: dict[str, Signer] = {}
        """By the worker's name."""
        logs = ground.folder / "logs"
        logs.mkdir()
        urls = [node.url for node in ground.nodes]
        common = {
            **os.environ,
            **build_environment(),
            "PLIMSOLL_DEPLOYMENT": str(ground.devnet.manifest_path),
            "PLIMSOLL_STORE": ground.redis.url,
            "PLIMSOLL_PATIENCE_SECONDS": str(setting.patience),
            "PLIMSOLL_PRICE_FILE": str(ground.prices),
            "PLIMSOLL_BEACON_KEYS": ",".join(publisher_keys()),
            "PLIMSOLL_STREAM_KEYS": ",".join(stream_keys()[:STREAM_QUORUM]),
            "SOAK_LOGS": str(logs),
        }
        silverback = str(Path(sys.executable).parent / "silverback")
        network = ["--network", f"optimism:devnet:{ground.devnet.node.url}"]
        self.units: dict[str, Unit] = {}
        for job in JOBS:
            module, shared = f"plimsoll.keepers.bots.{job}", common | _over_redis(ground.redis.url, job)
            for worker in range(WORKERS):
                name = f"{job}-{worker + 1}"
                signer = self.keepers[name] = ground.signer(name)
                nodes = urls if worker % 2 else urls[::-1]
                own = {"PLIMSOLL_KEY": signer.key, "PLIMSOLL_NODES": " ".join(nodes)}
                command = [silverback, "worker", module, *network, "-w", "1"]
                self.units[name] = Unit(name, command, shared | own, signer)
            command = [silverback, "run", module, *network, "--runner", "plimsoll.keepers.bots.heads:HeadRunner"]
            self.units[f"{job}-heads"] = Unit(
                f"{job}-heads", command, shared | {"PLIMSOLL_NODES": " ".join(urls)}, None
            )

    def __enter__(self) -> Fleet:
        for unit in self.units.values():
            unit.start()
        return self

    def __exit__(self, *_: object) -> None:
        for unit in self.units.values():
            unit.kill(0)

    @property
    def is_up(self) -> bool:
        return all(unit.is_up for unit in self.units.values())

    def supervise(self) -> None:
        for unit in self.units.values():
            unit.look(self._wait)

    def kill(self, name: str) -> None:
        self.units[name].kill(self._wait)

    def stop(self) -> dict[str, int | None]:
        """Ask all to stop, and wait: exit codes by unit."""
        for unit in self.units.values():
            unit.ask_to_stop()
        until = time.monotonic() + STOP_SECONDS
        return {name: unit.stopped(until) for name, unit in self.units.items()}

    def said(self) -> Counter[str]:
        """What the workers' logs have, by event."""
        return Counter(line["event"] for unit in self.units.values() for line in unit.lines())

    def refused(self) -> set[str]:
        """Orders that were refused or skipped once: executors come back to them later and later."""
        lines = [line for unit in self.units.values() for line in unit.lines() if "order" in line]
        return {line["order"] for line in lines if line["event"] == "refused" or line.get("outcome") == "skipped"}

    def troubles(self) -> Counter[str]:
        """Their troubles, by kind."""
        lines = [line for unit in self.units.values() for line in unit.lines()]
        return Counter(line["kind"] for line in lines if line["event"] == "trouble")


def _over_redis(url: str, job: str) -> dict[str, str]:
    """As docs/keepers.md has it."""
    return {
        "SILVERBACK_BROKER_CLASS": "plimsoll.keepers.bots.queue:TaskQueue",
        "SILVERBACK_BROKER_KWARGS": json.dumps({"url": url, "queue_name": job}),
        "SILVERBACK_RESULT_BACKEND_CLASS": "taskiq_redis:RedisAsyncResultBackend",
        "SILVERBACK_RESULT_BACKEND_KWARGS": json.dumps({"redis_url": url, "result_ex_time": 600}),
    }
