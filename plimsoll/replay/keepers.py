"""The keepers' own decisions over the mirror: they see snapshots as they would read them from a chain.

What the publisher, the executor and the liquidator do is decided by `plimsoll.keepers`; here is only what they see and
how it is carried out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import BPS, WAD
from plimsoll.keepers import batches, liquidations
from plimsoll.keepers.mirrored import copied
from plimsoll.keepers.triggers import Levels, TriggerIndex
from plimsoll.replay.actions import Absorb, Action, CloseOut, Execute, TakeOver
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.execution import Outcome
from plimsoll.risk.market import Market
from plimsoll.risk.position import Position
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.state import Account, State
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.signing import order_hash
from plimsoll.sdk.snapshots import Accumulators, MarketSnapshot
from plimsoll.sdk.words import Configuration

SIGNERS = 3
HALVINGS = 5
MOST_IN_A_ROUND = 16
"""Liquidations of one moment."""
MAX_SPREAD_BPS = 6
"""How far the signers who are not in the middle are from it."""


class Signers:
    """Three of a market: one has the price of the scenario, the others a little above and below it, drawn."""

    def __init__(self, market_ids: Iterable[int], seed: int) -> None:
        self._draws = {market_id: Draws(seed, f"replay/signers/{market_id}") for market_id in market_ids}

    def readings(self, prices: Mapping[int, int]) -> dict[int, tuple[int, ...]]:
        """What each says, in an order of their own."""
        found = {}
        for market_id, price in prices.items():
            draws = self._draws[market_id]
            above, below = (draws.below(MAX_SPREAD_BPS * 100 + 1) for _ in range(2))
            unit = BPS * 100
            said = [price * (unit + above) // unit, price, price * (unit - below) // unit]
            turn = draws.below(SIGNERS)
            found[market_id] = (*said[turn:], *said[:turn])
        return found


class OpenOrders:
    """Orders that nobody has settled: the queue, and what waits for its price, sorted by it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._queued: dict[bytes, OpenOrder] = {}
        self._index = TriggerIndex()
        self._of_account: dict[int, dict[bytes, Order]] = {}
        self._retry_at: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._queued) + len(self._index)

    def has(self, account: int, market_id: int) -> bool:
        """Whether the account has an order in the market."""
        return any(order.market_id == market_id for order in self._of_account.get(account, {}).values())

    def add(self, order: Order) -> None:
        hash_ = order_hash(order)
        record = self._mirror.model.state.orders[hash_]
        found = OpenOrder(hash_, order, record.not_before, record.sequence, record.execution_fee)
        self._of_account.setdefault(order.account, {})[hash_] = order
        if found.is_queued:
            self._queued[hash_] = found
        else:
            self._index.add(found)

    def end(self, order: Order) -> None:
        hash_ = order_hash(order)
        self._queued.pop(hash_, None)
        self._index.remove(hash_)
        self._retry_at.pop(hash_, None)
        self._of_account.get(order.account, {}).pop(hash_, None)

    def end_all(self, account: int) -> None:
        """The account's counter has moved on: what was not queued under another one is dead."""
        counter = self._mirror.model.counter_of(account)
        for order in list(self._of_account.get(account, {}).values()):
            if order.kind != OrderKind.MARKET and order.counter != counter:
                self.end(order)

    def due(self) -> list[Execute]:
        """What the executor would send now; sending is free."""
        if not self:
            return []
        mirror = self._mirror
        self._index.drop_expired(mirror.now)
        markets = {market_id: market_snapshot(mirror, market_id) for market_id in mirror.markets}
        waiting = self._triggered(markets)
        if not waiting and not self._queued:
            return []
        siblings = self._siblings(waiting)
        holders = dict.fromkeys((one.order.account, one.order.market_id) for one in (*waiting, *self._queued.values()))
        snapshot = batches.Snapshot(
            now=mirror.now,
            then=mirror.now,
            markets=markets,
            queued=tuple(self._queued.values()),
            waiting=waiting,
            siblings=siblings,
            held={holder: mirror.base_of(*holder) for holder in holders},
            retry_at=self._retry_at,
        )
        found = []
        for decision in batches.decide(snapshot):
            if isinstance(decision, batches.Settle):
                found.append(Execute(tuple(one.order for one in decision.orders)))
            elif isinstance(decision, batches.Trigger):
                found += self._simulated(decision)
        return found

    def _triggered(self, markets: Mapping[int, MarketSnapshot]) -> tuple[OpenOrder, ...]:
        """What the newest records may fill."""
        return tuple(
            one
            for market_id, market in markets.items()
            if market.newest is not None
            for one in self._index.candidates(market_id, Levels.of(market.model(), market.newest))
        )

    def _siblings(self, waiting: Iterable[OpenOrder]) -> tuple[OpenOrder, ...]:
        """Reduce-only ones of the same accounts and markets, which a fill may leave with nothing to reduce."""
        holders = dict.fromkeys((one.order.account, one.order.market_id) for one in waiting if one.order.reduce_only)
        found = (one for holder in holders for one in self._index.of_account(*holder))
        return tuple(one for one in found if one.order.reduce_only)

    def _simulated(self, decision: batches.Trigger) -> list[Execute]:
        """Of orders that wait for their price those that an execution would settle now."""
        mirror = self._mirror
        newest = mirror.markets[decision.market_id].newest
        sequence = newest.sequence if newest else 0
        with mirror.model.simulated():
            orders = [one.order for one in decision.orders]
            outcomes = mirror.model.execute_batch(orders, now=mirror.now, sender=mirror.roles.executor.number)
        settled = []
        for one, outcome in zip(decision.orders, outcomes, strict=True):
            if outcome.status == "skipped":
                self._retry_at[one.hash] = sequence + 1
            else:
                settled.append(one.order)
        return [Execute(tuple(settled))] if settled else []

    def hear(self, execute: Execute, outcomes: Sequence[Outcome]) -> None:
        """What became of a batch."""
        for order, outcome in zip(execute.orders, outcomes, strict=True):
            if outcome.status == "waiting":
                self._requeue(order_hash(order))
            elif outcome.status != "skipped":
                self.end(order)

    def _requeue(self, hash_: bytes) -> None:
        """It left the queue of market orders and waits."""
        found = self._queued.pop(hash_)
        self._index.add(replace(found, sequence=0))


class Liquidations:
    """What liquidators send for the accounts that are unhealthy: what the liquidator's own `decide` says, and bargains.

    A bargain is a take-over that pays more than a close-out's reward, with the way out of the position paid for.
    """

    def __init__(self, mirror: Mirror, capital: liquidations.Capital | None) -> None:
        self._mirror = mirror
        self._capital = capital

    def due(self, accounts: Iterable[int]) -> list[Action]:
        """What the liquidator would send now for these unhealthy accounts."""
        mirror = self._mirror
        sick = [liquidations.Sick(one, *mirror.model.state.health(one, mirror.now)) for one in accounts]
        snapshot = liquidations.Snapshot(
            now=mirror.now,
            keeper=mirror.roles.liquidator.number,
            book=ReplayedBook(mirror),
            sick=tuple(sorted(sick, key=lambda one: (one.health, one.account))),
        )
        return [_action(decision) for decision in liquidations.decide(snapshot, self._capital, MOST_IN_A_ROUND)]

    def bargain(self, account: int) -> TakeOver | None:
        """The part of an unhealthy account's largest position that pays best to take over now; None where none does."""
        capital, mirror = self._capital, self._mirror
        if capital is None or account == capital.account:
            return None
        held = [(market.id, mirror.base_of(account, market.id)) for market in mirror.model.state.markets_of(account)]
        if not held or mirror.health(account).equity <= 0:
            return None
        market_id, base = max(held, key=lambda one: abs(one[1]) * mirror.price(one[0]))
        room = (capital.max_notional - mirror.health(capital.account).notional) * WAD // mirror.price(market_id)
        for part in (abs(base) >> power for power in range(HALVINGS)):
            if not part or part > room:
                continue
            offer = TakeOver(account, market_id, part if base > 0 else -part, capital.account)
            if self._profit(offer) > self._reward(account, market_id):
                return offer
        return None

    def _profit(self, offer: TakeOver) -> int:
        """Discount less fees and impact of closing what was taken, WAD dollars; −1 where the model refuses."""
        mirror, market = self._mirror, self._mirror.markets[offer.market_id]
        newest = market.newest
        assert newest is not None, "a position in a market without a price"
        sender = mirror.roles.liquidator.number
        with mirror.model.simulated():
            try:
                done = mirror.model.take_over(
                    offer.account, offer.market_id, offer.base, offer.to_account, now=mirror.now, sender=sender
                )
            except Refusal:
                return -1
            out = market.fill_quote(-offer.base, newest.price, newest.confidence).amount
            lost = offer.base * newest.price // WAD - out
            return done.discount - done.fee - lost - market.trading_fee(offer.base, abs(out))

    def _reward(self, account: int, market_id: int) -> int:
        """What closing out pays instead, WAD dollars; 0 where the model refuses."""
        mirror = self._mirror
        with mirror.model.simulated():
            try:
                return mirror.model.liquidate(
                    account, market_id, now=mirror.now, sender=mirror.roles.liquidator.number, gas=mirror.gas
                ).reward
            except Refusal:
                return 0


def _action(decision: liquidations.Liquidation) -> Action:
    match decision:
        case liquidations.CloseOut(account, market_id):
            return CloseOut(account, market_id)
        case liquidations.TakeOver(account, market_id, base, to_account):
            return TakeOver(account, market_id, base, to_account)
        case liquidations.Absorb(account):
            return Absorb(account)


# --- what they see -----------------------------------------------------------------------------------------------


def market_snapshot(mirror: Mirror, market_id: int) -> MarketSnapshot:
    """A market as it is stored; within `mirror.accrued()` as of now."""
    market = mirror.markets[market_id]
    return MarketSnapshot(
        market_id=market_id,
        time=mirror.now,
        configuration=Configuration(market.rules, market.scale, market.halt_until),
        orders=market.order_params,
        queue_next=market.queue_next,
        queue_head=market.queue_head,
        newest=market.newest,
        long_side=Accumulators(market.g_long, market.k_long, market.epoch_long),
        short_side=Accumulators(market.g_short, market.k_short, market.epoch_short),
        long=market.long,
        short=market.short,
        pool_quote=market.pool_quote,
        pool_cash=mirror.model.cash_of(market.pool_account),
        rate=market.rate,
        accrued_at=market.last,
        moved_since=market.moved_since,
        moved=market.moved,
    )


class ReplayedBook:
    """The replay's ledger as a forecast asks for it: copies that it may change."""

    def __init__(self, mirror: Mirror) -> None:
        self._state = mirror.model.state

    @property
    def markets(self) -> Mapping[int, Market]:
        return self._state.markets

    def held(self, account: int) -> Collection[int]:
        return [one.id for one in self._state.markets_of(account)]

    def state(self) -> State:
        own = self._state
        state = State(18, own.pool, own.fund, own.treasury, own.liquidation_params)
        for market in own.markets.values():
            state.markets[market.id] = copied(market)
            self.enter(state, market.pool_account)
        self.enter(state, own.fund_account)
        return state

    def enter(self, state: State, account: int) -> None:
        if (slot := self._state.accounts.get(account)) is None:
            return
        state.changed_account(account).restore(Account.image(slot))
        for market in self._state.markets_of(account):
            held = Position()
            held.restore(Position.image(market.positions[account]))
            state.markets[market.id].positions[account] = held
