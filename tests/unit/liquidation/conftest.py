"""A core, and accounts in it whose equity is set to the wei."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import WAD, Core, deploy_core
from tests.support.evm import Evm

SetEquity = Callable[[int, int], None]


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def bystander(core: Core) -> int:
    """Whoever cash is moved from and to where a test needs an account to have an exact sum."""
    return core.trader("bystander", 50_000_000)


@pytest.fixture
def set_equity(core: Core, bystander: int) -> SetEquity:
    """`set_equity(account, equity)`: makes the equity of health so much, WAD dollars; the ledger still adds up."""

    def set_it(account: int, equity: int) -> None:
        found, _ = core.market.healthOf(account)
        postings = [(account, equity - found, 0, 0), (bystander, found - equity, 0, 0)]
        core.vault.post(postings, sender=core.pool)

    return set_it


Weaken = Callable[[int, int], int]


@pytest.fixture
def weaken(core: Core, set_equity: SetEquity) -> Weaken:
    """`weaken(account, health)`: sets the equity to ⌊maintenance × health⌋, WAD; returns that equity."""

    def weaken_it(account: int, health: int) -> int:
        _, required = core.market.healthOf(account)
        equity: int = required * health // WAD
        set_equity(account, equity)
        return equity

    return weaken_it
