"""Who is unhealthy, without asking every account at every price."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from plimsoll.core.units import BPS, WAD
from plimsoll.risk.margin import maintenance
from plimsoll.risk.study.world import World

_MARGIN_BPS = 30
"""How near a price has to come to an account's own for it to be asked: more than funding, confidence and the roundness
of the estimate move it by between two looks at all."""
_LOOK_SECONDS = 300


class Due(NamedTuple):
    """An unhealthy account: its health (WAD) and its equity."""

    health: int
    account: int
    equity: int


class Watch:
    """Keeps the price at which each account becomes unhealthy."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at: dict[int, tuple[bool, int]] = {}  # account → (is long, price)
        self._sorted: tuple[list[tuple[int, int]], list[tuple[int, int]]] | None = None
        self._looked = 0

    def look(self, account: int) -> None:
        """The account has changed, or is new."""
        world = self._world
        self._sorted = None
        base, quote, owed = world.protocol.position(account, world.market.id, world.now)
        if not base:
            self._at.pop(account, None)
            return
        size = abs(base)
        # E = c + b P and M = |b| P m are equal at P = −c / (b − |b| m)
        share = maintenance(world.market, size, world.price, world.now) * WAD // world.value(size)
        slope = base * WAD - size * share
        self._at[account] = (base > 0, -(world.protocol.cash_of(account) + quote - owed) * WAD * WAD // slope)

    def look_at_all(self) -> None:
        for account in list(self._at):
            self.look(account)
        self._looked = self._world.now

    def due(self) -> list[Due]:
        """The unhealthy ones, the sickest first."""
        world = self._world
        if world.now - self._looked >= _LOOK_SECONDS:
            self.look_at_all()
        found = []
        for account in self._near(world.price):
            equity, required = world.protocol.state.health(account, world.now)
            if equity < required:
                found.append(Due(equity * WAD // required, account, equity))
        return sorted(found)

    def _near(self, price: int) -> list[int]:
        if self._sorted is None:
            longs = sorted((at, account) for account, (is_long, at) in self._at.items() if is_long)
            shorts = sorted((at, account) for account, (is_long, at) in self._at.items() if not is_long)
            self._sorted = longs, shorts
        longs, shorts = self._sorted
        first = bisect_left(longs, (price * (BPS - _MARGIN_BPS) // BPS,))
        end = bisect_left(shorts, (price * (BPS + _MARGIN_BPS) // BPS,))
        return [account for _, account in (*longs[first:], *shorts[:end])]
