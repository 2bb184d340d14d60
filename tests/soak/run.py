"""A soak from its beginning to its end: the loop that mines, moves prices, lets the crowd trade and things go wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError
from plimsoll.index.follow import Index
from plimsoll.index.mirror import Mirror, MirrorBroken
from plimsoll.index.store import open_store
from plimsoll.keepers.operating import Operating
from plimsoll.sdk.contracts import Contracts
from tests.soak.crowd import Crowd
from tests.soak.faults import Fault, Faults, plan
from tests.soak.fleet import Fleet
from tests.soak.ground import Ground, standing
from tests.soak.prices import path
from tests.soak.setting import BLOCK_SECONDS, Setting
from tests.soak.verdict import Verdict, judge

START_SECONDS = 240.0
"""Nine processes of ape's and Silverback's, each some 9 s of a core."""
SETTLE_BLOCKS = 90
"""After the run, without traders and faults."""
FRESH_SECONDS = 15
FOLLOW_SECONDS = 1.0

Tell = Callable[[str], None]


@dataclass
class Ran:
    """What happened, for the verdict: block numbers, and what units and faults did."""

    setting: Setting
    first: int = 0
    last: int = 0
    end: int = 0
    """The run's first and last block, and the last of all."""
    fresh: dict[int, int] = field(default_factory=dict)
    """By market: a block while all settled in which its price was recorded, so that nothing but an order keeps it."""
    seconds: float = 0.0
    """The machine's, from the first to the last block."""
    late_blocks: int = 0
    """Mined later than they should have been by more than half of the wait."""
    faults: list[Fault] = field(default_factory=list)
    exits: dict[str, int | None] = field(default_factory=dict)
    follower_troubles: int = 0
    follower_rebuilds: int = 0
    """How often events were missing, and the index was read anew."""


def soak(setting: Setting, folder: Path, tell: Tell = lambda line: None) -> Verdict:
    """Run it and judge it. Everything that it starts is gone when it returns or raises."""
    with standing(folder) as ground:
        ran = Ran(setting)
        with open_store(":memory:") as store:
            own = Index(ground.contracts, store)
            crowd = Crowd(ground, lambda: own.mirror, setting.accounts, setting.seed)
            crowd.deposit_all()
            tell(f"{setting.accounts} accounts have money; starting the keepers")
            with _following(ground, folder, ran) as follower, Fleet(ground, setting) as fleet:
                faults = Faults(ground, fleet, plan(setting.seed, setting.blocks, sorted(fleet.units)))
                loop = _Loop(ground, crowd, own, fleet, faults, ran, tell)
                loop.warm_up()
                loop.run()
                loop.settle()
                ran.exits = fleet.stop()
                ground.mine()
                ran.end = ground.block.number
                faults.close(ran.end)
                ran.faults = faults.happened
                follower.stop()
            return judge(ground, fleet, crowd, ran, follower.mirror, tell)


class _Loop:
    """One block after the other."""

    def __init__(
        self, ground: Ground, crowd: Crowd, own: Index, fleet: Fleet, faults: Faults, ran: Ran, tell: Tell
    ) -> None:
        self.ground, self.crowd, self.own, self.fleet, self.faults = ground, crowd, own, fleet, faults
        self.ran, self.tell = ran, tell
        self._wait = ran.setting.block_wait
        self._next = time.monotonic()
        self._prices = path(ran.setting.seed, ran.setting.blocks)
        faults.reorganised = crowd.forget_nonces

    def warm_up(self) -> None:
        """Until all units are up and prices are recorded."""
        deadline = time.monotonic() + START_SECONDS
        while not (self.fleet.is_up and max(self._ages().values()) < FRESH_SECONDS):
            if time.monotonic() > deadline:
                down = [name for name, unit in self.fleet.units.items() if not unit.is_up]
                raise UserError(f"soak: not all is up after {START_SECONDS:g} s: {', '.join(down) or 'no prices'}")
            self._block(0)
        self.ran.first = self.ground.block.number

    def _ages(self) -> dict[int, int]:
        """Of every market's newest price, seconds."""
        oracle, block = self.ground.contracts.oracle, self.ground.block
        ids = sorted(self.ground.deployment.markets.values())
        found = self.ground.contracts.chain.read([oracle.prepare("price", one) for one in ids])
        return {one: block.timestamp - at for one, (_, _, at) in zip(ids, found, strict=True)}

    def run(self) -> None:
        started, blocks = time.monotonic(), self.ran.setting.blocks
        for place in range(blocks):
            self._block(place)
            self.own.update()
            self.crowd.act(place * 1_000 // blocks)
            self.faults.step(place)
            if place % 75 == 0:
                minutes = place * BLOCK_SECONDS // 60
                self.tell(f"{minutes:>4} min of the chain, {time.monotonic() - started:5.0f} s, {self._state()}")
        self.ran.last, self.ran.seconds = self.ground.block.number, time.monotonic() - started

    def settle(self) -> None:
        """Nothing more goes wrong; the keepers finish their work."""
        self.faults.end_all()
        for place in range(SETTLE_BLOCKS):
            self._block(self.ran.setting.blocks - 1)
            self.faults.step(self.ran.setting.blocks)
            if place > SETTLE_BLOCKS // 2:
                for market_id, age in self._ages().items():
                    if age <= BLOCK_SECONDS:
                        self.ran.fresh.setdefault(market_id, self.ground.block.number)

    def _block(self, place: int) -> None:
        """Mine the next one when it is time, at the price of its place in the run."""
        late = time.monotonic() - self._next
        if late < 0:
            time.sleep(-late)
        elif late > self._wait / 2:
            self.ran.late_blocks += 1
            self._next = time.monotonic()
        self._next += self._wait
        self.ground.set_prices(self._prices[place])
        self.ground.mine()
        self.fleet.supervise()

    def _state(self) -> str:
        monitor = self.own.mirror.monitor
        held = sum(1 for one in self.crowd.accounts if any(True for _ in monitor.positions(one)))
        due = len(monitor.liquidatable(self.ground.block.timestamp))
        return f"block {self.ground.block.number}, {held} accounts hold something, {due} can be liquidated"


class Follower:
    """An index as an operator has it: in a file, over the bad nodes, a second at a time."""

    def __init__(self, ground: Ground, path: Path, ran: Ran) -> None:
        self._ground, self._path, self._ran = ground, path, ran
        self._stop = threading.Event()
        self.broken: BaseException | None = None
        self.mirror: Mirror | None = None
        """Of the last block, once it is stopped; None where something else than a node broke it."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        chain: Chain = Operating(nodes=tuple(node.url for node in self._ground.nodes)).chain()
        try:
            contracts, is_done = self._ground.deployment.on(chain), False
            while not is_done:
                is_done = self._followed(contracts)
        except BaseException as error:
            self.broken = error
        finally:
            chain.close()

    def _followed(self, contracts: Contracts) -> bool:
        """Until it is stopped; False where events were missing, and it has to be read anew."""
        path = self._path.with_suffix(f".{self._ran.follower_rebuilds}.duckdb")
        with open_store(path) as store:
            index = Index(contracts, store)
            try:
                while not self._stop.wait(FOLLOW_SECONDS):
                    self._update(index)
                index.update()
            except MirrorBroken:
                self._ran.follower_rebuilds += 1
                return False
            self.mirror = index.mirror
        return True

    def _update(self, index: Index) -> None:
        try:
            index.update()
        except (RpcUnavailable, RpcError):
            self._ran.follower_troubles += 1

    def stop(self) -> None:
        """Read to the newest block, and end."""
        self._stop.set()
        self._thread.join(60)


@contextmanager
def _following(ground: Ground, folder: Path, ran: Ran) -> Iterator[Follower]:
    follower = Follower(ground, folder / "followed.duckdb", ran)
    try:
        yield follower
    finally:
        follower.stop()
