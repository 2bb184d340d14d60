"""What the publisher decides: seldom in quiet times, at once when the price moves, always while somebody waits."""

from __future__ import annotations

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.publishing import Cadence, MarketPrices, Publish, Snapshot, decide
from plimsoll.risk.oracle import Record

NOW = 1_700_000_000
CADENCE = Cadence(max_seconds=10, move_bps=20)


def seen(age: int, price: int | None, *, last: int = 3_000 * WAD, awaited: bool = False) -> Snapshot:
    record = Record(last, 0, NOW - age, 0, 1)
    return Snapshot(NOW, (MarketPrices(1, record, price, awaited),))


@pytest.mark.parametrize(
    ("age", "price", "awaited", "why"),
    [
        (9, 3_000 * WAD, False, ""),
        (10, 3_000 * WAD, False, "due"),
        (1, 3_006 * WAD, False, "moved"),
        (1, 3_006 * WAD - 1, False, ""),
        (1, 2_994 * WAD, False, "moved"),
        (1, 2_994 * WAD + 1, False, ""),
        (1, 3_000 * WAD, True, "awaited"),
        (0, 4_000 * WAD, True, ""),  # nothing newer can be signed in the same second
        (-1, 4_000 * WAD, True, ""),
        (100, None, True, ""),  # the source says nothing
    ],
)
def test_decide__a_market__is_recorded_for_a_reason(age: int, price: int | None, awaited: bool, why: str) -> None:
    found = decide(seen(age, price, awaited=awaited), CADENCE)
    assert found == ([Publish(1, price or 0, NOW, why)] if why else [])


def test_decide__no_record_yet__is_the_first() -> None:
    [first] = decide(Snapshot(NOW, (MarketPrices(2, None, WAD, False),)), CADENCE)
    assert first == Publish(2, WAD, NOW, "first")
    assert first.describe() == {"do": "publish", "market": 2, "price": "1", "why": "first"}


def test_decide__several_markets__each_by_itself() -> None:
    quiet = MarketPrices(1, Record(WAD, 0, NOW - 1, 0, 1), WAD, False)
    due = MarketPrices(2, Record(WAD, 0, NOW - 11, 0, 1), WAD, False)
    assert [one.market_id for one in decide(Snapshot(NOW, (quiet, due)), CADENCE)] == [2]


@pytest.mark.parametrize("wrong", [{"max_seconds": 0}, {"move_bps": 0}])
def test_cadence__zero__is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least 1"):
        Cadence(**wrong)
