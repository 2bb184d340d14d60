"""Orders that wait for their price, sorted by it, so that a price finds what it makes due without asking all of them.

A stop-loss or take-profit is due by the index price. A limit order is due by the fill price of its size, for which the
fill price of the smallest size is a bound: the index finds what the bound allows, `fills` says it exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sortedcontainers import SortedList

from plimsoll.core.orders import Order, OrderKind
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.history import OpenOrder


@dataclass(frozen=True, slots=True)
class Levels:
    """What a market offers, WAD: the index price, and what the smallest buy and sell are filled at.

    None for a side that can't be filled at all.
    """

    index: int
    buy: int | None
    sell: int | None

    @staticmethod
    def of(market: Market, newest: Record) -> Levels:
        """Larger fills are never at better prices."""
        return Levels(newest.price, fill_price(market, newest, 1), fill_price(market, newest, -1))

    def accept(self, order: Order) -> bool:
        """Whether some size of it could be filled at a price that it accepts."""
        if order.base > 0:
            return self.buy is not None and self.buy <= order.acceptable_price
        return self.sell is not None and self.sell >= order.acceptable_price


def fill_price(market: Market, newest: Record, base: int) -> int | None:
    """What `base`, WAD, is filled at; None where it can't be."""
    try:
        return market.fill_quote(base, newest.price, newest.confidence).price
    except Refusal:
        return None


def clamped(order: Order, held: int) -> int:
    """What an order would fill of an account that holds `held` in its market: a reduce-only one at most all of it."""
    if not order.reduce_only:
        return order.base
    if not held or (held > 0) == (order.base > 0):
        return 0
    return max(order.base, -held) if held > 0 else min(order.base, -held)


def fills(order: Order, base: int, market: Market, newest: Record) -> bool:
    """Whether `base` of it is filled at a price that it accepts."""
    price = fill_price(market, newest, base)
    if price is None:
        return False
    return price <= order.acceptable_price if base > 0 else price >= order.acceptable_price


class _Waits(Enum):
    """For which price to be where."""

    INDEX_AT_MOST = 0
    INDEX_AT_LEAST = 1
    BUY_AT_MOST = 2
    SELL_AT_LEAST = 3


def _waits_for(order: Order) -> tuple[_Waits, int]:
    """And the price, negative where due is at most: what is due is what has the smaller numbers."""
    if order.kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT):
        if (order.base > 0) == (order.kind == OrderKind.STOP_LOSS):
            return _Waits.INDEX_AT_LEAST, order.trigger_price
        return _Waits.INDEX_AT_MOST, -order.trigger_price
    if order.base > 0:
        return _Waits.BUY_AT_MOST, -order.acceptable_price
    return _Waits.SELL_AT_LEAST, order.acceptable_price


_ANY = (float("inf"),)
"""Sorts behind every entry of its price."""


class TriggerIndex:
    """Waiting orders by market and price. Adding, removing and finding are O(log n), and finding O(due)."""

    def __init__(self) -> None:
        self._sorted: dict[tuple[int, _Waits], SortedList] = {}
        """(price, place, order), each place once."""
        self._places: dict[bytes, tuple[int, OpenOrder]] = {}
        self._holders: dict[tuple[int, int], dict[bytes, OpenOrder]] = {}
        self._expiries: SortedList = SortedList()
        self._next = 0

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, hash_: bytes) -> bool:
        return hash_ in self._places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def add(self, one: OpenOrder) -> None:
        """Nothing changes where it is there already."""
        if one.hash in self._places:
            return
        order, place = one.order, self._next
        self._next += 1
        self._places[one.hash] = place, one
        waits, price = _waits_for(order)
        self._sorted.setdefault((order.market_id, waits), SortedList()).add((price, place, one))
        self._holders.setdefault((order.account, order.market_id), {})[one.hash] = one
        if _ends(order):
            self._expiries.add((order.expiry, one.hash))

    def remove(self, hash_: bytes) -> None:
        """Nothing changes where it isn't there."""
        if hash_ not in self._places:
            return
        place, one = self._places.pop(hash_)
        order = one.order
        waits, price = _waits_for(order)
        self._sorted[order.market_id, waits].remove((price, place, one))
        holder = self._holders[order.account, order.market_id]
        del holder[hash_]
        if not holder:
            del self._holders[order.account, order.market_id]
        if _ends(order):
            self._expiries.remove((order.expiry, hash_))

    def drop_expired(self, now: int) -> None:
        """Remove what may no longer be executed at `now`, Unix seconds."""
        while self._expiries and self._expiries[0][0] < now:
            self.remove(self._expiries[0][1])

    def of_account(self, account: int, market_id: int) -> list[OpenOrder]:
        """All of an account's in a market, oldest first."""
        return list(self._holders.get((account, market_id), {}).values())

    def candidates(self, market_id: int, levels: Levels) -> list[OpenOrder]:
        """Those whose trigger is met and which some size could be filled of, oldest first."""
        found: list[tuple[int, OpenOrder]] = []
        for waits, level in (
            (_Waits.INDEX_AT_MOST, -levels.index),
            (_Waits.INDEX_AT_LEAST, levels.index),
            (_Waits.BUY_AT_MOST, None if levels.buy is None else -levels.buy),
            (_Waits.SELL_AT_LEAST, levels.sell),
        ):
            entries = self._sorted.get((market_id, waits))
            if entries and level is not None:
                end = entries.bisect_right((level, *_ANY))
                found += [(place, one) for _, place, one in entries.islice(0, end) if levels.accept(one.order)]
        found.sort(key=lambda entry: entry[0])
        return [one for _, one in found]


def _ends(order: Order) -> bool:
    """Whether its expiry means anything; that of a market order, which left the queue, does not."""
    return order.expiry != 0 and order.kind != OrderKind.MARKET
