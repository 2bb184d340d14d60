"""The protocol's ledger as a keeper's process has it: an index of its own, which its job and its checks share.

The index is read on to the block of a round, and its mirror says what every account has. A process keeps its tables in
a file of its own, the first of a folder that nobody else has open, so that a restart reads on where one before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from plimsoll.chain.endpoints import RpcPool
from plimsoll.chain.transactions import Block
from plimsoll.core.errors import UserError
from plimsoll.index.duck import MEMORY, Duck
from plimsoll.index.follow import Index
from plimsoll.index.mirror import Mirror, MirrorBroken
from plimsoll.index.store import Store
from plimsoll.keepers.store import StoreUnavailable
from plimsoll.sdk.contracts import Contracts

FILES = 32
"""As many processes of one machine have a file of their own; further ones, and who may not write, keep it in memory."""
FILE_SETTINGS = {"memory_limit": "512MB", "threads": "1"}
"""Of DuckDB: it is one of several processes, and what it writes are a block's events."""


class Broken(Exception):
    """Something that must hold doesn't: nothing may be sent before a person has found out why."""


def in_memory() -> Store:
    return Store(Duck(Path(MEMORY)))


def in_folder(folder: Path) -> Store:
    """The first file that can be opened; memory where none can."""
    for number in range(1, FILES + 1):
        try:
            return Store(Duck(folder / f"{number}.duckdb", FILE_SETTINGS))
        except UserError:
            continue
    return in_memory()


class Ledger:
    """Not for several threads at once. Opens and reads nothing before it is asked."""

    def __init__(self, contracts: Contracts, open_store: Callable[[], Store] = in_memory) -> None:
        self.contracts = contracts
        self._open = open_store
        self._store: Store | None = None
        self._index: Index | None = None
        self._at = ""
        """The hash of the block that it is as of."""

    @property
    def index(self) -> Index:
        """Raises Broken."""
        if self._index is None:
            self._store = self._store or self._open()
            try:
                self._index = Index(self.contracts, self._store)
            except MirrorBroken:
                self._index = self._anew()
        return self._index

    def at(self, block: Block) -> Mirror:
        """The mirror as of a block; where the node lags behind what was read before, as of that.

        Raises Broken where an event doesn't follow from those before it, RpcUnavailable, StoreUnavailable where the
        tables can't be written: they are opened again the next time.
        """
        if block.hash != self._at:
            with self._written():
                self._read_on(block.number)
            self._at = block.hash
        return self.index.mirror

    def time(self, block: Block) -> int:
        """Of a block, Unix seconds; of what was read before where the node lags behind that."""
        return max([block.timestamp, *(one.last for one in self.index.mirror.markets.values())])

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._index = None
        self._at = ""

    def read_again(self, block: int) -> None:
        """All from the beginning, at another node where there is one: one that lies stops nobody. Raises Broken."""
        self._at = ""
        rpc = self.contracts.chain.rpc
        if isinstance(rpc, RpcPool) and len(rpc.endpoints) > 1:
            rpc.distrust_first()
        try:
            self._index = self._anew()
            self._index.update(block)
        except MirrorBroken as error:
            self._index = None
            raise Broken(f"the events don't follow from each other: {error}") from None

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:  # the disk is full, say
            with suppress(duckdb.Error):
                self.close()
            self._store = self._index = None
            raise StoreUnavailable(f"index: {' '.join(str(error).split())}") from None

    def _read_on(self, block: int) -> None:
        try:
            self.index.update(block)
        except MirrorBroken:
            self.read_again(block)

    def _anew(self) -> Index:
        self._store = self._store or self._open()
        self._store.remove_after(-1)
        return Index(self.contracts, self._store)
