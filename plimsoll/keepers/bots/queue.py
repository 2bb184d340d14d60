"""A queue in Redis at which workers wait: `SILVERBACK_BROKER_CLASS=plimsoll.keepers.bots.queue:TaskQueue`.

taskiq-redis's own ends a worker that has no task for five seconds, or whose Redis is away for a moment; and each start
costs seconds in which nobody works. This one waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ape.logging import logger
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from taskiq_redis import ListQueueBroker

ASK_SECONDS = 2
"""How long Redis holds a question, below the 5 s after which a connection counts as dead."""
AWAY_SECONDS = 0.5
"""Between attempts while it is away."""


class TaskQueue(ListQueueBroker):
    """A list in Redis, as in `ListQueueBroker`."""

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """Tasks as they come."""
        is_away = False
        while True:
            try:
                async with Redis(connection_pool=self.connection_pool) as connection:
                    found = await connection.brpop([self.queue_name], timeout=ASK_SECONDS)
            except (RedisConnectionError, RedisTimeoutError) as error:
                if not is_away:
                    logger.warning(f"no tasks: {error}; is Redis running?")
                is_away = True
                await asyncio.sleep(AWAY_SECONDS)
                continue
            is_away = False
            if found is not None:
                task = found[1]
                yield task if isinstance(task, bytes) else task.encode()
