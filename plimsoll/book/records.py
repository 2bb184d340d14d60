"""What the engine keeps of orders, matches and transactions: the rows of its store, and the same in memory."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from plimsoll.book.book import NEVER, End, Resting
from plimsoll.core.orders import Order, OrderKind, TimeInForce

FINAL = frozenset({End.CANCELLED, End.EXPIRED, End.REFUSED, End.ENDED_ON_CHAIN})
"""Ends after which nothing of an order is matched again, even where a match of it is undone."""


class MatchState(IntEnum):
    """What became of a match."""

    PENDING = 0
    """Only here."""
    SENT = 1
    """In a transaction that may be mined."""
    SETTLED = 2
    UNDONE = 3


@dataclass(slots=True)
class BookOrder:
    """An order that was accepted. Sizes are unsigned WAD base; what is in none of the three was cancelled.

    `left` can be matched, `pending` is in matches that are not on the chain yet, `filled` in those that are.
    `received_at`: Unix milliseconds. `end` says why nothing more of it is matched, `reason` in words.
    """

    hash: bytes
    order: Order
    signature: bytes
    signer: int
    sequence: int
    received_at: int
    left: int
    pending: int = 0
    filled: int = 0
    end: End | None = None
    reason: str = ""

    @property
    def owner(self) -> int:
        return self.order.account >> 96

    @property
    def size(self) -> int:
        return abs(self.order.base)

    @property
    def time_in_force(self) -> TimeInForce:
        return TimeInForce(self.order.time_in_force)

    @property
    def is_live(self) -> bool:
        """Whether something may still happen to it."""
        return bool(self.left or self.pending)

    @property
    def status(self) -> str:
        """ "open", "matched" (all that is left is on its way to the chain), "filled", or "ended"."""
        if self.left:
            return "open"
        if self.pending:
            return "matched"
        return "filled" if self.filled == self.size else "ended"

    def resting(self, left: int) -> Resting:
        """As a book takes it."""
        order = self.order
        last = order.expiry or NEVER
        return Resting(self.hash, self.owner, order.is_buy, order.acceptable_price, left, self.sequence, last)


@dataclass(slots=True)
class Match:
    """Two orders that were matched. `at`: Unix milliseconds; `tx_hash`: of the transaction that settled it, or may."""

    id: int
    market_id: int
    maker: bytes
    taker: bytes
    is_buy: bool
    """Whether the taker bought."""
    base: int
    price: int
    at: int
    state: MatchState = MatchState.PENDING
    tx_hash: str = ""


class Sent(NamedTuple):
    """A signed transaction, written down before it was sent."""

    tx_hash: str
    nonce: int
    raw: bytes
    taker: bytes


def unpack_order(data: bytes) -> Order:
    """The other way round. Raises ValueError for another length."""
    if len(data) != 11 * 32:
        raise ValueError(f"an order is 352 bytes, not {len(data)}")
    words = [data[at : at + 32] for at in range(0, len(data), 32)]
    numbers = [int.from_bytes(word, "big") for word in words]
    return Order(
        account=numbers[0],
        market_id=numbers[1],
        kind=OrderKind(numbers[2]),
        base=int.from_bytes(words[3], "big", signed=True),
        acceptable_price=numbers[4],
        trigger_price=numbers[5],
        reduce_only=bool(numbers[6]),
        time_in_force=TimeInForce(numbers[7]),
        expiry=numbers[8],
        parent=words[9],
        salt=numbers[10],
    )
