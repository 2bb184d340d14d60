"""Scopes of delegates: what a bot or a session key may do with an account, built from what people say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from plimsoll.core.errors import UserError
from plimsoll.core.orders import Scope
from plimsoll.sdk.words import markets_in

MAX_MARKET = 16
MAX_UNTIL = 2**40 - 1
MAX_BUDGET = 2**64 - 1
LEAST_USE = 1_000
"""Whole dollars that any placement or match of a delegate counts for at least."""


class Delegated(NamedTuple):
    """A delegate's scope, also after its end, and the whole dollars of its budget used today (UTC)."""

    scope: Scope
    used_today: int

    @property
    def left_today(self) -> int:
        """Whole dollars."""
        return max(0, self.scope.daily_budget - self.used_today)

    @property
    def markets(self) -> list[int]:
        """The ids of its markets, ascending."""
        return markets_in(self.scope.markets)


def scope_of(
    markets: Iterable[int], until: int, daily_budget: int, *, may_match: bool = False, may_take_over: bool = False
) -> Scope:
    """A scope of market ids, the last second (Unix) in which it holds, and whole dollars a day (UTC).

    Raises UserError for one that would permit nothing.
    """
    bitmap = 0
    for market_id in markets:
        if not 1 <= market_id <= MAX_MARKET:
            raise UserError(f"delegate: there is no market {market_id}")
        bitmap |= 1 << market_id - 1
    if not bitmap:
        raise UserError("delegate: without a market it may do nothing; name at least one")
    if not 0 < until <= MAX_UNTIL:
        raise UserError(f"delegate: {until} is no Unix time in seconds")
    if not LEAST_USE <= daily_budget <= MAX_BUDGET:
        raise UserError(f"delegate: a budget of ${daily_budget:,} a day; every order counts for ${LEAST_USE:,} or more")
    return Scope(bitmap, until, daily_budget, may_match, may_take_over)
