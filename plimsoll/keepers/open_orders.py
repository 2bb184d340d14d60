"""All open orders from the order book's events: the queue, what waits for its price, and what waits for a parent."""

from __future__ import annotations

from collections.abc import Iterable

from plimsoll.core.orders import NO_PARENT
from plimsoll.keepers.triggers import TriggerIndex
from plimsoll.sdk.events import ORDER_ENDS, AllCancelled, Happened, OrderExecuted, OrdersMatched
from plimsoll.sdk.history import OpenOrder, OrderTracker


class OpenOrders:
    """Orders by what they wait for. Feeding an event twice changes nothing.

    `queued`: market orders. `index`: what waits for its price alone. `orphans`: what can't be filled any more, because
    its parent ended without a fill. What waits for its parent is none of these.
    """

    EVENTS = (*OrderTracker.EVENTS, "OrdersMatched")

    def __init__(self) -> None:
        self.queued: dict[bytes, OpenOrder] = {}
        self.index = TriggerIndex()
        self.orphans: dict[bytes, OpenOrder] = {}
        self._tracker = OrderTracker()
        self._parents: dict[bytes, bytes] = {}
        """Of those that wait for it."""
        self._children: dict[bytes, dict[bytes, None]] = {}
        self._filled: set[bytes] = set()
        """At least in part, however it ended."""
        self._ended: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._tracker.open)

    def __contains__(self, hash_: object) -> bool:
        return hash_ in self._tracker.open

    def feed(self, records: Iterable[Happened]) -> None:
        for record in records:
            self._tracker.feed([record])
            if isinstance(record, OrdersMatched):
                self._fill(record.maker_hash)
                self._fill(record.taker_hash)
            elif isinstance(record, AllCancelled):
                for gone in [known for known in self._known() if known not in self._tracker.open]:
                    self._remove(gone)
            elif (hash_ := getattr(record, "hash", None)) is not None:
                if isinstance(record, OrderExecuted):
                    self._fill(hash_)
                elif isinstance(record, ORDER_ENDS):
                    self._end(hash_)
                self._sort(hash_)

    def end(self, hash_: bytes) -> None:
        """It is settled, whatever the events say."""
        self._tracker.end(hash_)
        self._sort(hash_)

    def forget_expired(self, now: int) -> None:
        """What may no longer be executed at `now` is not looked at again."""
        self.index.drop_expired(now)

    def _known(self) -> list[bytes]:
        return [*self.index, *self.orphans, *self._parents]

    def _fill(self, hash_: bytes) -> None:
        if hash_ not in self._filled:
            self._filled.add(hash_)
            self._sort_children(hash_)

    def _end(self, hash_: bytes) -> None:
        if hash_ not in self._ended:
            self._ended.add(hash_)
            self._sort_children(hash_)

    def _sort_children(self, parent: bytes) -> None:
        for child in list(self._children.get(parent, ())):
            self._sort(child)

    def _sort(self, hash_: bytes) -> None:
        """Put an order where it belongs now."""
        one = self._tracker.open.get(hash_)
        if one is None:
            self._remove(hash_)
        elif one.is_queued:
            self.queued[hash_] = one
        else:
            self.queued.pop(hash_, None)
            self._sort_waiting(one)

    def _sort_waiting(self, one: OpenOrder) -> None:
        parent = one.order.parent
        if parent == NO_PARENT or parent in self._filled:
            self._leave_parent(one.hash)
            self.index.add(one)
        elif parent in self._ended:
            self._leave_parent(one.hash)
            self.orphans[one.hash] = one
        else:
            self._parents[one.hash] = parent
            self._children.setdefault(parent, {})[one.hash] = None

    def _leave_parent(self, hash_: bytes) -> None:
        if (parent := self._parents.pop(hash_, None)) is not None:
            children = self._children[parent]
            del children[hash_]
            if not children:
                del self._children[parent]

    def _remove(self, hash_: bytes) -> None:
        self.queued.pop(hash_, None)
        self.orphans.pop(hash_, None)
        self.index.remove(hash_)
        self._leave_parent(hash_)
