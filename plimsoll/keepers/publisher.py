"""The publisher: signs prices as API3's beacons and records them, no more often than there is a reason to.

A market's price is recorded when the last record is old, when the price has moved, and at every block while somebody
waits for it: an order for the record that settles it, or an unhealthy account for the next chance to be closed out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Block, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS
from plimsoll.keepers.accounts import AccountTracker
from plimsoll.keepers.prices import PriceSource
from plimsoll.keepers.runner import Fields, Log, shown
from plimsoll.risk.oracle import Record
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import PriceRecorded, UpdateSkipped, decode_all
from plimsoll.sdk.oracle import NOTHING_NEW, beacon_id, beacon_update, price_item, template_id
from plimsoll.sdk.streams import MAX_SIGNERS, StreamPublisher, stream_id
from plimsoll.sdk.words import unpack_record

GAS_PERCENT = 150


@dataclass(frozen=True, slots=True)
class Cadence:
    """Seconds between records in quiet times, and how far a price has to move to be recorded earlier."""

    max_seconds: int = 10
    move_bps: int = 10

    def __post_init__(self) -> None:
        if self.max_seconds < 1 or self.move_bps < 1:
            raise UserError("publisher: seconds and basis points between records must be at least 1")


@dataclass(frozen=True, slots=True)
class MarketPrices:
    """A market's newest record, what the source says, and whether somebody waits for the next record."""

    market_id: int
    newest: Record | None
    price: int | None
    is_awaited: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now` is the time that the prices are of, Unix seconds, never later than the chain's."""

    now: int
    markets: tuple[MarketPrices, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    """Sign a price as of a time and record it."""

    market_id: int
    price: int
    timestamp: int
    why: str

    @property
    def key(self) -> tuple[int, str]:
        return self.market_id, self.why

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent."""
        return (f"price:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": "publish", "market": self.market_id, "price": shown(self.price), "why": self.why}


def decide(snapshot: Snapshot, cadence: Cadence) -> list[Publish]:
    """The markets whose price there is a reason to record now."""
    return [
        Publish(market.market_id, market.price, snapshot.now, why)
        for market in snapshot.markets
        if market.price is not None and (why := _reason(market, snapshot.now, cadence))
    ]


def _reason(market: MarketPrices, now: int, cadence: Cadence) -> str:
    newest, price = market.newest, market.price or 0
    if newest is None:
        return "first"
    if now <= newest.published_at:
        return ""
    if market.is_awaited:
        return "awaited"
    if abs(price - newest.price) * BPS >= newest.price * cadence.move_bps:
        return "moved"
    return "due" if now - newest.published_at >= cadence.max_seconds else ""


Signing = Callable[[int, int], bytes]
"""A price (WAD) and a time (Unix seconds) to a signed payload."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A market's pull sources in order: how each that is ours is signed, None for the others."""

    signers: tuple[Signing | None, ...]

    def item(self, market_id: int, price: int, timestamp: int) -> bytes:
        """One item of priceData; of the others whatever they have published themselves is read."""
        return price_item(
            market_id,
            [NOTHING_NEW if sign is None else sign(price, timestamp) for sign in self.signers],
        )


def feeds_of(contracts: Contracts, names: Mapping[int, str], keys: Iterable[str]) -> dict[int, Feed]:
    """The feeds that these keys sign for, by market id; `names` are the feeds' ("ETH/USD").

    A source is ours if it is a beacon of one of the keys, or the stream of that name, which all of them sign together.

    Raises UserError for a key that is none, and where no key belongs to any market.
    """
    signers = [_signer(key) for key in keys]
    found = {}
    for market_id, name in names.items():
        by_feed = _signings(signers, name)
        pull = [source for source in contracts.oracle.call("sources", market_id) if not source.isPush]
        mine = tuple(by_feed.get(source.feedId) for source in pull)
        if any(mine):
            found[market_id] = Feed(mine)
    if not found:
        raise UserError(f"publisher: none of the {len(signers)} keys signs for a source of {', '.join(names.values())}")
    return found


def _signings(signers: Sequence[LocalAccount], name: str) -> dict[bytes, Signing]:
    """How each source with these signers is signed, by its feed id."""
    template, streamed = template_id(name), signers[:MAX_SIGNERS]
    found: dict[bytes, Signing] = {beacon_id(signer.address, template): _beacon(signer, template) for signer in signers}
    stream = StreamPublisher(tuple(streamed), stream_id(name))
    found[stream.stream] = stream.payload
    return found


def _beacon(signer: LocalAccount, template: bytes) -> Signing:
    return lambda price, timestamp: beacon_update(signer, template, timestamp, price)


def _signer(key: str) -> LocalAccount:
    try:
        account: Any = Account.from_key(key)
    except Exception:  # eth_account raises many kinds; none of them may show the key
        raise UserError("beacon key: not 0x and 64 hexadecimal digits of a valid key") from None
    return account  # type: ignore[no-any-return]


class SignedPrices:
    """Prices signed when somebody asks for one."""

    def __init__(self, feeds: Mapping[int, Feed], source: PriceSource) -> None:
        self.feeds = dict(feeds)
        self.source = source

    def item(self, market_id: int, now: int) -> bytes | None:
        """One item of priceData as of `now`, Unix seconds; None where there is no price or nobody to sign it."""
        feed, price = self.feeds.get(market_id), self.source.prices(now).get(market_id)
        return None if feed is None or price is None else feed.item(market_id, price, now)


class Publisher:
    """The job. Nothing of it is kept between rounds but which accounts have positions."""

    name = "publisher"

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer | None,
        feeds: Mapping[int, Feed],
        source: PriceSource,
        *,
        cadence: Cadence | None = None,
    ) -> None:
        self.contracts = contracts
        self.signer = signer
        self.feeds = dict(feeds)
        self.source = source
        self.cadence = cadence or Cadence()
        self._tracker = AccountTracker(contracts)
        self._complaints: dict[int, str] = {}
        self._queues: dict[int, tuple[int, int]] = {}
        """By market: the sequence of the next order, and when it was first seen to be that."""

    def check(self) -> Fields:
        if not self.source.prices(self.contracts.chain.block().timestamp):
            raise UserError("publisher: the source of prices has none for any market")
        return {"oracle": self.contracts.oracle.address, "markets": sorted(self.feeds)}

    def observe(self, block: Block) -> Snapshot:
        prices = self.source.prices(block.timestamp)
        ids = sorted(self.feeds)
        calls = [self.contracts.oracle.prepare("newest", one) for one in ids]
        calls += [self.contracts.order_book.prepare("queue", one) for one in ids]
        results = self.contracts.chain.read(calls, block=block.number)
        anyone = bool(self._tracker.unhealthy(block))
        markets = []
        for one, word, queue in zip(ids, results[: len(ids)], results[len(ids) :], strict=True):
            newest = unpack_record(word)
            awaited = self._is_order_waiting(one, queue, newest, block.timestamp) or anyone
            markets.append(MarketPrices(one, newest, prices.get(one), awaited))
        return Snapshot(now=block.timestamp, markets=tuple(markets))

    def _is_order_waiting(self, market_id: int, queue: Any, newest: Record | None, now: int) -> bool:
        """Whether the record that settles the last order of the queue is missing, with or without an executor."""
        config, following, head = queue
        if head == following:
            return False
        if self._queues.get(market_id, (0, 0))[0] != following:
            self._queues[market_id] = following, now
        settled_at = self._queues[market_id][1] + config.settlementDelay
        return newest is None or newest.published_at < settled_at

    def decide(self, snapshot: Snapshot) -> list[Publish]:
        return decide(snapshot, self.cadence)

    def act(self, actions: Sequence[Publish], log: Log, stop: threading.Event) -> None:
        """All in one transaction; one by one where a market's refusal would stop the others."""
        if not actions or self._send(actions, log) or len(actions) == 1:
            return
        for action in actions:
            if stop.is_set():
                return
            self._send([action], log)

    def _send(self, actions: Sequence[Publish], log: Log) -> bool:
        """False, and nothing sent, where the aggregator would refuse."""
        assert self.signer is not None
        oracle = self.contracts.oracle
        items = [self.feeds[one.market_id].item(one.market_id, one.price, one.timestamp) for one in actions]
        data = oracle.encode("update", items)
        try:
            gas = self.contracts.chain.estimate(oracle.address, data, sender=self.signer.address)
        except Reverted as error:
            if len(actions) == 1:
                self._complain(actions[0], error, log)
            return False
        receipt = self.signer.send(oracle.address, data, gas=gas * GAS_PERCENT // 100, check=False)
        if not receipt.ok:
            reason = self.contracts.chain.why(receipt).reason
            log("failed", markets=[one.market_id for one in actions], reason=reason, tx=receipt.tx_hash)
            return True
        why = {one.market_id: one.why for one in actions}
        for record in decode_all(decode_logs(receipt.logs, self.contracts.chain.registry)):
            if isinstance(record, PriceRecorded):
                self._complaints.pop(record.market_id, None)
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
        return True

    def _complain(self, action: Publish, error: Reverted, log: Log) -> None:
        """Once a market and kind of refusal."""
        if self._complaints.get(action.market_id) != error.name:
            self._complaints[action.market_id] = error.name
            log("refused", **action.describe(), reason=error.reason)
