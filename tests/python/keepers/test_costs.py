"""What a batch costs, and which part of a queue pays best."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.chain.transactions import Block
from plimsoll.core.units import WAD
from plimsoll.keepers.costs import (
    BYTES_OF_BATCH,
    BYTES_OF_ORDER,
    GAS_OF_BATCH,
    GAS_OF_ORDER,
    GAS_OF_PRICE,
    GAS_OF_VOID,
    Costs,
    GasMeter,
    best_prefix,
)
from plimsoll.sdk.fees.oracle import GAS_PRICE_ORACLE
from tests.support.deployment import World

GWEI = 10**9
BLOCK = Block(1, 1_700_000_000, 3 * GWEI, 30_000_000, 0, "0x", "0x")


def test_of__orders_voids_and_prices__add_up() -> None:
    costs = Costs(gas_price=GWEI, eth_price=2_000 * WAD)
    assert costs.of(0) == GAS_OF_BATCH * GWEI * 2_000
    gas = GAS_OF_BATCH + 3 * GAS_OF_ORDER + 2 * GAS_OF_VOID + GAS_OF_PRICE
    assert costs.of(3, 2, 1) == gas * GWEI * 2_000
    assert costs.of_order() == GAS_OF_ORDER * GWEI * 2_000
    l1 = Costs(eth_price=2_000 * WAD, l1_batch=100, l1_order=10)
    assert l1.of(3, 2, 1) == (100 + 10 * (3 + 2 + 2)) * 2_000
    assert Costs().of(40) == 0


def test_of__fraction_of_a_wei__is_rounded_up() -> None:
    assert Costs(gas_price=1, eth_price=1).of(0) == 1


@pytest.mark.parametrize(
    ("rewards", "count"),
    [
        ([], 0),
        ([4], 0),
        ([5], 1),
        ([6], 1),
        ([3, 9], 2),
        ([6, 1], 1),
        ([6, 2, 2], 3),
        ([0, 0, 0], 0),
        ([6, 0, 9, 1], 3),
    ],
)
def test_best_prefix__costs_of_3_and_2_an_order__takes_what_pays_best(rewards: list[int], count: int) -> None:
    assert best_prefix(Costs(eth_price=WAD, l1_batch=3, l1_order=2), rewards) == count


def test_best_prefix__free__takes_all() -> None:
    assert best_prefix(Costs(), [0, 0]) == 2


def test_read__no_rollup__is_gas_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.chain, "fees", lambda: (9 * GWEI, 2 * GWEI))
    assert GasMeter(world.chain, 500).read(BLOCK, WAD) == Costs(5 * GWEI, WAD, margin_bps=500)


def test_read__rollup__asks_its_oracle_of_fees(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 wei and 7 for each byte."""
    monkeypatch.setattr(world.chain, "code", lambda address: b"1" if address == GAS_PRICE_ORACLE else b"")

    def read(calls: list[Any], *, block: int) -> list[int]:
        assert all((call.to, call.data[:4]) == (GAS_PRICE_ORACLE, bytes.fromhex("f1c7a58b")) for call in calls)
        return [call.decode((1_000 + 7 * int.from_bytes(call.data[4:], "big")).to_bytes(32, "big")) for call in calls]

    monkeypatch.setattr(world.chain, "read", read)
    costs = GasMeter(world.chain).read(BLOCK, WAD)
    assert (costs.l1_batch, costs.l1_order) == (1_000 + 7 * BYTES_OF_BATCH, 7 * BYTES_OF_ORDER)


def test_learn__receipts__bring_the_gas_of_an_order_nearer(world: World) -> None:
    meter = GasMeter(world.chain)
    meter.learn(GAS_OF_BATCH + 2 * 70_000, 2)
    assert meter.read(BLOCK, WAD).gas_of_order == (3 * GAS_OF_ORDER + 70_000) // 4
    meter.learn(10**9, 0)
    assert meter.read(BLOCK, WAD).gas_of_order == (3 * GAS_OF_ORDER + 70_000) // 4
