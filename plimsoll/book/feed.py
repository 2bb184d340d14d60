"""What is told to everybody: depth, trades and orders, once they are on the disk.

A subscriber gets a snapshot of each market's depth and then its changes, numbered without a gap. Who doesn't read fast
enough is cut off rather than waited for, and starts again with a snapshot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from sortedcontainers import SortedDict

from plimsoll.book.book import Level
from plimsoll.book.engine import Drained, Engine
from plimsoll.book.shown import levels_shown, order_shown, trade_shown

QUEUE = 2_000
"""Messages that a subscriber may be behind."""
CHANNELS = ("depth", "trades", "orders")


class Depth:
    """A market's levels as they were told. `sequence` counts the changes."""

    def __init__(self) -> None:
        self.sequence = 0
        self._sides: tuple[SortedDict[int, Level], SortedDict[int, Level]] = (SortedDict(), SortedDict())

    def change(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self.sequence += 1
        for side, levels, sign in zip(self._sides, (bids, asks), (-1, 1), strict=True):
            for level in levels:
                if level.size:
                    side[sign * level.price] = level
                else:
                    side.pop(sign * level.price, None)

    def shown(self, market_id: int, levels: int) -> dict[str, Any]:
        """The best levels of each side."""
        bids, asks = ([side[key] for key in side.islice(0, levels)] for side in self._sides)
        return {
            "market": market_id,
            "sequence": self.sequence,
            "bids": levels_shown(bids),
            "asks": levels_shown(asks),
        }


class Subscriber:
    """One listener's queue. None in it: it was too slow, and is let go."""

    def __init__(self, channels: Collection[str], markets: Collection[int], account: int | None = None) -> None:
        """No markets: all of them. `account` chooses whose orders are told; without it none are."""
        self.channels = frozenset(channels)
        self.markets = frozenset(markets)
        self.account = account
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(QUEUE + 1)

    def wants(self, channel: str, market_id: int) -> bool:
        return channel in self.channels and (not self.markets or market_id in self.markets)

    def put(self, text: str) -> bool:
        """False where it is too far behind."""
        if self.queue.qsize() < QUEUE:
            self.queue.put_nowait(text)
            return True
        self.queue.put_nowait(None)
        return False


class Feed:
    """All subscribers."""

    def __init__(self, engine: Engine) -> None:
        self._depths: dict[int, Depth] = {}
        self._subscribers: set[Subscriber] = set()
        for market_id in engine.markets:
            self.depth(market_id).change(*engine.book(market_id).depth(2**31))

    def __len__(self) -> int:
        return len(self._subscribers)

    def depth(self, market_id: int) -> Depth:
        return self._depths.setdefault(market_id, Depth())

    def add(self, subscriber: Subscriber, levels: int, markets: Iterable[int]) -> None:
        """Begin to tell, with the depth as it is."""
        for market_id in markets:
            if subscriber.wants("depth", market_id):
                subscriber.put(json.dumps({"type": "snapshot"} | self.depth(market_id).shown(market_id, levels)))
        self._subscribers.add(subscriber)

    def remove(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)

    def prepared(self, drained: Drained) -> Callable[[], None]:
        """What there is to tell, as it is now; the result tells it."""
        channels = {channel for one in self._subscribers for channel in one.channels}
        trades = [(one.market_id, trade_shown(one)) for one in drained.matches] if "trades" in channels else []
        orders = [(one.order, order_shown(one)) for one in drained.orders] if "orders" in channels else []

        def tell() -> None:
            for market_id, (bids, asks) in drained.depth.items():
                self._tell_depth(market_id, bids, asks)
            for market_id, shown in trades:
                self._tell({"type": "trade"} | shown, self._wanting("trades", market_id))
            for order, shown in orders:
                wanting = [one for one in self._wanting("orders", order.market_id) if one.account == order.account]
                self._tell({"type": "order"} | shown, wanting)

        return tell

    def _tell_depth(self, market_id: int, bids: list[Level], asks: list[Level]) -> None:
        depth = self.depth(market_id)
        depth.change(bids, asks)
        changes = {"bids": levels_shown(bids), "asks": levels_shown(asks)}
        message = {"type": "depth", "market": market_id, "sequence": depth.sequence} | changes
        self._tell(message, self._wanting("depth", market_id))

    def _wanting(self, channel: str, market_id: int) -> list[Subscriber]:
        return [one for one in self._subscribers if one.wants(channel, market_id)]

    def _tell(self, message: Mapping[str, Any], wanting: Iterable[Subscriber]) -> None:
        text = ""
        for one in wanting:
            text = text or json.dumps(message)
            if not one.put(text):
                self._subscribers.discard(one)
