"""Steps that several of these tests take."""

from __future__ import annotations

from typing import Any

from tests.support.core import ETH, KEEPER, WAD, Core, account_id
from tests.support.evm import Receipt


def liquidate(core: Core, account: int, market: int = ETH, sender: Any = KEEPER) -> Receipt:
    core.track(account_id(sender))
    receipt: Receipt = core.liquidator.liquidate(account, market, [], sender=sender)
    return receipt


def absorb(core: Core, account: int, sender: Any = KEEPER) -> Receipt:
    core.track(account_id(sender))
    receipt: Receipt = core.liquidator.absorb(account, [], sender=sender)
    return receipt


def take_over(core: Core, account: int, base: int, to_account: int, sender: Any, market: int = ETH) -> Receipt:
    core.track(to_account)
    receipt: Receipt = core.liquidator.takeOver(account, market, base, to_account, b"", [], sender=sender)
    return receipt


def fall(core: Core, dollars: int, market: int = ETH) -> None:
    """A second later a market's price is another."""
    core.tick(1, {market: dollars * WAD})
