"""Where a publisher's prices come from: fixed, a file that something else keeps writing, or a series to replay."""

from __future__ import annotations

import bisect
import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from plimsoll.core.errors import UserError
from plimsoll.core.units import to_wad


class PriceSource(Protocol):
    """Prices of markets at a moment."""

    def prices(self, now: int) -> Mapping[int, int]:
        """WAD dollars by market id; a market without a price is left out. `now` in Unix seconds."""
        ...


class FixedPrices:
    """Always the same."""

    def __init__(self, prices: Mapping[int, int]) -> None:
        """WAD dollars by market id."""
        self._prices = dict(prices)

    def prices(self, now: int) -> Mapping[int, int]:
        return self._prices


class FilePrices:
    """A JSON file {"ETH": "3012.5"}, read again each time; a file that is missing or half written gives nothing."""

    def __init__(self, path: Path, names: Mapping[str, int]) -> None:
        """`names` are the market ids by the names that the file uses. Raises UserError where there is no such file."""
        if not path.is_file():
            raise UserError(f"price file {path}: there is none")
        self._path = path
        self._names = {name.upper(): market_id for name, market_id in names.items()}

    def prices(self, now: int) -> Mapping[int, int]:
        try:
            found = json.loads(self._path.read_text())
            return {
                self._names[name.upper()]: to_wad(str(price), what=name)
                for name, price in found.items()
                if name.upper() in self._names
            }
        except (OSError, ValueError, AttributeError, UserError):
            return {}


class SeriesPrices:
    """A CSV with the columns `ts` (Unix seconds) and `close`, replayed from the first moment that it is asked for.

    `speed` seconds of the series pass in one of the chain's. After the end the last price stays.
    """

    def __init__(self, paths: Mapping[int, Path], *, speed: int = 1) -> None:
        """Files by market id. Raises UserError for a file that is no such series."""
        if speed < 1:
            raise UserError(f"speed {speed} is not at least 1")
        self._speed = speed
        self._series = {market_id: _read_series(path) for market_id, path in paths.items()}
        self._started: int | None = None

    def prices(self, now: int) -> Mapping[int, int]:
        if self._started is None:
            self._started = now
        passed = (now - self._started) * self._speed
        found = {}
        for market_id, (times, prices) in self._series.items():
            found[market_id] = prices[max(0, bisect.bisect_right(times, times[0] + passed) - 1)]
        return found


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
