"""Second by second prices, and who enters before them."""

from __future__ import annotations

from plimsoll.core.units import WAD
from plimsoll.risk.scenario.bar import Bar
from plimsoll.risk.study.crash import BEFORE, crash_of
from plimsoll.risk.study.crowd import crowd
from tests.python.risk.study.setting import made_up, small


def bar(minute: int, *prices: int) -> Bar:
    opened, high, low, close = (price * WAD for price in prices)
    return Bar(60_000 + minute * 60, opened, high, low, close)


def test_crash_of__bars_of_a_minute__goes_through_the_extreme_that_hurts_to_the_close() -> None:
    crash = crash_of("c", "ETH", "made", (bar(0, 100, 101, 70, 90), bar(1, 90, 120, 85, 100)))
    assert crash.start == 60_000
    assert len(crash.seconds) == 121
    assert [crash.seconds[second] // WAD for second in (0, 15, 30, 60, 90, 120)] == [100, 85, 70, 90, 120, 100]


def test_crash_of__missing_bars__the_last_price_stands() -> None:
    crash = crash_of("c", "ETH", "made", (bar(0, 100, 101, 70, 90), bar(3, 80, 80, 60, 70), bar(4, 70, 70, 70, 70)))
    assert len(crash.seconds) == 301
    assert set(crash.seconds[60:181]) == {90 * WAD}
    assert crash.seconds[210] == 60 * WAD


def test_published__every_n_seconds__is_a_sample_of_the_same_path() -> None:
    crash = made_up()
    fine, coarse = dict(crash.published(1)), dict(crash.published(15))
    assert len(coarse) == len(fine) // 15 + 1
    assert coarse.items() <= fine.items()


def test_crowd__any_size__adds_up_and_enters_within_the_hour_before() -> None:
    crash, setting = made_up(), small(open_interest_percent=50)
    entries = crowd(setting, crash)
    for sign, wanted in ((1, setting.long_usd), (-1, setting.short_usd)):
        found = sum(abs(entry.dollars) for entry in entries if entry.dollars * sign > 0)
        assert wanted // 2 - len(entries) <= found <= wanted // 2
    assert entries == sorted(entries)
    assert crash.worst - BEFORE <= entries[0].at <= entries[-1].at <= crash.worst
