"""A market maker: two signed limit orders around the index, replaced as it moves, taken back when something is wrong.

It signs post-only orders as the owner of an account, or as a delegate who may match, and gives them to a matching
engine. Where quotes belong is `plimsoll.keepers.quoting`; here is when they stand. They are pulled where the index is
old, the market takes no risk, or the account's health is low; when the node is lost or the bot ends, the runner asks
for that too. Where the engine is gone they are revoked on the chain: an engine that is silent may still match. Whatever
happens to the bot, quotes expire within seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from plimsoll.chain.transactions import Block, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order, TimeInForce
from plimsoll.core.units import WAD, WAD_PER_BPS
from plimsoll.keepers.engine import Depth, Engine, EngineGone, EngineRefused, Standing, Steps
from plimsoll.keepers.quoting import Quote, Quoting, View, Volatility, quotes
from plimsoll.keepers.runner import Fields, Log, account_shown, shown
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.order_book import OrderBookClient
from plimsoll.sdk.orders import limit_order, market_order
from plimsoll.sdk.signing import Cancel
from plimsoll.sdk.snapshots import AccountSnapshot, MarketSnapshot, read_accounts, read_markets

LEAD_SECONDS = 2
"""How much later than the newest block a match is on the chain, at the earliest."""
LAST_RESORT_SECONDS = 4
"""For how long the engine may be gone before what stands there is revoked on the chain."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The market, the account and what stands in the engine."""

    now: int
    """The newest block's time, Unix seconds."""
    view: View | None
    """None before the first price."""
    published_at: int
    max_price_age: int
    is_open: bool
    """Whether the market takes new risk."""
    health: int
    standing: tuple[Standing, ...]
    """Live orders of the account in the market: the engine's word, or one's own memory where it is gone."""
    budget: int | None = None
    """Dollars, WAD, that a delegate may still use today; 0 where he may not match; None for the owner."""
    engine_gone: int | None = None
    """For how many seconds it hasn't answered, or not let go what it should; None while it does."""
    is_laying_off: bool = False
    """Whether a market order of the account is on its way."""


@dataclass(frozen=True, slots=True)
class _End:
    """Of these orders."""

    hashes: tuple[bytes, ...]
    why: str
    do: ClassVar[str]

    @property
    def key(self) -> tuple[bytes, ...]:
        return self.hashes

    def describe(self) -> Fields:
        return {"do": self.do, "orders": [one.hex() for one in self.hashes], "why": self.why}


@dataclass(frozen=True, slots=True)
class Pull(_End):
    """Take them back from the engine."""

    do: ClassVar[str] = "pull"


@dataclass(frozen=True, slots=True)
class Place:
    """Sign a quote and give it to the engine."""

    base: int
    price: int
    expiry: int

    @property
    def key(self) -> tuple[bool, int]:
        return self.base > 0, self.price

    def describe(self) -> Fields:
        return {"do": "quote", "base": shown(self.base), "price": shown(self.price), "expiry": self.expiry}


@dataclass(frozen=True, slots=True)
class LayOff:
    """Reduce the position by `base` against the pool."""

    base: int
    acceptable_price: int

    @property
    def key(self) -> str:
        return "lay off"

    def describe(self) -> Fields:
        return {"do": "lay off", "base": shown(self.base), "acceptable_price": shown(self.acceptable_price)}


@dataclass(frozen=True, slots=True)
class Revoke(_End):
    """Kill them on the chain."""

    do: ClassVar[str] = "revoke"


Decision = Pull | Place | LayOff | Revoke


# --- decide ------------------------------------------------------------------------------------------------------


def decide(snapshot: Snapshot, terms: Quoting) -> list[Decision]:
    """What to take back, before what to quote; what to lay off."""
    trouble = why_not(snapshot, terms)
    laid_off = _lay_off(snapshot, terms)
    if snapshot.engine_gone is not None:
        return [*_without_engine(snapshot, snapshot.engine_gone), *laid_off]
    live = [one for one in snapshot.standing if one.left]
    if trouble:
        return [*_pull([one.hash for one in live], trouble), *laid_off]
    assert snapshot.view is not None
    wanted = {quote.base > 0: quote for quote in _within_budget(quotes(snapshot.view, terms), snapshot)}
    kept: set[bool] = set()
    stale = []
    for one in live:
        is_bid = one.left > 0
        if is_bid not in kept and is_bid in wanted and _is_good(one, wanted[is_bid], snapshot, terms):
            kept.add(is_bid)
        else:
            stale.append(one.hash)
    expiry = snapshot.now + terms.lifetime
    placed = [Place(*quote, expiry) for is_bid, quote in wanted.items() if is_bid not in kept]
    return [*_pull(stale, "replaced"), *placed, *laid_off]


def why_not(snapshot: Snapshot, terms: Quoting) -> str:
    """The reason not to quote at all; empty where there is none."""
    if snapshot.view is None or snapshot.now + LEAD_SECONDS - snapshot.published_at > snapshot.max_price_age:
        return "index is stale"
    if not snapshot.is_open:
        return "market is halted"
    if snapshot.health < terms.min_health:
        return "health is low"
    if snapshot.budget == 0:
        return "delegate may not match"
    return ""


def _is_good(one: Standing, wanted: Quote, snapshot: Snapshot, terms: Quoting) -> bool:
    """Whether a quote may stay: its price near enough, its size neither half nor twice too much, some life left."""
    assert snapshot.view is not None
    off = abs(one.order.acceptable_price - wanted.price)
    left, size = abs(one.left), abs(wanted.base)
    if off * WAD > snapshot.view.index * terms.replace or not size <= 2 * left <= 4 * size:
        return False
    return one.order.expiry - snapshot.now > max(LEAD_SECONDS, terms.lifetime // 3)


def _within_budget(wanted: list[Quote], snapshot: Snapshot) -> list[Quote]:
    """The quotes that a delegate's budget can carry together; each counts for its notional at the index."""
    if snapshot.budget is None or snapshot.view is None:
        return wanted
    found, left = [], snapshot.budget
    for quote in wanted:
        cost = -(-abs(quote.base) * snapshot.view.index // WAD) + WAD
        if cost <= left:
            found.append(quote)
            left -= cost
    return found


def _pull(hashes: Sequence[bytes], why: str) -> list[Decision]:
    return [Pull(tuple(hashes), why)] if hashes else []


def _without_engine(snapshot: Snapshot, seconds: int) -> list[Decision]:
    """Ask the engine once more, then the chain, for what would outlive the transaction that kills it."""
    live = [one.hash for one in snapshot.standing if one.left and one.order.expiry > snapshot.now + LEAD_SECONDS]
    if seconds < LAST_RESORT_SECONDS or not live:
        return _pull(live, "engine is gone")
    return [Revoke(tuple(live), "engine is gone")]


def _lay_off(snapshot: Snapshot, terms: Quoting) -> list[Decision]:
    view, beyond = snapshot.view, terms.lay_off_beyond
    if view is None or beyond is None or snapshot.is_laying_off or not view.base:
        return []
    if snapshot.now + LEAD_SECONDS - snapshot.published_at > snapshot.max_price_age:
        return []
    excess = abs(view.base) * view.index // WAD - beyond
    if excess <= 0:
        return []
    size = (excess + beyond // 2) * WAD // view.index
    sells = view.base > 0
    slip = -terms.lay_off_slippage if sells else terms.lay_off_slippage
    return [LayOff(-size if sells else size, view.index * (WAD + slip) // WAD)]


# --- the job -----------------------------------------------------------------------------------------------------


class MarketMaker:
    """The job. State: the volatility seen so far, and the quotes signed, for when the engine can't be asked."""

    name = "market-maker"

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer | None,
        engine: Engine,
        account: int,
        market_id: int,
        *,
        terms: Quoting | None = None,
    ) -> None:
        self.contracts = contracts
        self.signer = signer
        self.engine = engine
        self.account = account
        self.market_id = market_id
        self.terms = terms or Quoting()
        self.book = OrderBookClient(contracts, signer)
        self._steps: Steps | None = None
        self._signed: dict[bytes, Order] = {}
        self._volatility = Volatility()
        self._newest: Record | None = None
        self._counter = 0
        self._now = 0
        self._gone_since: int | None = None
        self._stuck: set[bytes] = set()
        """What the engine didn't let go when it was asked to."""
        self._refused = ""

    @property
    def is_owner(self) -> bool:
        """Whether it signs for itself; a dry run without a key decides as the owner."""
        return self.signer is None or int(self.signer.address, 16) == self.account >> 96

    def check(self) -> Fields:
        """Raises UserError where the signer is a stranger to the account."""
        block = self.contracts.chain.block()
        if self._budget(block) == 0:
            raise UserError(
                "market maker: the key is neither the account's owner's nor a delegate's who may match here today"
            )
        return {"account": account_shown(self.account), "market": self.market_id, "as_owner": self.is_owner}

    def observe(self, block: Block) -> Snapshot:
        """Raises EngineGone where nothing stands in an engine that is."""
        market = read_markets(self.contracts, block, [self.market_id])[self.market_id]
        account = read_accounts(self.contracts, block, [self.account])[self.account]
        self._counter = self.book.counter_of(self.account)
        self._learn(market.newest)
        self._forget(block.timestamp)
        standing, depth = self._ask_engine(block.timestamp)
        return Snapshot(
            now=block.timestamp,
            view=self._view(market, account, standing, depth) if market.newest else None,
            published_at=market.newest.published_at if market.newest else 0,
            max_price_age=market.params.max_price_age,
            is_open=_is_open(market, block.timestamp),
            health=account.health,
            standing=tuple(standing),
            budget=self._budget(block),
            engine_gone=None if self._gone_since is None else block.timestamp - self._gone_since,
            is_laying_off=account.reserved > 0,
        )

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        return decide(snapshot, self.terms)

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        """In order; nothing new is quoted where something old couldn't be taken back."""
        for action in actions:
            if stop.is_set():
                return
            try:
                self._act(action, log)
            except EngineGone as error:
                log("failed", **action.describe(), reason=str(error))
                return

    def withdraw(self, why: str, log: Log) -> None:
        """Take back all that was signed: the node is lost, or this is the end."""
        for hash_ in list(self._signed):
            try:
                self._cancel([hash_], why, log)
            except EngineGone as error:
                log("failed", do="pull", orders=[one.hex() for one in self._signed], why=why, reason=str(error))
                return

    # --- what there is -------------------------------------------------------------------------------------------

    def _learn(self, newest: Record | None) -> None:
        before, self._newest = self._newest, newest
        if before is not None and newest is not None:
            seconds = newest.published_at - before.published_at
            self._volatility = self._volatility.after(before.price, newest.price, seconds)

    def _forget(self, now: int) -> None:
        """Quotes that nobody can match any more."""
        self._signed = {
            hash_: order
            for hash_, order in self._signed.items()
            if order.expiry >= now and order.counter == self._counter
        }

    def _ask_engine(self, now: int) -> tuple[list[Standing], Depth]:
        self._now = now
        try:
            self._steps = self._steps or self.engine.steps(self.market_id)
            found = [one for one in self.engine.standing(self.account) if one.order.market_id == self.market_id]
            depth = self.engine.depth(self.market_id)
        except EngineGone:
            if not self._signed:
                raise
            self._lost_engine()
            return [Standing(order, order.base) for order in self._signed.values()], Depth()
        self._stuck &= {one.hash for one in found if one.left}
        if not self._stuck:
            self._gone_since = None
        self._signed |= {one.hash: one.order for one in found if one.left}
        return found, depth

    def _lost_engine(self) -> None:
        self._gone_since = self._now if self._gone_since is None else self._gone_since

    def _view(
        self, market: MarketSnapshot, account: AccountSnapshot, standing: Sequence[Standing], depth: Depth
    ) -> View:
        held = account.position(self.market_id)
        best_bid, best_ask = _others(depth, standing)
        steps = self._steps or Steps(1, 1, 0)
        return View(
            index=market.price,
            volatility=self._volatility.over(self.terms.horizon),
            base=(held.base if held else 0) + sum(one.pending for one in standing),
            equity=account.equity,
            fee=market.params.maker_bps * WAD_PER_BPS,
            min_notional=max(market.params.min_position_usd * WAD, steps.min_notional),
            tick=steps.tick,
            lot=steps.lot,
            best_bid=best_bid,
            best_ask=best_ask,
        )

    def _budget(self, block: Block) -> int | None:
        if self.is_owner:
            return None
        assert self.signer is not None
        found = self.book.delegation(self.signer.address, self.account)
        if not found.scope.covers(self.market_id, block.timestamp + LEAD_SECONDS) or not found.scope.may_match:
            return 0
        return found.left_today * WAD

    # --- deeds ---------------------------------------------------------------------------------------------------

    def _act(self, action: Decision, log: Log) -> None:
        if isinstance(action, Pull):
            self._cancel(action.hashes, action.why, log)
        elif isinstance(action, Place):
            self._place(action, log)
        elif isinstance(action, LayOff):
            order = market_order(
                self.account,
                self.market_id,
                action.base,
                acceptable_price=action.acceptable_price,
                reduce_only=True,
                counter=self._counter,
            )
            self._send(action, self.contracts.order_book.encode("place", order), log)
        elif self._send(action, self._revocation(action.hashes), log):
            for hash_ in action.hashes:
                self._signed.pop(hash_, None)
                self._stuck.discard(hash_)

    def _cancel(self, hashes: Sequence[bytes], why: str, log: Log) -> None:
        for hash_ in hashes:
            try:
                self.engine.cancel(hash_, self.book.sign(Cancel(hash_)))
            except (EngineGone, EngineRefused) as error:
                self._stuck.add(hash_)
                self._lost_engine()
                raise EngineGone(f"engine: it keeps an order that it should let go: {error}") from None
            self._signed.pop(hash_, None)
            log("pulled", order=hash_.hex(), why=why)

    def _place(self, action: Place, log: Log) -> None:
        order = limit_order(
            self.account,
            self.market_id,
            action.base,
            action.price,
            time_in_force=TimeInForce.POST_ONLY,
            expiry=action.expiry,
            counter=self._counter,
        )
        signed = self.book.signed(order)
        hash_ = signed.hash
        self._signed[hash_] = order  # before it is out: an answer that is lost is no order that isn't there
        try:
            self.engine.submit(signed)
        except EngineRefused as error:
            del self._signed[hash_]
            if error.code != self._refused:
                log("refused", **action.describe(), reason=str(error))
            self._refused = error.code
            return
        self._refused = ""
        log("quoted", **action.describe(), order=hash_.hex())

    def _revocation(self, hashes: Sequence[bytes]) -> bytes:
        """The owner bumps his counter; a delegate can only cancel them one by one."""
        book = self.contracts.order_book
        if self.is_owner:
            return book.encode("cancelAll", self.account)
        return book.encode("multicall", [book.encode("cancel", self._signed[one]) for one in hashes])

    def _send(self, action: Decision, data: bytes, log: Log) -> bool:
        """Simulate, then send. Whether it happened."""
        assert self.signer is not None
        chain, book = self.contracts.chain, self.contracts.order_book.address
        try:
            gas = chain.estimate(book, data, sender=self.signer.address)
        except Reverted as error:
            log("refused", **action.describe(), reason=error.reason)
            return False
        receipt = self.signer.send(book, data, gas=gas * 3 // 2, check=False)
        if not receipt.ok:
            log("failed", **action.describe(), tx=receipt.tx_hash, reason=chain.why(receipt).reason)
            return False
        log("sent", **action.describe(), tx=receipt.tx_hash)
        return True


def _is_open(market: MarketSnapshot, now: int) -> bool:
    return market.newest is not None and market.newest.state == OPEN and now >= market.configuration.halt_until


def _others(depth: Depth, standing: Sequence[Standing]) -> tuple[int, int]:
    """Best bid and ask of everybody else; 0 where there is none."""
    mine: dict[tuple[bool, int], int] = {}
    for one in standing:
        key = one.left > 0, one.order.acceptable_price
        mine[key] = mine.get(key, 0) + abs(one.left)
    best = [
        next((price for price, size in levels if size > mine.get((is_bid, price), 0)), 0)
        for is_bid, levels in ((True, depth.bids), (False, depth.asks))
    ]
    return best[0], best[1]
