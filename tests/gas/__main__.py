"""`make gas`: measure every flow, write `tests/gas/snapshot.json` and the figures of README's table."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.gas.flows import CEILINGS, Measured, measure_all

SNAPSHOT = Path(__file__).with_name("snapshot.json")
README = Path(__file__).parents[2] / "README.md"


def main() -> int:
    measured = measure_all()
    old = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    SNAPSHOT.write_text(
        json.dumps({name: {"gas": m.gas, "calldata_bytes": m.calldata_bytes} for name, m in measured.items()}, indent=2)
        + "\n"
    )
    README.write_text(with_figures(README.read_text(), {name: one.gas for name, one in measured.items()}))
    Console().print(_table(measured, old))
    return 0


def with_figures(text: str, gas: Mapping[str, int]) -> str:
    """A text whose tables have the present figure behind each flow's name."""

    def figure(found: re.Match[str]) -> str:
        name = found["name"]
        return f"{found[1]}{gas[name]:,} |" if name in gas else found[0]

    return re.sub(r"^(\| (?P<name>\w+)[^|]*\| )[\d,]+ \|", figure, text, flags=re.MULTILINE)


def _table(measured: dict[str, Measured], old: dict[str, dict[str, int]]) -> Table:
    table = Table("flow", "gas", "ceiling", "change", "call data", title="Gas of whole transactions")
    for name, one in measured.items():
        ceiling = CEILINGS.get(name)
        before = old.get(name, {}).get("gas")
        change = "new" if before is None else f"{one.gas - before:+,}"
        table.add_row(name, f"{one.gas:,}", f"{ceiling:,}" if ceiling else "", change, f"{one.calldata_bytes:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
