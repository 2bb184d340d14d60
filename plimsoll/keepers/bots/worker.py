"""A worker's part of a bot: the loop of one job, which a task for each block drives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from plimsoll.keepers.entry import Start, make_runner
from plimsoll.keepers.runner import Job, Runner
from plimsoll.keepers.serving import serving

Make = Callable[[Start], Job[Any, Any]]


class Worker:
    """Built when the first task comes. A round at a time: a block that comes meanwhile is looked at right after."""

    def __init__(self, start: Callable[[], Start], make: Make) -> None:
        self._start = start
        self._make = make
        self._guard = threading.Lock()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._open = ExitStack()
        self._runner: Runner | None = None

    def runner(self) -> Runner:
        """Raises UserError where the job can't start."""
        if self._runner is None:
            start = self._start()
            runner = make_runner(start, self._make(start), self._stop)
            runner.start()
            if start.ledger is not None:
                self._open.callback(start.ledger.close)
            if port := self._open.enter_context(serving(runner, start.operating.metrics)):
                runner.log("serving", port=port)
            self._runner = runner
        return self._runner

    def wake(self) -> dict[str, int]:
        """There is news: rounds until there is none. At once where another thread has them in hand.

        Gives what Silverback records of a task: numbers.
        """
        self._news.set()
        shown: dict[str, int] = {}
        while self._news.is_set() and not self._stop.is_set() and self._guard.acquire(blocking=False):
            try:
                self._news.clear()
                runner = self.runner()
                runner.once()
                sight = runner.sight
                shown = {"block": sight.block, "due": sight.due, "trouble": int(bool(sight.trouble))}
            finally:
                self._guard.release()
        return shown

    def end(self) -> None:
        """Stop after the action in hand, and give leases back."""
        self._stop.set()
        with self._guard:
            if self._runner is not None:
                self._runner.end()
            self._open.close()
