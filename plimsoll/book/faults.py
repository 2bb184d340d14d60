"""Whose fault it is that the contracts refuse a match: who is put out of the book, and who goes on.

An error that names an account or a hash says it itself. For the others it is worked out from the positions, so that
nobody can have honest orders thrown out by trading badly against them: in doubt it is the one who came last, the taker.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from plimsoll.book.facts import AccountFacts, Facts
from plimsoll.book.records import BookOrder, Match
from plimsoll.chain.transactions import Reverted
from plimsoll.core.units import WAD

NOTHING = AccountFacts()
Part = tuple[Match, BookOrder]
"""A match and its maker."""


class Fault(Enum):
    """Who has to go."""

    MAKER = "maker"
    TAKER = "taker"
    NOBODY = "nobody"
    """It may pass: try again at the next block."""
    DUST = "dust"
    """Nobody's: what is left of the maker is too little for anybody. It goes, and the taker goes on."""
    CRUMB = "crumb"
    """So little is no match of its own: the taker begins again at the best price."""


_PASSING = frozenset({"PerpMarket_OpeningHalted", "OrderBook_TooLittleGas"})
_OF_THE_TAKER = frozenset(
    {"OrderBook_SelfMatch", "OrderBook_NotCrossing", "OrderBook_InvalidTerms", "OrderBook_ZeroSize"}
)
"""What the book itself would have got wrong."""


def fault_of(reason: Reverted, match: Match, maker: BookOrder, taker: BookOrder, facts: Facts) -> Fault:
    """Who is at fault for the refusal of one match in a batch. What the taker alone does wrong reverts the batch."""
    named = {reason.values.get(name) for name in ("account", "hash", "takerHash", "makerHash")}
    if maker.order.account in named or maker.hash in named:
        return Fault.MAKER
    if taker.order.account in named or taker.hash in named or reason.name in _OF_THE_TAKER:
        return Fault.TAKER
    if reason.name == "OrderBook_TooSmall":
        is_small = maker.size * match.price // WAD < int(reason.values["minimum"])
        return Fault.MAKER if is_small else Fault.CRUMB
    if reason.name in _PASSING:
        return Fault.NOBODY
    if reason.name == "PerpMarket_StalePrice":
        return _of_stale_price(int(reason.values["marketId"]), match, maker, taker, facts)
    if reason.name == "PerpMarket_BelowMinimumPosition":
        return _of_small_position(int(reason.values["notional"]), match, maker, taker, facts)
    if reason.name in ("PerpMarket_OpenInterestLimit", "PerpMarket_IsolatedOnly"):
        size = match.base if match.is_buy else -match.base
        grows = facts.accounts.get(taker.order.account, NOTHING).increases(match.market_id, size)
        return Fault.TAKER if grows else Fault.MAKER
    return Fault.MAKER


def _of_stale_price(market_id: int, match: Match, maker: BookOrder, taker: BookOrder, facts: Facts) -> Fault:
    """The market's own price, which the next record cures, or another's that one of them holds."""
    if market_id == match.market_id:
        return Fault.NOBODY
    if market_id in facts.accounts.get(taker.order.account, NOTHING).positions:
        return Fault.TAKER
    return Fault.MAKER if market_id in facts.accounts.get(maker.order.account, NOTHING).positions else Fault.TAKER


def _of_small_position(notional: int, match: Match, maker: BookOrder, taker: BookOrder, facts: Facts) -> Fault:
    """The maker's, if it is he who is left with too little by a match that is no crumb itself."""
    market = facts.markets[match.market_id]
    if match.base * market.price // WAD < market.model.rules.min_position:
        ends_taker = not taker.left and taker.pending == match.base
        return Fault.TAKER if maker.left or ends_taker else Fault.DUST
    held = facts.accounts.get(maker.order.account, NOTHING).base(match.market_id)
    after = held + (-match.base if match.is_buy else match.base)
    return Fault.MAKER if abs(after) * market.price // WAD == notional else Fault.TAKER


def arranged(taker: BookOrder, parts: Sequence[Part], held: int, smallest: int) -> list[Part]:
    """A taker's matches in an order in which all of them can be, where there is one.

    On the way his position is never below `smallest` (base), and a match of less than that is all that is left of him,
    or of a maker that was more as a whole. Each is at its own maker's price whatever the order.
    """
    by_size = sorted(parts, key=lambda part: part[0].base)
    for tried in (list(parts), by_size[::-1], by_size, by_size[1:] + by_size[:1]):
        if _is_sound(taker, tried, held, smallest):
            return tried
    return list(parts)


def _is_sound(taker: BookOrder, parts: Sequence[Part], held: int, smallest: int) -> bool:
    position, left = held, taker.size - taker.filled
    for match, maker in parts:
        ends_maker = maker.size >= smallest and match.base == maker.size - maker.filled
        if match.base < smallest and match.base != left and not ends_maker:
            return False
        left -= match.base
        position += match.base if match.is_buy else -match.base
        if position and abs(position) < smallest:
            return False
    return True
