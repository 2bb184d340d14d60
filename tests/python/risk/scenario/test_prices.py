import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, to_wad
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.prices import Bar

HEADER = "ts,time_utc,open,high,low,close,volume\n"
FIRST = "60,x,10,12,9,11,1\n"


def write(folder: Path, text: str) -> Path:
    file = folder / "bars.csv"
    file.write_text(text)
    return file


def bars_of(closes: list[int], seconds: int = 60) -> tuple[Bar, ...]:
    return tuple(Bar(place * seconds, close, close, close, close) for place, close in enumerate(closes))


# ----------------------------------------------------------------------------------------------------------- reading


def test_read_csv__own_columns__gives_wad_bars(tmp_path: Path) -> None:
    file = write(tmp_path, HEADER + FIRST + "120,x,11,11,0.5,0.75,1\n")
    assert prices.read_csv(file) == (
        Bar(60, 10 * WAD, 12 * WAD, 9 * WAD, 11 * WAD),
        Bar(120, 11 * WAD, 11 * WAD, WAD // 2, 3 * WAD // 4),
    )


@pytest.mark.parametrize("header", ["", "Open_time,Open,High,Low,Close,Volume\n"])
@pytest.mark.parametrize("unit", [1_000, 1_000_000])
def test_read_csv__binance_klines__are_in_seconds(tmp_path: Path, header: str, unit: int) -> None:
    start = 1_621_429_200
    rows = f"{start * unit},10,12,9,11,5,0,0,0,0,0,0\n{(start + 300) * unit},11,12,9,11,5,0,0,0,0,0,0\n"
    bars = prices.read_csv(write(tmp_path, header + rows))
    assert [bar.ts for bar in bars] == [start, start + 300]
    assert bars[0] == Bar(start, 10 * WAD, 12 * WAD, 9 * WAD, 11 * WAD)


def test_read_csv__byte_order_mark_blank_lines_and_column_order__do_not_matter(tmp_path: Path) -> None:
    file = write(tmp_path, "\ufeffclose,low,high,open,timestamp\n11,9,12,10,60\n\n  \n11,9,12,10,120\n")
    assert [bar.ts for bar in prices.read_csv(file)] == [60, 120]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ts,open,high,low\n60,1,1,1\n", "row 1: column close is missing"),
        ("open,high,low,close\n", "row 1: column ts is missing"),
        (HEADER + "60,x,10,12,abc,11,1\n", "row 2, column low: 'abc' is not a number"),
        (HEADER + "60,x,10,12,,11,1\n", "row 2, column low: '' is not a number"),
        (HEADER + "60,x,10,12,nan,11,1\n", "row 2, column low: 'nan' is not finite"),
        (HEADER + FIRST + "120,x,10,12\n", "row 3, column low: missing; the row has only 4 fields"),
        (HEADER + "60,x,0,12,9,11,1\n", "row 2, column open: 0 is not positive"),
        (HEADER + "60,x,10,12,-9,11,1\n", "row 2, column low: -9 is not positive"),
        (HEADER + "60,x,10,9,12,11,1\n", "row 2, column high: 9 is below low 12"),
        (HEADER + "60,x,10,12,9,12.01,1\n", "row 2, column close: 12.01 lies outside low 9 to high 12"),
        (HEADER + "60,x,8.99,12,9,11,1\n", "row 2, column open: 8.99 lies outside"),
        (HEADER + FIRST + FIRST, "row 3, column ts: 60 does not come after 60"),
        (HEADER + FIRST + "0,x,10,12,9,11,1\n", "row 3, column ts: 0 does not come after 60"),
        (HEADER + "1.5,x,10,12,9,11,1\n", "row 2, column ts: '1.5' is not a whole number"),
        (HEADER + "-60,x,10,12,9,11,1\n", "row 2, column ts: -60 is negative"),
        ("1621429200001,10,12,9,11\n", "row 1, column ts: 1621429200001 is not on a whole second"),
        (HEADER + FIRST + "180,x,10,12,9,11,1\n", "bars are 120 s apart; give bars of 1 or 5 minutes"),
        (HEADER, "has no bars"),
        ("", "has no bars"),
    ],
)
def test_read_csv__bad_file__names_row_and_column(tmp_path: Path, text: str, reason: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as raised:
        prices.read_csv(file)
    assert str(raised.value).startswith(str(file))
    assert reason in str(raised.value)


def test_read_csv__no_file_or_no_text__is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        prices.read_csv(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match="cannot be read"):
        prices.read_csv(tmp_path / "binary.csv")


# ------------------------------------------------------------------------------------------------- cutting, aligning


def test_window__whole_hours__is_half_open() -> None:
    bars = bars_of([1] * 300)
    cut = prices.window(bars, centre=7_200, hours=2)
    assert (cut[0].ts, cut[-1].ts, len(cut)) == (3_600, 10_740, 120)


@pytest.mark.parametrize(("centre", "hours", "reason"), [(10**9, 2, "the data span"), (0, 0, "not positive")])
def test_window__nothing_there__says_what_is(centre: int, hours: int, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        prices.window(bars_of([1] * 10), centre, hours)


def test_align__gaps__keeps_common_times() -> None:
    eth, btc = bars_of([1, 2, 3, 4]), bars_of([5, 6, 7, 8])
    aligned = prices.align({"ETH": eth[:1] + eth[2:], "BTC": btc[:3]})
    assert {market: [bar.ts for bar in bars] for market, bars in aligned.items()} == {"ETH": [0, 120], "BTC": [0, 120]}
    with pytest.raises(UserError, match="ETH, BTC have no common time"):
        prices.align({"ETH": eth[:1], "BTC": btc[1:]})


# -------------------------------------------------------------------------------------------------------------- path

FALLING = Bar(0, 100, 110, 80, 90)
RISING = Bar(0, 100, 120, 90, 110)


@pytest.mark.parametrize(
    ("bar", "points", "expected"),
    [
        (FALLING, 1, (90,)),
        (FALLING, 2, (80, 90)),
        (FALLING, 4, (100, 110, 80, 90)),
        (RISING, 2, (120, 110)),
        (RISING, 4, (100, 90, 120, 110)),
        (Bar(0, 100, 120, 90, 100), 2, (120, 100)),
    ],
)
def test_path__points__the_hurting_extreme_comes_before_the_close(
    bar: Bar, points: int, expected: tuple[int, ...]
) -> None:
    assert prices.path(bar, points) == expected


def test_path__steps__interpolate_from_the_open() -> None:
    assert prices.path(FALLING, 2, steps=2) == (90, 80, 85, 90)


@given(
    st.lists(st.integers(1, 10**24), min_size=4, max_size=4).map(sorted),
    st.booleans(),
    st.sampled_from(prices.POINTS),
    st.integers(1, 9),
)
def test_path__any_bar__stays_inside_and_ends_at_the_close(
    sizes: list[int], falling: bool, points: int, steps: int
) -> None:
    low, one, other, high = sizes
    bar = Bar(0, other if falling else one, high, low, one if falling else other)
    path = prices.path(bar, points, steps)
    assert len(path) == points * steps
    assert path[-1] == bar.close
    assert all(low <= price <= high for price in path)
    if points > 1:
        assert (low if bar.is_falling else high) in path


@pytest.mark.parametrize(("points", "steps"), [(3, 1), (0, 1), (2, 0)])
def test_path__unknown_points_or_no_steps__raises(points: int, steps: int) -> None:
    with pytest.raises(ValueError, match="points must be one of"):
        prices.path(FALLING, points, steps)


# --------------------------------------------------------------------------------------------------------- measuring


def test_worst_change__close_to_close__over_exactly_that_time() -> None:
    bars = bars_of([100, 90, 95, 40, 80])
    assert prices.worst_minute(bars) == -55 * WAD // 95 + 1
    assert prices.worst_change(bars, 120) == -50 * WAD // 90 + 1
    with pytest.raises(UserError, match="3600 s apart"):
        prices.worst_hour(bars)


def test_worst_minute__bars_of_five_minutes__has_no_answer() -> None:
    with pytest.raises(UserError, match="60 s apart"):
        prices.worst_minute(bars_of([1, 2, 3], seconds=300))


def test_crash_start__fall_in_the_middle__is_where_the_worst_hour_begins() -> None:
    closes = [100] * 100 + [100 - place // 2 for place in range(61)] + [70] * 100
    assert prices.crash_start(bars_of(closes)) in (99, 100, 101)
    assert prices.crash_start(bars_of(closes[:20])) == 0


@pytest.mark.parametrize(
    ("change", "text"),
    [(to_wad("-0.0927"), "−9.3%"), (to_wad("0.0004"), "0.0%"), (to_wad("0.1"), "+10.0%"), (to_wad("-0.0004"), "0.0%")],
)
def test_format_change__fractions__have_one_decimal(change: int, text: str) -> None:
    assert prices.format_change(change) == text


# ---------------------------------------------------------------------------------------------------------- defaults


def test_default_prices__no_data__are_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")
    source, markets = prices.default_prices(seed=3)
    assert source == (
        "synthetic crash of ETH and BTC, seed 3, 1-minute bars, 2021-05-19 01:00 UTC to 2021-05-20 01:00 UTC"
    )
    assert {market: len(bars) for market, bars in markets.items()} == {"ETH": 1440, "BTC": 1440}


def test_default_prices__folder_without_the_files__says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, str(tmp_path))
    with pytest.raises(UserError, match="lacks prices/eth_usdt"):
        prices.default_prices()
    monkeypatch.setenv(prices.DATA_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(UserError, match="is not a folder"):
        prices.default_prices()


def real_data() -> Path | None:
    folder = prices.data_folder() if os.environ.get(prices.DATA_VARIABLE, "unset") else None
    return folder if folder and all((folder / name).is_file() for name in prices.CRASH_FILES.values()) else None


@pytest.mark.skipif(real_data() is None, reason="no folder of real prices")
def test_default_prices__real_data__fall_as_much_as_is_known() -> None:
    folder = real_data()
    assert folder is not None
    changes = {}
    for market, name in prices.CRASH_FILES.items():
        bars = prices.read_csv(folder / name)
        changes[market] = [
            prices.format_change(measure(bars))
            for measure in (prices.worst_minute, prices.worst_hour, prices.worst_day)
        ]
    assert changes == {"ETH": ["−9.3%", "−29.8%", "−43.7%"], "BTC": ["−5.8%", "−22.4%", "−31.6%"]}
    source, markets = prices.default_prices()
    assert source.startswith("Binance spot ETH/USDT and BTC/USDT, 1-minute bars, 2021-05-19 01:00 UTC")
    assert [len(bars) for bars in markets.values()] == [1440, 1440]
    assert prices.utc(markets["ETH"][prices.crash_start(markets["ETH"])].ts) == "2021-05-19 12:09 UTC"
