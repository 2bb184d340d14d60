"""Who acts at every record besides the keepers without capital."""

from __future__ import annotations

from typing import Protocol as Shape

from plimsoll.core.units import BPS, SECONDS_PER_MINUTE, WAD
from plimsoll.risk.liquidation import TakeOver
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.study.setting import PATIENCE_BPS
from plimsoll.risk.study.world import MARKET, World

_TAKER_LEVERAGE = 10
_TAKER_PROFIT_BPS = 10
_BUYERS_CAPITAL = 500 * 10**6 * WAD
_LEAST_USD = 2_000 * WAD


class Actor(Shape):
    """Somebody who acts at a record, before the keepers and after them."""

    def before(self, world: World) -> None: ...

    def after(self, world: World) -> None: ...


def room_to(world: World, bps: int) -> int:
    """What has to be bought for the mark to be so far above the index; negative: what has to be sold."""
    return world.market.scale * bps // BPS - world.market.skew


class Buyers:
    """Outsiders who buy what the pool offers below the index, and hedge it elsewhere: so much a minute, and no more."""

    def __init__(self, world: World, dollars_a_minute: int) -> None:
        self._rate = dollars_a_minute
        self._account = world.account(_BUYERS_CAPITAL)
        self._last = world.now
        self.bought = 0

    def before(self, world: World) -> None:
        pass

    def after(self, world: World) -> None:
        seconds = min(world.now - self._last, SECONDS_PER_MINUTE)
        self._last = world.now
        dollars = min(self._rate * seconds // SECONDS_PER_MINUTE, room_to(world, -PATIENCE_BPS) * world.price // WAD)
        if dollars < _LEAST_USD:
            return
        try:
            world.trade(self._account, dollars * WAD // world.price)
        except Refusal as refusal:
            if refusal.name != "PerpMarket_OpenInterestLimit":
                raise
            return
        self.bought += dollars


class Taker:
    """A keeper with capital. He takes over what pays more than his fee and ten basis points, up to ten times his
    equity, and lets go of it as far as the mark stays within `PATIENCE_BPS` of the index or better."""

    def __init__(self, world: World, capital: int) -> None:
        self.account = world.account(capital)
        self._capital = capital
        self.discounts = self.fees = 0

    def result(self, world: World) -> int:
        """His equity at the index less his capital: he hedges nothing."""
        return world.protocol.equity(self.account, world.now) - self._capital

    def before(self, world: World) -> None:
        pass

    def after(self, world: World) -> None:
        held = world.base_of(self.account)
        room = -room_to(world, -PATIENCE_BPS) if held > 0 else room_to(world, PATIENCE_BPS)
        size = min(abs(held), max(0, room))
        if size < abs(held) and world.value(abs(held) - size) < _LEAST_USD:
            return
        if size:
            world.trade(self.account, -size if held > 0 else size, reduce_only=True)

    def take(self, world: World, account: int) -> TakeOver | None:
        """As much of an unhealthy account's position as his margin allows; None where that doesn't pay."""
        equity = world.protocol.equity(self.account, world.now)
        base = world.base_of(account)
        size = min(
            abs(base), max(0, _TAKER_LEVERAGE * equity - world.value(world.base_of(self.account))) * WAD // world.price
        )
        if size < abs(base):
            size = min(size, abs(base) - _LEAST_USD * WAD // world.price)
        if world.value(max(0, size)) < _LEAST_USD:
            return None
        with world.protocol.simulated():
            offer = self._try(world, account, size if base > 0 else -size)
        if offer is None or offer.discount - offer.fee < offer.amount * _TAKER_PROFIT_BPS // BPS:
            return None
        done = self._try(world, account, size if base > 0 else -size)
        if done is not None:
            self.discounts += done.discount
            self.fees += done.fee
        return done

    def _try(self, world: World, account: int, base: int) -> TakeOver | None:
        try:
            return world.protocol.take_over(
                account, MARKET, base, self.account, now=world.now, sender=self.account >> 96
            )
        except Refusal:
            return None
