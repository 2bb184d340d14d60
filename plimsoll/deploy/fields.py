"""How a value of a parameters file reads: "4.25%", "$1_000", "15 s"; the bounds it must keep; errors of one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from plimsoll.chain.abi import AbiError, address_of
from plimsoll.core.durations import parse_duration, show_duration
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, from_units, to_units

ZERO_ADDRESS = "0x" + "00" * 20


@dataclass(frozen=True, slots=True)
class Field:
    """One kind of value: the file's text to an integer (or whatever `parse` gives), and back for people.

    `suffix` is what the name in code has besides the file's: `im_base` → `im_base_bps`.
    """

    parse: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    low: int | None = None
    high: int | None = None
    suffix: str = ""
    default: Any = None
    required: bool = True

    def read(self, value: Any, where: str) -> Any:
        """Raises UserError that starts with `where` and names the bound."""
        try:
            parsed = self.parse(value)
        except _Wrong as error:
            raise UserError(f"{where}: {error}") from None
        if (self.low is not None and parsed < self.low) or (self.high is not None and parsed > self.high):
            low, high = (None if bound is None else self.show(bound) for bound in (self.low, self.high))
            span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
            raise UserError(f"{where} is {self.show(parsed)}; allowed is {span}")
        return parsed


class _Wrong(Exception):
    """The text is no such value; the message says how to write it."""


def read_section(table: Mapping[str, Field], data: Any, where: str) -> dict[str, Any]:
    """A table of the file by the fields it may have: values by their names in code.

    Raises UserError: not a table, an unknown or missing key, a value that is out of bounds or no such value.
    """
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: must be a table ([{where.rpartition(' ')[2]}])")
    refuse_unknown(data, table, where)
    values = {}
    for key, field in table.items():
        if key not in data and field.required:
            raise UserError(f"{where}: {key} is missing")
        values[key + field.suffix] = field.read(data[key], f"{where}: {key}") if key in data else field.default
    return values


def refuse_unknown(data: Mapping[str, Any], known: Any, where: str) -> None:
    """Raises UserError for the first key that is not known, with the nearest that is."""
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), 1)
            raise UserError(f"{where}: unknown key {key}; " + (f"did you mean {near[0]}?" if near else "remove it"))


# --- kinds ---------------------------------------------------------------------------------------------------------


def bps(low: int, high: int) -> Field:
    """A percentage in whole basis points; bounds in basis points."""
    return Field(lambda value: _number(value, r"\s*%", 2, "a percentage", '"4.25%"'), _show_bps, low, high, "_bps")


def percent_wad(low: int, high: int) -> Field:
    """A percentage as a WAD fraction."""
    return Field(lambda value: _number(value, r"\s*%", 16, "a percentage", '"8%"'), _show_percent, low, high)


def dollars(decimals: int, low: int, high: int, suffix: str = "") -> Field:
    """Dollars with so many decimals: 0 for whole ones, 2 for cents, 18 for WAD."""

    def show(value: int) -> str:
        return f"${from_units(value, decimals):,f}"

    def read(value: object) -> int:
        return _number(value, "", decimals, "an amount of dollars", '"$1_000"', "$")

    return Field(read, show, low, high, suffix)


def seconds(low: int, high: int) -> Field:
    """A length of time."""
    return Field(_duration, show_duration, low, high)


def count(low: int, high: int, *, required: bool = True) -> Field:
    """A whole number; 0 where it may be left out and is."""
    return Field(_whole, str, low, high, default=0, required=required)


def quantity(low: int, high: int) -> Field:
    """A size in units of the market's asset, WAD."""
    return Field(
        lambda value: _number(value, "", 18, "a size", '"400_000"'),
        lambda value: f"{from_units(value, 18):,f}",
        low,
        high,
    )


def address() -> Field:
    return Field(_address)


def address_or_none(*, required: bool = True) -> Field:
    """An address, or "none" for the zero address, which is also what stands for nothing where it isn't required."""
    return Field(
        lambda value: ZERO_ADDRESS if value == "none" else _address(value, ' or "none"'),
        show_address,
        default=None if required else ZERO_ADDRESS,
        required=required,
    )


def optional_address() -> Field:
    """An address, or nothing for the zero address."""
    return Field(_address, show_address, default=ZERO_ADDRESS, required=False)


def word(required: bool = True) -> Field:
    """32 bytes, such as the id that a vendor gives a feed; 0x and 64 hexadecimal digits, in lower case then."""
    return Field(_word, required=required, default="")


def addresses() -> Field:
    """A list of one address at least."""
    return Field(_addresses, lambda value: ", ".join(value))


def text(required: bool = True) -> Field:
    return Field(_text, required=required, default="")


def choice(*options: str) -> Field:
    def parse(value: Any) -> str:
        if value not in options:
            raise _Wrong(f"{value!r} is none of {', '.join(options)}")
        return str(value)

    return Field(parse)


def flag(default: bool) -> Field:
    return Field(_flag, lambda value: "yes" if value else "no", default=default, required=False)


# --- reading and showing -------------------------------------------------------------------------------------------


def _number(value: Any, unit: str, decimals: int, what: str, example: str, prefix: str = "") -> int:
    pattern = rf"{re.escape(prefix)}\s*([0-9][0-9_]*(?:\.[0-9]+)?){unit}"
    found = re.fullmatch(pattern, value) if isinstance(value, str) else None
    if found is None:
        raise _Wrong(f"{value!r} is not {what}; write it like {example}")
    try:
        return to_units(found[1], decimals, what=what)
    except UserError:
        finest = {2: "0.01%", 0: "$1"}.get(decimals, "the smallest unit") if not prefix or decimals == 0 else "a cent"
        raise _Wrong(f"{value!r} is finer than {finest}; round it") from None


def _duration(value: Any) -> int:
    try:
        return parse_duration(value)
    except UserError as error:
        raise _Wrong(str(error).removeprefix("time: ")) from None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Wrong(f"{value!r} is not a whole number")
    return int(value)


def _word(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        raise _Wrong(f"{value!r} is no id; write 0x and 64 hexadecimal digits")
    return value.lower()


def _address(value: Any, alternative: str = "") -> str:
    if isinstance(value, str) and value.startswith("0x"):
        try:
            checked = address_of(value)
        except AbiError:
            checked = ""
        if checked and checked != ZERO_ADDRESS:
            if value not in (checked, value.lower(), value.upper().replace("0X", "0x")):
                raise _Wrong(f"{value} has a wrong checksum; a digit is mistyped")
            return checked
    raise _Wrong(f"{value!r} is not an address; write 0x and 40 hexadecimal digits{alternative}")


def _addresses(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _Wrong("must be a list of one address at least")
    found = tuple(_address(one) for one in value)
    if len(set(found)) < len(found):
        raise _Wrong("names an address twice")
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"{value!r} is not a text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"{value!r} is not true or false")
    return value


def _show_bps(value: int) -> str:
    return f"{from_units(value, 2):f}%"


def _show_percent(value: int) -> str:
    return f"{Decimal(value) * 100 / WAD:f}%" if value % 10**12 else f"{from_units(value // 10**12, 4):f}%"


def show_address(value: str) -> str:
    return "none" if value == ZERO_ADDRESS else value
