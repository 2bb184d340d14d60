"""`make bench-health`: the monitor at three sizes, and others' designs on the same books; the last line is JSON."""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from plimsoll.health.monitor import Monitor
from tests.bench.health.paging import seconds_an_account
from tests.bench.health.peers import in_turn, keyed, passed
from tests.bench.health.population import move_prices, populated

SIZES = (10_000, 100_000, 1_000_000)
TURNS = 15
CALM_BELOW = 0.0001
"""The share below maintenance at each price: what a book looks like whose liquidators work."""
CRASH_PERCENT = -4.0
IN_TURN = 10_000


class Measured(NamedTuple):
    """Milliseconds for all accounts; counts of accounts."""

    accounts: int
    ms: float
    found: int
    crash_ms: float
    crash_found: int
    change_us: float
    bytes_used: float
    in_turn_ms: float
    lookup_ms: float
    rekey_ms: float
    lookup_missed: int
    lookup_wrong: int


def milliseconds(action: Callable[[], object], turns: int = TURNS, before: Callable[[], object] | None = None) -> float:
    """The median of some turns; `before` each isn't counted."""
    found = []
    for _ in range(turns):
        if before is not None:
            before()
        start = time.perf_counter()
        action()
        found.append((time.perf_counter() - start) * 1e3)
    return statistics.median(found)


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(accounts: int) -> Measured:
    at_first = resident()
    monitor = populated(accounts, CALM_BELOW)
    now = move_prices(monitor, 0)
    found = len(monitor.liquidatable(now))
    used = max(monitor.nbytes, resident() - at_first) / accounts
    moves = iter(range(10**6))

    def priced() -> None:
        nonlocal now
        now = move_prices(monitor, 0.02 if next(moves) % 2 else -0.02)

    calm = milliseconds(lambda: monitor.liquidatable(now), before=priced)
    change_us = 1e3 * milliseconds(lambda: change(monitor, 1_000), 5) / 1_000
    valued = min(IN_TURN, accounts)
    one_by_one = milliseconds(lambda: in_turn(monitor, now, valued), 3) * accounts / valued

    rekey = milliseconds(lambda: keyed(monitor, now), 3)
    keys, before = keyed(monitor, now), set(monitor.liquidatable(now))
    now = move_prices(monitor, CRASH_PERCENT)
    lookup = milliseconds(lambda: passed(monitor, keys, now), 3)
    crash = milliseconds(lambda: monitor.liquidatable(now), 3)
    unhealthy = set(monitor.liquidatable(now))
    by_keys = {monitor.accounts.id_of(int(row)) for row in passed(monitor, keys, now)} | before
    return Measured(
        accounts, calm, found, crash, len(unhealthy), change_us, used, one_by_one, lookup, rekey,
        len(unhealthy - by_keys), len(by_keys - unhealthy),
    )  # fmt: skip


def change(monitor: Monitor, count: int) -> None:
    """As many accounts' slots and positions set again, and summed up."""
    for row in range(count):
        account = monitor.accounts.id_of(row)
        monitor.set_balance(account, monitor.balance(account))
        for market_id, held in list(monitor.positions(account)):
            monitor.set_position(account, market_id, held)
    monitor._bring_up()


def report(one: Measured, page_ms: float) -> None:
    print(
        f"{one.accounts:>9,} accounts: {one.ms:.2f} ms a price update with {one.found:,} unhealthy, "
        f"{one.crash_ms:.2f} ms at {CRASH_PERCENT:g}% with {one.crash_found:,}; "
        f"{one.bytes_used:.0f} bytes an account, {one.change_us:.1f} µs an account that changed"
    )
    print(f"          eth_call of healthOf in turn  {page_ms:>12,.0f} ms  {page_ms / one.ms:>9,.0f} ×")
    print(f"          model in turn                 {one.in_turn_ms:>12,.0f} ms  {one.in_turn_ms / one.ms:>9,.0f} ×")
    print(
        f"          by liquidation price, kept    {one.lookup_ms:>12,.2f} ms  {one.lookup_ms / one.ms:>9,.2f} ×  "
        f"misses {one.lookup_missed:,} of {one.crash_found:,}, {one.lookup_wrong:,} wrongly"
    )
    print(
        f"          by liquidation price, re-keyed{one.rekey_ms:>12,.2f} ms  {one.rekey_ms / one.ms:>9,.2f} ×",
        flush=True,
    )


def main() -> int:
    page = seconds_an_account()
    print(f"healthOf with two positions: {page * 1e6:.0f} µs a call in-process, without RPC", flush=True)
    found = {}
    for accounts in SIZES:
        found[accounts] = measure(accounts)
        report(found[accounts], page * 1e3 * accounts)
    largest = found[SIZES[-1]]
    print(
        json.dumps(
            {
                "ms_1000000": round(largest.ms, 2),
                "ms_100000": round(found[100_000].ms, 3),
                "bytes_per_account": round(largest.bytes_used),
                "ms_10000": round(found[10_000].ms, 3),
                "crash_ms_1000000": round(largest.crash_ms, 2),
                "times_faster_than_paging": round(page * 1e3 * SIZES[-1] / largest.ms),
                "times_faster_than_model_in_turn": round(largest.in_turn_ms / largest.ms),
                "times_faster_than_rekeying": round(largest.rekey_ms / largest.ms, 1),
                "missed_by_kept_keys": largest.lookup_missed,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
