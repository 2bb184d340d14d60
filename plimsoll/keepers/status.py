"""What `ape run keeper status` shows: every keeper that wrote into a store, and the circuit breaker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from plimsoll.chain.transactions import Block
from plimsoll.core.units import format_usd, to_wad
from plimsoll.keepers.guard import BEAT, TRIPPED
from plimsoll.keepers.store import Store

SILENT_SECONDS = 30.0
"""Without a beat for so long a keeper counts as gone."""
BEHIND_BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """A keeper as it last showed itself. `silent`: seconds since then."""

    job: str
    worker: str
    address: str
    is_standby: bool
    block: int
    behind: int
    due: int
    trouble: str
    silent: float
    earned: int = 0
    """WAD dollars since it started, as `gas`."""
    gas: int = 0

    @property
    def state(self) -> str:
        if self.silent > SILENT_SECONDS:
            return f"silent for {self.silent:.0f} s"
        if self.trouble:
            return self.trouble
        if self.behind > BEHIND_BLOCKS:
            return f"{self.behind} blocks behind"
        return "standby" if self.is_standby else "working"

    @property
    def is_well(self) -> bool:
        return self.state in ("working", "standby")


@dataclass(frozen=True, slots=True)
class Status:
    """`breaker`: why it is open, "" while it is closed."""

    keepers: tuple[Seen, ...]
    breaker: str

    @property
    def is_well(self) -> bool:
        """Whether somebody works, and nobody has trouble."""
        return bool(self.keepers) and not self.breaker and all(one.is_well for one in self.keepers)


def read_status(store: Store, head: Block) -> Status:
    """Raises StoreUnavailable."""
    now = store.now()
    found = [_seen(json.loads(text), head, now) for text in store.all(BEAT).values()]
    return Status(tuple(sorted(found, key=lambda one: (one.job, one.worker))), _breaker(store))


def _seen(said: Mapping[str, Any], head: Block, now: float) -> Seen:
    return Seen(
        job=said["job"],
        worker=said["worker"],
        address=said["address"],
        is_standby=said["standby"],
        block=said["block"],
        behind=max(0, head.number - said["block"]),
        due=said["due"],
        trouble=said["trouble"],
        silent=max(0.0, now - said["at"]),
        earned=to_wad(said.get("earned", 0)),
        gas=to_wad(said.get("gas", 0)),
    )


def _breaker(store: Store) -> str:
    note = store.get(TRIPPED)
    if note is None:
        return ""
    said = json.loads(note)
    at = datetime.fromtimestamp(said["at"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"opened by {said['by']} at {at}: {said['why']}"


def show_status(status: Status) -> None:
    """A table on stdout; the breaker above it where it is open."""
    console = Console(highlight=False, width=160)
    if status.breaker:
        console.print(f"circuit breaker {status.breaker}", markup=False)
    if not status.keepers:
        console.print("no keeper has written into this store")
        return
    table = Table(box=None, pad_edge=False)
    numbers = ("block", "behind", "due", "earned", "gas")
    for name in ("job", "state", *numbers, "address", "worker"):
        table.add_column(name, justify="right" if name in numbers else "left")
    for one in status.keepers:
        figures = (str(one.block), str(one.behind), str(one.due), format_usd(one.earned), format_usd(one.gas))
        table.add_row(one.job, one.state, *figures, one.address, one.worker)
    console.print(table)


def close_breaker(store: Store) -> str:
    """What was done. Keepers that are halted have to be started again."""
    why = _breaker(store)
    if not why:
        return "the circuit breaker is closed already"
    store.put(TRIPPED, None)
    return f"closed; it was {why}. Start the keepers that it halted again"
