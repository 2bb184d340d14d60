"""The executor: settles orders as soon as they can be, and is paid their execution fees.

Market orders go in the order of their queue, at the first record at or after their T, in batches; orders that wait for
their price go when the newest record fills them, by the reference model's fill price. Each is simulated first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Block, Receipt, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.keepers.runner import Fields, Log, account_shown, shown
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    Happened,
    OrderExecuted,
    OrderFailed,
    OrderLeftQueue,
    OrderSkipped,
    OrderVoided,
    Traded,
    decode_all,
)
from plimsoll.sdk.history import Follower, OpenOrder, OrderTracker, occurrences, topics_of
from plimsoll.sdk.snapshots import MarketSnapshot, read_markets

MAX_BATCH = 12
GAS_OF_BATCH = 500_000
GAS_AN_ORDER = 700_000
"""The book wants 450,000 left before each attempt, and takes up to so much for one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What can be executed when. `refused`: at which record (its sequence) a simulation last refused an order."""

    now: int
    """The newest block's time, Unix seconds."""
    then: int
    """When a transaction sent now is executed at the earliest."""
    markets: Mapping[int, MarketSnapshot]
    orders: tuple[OpenOrder, ...]
    refused: Mapping[bytes, int]


@dataclass(frozen=True, slots=True)
class Settle:
    """Execute these market orders, the head of the queue first."""

    market_id: int
    orders: tuple[OpenOrder, ...]

    @property
    def key(self) -> tuple[bytes, ...]:
        return tuple(one.hash for one in self.orders)

    def describe(self) -> Fields:
        return {"do": "settle", "market": self.market_id, "orders": [one.hash.hex() for one in self.orders]}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Execute these orders, which waited for their price."""

    market_id: int
    orders: tuple[OpenOrder, ...]

    @property
    def key(self) -> tuple[bytes, ...]:
        return tuple(one.hash for one in self.orders)

    def describe(self) -> Fields:
        return {"do": "trigger", "market": self.market_id, "orders": [one.hash.hex() for one in self.orders]}


@dataclass(frozen=True, slots=True)
class Rescan:
    """The head of a queue is an order that nobody told us of: read all events again."""

    market_id: int
    head: int

    @property
    def key(self) -> tuple[int, int]:
        return self.market_id, self.head

    def describe(self) -> Fields:
        return {"do": "rescan", "market": self.market_id, "head": self.head}


Decision = Settle | Trigger | Rescan


def decide(snapshot: Snapshot, max_batch: int = MAX_BATCH) -> list[Decision]:
    """What is due: queues from their heads for as long as orders are due, then triggers, `max_batch` at a time."""
    decisions: list[Decision] = []
    for market_id in sorted(snapshot.markets):
        market = snapshot.markets[market_id]
        mine = [one for one in snapshot.orders if one.order.market_id == market_id]
        queue = {one.sequence: one for one in mine if one.is_queued}
        if market.has_pending_orders and market.queue_head not in queue:
            decisions.append(Rescan(market_id, market.queue_head))
        decisions += [Settle(market_id, part) for part in _parts(_due_in_queue(queue, market, snapshot.now), max_batch)]
        triggered = [one for one in mine if not one.is_queued and _is_triggered(one, market, snapshot)]
        decisions += [Trigger(market_id, part) for part in _parts(triggered, max_batch)]
    return decisions


def _due_in_queue(queue: Mapping[int, OpenOrder], market: MarketSnapshot, now: int) -> list[OpenOrder]:
    due = []
    place = market.queue_head
    while (order := queue.get(place)) is not None and _can_settle(order, market, now):
        due.append(order)
        place += 1
    return due


def _can_settle(order: OpenOrder, market: MarketSnapshot, now: int) -> bool:
    """There is a record at or after T, or it came too late for one and the order is void."""
    published = market.newest.published_at if market.newest else 0
    return published >= order.settle_from or now > order.settle_from + 2 * market.orders.settlement_window


def _is_triggered(one: OpenOrder, market: MarketSnapshot, snapshot: Snapshot) -> bool:
    order, newest = one.order, market.newest
    if newest is None or newest.published_at < one.settle_from:
        return False
    if snapshot.then - newest.published_at > market.orders.settlement_window:
        return False
    if order.expiry and snapshot.then > order.expiry:
        return False
    if not order.reduce_only and market.has_pending_orders:
        return False
    if snapshot.refused.get(one.hash) == newest.sequence:
        return False
    # what a reduce-only order clamps to isn't known here; the smallest fill has the best price
    base = order.base if not order.reduce_only else 1 if order.base > 0 else -1
    try:
        price = market.model().fill_quote(base, newest.price, newest.confidence).price
    except Refusal:
        return False
    return price <= order.acceptable_price if base > 0 else price >= order.acceptable_price


def _parts(orders: Sequence[OpenOrder], size: int) -> Iterable[tuple[OpenOrder, ...]]:
    return (tuple(orders[start : start + size]) for start in range(0, len(orders), size))


class Executor:
    """The job. State: open orders from the order book's events, checked against the chain before anything is sent."""

    name = "executor"

    def __init__(
        self, contracts: Contracts, signer: Signer | None, *, max_batch: int = MAX_BATCH, lead_seconds: int = 1
    ) -> None:
        """`lead_seconds` is how much later than the newest block a transaction is executed at the earliest."""
        if not 1 <= max_batch <= 40:
            raise UserError(f"max batch {max_batch} does not lie between 1 and 40")
        self.contracts = contracts
        self.signer = signer
        self.max_batch = max_batch
        self.lead_seconds = lead_seconds
        self._refused: dict[bytes, int] = {}
        self._tracker = OrderTracker()
        self._follower = self._new_follower()
        self._restarts = 0

    def _new_follower(self) -> Follower:
        book = self.contracts.order_book
        return Follower(
            self.contracts.chain,
            [book.address],
            topics_of(book.name, OrderTracker.EVENTS),
            from_block=self.contracts.from_block,
        )

    def check(self) -> Fields:
        return {"order_book": self.contracts.order_book.address, "from_block": self.contracts.from_block}

    def observe(self, block: Block) -> Snapshot:
        logs = self._follower.poll(block.number)
        if self._follower.restarts != self._restarts:
            self._restarts, self._tracker, self._refused = self._follower.restarts, OrderTracker(), {}
        self._tracker.feed(decode_all(occurrences([self.contracts.order_book], logs)))
        self._refused = {key: at for key, at in self._refused.items() if key in self._tracker.open}
        return Snapshot(
            now=block.timestamp,
            then=block.timestamp + self.lead_seconds,
            markets=read_markets(self.contracts, block),
            orders=tuple(self._tracker.open.values()),
            refused=dict(self._refused),
        )

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        return decide(snapshot, self.max_batch)

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        for action in actions:
            if stop.is_set():
                return
            if isinstance(action, Rescan):
                log("rescan", **action.describe())
                self._tracker, self._follower = OrderTracker(), self._new_follower()
                self._restarts = 0
            else:
                self._execute(action, log)

    def _execute(self, action: Settle | Trigger, log: Log) -> None:
        orders = self._still_due(action, log)
        if not orders:
            return
        assert self.signer is not None
        book, gas = self.contracts.order_book, GAS_OF_BATCH + GAS_AN_ORDER * len(orders)
        data = book.encode("executeBatch", [one.order for one in orders], [])
        try:
            self.contracts.chain.call(book.address, data, sender=self.signer.address, gas=gas)
        except Reverted as error:
            log("refused", **action.describe(), reason=error.reason)
            if len(orders) > 1:  # one of them spoils it for all
                for one in orders[:1] if isinstance(action, Settle) else orders:
                    self._execute(type(action)(action.market_id, (one,)), log)
            return
        receipt = self.signer.send(book.address, data, gas=gas, check=False)
        if not receipt.ok:
            log("failed", **action.describe(), tx=receipt.tx_hash, reason=self.contracts.chain.why(receipt).reason)
            return
        self._report(receipt, log)

    def _still_due(self, action: Settle | Trigger, log: Log) -> tuple[OpenOrder, ...]:
        """Those that an execution alone would settle now; of a queue only the head can be asked."""
        book = self.contracts.order_book
        alone = action.orders[:1] if isinstance(action, Settle) else action.orders
        results = self.contracts.chain.read(
            [book.prepare("execute", one.order, []) for one in alone], raise_errors=False
        )
        kept = []
        for one, result in zip(alone, results, strict=True):
            if not isinstance(result, Exception):
                kept.append(one)
            elif not isinstance(result, Reverted):
                raise result
            elif result.name == "OrderBook_UnknownOrder":
                self._tracker.end(one.hash)
            else:
                self._note_refusal(one, log, result)
        if isinstance(action, Settle):
            return action.orders if kept else ()
        return tuple(kept)

    def _note_refusal(self, one: OpenOrder, log: Log, error: Reverted) -> None:
        """Triggers are asked again at the next record. Said once an order and reason."""
        newest = read_newest(self.contracts, one.order.market_id)
        if one.hash not in self._refused:
            log("refused", order=one.hash.hex(), market=one.order.market_id, reason=error.reason)
        self._refused[one.hash] = newest

    def _report(self, receipt: Receipt, log: Log) -> None:
        """A line for each order of a transaction, and the state follows at once."""
        records = decode_all(decode_logs(receipt.logs, self.contracts.chain.registry))
        self._tracker.feed(records)
        fill: Traded | None = None
        for record in records:
            if isinstance(record, Traded):
                fill = record
            elif fields := _outcome(record, fill, self.contracts):
                log("executed", **fields, tx=receipt.tx_hash, gas=receipt.gas_used)


def _outcome(record: Happened, fill: Traded | None, contracts: Contracts) -> Fields | None:
    """What a log line says of an order's end; None for other events. `fill` is the last one before it."""
    if isinstance(record, OrderExecuted) and fill is not None:
        filled = {"base": shown(fill.base), "price": shown(fill.fill_price), "fee": shown(fill.fee)}
        return {"order": record.hash.hex(), "account": account_shown(record.account), "outcome": "filled"} | filled
    if isinstance(record, OrderFailed):
        reason = contracts.chain.revert_of(record.reason).reason
        return {"order": record.hash.hex(), "outcome": "failed", "reason": reason, "paid": shown(record.paid)}
    if isinstance(record, OrderVoided):
        return {"order": record.hash.hex(), "outcome": "void", "paid": shown(record.paid)}
    if isinstance(record, OrderLeftQueue):
        return {"order": record.hash.hex(), "outcome": "left queue"}
    if isinstance(record, OrderSkipped):
        reason = contracts.chain.revert_of(record.reason).reason
        return {"order": record.hash.hex(), "outcome": "skipped", "reason": reason}
    return None


def read_newest(contracts: Contracts, market_id: int) -> int:
    """The sequence of a market's newest record, 0 without one."""
    return int(contracts.oracle.call("newest", market_id)) >> 224
