"""What the executor decides: which orders are due, and which of them pay for the transaction that executes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeVar

from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import BPS, WAD
from plimsoll.keepers.costs import Costs, best_prefix
from plimsoll.keepers.runner import Fields, shown
from plimsoll.keepers.triggers import clamped, fills
from plimsoll.risk.trade import MAX_EXECUTION_FEE_BPS
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.snapshots import MarketSnapshot

T = TypeVar("T")

MAX_BATCH = 12
LIMIT_OF_BATCH = 500_000
LIMIT_OF_ORDER = 700_000
"""The book wants 450,000 left before each attempt, and takes up to so much for one."""
LIMIT_OF_PRICE = 400_000

Holdings = Mapping[tuple[int, int], int]
"""WAD base by (account, market)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What may be executed when, and what that costs."""

    now: int
    """The newest block's time, Unix seconds."""
    then: int
    """When a transaction sent now is executed at the earliest."""
    markets: Mapping[int, MarketSnapshot]
    queued: tuple[OpenOrder, ...] = ()
    waiting: tuple[OpenOrder, ...] = ()
    """Those that the newest records may fill, oldest first."""
    siblings: tuple[OpenOrder, ...] = ()
    """Reduce-only ones of the same accounts and markets, whatever their price: ended unpaid with nothing left."""
    orphans: tuple[OpenOrder, ...] = ()
    """Those whose parent ended without a fill: ended unpaid at any time."""
    sweeps: bool = False
    """Whether to end what is dead anyway, rather than only what a fill of the same batch leaves with nothing."""
    held: Holdings = field(default_factory=dict)
    """What the accounts of these orders hold; one that is missing is taken to have enough."""
    costs: Costs = field(default_factory=Costs)
    retry_at: Mapping[bytes, int] = field(default_factory=dict)
    """From which record (its sequence) on an order that was refused is tried again."""
    resting: frozenset[bytes] = frozenset()
    """Orders that a race was lost for, and whose state wasn't read since."""
    room: int | None = None
    """Gas of a block: no more is decided at once. While more was prepared, the prices that the first bring along would
    grow old, and nobody else could take the last. None for no bound.
    """


@dataclass(frozen=True, slots=True)
class Batch:
    """Orders of one market for one transaction, and what each pays its executor, WAD dollars."""

    market_id: int
    orders: tuple[OpenOrder, ...]
    rewards: tuple[int, ...]

    @property
    def key(self) -> tuple[bytes, ...]:
        return tuple(one.hash for one in self.orders)

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent."""
        return tuple(f"order:{one.hash.hex()}" for one in self.orders)

    @property
    def reward(self) -> int:
        return sum(self.rewards)

    @property
    def gas(self) -> int:
        """The most that its transaction may use."""
        return limit_of(len(self.orders))

    def describe(self) -> Fields:
        hashes = [one.hash.hex() for one in self.orders]
        return {"do": "execute", "market": self.market_id, "orders": hashes, "reward": shown(self.reward)}


@dataclass(frozen=True, slots=True)
class Settle(Batch):
    """Execute these market orders, the head of the queue first."""

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"queue:{self.market_id}",)

    def describe(self) -> Fields:
        return {**Batch.describe(self), "do": "settle"}


@dataclass(frozen=True, slots=True)
class Trigger(Batch):
    """Execute these orders, which waited for their price; those that pay nothing are ended along."""

    @property
    def gas(self) -> int:
        return limit_of(len(self.orders)) + LIMIT_OF_PRICE

    def describe(self) -> Fields:
        return {**Batch.describe(self), "do": "trigger"}


@dataclass(frozen=True, slots=True)
class Leave(Batch):
    """Don't execute these although they are due: it would cost more than they pay. `cost`: of all, WAD dollars."""

    cost: int

    @property
    def claims(self) -> tuple[str, ...]:
        return ()

    def describe(self) -> Fields:
        return {**Batch.describe(self), "do": "leave", "cost": shown(self.cost)}


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


Decision = Settle | Trigger | Leave | Rescan


def decide(snapshot: Snapshot, max_batch: int = MAX_BATCH) -> list[Decision]:
    """What is due and pays, `max_batch` at a time: queues from their heads, then what waited for its price; the markets
    take turns, and what passes the room of a block waits for the next round.
    """
    queues: list[Sequence[Decision]] = []
    triggers: list[Sequence[Decision]] = []
    for market_id in sorted(snapshot.markets):
        market = snapshot.markets[market_id]
        queue = {one.sequence: one for one in snapshot.queued if one.order.market_id == market_id}
        is_lost = market.has_pending_orders and market.queue_head not in queue
        rescans = [Rescan(market_id, market.queue_head)] if is_lost else []
        due = _due_in_queue(queue, market, snapshot)
        queues.append([*rescans, *_settlements(market, due, snapshot, max_batch)])
        triggers.append(list(_triggers(market, snapshot, max_batch)))
    return list(_fitting([*_in_turns(queues), *_in_turns(triggers)], snapshot.room))


def limit_of(orders: int) -> int:
    """Gas that a transaction with so many orders is given."""
    return LIMIT_OF_BATCH + LIMIT_OF_ORDER * orders


def _in_turns(lists: Iterable[Sequence[Decision]]) -> Iterable[Decision]:
    """The first of each, then the second of each …"""
    return (one for turn in zip_longest(*lists) for one in turn if one is not None)


def _fitting(decisions: Iterable[Decision], room: int | None) -> Iterable[Decision]:
    """What is sent until a block is full, and all that isn't sent."""
    for one in decisions:
        if room is not None and isinstance(one, Settle | Trigger):
            if room <= 0:
                continue
            room -= one.gas
        yield one


# --- the queue ---------------------------------------------------------------------------------------------------


def due_in_queue(snapshot: Snapshot) -> list[OpenOrder]:
    """The market orders of all markets that can be settled now."""
    found = []
    for market_id, market in snapshot.markets.items():
        queue = {one.sequence: one for one in snapshot.queued if one.order.market_id == market_id}
        found += _due_in_queue(queue, market, snapshot)
    return found


def _due_in_queue(queue: Mapping[int, OpenOrder], market: MarketSnapshot, snapshot: Snapshot) -> list[OpenOrder]:
    due = []
    place = market.queue_head
    while (order := queue.get(place)) is not None and _can_settle(order, market, snapshot):
        due.append(order)
        place += 1
    return due


def _can_settle(order: OpenOrder, market: MarketSnapshot, snapshot: Snapshot) -> bool:
    """There is a record at or after T, or it came too late for one and the order is void."""
    if order.hash in snapshot.resting:
        return False
    published = market.newest.published_at if market.newest else 0
    return published >= order.settle_from or snapshot.now > order.settle_from + 2 * market.orders.settlement_window


def _settlements(
    market: MarketSnapshot, due: Sequence[OpenOrder], snapshot: Snapshot, max_batch: int
) -> Iterable[Decision]:
    """In the queue's order, and no further than it pays."""
    held = dict(snapshot.held)
    for part in _parts(due, max_batch):
        rewards = tuple(_settlement_reward(one, market.price, held) for one in part)
        count = best_prefix(snapshot.costs, rewards)
        if count:
            yield Settle(market.market_id, part[:count], rewards[:count])
        if count < len(part):
            left = part[count:]
            yield Leave(market.market_id, left, rewards[count:], snapshot.costs.of(len(left)))
            return


def _settlement_reward(one: OpenOrder, price: int, held: dict[tuple[int, int], int]) -> int:
    """All of its fee where it fails or is void, too. One that only leaves the queue pays when it is filled later on."""
    base = size_of(one.order, held)
    return reward_of(one, base, price, held) if base else one.execution_fee


# --- orders that wait --------------------------------------------------------------------------------------------


def may_go(one: OpenOrder, snapshot: Snapshot) -> bool:
    """Whether nothing but the price keeps an order that waits from being executed."""
    market, order = snapshot.markets[one.order.market_id], one.order
    newest = market.newest
    if newest is None or newest.published_at < one.settle_from:
        return False
    if snapshot.then - newest.published_at > market.orders.settlement_window:
        return False
    if order.expiry and snapshot.then > order.expiry and order.kind != OrderKind.MARKET:
        return False
    if not order.reduce_only and market.has_pending_orders:
        return False
    return one.hash not in snapshot.resting and snapshot.retry_at.get(one.hash, 0) <= newest.sequence


@dataclass(frozen=True, slots=True)
class _Fill:
    one: OpenOrder
    base: int
    reward: int


def _triggers(market: MarketSnapshot, snapshot: Snapshot, max_batch: int) -> Iterable[Decision]:
    """Each order has to pay for itself, and all together for the transaction."""
    going: list[_Fill] = []
    left: list[_Fill] = []
    for fill in _fills(market, snapshot):
        pays = snapshot.costs.gain(fill.reward, snapshot.costs.of_order()) >= 0
        (going if pays else left).append(fill)
    held, ended = dict(snapshot.held), set[bytes]()
    for part in _parts(going, max_batch):
        reward = sum(fill.reward for fill in part)
        if snapshot.costs.gain(reward, snapshot.costs.of(len(part))) < 0:
            left += part
            continue
        for fill in part:
            _count(fill.one.order, fill.base, held)
            ended.add(fill.one.hash)
        along = _ended_along(market, snapshot, part, held, ended, max_batch)
        ended |= {one.hash for one in along}
        rewards = (*(fill.reward for fill in part), *(0 for _ in along))
        yield Trigger(market.market_id, (*(fill.one for fill in part), *along), rewards)
    if left:
        cost = snapshot.costs.of(len(left))
        yield Leave(market.market_id, tuple(fill.one for fill in left), tuple(fill.reward for fill in left), cost)


def _fills(market: MarketSnapshot, snapshot: Snapshot) -> Iterable[_Fill]:
    """What the newest record fills, one after the other, at the present skew."""
    newest, model, held = market.newest, market.model(), dict(snapshot.held)
    for one in snapshot.waiting:
        if newest is None or one.order.market_id != market.market_id or not may_go(one, snapshot):
            continue
        base = size_of(one.order, held)
        if base and fills(one.order, base, model, newest):
            yield _Fill(one, base, reward_of(one, base, newest.price, held))


def _ended_along(
    market: MarketSnapshot,
    snapshot: Snapshot,
    part: Sequence[_Fill],
    held: Holdings,
    ended: set[bytes],
    max_batch: int,
) -> list[OpenOrder]:
    """What has nothing left to wait for once the batch's fills are done, as far as the batch pays for it.

    `held`: after those fills; `ended`: what is executed or ended already.
    """
    accounts = {fill.one.order.account for fill in part}
    dead = [
        one
        for one in snapshot.siblings
        if (snapshot.sweeps or one.order.account in accounts) and not size_of(one.order, held)
    ]
    dead += snapshot.orphans if snapshot.sweeps else ()
    fit = [
        one
        for one in dead
        if one.order.market_id == market.market_id and one.hash not in ended and one.hash not in snapshot.resting
    ][: max_batch - len(part)]
    reward = sum(fill.reward for fill in part)
    while fit and snapshot.costs.gain(reward, snapshot.costs.of(len(part), len(fit))) < 0:
        fit.pop()
    return fit


# --- sizes and pay -----------------------------------------------------------------------------------------------


def size_of(order: Order, held: Holdings) -> int:
    """What an order fills now, WAD base: 0 for a reduce-only one with nothing to reduce."""
    found = held.get((order.account, order.market_id))
    return order.base if found is None else clamped(order, found)


def reward_of(one: OpenOrder, base: int, price: int, held: dict[tuple[int, int], int]) -> int:
    """What filling `base` pays, WAD dollars: of a reduction at most a part of what it closes. `held` follows."""
    before = held.get((one.order.account, one.order.market_id), 0)
    _count(one.order, base, held)
    if before and (before > 0) != (base > 0) and abs(base) <= abs(before):
        return min(one.execution_fee, abs(base) * price // WAD * MAX_EXECUTION_FEE_BPS // BPS)
    return one.execution_fee


def _count(order: Order, base: int, held: dict[tuple[int, int], int]) -> None:
    """What the account holds after a fill, where it is known."""
    key = order.account, order.market_id
    if key in held:
        held[key] += base


def _parts(items: Sequence[T], size: int) -> Iterable[tuple[T, ...]]:
    return (tuple(items[start : start + size]) for start in range(0, len(items), size))
