"""The loop that all keepers share: a plain process that survives its node's outages and stops cleanly.

A round reads a snapshot at the newest block, decides, and acts. While the node is away rounds are tried again, less and
less often; what happened meanwhile is read when it is back. SIGINT and SIGTERM end it after the action in hand.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Protocol, TypeVar, runtime_checkable

from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Block, Chain, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import from_wad

S = TypeVar("S")
A = TypeVar("A", bound="Action")

Fields = Mapping[str, Any]
NODE = "node"


class Action(Protocol):
    """Something a keeper would do."""

    @property
    def key(self) -> Hashable:
        """The same for the same deed in the next round, whatever its forecast is by then."""
        ...

    def describe(self) -> Fields:
        """What a log line says of it; "do" names it."""
        ...


class Job(Protocol[S, A]):
    """One keeper's work."""

    name: str

    def check(self) -> Fields:
        """Before the first round. Returns what the first log line says. Raises UserError where it can't work."""
        ...

    def observe(self, block: Block) -> S:
        """What there is at a block."""
        ...

    def decide(self, snapshot: S) -> list[A]:
        """What to do about it; pure."""
        ...

    def act(self, actions: Sequence[A], log: Log, stop: threading.Event) -> None:
        """Simulate each action and send it if it still does something; return early once `stop` is set."""
        ...


@runtime_checkable
class Withdraws(Protocol):
    """A job that leaves something standing between rounds, outside of the chain, which others can act on."""

    def withdraw(self, why: str, log: Log) -> None:
        """Take it back, without the node's help: the node is lost, or this is the end. Raises nothing."""
        ...


class Log:
    """One JSON object a line: time, keeper, event, and what belongs to it. Amounts are text, never floats."""

    def __init__(self, keeper: str, stream: IO[str] | None = None) -> None:
        self.keeper = keeper
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, event: str, **fields: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "keeper": self.keeper, "event": event} | fields, default=str)
        with self._lock:
            print(line, file=self._stream or sys.stdout, flush=True)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between looks at the node, between rounds without a new block, and the waits of a failing node."""

    poll: float = 0.5
    idle: float = 2.0
    first_wait: float = 0.5
    max_wait: float = 15.0

    def wait(self, failures: int) -> float:
        """How long to wait after so many failures in a row, counted from 1."""
        return min(self.first_wait * 2.0 ** min(failures - 1, 30), self.max_wait)


class Runner:
    """Runs one job until it is told to stop."""

    def __init__(
        self,
        job: Job[Any, Any],
        chain: Chain,
        signer: Signer | None,
        *,
        dry_run: bool = False,
        pace: Pace | None = None,
        log: Log | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Raises UserError where there is nobody to sign and it isn't a dry run."""
        if signer is None and not dry_run:
            raise UserError(f"{job.name}: no key; name one, or use --dry-run, which needs none")
        self.job = job
        self.chain = chain
        self.signer = signer
        self.dry_run = dry_run
        self.pace = pace or Pace()
        self.log = log or Log(job.name)
        self.stop = stop or threading.Event()
        self._unsure = True
        """Whether a transaction of this address may be under way: at the start, and after every trouble."""
        self._trouble = ""
        self._since = 0.0
        self._failures = 0
        self._said: frozenset[Hashable] = frozenset()

    def run(self, rounds: int | None = None) -> int:
        """Until stopped, or for a number of rounds. Returns the exit code. Raises UserError if it can't start."""
        started = dict(self.job.check())
        if not self.dry_run and self.signer is not None:
            started["address"] = self.signer.address
        self.log("started", chain=self.chain.chain_id, dry_run=self.dry_run, **started)
        last, when = "", 0.0
        while not self.stop.is_set() and rounds != 0:
            try:
                block = self.chain.block()
                if block.hash != last or time.monotonic() - when >= self.pace.idle:
                    if rounds is not None:
                        rounds -= 1
                    self.round(block)
                    last, when = block.hash, time.monotonic()
                self._recovered()
            except (RpcUnavailable, RpcError) as error:
                self._failed(NODE, error)
                continue
            except (UserError, Reverted) as error:
                self._failed("blocked", error)
                continue
            if rounds != 0:
                self.stop.wait(self.pace.poll)
        self._withdraw("stopped")
        self.log("stopped")
        return 0

    def round(self, block: Block) -> None:
        """One look at the chain, and what follows from it."""
        if self._unsure and not self.dry_run and not self._settled():
            return
        actions = self.job.decide(self.job.observe(block))
        if self.dry_run:
            self._say(actions)
        elif actions and not self.stop.is_set():
            self._unsure = True
            self.job.act(actions, self.log, self.stop)
            self._unsure = False

    def _settled(self) -> bool:
        """Whether nothing of this address is under way, so that what it did shows in the state."""
        assert self.signer is not None
        self.signer.forget_nonce()
        pending = self.chain.nonce(self.signer.address, "pending")
        mined = self.chain.nonce(self.signer.address, "latest")
        if pending > mined:
            raise UserError(f"{pending - mined} transactions of {self.signer.address} are not mined yet")
        self._unsure = False
        return True

    def _say(self, actions: Sequence[Action]) -> None:
        """A dry run's output: each action once for as long as it stays due."""
        due = {(type(action), action.key): action for action in actions}
        for key, action in due.items():
            if key not in self._said:
                self.log("would", **action.describe())
        self._said = frozenset(due)

    def _failed(self, kind: str, error: Exception) -> None:
        """Say it where it is news, and wait."""
        trouble = kind if kind == NODE else f"{kind}: {error}"
        if trouble != self._trouble:
            if not self._trouble:
                self._since, self._failures = time.monotonic(), 0
            self.log("trouble", kind=kind, reason=" ".join(str(error).split()))
            self._trouble = trouble
        self._failures += 1
        self._unsure = True
        self._withdraw(kind)
        self.stop.wait(self.pace.wait(self._failures))

    def _withdraw(self, why: str) -> None:
        if not self.dry_run and isinstance(self.job, Withdraws):
            self.job.withdraw(why, self.log)

    def _recovered(self) -> None:
        if self._trouble:
            self.log("recovered", seconds=round(time.monotonic() - self._since, 1))
            self._trouble, self._failures = "", 0


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop` instead of ending the process."""

    def handler(number: int, frame: object) -> None:
        stop.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def run_until_signalled(make: Callable[[threading.Event], Runner]) -> int:
    """Run a keeper as a process: build it, then run it until a signal. Returns the exit code."""
    stop = threading.Event()
    with stopping(stop):
        return make(stop).run()


def shown(wad: int) -> str:
    """WAD as exact decimal text."""
    return f"{from_wad(wad):f}"


def account_shown(account: int) -> str:
    """An account id as logs have it."""
    return f"{account:#066x}"
