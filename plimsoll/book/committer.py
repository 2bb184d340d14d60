"""Group commit: whatever changed while the disk was busy goes into its next write, and is acknowledged by it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from plimsoll.book.engine import Drained, Engine
from plimsoll.book.store import Store
from plimsoll.core.errors import UserError


class Committer:
    """Writes an engine's changes. Once a write failed nothing is acknowledged: the memory is ahead of the disk."""

    def __init__(self, engine: Engine, store: Store, tell: Callable[[Drained], Callable[[], None]]) -> None:
        """`tell` is given what changed, and what it gives back is called once that is on the disk."""
        self.engine = engine
        self.store = store
        self.tell = tell
        self.trouble: UserError | None = None
        self.commits = 0
        self._next: asyncio.Future[None] | None = None
        self._writing: asyncio.Task[None] | None = None

    async def flush(self) -> None:
        """Returns once all changes so far are on the disk. Raises UserError where they can't be."""
        if self.trouble is not None:
            raise self.trouble
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(self._next)

    async def _write(self) -> None:
        """Until nobody waits."""
        try:
            while (done := self._next) is not None:
                self._next = None
                await self._write_one(done)
        finally:
            self._writing = None

    async def _write_one(self, done: asyncio.Future[None]) -> None:
        drained = self.engine.drain()
        rows, told = drained.batch.rows(), self.tell(drained)
        try:
            if self.trouble is None and drained.batch:
                await asyncio.to_thread(self.store.commit, rows)
                self.commits += 1
        except (sqlite3.Error, OSError) as error:
            self.trouble = UserError(f"{self.store.path}: can't be written ({error}); the book stops")
        if self.trouble is not None:
            done.set_exception(self.trouble)
            done.exception()  # nobody may be waiting any more
            return
        self.engine.release(drained.orders)
        told()
        done.set_result(None)
