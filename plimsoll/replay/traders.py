"""How the population behaves: seeded, so that the same scenario is the same day every time.

Each account has its plan's positions, which it enters before the crash, some trading before that, and a temper that
says what it does when its health falls. Some of those who are out come back when the worst is over. What traders see is
what was recorded so far.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import BPS, SECONDS_PER_MINUTE, WAD
from plimsoll.replay.actions import Action, Cancel, Deposit, Place, Withdraw
from plimsoll.replay.keys import Key
from plimsoll.replay.mirror import Health, Mirror
from plimsoll.risk.execution import Outcome
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import AccountPlan, Leg

Temper = Literal["hold", "top up", "reduce", "stop", "take profit"]
TEMPERS: tuple[tuple[Temper, int], ...] = (
    ("hold", 40),
    ("top up", 15),
    ("reduce", 15),
    ("stop", 15),
    ("take profit", 15),
)

SLIPPAGE_BPS = 100
MAX_ATTEMPTS = 3
ANY_PRICE = 2**256 - 1
_CALM_MINUTES = 90
"""After the crash began, before anyone comes back."""

Kind = Literal["enter", "leave", "halve", "aim", "top up", "withdraw", "give up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something an account means to do before the publication `tick`.

    To enter: `notional_usd` with `sign` in a market, with the account's cash brought up to `cash_usd` first; `at_limit`
    waits for a better price first. `only_if_out`: not while the account has a position. `order` is the one to give up
    on, or to aim with.
    """

    tick: int
    kind: Kind
    market: str = ""
    sign: int = 0
    notional_usd: int = 0
    cash_usd: int = 0
    at_limit: bool = False
    only_if_out: bool = False
    is_main: bool = False
    attempt: int = 1
    order: Order | None = None


@dataclass(slots=True)
class Trader:
    """One account and its owner's state of mind. `patience` is the health at which he acts, `left` how often yet."""

    plan: AccountPlan
    key: Key
    account: int
    temper: Temper
    draws: Draws
    patience: int
    left: int
    resting: dict[Order, Intent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The day: its minutes, the seconds between publications, and the minute in which the crash begins."""

    minutes: int
    publish_seconds: int
    crash_minute: int

    @property
    def ticks(self) -> int:
        """How many publications there are, the first prices included."""
        return self.minutes * SECONDS_PER_MINUTE // self.publish_seconds + 1

    @property
    def ticks_a_minute(self) -> int:
        return max(1, SECONDS_PER_MINUTE // self.publish_seconds)

    def tick(self, minute: int, draws: Draws) -> int:
        """A publication of a minute, drawn; the first prices settle nothing."""
        return max(1, minute * SECONDS_PER_MINUTE // self.publish_seconds + draws.below(self.ticks_a_minute))


def temper_of(draws: Draws) -> Temper:
    return draws.weighted(TEMPERS)


def day_of(plan: AccountPlan, calendar: Calendar, draws: Draws) -> list[Intent]:
    """What an account means to do over the day, its temper aside."""
    return [*_before(plan, calendar, draws), *_entries(plan, calendar, draws), *_after(plan, calendar, draws)]


def _before(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    """Up to two smaller positions in and out of before the main one is entered."""
    leg = plan.legs[0]
    room = min(one.entry_minute for one in plan.legs) - 10
    for _ in range(draws.weighted(((0, 3), (1, 4), (2, 2)))):
        if room < 60:
            return
        start = draws.between(5, room - 40)
        end = draws.between(start + 10, min(start + 240, room))
        sign = 1 if draws.below(2) else -1
        notional = max(leg.notional_usd * draws.between(20, 50) // 100, 2_000 * WAD)
        enter = Intent(
            tick=calendar.tick(start, draws),
            kind="enter",
            market=leg.market,
            sign=sign,
            notional_usd=min(notional, plan.notional_usd),
            at_limit=draws.below(3) == 0,
            only_if_out=True,
        )
        yield enter
        yield Intent(tick=calendar.tick(end, draws), kind="leave", market=leg.market)


def _entries(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    for leg in plan.legs:
        yield Intent(
            tick=calendar.tick(leg.entry_minute, draws),
            kind="enter",
            market=leg.market,
            sign=leg.sign,
            notional_usd=leg.notional_usd,
            cash_usd=_share_of(plan, leg),
            at_limit=draws.below(6) == 0,
            is_main=True,
        )


def _share_of(plan: AccountPlan, leg: Leg) -> int:
    """What must be there before a leg is entered: all of the collateral before the first, its part before another."""
    first = min(plan.legs, key=lambda one: one.entry_minute)
    return plan.collateral_usd if leg is first else plan.collateral_usd * leg.notional_usd // plan.notional_usd


def _after(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    """A third of those who are out come back with little leverage once it is calm, and half of them leave again."""
    earliest, latest = calendar.crash_minute + _CALM_MINUTES, calendar.minutes - 30
    if latest - earliest < 30 or draws.below(3):
        return
    leg = plan.legs[0]
    minute = draws.between(earliest, latest - 10)
    notional = max(leg.notional_usd * draws.between(20, 80) // 100, 2_000 * WAD)
    yield Intent(
        tick=calendar.tick(minute, draws),
        kind="enter",
        market=leg.market,
        sign=1 if draws.below(4) else -1,
        notional_usd=notional,
        cash_usd=notional // draws.between(2, 5),
        only_if_out=True,
    )
    if draws.below(2):
        end = draws.between(minute + 10, latest)
        yield Intent(tick=calendar.tick(end, draws), kind="leave", market=leg.market)
        if draws.below(2):
            yield Intent(tick=calendar.tick(min(end + 5, latest + 20), draws), kind="withdraw")


class Traders:
    """All of them. What they mean to do is asked for before each publication; outcomes are told to them."""

    def __init__(
        self,
        mirror: Mirror,
        plans: Sequence[AccountPlan],
        market_ids: Mapping[str, int],
        calendar: Calendar,
        seed: int,
    ) -> None:
        self.mirror = mirror
        self.market_ids = market_ids
        self.calendar = calendar
        self.by_account: dict[int, Trader] = {}
        self.withdrawals: list[int] = []
        self._queue: list[tuple[int, int, int, Intent]] = []
        self._serial = 0
        self._salt = 0
        self._sent: dict[Order, Intent] = {}
        for plan in plans:
            trader = self._trader(plan, seed)
            self.by_account[trader.account] = trader
            for intent in day_of(plan, calendar, trader.draws):
                self._intend(trader, intent)

    def _trader(self, plan: AccountPlan, seed: int) -> Trader:
        draws = Draws(seed, f"replay/trader/{plan.owner_index}")
        key = Key.named(f"trader {plan.owner_index}")
        isolated = self.market_ids[plan.isolated_market] if plan.isolated_market else ids.CROSS
        temper = temper_of(draws)
        patience = draws.between(115, 220) * WAD // 100
        return Trader(plan, key, ids.pack(key.number, isolated), temper, draws, patience, draws.between(1, 3))

    # --- what they do ------------------------------------------------------------------------------------------------

    def opening(self) -> list[Action]:
        """Everyone brings the collateral."""
        return [self._deposit(trader, trader.plan.collateral_usd) for trader in self.by_account.values()]

    def due(self, tick: int) -> Iterator[Action]:
        """What is meant to be done before a publication. Carry each out before asking for the next."""
        while self._queue and self._queue[0][0] <= tick:
            _, _, account, intent = heapq.heappop(self._queue)
            yield from self._do(self.by_account[account], intent, tick)

    def leaving(self) -> list[Action]:
        """Withdrawals that wait for a fresh price, asked for once."""
        actions: list[Action] = []
        for account in self.withdrawals:
            try:
                amount = self.mirror.model.withdrawable(account, self.mirror.now)
            except Refusal:
                continue
            if amount:
                actions.append(Withdraw(account, amount))
        self.withdrawals = []
        return actions

    def _do(self, trader: Trader, intent: Intent, tick: int) -> Iterator[Action]:
        mirror, account = self.mirror, trader.account
        match intent.kind:
            case "enter":
                if intent.only_if_out and mirror.model.markets_bitmap(account):
                    return
                missing = intent.cash_usd - mirror.model.cash_of(account)
                if missing > 0:
                    yield self._deposit(trader, missing)
                yield self._enter(trader, intent)
            case "leave":
                yield from self._reduce(trader, self.market_ids[intent.market], 1)
            case "halve":
                held = self._largest(account)
                if held:
                    yield from self._reduce(trader, held, 2)
            case "aim":
                assert intent.order is not None, "an order to aim with"
                if mirror.base_of(account, intent.order.market_id):
                    trader.resting[intent.order] = intent
                    yield Place(intent.order)
            case "top up":
                yield self._deposit(trader, trader.plan.collateral_usd * trader.draws.between(25, 60) // 100)
            case "withdraw":
                if not mirror.model.markets_bitmap(account):
                    self.withdrawals.append(account)
            case "give up":
                assert intent.order is not None, "an order to give up on"
                if (again := trader.resting.pop(intent.order, None)) is not None:
                    yield Cancel(intent.order)
                    if not intent.order.reduce_only:
                        self._intend(trader, replace(again, tick=tick + 1, at_limit=False))

    def _enter(self, trader: Trader, intent: Intent) -> Place:
        market_id = self.market_ids[intent.market]
        price = self.mirror.price(market_id)
        base = intent.sign * (intent.notional_usd * WAD // price)
        if intent.at_limit:
            better = trader.draws.between(5, 40)
            order = self._order(trader, market_id, OrderKind.LIMIT, base, price * (BPS - intent.sign * better) // BPS)
            trader.resting[order] = intent
            wait = self.calendar.ticks_a_minute * trader.draws.between(5, 20)
            self._intend(trader, Intent(tick=intent.tick + wait, kind="give up", order=order))
        else:
            limit = price * (BPS + intent.sign * SLIPPAGE_BPS) // BPS
            order = self._order(trader, market_id, OrderKind.MARKET, base, limit)
        self._sent[order] = intent
        return Place(order)

    def _reduce(self, trader: Trader, market_id: int, divisor: int) -> Iterator[Action]:
        """Close a position, or a part of it; all of it where the rest would be less than the minimum."""
        base = self.mirror.base_of(trader.account, market_id)
        part = base // divisor if base >= 0 else -(-base // divisor)
        minimum = 2 * self.mirror.markets[market_id].rules.min_position
        if divisor > 1 and abs(base - part) * self.mirror.price(market_id) // WAD < minimum:
            part = base
        if part:
            limit = 0 if part > 0 else ANY_PRICE
            yield Place(self._order(trader, market_id, OrderKind.MARKET, -part, limit, reduce_only=True))

    def _largest(self, account: int) -> int:
        """The market of the account's largest position; 0 without one."""
        held = [
            (abs(self.mirror.base_of(account, market.id)) * self.mirror.price(market.id), market.id)
            for market in self.mirror.model.state.markets_of(account)
        ]
        return max(held, default=(0, 0))[1]

    def _deposit(self, trader: Trader, usd: int) -> Deposit:
        return Deposit(trader.account, -(-usd // self.mirror.model.state.unit))

    def _order(
        self, trader: Trader, market_id: int, kind: int, base: int, price: int, *, reduce_only: bool = False
    ) -> Order:
        self._salt += 1
        return Order(trader.account, market_id, kind, base, price, reduce_only=reduce_only, salt=self._salt)

    def _intend(self, trader: Trader, intent: Intent) -> None:
        if intent.tick < self.calendar.ticks:
            self._serial += 1
            heapq.heappush(self._queue, (intent.tick, self._serial, trader.account, intent))

    # --- what they learn ---------------------------------------------------------------------------------------------

    def hear(self, order: Order, outcome: Outcome, tick: int) -> None:
        """How an order ended."""
        trader = self.by_account.get(order.account)
        if trader is None:
            return
        trader.resting.pop(order, None)
        intent = self._sent.pop(order, None)
        if intent is None:
            return
        if outcome.status == "filled":
            if intent.is_main and trader.temper == "take profit":
                self._aim(trader, order, tick)
        elif intent.attempt < MAX_ATTEMPTS:
            again = replace(
                intent,
                tick=tick + self.calendar.ticks_a_minute,
                notional_usd=intent.notional_usd * 4 // 5,
                attempt=intent.attempt + 1,
                at_limit=False,
            )
            self._intend(trader, again)

    def refused(self, action: Action) -> None:
        """An order that could not even be placed."""
        if isinstance(action, Place):
            self._sent.pop(action.order, None)
            if (trader := self.by_account.get(action.order.account)) is not None:
                trader.resting.pop(action.order, None)

    def _aim(self, trader: Trader, entry: Order, tick: int) -> None:
        """A reduce-only limit order some way beyond the entry."""
        price = self.mirror.price(entry.market_id)
        gain = trader.draws.between(150, 1_500)
        limit = price * (BPS + (gain if entry.base > 0 else -gain)) // BPS
        order = self._order(trader, entry.market_id, OrderKind.LIMIT, -entry.base, limit, reduce_only=True)
        self._intend(trader, Intent(tick=tick + 1, kind="aim", order=order))

    def look(self, healths: Mapping[int, Health], tick: int) -> None:
        """The end of a minute: who is worried enough acts before one of the next publications."""
        kinds: dict[Temper, Kind] = {"top up": "top up", "reduce": "halve", "stop": "leave"}
        for account, health in healths.items():
            trader = self.by_account.get(account)
            if trader is None or trader.temper not in kinds or not trader.left or health.ratio >= trader.patience:
                continue
            if trader.draws.below(2):
                continue
            trader.left -= 1
            kind = kinds[trader.temper]
            when = tick + 1 + trader.draws.below(self.calendar.ticks_a_minute)
            if kind != "leave":
                self._intend(trader, Intent(tick=when, kind=kind))
                continue
            for leg in trader.plan.legs:
                self._intend(trader, Intent(tick=when, kind=kind, market=leg.market))
        for trader in self.by_account.values():
            for order in trader.resting:
                if order.reduce_only and not self.mirror.base_of(trader.account, order.market_id):
                    self._intend(trader, Intent(tick=tick + 1, kind="give up", order=order))
