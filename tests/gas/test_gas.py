"""What flows cost is a committed snapshot: a change of it is a decision, explained where it is committed."""

from __future__ import annotations

import json

import pytest

from tests.gas.__main__ import SNAPSHOT
from tests.gas.flows import CEILINGS, UPDATE_CEILING, Measured, measure_all


@pytest.fixture(scope="module")
def measured(built: None) -> dict[str, Measured]:
    return measure_all()


def test_gas__every_flow__equals_the_committed_snapshot(measured: dict[str, Measured]) -> None:
    snapshot = {name: one["gas"] for name, one in json.loads(SNAPSHOT.read_text()).items()}
    now = {name: one.gas for name, one in measured.items()}
    pairs = {name: (snapshot.get(name), now.get(name)) for name in snapshot | now}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    assert not changed, f"gas (committed, now) changed: {changed}; if it should, `make gas` and say why in the commit"


@pytest.mark.parametrize("flow", CEILINGS)
def test_gas__flow_with_a_ceiling__stays_below_it(measured: dict[str, Measured], flow: str) -> None:
    assert measured[flow].gas <= CEILINGS[flow]


@pytest.mark.parametrize("flow", ["execute_open", "liquidate"])
def test_gas__three_beacons_in_the_same_transaction__add_little(measured: dict[str, Measured], flow: str) -> None:
    assert measured[f"{flow}_with_update"].gas - measured[flow].gas <= UPDATE_CEILING
