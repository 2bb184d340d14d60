"""The day itself: prices are published, orders placed and executed, accounts liquidated; every minute all is checked.

A publication every `publish_seconds`. Three seconds before it traders place their orders, so that its record is the
first one at or after their T; with it the executor settles them; a second later those who trade with each other are
matched at its price; two seconds later the liquidator acts on what it did to accounts, every two seconds until nobody
is left, or what is left must wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import SECONDS_PER_HOUR, SECONDS_PER_MINUTE
from plimsoll.dashboard.report import ReplayReport
from plimsoll.deploy.parameters import Parameters
from plimsoll.keepers.liquidations import Capital
from plimsoll.replay.actions import (
    Action,
    Applied,
    Block,
    Cancel,
    CancelAll,
    CancelAllFor,
    CancelFor,
    Deposit,
    Execute,
    ExecuteRequest,
    Match,
    Place,
    PlaceFor,
    Record,
    RequestEntry,
    Sweep,
    VaultName,
    calls_of,
)
from plimsoll.replay.day import Calendar
from plimsoll.replay.engine import Engine
from plimsoll.replay.findings import BLOCK_SECONDS, Findings
from plimsoll.replay.keepers import Liquidations, OpenOrders, Signers
from plimsoll.replay.keys import Key
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.modelled import Deployment, Health, Roles
from plimsoll.replay.promises import Promises
from plimsoll.replay.quoters import Quoters
from plimsoll.replay.stored import Layout, Ledger, Sums, sums_of
from plimsoll.replay.traders import ANY_PRICE, Traders
from plimsoll.replay.watch import Watch
from plimsoll.risk.execution import Outcome
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import AccountPlan
from plimsoll.risk.scenario.scenario import PriceHistory, Scenario, Tick
from plimsoll.sdk.signing import order_hash

PLACE_BEFORE = 3
"""Seconds before a publication: with a settlement delay of 2 and a window of 3 its record is the first in time."""
OPENING_SECONDS = 600
"""Before the first price, for everyone to come in."""
DEPOSITS_A_BLOCK = 60
MIN_PUBLISH_SECONDS = PLACE_BEFORE + 2 * BLOCK_SECONDS
TAKER_LEVERAGE = 4
TAKER_INDEX = 1


class SumsBroken(Exception):
    """One of the ledger's sums does not hold; the message names the minute and the figures."""


@dataclass(frozen=True, slots=True)
class Check:
    """What to compare and to add up at the end of a minute. `ledger` is the model's, `tokens` in WAD.

    `promises` are the order book's words that may have changed in the minute, `promised` the model's values of them.
    `healths` are the model's of accounts with a position, where the chain's own views are to be asked as well.
    """

    minute: int
    layout: Layout
    ledger: Ledger
    promises: Promises
    promised: Sequence[int]
    tokens: int
    prices: Mapping[int, int]
    ends: Mapping[int, tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]]
    dust_bound: int
    base_bound: Mapping[int, int]
    healths: Mapping[int, Health] | None = None

    def add_up(self, ledger: Ledger, tokens: int) -> Sums:
        """The sums of a ledger and the tokens held. Raises SumsBroken."""
        sums = sums_of(ledger, tokens, self.prices, self.ends)
        where = f"minute {self.minute}"
        for market_id, total in sums.base.items():
            if abs(total) > self.base_bound[market_id]:
                raise SumsBroken(f"{where}: Σ base of market {market_id} is {total} wei, not 0")
        if not 0 <= sums.dust <= self.dust_bound:
            raise SumsBroken(
                f"{where}: tokens in the vault less claims are {sums.dust} wei, not between 0 and {self.dust_bound}"
            )
        lowest = -self.dust_bound - sums.rounding
        if not lowest <= sums.equity <= 0:
            raise SumsBroken(f"{where}: Σ equity less tokens is {sums.equity} wei, not between {lowest} and 0")
        return sums


@dataclass(frozen=True, slots=True)
class Compared:
    """What a chain answered: the sums at the end, accounts and transactions that differed, comparisons, gas by flow."""

    sums: Sums
    mismatches: int
    comparisons: int
    gas: Mapping[str, int]


class Chain(Protocol):
    """Where the blocks go."""

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        """Carry a block out; the touched accounts are as expected after it."""
        ...

    def check(self, check: Check) -> None:
        """Compare everything and add it up."""
        ...

    def finish(self) -> Compared:
        """Wait until all is done."""
        ...


class ModelOnly:
    """No chain: the model is compared with itself, and its own ledger is added up."""

    def __init__(self) -> None:
        self._sums: Sums | None = None
        self._comparisons = 0

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        self._comparisons += len(touched.accounts)

    def check(self, check: Check) -> None:
        self._comparisons += len(check.layout) + len(check.promises)
        self._sums = check.add_up(check.ledger, check.tokens)

    def finish(self) -> Compared:
        assert self._sums is not None, "a replay has a minute at least"
        return Compared(self._sums, 0, self._comparisons, {})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: minutes done of all, the time of day, prices by market, counts."""

    minute: int
    minutes: int
    ts: int
    prices: Mapping[str, int]
    fills: int
    liquidations: int


class Replay:
    """One scenario over one deployment."""

    def __init__(
        self,
        scenario: Scenario,
        history: PriceHistory,
        parameters: Parameters,
        *,
        roles: Roles | None = None,
        at: Deployment | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Raises UserError where the scenario doesn't fit the deployment."""
        self.scenario = scenario
        self.history = history
        self.progress = progress
        self.market_ids = market_ids(history, parameters)
        self.roles = roles or Roles.named()
        publish_seconds = scenario.keepers.publish_seconds
        if publish_seconds < MIN_PUBLISH_SECONDS:
            raise UserError(
                f"keepers: publish_seconds is {publish_seconds}; a replay needs {MIN_PUBLISH_SECONDS} at least"
            )
        self.start = history.start - OPENING_SECONDS
        """When the first block may be mined, Unix seconds."""
        self.mirror = Mirror(parameters, self.roles, at or Deployment(), now=self.start)
        plans = scenario.accounts(history)
        self.minutes = history.minutes
        self.ticks = tuple(history.ticks(scenario.keepers))
        calendar = Calendar(self.minutes, publish_seconds, history.crash_minute)
        self.engine = Engine(self.mirror, self.market_ids.values())
        self.engine.settle = self._settle
        self.traders = Traders(self.mirror, plans, self.market_ids, calendar, scenario.seed, self.engine)
        self.quoters = Quoters(self.mirror, self.traders.quoters, self.market_ids, self.traders.desk, self.engine)
        self.signers = Signers(self.market_ids.values(), scenario.seed)
        self.taker = ids.pack(self.roles.liquidator.number, index=TAKER_INDEX)
        capital = scenario.keepers.take_over_capital_usd
        self.orders = OpenOrders(self.mirror)
        self.liquidations = Liquidations(
            self.mirror, Capital(self.taker, TAKER_LEVERAGE * capital) if capital else None
        )
        accounts = [*self.traders.by_account, self.taker]
        self.watch = Watch(self.mirror, accounts)
        self.layout = Layout(
            [*accounts, *self.mirror.own_accounts()],
            [*self._holdings(plans), *((self.taker, market_id) for market_id in self.market_ids.values())],
            self.market_ids.values(),
        )
        names = {trader.account: trader.plan.name for trader in self.traders.by_account.values()}
        self.findings = Findings(
            names | {self.taker: "keeper's capital"}, {number: name for name, number in self.market_ids.items()}
        )
        self._chain: Chain = ModelOnly()
        self._salt = 0
        self._index = 0
        self._changed: dict[bytes, None] = {}
        """Hashes of orders that something happened to since the last check."""
        self._seen: dict[bytes, None] = {}
        self._worst: tuple[int, Mapping[int, Health]] = (0, {})
        """At the worst prices of this minute, before anyone was liquidated at them: how many unhealthy, all healths."""
        self._race = Draws(scenario.seed, "replay/race")

    @property
    def keys(self) -> list[Key]:
        """Of those who hold accounts or trade for others, keepers aside."""
        return self.traders.keys

    # --- the day -----------------------------------------------------------------------------------------------------

    def run(self, chain: Chain | None = None) -> ReplayReport:
        """Replay all of it. Raises SumsBroken."""
        began = time.monotonic()
        if chain is not None:
            self._chain = chain
        self._open()
        for index, tick in enumerate(self.ticks):
            if index:
                self._place(index, tick)
            self._publish(tick, index)
            self._trade(tick)
            self._react(tick)
            if index and (tick.ts - self.history.start) % SECONDS_PER_MINUTE == 0:
                self._end_minute(index, tick)
        compared = self._chain.finish()
        last = self._check_of(self.minutes, None)
        return self.findings.report(
            self.mirror,
            title=f"Replay: {self.scenario.name}",
            source=self.history.source,
            minutes=self.minutes,
            accounts=len(self.traders.by_account),
            sums=compared.sums,
            dust_bound=last.dust_bound + compared.sums.rounding,
            base_bound={market_id: last.base_bound[market_id] for market_id in self.layout.market_ids},
            mismatches=compared.mismatches,
            comparisons=compared.comparisons,
            gas=compared.gas,
            wall_seconds=time.monotonic() - began,
        )

    def _open(self) -> None:
        """Everyone brings his money; the provider enters the pool and the fund by requests."""
        capital, unit, provider = self.scenario.capital, self.mirror.model.state.unit, self.roles.provider.number
        entries: list[tuple[VaultName, int]] = [("pool", capital.pool_usd), ("fund", capital.insurance_usd)]
        requests = [RequestEntry(name, provider, usd // unit) for name, usd in entries if usd // unit]
        with self._block(self.start + 1):
            self._do(Deposit(ids.pack(provider), sum(request.assets for request in requests)))
            if take_over := self.scenario.keepers.take_over_capital_usd:
                self._do(Deposit(self.taker, take_over // unit))
            numbers = [(request.vault, self._do(request).result) for request in requests]
        deposits = self.traders.opening()
        for place in range(0, len(deposits), DEPOSITS_A_BLOCK):
            with self._block(self.mirror.now + 1):
                for deposit in deposits[place : place + DEPOSITS_A_BLOCK]:
                    self._do(deposit)
        with self._block(self.mirror.now + 1):
            for scope in self.traders.scopes():
                self._attempt(scope)
        delays = (self.mirror.model.pool.params.deposit_delay, self.mirror.model.fund.params.deposit_delay)
        with self._block(max(self.mirror.now + 1, self.start + 1 + max(delays))):
            for vault, number in numbers:
                self._do(ExecuteRequest(vault, number))
        self.findings.begin(self.mirror)

    def _place(self, index: int, tick: Tick) -> None:
        """Traders act on what they know before a publication, and the keeper closes what it took over."""
        with self._block(tick.ts - PLACE_BEFORE):
            for action in self.traders.due(index):
                self._attempt(action)
            for action in self.quoters.pull():
                self._attempt(action)
            for order in self._unwinding():
                self._attempt(Place(order))

    def _publish(self, tick: Tick, index: int) -> None:
        """A record of every market, and what the executor makes of it."""
        with self._block(tick.ts):
            self._record(tick)
            self._settle_orders(index)
            if index and (tick.ts - self.history.start) % SECONDS_PER_HOUR == 0:
                for market_id in self.mirror.markets:
                    self._do(Sweep(market_id))

    def _trade(self, tick: Tick) -> None:
        """Those who want to trade with others do, at quotes that follow the price."""
        if not self.traders.takes:
            return
        with self._block(tick.ts + 1):
            self.quoters.quote()
            self.traders.trade()

    def _react(self, tick: Tick) -> None:
        """Who leaves withdraws at the fresh prices; the liquidator acts for as long as there is something to do."""
        unhealthy = self._look_for_unhealthy()
        if len(unhealthy) > self._worst[0]:
            self._worst = len(unhealthy), self._healths()
        last = tick.ts + self.scenario.keepers.publish_seconds - PLACE_BEFORE - 1
        for ts in range(tick.ts + BLOCK_SECONDS, last + 1, BLOCK_SECONDS):
            if not unhealthy and not self.traders.withdrawals:
                return
            with self._block(ts):
                for action in self.traders.leaving():
                    self._attempt(action)
                self._liquidate(unhealthy)
            if self.mirror.now != ts:
                return
            unhealthy = self._look_for_unhealthy()

    def _end_minute(self, index: int, tick: Tick) -> None:
        minute = (tick.ts - self.history.start) // SECONDS_PER_MINUTE
        healths = self._healths()
        self.traders.look(healths, index)
        self.findings.row(self.mirror, self._worst[1] or healths)
        self._worst = (0, {})
        asks_views = minute % 60 == 0 or minute == self.minutes
        self._chain.check(self._check_of(minute, healths if asks_views else None))
        counts = self.findings.counts
        self.progress(
            Progress(
                minute,
                self.minutes,
                tick.ts,
                tick.prices,
                self.findings.fills,
                counts["closeout"] + counts["takeover"] + counts["absorbed"],
            )
        )

    # --- the parts ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _block(self, ts: int) -> Iterator[None]:
        """What is done inside is one block, which is sent at the end unless it is empty."""
        self.mirror.begin(ts)
        yield
        block = self.mirror.end()
        if block.applied:
            self.watch.saw(block)
            self.findings.saw(block)
            touched = self.layout.part(block.touched)
            self._chain.send(block, touched, touched.expected(self.mirror.model))

    def _do(self, action: Action) -> Applied:
        return self.mirror.do(action)

    def _attempt(self, action: Action) -> None:
        """Somebody tries; what the rules refuse isn't sent."""
        done = self.mirror.attempt(action)
        if isinstance(done, Refusal):
            self.findings.failures[done.name] += 1
            self.traders.refused(action)
            return
        for call in calls_of(action):
            match call:
                case Place(order, _) | PlaceFor(order, _):
                    self._note(order)
                    self.orders.add(order)
                case Cancel(order, _) | CancelFor(order, _):
                    self._note(order)
                    self.orders.end(order)
                case CancelAll() | CancelAllFor():
                    self.orders.end_all(call.account)
                case Execute():
                    self._hear(call, done.result)

    def _settle(self, match: Match) -> Applied | Refusal:
        """Signed orders that the engine matched."""
        done = self.mirror.attempt(match)
        if isinstance(done, Refusal):
            self.findings.failures[done.name] += 1
            return done
        for one in (match.taker, *(maker for maker, _ in match.makers)):
            self._note(one.order)
        return done

    def _note(self, order: Order) -> None:
        """Something happened to an order."""
        self._changed[order_hash(order)] = None

    def _record(self, tick: Tick) -> None:
        """All markets in one update; where one is refused, each by itself."""
        prices = {self.market_ids[name]: price for name, price in tick.prices.items()}
        readings = self.signers.readings(prices)
        if isinstance(self.mirror.attempt(Record(readings)), Refusal):
            for market_id, said in readings.items():
                self._attempt(Record({market_id: said}))

    def _settle_orders(self, index: int) -> None:
        """The executor's batches; a second look, since what waits for its price waits for the market orders too."""
        self._index = index
        for _ in range(2):
            batches = self.orders.due()
            for batch in batches:
                self._hear(batch, self._do(batch).result)
            if not batches:
                return

    def _hear(self, batch: Execute, outcomes: Sequence[Outcome]) -> None:
        """What became of the orders of a batch."""
        self.orders.hear(batch, outcomes)
        for order, outcome in zip(batch.orders, outcomes, strict=True):
            if outcome.status != "skipped":
                self._note(order)
            if outcome.status not in ("skipped", "waiting"):
                self.traders.hear(order, outcome, self._index)

    def _healths(self) -> dict[int, Health]:
        """Of all accounts with a position or a debt, now."""
        with self.mirror.accrued():
            return {account: self.mirror.health(account) for account in self.watch.held}

    def _look_for_unhealthy(self) -> list[int]:
        unhealthy = self.watch.unhealthy()
        self.findings.saw_unhealthy(unhealthy, self.mirror.now)
        return unhealthy

    def _liquidate(self, unhealthy: Sequence[int]) -> None:
        """Keepers with capital are as quick as those without: who comes to an account first is drawn."""
        if not self.scenario.keepers.liquidator:
            return
        for account in unhealthy:
            if self._race.below(2) and (offer := self.liquidations.bargain(account)) is not None:
                self._attempt(offer)
        still = [account for account in unhealthy if self.mirror.model.is_liquidatable(account, self.mirror.now)]
        for action in self.liquidations.due(still):
            self._attempt(action)

    def _unwinding(self) -> Iterator[Order]:
        """Reduce-only orders for what the keeper took over."""
        for market in list(self.mirror.model.state.markets_of(self.taker)):
            base = self.mirror.base_of(self.taker, market.id)
            if base and not self.orders.has(self.taker, market.id):
                self._salt += 1
                limit = ANY_PRICE if base < 0 else 0
                yield Order(self.taker, market.id, OrderKind.MARKET, -base, limit, reduce_only=True, salt=self._salt)

    def _check_of(self, minute: int, healths: Mapping[int, Health] | None) -> Check:
        return check_of(self.mirror, self.layout, minute, self._promises(minute), healths)

    def _promises(self, minute: int) -> Promises:
        """What the order book keeps of everyone, and of the orders of this minute; at the end of all."""
        self._seen |= self._changed
        orders = self._seen if minute == self.minutes else self._changed
        self._changed = {}
        return Promises(self.market_ids.values(), self.traders.by_account, self.traders.delegations, orders)

    def _holdings(self, plans: Sequence[AccountPlan]) -> Iterator[tuple[int, int]]:
        for trader, plan in zip(self.traders.by_account.values(), plans, strict=True):
            for name in dict.fromkeys(leg.market for leg in plan.legs):
                yield trader.account, self.market_ids[name]


def check_of(
    mirror: Mirror, layout: Layout, minute: int, promises: Promises, healths: Mapping[int, Health] | None
) -> Check:
    """What a chain is to be compared with now."""
    model = mirror.model
    return Check(
        minute,
        layout,
        layout.expected(model),
        promises,
        promises.expected(model, mirror.fee_reserves),
        model.state.totals.tokens * model.state.unit,
        {market_id: mirror.price(market_id) for market_id in mirror.markets},
        {market_id: (market.ends_long, market.ends_short) for market_id, market in mirror.markets.items()},
        model.check_sums_quickly(mirror.now).highest,
        {
            market_id: market.ownerless_long + market.ownerless_short + 4 * market.count if market.events else 0
            for market_id, market in mirror.markets.items()
        },
        healths,
    )


def market_ids(history: PriceHistory, parameters: Parameters) -> dict[str, int]:
    """The deployment's market of each price series: "ETH" is "ETH/USD". Raises UserError where there is none."""
    listed = {market.name.partition("/")[0]: market.id for market in parameters.markets}
    strangers = [name for name in history.markets if name not in listed]
    if strangers:
        raise UserError(f"prices: {', '.join(strangers)} is not listed; the deployment has {', '.join(listed)}")
    return {name: listed[name] for name in history.markets}
