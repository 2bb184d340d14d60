"""Accounts that quote both sides of their markets by signing limit orders that others trade against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import BPS, WAD
from plimsoll.replay.actions import Action
from plimsoll.replay.engine import Engine
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.trader import Desk, Trader

QUOTE_SECONDS = 60
MOVED_BPS = 4
"""How far the index moves before quotes follow."""
PARTS = 5
"""A quote is so much of the most that is held."""
LEAST_USD = 2_000 * WAD
PAUSE_SECONDS = 900
WORRIED = 2 * WAD
"""The health below which everything is taken back."""


@dataclass(slots=True)
class _Quotes:
    """What an account shows in a market: at which index price and inventory, until when."""

    price: int = 0
    held: int = 0
    until: int = 0
    orders: list[Order] = field(default_factory=list)


class Quoters:
    """All of them. Spread and size are each one's own; inventory moves both prices against itself."""

    def __init__(
        self, mirror: Mirror, traders: Iterable[Trader], market_ids: Mapping[str, int], desk: Desk, engine: Engine
    ) -> None:
        self._mirror = mirror
        self._desk = desk
        self._engine = engine
        self._traders = {trader.account: trader for trader in traders}
        self._half_bps = {account: trader.draws.between(3, 10) for account, trader in self._traders.items()}
        self._quotes = {
            (account, market_ids[leg.market]): (leg.notional_usd, _Quotes())
            for account, trader in self._traders.items()
            for leg in trader.plan.legs
        }
        self._paused: dict[int, int] = {}

    def quote(self) -> None:
        """Show new prices where the old ones are no good any more. Needed only where somebody is about to trade."""
        now = self._mirror.now
        for (account, market_id), (most_usd, shown) in self._quotes.items():
            price = self._mirror.price(market_id)
            if not price or self._paused.get(account, 0) > now:
                continue
            held = self._mirror.base_of(account, market_id)
            moved = abs(price - shown.price) * BPS > shown.price * MOVED_BPS
            if moved or held != shown.held or now + QUOTE_SECONDS // 3 > shown.until:
                self._show(self._traders[account], market_id, most_usd * WAD // price, _Quotes(price, held), shown)

    def pull(self) -> Iterator[Action]:
        """Whoever is worried, or was refused, takes everything back at once, by his account's counter."""
        refused, self._engine.refused = self._engine.refused, []
        mirror = self._mirror
        for account, trader in self._traders.items():
            if not self._shows(account):
                continue
            if account in refused or (mirror.model.markets_bitmap(account) and mirror.health(account).ratio < WORRIED):
                self._paused[account] = mirror.now + PAUSE_SECONDS
                self._forget(account)
                yield self._desk.cancel_all(trader)

    def _shows(self, account: int) -> bool:
        now = self._mirror.now
        return any(
            shown.orders and shown.until >= now for (owner, _), (_, shown) in self._quotes.items() if owner == account
        )

    def _forget(self, account: int) -> None:
        for (owner, _), (_, shown) in self._quotes.items():
            if owner == account:
                for order in shown.orders:
                    self._engine.remove(order)
                shown.orders, shown.price = [], 0

    def _show(self, trader: Trader, market_id: int, most: int, new: _Quotes, shown: _Quotes) -> None:
        """Replace both quotes. `most`: base that is held at most."""
        for order in shown.orders:
            self._engine.remove(order)
        half = self._half_bps[trader.account]
        lean = new.price * half * new.held // (most * BPS) if most else 0
        shown.price, shown.held, shown.until = new.price, new.held, self._mirror.now + QUOTE_SECONDS
        shown.orders = []
        for sign in (1, -1):
            size = min(most // PARTS, most - sign * new.held)
            if size * new.price // WAD < LEAST_USD:
                continue
            limit = new.price * (BPS - sign * half) // BPS - lean
            order = self._desk.order(
                trader,
                market_id,
                OrderKind.LIMIT,
                sign * size,
                limit,
                time_in_force=TimeInForce.POST_ONLY,
                seconds=QUOTE_SECONDS,
            )
            self._engine.submit(trader.signed(order))
            shown.orders.append(order)
