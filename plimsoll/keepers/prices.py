"""Where a publisher's prices come from: fixed, a file that something else keeps writing, or a series to replay."""

from __future__ import annotations

import bisect
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from plimsoll.core.errors import UserError
from plimsoll.core.units import to_wad

V = TypeVar("V")

Own = Mapping[str, Mapping[int, V]]
"""What single sources have of their own, by the source's name ("api3-2") and the market's id."""


class PriceSource(Protocol):
    """Prices of markets at a moment."""

    def prices(self, now: int, source: str = "") -> Mapping[int, int]:
        """WAD dollars by market id, as that source of the aggregator says them; a market without a price is left out.
        `now` in Unix seconds. May raise OSError, ValueError or UserError where the source can't be asked."""
        ...


class FixedPrices:
    """Always the same."""

    def __init__(self, prices: Mapping[int, int], own: Own[int | None] | None = None) -> None:
        """WAD dollars by market id; `own` where a source has another, None where it is silent."""
        self._prices = dict(prices)
        self._own = {name: dict(found) for name, found in (own or {}).items()}

    def prices(self, now: int, source: str = "") -> Mapping[int, int]:
        return _without_silent({**self._prices, **self._own.get(source, {})})


class FilePrices:
    """A JSON file {"ETH": "3012.5", "ETH@api3-2": null}, read again each time. "MARKET@SOURCE" is what one source says
    of it, null its silence. A file that is missing or half written gives nothing."""

    def __init__(self, path: Path, names: Mapping[str, int]) -> None:
        """`names` are the market ids by the names that the file uses. Raises UserError where there is no such file."""
        if not path.is_file():
            raise UserError(f"price file {path}: there is none")
        self._path = path
        self._names = {name.upper(): market_id for name, market_id in names.items()}

    def prices(self, now: int, source: str = "") -> Mapping[int, int]:
        try:
            found = json.loads(self._path.read_text())
            of_all, own = self._of(found, ""), self._of(found, source)
            return _without_silent({**of_all, **own})
        except (OSError, ValueError, AttributeError, UserError):
            return {}

    def _of(self, found: Mapping[str, Any], source: str) -> dict[int, int | None]:
        """What a file says of one source alone, or of all."""
        prices = {}
        for name, price in found.items():
            market, _, of_source = name.partition("@")
            if market.upper() in self._names and of_source == source:
                said = None if price is None else to_wad(str(price), what=name)
                prices[self._names[market.upper()]] = said
        return prices


class SeriesPrices:
    """CSVs with the columns `ts` (Unix seconds) and `close`, replayed from the first moment that they are asked for.

    `speed` seconds of the series pass in one of the chain's; all of them start at their first moment, those of single
    sources at the market's. After the end the last price stays.
    """

    def __init__(self, paths: Mapping[int, Path], *, own: Own[Path] | None = None, speed: int = 1) -> None:
        """Files by market id; `own` where a source has a series of its own. Raises UserError for a file that is no such
        series."""
        if speed < 1:
            raise UserError(f"speed {speed} is not at least 1")
        self._speed = speed
        self._series = {market_id: _read_series(path) for market_id, path in paths.items()}
        self._own = {
            source: {market_id: _read_series(path) for market_id, path in found.items()}
            for source, found in (own or {}).items()
        }
        self._started: int | None = None

    def prices(self, now: int, source: str = "") -> Mapping[int, int]:
        if self._started is None:
            self._started = now
        passed = (now - self._started) * self._speed
        found = {}
        for market_id, (times, prices) in {**self._series, **self._own.get(source, {})}.items():
            begin = self._series.get(market_id, (times, prices))[0][0]
            found[market_id] = prices[max(0, bisect.bisect_right(times, begin + passed) - 1)]
        return found


def _without_silent(prices: Mapping[int, int | None]) -> dict[int, int]:
    return {market_id: price for market_id, price in prices.items() if price is not None}


def _read_series(path: Path) -> tuple[list[int], list[int]]:
    try:
        with path.open(newline="") as file:
            rows = [(int(row["ts"]), to_wad(row["close"], what="close")) for row in csv.DictReader(file)]
    except OSError:
        raise UserError(f"price series {path}: can't be read") from None
    except (KeyError, ValueError, TypeError):
        raise UserError(f"price series {path}: not a CSV with the columns ts and close") from None
    if not rows:
        raise UserError(f"price series {path}: it is empty")
    rows.sort()
    return [time for time, _ in rows], [price for _, price in rows]
