"""Events of a deployment: all of the past in pieces that nodes accept, then what is new, each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from plimsoll.chain.contracts import Deployed, Occurrence, interface
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Chain, Log
from plimsoll.core.orders import Order, OrderKind
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    ORDER_ENDS,
    AllCancelled,
    Happened,
    OrderLeftQueue,
    OrderPlaced,
    decode_all,
)

CHUNK_BLOCKS = 10_000
OVERLAP_BLOCKS = 8
"""How many blocks are read again each time: a rollup's newest blocks may still be exchanged for others."""

_ACCOUNTS = ("account", "to_account", "maker_account", "taker_account")
ROOMS = ("MarginVault", "PerpMarket", "OrderBook", "Liquidator", "OracleAggregator")


def logs_between(chain: Chain, addresses: Sequence[str], topics: Sequence[Any], first: int, last: int) -> list[Log]:
    """Logs of blocks first to last, asked for in smaller pieces where the node refuses large ones."""
    found: list[Log] = []
    size = CHUNK_BLOCKS
    while first <= last:
        end = min(first + size - 1, last)
        try:
            found += chain.logs(list(addresses), topics, from_block=first, to_block=end)
        except RpcError:
            if size == 1:
                raise
            size = max(1, min(size, end - first + 1) // 4)
            continue
        first = end + 1
    return found


class Follower:
    """Events of some contracts since a block: `poll` gives those not given before.

    Where blocks that were read are no longer the chain's (a reorganisation, a restart, a restored snapshot), all is
    given again and `restarts` counts one more: forget what was fed before. The last blocks are always read again, for
    nodes whose logs come later than their blocks.
    """

    def __init__(self, chain: Chain, addresses: Sequence[str], events: Sequence[bytes], *, from_block: int = 0) -> None:
        """`events` are the topics wanted, all where there is none."""
        self.chain = chain
        self.restarts = 0
        self._addresses = list(addresses)
        self._topics: list[Any] = [list(events)] if events else []
        self._from_block = from_block
        self._next = from_block
        self._tip = ""
        """The hash of the last block that was read."""
        self._seen: set[tuple[int, str, int]] = set()

    def poll(self, last: int | None = None) -> list[Log]:
        """New logs up to block `last`, the newest where not given, in order."""
        last = self.chain.block_number if last is None else last
        if last < self._next - 1 or self._is_exchanged():
            self.restarts += 1
            self._next, self._seen = self._from_block, set()
        tip = self.chain.block(last).hash  # before the logs: what changes while they are read is seen the next time
        first = max(self._from_block, self._next - OVERLAP_BLOCKS)
        logs = logs_between(self.chain, self._addresses, self._topics, first, last)
        fresh = [log for log in logs if _key(log) not in self._seen]
        kept = last - OVERLAP_BLOCKS
        self._seen = {key for key in self._seen if key[0] > kept} | {
            _key(log) for log in logs if log.block_number > kept
        }
        self._next, self._tip = last + 1, tip
        return fresh

    def _is_exchanged(self) -> bool:
        """Whether the last block that was read is another one by now; all before it are its ancestors."""
        return bool(self._tip) and self.chain.block(self._next - 1).hash != self._tip


def _key(log: Log) -> tuple[int, str, int]:
    return log.block_number, log.tx_hash, log.index


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that nobody has settled. `settle_from` T in Unix seconds; `sequence` 0 for one outside the queue."""

    hash: bytes
    order: Order
    settle_from: int
    sequence: int
    execution_fee: int

    @property
    def is_queued(self) -> bool:
        """Whether it is a market order that waits for its turn."""
        return self.sequence != 0


class OrderTracker:
    """Open orders by hash, from the order book's events. Feeding an event twice changes nothing."""

    EVENTS = (
        "OrderPlaced", "OrderCancelled", "AllCancelled", "OrderExecuted", "OrderVoided", "OrderFailed",
        "OrderLeftQueue",
    )  # fmt: skip

    def __init__(self) -> None:
        self.open: dict[bytes, OpenOrder] = {}
        self._ended: set[bytes] = set()
        self._counters: dict[int, int] = {}

    def feed(self, records: Iterable[Happened]) -> None:
        for record in records:
            if isinstance(record, OrderPlaced):
                if record.hash not in self._ended and record.hash not in self.open and not self._is_void(record.order):
                    self.open[record.hash] = OpenOrder(
                        record.hash, record.order, record.settle_from, record.sequence, record.execution_fee
                    )
            elif isinstance(record, OrderLeftQueue):
                if (order := self.open.get(record.hash)) is not None:
                    self.open[record.hash] = OpenOrder(
                        order.hash, order.order, order.settle_from, 0, order.execution_fee
                    )
            elif isinstance(record, ORDER_ENDS):
                self.end(record.hash)
            elif isinstance(record, AllCancelled):
                self._counters[record.account] = max(record.counter, self._counters.get(record.account, 0))
                for one in [one for one in self.open.values() if self._is_void(one.order)]:
                    self.end(one.hash)

    def _is_void(self, order: Order) -> bool:
        """Whether it went with all others of its account; market orders that were placed stay."""
        return order.kind != OrderKind.MARKET and order.counter < self._counters.get(order.account, 0)

    def end(self, hash_: bytes) -> None:
        """It is settled, whatever the events say. Hashes are spent for ever, so nothing opens it again."""
        self.open.pop(hash_, None)
        self._ended.add(hash_)


def open_orders(records: Iterable[Happened]) -> list[OpenOrder]:
    """What is still open after these events of the order book, oldest first."""
    tracker = OrderTracker()
    tracker.feed(records)
    return list(tracker.open.values())


class Histories:
    """Past events of a deployment, read when asked for."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts

    def past(self, contract: Deployed, event: str | None, indexed: Sequence[Any] = ()) -> list[Happened]:
        """Events of one contract since the deployment, of one name or of any, by their first indexed values."""
        topic = None if event is None else contract.interface.events[event].topic
        return self._read([contract], [topic, *indexed], None)

    def orders(self, account: int | None) -> list[Happened]:
        """The order book's events, of one account or of all."""
        book = self.contracts.order_book
        if account is None:
            return self._read([book], [topics_in(book, OrderTracker.EVENTS)], None)
        by_hash = [name for name in OrderTracker.EVENTS if name != AllCancelled.__name__]
        found = self._read([book], [topics_in(book, by_hash), None, account], None)
        return in_order(found + self.past(book, AllCancelled.__name__, [account]))

    def of(
        self, kinds: Iterable[type[Happened]], *, account: int | None = None, from_block: int | None = None
    ) -> list[Happened]:
        """Events of these kinds of all contracts, of one account or of all."""
        names = {kind.__name__ for kind in kinds}
        contracts = [self.contracts.of(room) for room in ROOMS]
        topics = [topic for contract in contracts for topic in topics_in(contract, sorted(names))]
        found = self._read(contracts, [topics], from_block)
        return found if account is None else [one for one in found if concerns(one, account)]

    def _read(self, contracts: Sequence[Deployed], topics: Sequence[Any], from_block: int | None) -> list[Happened]:
        chain = self.contracts.chain
        first = self.contracts.from_block if from_block is None else from_block
        logs = logs_between(chain, [one.address for one in contracts], topics, first, chain.block_number)
        return decode_all(occurrences(contracts, logs))


def concerns(record: Happened, account: int) -> bool:
    """Whether it is about that account."""
    return any(getattr(record, name, None) == account for name in _ACCOUNTS)


def in_order(records: Iterable[Happened]) -> list[Happened]:
    """Records of one chain in the order in which they happened."""
    return sorted(records, key=lambda record: (record.block_number, record.log_index))


def topics_in(contract: Deployed, names: Iterable[str]) -> list[bytes]:
    """The topics of those of the events that the contract has."""
    events = contract.interface.events
    return [events[name].topic for name in names if name in events]


def occurrences(contracts: Sequence[Deployed], logs: Iterable[Log]) -> list[Occurrence]:
    """Decoded events of these contracts, in order; what they don't declare is left out."""
    by_address = {contract.address: contract.interface for contract in contracts}
    found = [by_address[log.address].decode_log(log) for log in logs if log.address in by_address]
    return [one for one in found if one is not None]


def topics_of(contract: str, names: Iterable[str]) -> list[bytes]:
    """The topics of a compiled contract's events."""
    return [interface(contract).events[name].topic for name in names]
