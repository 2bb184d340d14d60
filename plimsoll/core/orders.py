"""Orders and delegates' scopes as everybody passes them round: the fields of the Solidity structs, in their order.

Prices, sizes are WAD; times Unix seconds. Sources: IOrderBook.Order, IDelegates.Scope, docs/specification.md section 7.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

COUNTER_SHIFT = 128
NO_PARENT = bytes(32)


class OrderKind(IntEnum):
    """What an order waits for."""

    MARKET = 0
    LIMIT = 1
    STOP_LOSS = 2
    TAKE_PROFIT = 3


class TimeInForce(IntEnum):
    """How long a signed order may be matched; all but the first are for orders that are matched only."""

    GOOD_TILL_TIME = 0
    POST_ONLY = 1
    IMMEDIATE_OR_CANCEL = 2
    FILL_OR_KILL = 3


class Order(NamedTuple):
    """What an account wants. `base` is signed, positive for a buy.

    `acceptable_price` is at most for a buy, at least for a sell; `trigger_price` is 0 for market and limit orders;
    `expiry` is 0 for none, `parent` the hash of an order that has to be filled first; `salt` is the account's counter
    (high 128 bits) and anything that makes the order new.
    """

    account: int
    market_id: int
    kind: int
    base: int
    acceptable_price: int
    trigger_price: int = 0
    reduce_only: bool = False
    time_in_force: int = TimeInForce.GOOD_TILL_TIME
    expiry: int = 0
    parent: bytes = NO_PARENT
    salt: int = 0

    @property
    def counter(self) -> int:
        """The account's counter that the order was made under."""
        return self.salt >> COUNTER_SHIFT

    @property
    def is_buy(self) -> bool:
        return self.base > 0


class Scope(NamedTuple):
    """What a delegate may do: never withdraw or transfer. `markets` has bit m − 1 for market m.

    `until` is the last second in which it is in force; `daily_budget` is whole dollars of notional a day (UTC),
    reductions included. Matching and taking over are permissions apart.
    """

    markets: int
    until: int
    daily_budget: int
    may_match: bool = False
    may_take_over: bool = False

    def covers(self, market_id: int, now: int) -> bool:
        """Whether it is in force in that market at `now`, Unix seconds."""
        return now <= self.until and bool(self.markets << 1 >> market_id & 1)


NO_SCOPE = Scope(0, 0, 0)
"""Ends a delegation."""
