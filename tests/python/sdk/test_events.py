"""Typed records: every class has exactly the fields of the event whose name it bears."""

from __future__ import annotations

import dataclasses

import pytest

from plimsoll.chain.contracts import Occurrence, interface
from plimsoll.chain.transactions import Log
from plimsoll.sdk import events
from plimsoll.sdk.events import KINDS, Happened, Traded, decode, field_name
from plimsoll.sdk.history import ROOMS
from tests.support.deployment import World

PLACE = {field.name for field in dataclasses.fields(Happened)}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_kinds__any__has_the_fields_of_its_event(built: None, name: str) -> None:
    declared = [
        [item["name"] for item in entry["inputs"]]
        for room in (*ROOMS, "MarketConfigurator")
        for entry in interface(room).abi
        if entry["type"] == "event" and entry["name"] == name
    ]
    assert declared, f"no contract has an event {name}"
    fields = [field.name for field in dataclasses.fields(KINDS[name]) if field.name not in PLACE]
    assert [field_name(one) for one in declared[0]] == fields


def test_decode__an_event_without_a_class__is_left_out() -> None:
    log = Log("0x" + "11" * 20, (), b"", 1, "0x", 0)
    assert decode(Occurrence("AuthorityUpdated", {}, log.address, log)) is None


def test_history__a_trade__gives_typed_records_in_order(world: World) -> None:
    trader = world.trader("trader", 10_000)
    world.open(trader, "ETH", "2")
    (fill,) = trader.history(account=trader.account())
    assert isinstance(fill, Traded)
    assert (fill.market_id, fill.base, fill.new_base) == (1, 2 * 10**18, 2 * 10**18)
    placed, executed = trader.history([events.OrderPlaced, events.OrderExecuted])
    assert isinstance(placed, events.OrderPlaced)
    assert isinstance(executed, events.OrderExecuted)
    assert placed.hash == executed.hash
    assert placed.block_number < executed.block_number == fill.block_number
    assert trader.history(account=12345) == []
    assert trader.history(from_block=executed.block_number + 1) == []
