"""Whether an account can carry its open orders: the contracts' test of an increase, on all of a side's orders at once.

Source: docs/specification.md, sections 4 and 7 ("The exchange"); the sums are the reference model's.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.book.facts import NO_POSITION, AccountFacts, Facts
from plimsoll.core.units import BPS, WAD
from plimsoll.risk import margin
from plimsoll.risk.position import fill
from plimsoll.risk.state import Free


class Orders(NamedTuple):
    """Open orders of an account on one side of a market. `value`: Σ size × price, WAD²."""

    size: int = 0
    value: int = 0
    reducing: int = 0
    """Size of those that only reduce; not in the other two."""

    def plus(self, size: int, price: int, reduce_only: bool) -> Orders:
        """With one more, or one less where `size` is negative."""
        if reduce_only:
            return self._replace(reducing=self.reducing + size)
        return self._replace(size=self.size + size, value=self.value + size * price)


class Open:
    """Open orders of every account: what is not settled of those that can still be filled."""

    def __init__(self) -> None:
        self._sides: dict[tuple[int, int, bool], Orders] = {}
        self._counts: dict[int, int] = {}

    def side(self, account: int, market_id: int, is_buy: bool) -> Orders:
        return self._sides.get((account, market_id, is_buy), _NONE)

    def count(self, account: int) -> int:
        """How many orders are open."""
        return self._counts.get(account, 0)

    def accounts(self) -> list[int]:
        return list(self._counts)

    def change(self, account: int, market_id: int, is_buy: bool, after: Orders) -> None:
        key = account, market_id, is_buy
        if after == _NONE:
            self._sides.pop(key, None)
        else:
            self._sides[key] = after

    def add_count(self, account: int, orders: int) -> None:
        after = self._counts.get(account, 0) + orders
        if after:
            self._counts[account] = after
        else:
            self._counts.pop(account, None)


_NONE = Orders()


def charges(orders: Orders, taker_bps: int, execution_fee: int) -> int:
    """The most that filling them all costs: taker fees on all, and one execution fee."""
    notional = -(-orders.value // WAD)
    return -(-notional * taker_bps // BPS) + execution_fee


def quote_of(orders: Orders, is_buy: bool) -> int:
    """Δquote of filling them all at their own prices."""
    return -orders.value // WAD if is_buy else orders.value // WAD


def free_after(facts: Facts, account: AccountFacts, market_id: int, size: int, quote: int, charge: int) -> Free:
    """C and Σ initial after a signed fill (size, quote) that costs `charge` beside; what it gains doesn't count."""
    model = facts.markets[market_id].model
    price = facts.markets[market_id].price
    base, held_quote, owed = account.positions.get(market_id, NO_POSITION)
    base, held_quote, released = fill(base, held_quote, size, quote)
    gain = max(0, size * price // WAD + quote)
    available = account.cash - account.reserved - owed + released - charge
    available += min(0, base * price // WAD + held_quote - gain) if base else 0
    required = margin.initial(model, abs(base), price)
    for other, (held, other_quote, other_owed) in account.positions.items():
        if other != market_id:
            found = facts.markets[other]
            available += min(0, held * found.price // WAD + other_quote - other_owed)
            required += margin.initial(found.model, abs(held), found.price)
    return Free(available, required)
