"""Steps that tests of orders share, which leave the ledger in balance."""

from __future__ import annotations

from tests.support.core import WAD, Core

BANK_DOLLARS = 1_000_000


def set_cash(core: Core, account: int, cash: int) -> None:
    """Bring an account's cash to exactly this, WAD; another account has the difference."""
    bank = core.trader("bank", BANK_DOLLARS)
    difference = cash - core.cash(core.track(account))
    assert abs(difference) <= BANK_DOLLARS * WAD
    core.vault.post([(bank, -difference, 0, 0), (account, difference, 0, 0)], sender=core.pool)


def add_cash(core: Core, account: int, cash: int) -> None:
    """As `set_cash`, so much more than there is."""
    set_cash(core, account, core.cash(account) + cash)
