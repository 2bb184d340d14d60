"""Events as rows: what comes back is what was decoded, whatever the types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plimsoll.chain.contracts import Occurrence, interface
from plimsoll.chain.transactions import Log
from plimsoll.core import ids
from plimsoll.index.follow import ROOMS
from plimsoll.index.rows import account_text, occurrence_of, row_of

pytestmark = pytest.mark.usefixtures("built")

ALICE, BOB = ids.pack(0xA11CE), ids.pack(0xB0B, 2, 7)


def a_value(kind: str, item: Any) -> Any:
    """The most extreme value of a type."""
    if kind.endswith("]"):
        return [a_value(kind[: kind.rindex("[")], item)] * 2
    if kind == "tuple":
        return {one["name"]: a_value(one["type"], one) for one in item["components"]}
    if kind.startswith("uint"):
        return 2 ** int(kind[4:]) - 1
    if kind.startswith("int"):
        return -(2 ** (int(kind[3:]) - 1))
    if kind.startswith("bytes"):
        return bytes(range(int(kind[5:] or 40)))
    return {"bool": True, "address": "0x" + "aB" * 20, "string": "ä' %"}[kind]


@pytest.mark.parametrize("contract", ROOMS)
def test_occurrence_of__every_event_of_a_room__is_what_it_was(contract: str) -> None:
    for event in (one for one in interface(contract).abi if one["type"] == "event"):
        values = {one["name"] or f"_{place}": a_value(one["type"], one) for place, one in enumerate(event["inputs"])}
        log = Log("0xC", (b"topic",), b"data", 7, "0xf7", 3)
        row = row_of(contract, Occurrence(event["name"], values, "0xC", log))
        stored = row._replace(fields=json.loads(json.dumps(row.fields)))
        found = occurrence_of(stored)
        assert (found.name, found.values, found.address) == (event["name"], values, "0xC")
        assert (found.log.block_number, found.log.index, found.log.tx_hash) == (7, 3, "0xf7")


@pytest.mark.parametrize(
    ("contract", "name", "values", "involved"),
    [
        ("MarginVault", "Transferred", {"from": ALICE, "to": BOB, "amount": 1}, (ALICE, BOB)),
        ("MarginVault", "Deposited", {"account": ALICE, "from": "0x", "amount": 1, "cash": 1}, (ALICE, None)),
        ("OrderBook", "OrdersMatched", {"makerAccount": BOB, "takerAccount": ALICE}, (BOB, ALICE)),
        ("Liquidator", "TakenOver", {"account": ALICE, "toAccount": BOB, "marketId": 2}, (ALICE, BOB)),
        ("PerpMarket", "Accrued", {"marketId": 2}, (None, None)),
    ],
)
def test_row_of__event__names_the_accounts_that_it_is_about(
    contract: str, name: str, values: dict[str, Any], involved: tuple[int | None, int | None]
) -> None:
    row = row_of(contract, Occurrence(name, values, "0xC", Log("0xC", (), b"", 1, "0x1", 0)))
    assert (row.account, row.other) == tuple(None if one is None else account_text(one) for one in involved)
    assert row.market == values.get("marketId")
