"""Which accounts are unhealthy, without valuing all of them at every price.

From an account's equity E, maintenance M and notional N follows how far prices may move before it can be liquidated: at
a relative move r of every price E falls by at most r × N and M grows by at most r × M, so it is healthy while
r < (E − M) / (N + M). Four fifths of that, for ten minutes, leave room for funding.
"""

from __future__ import annotations

from collections.abc import Iterable

from plimsoll.core.units import WAD
from plimsoll.replay.actions import (
    Absorb,
    Action,
    Block,
    CancelAllFor,
    CancelFor,
    CloseOut,
    Deposit,
    Execute,
    Match,
    PlaceFor,
    SetDelegateFor,
    TakeOver,
    Withdraw,
    calls_of,
)
from plimsoll.replay.mirror import Mirror

VALID_SECONDS = 600

Band = tuple[int, tuple[tuple[int, int, int], ...]]
"""Until when, and (market, lowest, highest price) within which the account is surely healthy."""


class Watch:
    """Accounts with a position or a debt."""

    def __init__(self, mirror: Mirror, accounts: Iterable[int]) -> None:
        """`accounts` are those that may ever have a position, in the order in which they are given out."""
        self._mirror = mirror
        self._order = {account: place for place, account in enumerate(accounts)}
        self._held: dict[int, None] = {}
        self._bands: dict[int, Band] = {}

    @property
    def held(self) -> list[int]:
        """Accounts with a position or a debt."""
        return sorted(self._held, key=self._order.__getitem__)

    def saw(self, block: Block) -> None:
        """What a block changed."""
        for account in _touched(block):
            self._bands.pop(account, None)
            if account not in self._order:
                continue
            if self._mirror.model.markets_bitmap(account) or self._mirror.model.cash_of(account) < 0:
                self._held[account] = None
            else:
                self._held.pop(account, None)

    def unhealthy(self) -> list[int]:
        """Accounts whose equity is below maintenance now, at health prices."""
        mirror = self._mirror
        prices = {market_id: mirror.price(market_id) for market_id in mirror.markets}
        uncertain = []
        for account in self._held:
            band = self._bands.get(account)
            if band is None or band[0] < mirror.now or not _within(band, prices):
                uncertain.append(account)
        if not uncertain:
            return []
        with mirror.accrued():
            found = [account for account in uncertain if not self._value(account)]
        return sorted(found, key=self._order.__getitem__)

    def _value(self, account: int) -> bool:
        """Whether it is healthy; how far it may be trusted to stay so is noted."""
        mirror = self._mirror
        health = mirror.health(account)
        spare = health.equity - health.maintenance
        if spare < 0:
            self._bands.pop(account, None)
            return False
        move = spare * WAD * 4 // (5 * (health.notional + health.maintenance)) if health.notional else 0
        self._bands[account] = (
            mirror.now + VALID_SECONDS,
            tuple(
                (market.id, price * (WAD - move) // WAD, price * (WAD + move) // WAD)
                for market in mirror.model.state.markets_of(account)
                if (price := mirror.price(market.id))
            ),
        )
        return True


def _within(band: Band, prices: dict[int, int]) -> bool:
    return all(low <= prices[market_id] <= high for market_id, low, high in band[1])


def _touched(block: Block) -> dict[int, None]:
    """Accounts whose positions or cash may have changed."""
    actions = (call for applied in block.applied for call in calls_of(applied.action))
    return dict.fromkeys(account for action in actions for account in _accounts_of(action))


def _accounts_of(action: Action) -> Iterable[int]:
    match action:
        case Execute(orders):
            return [order.account for order in orders]
        case Match(taker, makers):
            return [taker.order.account, *(maker.order.account for maker, _ in makers)]
        case TakeOver(account, _, _, to_account):
            return [account, to_account]
        case PlaceFor(order, _) | CancelFor(order, _):
            return [order.account]
        case Deposit(account, _) | Withdraw(account, _) | CloseOut(account, _) | Absorb(account):
            return [account]
        case SetDelegateFor() | CancelAllFor():
            return [action.account]
    return []
