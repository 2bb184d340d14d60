"""Silverback bots: one process with the broker in memory, and a fleet of workers over Redis of which one is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from plimsoll.chain.build import ROOT, build_environment
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from tests.integration.keepers.conftest import Bot, Stage, until
from tests.integration.keepers.crowd import close_outs, crash, open_positions, unhealthy
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.node

START_SECONDS = 90.0
"""Ape and Silverback take some 9 s of a core to start; several at once on a busy machine take longer."""
RUNNER = ("--runner", "plimsoll.keepers.bots.heads:HeadRunner")


class Fleet:
    """Silverback processes on a stage."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.environment = {
            **os.environ,
            **build_environment(),
            "PLIMSOLL_DEPLOYMENT": str(stage.devnet.manifest_path),
            "PLIMSOLL_STORE": str(folder / "keepers.sqlite"),
            "PLIMSOLL_INDEX_FOLDER": str(folder / "index"),
        }

    def start(self, command: str, job: str, *extra: str, account: str | None = None, **variables: str) -> Bot:
        network = f"optimism:devnet:{self.stage.devnet.node.url}"
        call = [str(Path(sys.executable).parent / "silverback"), command, f"plimsoll.keepers.bots.{job}"]
        key = {} if account is None else {"PLIMSOLL_KEY": self.stage.devnet.signers[account].key}
        bot = Bot([*call, "--network", network, *extra], cwd=ROOT, env={**self.environment, **key, **variables})
        self.stage.bots.append(bot)
        return bot


@pytest.fixture
def fleet(stage: Stage, tmp_path: Path) -> Fleet:
    return Fleet(stage, tmp_path)


def test_bots__one_process_each__publish_and_execute(stage: Stage, fleet: Fleet) -> None:
    """Silverback's broker in memory, and nothing else."""
    publisher = fleet.start(
        "run", "publisher", *RUNNER, account="provider",
        PLIMSOLL_PRICE_FILE=str(stage.prices), PLIMSOLL_BEACON_KEYS=",".join(publisher_keys()),
        PLIMSOLL_STREAM_KEYS=",".join(stream_keys()[:STREAM_QUORUM]),
    )  # fmt: skip
    executor = fleet.start("run", "executor", *RUNNER, account="keeper", PLIMSOLL_METRICS="127.0.0.1:0")
    for bot in (publisher, executor):
        bot.wait_for("started", seconds=START_SECONDS)
    publisher.wait_for("recorded", seconds=30)
    alice = stage.client("alice")
    alice.deposit(10_000)
    assert alice.wait_for(alice.place_market("ETH/USD", 1)).status == "filled"
    executor.wait_for("executed")
    for bot in (publisher, executor):
        bot.process.send_signal(signal.SIGTERM)
    for bot in (publisher, executor):
        assert bot.process.wait(60) == 0
        bot.wait_for("stopped")
        assert bot.process.stderr is not None
        written = json.dumps(bot.lines) + "".join(bot.others) + bot.process.stderr.read()
        for key in (*publisher_keys(), *(stage.devnet.signers[name].key for name in ("provider", "keeper"))):
            assert key.removeprefix("0x").lower() not in written.lower()
    assert stage.sent_by("keeper") == 1


def test_fleet__two_heads_and_two_workers_over_redis__one_of_each_killed__all_is_done_once(
    stage: Stage, fleet: Fleet
) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "carol")
    accounts = open_positions(stage, 12)
    with RedisServer(fleet.folder) as redis:
        fleet.environment |= settings(redis.url)
        workers = {name: fleet.start("worker", "liquidator", "-w", "1", account=name) for name in ("keeper", "bob")}
        heads = [fleet.start("run", "liquidator", *RUNNER) for _ in range(2)]
        for bot in workers.values():
            bot.wait_for("started", seconds=START_SECONDS)
        crash(stage)
        until("somebody has begun", lambda: any(bot.said("closed out") for bot in workers.values()), 40)
        workers["keeper"].kill()
        heads[0].kill()
        workers["keeper"] = fleet.start("worker", "liquidator", "-w", "1", account="keeper")
        workers["keeper"].wait_for("started", seconds=START_SECONDS)
        workers["bob"].process.send_signal(signal.SIGTERM)
        assert workers["bob"].process.wait(60) == 0
        workers["bob"].wait_for("stopped")  # and gave back what it had claimed
        crash(stage, 2_380)
        # by a worker that Silverback's runner never told of anything: it was started long before
        until("all are healthy", lambda: not unhealthy(stage, accounts), START_SECONDS)
        assert stage.reverted("keeper") == stage.reverted("bob") == []
        done = close_outs(stage)
        assert set(done) == set(accounts)
        # nobody was closed out twice at the same record
        assert all(len({one.block_number for one in records}) == len(records) for records in done.values())
        heads[1].process.send_signal(signal.SIGTERM)
        assert heads[1].process.wait(60) == 0


def test_queue__no_task_for_a_while_and_redis_gone__the_worker_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """taskiq-redis's own list ended its worker after five seconds without a task, and with Redis."""
    from plimsoll.keepers.bots import queue

    monkeypatch.setattr(queue, "ASK_SECONDS", 1)

    async def listens(redis: RedisServer) -> bytes:
        broker = queue.TaskQueue(redis.url, queue_name="bot")
        task = asyncio.ensure_future(anext(broker.listen()))
        await asyncio.sleep(1.5)
        redis.stop()
        await asyncio.sleep(0.5)
        redis.start()
        with Redis(port=redis.port) as client:
            client.lpush("bot", b"a round")
        found = await asyncio.wait_for(task, 20)
        await broker.shutdown()
        return found

    with RedisServer(tmp_path) as redis:
        assert asyncio.run(listens(redis)) == b"a round"


def test_heads__first_task_lost_with_its_worker__is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silverback waited for its answer for ever."""
    from silverback.exceptions import StartupFailure
    from silverback.runner import BaseRunner
    from silverback.types import TaskType

    from plimsoll.keepers.bots import heads

    asked: list[TaskType] = []

    async def ask(self: BaseRunner, task: TaskType, *args: object, raise_on_error: bool = True) -> str:
        asked.append(task)
        if len(asked) < 3:
            await asyncio.sleep(60)
        return "the answer"

    monkeypatch.setattr(BaseRunner, "run_system_task", ask)
    monkeypatch.setattr(heads, "ANSWER_SECONDS", 0.05)
    runner = heads.HeadRunner.__new__(heads.HeadRunner)
    assert asyncio.run(runner.run_system_task(TaskType.SYSTEM_CONFIG)) == "the answer"
    assert len(asked) == 3
    monkeypatch.setattr(heads, "ATTEMPTS", 2)
    asked.clear()
    with pytest.raises(StartupFailure, match="no worker did SYSTEM_CONFIG"):
        asyncio.run(runner.run_system_task(TaskType.SYSTEM_CONFIG))


def settings(url: str) -> dict[str, Any]:
    """As docs/keepers.md has it."""
    return {
        "SILVERBACK_BROKER_CLASS": "plimsoll.keepers.bots.queue:TaskQueue",
        "SILVERBACK_BROKER_KWARGS": json.dumps({"url": url, "queue_name": "liquidator"}),
        "SILVERBACK_RESULT_BACKEND_CLASS": "taskiq_redis:RedisAsyncResultBackend",
        "SILVERBACK_RESULT_BACKEND_KWARGS": json.dumps({"redis_url": url, "result_ex_time": 600}),
        "PLIMSOLL_STORE": url,
    }
