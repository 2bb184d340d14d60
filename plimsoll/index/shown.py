"""History as lines for people, and as rows of integers for tables and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from plimsoll.core import ids
from plimsoll.core.units import format_percent, format_usd, format_wad
from plimsoll.index.history import Fill, Liquidation, Payment, Rate
from plimsoll.sdk.times import date

Entry = Fill | Payment | Rate | Liquidation
Named = Callable[[int], str]


def entry_line(entry: Entry, market: Named) -> str:
    """One line; `market` names a market's id."""
    match entry:
        case Fill():
            what = f"{entry.kind:<10} {market(entry.market_id):<9} {format_wad(entry.base, 6):>18}"
            what += (
                f" at {format_usd(entry.price):>14}, fee {format_usd(entry.fee)}, has {format_wad(entry.new_base, 6)}"
            )
        case Payment():
            verb = "paid" if entry.owed >= 0 else "got "
            what = f"{market(entry.market_id):<9} {verb} {format_usd(abs(entry.owed), 6):>18}"
        case Rate():
            what = f"rate {format_percent(entry.rate, 4):>10} a day"
        case Liquidation():
            fields = _fields(entry.record)
            account = ids.describe(int(fields.pop("account")))
            own = ", ".join(f"{name} {value}" for name, value in fields.items())
            what = f"{type(entry.record).__name__:<17} {account}: {own}"
    return f"{date(entry.time)}  {what}"


def entry_fields(entry: Entry) -> dict[str, Any]:
    """Column by column; integers as text, since JSON's readers round them."""
    if not isinstance(entry, Liquidation):
        return {name: value if isinstance(value, str) else str(value) for name, value in entry._asdict().items()}
    record = entry.record
    head = {"time": str(entry.time), "block": str(record.block_number), "tx": record.tx_hash}
    return head | {"kind": type(record).__name__} | _fields(record)


def table(entries: Sequence[Entry]) -> Iterator[Sequence[str]]:
    """A header and rows with a column for whatever field any entry has; empty where an entry lacks it."""
    rows = [entry_fields(entry) for entry in entries]
    header = list(dict.fromkeys(name for row in rows for name in row))
    yield header
    for row in rows:
        yield [row.get(name, "") for name in header]


def lines(entries: Iterable[Entry], markets: Mapping[int, str]) -> Iterator[str]:
    for entry in entries:
        yield entry_line(entry, lambda one: markets.get(one, f"market {one}"))


def _fields(record: Any) -> dict[str, str]:
    own = dataclasses.asdict(record)
    return {name: str(value) for name, value in own.items() if name not in ("block_number", "log_index", "tx_hash")}
