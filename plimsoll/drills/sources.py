"""The world outside: what each price source says, whether the sequencer runs. Sent to the devnet, told to the model.

A record that the contracts accept must be the one that the reference aggregation makes of the same readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Call, Receipt
from plimsoll.devnet.boot import Devnet
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.aggregation import Last, Reading, Skipped, aggregate
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.events import PriceRecorded, UpdateSkipped, decode_all
from plimsoll.sdk.oracle import Publisher

HAND = "carol"
"""Whose account of the devnet sends what vendors and reporters would."""
GAS = 2_500_000


class Said(NamedTuple):
    """What a pull source says: WAD dollars, and so many seconds before (after, where negative) the block."""

    price: int
    seconds_ago: int = 0


class Recorded(NamedTuple):
    """A record that was accepted; `kept` are the sources that it rests on."""

    price: int
    confidence: int
    published_at: int
    state: int
    kept: frozenset[int]


class Sources:
    """Price sources and the sequencer's feed of a devnet. Each call mines a block at a time of the caller's."""

    def __init__(self, devnet: Devnet, mirror: Mirror) -> None:
        self._devnet = devnet
        self._mirror = mirror
        self._oracle = devnet.contract("OracleAggregator")
        self._guard = devnet.contract("SequencerGuard")
        self._rounds = 1
        self._reported: set[str] = set()
        self.comparisons = 0
        self.mismatches = 0

    def count(self, market: str) -> int:
        """How many pull sources a market has."""
        return sum(1 for source in self._devnet.market(market).sources if not source.is_push)

    def mine(self, at: int, *calls: Call) -> list[Receipt]:
        """A block at that time, Unix seconds, with these calls in their order."""
        rpc, hand = self._devnet.chain.rpc, self._devnet.signers[HAND]
        signed = hand.sign_many(calls)
        for one in signed:  # one by one: the node may take the parts of a batch in another order
            hand.broadcast([one])
        rpc.call("evm_mine", hex(at))
        return [self._devnet.chain.wait_for(one.tx_hash) for one in signed]

    def say(
        self, at: int, said: Mapping[str, Sequence[Said | None]], pushes: Mapping[str, int]
    ) -> dict[str, Recorded | str]:
        """An update of each market with what its pull sources say; None for one that says nothing.

        Push sources first. Returns the record of each market, "skipped", or the name of the refusal.
        """
        environment = self._devnet.environment
        first = [environment.push_call(market, price, at) for market, price in pushes.items()]
        updates = [self._oracle.prepare("update", [self._item(one, words, at)], gas=GAS) for one, words in said.items()]
        receipts = self.mine(at, *first, *updates)[len(first) :]
        return {market: self._told(market, receipt, at) for market, receipt in zip(said, receipts, strict=True)}

    def report_missing(self, at: int, market: str, source: int) -> bool:
        """Whether the report of a silent source was taken."""
        self._reported.add(market)
        call = self._oracle.prepare("reportMissing", self._devnet.market(market).id, source, gas=GAS)
        return self.mine(at, call)[0].ok

    def sequencer(self, at: int, *, down: bool, since: int) -> None:
        """The uptime feed says that the sequencer is down, or up again, since then."""
        self._rounds += 1
        self.mine(
            at, self._devnet.environment.uptime.prepare("setRound", self._rounds, int(down), since, at, gas=200_000)
        )

    def _item(self, market: str, said: Sequence[Said | None], at: int) -> bytes:
        publisher: Publisher = self._devnet.publisher(market)
        prices = [one.price if one else None for one in said]
        times = [at - one.seconds_ago if one else at for one in said]
        return publisher.item(self._devnet.market(market).id, prices, times)

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
        found = Recorded(event.price, event.confidence, event.published_at, event.state, kept)
        self.comparisons += 1
        self.mismatches += self._expected(market, at, event.block_number - 1) != found
        self._mirror.model.record_price(
            self._devnet.market(market).id, event.price, event.confidence, event.published_at, event.state
        )
        return found

    def _expected(self, market: str, at: int, before: int) -> Recorded | None:
        """The reference aggregation of what the sources hold, with the reports of missing ones of the block before."""
        listed = self._devnet.market(market)
        newest = self._mirror.markets[listed.id].newest
        read = self._devnet.chain.read
        (pulls, pushes), guard = read([self._oracle.prepare("readings", listed.id), self._guard.prepare("state")])
        reports: list[int] = []
        if market in self._reported:
            places = range(self.count(market))
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
        return None if isinstance(found, Skipped) else Recorded(*found[:5])
