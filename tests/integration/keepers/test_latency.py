"""From the block in which an account becomes unhealthy to the one in which it is closed out."""

from __future__ import annotations

import statistics

import pytest

from tests.integration.keepers.conftest import Stage, until
from tests.integration.keepers.crowd import close_outs, crash, open_positions, unhealthy

pytestmark = pytest.mark.node

ACCOUNTS = 100
BLOCK_SECONDS = 2.0
"""A rollup's."""


def test_latency__a_hundred_at_once__one_block_and_two_at_worst(stage: Stage, tmp_path: object) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "carol")
    accounts = open_positions(stage, ACCOUNTS)
    liquidator = stage.start("liquidator", "keeper", store=f"{tmp_path}/keepers.sqlite")
    stage.miner.wait, stage.miner.block_time = BLOCK_SECONDS, int(BLOCK_SECONDS)
    crash(stage)
    until("all are healthy again", lambda: len(close_outs(stage)) == ACCOUNTS and not unhealthy(stage, accounts), 60)
    fell = first_due(stage, accounts[0])
    waits = sorted(done[0].block_number - fell for done in close_outs(stage).values())
    print(f"blocks from unhealthy to closed out: median {statistics.median(waits)}, worst {waits[-1]}")
    assert (statistics.median(waits), waits[-1]) <= (1, 2)
    assert waits[-1] <= 2
    assert stage.reverted("keeper") == []
    assert {len(done) for done in close_outs(stage).values()} == {1}
    assert not liquidator.said("trouble")


def first_due(stage: Stage, account: int) -> int:
    """The block since which an account could be liquidated, before it was."""
    liquidator = stage.client("alice").contracts.liquidator
    block = close_outs(stage)[account][0].block_number - 1
    while liquidator.call("isLiquidatable", account, block=block - 1):
        block -= 1
    return block
