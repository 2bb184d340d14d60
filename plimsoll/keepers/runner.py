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
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Protocol, TypeVar, runtime_checkable

from plimsoll.chain.abi import AbiError
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.sending import CarefulSigner
from plimsoll.chain.transactions import Block, Chain, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import from_wad
from plimsoll.keepers.earnings import Earnings
from plimsoll.keepers.guard import Guard, Halted
from plimsoll.keepers.ledger import Broken
from plimsoll.keepers.sight import Sight
from plimsoll.keepers.store import StoreUnavailable

S = TypeVar("S")
A = TypeVar("A", bound="Action")

Fields = Mapping[str, Any]
NODE, STORE, HALTED = "node", "store", "halted"
"""Kinds of trouble: the first two change their words from one failure to the next, and are said once."""
HALTED_EXIT = 3
LANDING_SECONDS = 5.0
"""How long the end waits for what is under way; what isn't mined by then is written down."""


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


@runtime_checkable
class Streams(Protocol):
    """A job whose transactions may be under way while the next round decides: `act` doesn't wait for them."""

    @property
    def is_flying(self) -> bool:
        """Whether something is under way."""
        ...

    def land(self, log: Log) -> Sequence[Any]:
        """Say what became of what was sent. Returns actions that nothing is under way of any more."""
        ...

    def lost(self) -> Sequence[Any]:
        """Nothing of ours is under way any more, whatever we thought. Returns what was."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """Something to watch, for metrics: `plimsoll_<name>`, what it is, and its value now, under labels of its own."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Shows(Protocol):
    """A job that has something of its own to watch."""

    def figures(self) -> Iterable[Figure]:
        """As of its last look at the chain."""
        ...


class Log:
    """One JSON object a line: time, keeper, event, and what belongs to it. Amounts are text, never floats."""

    def __init__(self, keeper: str, stream: IO[str] | None = None) -> None:
        self.keeper = keeper
        self.listeners: list[Callable[[str, Fields], None]] = []
        """Told of every line, with its event and fields: metrics count them."""
        self._stream = stream
        self._before = ""
        """A line's end, where the last line may have been cut."""
        self._lock = threading.Lock()

    def __call__(self, event: str, **fields: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "keeper": self.keeper, "event": event} | fields, default=str)
        with self._lock:
            try:  # a disk that is full stops no keeper: the line is lost, its count is not
                print(self._before + line, file=self._stream or sys.stdout, flush=True)
                self._before = ""
            except OSError:
                self._before = "\n"
        for listener in self.listeners:
            listener(event, fields)


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
        guard: Guard | None = None,
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
        self.guard = guard or Guard(job.name, None, signer)
        self.sight = Sight()
        self.earnings = Earnings()
        self.log.listeners.append(self.earnings.heard)
        if isinstance(signer, CarefulSigner):
            signer.tell = self.log
        self._unsure = True
        """Whether a transaction of this address may be under way: at the start, and after every trouble."""
        self._since = 0.0
        self._failures = 0
        self._said: frozenset[Hashable] = frozenset()
        self._is_low = False
        self._last, self._when = "", 0.0

    def run(self, rounds: int | None = None) -> int:
        """Until stopped, or for a number of rounds. Returns the exit code. Raises UserError if it can't start."""
        self.start()
        until = None if rounds is None else self.sight.rounds + rounds
        while not self.stop.is_set() and self.sight.rounds != until:
            if self.once() and self.sight.rounds != until:
                self.stop.wait(self.pace.poll)
        return self.end()

    def start(self) -> None:
        """Say what it is and does. Raises UserError if it can't."""
        started = dict(self.job.check())
        if not self.dry_run and self.signer is not None:
            started["address"] = self.signer.address
        self.log("started", chain=self.chain.chain_id, dry_run=self.dry_run, **started)

    def end(self) -> int:
        """Leave nothing standing. Returns the exit code: 3 where the breaker was open."""
        self._withdraw("stopped")
        self._bring_down()
        self.guard.leave()
        self.log("stopped")
        return HALTED_EXIT if self.guard.halted else 0

    def once(self) -> bool:
        """A round where there is a new block, or none for a while. False, after a wait, where it failed."""
        try:
            block = self.chain.block()
            if block.hash != self._last or time.monotonic() - self._when >= self.pace.idle:
                self.sight.rounds += 1
                self.round(block)
                self._last, self._when = block.hash, time.monotonic()
            self._recovered()
        except (RpcUnavailable, RpcError, AbiError) as error:  # the last: an answer that makes no sense
            return self._failed(NODE, error)
        except StoreUnavailable as error:
            return self._failed(STORE, error)
        except Broken as error:
            return self._failed(HALTED, self._tripped(error))
        except Halted as error:
            return self._failed(HALTED, error)
        except (UserError, Reverted) as error:
            return self._failed("blocked", error)
        return True

    def round(self, block: Block) -> None:
        """One look at the chain, and what follows from it."""
        started = time.monotonic()
        self.guard.watch(block)
        self._warn()
        self._value_gas()
        self.sight.saw(block)
        self._beat()
        if not self.dry_run and not (self._is_sender() and self._settled()):
            return
        self._land()
        actions = self.job.decide(self.job.observe(block))
        self.sight.due = sum(getattr(one, "claims", None) != () for one in actions)  # what is only left costs nothing
        if self.dry_run:
            self._say(actions)
        elif actions and not self.stop.is_set():
            self._act(actions, block)
        self.sight.took(time.monotonic() - started)

    def _act(self, actions: Sequence[Action], block: Block) -> None:
        """On what nobody else has in hand; what was done until an outage is found out before the next round."""
        self._unsure = True
        if isinstance(self.signer, CarefulSigner) and not self.signer.is_clear():
            return
        ours = self.guard.claimed(actions, block)
        if ours:
            self.job.act(ours, self.log, self.stop)
            if isinstance(self.job, Streams):
                self._land()
            else:
                self.guard.give_back(ours, self.chain.block_number)
        self._unsure = False

    def _land(self) -> None:
        """Give back what is done with of what was under way."""
        if isinstance(self.job, Streams) and (done := self.job.land(self.log)):
            self.guard.give_back(done, self.chain.block_number)

    def _bring_down(self) -> None:
        """At the end: see what is under way mined, if that doesn't take long. Raises nothing."""
        deadline = time.monotonic() + LANDING_SECONDS
        with suppress(RpcUnavailable, RpcError, AbiError, UserError, Reverted):
            while isinstance(self.job, Streams) and self.job.is_flying and time.monotonic() < deadline:
                self._land()
                time.sleep(self.chain.poll_seconds)

    def _tripped(self, error: Broken) -> Halted:
        """The breaker is open: for everybody, where the store can be told."""
        with suppress(StoreUnavailable):
            return self.guard.trip(str(error))
        return Halted(str(error))

    def _warn(self) -> None:
        """That gas will run out, when it is news."""
        checks = self.guard.checks
        if checks is not None and checks.is_low != self._is_low:
            self._is_low = checks.is_low
            self.log("balance low" if self._is_low else "balance restored", ether=shown(checks.balance or 0))

    def _value_gas(self) -> None:
        if isinstance(self.signer, CarefulSigner) and self.guard.checks is not None:
            self.earnings.spent(self.signer.account.fees, self.guard.checks.eth_price)

    def _beat(self) -> None:
        self.guard.beat(**self.sight.shown(), **self.earnings.shown())

    def _is_sender(self) -> bool:
        """Whether nobody else sends from our address; said when it changes."""
        before = self.guard.is_standby
        if self.guard.may_send() and before:
            self.log("takes over")
            self._unsure = True
        elif self.guard.is_standby and not before:
            self.log("standby", reason="another process sends from this address")
        return not self.guard.is_standby

    def _settled(self) -> bool:
        """Whether nothing of this address is under way, so that what it did shows in the state."""
        if not self._unsure:
            return True
        assert self.signer is not None
        if isinstance(self.signer, CarefulSigner):
            if not self.signer.settle():
                return False
            self._land()
            if isinstance(self.job, Streams) and (lost := self.job.lost()):
                self.guard.give_back(lost, self.chain.block_number)
        else:
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

    def _failed(self, kind: str, error: Exception) -> bool:
        """Say it where it is news, and wait. Always False."""
        trouble = kind if kind in (NODE, STORE) else f"{kind}: {error}"
        if trouble != self.sight.trouble:
            if not self.sight.trouble:
                self._since, self._failures = time.monotonic(), 0
            self.log("trouble", kind=kind, reason=" ".join(str(error).split()))
            self.sight.trouble = trouble
        self._failures += 1
        self._unsure = True
        self._withdraw(kind)
        if kind != STORE:
            with suppress(StoreUnavailable):
                self._beat()
        self.stop.wait(self.pace.wait(self._failures))
        return False

    def _withdraw(self, why: str) -> None:
        if not self.dry_run and isinstance(self.job, Withdraws):
            self.job.withdraw(why, self.log)

    def _recovered(self) -> None:
        if self.sight.trouble:
            self.log("recovered", seconds=round(time.monotonic() - self._since, 1))
            self.sight.trouble, self._failures = "", 0


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


def run_until_signalled(run: Callable[[threading.Event], int]) -> int:
    """Run a keeper as a process: what is given runs until the event is set, which a signal does. Its exit code."""
    stop = threading.Event()
    with stopping(stop):
        return run(stop)


def shown(wad: int) -> str:
    """WAD as exact decimal text."""
    return f"{from_wad(wad):f}"


def account_shown(account: int) -> str:
    """An account id as logs have it."""
    return f"{account:#066x}"
