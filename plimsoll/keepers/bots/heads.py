"""Silverback's runner over our own nodes: `silverback run … --runner plimsoll.keepers.bots.heads:HeadRunner`.

Silverback's own runners hang on one connection of ape's. This one polls for heads through every node that it is given
(`PLIMSOLL_NODES`), goes on when one is away, and writes no state: there is none that the chain doesn't know better, and
a state file of a chain that was started again, or of a disk that was full, keeps a bot from starting.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from typing import Any

from ape.logging import logger
from redis.exceptions import RedisError
from silverback.exceptions import StartupFailure
from silverback.main import TaskData
from silverback.runner import BaseRunner
from silverback.state import Datastore, StateSnapshot
from silverback.types import SilverbackID, TaskType
from taskiq.exceptions import TaskiqError

from plimsoll.chain.ape_account import chain_of
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Chain
from plimsoll.keepers.operating import Operating

POLL_SECONDS = 0.25
IDLE_SECONDS = 5.0
"""Without a new block a round is asked for all the same: what failed is tried again."""
LOST_SECONDS = 180.0
"""After which a task counts as lost with its worker."""
END_SECONDS = 10.0
"""Until a process that was told to stop is gone, whatever it waits for."""
ANSWER_SECONDS, ATTEMPTS = 5.0, 24
"""The same of the tasks that a start consists of, which are asked for again: they change nothing."""


class NoState(Datastore):
    """Remembers nothing."""

    async def init(self, bot_id: SilverbackID) -> StateSnapshot | None:
        return StateSnapshot(last_block_seen=-1, last_block_processed=-1)

    async def save(self, snapshot: StateSnapshot) -> None:
        pass


class HeadRunner(BaseRunner):
    """Asks for a round at every new head of the first node that answers."""

    def __init__(self, bot: Any, *args: Any, **options: Any) -> None:
        super().__init__(bot, *args, **options)
        self.datastore = NoState()
        operating = Operating.from_environment(os.environ)
        nodes = operating.nodes or (chain_of(bot.provider).rpc.url,)
        self._chain: Chain = replace(operating, nodes=nodes).chain()

    async def run_system_task(self, task_type: TaskType, *args: Any, raise_on_error: bool = True) -> Any:
        """Silverback would wait for ever where the worker that had it in hand was killed, or Redis lost it."""
        for _ in range(ATTEMPTS):
            task = super().run_system_task(task_type, *args, raise_on_error=raise_on_error)
            try:
                return await asyncio.wait_for(task, ANSWER_SECONDS)
            except TimeoutError:
                continue
            except (TaskiqError, RedisError):
                await asyncio.sleep(ANSWER_SECONDS)
        seconds = ATTEMPTS * ANSWER_SECONDS
        raise StartupFailure(f"no worker did {task_type.name} in {seconds:g} s; does one run? does Redis?")

    async def shutdown(self) -> None:
        """There is no state to save and no task for the end: nothing that a worker, gone already, could hold up."""
        await self.bot.broker.shutdown()

    async def _block_task(self, task_data: TaskData) -> None:
        try:
            await self._ask_at_every_head(task_data)
        finally:
            _end_for_sure()

    async def _ask_at_every_head(self, task_data: TaskData) -> None:
        loop = asyncio.get_running_loop()
        last, asked = "", 0.0
        while not self.shutdown_event.is_set():
            try:
                raw = await asyncio.to_thread(self._chain.rpc.call, "eth_getBlockByNumber", "latest", False)
                if raw["hash"] != last or loop.time() - asked > IDLE_SECONDS:
                    last, asked = raw["hash"], loop.time()
                    self._runtime_task_group.create_task(self._ask_for_round(task_data, raw))
            except (RpcUnavailable, RpcError) as error:
                logger.warning(f"no head: {error}")
            await asyncio.sleep(POLL_SECONDS)

    async def _ask_for_round(self, task_data: TaskData, raw: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(self.run_task(task_data, _block(raw)), LOST_SECONDS)
        except TimeoutError:
            logger.warning(f"a round was not finished in {LOST_SECONDS:g} s; was its worker stopped?")
        except (TaskiqError, RedisError) as error:  # the next one is asked for all the same
            logger.warning(f"no round: {' '.join(str(error).split()) or type(error).__name__}; is Redis running?")

    async def _event_task(self, task_data: TaskData) -> None:
        raise NotImplementedError("these bots look at blocks alone")


def _end_for_sure() -> None:
    """A wait for a Redis that was gone meanwhile may not heed its end, and nothing here has to be given back."""
    timer = threading.Timer(END_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _block(raw: dict[str, Any]) -> dict[str, Any]:
    """A block as Silverback hands it on: numbers as such, the rest as hex text."""
    numbers = {"number", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas", "size", "difficulty", "totalDifficulty"}
    return {key: int(value, 16) if key in numbers and isinstance(value, str) else value for key, value in raw.items()}
