"""Price records of a market: the newest one, and the one that settles an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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
