"""What an attacker owns, and the steps that several attacks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.core import ETH, ETH_PRICE, WAD, Core, account_id, actor
from tests.support.evm import Receipt

MALLORY = actor("mallory")
"""The attacker. His main account is his keeper account too: rewards and execution fees come back to it."""


def wealth(core: Core, accounts: Sequence[int]) -> int:
    """Equity of all the attacker's accounts at the index, WAD dollars."""
    return sum(core.market.equity(account) for account in accounts)


def main_account(core: Core, dollars: int = 0) -> int:
    """The attacker's main account."""
    return core.trader("mallory", dollars) if dollars else core.track(account_id(MALLORY))


def base_of(dollars: int, price: int) -> int:
    """A size worth so many dollars, WAD."""
    return dollars * WAD * WAD // price


def crowd(core: Core, millions: int, *, balanced: bool) -> list[int]:
    """Longs of a million dollars each at nearly 20x, and as many shorts against them where the skew is to stay flat."""
    base = base_of(1_000_000, ETH_PRICE)
    longs = []
    for index in range(millions):
        if balanced:
            core.open(core.trader("bystander", 1_000_000, index=index), ETH, -base)
        impact = (core.market.fillPrice(ETH, base) - ETH_PRICE) * 1_000_000 // ETH_PRICE
        longs.append(core.trader("victim", 52_600 + impact, index=index))
        core.open(longs[-1], ETH, base)
    return longs


def place(core: Core, order: Mapping[str, Any]) -> bytes:
    """Place as the attacker; the order's hash."""
    placed: bytes = core.order_book.place(order, sender=MALLORY).value
    return placed


def execute(core: Core, order: Mapping[str, Any]) -> Receipt:
    """Execute as the attacker, who gets the execution fee; the order is filled."""
    receipt: Receipt = core.order_book.execute(order, [], sender=MALLORY)
    receipt.event("OrderExecuted")
    return receipt
