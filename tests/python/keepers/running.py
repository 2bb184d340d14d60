"""Rounds of a keeper in this process, and what it logged."""

from __future__ import annotations

import io
import json
import threading
from typing import Any

from plimsoll.chain.transactions import Signer
from plimsoll.keepers.runner import Job, Log, Pace, Runner
from tests.support.deployment import World

QUICK = Pace(poll=0.0, idle=0.0, first_wait=0.001, max_wait=0.004)


class Ran:
    """A runner over a world's node, round by round."""

    def __init__(self, world: World, job: Job[Any, Any], signer: Signer | None, *, dry_run: bool = False) -> None:
        self.world = world
        self.output = io.StringIO()
        self.stop = threading.Event()
        log = Log(job.name, self.output)
        self.runner = Runner(job, world.chain, signer, dry_run=dry_run, pace=QUICK, log=log, stop=self.stop)
        self.said = 0

    def round(self) -> list[dict[str, Any]]:
        """One round at the present block; what it logged."""
        self.runner.round(self.world.chain.block())
        return self.new()

    def new(self) -> list[dict[str, Any]]:
        """Lines since the last call."""
        lines = [json.loads(line) for line in self.output.getvalue().splitlines()]
        fresh, self.said = lines[self.said :], len(lines)
        return fresh


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines]
