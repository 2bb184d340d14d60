"""The world outside: what each price source says, whether the sequencer runs. Sent to the devnet, told to the model.

A record that the contracts accept must be the one that the reference aggregation makes of the same readings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Call, Receipt, Reverted
from plimsoll.devnet.boot import Devnet
from plimsoll.drills.notes import usd
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.aggregation import Last, Reading, Skipped, aggregate
from plimsoll.risk.fallback import Quoted
from plimsoll.risk.oracle import Record
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.events import PriceRecorded, UpdateSkipped, decode_all

HAND = "carol"
"""Whose account of the devnet sends what vendors and reporters would."""
GAS = 2_500_000


class Said(NamedTuple):
    """What a pull source says: WAD dollars, and so many seconds before (after, where negative) the block."""

    price: int
    seconds_ago: int = 0


class Recorded(NamedTuple):
    """A record that was accepted; `kept` are the names of the sources that it rests on."""

    price: int
    confidence: int
    published_at: int
    state: int
    kept: tuple[str, ...]


STATES = ("open", "doubtful", "grace", "down")


def shown(told: Recorded | Record | str) -> str:
    """A record for people, or why there is none."""
    if isinstance(told, str):
        return told
    kept = f", by {', '.join(told.kept)}" if isinstance(told, Recorded) else ""
    return f"{usd(told.price)}, {STATES[told.state]}{kept}"


class World:
    """Price sources and the sequencer's feed of a devnet. Each call mines a block at a time of the caller's."""

    def __init__(self, devnet: Devnet, mirror: Mirror) -> None:
        self._devnet = devnet
        self._mirror = mirror
        self._oracle = devnet.contract("OracleAggregator")
        self._guard = devnet.contract("SequencerGuard")
        devnet.chain.max_tip = 0  # blocks are mined anyway, and what a record costs is looked at
        self._reported: set[str] = set()
        self.comparisons = 0
        self.mismatches = 0

    def names(self, market: str) -> tuple[str, ...]:
        """A market's pull sources."""
        return self._devnet.sources.names(market, push=False)

    def bounds(self, market: str) -> tuple[str, ...]:
        """A market's push sources."""
        return self._devnet.sources.names(market, push=True)

    def mine(self, at: int, *calls: Call) -> list[Receipt]:
        """A block at that time, Unix seconds, with these calls in their order."""
        rpc, hand = self._devnet.chain.rpc, self._devnet.signers[HAND]
        self._devnet.chain.fees(fresh=True)  # a block with liquidations has a base fee of its own
        signed = hand.sign_many(calls)
        for one in signed:  # one by one: the node may take the parts of a batch in another order
            hand.broadcast([one])
        rpc.call("evm_mine", hex(at))
        return [self._devnet.chain.wait_for(one.tx_hash) for one in signed]

    def say(
        self, at: int, said: Mapping[str, Mapping[str, Said]], bounds: Mapping[str, Mapping[str, int]]
    ) -> dict[str, Recorded | str]:
        """An update of each market with what its pull sources say, by their names; who isn't named says nothing.

        Push sources first. Returns the record of each market, "skipped", or the name of the refusal.
        """
        sources = self._devnet.sources
        first = [call for market, prices in bounds.items() for call in sources.bound_calls(market, prices, at)]
        updates = [self._oracle.prepare("update", [self._item(one, words, at)], gas=GAS) for one, words in said.items()]
        receipts = self.mine(at, *first, *updates)[len(first) :]
        return {market: self._told(market, receipt, at) for market, receipt in zip(said, receipts, strict=True)}

    def payloads(self, market: str, price: int, at: int) -> tuple[bytes, ...]:
        """What each pull source would sign, for whoever asks it."""
        sources = self._devnet.sources
        return tuple(sources.payload(market, name, price, at) for name in self.names(market))

    def bound(self, market: str, since: int) -> Quoted | None:
        """What the push sources say that answered since then."""
        try:
            return Quoted(*self._oracle.call("boundPrice", self._id(market), since))
        except Reverted:
            return None

    def report_missing(self, at: int, market: str, source: str) -> bool:
        """Whether the report of a silent source was taken."""
        self._reported.add(market)
        place = self._devnet.sources.source(market, source).index
        return self.mine(at, self._oracle.prepare("reportMissing", self._id(market), place, gas=GAS))[0].ok

    def sequencer(self, at: int, *, down: bool, since: int) -> None:
        """The uptime feed hears from L1 that the sequencer is down, or up again, since then."""
        self.mine(at, self._devnet.environment.sequencer_call(down, since))

    def _id(self, market: str) -> int:
        return self._devnet.market(market).id

    def _item(self, market: str, said: Mapping[str, Said], at: int) -> bytes:
        prices = {name: one.price for name, one in said.items()}
        return self._devnet.sources.item(market, prices, {name: at - one.seconds_ago for name, one in said.items()})

    def _told(self, market: str, receipt: Receipt, at: int) -> Recorded | str:
        if not receipt.ok:
            return self._devnet.chain.why(receipt).name
        events = decode_all(decode_logs(receipt.logs, self._devnet.chain.registry))
        for event in events:
            if isinstance(event, PriceRecorded):
                return self._record(market, event, at)
            if isinstance(event, UpdateSkipped):
                return "skipped"
        raise AssertionError(f"an update of {market} that tells nothing")

    def _record(self, market: str, event: PriceRecorded, at: int) -> Recorded:
        kept = frozenset(place for place in range(8) if event.sources >> place & 1)
        found = (event.price, event.confidence, event.published_at, event.state, kept)
        self.comparisons += 1
        self.mismatches += self._expected(market, at, event.block_number - 1) != found
        self._mirror.model.record_price(self._id(market), *found[:4])
        names = self.names(market)
        return Recorded(*found[:4], tuple(names[place] for place in sorted(kept)))

    def _expected(self, market: str, at: int, before: int) -> tuple[int, int, int, int, frozenset[int]] | None:
        """The reference aggregation of what the sources hold, with the reports of missing ones of the block before."""
        listed = self._devnet.market(market)
        newest = self._mirror.markets[listed.id].newest
        read = self._devnet.chain.read
        (pulls, pushes), guard = read([self._oracle.prepare("readings", listed.id), self._guard.prepare("state")])
        reports: list[int] = []
        if market in self._reported:
            places = range(len(self.names(market)))
            reports = read([self._oracle.prepare("missingSince", listed.id, one) for one in places], block=before)
        ages = [source.max_age for source in listed.sources if source.is_push]
        try:
            found = aggregate(
                listed.oracle,
                listed.id,
                [Reading(*one) for one in pulls],
                [(Reading(*one), age) for one, age in zip(pushes, ages, strict=True)],
                Last(newest.price, newest.published_at) if newest else Last(),
                dict(enumerate(reports)),
                at,
                guard,
            )
        except Refusal:
            return None
        return None if isinstance(found, Skipped) else found[:5]
