"""Lengths of time, written and read."""

from __future__ import annotations

import pytest

from plimsoll.core.durations import about, parse_duration, show_duration
from plimsoll.core.errors import UserError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (15, "15 s"), (90, "90 s"), (300, "5 min"), (86_400, "1 day"), (172_800, "2 days")],
)
def test_show_duration__largest_whole_unit__is_read_back(seconds: int, text: str) -> None:
    assert show_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", ["5", "5 weeks", "-1 s", "1.5 h", "", 5, None])
def test_parse_duration__anything_else__says_how_to_write_it(value: object) -> None:
    with pytest.raises(UserError, match=r"^delay: .* is not a time; write it like"):
        parse_duration(value, what="delay")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (3_660, "1 h 1 min"),
        (604_801, "7 days 1 s"),
        (606_000, "7 days 20 min"),
        (90_061, "1 day 1 h"),
    ],
)
def test_about__two_units__are_enough(seconds: int, text: str) -> None:
    assert about(seconds) == text
