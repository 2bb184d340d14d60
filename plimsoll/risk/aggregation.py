"""How the readings of a market's sources become a record: section 8 of the specification in exact integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plimsoll.risk.refusals import Refusal

OPEN, DOUBTFUL, GRACE, DOWN = range(4)

BPS = 10_000
PROBATION = 600
PRICE_END = 2**96


class Reading(NamedTuple):
    """What one source says: WAD dollars and Unix seconds; zeros where it has nothing."""

    price: int = 0
    confidence: int = 0
    published_at: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """A market's configuration; fields as in the contract's OracleConfig."""

    quorum: int = 2
    bound_quorum: int = 2
    dispersion_bps: int = 50
    max_confidence_bps: int = 100
    open_confidence_bps: int = 30
    record_window: int = 3
    silent_after: int = 30
    move_bps: int = 1_000
    move_interval: int = 60
    bound_reduce_bps: int = 200
    bound_refuse_bps: int = 1_000


class Last(NamedTuple):
    """What a record depends on of the one before; zeros where there is none."""

    price: int = 0
    published_at: int = 0


class Accepted(NamedTuple):
    """A record without its sequence number, the sources it rests on, and the reports of missing ones after it."""

    price: int
    confidence: int
    published_at: int
    state: int
    kept: frozenset[int]
    missing_since: Mapping[int, int]


class Skipped(NamedTuple):
    """Nothing to record: that required source has nothing newer than the last record."""

    source: int
    published_at: int


def aggregate(
    rules: Rules,
    market: int,
    pull: Sequence[Reading],
    push: Sequence[tuple[Reading, int]],
    last: Last,
    missing_since: Mapping[int, int],
    now: int,
    guard: int = OPEN,
) -> Accepted | Skipped:
    """The record that readings give. `push` has each source's greatest age beside it. Raises Refusal `Oracle_…`."""
    timely = {i for i, r in enumerate(pull) if is_timely(r, last.published_at, rules.record_window, now)}
    absent = [i for i in range(len(pull)) if i not in timely and is_required(rules, missing_since, i, now)]
    for i in absent:
        if 0 < pull[i].published_at <= last.published_at:
            return Skipped(i, pull[i].published_at)
    if absent:
        raise Refusal("Oracle_SourceMissing", market, absent[0])

    candidates = {
        i
        for i in timely
        if 0 < pull[i].price < PRICE_END and _within(pull[i].confidence, rules.max_confidence_bps, pull[i].price)
    }
    if len(candidates) < rules.quorum:
        raise Refusal("Oracle_QuorumMissing", market, len(candidates), rules.quorum)
    m = median([pull[i].price for i in candidates])
    kept = frozenset(i for i in candidates if _within(abs(pull[i].price - m), rules.dispersion_bps, m))
    if len(kept) < rules.quorum:
        raise Refusal("Oracle_Dispersed", market, len(kept), rules.quorum)
    confidence = sorted(abs(pull[i].price - m) + pull[i].confidence for i in kept)[rules.quorum - 1]
    if confidence > (limit := m * rules.max_confidence_bps // BPS):
        raise Refusal("Oracle_TooUncertain", market, confidence, limit)
    if last.published_at:
        widened = rules.move_interval + now - last.published_at
        limit = last.price * rules.move_bps * widened // (rules.move_interval * BPS)
        if abs(m - last.price) > limit:
            raise Refusal("Oracle_MoveTooLarge", market, m, last.price, limit)
    doubtful = _is_off(rules, market, push, m, now) or not _within(confidence, rules.open_confidence_bps, m)
    return Accepted(
        price=m,
        confidence=confidence,
        published_at=min(pull[i].published_at for i in kept),
        state=max(guard, DOUBTFUL if doubtful else OPEN),
        kept=kept,
        missing_since=_after_return(rules, missing_since, timely, now),
    )


def is_timely(reading: Reading, newer_than: int, max_age: int, now: int) -> bool:
    """Whether a reading may be recorded now."""
    return newer_than < reading.published_at <= now <= reading.published_at + max_age


def is_required(rules: Rules, missing_since: Mapping[int, int], source: int, now: int) -> bool:
    """Whether a record needs that source: it does until it has been reported missing for `silent_after` seconds."""
    since = missing_since.get(source, 0)
    return since == 0 or now - since < rules.silent_after


def median(values: Sequence[int]) -> int:
    """The middle one, or the mean of the middle two, rounded down."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2


def _is_off(rules: Rules, market: int, push: Sequence[tuple[Reading, int]], m: int, now: int) -> bool:
    off, far = False, 0
    for bound, max_age in push:
        if not 0 < bound.price < PRICE_END or not is_timely(bound, 0, max_age, now):
            continue
        deviation = abs(bound.price - m)
        off |= not _within(deviation, rules.bound_reduce_bps, m)
        far += not _within(deviation, rules.bound_refuse_bps, m)
        if far == rules.bound_quorum:
            raise Refusal("Oracle_OutOfBounds", market, m, bound.price)
    return off


def _after_return(rules: Rules, missing_since: Mapping[int, int], timely: set[int], now: int) -> dict[int, int]:
    """Reports end for sources that are back, but not in the ten minutes after a silence."""
    return {
        source: since
        for source, since in missing_since.items()
        if source not in timely or rules.silent_after <= now - since < rules.silent_after + PROBATION
    }


def _within(value: int, bps: int, base: int) -> bool:
    return value * BPS <= base * bps
