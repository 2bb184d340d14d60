"""One market's limit order book: price-time priority, integers only, nothing of chains or disks.

Prices and sizes are WAD. An order matches at the resting order's price, best price first, oldest first at a price.
Insert, cancel, best and each fill cost O(log n).

Who would match with himself is stopped: the newest order's rest is cancelled when it meets an order of its own owner
("cancel newest"). What it matched before stands, and the older order stays where it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from sortedcontainers import SortedDict

from plimsoll.core.orders import TimeInForce

NEVER = 2**63
"""The last second of an order without expiry."""
ANY_PRICE = (0, 2**256)


class End(StrEnum):
    """Why an order, or what is left of it, is out of the book."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"
    OUTSIDE_BAND = "outside_band"
    """Its price is where the contracts match nothing now."""
    SELF_MATCH = "self_match"
    WOULD_TAKE = "would_take"
    """Post-only, and the best price of the other side is its own or better."""
    NOT_FILLED = "not_filled"
    """Fill or kill, and the whole of it can't be."""
    NOTHING_LEFT_TO_TAKE = "nothing_left_to_take"
    """Immediate or cancel, and nothing more crosses."""
    REFUSED = "refused"
    """The contracts would refuse its match."""
    ENDED_ON_CHAIN = "ended_on_chain"
    """Cancelled, placed, filled by others, or signed under an old counter."""


@dataclass(slots=True)
class Resting:
    """An order as the book has it. `left`: unsigned base; `sequence`: its place in time; `last_second`: Unix."""

    hash: bytes
    owner: int
    is_buy: bool
    price: int
    left: int
    sequence: int
    last_second: int = NEVER

    @property
    def key(self) -> tuple[int, int]:
        """Its rank on its side, the best first."""
        return -self.price if self.is_buy else self.price, self.sequence

    def accepts(self, price: int) -> bool:
        return price <= self.price if self.is_buy else price >= self.price


class Fill(NamedTuple):
    """A resting order's part in a match, at its price."""

    maker: bytes
    base: int
    price: int


class Removed(NamedTuple):
    """A resting order that was found dead while matching."""

    hash: bytes
    end: End


class Matched(NamedTuple):
    """What became of an incoming order. `left` rests in the book where `end` is None, and is gone where it isn't."""

    fills: list[Fill]
    left: int
    end: End | None
    removed: list[Removed]


class Level(NamedTuple):
    """All orders of a side at one price. A size of zero: there are none any more."""

    price: int
    size: int
    orders: int


class Limits(NamedTuple):
    """What holds for matching now. `band`: lowest and highest price that the contracts match at."""

    now: int
    band: tuple[int, int] = ANY_PRICE
    max_fills: int = 2**31
    """Most fills of an order that must be settled at once (immediate or cancel, fill or kill)."""


class Book:
    """Both sides of a market."""

    def __init__(self) -> None:
        self._orders: dict[bytes, Resting] = {}
        self._sides = {True: _Side(), False: _Side()}

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Resting]:
        """Bids, then asks, each the best first."""
        for is_buy in (True, False):
            yield from self._sides[is_buy].orders.values()

    def get(self, hash_: bytes) -> Resting | None:
        return self._orders.get(hash_)

    def insert(self, order: Resting) -> None:
        """Let an order rest, at the place that its price and sequence give it. Raises ValueError for one that does."""
        if order.hash in self._orders or order.left <= 0:
            raise ValueError(f"0x{order.hash.hex()} rests already, or has nothing left")
        self._orders[order.hash] = order
        self._sides[order.is_buy].add(order)

    def remove(self, hash_: bytes) -> Resting | None:
        """Take an order out. None where it isn't in."""
        order = self._orders.pop(hash_, None)
        if order is not None:
            self._sides[order.is_buy].discard(order)
        return order

    def resize(self, hash_: bytes, left: int) -> None:
        """Set what is left of a resting order; it keeps its place. Raises KeyError, or ValueError for nothing."""
        order = self._orders[hash_]
        if left <= 0:
            raise ValueError("an order without anything left is removed")
        self._sides[order.is_buy].resize(order, left)

    def best(self, is_buy: bool) -> Resting | None:
        """The order that matches next on a side."""
        return self._sides[is_buy].best()

    @property
    def is_crossed(self) -> bool:
        """Whether the two best orders accept each other; only after one was put back."""
        bid, ask = self.best(True), self.best(False)
        return bid is not None and ask is not None and bid.price >= ask.price

    def match(self, taker: Resting, time_in_force: TimeInForce, limits: Limits) -> Matched:
        """Match an incoming order, and let its rest rest where its time in force says so."""
        plan = self._plan(taker, time_in_force, limits)
        for hash_, _ in plan.removed:
            self.remove(hash_)
        for hash_, base, _ in plan.fills:
            left = self._orders[hash_].left - base
            if left:
                self.resize(hash_, left)
            else:
                self.remove(hash_)
        if plan.left and plan.end is None:
            taker.left = plan.left
            self.insert(taker)
        return plan

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks by price, the best first, at most so many of each."""
        return self._sides[True].depth(levels), self._sides[False].depth(levels)

    def changed_levels(self) -> tuple[list[Level], list[Level]]:
        """Bids and asks at prices where something changed since the last call."""
        return self._sides[True].changes(), self._sides[False].changes()

    def _plan(self, taker: Resting, time_in_force: TimeInForce, limits: Limits) -> Matched:
        """What `match` would do; nothing is changed, so that fill or kill can be refused as a whole."""
        fills: list[Fill] = []
        removed: list[Removed] = []
        left, end = taker.left, None
        low, high = limits.band
        at_once = time_in_force in (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL)
        for maker in self._sides[not taker.is_buy].orders.values():
            if not left or not taker.accepts(maker.price):
                break
            if maker.last_second < limits.now:
                removed.append(Removed(maker.hash, End.EXPIRED))
                continue
            if maker.price > high if taker.is_buy else maker.price < low:
                end = End.OUTSIDE_BAND
                break
            if not low <= maker.price <= high:  # a price too good to be allowed: the index left it behind
                removed.append(Removed(maker.hash, End.OUTSIDE_BAND))
                continue
            if time_in_force == TimeInForce.POST_ONLY:
                end = End.WOULD_TAKE
                break
            if maker.owner == taker.owner:
                end = End.SELF_MATCH
                break
            if at_once and len(fills) == limits.max_fills:
                end = End.NOTHING_LEFT_TO_TAKE
                break
            base = min(left, maker.left)
            fills.append(Fill(maker.hash, base, maker.price))
            left -= base
        if left and time_in_force == TimeInForce.FILL_OR_KILL:
            return Matched([], taker.left, End.NOT_FILLED, removed)
        if left and time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL and end is None:
            end = End.NOTHING_LEFT_TO_TAKE
        return Matched(fills, left, end, removed)


class _Side:
    """One side: orders by rank, and what there is of them at each price."""

    def __init__(self) -> None:
        self.orders: SortedDict[tuple[int, int], Resting] = SortedDict()
        self._levels: SortedDict[int, list[int]] = SortedDict()
        self._changed: set[int] = set()

    def add(self, order: Resting) -> None:
        key = order.key
        self.orders[key] = order
        level = self._levels.get(key[0])
        if level is None:
            level = self._levels[key[0]] = [0, 0]
        level[0] += order.left
        level[1] += 1
        self._changed.add(key[0])

    def discard(self, order: Resting) -> None:
        key = order.key
        del self.orders[key]
        level = self._levels[key[0]]
        level[0] -= order.left
        level[1] -= 1
        if not level[1]:
            del self._levels[key[0]]
        self._changed.add(key[0])

    def resize(self, order: Resting, left: int) -> None:
        rank = order.key[0]
        self._levels[rank][0] += left - order.left
        order.left = left
        self._changed.add(rank)

    def best(self) -> Resting | None:
        return self.orders.peekitem(0)[1] if self.orders else None

    def depth(self, levels: int) -> list[Level]:
        return [self._level(rank) for rank in self._levels.islice(0, levels)]

    def changes(self) -> list[Level]:
        changed, self._changed = self._changed, set()
        return [self._level(rank) for rank in sorted(changed)]

    def _level(self, rank: int) -> Level:
        size, count = self._levels.get(rank, (0, 0))
        return Level(abs(rank), size, count)
