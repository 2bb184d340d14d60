"""Price bars: reading them, checking them, measuring how bad they are, and the order in which they reach an oracle.

Prices are WAD dollars; times are Unix seconds, UTC, of the bar's open.
"""

from __future__ import annotations

import csv
import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR, SECONDS_PER_MINUTE, WAD, div_trunc, to_wad
from plimsoll.risk.scenario.bar import CRASH_CENTRE
from plimsoll.risk.scenario.bar import Bar as Bar
from plimsoll.risk.scenario.bar import Bars as Bars
from plimsoll.risk.scenario.synthetic import synthetic_crash

DATA_VARIABLE = "PLIMSOLL_DATA"
CRASH_HOURS = 24
CRASH_FILES = {
    "ETH": "prices/eth_usdt_binance_spot_1m_2021-05.csv",
    "BTC": "prices/btc_usdt_binance_spot_1m_2021-05.csv",
}
BAR_SECONDS = (60, 300)
POINTS = (1, 2, 4)

_TIME_COLUMNS = ("ts", "open_time", "timestamp", "time")
_PRICE_COLUMNS = ("open", "high", "low", "close")
_KLINE_COLUMNS = {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4}
_PROJECT_ROOT = Path(__file__).resolve().parents[3]


# ----------------------------------------------------------------------------------------------------------- reading


def read_csv(path: Path | str) -> Bars:
    """The bars of a CSV file of 1 or 5 minute bars, oldest first.

    With a header, columns are found by name (`ts`, `open_time`, `timestamp` or `time`; `open`, `high`, `low`, `close`)
    and others are ignored; without one the columns are those of Binance's klines. Times may be in seconds, milli- or
    microseconds. Raises UserError with the file, row and column for what is missing, not a positive number,
    contradictory, or out of order.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            bars = tuple(_read_rows(path, csv.reader(file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); give the path of a file of price bars") from None
    if not bars:
        raise UserError(f"{path}: has no bars; give a file with one bar a row")
    _check_spacing(path, bars)
    return bars


def _read_rows(path: Path, rows: Iterator[list[str]]) -> Iterator[Bar]:
    columns: Mapping[str, int] | None = None
    previous: int | None = None
    for number, row in enumerate(rows, start=1):
        if not any(field.strip() for field in row):
            continue
        if columns is None:
            if not _is_number(row[0]):
                columns = _columns(path, row)
                continue
            columns = _KLINE_COLUMNS
        bar = _bar(f"{path}: row {number}", row, columns)
        if previous is not None and bar.ts <= previous:
            raise UserError(
                f"{path}: row {number}, column ts: {bar.ts} does not come after {previous}; sort the rows by time"
            )
        previous = bar.ts
        yield bar


def _columns(path: Path, header: Sequence[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in header]
    found = {name: names.index(name) for name in _PRICE_COLUMNS if name in names}
    time = next((name for name in _TIME_COLUMNS if name in names), None)
    if time is not None:
        found["ts"] = names.index(time)
    for name in ("ts", *_PRICE_COLUMNS):
        if name not in found:
            raise UserError(f"{path}: row 1: column {name} is missing; the header has {', '.join(names)}")
    return found


def _bar(where: str, row: Sequence[str], columns: Mapping[str, int]) -> Bar:
    def field(name: str) -> str:
        if columns[name] >= len(row):
            raise UserError(f"{where}, column {name}: missing; the row has only {len(row)} fields")
        return row[columns[name]]

    def price(name: str) -> int:
        value = to_wad(field(name), what=f"{where}, column {name}")
        if value <= 0:
            raise UserError(f"{where}, column {name}: {field(name)} is not positive; remove or mend the row")
        return value

    bar = Bar(_seconds(where, field("ts")), price("open"), price("high"), price("low"), price("close"))
    if bar.high < bar.low:
        raise UserError(f"{where}, column high: {field('high')} is below low {field('low')}; mend the row")
    for name, value in (("open", bar.open), ("close", bar.close)):
        if not bar.low <= value <= bar.high:
            raise UserError(
                f"{where}, column {name}: {field(name)} lies outside low {field('low')} to high {field('high')};"
                " mend the row"
            )
    return bar


def _seconds(where: str, text: str) -> int:
    try:
        time = int(text.strip())
    except ValueError:
        raise UserError(f"{where}, column ts: {text!r} is not a whole number of Unix time") from None
    for unit in (1_000_000, 1_000):  # micro-, then milliseconds: what a kline file of either kind holds since 1973
        if time >= 100_000_000 * unit:
            if time % unit:
                raise UserError(f"{where}, column ts: {text} is not on a whole second")
            return time // unit
    if time < 0:
        raise UserError(f"{where}, column ts: {text} is negative; give Unix time")
    return time


def _is_number(text: str) -> bool:
    try:
        to_wad(text)
    except UserError:
        return False
    return True


def _check_spacing(path: Path, bars: Bars) -> None:
    if len(bars) > 1 and interval(bars) not in BAR_SECONDS:
        raise UserError(f"{path}: bars are {interval(bars)} s apart; give bars of 1 or 5 minutes")


# ------------------------------------------------------------------------------------------------- cutting, aligning


def interval(bars: Sequence[Bar]) -> int:
    """Seconds of a bar: the smallest distance of two. 60 for a single bar."""
    return min((after.ts - before.ts for before, after in pairwise(bars)), default=60)


def window(bars: Sequence[Bar], centre: int, hours: int) -> Bars:
    """The bars that open in [centre − hours/2, centre + hours/2). Raises UserError if there are none."""
    if hours <= 0:
        raise UserError(f"window: {hours} hours is not positive")
    start = centre - hours * SECONDS_PER_HOUR // 2
    end = start + hours * SECONDS_PER_HOUR
    times = [bar.ts for bar in bars]
    cut = tuple(bars[bisect_left(times, start) : bisect_left(times, end)])
    if not cut:
        raise UserError(
            f"window: no bars in {utc(start)} to {utc(end)}; "
            + (f"the data span {utc(times[0])} to {utc(times[-1])}" if times else "the data are empty")
        )
    return cut


def align(markets: Mapping[str, Sequence[Bar]]) -> dict[str, Bars]:
    """The bars whose timestamps all markets have. Raises UserError if there are none."""
    if not markets:
        return {}
    common = set.intersection(*({bar.ts for bar in bars} for bars in markets.values()))
    if not common:
        raise UserError(f"the prices of {', '.join(markets)} have no common time; give files of the same days")
    return {name: tuple(bar for bar in bars if bar.ts in common) for name, bars in markets.items()}


def utc(ts: int) -> str:
    """Unix seconds as text: "2021-05-19 13:00 UTC"."""
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M UTC")


# ------------------------------------------------------------------------------------------------- on to the oracle


def path(bar: Bar, points: int = 2, steps: int = 1) -> tuple[int, ...]:
    """The prices of a bar in the order in which they reach the oracle, `points` × `steps` of them, the close last.

    With one point the close alone. With two, first the extreme that hurts those whom the bar hurts: a falling bar gives
    (low, close), since the low is what liquidates longs, a rising one (high, close). With four the whole swing:
    (open, high, low, close) when falling, (open, low, high, close) when rising. Each point is reached from the one
    before (the first from the open) in `steps` equal steps. Raises ValueError for other `points` or `steps` < 1.
    """
    if points not in POINTS or steps < 1:
        raise ValueError(f"points must be one of {POINTS} and steps at least 1, not {points} and {steps}")
    first, second = (bar.high, bar.low) if bar.is_falling else (bar.low, bar.high)
    corners = {1: (bar.close,), 2: (second, bar.close), 4: (bar.open, first, second, bar.close)}[points]
    prices: list[int] = []
    start = bar.open
    for corner in corners:
        prices += [start + (corner - start) * step // steps for step in range(1, steps + 1)]
        start = corner
    return tuple(prices)


# --------------------------------------------------------------------------------------------------------- measuring


def worst_change(bars: Sequence[Bar], seconds: int) -> int:
    """The lowest change from a close to the close exactly `seconds` later, as a WAD fraction (−0.1e18 = −10%).

    Raises UserError where no two bars lie that far apart.
    """
    return _worst(bars, seconds)[0]


def worst_minute(bars: Sequence[Bar]) -> int:
    """The worst change over a minute, close to close, as a WAD fraction. Raises as `worst_change`."""
    return worst_change(bars, SECONDS_PER_MINUTE)


def worst_hour(bars: Sequence[Bar]) -> int:
    """The worst change over an hour, close to close, as a WAD fraction. Raises as `worst_change`."""
    return worst_change(bars, SECONDS_PER_HOUR)


def worst_day(bars: Sequence[Bar]) -> int:
    """The worst change over 24 hours, close to close, as a WAD fraction. Raises as `worst_change`."""
    return worst_change(bars, SECONDS_PER_DAY)


def crash_start(bars: Sequence[Bar]) -> int:
    """The index of the bar at whose close the worst hour begins; of shorter data, 0."""
    try:
        return _worst(bars, SECONDS_PER_HOUR)[1]
    except UserError:
        return 0


def _worst(bars: Sequence[Bar], seconds: int) -> tuple[int, int]:
    """The worst change and the index of the bar it starts from."""
    place = {bar.ts: index for index, bar in enumerate(bars)}
    changes = [
        (div_trunc(bar.close - bars[start].close, bars[start].close), start)
        for bar in bars
        if (start := place.get(bar.ts - seconds)) is not None
    ]
    if not changes:
        raise UserError(f"no two bars lie {seconds} s apart; give more or finer price data")
    return min(changes)


# ---------------------------------------------------------------------------------------------------------- defaults


def data_folder() -> Path | None:
    """The folder of real price data: `PLIMSOLL_DATA`, by default `../shared/data` beside the project, None if absent.

    An empty `PLIMSOLL_DATA` means none. Raises UserError if it names a folder that does not exist.
    """
    setting = os.environ.get(DATA_VARIABLE)
    if setting is None:
        default = _PROJECT_ROOT.parent / "shared" / "data"
        return default if default.is_dir() else None
    if not setting.strip():
        return None
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise UserError(f"{DATA_VARIABLE}={setting} is not a folder; name one, or set it empty for synthetic prices")
    return folder


def default_history(seed: int = 1) -> tuple[str, dict[str, Bars]]:
    """What the prices are, in words, and all bars there are of ETH and BTC around the crash of 19 May 2021.

    From the folder of real data where it has them, else synthetic ones drawn from `seed`. Raises as `read_csv`.
    """
    folder = data_folder()
    if folder is not None:
        files = {market: folder / name for market, name in CRASH_FILES.items()}
        if all(file.is_file() for file in files.values()):
            return "Binance spot ETH/USDT and BTC/USDT", {market: read_csv(file) for market, file in files.items()}
        if os.environ.get(DATA_VARIABLE):
            raise UserError(f"{DATA_VARIABLE}={folder} lacks {' or '.join(CRASH_FILES.values())}; add them or unset it")
    return f"synthetic crash of ETH and BTC, seed {seed}", synthetic_crash(seed)


def default_prices(seed: int = 1, hours: int = CRASH_HOURS) -> tuple[str, dict[str, Bars]]:
    """The aligned bars of `default_history` in the window of `hours` around the crash, and what they are, in words."""
    source, markets = default_history(seed)
    cut = align({market: window(bars, CRASH_CENTRE, hours) for market, bars in markets.items()})
    return f"{source}, {describe_span(cut)}", cut


def describe_span(markets: Mapping[str, Sequence[Bar]]) -> str:
    """The bar size and span of aligned markets in words."""
    bars = next(iter(markets.values()))
    seconds = interval(bars)
    return f"{seconds // 60}-minute bars, {utc(bars[0].ts)} to {utc(bars[-1].ts + seconds)}"


def format_change(change: int) -> str:
    """A WAD fraction as a signed percentage with one decimal: "−9.3%"."""
    tenths = (abs(change) * 2_000 + WAD) // (2 * WAD)
    sign = "" if tenths == 0 else "−" if change < 0 else "+"
    return f"{sign}{tenths // 10}.{tenths % 10}%"
