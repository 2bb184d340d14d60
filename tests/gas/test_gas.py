"""What flows cost is a committed snapshot: a change of it is a decision, explained where it is committed."""

from __future__ import annotations

import json

import pytest

from plimsoll.risk.liquidation import ABSORB_GAS, ABSORB_GAS_A_POSITION, LIQUIDATE_GAS, TRANSACTION_GAS
from tests.gas.__main__ import README, SNAPSHOT, with_figures
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


def test_gas__readme__has_the_figures_of_the_snapshot() -> None:
    text = README.read_text()
    assert with_figures(text, {name: one["gas"] for name, one in json.loads(SNAPSHOT.read_text()).items()}) == text
    assert with_figures("| match (two) | 1 | 2 |", {"match": 1_234}) == "| match (two) | 1,234 | 2 |"


def test_gas__second_liquidation_of_a_transaction__costs_more_than_it_is_paid_for(
    measured: dict[str, Measured],
) -> None:
    """LQ-05: else a contract that liquidates its own accounts, many at once, would earn by it."""
    assert measured["liquidate_second"].gas > LIQUIDATE_GAS
    assert measured["liquidate_batch_40"].gas > LIQUIDATE_GAS + TRANSACTION_GAS // 40


def test_gas__absorption__costs_what_it_is_paid_for(measured: dict[str, Measured]) -> None:
    """LQ-05: an absorption was paid for 180,000 gas and a tenth, and cost 147,000; one that followed another for
    120,000 and a tenth, and cost 85,000. It covers its cost alone, and earns no more than the tenth after another."""
    marginal = ABSORB_GAS + ABSORB_GAS_A_POSITION
    assert measured["absorb"].gas <= (TRANSACTION_GAS + marginal) * 11 // 10
    assert measured["absorb_second"].gas >= marginal


@pytest.mark.parametrize("flow", CEILINGS)
def test_gas__flow_with_a_ceiling__stays_below_it(measured: dict[str, Measured], flow: str) -> None:
    assert measured[flow].gas <= CEILINGS[flow]


@pytest.mark.parametrize("flow", ["execute_open", "liquidate"])
def test_gas__three_beacons_in_the_same_transaction__add_little(measured: dict[str, Measured], flow: str) -> None:
    assert measured[f"{flow}_with_update"].gas - measured[flow].gas <= UPDATE_CEILING
