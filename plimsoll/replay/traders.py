"""How the population behaves: seeded, so that the same scenario is the same day every time.

Each account has its plan's positions, which it enters before the crash, some trading before that, and a temper that
says what it does when its health falls. Some of those who are out come back when the worst is over. What traders see is
what was recorded so far. Some trade with each other through the book first, some guard what they hold with exits that
wait on the chain; whatever is left of either goes to the pool.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, Scope, TimeInForce
from plimsoll.core.units import BPS, SECONDS_PER_MINUTE, WAD
from plimsoll.replay.actions import (
    Action,
    Deposit,
    Execute,
    Place,
    PlaceFor,
    SetDelegate,
    SetDelegateFor,
    Withdraw,
    calls_of,
)
from plimsoll.replay.day import Calendar, Intent, Kind, day_of
from plimsoll.replay.engine import Engine
from plimsoll.replay.exits import bracket_of, exits_of, trailed
from plimsoll.replay.keys import Key
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import Health
from plimsoll.replay.trader import EXITS, TEMPERS, Desk, Temper, Trader
from plimsoll.risk.commitments import QUEUED, WAITING
from plimsoll.risk.execution import Outcome
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import AccountPlan

SLIPPAGE_BPS = 100
TAKE_BPS = 22
"""How far from the index a taker of the book goes; what is nearer to the band's end costs more than the pool."""
MAX_ATTEMPTS = 3
ANY_PRICE = 2**256 - 1
REST_SECONDS = 30
"""How much longer than its owner waits an order of the book is good for."""
BUDGET_TIMES = 12
"""A bot's daily budget, in times of what the account means to hold."""


class Traders:
    """All of them. What they mean to do is asked for before each publication; outcomes are told to them."""

    def __init__(
        self,
        mirror: Mirror,
        plans: Sequence[AccountPlan],
        market_ids: Mapping[str, int],
        calendar: Calendar,
        seed: int,
        engine: Engine,
    ) -> None:
        self.mirror = mirror
        self.market_ids = market_ids
        self.calendar = calendar
        self.by_account: dict[int, Trader] = {}
        self.withdrawals: list[int] = []
        self.desk = Desk(mirror)
        self.engine = engine
        engine.heard = self._matched
        self._tick = 0
        self.takes: list[tuple[Trader, Intent]] = []
        """Who wants to trade with others after the next publication, and why."""
        self._queue: list[tuple[int, int, int, Intent]] = []
        self._serial = 0
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
        temper: Temper = draws.weighted(TEMPERS)
        patience = draws.between(115, 220) * WAD // 100
        left = draws.between(1, 3)
        trader = Trader(plan, key, ids.pack(key.number, isolated), temper, draws, patience, left)
        if plan.habits.has_delegate:
            trader.bot = Key.named(f"bot of trader {plan.owner_index}")
        if plan.habits.has_stops:
            trader.guard = draws.weighted(EXITS)
        if plan.habits.way == "quote":
            trader.temper = "hold"
        return trader

    @property
    def quoters(self) -> list[Trader]:
        return [trader for trader in self.by_account.values() if trader.plan.habits.way == "quote"]

    @property
    def keys(self) -> list[Key]:
        """Of all owners and all bots."""
        found = [key for trader in self.by_account.values() for key in (trader.key, trader.bot)]
        return [key for key in found if key is not None]

    @property
    def delegations(self) -> list[tuple[int, int]]:
        """(account, delegate) of those who have one."""
        return [(one.account, one.bot.number) for one in self.by_account.values() if one.bot is not None]

    # --- what they do ------------------------------------------------------------------------------------------------

    def opening(self) -> list[Action]:
        """Everyone brings the collateral."""
        return [self._deposit(trader, trader.plan.collateral_usd) for trader in self.by_account.values()]

    def scopes(self) -> list[Action]:
        """Those who have a bot let it trade until the day is over."""
        return [self._scope(trader, trader.bot) for trader in self.by_account.values() if trader.bot is not None]

    def _scope(self, trader: Trader, bot: Key) -> Action:
        bitmap = 0
        for leg in trader.plan.legs:
            bitmap |= 1 << self.market_ids[leg.market] - 1
        until = self.mirror.now + (self.calendar.minutes + 60) * SECONDS_PER_MINUTE
        budget = BUDGET_TIMES * trader.plan.notional_usd // WAD
        scope = Scope(bitmap, until, budget, may_match=trader.plan.habits.way != "pool")
        if not trader.plan.habits.is_relayed:
            return SetDelegate(trader.account, bot.number, scope)
        fee = self.mirror.markets[self.market_ids[trader.plan.legs[0].market]].order_params.relay_fee
        return SetDelegateFor(trader.account, bot.number, scope, self.desk.salt(trader.account), fee)

    def due(self, tick: int) -> Iterator[Action]:
        """What is meant to be done before a publication. Carry each out before asking for the next."""
        self._tick = tick
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
                if trader.plan.habits.way == "take" and not intent.by_pool:
                    self.takes.append((trader, intent))
                else:
                    yield self._enter(trader, intent)
            case "leave":
                if trader.plan.habits.way == "take" and not intent.by_pool:
                    self.takes.append((trader, intent))
                else:
                    yield from self._reduce(trader, self.market_ids[intent.market], 1)
            case "halve":
                held = self._largest(account)
                if held:
                    yield from self._reduce(trader, held, 2)
            case "aim":
                assert intent.order is not None, "an order to aim with"
                if mirror.base_of(account, intent.order.market_id):
                    trader.resting[intent.order] = intent
                    yield self.desk.place(trader, intent.order)
            case "top up":
                yield self._deposit(trader, trader.plan.collateral_usd * trader.draws.between(25, 60) // 100)
            case "withdraw":
                if not mirror.model.markets_bitmap(account):
                    self.withdrawals.append(account)
            case "give up":
                yield from self._give_up(trader, intent, tick)
            case "protect":
                yield from self._protect(trader, self.market_ids[intent.market])
            case "move":
                assert intent.order is not None, "a stop to move"
                assert intent.moved is not None, "what takes its place"
                if intent.order in trader.exits and mirror.base_of(account, intent.order.market_id):
                    trader.exits[intent.moved] = trader.exits.pop(intent.order)
                    yield self.desk.replace(trader, intent.order, intent.moved)
            case "clear":
                yield from self._clear(trader)

    def _give_up(self, trader: Trader, intent: Intent, tick: int) -> Iterator[Action]:
        """Take an order back that waited for long enough, and enter at the market for what of it was not filled."""
        order = intent.order
        assert order is not None, "an order to give up on"
        again = trader.resting.pop(order, None)
        if again is None:
            return
        left = self.engine.remove(order)
        yield self.desk.cancel(trader, order)
        if not order.reduce_only:
            notional = left * self.mirror.price(order.market_id) // WAD if left else again.notional_usd
            self._intend(trader, replace(again, tick=tick + 1, notional_usd=notional, at_limit=False, by_pool=True))

    def _enter(self, trader: Trader, intent: Intent) -> Action:
        market_id = self.market_ids[intent.market]
        price = self.mirror.price(market_id)
        base = intent.sign * (intent.notional_usd * WAD // price)
        if intent.at_limit and not trader.plan.habits.is_relayed:  # nobody relays a limit order
            order = self._at_limit(trader, intent, trader.draws.between(5, 40))
            self._sent[order] = intent
            return self.desk.place(trader, order)
        limit = price * (BPS + intent.sign * SLIPPAGE_BPS) // BPS
        order = self.desk.order(trader, market_id, OrderKind.MARKET, base, limit)
        self._sent[order] = intent
        if trader.guard != "bracket" or not intent.is_main:
            return self.desk.place(trader, order)
        exits = bracket_of(trader, order, price, self.desk.salt)
        trader.exits |= dict.fromkeys(exits)
        return self.desk.place(trader, order, *exits)

    def _at_limit(
        self,
        trader: Trader,
        intent: Intent,
        better_bps: int,
        time_in_force: TimeInForce = TimeInForce.GOOD_TILL_TIME,
        seconds: int = 0,
    ) -> Order:
        """An order that waits for a better price, and the intent to give up on it."""
        market_id = self.market_ids[intent.market]
        price = self.mirror.price(market_id)
        wait = self.calendar.ticks_a_minute * trader.draws.between(5, 20)
        order = self.desk.order(
            trader,
            market_id,
            OrderKind.LIMIT,
            intent.sign * (intent.notional_usd * WAD // price),
            price * (BPS - intent.sign * better_bps) // BPS,
            time_in_force=time_in_force,
            seconds=seconds and seconds + wait * self.calendar.publish_seconds,
        )
        trader.resting[order] = intent
        self._intend(trader, Intent(tick=self._tick + wait, kind="give up", order=order))
        return order

    def _reduce(self, trader: Trader, market_id: int, divisor: int) -> Iterator[Action]:
        """Close a position, or a part of it; all of it where the rest would be less than the minimum."""
        base = self.mirror.base_of(trader.account, market_id)
        part = base // divisor if base >= 0 else -(-base // divisor)
        minimum = 2 * self.mirror.markets[market_id].rules.min_position
        if divisor > 1 and abs(base - part) * self.mirror.price(market_id) // WAD < minimum:
            part = base
        if part:
            limit = 0 if part > 0 else ANY_PRICE
            yield self.desk.place(
                trader, self.desk.order(trader, market_id, OrderKind.MARKET, -part, limit, reduce_only=True)
            )

    # --- exits -------------------------------------------------------------------------------------------------------

    def _protect(self, trader: Trader, market_id: int) -> Iterator[Action]:
        """Exits for a position that was entered."""
        base = self.mirror.base_of(trader.account, market_id)
        if not base or any(order.market_id == market_id for order in trader.exits):
            return
        minimum = 2 * self.mirror.markets[market_id].rules.min_position
        exits = exits_of(trader, market_id, base, self.mirror.price(market_id), minimum, self.desk.salt)
        trader.exits |= dict.fromkeys(exits)
        yield self.desk.place(trader, *exits)

    def _is_idle(self, trader: Trader, order: Order) -> bool:
        """Whether an exit guards nothing, and nothing that it could guard is on its way."""
        if self.mirror.base_of(trader.account, order.market_id):
            return False
        parent = self.mirror.model.state.orders.get(order.parent)
        return parent is None or parent.status not in (QUEUED, WAITING)

    def _clear(self, trader: Trader) -> Iterator[Action]:
        """Exits with nothing left to reduce are void for whoever executes them; who has no ETH takes them back."""
        idle = [order for order in trader.exits if self._is_idle(trader, order)]
        if not idle:
            return
        if trader.plan.habits.is_relayed:
            for order in idle:
                del trader.exits[order]
            yield self.desk.cancel(trader, *idle)
        else:
            yield Execute(tuple(idle), trader.decider)

    # --- the book ----------------------------------------------------------------------------------------------------

    def trade(self) -> None:
        """Those who want to trade with others do so at a fresh price; what nobody takes goes to the pool."""
        takes, self.takes = self.takes, []
        for trader, intent in takes:
            if intent.kind == "leave":
                self._leave_by_book(trader, intent)
            elif intent.at_limit:
                self._rest(trader, intent)
            else:
                self._take(trader, intent)

    def _take(self, trader: Trader, intent: Intent) -> None:
        """Enter against what others show."""
        market_id = self.market_ids[intent.market]
        price = self.mirror.price(market_id)
        base = intent.sign * (intent.notional_usd * WAD // price)
        matched = self._sweep(trader, market_id, base, reduce_only=False)
        if matched:
            self._entered(trader, intent, market_id)
        rest = (abs(base) - matched) * price // WAD
        if rest >= self.mirror.markets[market_id].rules.min_position:
            again = replace(intent, tick=self._tick + 1, notional_usd=rest, cash_usd=0, by_pool=True)
            self._intend(trader, replace(again, only_if_out=intent.only_if_out and not matched))

    def _leave_by_book(self, trader: Trader, intent: Intent) -> None:
        market_id = self.market_ids[intent.market]
        base = self.mirror.base_of(trader.account, market_id)
        if base and self._sweep(trader, market_id, -base, reduce_only=True) != abs(base):
            self._intend(trader, replace(intent, tick=self._tick + 1, by_pool=True))

    def _sweep(self, trader: Trader, market_id: int, base: int, *, reduce_only: bool) -> int:
        """Take what crosses, at once; a few want all or nothing. Returns what was matched, unsigned."""
        at_once = TimeInForce.FILL_OR_KILL if trader.draws.below(6) == 0 else TimeInForce.IMMEDIATE_OR_CANCEL
        limit = self.mirror.price(market_id) * (BPS + (TAKE_BPS if base > 0 else -TAKE_BPS)) // BPS
        order = self.desk.order(
            trader,
            market_id,
            OrderKind.LIMIT,
            base,
            limit,
            reduce_only=reduce_only,
            time_in_force=at_once,
            seconds=REST_SECONDS,
        )
        return self.engine.submit(trader.signed(order)).matched

    def _rest(self, trader: Trader, intent: Intent) -> None:
        """Enter at a better price, and wait for others; some would rather not take."""
        style = TimeInForce.POST_ONLY if trader.draws.below(2) else TimeInForce.GOOD_TILL_TIME
        order = self._at_limit(trader, intent, trader.draws.between(1, 15), style, REST_SECONDS)
        done = self.engine.submit(trader.signed(order))
        if done.matched:
            self._entered(trader, intent, order.market_id)
        if not done.rests:
            del trader.resting[order]
            if not done.matched:
                self._intend(trader, replace(intent, tick=self._tick + 1, at_limit=False, by_pool=True))

    def _matched(self, order: Order, left: int) -> None:
        """Somebody traded against a waiting order."""
        trader = self.by_account.get(order.account)
        intent = trader.resting.get(order) if trader is not None else None
        if trader is None or intent is None:
            return
        self._entered(trader, intent, order.market_id)
        if not left:
            del trader.resting[order]

    def _entered(self, trader: Trader, intent: Intent, market_id: int) -> None:
        """A position, or a part of one, is there."""
        if not intent.is_main:
            return
        if trader.guard is not None:
            self._intend(trader, Intent(tick=self._tick + 1, kind="protect", market=intent.market))
        elif trader.temper == "take profit":
            self._aim(trader, market_id, intent.sign)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _largest(self, account: int) -> int:
        """The market of the account's largest position; 0 without one."""
        held = [
            (abs(self.mirror.base_of(account, market.id)) * self.mirror.price(market.id), market.id)
            for market in self.mirror.model.state.markets_of(account)
        ]
        return max(held, default=(0, 0))[1]

    def _deposit(self, trader: Trader, usd: int) -> Deposit:
        return Deposit(trader.account, -(-usd // self.mirror.model.state.unit))

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
        trader.exits.pop(order, None)
        intent = self._sent.pop(order, None)
        if intent is None:
            return
        if outcome.status == "filled":
            self._entered(trader, intent, order.market_id)
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
        """Orders that could not even be placed."""
        for call in calls_of(action):
            if isinstance(call, Place | PlaceFor):
                self._sent.pop(call.order, None)
                if (trader := self.by_account.get(call.order.account)) is not None:
                    trader.resting.pop(call.order, None)
                    trader.exits.pop(call.order, None)

    def _aim(self, trader: Trader, market_id: int, sign: int) -> None:
        """A reduce-only limit order some way beyond the entry; one that is relayed has a trigger instead."""
        base = self.mirror.base_of(trader.account, market_id)
        if not base:
            return
        price = self.mirror.price(market_id) * (BPS + sign * trader.draws.between(150, 1_500)) // BPS
        order = self.desk.order(trader, market_id, OrderKind.LIMIT, -base, price, reduce_only=True)
        if trader.plan.habits.is_relayed:
            order = order._replace(kind=OrderKind.TAKE_PROFIT, trigger_price=price)
        self._intend(trader, Intent(tick=self._tick + 1, kind="aim", order=order))

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
            if trader.exits:
                self._look_at_exits(trader, tick)

    def _look_at_exits(self, trader: Trader, tick: int) -> None:
        if any(self._is_idle(trader, order) for order in trader.exits):
            self._intend(trader, Intent(tick=tick + 1, kind="clear"))
        if trader.guard != "trailing":
            return
        for order in trader.exits:
            moved = trailed(trader, order, self.mirror.price(order.market_id), self.desk.salt)
            if moved is not None:
                self._intend(trader, Intent(tick=tick + 1, kind="move", order=order, moved=moved))
