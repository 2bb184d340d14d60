"""What `healthOf` costs a node: calls of the real contracts in an EVM in this process, without RPC or disk."""

from __future__ import annotations

import time

from tests.support.core import BTC, ETH, WAD, deploy_core
from tests.support.evm import ANYONE, Evm

ACCOUNTS = 20
TURNS = 30


def seconds_an_account() -> float:
    """Of an account with two positions: the least of some turns through all."""
    evm = Evm()
    core = deploy_core(evm)
    accounts = [core.trader(f"holder {place}", 20_000) for place in range(ACCOUNTS)]
    for account in accounts:
        core.open(account, ETH, 2 * WAD)
        core.open(account, BTC, WAD // 10)
    market = core.market
    calls = [market.healthOf.encode(account) for account in accounts]
    least = float("inf")
    for _ in range(TURNS):
        start = time.perf_counter()
        for data in calls:
            evm.call_raw(ANYONE, market.address, data, static=True)
        least = min(least, (time.perf_counter() - start) / ACCOUNTS)
    return least
