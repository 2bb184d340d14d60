"""The benchmark, on few accounts: that it measures what it says, not how fast anything is."""

from __future__ import annotations

from tests.bench.health.__main__ import measure
from tests.bench.health.peers import in_turn
from tests.bench.health.population import move_prices, populated


def test_measure__few_accounts__finds_whom_the_model_finds() -> None:
    found = measure(2_000)
    monitor = populated(2_000, 0.05)
    now = move_prices(monitor, -4.0)
    assert len(monitor.liquidatable(now)) == in_turn(monitor, now, 2_000) > 100
    assert found.crash_found > 50
    assert found.lookup_missed > 0
    assert min(found.ms, found.crash_ms, found.rekey_ms, found.in_turn_ms, found.bytes_used) > 0
