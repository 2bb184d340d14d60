"""Moments as people write them."""

from __future__ import annotations

import pytest

from plimsoll.core.errors import UserError
from plimsoll.sdk.times import LAST_DATE, LONGEST, date, moment, span

NOW = 1_764_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1764000000", NOW),
        (" 1_764_000_001 ", NOW + 1),
        ("0s", NOW),
        ("90s", NOW + 90),
        ("10m", NOW + 600),
        ("12h", NOW + 43_200),
        ("7d", NOW + 604_800),
        (str(LONGEST), LONGEST),
    ],
)
def test_moment__seconds_or_from_now__is_unix_time(text: str, seconds: int) -> None:
    assert moment(text, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Friday", "until: 'Friday' is no time; write Unix seconds, or from now 90s, 10m, 12h, 7d"),
        ("", "until: '' is no time"),
        ("-5m", "is no time"),
        ("1.5h", "is no time"),
        ("7w", "is no time"),
        ("1763999999", "until: 1763999999 has passed; it is 1764000000 now"),
        (str(LONGEST + 1), "is no time in seconds"),
        ("999999999999d", "is no time in seconds"),
    ],
)
def test_moment__no_time_or_past__is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        moment(text, NOW, what="until")


def test_date__of_any_seconds__reads_in_utc() -> None:
    assert date(NOW) == "2025-11-24 16:00:00 UTC"
    assert date(LAST_DATE) == "9999-12-31 23:59:59 UTC"
    assert date(LAST_DATE + 1) == "253402300800"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (725, "12 min 5 s"),
        (3_600, "1 h"),
        (3_605, "1 h 5 s"),
        (604_799, "6 d 23 h"),
        (604_800, "7 d"),
    ],
)
def test_span__seconds__the_two_largest_units(seconds: int, text: str) -> None:
    assert span(seconds) == text
