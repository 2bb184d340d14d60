"""The executor: settles orders as soon as they can be, and is paid their execution fees.

Market orders go in the order of their queue, at the first record at or after their T; orders that wait for their price
go when the newest record fills them. Every batch is simulated right before it is sent, without what would be skipped,
and nothing is sent that costs more than it pays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Block, Call, Receipt, Reverted, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.keepers.batches import (
    LIMIT_OF_PRICE,
    MAX_BATCH,
    Batch,
    Decision,
    Leave,
    Rescan,
    Settle,
    Snapshot,
    Trigger,
    decide,
    due_in_queue,
    limit_of,
    may_go,
    size_of,
)
from plimsoll.keepers.costs import Costs, GasMeter
from plimsoll.keepers.executions import Purse, told
from plimsoll.keepers.feeds import SignedPrices
from plimsoll.keepers.open_orders import OpenOrders
from plimsoll.keepers.patience import Patience
from plimsoll.keepers.runner import Fields, Log
from plimsoll.keepers.triggers import Levels
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import OrderExecuted, OrderSkipped, decode_all
from plimsoll.sdk.history import Follower, OpenOrder, occurrences, topics_of
from plimsoll.sdk.snapshots import MarketSnapshot, read_markets

LEAD_SECONDS = 1
"""How much later than the newest block a transaction is executed at the earliest, on any chain."""
MAX_ASKED = 96
"""How many waiting orders of a market one round looks at, the oldest first; those that go nowhere come back later."""
MAX_RECORDS_DEAD = 8
"""For how many records an order with nothing to reduce is left alone at most."""

_STILL_OPEN = (1, 2)
"""Queued, Waiting."""
_ENDED = ("OrderBook_UnknownOrder", "OrderBook_WrongCounter", "OrderBook_Expired")


@dataclass(frozen=True, slots=True)
class Terms:
    """What pays. The price of ETH is `eth_price`, WAD dollars, or that of a market; without either sending is free.

    `margin_bps` of the cost is what rewards have to be above it. `sweeps`: end orders along that are dead anyway.
    """

    eth_market: int | None = None
    eth_price: int | None = None
    margin_bps: int = 0
    sweeps: bool = False


@dataclass(slots=True)
class _Prepared:
    """A batch as it is sent."""

    batch: Batch
    orders: list[OpenOrder]
    rewards: list[int]
    prices: dict[int, bytes]
    """Signed prices to bring along, by market."""

    def drop(self, place: int) -> None:
        """One order; of a queue all after it as well."""
        end = len(self.orders) if isinstance(self.batch, Settle) else place + 1
        del self.orders[place:end], self.rewards[place:end]

    @property
    def gas(self) -> int:
        return limit_of(len(self.orders)) + LIMIT_OF_PRICE * len(self.prices)

    def cost(self, costs: Costs) -> int:
        voids = self.rewards.count(0) if isinstance(self.batch, Trigger) else 0
        return costs.of(len(self.orders) - voids, voids, len(self.prices))


class Executor:
    """The job. State: open orders from the order book's events, checked against the chain before anything is sent."""

    name = "executor"

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer | None,
        *,
        max_batch: int = MAX_BATCH,
        terms: Terms | None = None,
        prices: SignedPrices | None = None,
    ) -> None:
        """`prices`: where to get one that an order is refused for the want of, or would be in the next block."""
        if not 1 <= max_batch <= 40:
            raise UserError(f"max batch {max_batch} does not lie between 1 and 40")
        self.contracts = contracts
        self.signer = signer
        self.max_batch = max_batch
        self.terms = terms or Terms()
        self.prices = prices
        self._meter = GasMeter(contracts.chain, self.terms.margin_bps)
        self._costs = Costs()
        self._purse = None if signer is None else Purse(ids.pack(signer.address))
        self._now = 0
        self._head: Block | None = None
        self._interval = LEAD_SECONDS
        """Seconds between blocks, as they were last."""
        self._markets: Mapping[int, MarketSnapshot] = {}
        self._left: set[bytes] = set()
        self._left_count = 0
        self._restart()

    def _restart(self) -> None:
        book = self.contracts.order_book
        self._open, self._patience, self._restarts = OpenOrders(), Patience(), 0
        self._follower = Follower(
            self.contracts.chain,
            [book.address],
            topics_of(book.name, OpenOrders.EVENTS),
            from_block=self.contracts.from_block,
        )

    def check(self) -> Fields:
        return {"order_book": self.contracts.order_book.address, "from_block": self.contracts.from_block}

    # --- observe ---

    def observe(self, block: Block) -> Snapshot:
        self._follow(block)
        markets = read_markets(self.contracts, block)
        self._measure(block)
        self._markets = markets
        self._now, self._costs = block.timestamp, self._read_costs(block, markets.get(self.terms.eth_market or 0))
        snapshot = Snapshot(
            now=block.timestamp,
            then=block.timestamp + LEAD_SECONDS,
            markets=markets,
            queued=tuple(self._open.queued.values()),
            orphans=tuple(self._open.orphans.values()) if self.terms.sweeps else (),
            sweeps=self.terms.sweeps,
            costs=self._costs,
            retry_at=self._patience.retry_at,
            resting=self._patience.resting,
            room=block.gas_limit,
        )
        waiting = [one for market in markets.values() for one in self._triggered(market, snapshot)]
        held = self._read_held([*waiting, *due_in_queue(snapshot)[: 2 * MAX_ASKED]], block)
        for one in waiting:
            if not size_of(one.order, held):  # nothing to reduce: its account may come back to this market
                self._patience.refuse(one.hash, _sequence(markets[one.order.market_id]), MAX_RECORDS_DEAD)
        return replace(snapshot, waiting=tuple(waiting), siblings=self._siblings(waiting), held=held)

    def _measure(self, block: Block) -> None:
        """How far apart blocks are."""
        last, self._head = self._head, block
        if last is not None and block.number > last.number:
            passed = (block.timestamp - last.timestamp) // (block.number - last.number)
            self._interval = max(LEAD_SECONDS, passed)

    def _follow(self, block: Block) -> None:
        logs = self._follower.poll(block.number)
        if self._follower.restarts != self._restarts:
            self._restarts = self._follower.restarts
            self._open, self._patience = OpenOrders(), Patience()
        self._open.feed(decode_all(occurrences([self.contracts.order_book], logs)))
        self._open.forget_expired(block.timestamp)
        self._read_lost(block)
        self._patience.keep(self._open)
        self._left = {hash_ for hash_ in self._left if hash_ in self._open}

    def _read_lost(self, block: Block) -> None:
        """Orders that were sent for nothing: what became of them."""
        lost = self._patience.to_read(block.number)
        calls = [self.contracts.order_book.prepare("commitment", hash_) for hash_ in lost]
        for hash_, found in zip(lost, self.contracts.chain.read(calls, block=block.number), strict=True):
            if found.status in _STILL_OPEN:
                self._patience.wake(hash_)
            else:
                self._open.end(hash_)

    def _read_costs(self, block: Block, market: MarketSnapshot | None) -> Costs:
        eth_price = self.terms.eth_price or (market.price if market is not None else 0)
        return self._meter.read(block, eth_price) if eth_price else Costs()

    def _triggered(self, market: MarketSnapshot, snapshot: Snapshot) -> list[OpenOrder]:
        """What a market's newest record may fill, and nothing else keeps from it."""
        if market.newest is None:
            return []
        found = self._open.index.candidates(market.market_id, Levels.of(market.model(), market.newest))
        return [one for one in found if may_go(one, snapshot)][:MAX_ASKED]

    def _siblings(self, waiting: Iterable[OpenOrder]) -> tuple[OpenOrder, ...]:
        holders = dict.fromkeys((one.order.account, one.order.market_id) for one in waiting if one.order.reduce_only)
        found = [one for holder in holders for one in self._open.index.of_account(*holder)[:MAX_ASKED]]
        return tuple(one for one in found if one.order.reduce_only)

    def _read_held(self, orders: Iterable[OpenOrder], block: Block) -> dict[tuple[int, int], int]:
        """What the orders' accounts hold in their markets, WAD base; our own cash along."""
        holders = list(dict.fromkeys((one.order.account, one.order.market_id) for one in orders))
        calls = [self.contracts.market.prepare("position", *holder) for holder in holders]
        if calls and self._purse is not None:
            calls.append(self.contracts.vault.prepare("cashOf", self._purse.account))
        positions = self.contracts.chain.read(calls, block=block.number)
        if calls and self._purse is not None:
            self._purse.cash = positions.pop()
        return {holder: int(found[0]) for holder, found in zip(holders, positions, strict=True)}

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        return decide(snapshot, self.max_batch)

    # --- act ---

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        """What doesn't wait for one another is sent together: a queue's second batch goes after its first is mined."""
        for wave in _waves(actions):
            ready = [found for action in wave if (found := self._prepare(action, log, stop)) is not None]
            if stop.is_set() or not ready:
                continue
            assert self.signer is not None
            for prepared, receipt in zip(ready, self.signer.send_many([self._call(one) for one in ready]), strict=True):
                self._report(prepared, receipt, log)

    def _prepare(self, action: Decision, log: Log, stop: threading.Event) -> _Prepared | None:
        if stop.is_set():
            return None
        if isinstance(action, Rescan):
            log("rescan", **action.describe())
            self._restart()
            return None
        if isinstance(action, Leave):
            self._leave(action.describe(), action.orders, log)
            return None
        fresh = _Prepared(action, list(action.orders), list(action.rewards), self._brought(action))
        prepared = self._simulated(fresh, log)
        if not prepared.orders:
            return None
        reward, cost = sum(prepared.rewards), prepared.cost(self._costs)
        if self._costs.gain(reward, cost) < 0:
            kept = Leave(action.market_id, tuple(prepared.orders), tuple(prepared.rewards), cost)
            self._leave(kept.describe(), kept.orders, log)
            return None
        return prepared

    def _brought(self, action: Batch) -> dict[int, bytes]:
        """What waited for its price wants a record of the last seconds: one too old by the next block is made anew."""
        market = self._markets.get(action.market_id)
        if not isinstance(action, Trigger) or market is None or market.newest is None:
            return {}
        age = self._now + self._interval - market.newest.published_at
        item = self._price(action.market_id) if age > market.orders.settlement_window else None
        return {} if item is None else {action.market_id: item}

    def _leave(self, fields: Fields, orders: Iterable[OpenOrder], log: Log) -> None:
        """Said once an order, and counted."""
        fresh = {one.hash for one in orders} - self._left
        if fresh:
            self._left |= fresh
            self._left_count += len(fresh)
            log("left", **fields, in_all=self._left_count)

    # --- simulating ---

    def _simulated(self, prepared: _Prepared, log: Log) -> _Prepared:
        """What is left of a batch without those that would be skipped; prices that it is refused for are brought."""
        hopeless: set[int] = set()
        while prepared.orders and (refused := self._first_refused(prepared)) is not None:
            place, error = refused
            market_id = error.values.get("marketId", 0) if error.name == "PerpMarket_StalePrice" else 0
            if prepared.prices and not error.name.startswith(("OrderBook_", "PerpMarket_")):
                hopeless |= set(prepared.prices)  # the oracle doesn't take what we have
                prepared.prices.clear()
            elif market_id and market_id not in hopeless | set(prepared.prices) and (item := self._price(market_id)):
                prepared.prices[market_id] = item
            else:
                self._note_refusal(prepared.orders[place], prepared.batch, error, log)
                prepared.drop(place)
        return prepared

    def _price(self, market_id: int) -> bytes | None:
        return None if self.prices is None else self.prices.item(market_id, self._now)

    def _first_refused(self, prepared: _Prepared) -> tuple[int, Reverted] | None:
        """The first order that a batch would skip, and why; None where it would skip none."""
        error = self._refusal(prepared, len(prepared.orders))
        if error is None:
            return None
        good, bad = 0, len(prepared.orders)
        while bad - good > 1:
            middle = (good + bad) // 2
            found = self._refusal(prepared, middle)
            if found is None:
                good = middle
            else:
                bad, error = middle, found
        return bad - 1, error

    def _refusal(self, prepared: _Prepared, count: int) -> Reverted | None:
        """Why the first `count` orders can't all be executed in one transaction now."""
        assert self.signer is not None
        book, items = self.contracts.order_book, list(prepared.prices.values())
        calls = [
            book.encode("execute", one.order, [] if place else items)
            for place, one in enumerate(prepared.orders[:count])
        ]
        data = book.encode("multicall", calls)
        try:
            self.contracts.chain.call(book.address, data, sender=self.signer.address, gas=prepared.gas)
        except Reverted as error:
            return error
        return None

    def _note_refusal(self, one: OpenOrder, batch: Batch, error: Reverted, log: Log) -> None:
        """Waiting orders are asked again at a later record, reductions at the next. Said once an order."""
        if error.name in _ENDED:
            self._open.end(one.hash)
            return
        newest = int(self.contracts.oracle.call("newest", one.order.market_id)) >> 224
        most = {"most": 1} if one.order.reduce_only else {}
        if self._patience.refuse(one.hash, newest, **most):
            log("refused", order=one.hash.hex(), market=batch.market_id, reason=error.reason)

    def _call(self, prepared: _Prepared) -> Call:
        orders, items = [one.order for one in prepared.orders], list(prepared.prices.values())
        return replace(self.contracts.order_book.prepare("executeBatch", orders, items), gas=prepared.gas)

    # --- reporting ---

    def _report(self, prepared: _Prepared, receipt: Receipt, log: Log) -> None:
        """A line for each order of a transaction, and the state follows at once."""
        if not receipt.ok:
            for one in prepared.orders:
                self._patience.lose(one.hash, receipt.block_number)
            reason = self.contracts.chain.why(receipt).reason
            log("failed", **prepared.batch.describe(), tx=receipt.tx_hash, reason=reason)
            return
        records = decode_all(decode_logs(receipt.logs, self.contracts.chain.registry))
        self._open.feed(records)
        assert self._purse is not None
        for fields in told(records, self._purse, self.contracts.chain):
            log("executed", **fields, tx=receipt.tx_hash, gas=receipt.gas_used)
        for record in records:
            if isinstance(record, OrderSkipped):
                self._patience.lose(record.hash, receipt.block_number)
        done = sum(isinstance(record, OrderExecuted) for record in records)
        if done == len(prepared.orders) and not prepared.prices:
            self._meter.learn(receipt.gas_used, done)


def _waves(actions: Sequence[Decision]) -> Iterable[list[Decision]]:
    """Settlements of one queue one after the other, everything else with the first of them."""
    rest = list(actions)
    while rest:
        wave: list[Decision] = []
        later: list[Decision] = []
        settled: set[int] = set()
        for action in rest:
            if isinstance(action, Settle) and action.market_id in settled:
                later.append(action)
                continue
            if isinstance(action, Settle):
                settled.add(action.market_id)
            wave.append(action)
        yield wave
        rest = later


def _sequence(market: MarketSnapshot) -> int:
    return market.newest.sequence if market.newest else 0
