"""`make gas`: measure every flow and write `tests/gas/snapshot.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.gas.flows import CEILINGS, Measured, measure_all

SNAPSHOT = Path(__file__).with_name("snapshot.json")


def main() -> int:
    measured = measure_all()
    old = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    SNAPSHOT.write_text(
        json.dumps({name: {"gas": m.gas, "calldata_bytes": m.calldata_bytes} for name, m in measured.items()}, indent=2)
        + "\n"
    )
    Console().print(_table(measured, old))
    return 0


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
