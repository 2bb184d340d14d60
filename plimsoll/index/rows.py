"""Events as rows of the index, and back: what was decoded by a contract's ABI is text in JSON, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from plimsoll.chain.abi import Json
from plimsoll.chain.contracts import Occurrence, interface
from plimsoll.chain.transactions import Log
from plimsoll.index.store import StoredEvent
from plimsoll.sdk.events import Happened, decode

_ACCOUNTS = ("account", "makerAccount", "takerAccount", "toAccount")


def row_of(contract: str, one: Occurrence) -> StoredEvent:
    """An event of a contract, decoded by its ABI."""
    involved = [one.values[name] for name in _accounts_of(contract, one.name) if name in one.values]
    account, other = (*map(account_text, involved), None, None)[:2]
    log = one.log
    market = one.values.get("marketId")
    return StoredEvent(
        log.block_number, log.index, log.tx_hash, contract, log.address, one.name, account, other, market,
        to_json(one.values),
    )  # fmt: skip


def account_text(account: int) -> str:
    """As the index writes accounts."""
    return f"0x{account:064x}"


def occurrence_of(row: StoredEvent) -> Occurrence:
    """The event as it was decoded; its log has no topics and no data any more."""
    values = _struct_from_json(_inputs(row.contract, row.name), row.fields)
    return Occurrence(row.name, values, row.address, Log(row.address, (), b"", row.block, row.tx, row.log_index))


def records_of(rows: Iterable[StoredEvent]) -> list[Happened]:
    """The typed records of those events that have a class."""
    found = (decode(occurrence_of(row)) for row in rows)
    return [record for record in found if record is not None]


def to_json(value: Any) -> Any:
    """Numbers as decimal text, bytes as 0x…"""
    if isinstance(value, Mapping):
        return {name: to_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(one) for one in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value if isinstance(value, bool | str) else str(value)


def _accounts_of(contract: str, name: str) -> tuple[str, ...]:
    return ("from", "to") if (contract, name) == ("MarginVault", "Transferred") else _ACCOUNTS


@cache
def _inputs(contract: str, name: str) -> Sequence[Json]:
    for entry in interface(contract).abi:
        if entry["type"] == "event" and entry["name"] == name:
            inputs: Sequence[Json] = entry["inputs"]
            return inputs
    raise KeyError(f"{contract} has no event {name}")


def _struct_from_json(inputs: Sequence[Json], fields: Mapping[str, Any]) -> dict[str, Any]:
    names = [item["name"] or f"_{place}" for place, item in enumerate(inputs)]
    return {name: _from_json(item, item["type"], fields[name]) for name, item in zip(names, inputs, strict=True)}


def _from_json(item: Json, kind: str, value: Any) -> Any:
    if kind.endswith("]"):
        return [_from_json(item, kind[: kind.rindex("[")], one) for one in value]
    if kind == "tuple":
        return _struct_from_json(item["components"], value)
    if kind.startswith(("uint", "int")):
        return int(value)
    if kind.startswith("bytes"):
        return bytes.fromhex(value[2:])
    return value
