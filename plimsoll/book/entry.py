"""Running the book as a process: what it starts from, its loops, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from plimsoll.book.engine import Engine
from plimsoll.book.facts import Facts, Terms
from plimsoll.book.matcher import OnChain
from plimsoll.book.service import build_app
from plimsoll.book.settle import Settler, shown
from plimsoll.book.store import Store
from plimsoll.book.venue import Venue
from plimsoll.book.watch import Watcher
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import to_wad
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.signing import Domain
from plimsoll.sdk.snapshots import read_markets

MAX_WAIT_SECONDS = 15.0
GRACE_SECONDS = 5
"""For requests that are being answered when it stops."""

Log = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Options:
    """Where it listens, what it writes to, and how often it looks at the chain."""

    store: Path
    host: str = "127.0.0.1"
    port: int = 8645
    """0 for any that is free."""
    poll_seconds: float = 0.5
    terms: Mapping[int, Terms] = field(default_factory=dict)


def terms_from(
    contracts: Contracts,
    markets: Mapping[str, int],
    *,
    ticks: Mapping[str, str],
    lots: Mapping[str, str],
    least: Mapping[str, str],
) -> dict[int, Terms]:
    """Each market's terms, by what was named for it: decimal text by market name. Raises UserError."""
    for named in (ticks, lots, least):
        for name in named:
            if name not in markets:
                raise UserError(f"there is no market {name}; there are {', '.join(markets)}")
    snapshots = read_markets(contracts, contracts.chain.block())
    default, found = Terms(), {}
    for name, market_id in markets.items():
        if market_id not in snapshots:
            continue
        tick = to_wad(ticks[name], what="tick") if name in ticks else default.tick
        lot = to_wad(lots[name], what="lot") if name in lots else default.lot
        minimum = snapshots[market_id].configuration.rules.min_position
        minimum = to_wad(least[name], what="least notional") if name in least else minimum
        if tick <= 0 or lot <= 0 or minimum < 0:
            raise UserError(f"{name}: tick and lot are more than zero, and the least notional is not negative")
        found[market_id] = Terms(tick, lot, minimum)
    return found


def run_book(contracts: Contracts, signer: Signer | None, options: Options, log: Log) -> int:
    """Until SIGINT or SIGTERM. Without a signer nothing is settled. Returns the exit code, or raises UserError."""
    if signer is not None and not signer.balance:
        raise UserError(f"book: {signer.address} has no ETH to pay for gas")
    return asyncio.run(_run(contracts, signer, options, log))


def identity_of(contracts: Contracts) -> str:
    """What a store belongs to."""
    chain = contracts.chain
    return f"chain {chain.chain_id} {chain.block(0).hash} order book {contracts.order_book.address}"


async def _run(contracts: Contracts, signer: Signer | None, options: Options, log: Log) -> int:
    with contextlib.closing(Store(options.store, identity_of(contracts))) as store:
        domain = Domain(contracts.chain.chain_id, contracts.order_book.address)
        engine = Engine(Facts(domain), store.load(), is_taken=store.has)
        watcher = Watcher(contracts, options.terms)
        _catch_up(watcher, engine)
        venue = Venue(engine, store, watcher)
        await venue.committer.flush()
        with _listening(options.host, options.port) as listener:
            port = listener.getsockname()[1]
            log("started", url=f"http://{options.host}:{port}", store=str(options.store), orders=len(engine.orders))
            await Process(venue, watcher, _settler(contracts, signer, venue, watcher, log), options, log).run(listener)
        await venue.committer.flush()
    log("stopped")
    return 0


def _catch_up(watcher: Watcher, engine: Engine) -> None:
    """The facts as of now, and what happened while nobody watched."""
    news = watcher.poll(engine.facts, engine.orders, engine.open.accounts())
    assert news is not None
    watcher.apply(news, engine)
    watcher.check_live(engine)


def _settler(contracts: Contracts, signer: Signer | None, venue: Venue, watcher: Watcher, log: Log) -> Settler | None:
    if signer is None:
        return None

    async def refresh(accounts: Any) -> None:
        venue.facts.accounts.update(await asyncio.to_thread(watcher.read_accounts, accounts))

    matcher = OnChain(contracts.order_book, signer)

    def say(event: str, **fields: Any) -> None:
        log(event, **shown(fields))

    return Settler(venue.engine, matcher, venue.committer.flush, log=say, refresh=refresh)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A port of our own. Raises UserError where it can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(256)  # who connects from now on waits until it is served
        except OSError as error:
            raise UserError(f"can't listen on {host}:{port}: {error.strerror or error}") from None
        yield listener


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Process:
    """The loops: requests, blocks, settlement. The first of them that can't go on ends all."""

    def __init__(self, venue: Venue, watcher: Watcher, settler: Settler | None, options: Options, log: Log) -> None:
        self.venue = venue
        self.watcher = watcher
        self.settler = settler
        self.options = options
        self.log = log
        self.stop = asyncio.Event()

    async def run(self, listener: socket.socket) -> None:
        """Until a signal. Raises UserError where it can't go on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)
        config = uvicorn.Config(
            build_app(self.venue),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = _Server(config)
        loops: list[Coroutine[Any, Any, None]] = [self._watch(), self._check_disk()]
        if self.settler is not None:
            loops.append(self._settle(self.settler))
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.serve([listener]))
                for one in loops:
                    group.create_task(self._ending(one))
                await self.stop.wait()
                server.should_exit = True
                await serving
        except* UserError as errors:
            server.should_exit = True
            raise UserError(str(errors.exceptions[0])) from None
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def _ending(self, loop: Coroutine[Any, Any, None]) -> None:
        """A loop that can't go on ends the process."""
        try:
            await loop
        finally:
            self.stop.set()

    async def _check_disk(self) -> None:
        while not await self._pause(0.5):
            if self.venue.committer.trouble is not None:
                raise self.venue.committer.trouble

    async def _watch(self) -> None:
        """Each block's news into the facts."""
        failures = 0
        while not await self._pause(self._wait(failures)):
            engine = self.venue.engine
            try:
                news = await asyncio.to_thread(self.watcher.poll, engine.facts, engine.orders, engine.open.accounts())
            except (RpcUnavailable, RpcError, Reverted) as error:
                failures += 1
                self._say_trouble("node", error)
                continue
            failures = 0
            self._say_trouble("node", None)
            if news is not None:
                self.watcher.apply(news, engine)
                self.venue.saw_block()
                await self.venue.committer.flush()

    async def _settle(self, settler: Settler) -> None:
        """Matches to the chain, as long as there are any."""
        failures, busy = 0, False
        while not await self._pause(0.0 if busy else self._wait(failures)):
            try:
                busy = await settler.round()
                failures = 0
                self._say_trouble("settlement", None)
            except (UserError, RpcError, Reverted) as error:
                if self.venue.committer.trouble is not None:
                    return
                failures, busy = failures + 1, False
                self._say_trouble("settlement", error)

    def _wait(self, failures: int) -> float:
        return min(self.options.poll_seconds * 2.0 ** min(failures, 10), MAX_WAIT_SECONDS)

    async def _pause(self, seconds: float) -> bool:
        """Whether it was told to stop meanwhile."""
        if not seconds:
            await asyncio.sleep(0)
            return self.stop.is_set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)
        return self.stop.is_set()

    def _say_trouble(self, kind: str, error: Exception | None) -> None:
        """Where it is news."""
        troubles = self.venue.troubles
        if error is None:
            if troubles.pop(kind, None):
                self.log("recovered", kind=kind)
            return
        text = " ".join(str(error).split())
        if kind not in troubles:
            self.log("trouble", kind=kind, reason=text)
        troubles[kind] = text
