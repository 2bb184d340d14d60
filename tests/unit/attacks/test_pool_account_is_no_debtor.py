"""The pool's accounts are no traders' accounts."""

from __future__ import annotations

from tests.support.core import ETH, KEEPER, WAD, account_id, deploy_core
from tests.support.evm import Evm, reverts


def test_absorb__pool_account_with_negative_cash__is_refused(evm: Evm) -> None:
    """Exits of liquidity take the pool's unrealised gains out as cash, so that the cash of its account of a market may
    be negative while its quote is worth more. In a draft an account without positions and with negative cash counted
    as bankrupt: anyone could absorb the pool's account, the insurance fund paid its "debt", and the caller was paid.
    Source: review of LQ-03.
    """
    core = deploy_core(evm, fund_dollars=50_000)
    pool_account = core.pool_account(ETH)
    core.vault.post([(pool_account, -core.cash(pool_account) - 1_000 * WAD, 0, 0)], sender=core.pool)
    fund_before = core.cash(core.fund_main)
    with reverts("Liquidator_NotBankrupt", pool_account, -1_000 * WAD):
        core.liquidator.absorb(pool_account, [], sender=KEEPER)
    assert core.cash(core.fund_main) == fund_before
    assert core.cash(account_id(KEEPER)) == 0
