"""Ten thousand accounts due at once, on a devnet with a rollup's blocks: only the gas of blocks limits a keeper."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.liquidations.measure import BLOCK_GAS, measure

pytestmark = [pytest.mark.node, pytest.mark.deep]

ACCOUNTS = 10_000


def test_liquidator__ten_thousand_at_once__only_the_blocks_gas_limits_it(built: None, tmp_path: Path) -> None:
    found = measure(ACCOUNTS, tmp_path, print)
    print(found.figures())
    assert found.wrong == ""
    assert (found.twice, found.reverted, found.failed) == (0, 0, 0)
    assert found.order == 0  # the largest risk first
    assert found.gas_each <= 90_000
    assert found.largest <= BLOCK_GAS // 16
    assert found.ratio <= 1.1
