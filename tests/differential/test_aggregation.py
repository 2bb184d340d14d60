"""The aggregator against the reference model: for the same random readings, reports and time, the same outcome."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from plimsoll.risk.aggregation import Accepted, Last, Reading, Rules, Skipped, aggregate, is_timely
from plimsoll.risk.refusals import Refusal
from tests.support.evm import Evm, Receipt, Revert
from tests.support.oracle import GRACE_SECONDS, MARKET, PRICE, MockedMarket

STEPS = 120
BPS = PRICE // 10_000


@dataclass
class Pair:
    """A market on the chain and what the model knows of it."""

    market: MockedMarket
    rules: Rules
    dice: random.Random
    readings: list[Reading]
    last: Last = field(default_factory=Last)
    sequence: int = 0
    missing: dict[int, int] = field(default_factory=dict)
    price: int = PRICE
    outcomes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def create(cls, evm: Evm, seed: int) -> Pair:
        dice = random.Random(seed)
        pulls = dice.randint(3, 6)
        pushes = dice.randint(0, min(3, 8 - pulls))
        rules = Rules(
            quorum=dice.randint(pulls // 2 + 1, pulls - 1),
            bound_quorum=dice.randint(1, 3),
            record_window=dice.randint(1, 6),
            silent_after=dice.randint(10, 20),
            dispersion_bps=dice.choice([20, 50, 100]),
            open_confidence_bps=dice.choice([5, 30, 60]),
            move_bps=dice.choice([100, 1_000]),
        )
        market = MockedMarket.create(evm, pulls=pulls, pushes=pushes, **config_of(rules))
        return cls(market, rules, dice, [Reading()] * (pulls + pushes))

    @property
    def now(self) -> int:
        return self.market.evm.timestamp

    def step(self) -> None:
        """Something happens; then somebody records, or reports a source."""
        dice = self.dice
        self.market.evm.advance(dice.choice([0, 1, 1, 1, 2, 3, 8, 30, 700] if dice.random() < 0.3 else [0, 1, 1, 2]))
        self.price = max(1, self.price * dice.randint(9_900, 10_101) // 10_000)
        if dice.random() < 0.05:
            self.price = max(1, self.price * dice.choice([5, 8, 12, 20]) // 10)
        for index in range(len(self.readings)):
            if dice.random() < 0.93:
                self.say(index)
        if dice.random() < 0.1:
            self.guard(dice.choice([0, 0, 1]), self.now - dice.choice([0, GRACE_SECONDS - 1, GRACE_SECONDS]))
        if dice.random() < 0.25:
            self.report(dice.randrange(self.market.pulls))
        self.record()

    def say(self, index: int) -> None:
        dice = self.dice
        price = self.price * dice.randint(9_990, 10_010) // 10_000
        confidence = dice.choice([0, 0, price * dice.randint(0, 40) // 10_000])
        age = dice.choice([0, 0, 0, 1, 1, 2])
        if dice.random() < 0.06:
            lies = [0, 1, 2**96 - 1, 2**96, 2**200, price * 9_950 // 10_000, price * 10_050 // 10_000, price * 2]
            price = dice.choice(lies)
        if dice.random() < 0.04:
            confidence = dice.choice([price // 100, price // 100 + 1, price, 2**255])
        if dice.random() < 0.06:
            age = dice.choice([-3_599, -1, self.rules.record_window, self.rules.record_window + 1, 3_600, 3_601])
        self.readings[index] = Reading(price, confidence, self.now - age)
        self.market.say(index, price, confidence=confidence, at=self.now - age)

    def guard(self, answer: int, started_at: int) -> None:
        self.market.uptime.setRound(1, answer, started_at, self.now)

    def record(self) -> None:
        pull, push = self.readings[: self.market.pulls], self.readings[self.market.pulls :]
        guard = self.market.aggregator.evm.at("SequencerGuard", self.market.aggregator.sequencerGuard()).state()
        try:
            expected: Accepted | Skipped | Refusal = aggregate(
                self.rules, MARKET, pull, [(r, 3_600) for r in push], self.last, self.missing, self.now, guard
            )
        except Refusal as refusal:
            expected = refusal
        try:
            found: Receipt | Revert = self.market.record()
        except Revert as revert:
            found = revert
        self.compare(expected, found)

    def compare(self, expected: Accepted | Skipped | Refusal, found: Receipt | Revert) -> None:
        kind = expected.name if isinstance(expected, Refusal) else type(expected).__name__
        self.outcomes[kind] = self.outcomes.get(kind, 0) + 1
        if isinstance(expected, Refusal):
            assert isinstance(found, Revert), (expected, found)
            assert (found.name, found.values) == (expected.name, expected.values)
            return
        assert isinstance(found, Receipt), (expected, found)
        if isinstance(expected, Skipped):
            event = found.event("UpdateSkipped")
            assert tuple(event.args.values()) == (MARKET, expected.source, expected.published_at)
            return
        self.sequence += 1
        assert tuple(found.event("PriceRecorded").args.values()) == (
            MARKET,
            expected.price,
            expected.confidence,
            expected.published_at,
            expected.state,
            self.sequence,
            sum(1 << index for index in expected.kept),
        )
        newest = self.market.newest
        assert (newest.price, newest.published_at, newest.sequence) == (
            expected.price,
            expected.published_at,
            self.sequence,
        )
        self.last = Last(expected.price, expected.published_at)
        self.missing = dict(expected.missing_since)
        self.compare_missing()

    def report(self, index: int) -> None:
        reading = self.readings[index]
        present = is_timely(reading, self.last.published_at, self.rules.record_window, self.now)
        error: tuple[str, tuple[Any, ...]] | None = None
        if index in self.missing:
            error = ("Oracle_AlreadyReported", (MARKET, index, self.missing[index]))
        elif present:
            error = ("Oracle_SourcePresent", (MARKET, index, reading.published_at))
        try:
            self.market.aggregator.reportMissing(MARKET, index)
            found = None
            self.missing[index] = self.now
        except Revert as revert:
            found = (revert.name, revert.values)
        assert found == error
        self.compare_missing()

    def compare_missing(self) -> None:
        for index in range(self.market.pulls):
            assert self.market.aggregator.missingSince(MARKET, index) == self.missing.get(index, 0)


def config_of(rules: Rules) -> dict[str, int]:
    return {
        "quorum": rules.quorum,
        "boundQuorum": rules.bound_quorum,
        "dispersionBps": rules.dispersion_bps,
        "maxConfidenceBps": rules.max_confidence_bps,
        "openConfidenceBps": rules.open_confidence_bps,
        "recordWindow": rules.record_window,
        "silentAfter": rules.silent_after,
        "moveBps": rules.move_bps,
        "moveInterval": rules.move_interval,
        "boundReduceBps": rules.bound_reduce_bps,
        "boundRefuseBps": rules.bound_refuse_bps,
    }


def run(seeds: range) -> dict[str, int]:
    total: dict[str, int] = {}
    for seed in seeds:
        pair = Pair.create(Evm(), seed)
        for _ in range(STEPS):
            pair.step()
        for kind, count in pair.outcomes.items():
            total[kind] = total.get(kind, 0) + count
    return total


def test_update__random_walk__equals_the_model(built: None) -> None:
    outcomes = run(range(25))
    assert outcomes.keys() >= {
        "Accepted",
        "Skipped",
        "Oracle_SourceMissing",
        "Oracle_QuorumMissing",
        "Oracle_Dispersed",
        "Oracle_MoveTooLarge",
        "Oracle_OutOfBounds",
    }, outcomes
    assert outcomes["Accepted"] > 200, outcomes


@pytest.mark.deep
def test_update__long_random_walk__equals_the_model(built: None) -> None:
    outcomes = run(range(1_000, 1_300))
    assert "Oracle_TooUncertain" in outcomes, outcomes
