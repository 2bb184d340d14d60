"""Price records of a market: what the aggregator accepts, the newest one, and the one that settles an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from plimsoll.risk.refusals import Refusal

HELD_RECORDS = 64

OPEN, DOUBTFUL, GRACE, DOWN = range(4)


class Record(NamedTuple):
    """One accepted price. Price and confidence WAD dollars, times in Unix seconds."""

    price: int
    confidence: int
    published_at: int
    state: int
    sequence: int


def settlement_record(records: Mapping[int, Record], newest: Record | None, not_before: int) -> Record | None:
    """The first record at or after `not_before` among those held.

    None where there is none, and where it may have been overwritten: every record held is at or after `not_before` and
    the oldest is not the market's first.
    """
    if newest is None or newest.published_at < not_before:
        return None
    sequence = newest.sequence
    oldest = max(1, sequence - HELD_RECORDS + 1)
    while sequence > oldest and records[sequence - 1].published_at >= not_before:
        sequence -= 1
    return None if sequence == oldest and oldest > 1 else records[sequence]


# ------------------------------------------------------------------------------------------------------- aggregation


class Reading(NamedTuple):
    """What one source says: WAD dollars and Unix seconds."""

    price: int
    confidence: int
    published_at: int


@dataclass(frozen=True, slots=True)
class AggregatorParams:
    """A market's sources and limits. `pull` are source ids; `push` maps a source id to its greatest age in seconds."""

    pull: tuple[int, ...]
    push: Mapping[int, int]
    quorum: int = 2
    record_window: int = 3
    silent_after: int = 30
    max_confidence_bps: int = 100
    open_confidence_bps: int = 30
    dispersion_bps: int = 50
    move_bps: int = 1_000
    move_interval: int = 60
    bound_reduce_bps: int = 200
    bound_refuse_bps: int = 1_000


class Accepted(NamedTuple):
    """A price to record, and the pull sources that had a usable reading (their last-seen time becomes now)."""

    price: int
    confidence: int
    published_at: int
    state: int
    seen: tuple[int, ...]


def aggregate(
    params: AggregatorParams,
    readings: Mapping[int, Reading],
    last: Record | None,
    last_seen: Mapping[int, int],
    now: int,
    guard_state: int = OPEN,
) -> Accepted | None:
    """The record that readings give, or None where it is not newer than the last. Raises Refusal `Oracle_…`."""
    timely: list[tuple[int, Reading]] = []
    for source in params.pull:
        reading = readings.get(source)
        if reading is None or not _is_timely(reading, now, params.record_window):
            if now - last_seen.get(source, 0) < params.silent_after:
                raise Refusal("Oracle_SourceMissing", source)
            continue
        timely.append((source, reading))
    certain = [r for _, r in timely if r.confidence * 10_000 <= r.price * params.max_confidence_bps]
    if len(certain) < params.quorum:
        raise Refusal("Oracle_QuorumMissing", len(certain), params.quorum)
    median = _median(sorted(r.price for r in certain))
    kept = [r for r in certain if abs(r.price - median) * 10_000 <= median * params.dispersion_bps]
    if len(kept) < params.quorum:
        raise Refusal("Oracle_Dispersed", len(kept), params.quorum)
    confidence = max(abs(r.price - median) + r.confidence for r in kept)
    if confidence * 10_000 > median * params.max_confidence_bps:
        raise Refusal("Oracle_TooUncertain", median, confidence)
    published_at = min(r.published_at for r in kept)
    if last is not None:
        if published_at <= last.published_at:
            return None
        reach = last.price * params.move_bps * (params.move_interval + now - last.published_at)
        if abs(median - last.price) * params.move_interval * 10_000 > reach:
            raise Refusal("Oracle_MoveTooLarge", last.price, median)
    doubtful = confidence * 10_000 > median * params.open_confidence_bps
    for source, max_age in params.push.items():
        bound = readings.get(source)
        if bound is None or not _is_timely(bound, now, max_age):
            continue
        deviation = abs(bound.price - median) * 10_000
        if deviation > median * params.bound_refuse_bps:
            raise Refusal("Oracle_OutOfBounds", source, bound.price, median)
        doubtful |= deviation > median * params.bound_reduce_bps
    state = guard_state if guard_state >= GRACE else max(guard_state, DOUBTFUL if doubtful else OPEN)
    return Accepted(median, confidence, published_at, state, tuple(source for source, _ in timely))


def _is_timely(reading: Reading, now: int, max_age: int) -> bool:
    return reading.price > 0 and reading.published_at <= now <= reading.published_at + max_age


def _median(prices: list[int]) -> int:
    middle = len(prices) // 2
    return prices[middle] if len(prices) % 2 else (prices[middle - 1] + prices[middle]) // 2
