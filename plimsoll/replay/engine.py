"""A matching engine in the replay's own process: books of signed orders, settled on the contracts at once.

Its books are the matching engine's own; what a service has around them (HTTP, a store, a queue of transactions) would
only make a replay depend on the machine's clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from plimsoll.book.book import NEVER, Book, Limits, Resting
from plimsoll.core.orders import Order, TimeInForce
from plimsoll.core.units import BPS
from plimsoll.replay.actions import Applied, Match, SignedOrder
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.matching import BAND_BPS
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.signing import order_hash

MAX_FILLS = 8
"""Makers of one taker, so that a transaction stays small."""


class Submitted(NamedTuple):
    """What became of an order: the base that was matched, unsigned WAD, and whether its rest waits in the book."""

    matched: int
    rests: bool


@dataclass(slots=True)
class _Entry:
    signed: SignedOrder
    resting: Resting


def _nobody(order: Order, left: int) -> None:
    """Who hears of makers' fills while nobody wants to."""


class Engine:
    """One book a market. `settle` carries a match out; `heard` is told of each maker's fill and what is left of him."""

    def __init__(self, mirror: Mirror, market_ids: Iterable[int]) -> None:
        self._mirror = mirror
        self._books = {market_id: Book() for market_id in market_ids}
        self._entries: dict[bytes, _Entry] = {}
        self._sequence = 0
        self.settle: Callable[[Match], Applied | Refusal] = mirror.attempt
        self.heard: Callable[[Order, int], None] = _nobody
        self.refused: list[int] = []
        """Accounts of makers whom the contracts refused where others were matched."""

    def left(self, order: Order) -> int:
        """What of an order waits in the book, unsigned WAD."""
        entry = self._books[order.market_id].get(order_hash(order))
        return entry.left if entry is not None else 0

    def submit(self, signed: SignedOrder) -> Submitted:
        """Match an order with those of the book, settle that, and let its rest wait where its time in force says so."""
        order = signed.order
        hash_ = order_hash(order)
        self._sequence += 1
        last = order.expiry or NEVER
        owner, price = order.account >> 96, order.acceptable_price
        resting = Resting(hash_, owner, order.is_buy, price, abs(order.base), self._sequence, last)
        book = self._books[order.market_id]
        plan = book.match(resting, TimeInForce(order.time_in_force), self._limits(order.market_id))
        for removed in plan.removed:
            del self._entries[removed.hash]
        if book.get(hash_) is not None:
            self._entries[hash_] = _Entry(signed, resting)
        makers = [(self._entries[fill.maker], fill.base) for fill in plan.fills]
        matched = self._settle(signed, makers) if makers else 0
        for entry, _ in makers:
            self._forget(entry)
        return Submitted(matched, book.get(hash_) is not None)

    def remove(self, order: Order) -> int:
        """Take an order out of the book. Returns what of it waited there."""
        hash_ = order_hash(order)
        removed = self._books[order.market_id].remove(hash_)
        self._entries.pop(hash_, None)
        return removed.left if removed is not None else 0

    def _limits(self, market_id: int) -> Limits:
        price = self._mirror.price(market_id)
        band = price * BAND_BPS // BPS
        return Limits(self._mirror.now, (price - band, price + band), MAX_FILLS)

    def _settle(self, taker: SignedOrder, makers: list[tuple[_Entry, int]]) -> int:
        """What was matched of the taker. Who is refused is out of the book."""
        done = self.settle(Match(taker, tuple((entry.signed, base) for entry, base in makers)))
        if isinstance(done, Refusal):
            self.remove(taker.order)
            if len(makers) == 1:  # it may be the fault of either
                self.remove(makers[0][0].signed.order)
            else:
                for entry, base in makers:
                    self._put_back(entry, base)
            return 0
        matched = 0
        for (entry, base), result in zip(makers, done.result, strict=True):
            maker = entry.signed.order
            if isinstance(result, Refusal):
                self.remove(maker)
                self.remove(taker.order)
                self.refused.append(maker.account)
            else:
                matched += base
                self.heard(maker, self.left(maker))
        return matched

    def _put_back(self, entry: _Entry, base: int) -> None:
        book, resting = self._books[entry.signed.order.market_id], entry.resting
        if book.get(resting.hash) is not None:
            book.resize(resting.hash, resting.left + base)
        else:
            resting.left = base
            book.insert(resting)

    def _forget(self, entry: _Entry) -> None:
        """Where nothing of it waits any more."""
        if self._books[entry.signed.order.market_id].get(entry.resting.hash) is None:
            self._entries.pop(entry.resting.hash, None)
