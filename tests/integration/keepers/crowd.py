"""Many accounts of one owner with a position each, which the next fall of the price makes unhealthy at once."""

from __future__ import annotations

from typing import Any

from plimsoll.chain.transactions import Call
from plimsoll.core.units import WAD
from plimsoll.sdk.events import Absorbed, Liquidated
from tests.integration.keepers.conftest import Stage, asked, until

ETH = "ETH/USD"
PRICE, LOW = 2_500, 2_400
"""The price at which they enter, and one at which all of them are due."""
DOLLARS = 260
"""In each account; 2 ETH at 2,500 dollars are about twenty times as much."""


def open_positions(stage: Stage, count: int, *, owner: str = "alice") -> list[int]:
    """Accounts with 2 ETH long each. A publisher and an executor must run."""
    client = stage.client(owner)
    accounts = [client.account(index=index) for index in range(count)]
    vault, token, amount = client.contracts.vault, client.contracts.token, DOLLARS * 10**client.contracts.token_decimals
    calls = [token.prepare("approve", vault, amount * count, gas=100_000)]
    calls += [vault.prepare("deposit", account, amount, gas=200_000) for account in accounts]
    client.signer.send_many(calls, check=True)
    for start in range(0, count, 25):
        client.place_together(
            [client.market_order(ETH, 2, account=account, slippage_bps=500) for account in accounts[start : start + 25]]
        )
    holdings = [client.contracts.market.prepare("position", account, client.market_id(ETH)) for account in accounts]
    until("all are open", lambda: all(found[0] for found in read(stage, holdings)), 60)
    return accounts


def read(stage: Stage, calls: list[Call]) -> list[Any]:
    """At one block by its number."""
    chain = stage.devnet.chain
    return asked(lambda: chain.read(calls, block=chain.block_number))


def unhealthy(stage: Stage, accounts: list[int]) -> list[int]:
    """Those that can be liquidated now."""
    liquidator = stage.client("alice").contracts.liquidator
    calls = [liquidator.prepare("isLiquidatable", account) for account in accounts]
    return [one for one, due in zip(accounts, read(stage, calls), strict=True) if due]


def close_outs(stage: Stage) -> dict[int, list[Liquidated | Absorbed]]:
    """What was done to each account, in order."""
    found: dict[int, list[Liquidated | Absorbed]] = {}
    for record in stage.client("alice").history([Liquidated, Absorbed]):
        if isinstance(record, Liquidated | Absorbed):
            found.setdefault(record.account, []).append(record)
    return found


def crash(stage: Stage, price: int = LOW) -> None:
    stage.set_prices({ETH: price * WAD})
