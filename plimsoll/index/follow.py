"""The index follows the chain: all of the past in windows, then what is new; what was reorganised away is taken back.

A block counts as seen by its hash. Each update looks first whether the newest block that it knows is still there; if
not, it goes back until one is, forgets what came after, in the tables and in the mirror, and reads on from there. A
block is read a second time once it lies deep enough, for nodes whose logs come later than their blocks. What a window
brings is written in one transaction, with its last block: a process that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.chain.transactions import Block, Log
from plimsoll.index.mirror import Mirror, MirrorBroken, Settlement
from plimsoll.index.rows import account_text, records_of, row_of
from plimsoll.index.store import Store, StoredBlock, StoredEvent, StoredSettlement
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.history import logs_between

ROOMS = (
    "MarginVault", "PerpMarket", "OrderBook", "Liquidator", "OracleAggregator", "MarketConfigurator", "LiquidityPool",
    "InsuranceFund",
)  # fmt: skip
WINDOW_BLOCKS = 5_000
OVERLAP_BLOCKS = 8
"""How deep a block lies when its events are read a second time: some nodes have logs later than their blocks."""
ATTEMPTS = 5
"""How often a window is read again whose blocks were exchanged meanwhile."""


class Exchanged(Exception):
    """Blocks were exchanged while they were read."""


class Update(NamedTuple):
    """What an update did: blocks `first` to `last` were read; `forgotten`: the last block kept, None for all."""

    first: int
    last: int
    events: int
    forgotten: int | None


class Index:
    """A store that is kept up with a deployment, and the mirror of it. Not for several threads."""

    def __init__(self, contracts: Contracts, store: Store) -> None:
        """Reads what the store has. Raises UserError where that is another deployment's, MirrorBroken."""
        self.contracts = contracts
        self.store = store
        self._rooms: dict[str, tuple[str, Deployed]] = {}
        for name in ROOMS:
            if name in contracts.addresses:
                room = contracts.of(name)
                self._rooms[room.address] = name, room
        store.claim(chain=str(contracts.chain.chain_id), vault=contracts.vault.address.lower())
        self.mirror = self._rebuilt()
        self._sure = max(contracts.from_block - 1, self.block - OVERLAP_BLOCKS)
        """Blocks up to this one were read a second time, or were old when they were read."""

    @property
    def block(self) -> int:
        """The newest block that is in it; one before the deployment's first where none is."""
        tip = self.store.block_back(0)
        return self.contracts.from_block - 1 if tip is None else tip.number

    def update(self, last: int | None = None) -> Update:
        """Read on, up to block `last`, the newest where not given. A node that lags behind changes nothing.

        Raises MirrorBroken, RpcUnavailable where blocks are exchanged all the time.
        """
        is_doubtful = False
        for _ in range(ATTEMPTS):
            try:
                return self._update(last)
            except Exchanged:
                continue
            except MirrorBroken:
                if is_doubtful:
                    raise
                is_doubtful = True  # another node may have read the blocks before it
                self._forget_after(max(self.contracts.from_block - 1, self.block - OVERLAP_BLOCKS))
        raise RpcUnavailable(f"{self.contracts.chain.uri}: its blocks were exchanged {ATTEMPTS} times while read")

    def _update(self, last: int | None) -> Update:
        head = self.contracts.chain.block("latest" if last is None else last)
        if head.number < self.block:
            return Update(self.block + 1, self.block, 0, None)
        exchanged, late = self._forget_exchanged(), self._forget_incomplete(head.number)
        forgotten = exchanged if late is None else late
        first, events = self.block + 1, 0
        for start in range(first, head.number + 1, WINDOW_BLOCKS):
            end = min(start + WINDOW_BLOCKS - 1, head.number)
            events += self._read(start, head if end == head.number else self.contracts.chain.block(end))
        self._sure = max(self._sure, head.number - 2 * OVERLAP_BLOCKS)
        return Update(first, head.number, events, forgotten)

    # --- reorganisations ---

    def _forget_exchanged(self) -> int | None:
        """Go back to a block that the chain still has. Returns it where anything was forgotten."""
        steps = 0
        while (known := self.store.block_back(steps)) is not None and not self._is_there(known):
            steps = 2 * steps + 1
        if not steps:
            return None
        kept = self.contracts.from_block - 1 if known is None else known.number
        self._forget_after(kept)
        return kept

    def _forget_incomplete(self, head: int) -> int | None:
        """Read a second time what lies deep enough by now, or all where there is no new block: go back to before the
        first block that has events which were not there when it was read.
        """
        last = self.block if head == self.block else self.block - OVERLAP_BLOCKS
        if self._sure >= last:
            return None
        known = self.store.places(self._sure + 1, last)
        logs = logs_between(self.contracts.chain, list(self._rooms), [], self._sure + 1, last)
        fresh = [log for log in logs if (log.block_number, log.index) not in known]
        missing = [row.block for row in self._rows(fresh)]
        if not missing:
            self._sure = last
            return None
        kept = min(missing) - 1
        self._forget_after(kept)
        return kept

    def _forget_after(self, block: int) -> None:
        """In the tables and in the mirror."""
        self._sure = min(self._sure, block)
        self.store.remove_after(block)
        self._back_to(block)

    def _back_to(self, block: int) -> None:
        """The mirror as of a block; the tables have nothing later."""
        if not self.mirror.rollback(block):
            self.mirror = self._rebuilt()

    def _is_there(self, known: StoredBlock) -> bool:
        raw = self.contracts.chain.rpc.call("eth_getBlockByNumber", hex(known.number), False)
        return raw is not None and raw["hash"] == known.hash

    # --- reading ---

    def _read(self, first: int, end: Block) -> int:
        """Blocks `first` to `end` into the tables and the mirror. Returns how many events. Raises Exchanged."""
        logs = logs_between(self.contracts.chain, list(self._rooms), [], first, end.number)
        blocks = self._headers(sorted({log.block_number for log in logs} | {end.number}))
        hashes = {block.number: block.hash for block in blocks}
        if hashes[end.number] != end.hash or any(log.block_hash != hashes[log.block_number] for log in logs):
            raise Exchanged
        rows = list(self._rows(logs))
        try:
            settlements = self._mirrored(rows, {block.number: block.time for block in blocks})
            self.store.write(blocks, rows, [_stored(one) for one in settlements])
        except BaseException:
            self._back_to(first - 1)
            raise
        return len(rows)

    def _headers(self, numbers: Sequence[int]) -> list[StoredBlock]:
        raws = self.contracts.chain.rpc.batch([("eth_getBlockByNumber", [hex(one), False]) for one in numbers])
        if any(raw is None for raw in raws):
            raise Exchanged
        return [StoredBlock(int(raw["number"], 16), raw["hash"], int(raw["timestamp"], 16)) for raw in raws]

    def _rows(self, logs: Sequence[Log]) -> Iterator[StoredEvent]:
        for log in logs:
            name, room = self._rooms[log.address]
            found = room.interface.decode_log(log)
            if found is not None:
                yield row_of(name, found)

    def _mirrored(self, rows: Sequence[StoredEvent], times: dict[int, int]) -> list[Settlement]:
        found: list[Settlement] = []
        for block, group in groupby(rows, key=lambda row: row.block):
            found += self.mirror.apply(block, times[block], records_of(group))
        return found

    def _rebuilt(self) -> Mirror:
        """The mirror of all that the tables have."""
        pool, fund = (int(self.contracts.addresses[name], 16) for name in ("LiquidityPool", "InsuranceFund"))
        mirror = Mirror(pool=pool, fund=fund, token_unit=self.contracts.token_unit)
        for part in self.store.all_events():
            times = self.store.times(part[0].block, part[-1].block)
            for block, group in groupby(part, key=lambda row: row.block):
                mirror.apply(block, times[block], records_of(group))
        return mirror


def _stored(one: Settlement) -> StoredSettlement:
    return StoredSettlement(one.block, one.log_index, account_text(one.account), one.market_id, str(one.owed))
