"""The publisher: signs prices for each source as its vendor does, and records them when there is a reason to.

On a development network it also moves what bounds them: push feeds, and pools by swaps. What it does is decided in
`plimsoll.keepers.publishing`. A source that says nothing, or that its vendor refuses, is left out and reported, so that
it holds up the others no longer than the aggregator's rules have it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from plimsoll.chain.abi import function_json
from plimsoll.chain.contracts import Interface, decode_logs
from plimsoll.chain.transactions import Block, Call, Receipt, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.keepers.bounds import Bounds, Words
from plimsoll.keepers.feeds import Feed, quotes, said
from plimsoll.keepers.ledger import Ledger
from plimsoll.keepers.prices import PriceSource
from plimsoll.keepers.publishing import (
    Action,
    BoundTerms,
    Cadence,
    MarketPrices,
    Publish,
    Push,
    Report,
    Silent,
    Snapshot,
    Swap,
    decide,
)
from plimsoll.keepers.runner import Fields, Log, shown
from plimsoll.risk.aggregation import median
from plimsoll.risk.oracle import Record
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import PriceRecorded, UpdateSkipped, decode_all
from plimsoll.sdk.words import unpack_record

GAS_PERCENT = 150
BROKEN_SECONDS = 30
"""How long a source that its vendor refused is left out before it is tried again."""
AGGREGATOR = "Oracle_"
"""What the aggregator's own errors begin with: the others are a vendor's."""
ADAPTER = Interface("Adapter", [function_json("read", ["bytes32[]", "bytes[]"], mutability="nonpayable")])


class Publisher:
    """The job. Nothing of it is kept between rounds but which accounts have positions, and what failed."""

    name = "publisher"

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer | None,
        feeds: Mapping[int, Feed],
        source: PriceSource,
        *,
        cadence: Cadence | None = None,
        bounds: Bounds | None = None,
        terms: BoundTerms | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """`bounds` where push feeds and pools are moved, too, and `terms` when."""
        self.contracts = contracts
        self.signer = signer
        self.feeds = dict(feeds)
        self.source = source
        self.cadence = cadence or Cadence()
        self.bounds = bounds
        self.terms = terms or BoundTerms()
        self.ledger = ledger or Ledger(contracts)
        self._complaints: dict[tuple[int, str], str] = {}
        self._broken: dict[tuple[int, str], int] = {}
        """By market and source that its vendor refuses: until when it isn't tried again."""
        self._queues: dict[int, tuple[int, int]] = {}
        """By market: the sequence of the next order, and when it was first seen to be that."""

    def check(self) -> Fields:
        now = self.contracts.chain.block().timestamp
        if not any(said(self.source, now, self._names()).values()):
            raise UserError("publisher: the source of prices has none for any market")
        sources = sorted({source.name for feed in self.feeds.values() for source in feed.ours})
        return {"oracle": self.contracts.oracle.address, "markets": sorted(self.feeds), "sources": sources}

    def _names(self) -> list[str]:
        names = [source.name for feed in self.feeds.values() for source in feed.ours]
        return names + (self.bounds.names if self.bounds else [])

    # --- what there is -----------------------------------------------------------------------------------------------

    def observe(self, block: Block) -> Snapshot:
        words = said(self.source, block.timestamp, self._names())
        ids = sorted(self.feeds)
        calls = [self.contracts.oracle.prepare("newest", one) for one in ids]
        calls += [self.contracts.order_book.prepare("queue", one) for one in ids]
        results = self.contracts.chain.read(calls, block=block.number)
        anyone = bool(self.ledger.at(block).monitor.liquidatable(self.ledger.time(block)))
        markets = []
        for one, word, queue in zip(ids, results[: len(ids)], results[len(ids) :], strict=True):
            newest = unpack_record(word)
            awaited = self._is_order_waiting(one, queue, newest, block.timestamp) or anyone
            markets.append(self._market(one, newest, awaited, words, block))
        bounds = self.bounds
        feeds = tuple(bounds.feeds(words, block.number)) if bounds else ()
        pools = tuple(bounds.pools(words, block.number)) if bounds else ()
        return Snapshot(block.timestamp, tuple(markets), feeds, pools)

    def _market(self, one: int, newest: Record | None, awaited: bool, words: Words, block: Block) -> MarketPrices:
        feed = self.feeds[one]
        found = {
            name: price
            for name, price in quotes(feed, one, words).items()
            if self._broken.get((one, name), 0) <= block.timestamp
        }
        price = median(list(found.values())) if found else None
        silent = self._silent(one, feed, found, block) if found else ()
        return MarketPrices(one, newest, price, awaited, found, silent)

    def _silent(self, market_id: int, feed: Feed, found: Mapping[str, int], block: Block) -> tuple[Silent, ...]:
        """The pull sources that nothing is signed for now."""
        missing = [source for source in feed.pulls if source.name not in found]
        if not missing:
            return ()
        oracle = self.contracts.oracle
        calls = [oracle.prepare("readings", market_id)]
        calls += [
            oracle.prepare(what, market_id, source.index)
            for source in missing
            for what in ("missingSince", "isRequired")
        ]
        (pulls, _), *told = self.contracts.chain.read(calls, block=block.number)
        return tuple(
            Silent(one.index, one.name, pulls[one.index].publishedAt, since, required, one in feed.ours)
            for one, since, required in zip(missing, told[::2], told[1::2], strict=True)
        )

    def _is_order_waiting(self, market_id: int, queue: Any, newest: Record | None, now: int) -> bool:
        """Whether the record that settles the last order of the queue is missing, with or without an executor."""
        config, following, head = queue
        if head == following:
            return False
        if self._queues.get(market_id, (0, 0))[0] != following:
            self._queues[market_id] = following, now
        settled_at = self._queues[market_id][1] + config.settlementDelay
        return newest is None or newest.published_at < settled_at

    def decide(self, snapshot: Snapshot) -> list[Action]:
        return decide(snapshot, self.cadence, self.terms)

    # --- what is done ------------------------------------------------------------------------------------------------

    def act(self, actions: Sequence[Action], log: Log, stop: threading.Event) -> None:
        """All at once, so that it is one block's where that is possible. What would fail is left out and said once."""
        ready: list[tuple[Action | None, Call]] = [
            (action, call)
            for action in actions
            if not isinstance(action, Publish) and (call := self._checked(action, log))
        ]
        published = [action for action in actions if isinstance(action, Publish)]
        if published and (update := self._update(published, log)):
            ready.append((None, update))
        if not ready or stop.is_set():
            return
        why = {action.market_id: action.why for action in published}
        for (action_, _), receipt in zip(ready, self._send([call for _, call in ready]), strict=True):
            if not receipt.ok:
                reason = self.contracts.chain.why(receipt).reason
                what = action_.describe() if action_ else {"markets": sorted(why)}
                log("failed", **what, reason=reason, tx=receipt.tx_hash)
            elif action_ is not None:
                log({Push: "pushed", Swap: "swapped", Report: "reported"}[type(action_)], **_told(action_, receipt))
            else:
                self._log_records(receipt, why, log)

    def _call(self, action: Push | Swap | Report) -> Call:
        if isinstance(action, Report):
            return self.contracts.oracle.prepare("reportMissing", action.market_id, action.index)
        assert self.bounds is not None
        return self.bounds.call(action)

    def _checked(self, action: Push | Swap | Report, log: Log) -> Call | None:
        """The transaction with its gas; None, and a complaint, where it would fail."""
        assert self.signer is not None
        call = self._call(action)
        try:
            gas = self.contracts.chain.estimate(call.to, call.data, sender=self.signer.address)
        except Reverted as error:
            self._complain(action, error, log)
            return None
        self._complaints.pop(_complaint_key(action), None)
        return Call(call.to, call.data, gas=gas * GAS_PERCENT // 100)

    def _update(self, actions: Sequence[Publish], log: Log) -> Call | None:
        """One update of all markets that the aggregator would record; None where there are none."""
        whole = self._estimated(actions)
        if not isinstance(whole, Reverted):
            return whole
        passing = [action for action in actions if self._passes(action, log)]
        last = self._estimated(passing) if passing else None
        return None if isinstance(last, Reverted) else last

    def _passes(self, action: Publish, log: Log) -> bool:
        """Whether the aggregator takes a market's prices; a source that its vendor refuses is left out from now on."""
        error = self._estimated([action])
        if not isinstance(error, Reverted):
            return True
        if error.name.startswith(AGGREGATOR) or not self._leave_out_broken(action, log):
            self._complain(action, error, log)
        return False  # one whose source was left out is tried again in the next round, without it

    def _estimated(self, actions: Sequence[Publish]) -> Call | Reverted:
        assert self.signer is not None
        items = [self.feeds[one.market_id].item(one.market_id, one.quotes, one.timestamp) for one in actions]
        call = self.contracts.oracle.prepare("update", items)
        try:
            gas = self.contracts.chain.estimate(call.to, call.data, sender=self.signer.address)
        except Reverted as error:
            return error
        return Call(call.to, call.data, gas=gas * GAS_PERCENT // 100)

    def _leave_out_broken(self, action: Publish, log: Log) -> bool:
        """Ask the vendors one by one which of them refuses; returns whether one does."""
        feed, found = self.feeds[action.market_id], False
        for source in feed.ours:
            if source.name not in action.quotes:
                continue
            group = [one.feed_id for one in feed.pulls if one.adapter == source.adapter]
            payload = feed.payload(source, action.quotes[source.name], action.timestamp)
            payloads = [payload if one == source.feed_id else b"" for one in group]
            try:
                data = ADAPTER.function("read").encode([group, payloads])
                self.contracts.chain.call(source.adapter, data)
            except Reverted as error:
                self._broken[action.market_id, source.name] = action.timestamp + BROKEN_SECONDS
                log("source_refused", market=action.market_id, source=source.name, reason=error.reason)
                found = True
        return found

    def _send(self, calls: Sequence[Call]) -> list[Receipt]:
        assert self.signer is not None
        if len(calls) == 1:
            return [self.signer.send(calls[0].to, calls[0].data, gas=calls[0].gas, check=False)]
        return self.signer.send_many(calls)

    def _log_records(self, receipt: Receipt, why: Mapping[int, str], log: Log) -> None:
        for record in decode_all(decode_logs(receipt.logs, self.contracts.chain.registry)):
            if isinstance(record, PriceRecorded):
                self._complaints.pop((record.market_id, "publish"), None)
                log(
                    "recorded",
                    market=record.market_id,
                    price=shown(record.price),
                    published_at=record.published_at,
                    state=record.state,
                    sequence=record.sequence,
                    why=why.get(record.market_id, ""),
                    tx=receipt.tx_hash,
                )
            elif isinstance(record, UpdateSkipped):
                log("skipped", market=record.market_id, source=record.index, tx=receipt.tx_hash)

    def _complain(self, action: Action, error: Reverted, log: Log) -> None:
        """Once a market, kind of deed, and kind of refusal."""
        key = _complaint_key(action)
        if self._complaints.get(key) != error.name:
            self._complaints[key] = error.name
            log("refused", **action.describe(), reason=error.reason)


def _complaint_key(action: Action) -> tuple[int, str]:
    """A market and what was tried; for a source, its name."""
    return action.market_id, "publish" if isinstance(action, Publish) else action.name


def _told(action: Action, receipt: Receipt) -> Fields:
    return {name: value for name, value in action.describe().items() if name != "do"} | {"tx": receipt.tx_hash}
