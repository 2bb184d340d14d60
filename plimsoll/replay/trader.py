"""One account and those who act for it: its owner, its bot, a relayer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from plimsoll.core.orders import COUNTER_SHIFT, Order, OrderKind, TimeInForce
from plimsoll.replay.actions import (
    Action,
    Call,
    Cancel,
    CancelAll,
    CancelAllFor,
    CancelFor,
    Place,
    PlaceFor,
    SignedOrder,
    Together,
)
from plimsoll.replay.day import Intent
from plimsoll.replay.keys import Key
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import AccountPlan

Temper = Literal["hold", "top up", "reduce", "stop", "take profit"]
TEMPERS: tuple[tuple[Temper, int], ...] = (
    ("hold", 40),
    ("top up", 15),
    ("reduce", 15),
    ("stop", 15),
    ("take profit", 15),
)
Exits = Literal["bracket", "pair", "trailing", "ladder"]
EXITS: tuple[tuple[Exits, int], ...] = (("bracket", 4), ("pair", 2), ("trailing", 2), ("ladder", 2))

RELAY_SECONDS = 60
"""How long a relayer may take with a signed market order."""


@dataclass(slots=True)
class Trader:
    """One account and its owner's state of mind. `patience` is the health at which he acts, `left` how often yet.

    `bot` is the delegate who decides for him, None without one. `resting` are orders that wait for their price, with
    what they are for; `exits` are stops and profit orders that guard a position.
    """

    plan: AccountPlan
    key: Key
    account: int
    temper: Temper
    draws: Draws
    patience: int
    left: int
    bot: Key | None = None
    guard: Exits | None = None
    resting: dict[Order, Intent] = field(default_factory=dict)
    exits: dict[Order, None] = field(default_factory=dict)

    @property
    def decider(self) -> int:
        """Who signs and sends its orders."""
        return self.key.number if self.bot is None else self.bot.number

    def signed(self, order: Order) -> SignedOrder:
        return SignedOrder(order, self.decider)


class Desk:
    """How traders' orders come to the order book: new, taken back, or several in one transaction."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._salt = 0

    def order(
        self,
        trader: Trader,
        market_id: int,
        kind: OrderKind,
        base: int,
        price: int,
        *,
        reduce_only: bool = False,
        time_in_force: TimeInForce = TimeInForce.GOOD_TILL_TIME,
        seconds: int = 0,
    ) -> Order:
        """A new order; `seconds` from now until its last, 0 for no end."""
        if trader.plan.habits.is_relayed and kind == OrderKind.MARKET:
            seconds = RELAY_SECONDS
        return Order(
            trader.account,
            market_id,
            kind,
            base,
            price,
            reduce_only=reduce_only,
            time_in_force=time_in_force,
            expiry=self._mirror.now + seconds if seconds else 0,
            salt=self.salt(trader.account),
        )

    def salt(self, account: int) -> int:
        """A new one under the account's counter; counted, so that a replay is the same every time."""
        self._salt += 1
        return self._mirror.model.counter_of(account) << COUNTER_SHIFT | self._salt

    def place(self, trader: Trader, *orders: Order) -> Action:
        return together([self._placing(trader, order) for order in orders])

    def cancel(self, trader: Trader, *orders: Order) -> Action:
        return together([self._cancelling(trader, order) for order in orders])

    def replace(self, trader: Trader, old: Order, new: Order) -> Action:
        return together([self._cancelling(trader, old), self._placing(trader, new)])

    def cancel_all(self, trader: Trader) -> Action:
        account = trader.account
        if not trader.plan.habits.is_relayed:
            return CancelAll(account)
        fee = next(iter(self._mirror.markets.values())).order_params.relay_fee
        return CancelAllFor(account, self._mirror.model.counter_of(account) + 1, fee)

    def _placing(self, trader: Trader, order: Order) -> Call:
        if trader.plan.habits.is_relayed:
            return PlaceFor(order, trader.decider)
        return Place(order, trader.bot.number if trader.bot else None)

    def _cancelling(self, trader: Trader, order: Order) -> Call:
        if trader.plan.habits.is_relayed:
            return CancelFor(order, self._mirror.markets[order.market_id].order_params.relay_fee)
        return Cancel(order, trader.bot.number if trader.bot else None)


def together(calls: Sequence[Call]) -> Action:
    """One call alone, several in one transaction."""
    return calls[0] if len(calls) == 1 else Together(tuple(calls))
