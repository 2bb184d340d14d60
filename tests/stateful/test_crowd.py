"""Ten thousand positions closed in part by one transaction, each then touched and compared with the model."""

from __future__ import annotations

import pytest

from plimsoll.risk.market import LONG
from tests.stateful.people import actor, address
from tests.stateful.world import WAD, World
from tests.support.core import ETH, account_id

POSITIONS = 10_000
SIZE = WAD * 34 // 100
"""Of each, ETH: just above the smallest position; all of them 10.2 million dollars."""


def trade(w: World, account: int, size: int) -> None:
    record = w.core.oracle.newest(ETH)
    w.call(
        "trade",
        lambda: w.model.trade(account, ETH, size, now=w.now, sender=address("keeper"), acceptable=2**200 * (size > 0)),
        w.core.order_book.address,
        w.core.market.trade,
        (account, ETH, size, 2**200 * (size > 0), False, 0, 0, actor("keeper"), record, record),
        touches=(account,),
    )


def move_capital(w: World, capital: int) -> None:
    """No call that anyone could make: what the pool has in the market becomes so much, WAD dollars, by the fund."""
    pool = account_id(w.core.pool, ETH)
    amount = w.model.pool_capital(ETH, w.now) - capital
    w.core.vault.post([(pool, -amount, 0, 0), (w.core.fund_main, amount, 0, 0)], sender=w.core.pool)
    w.model.state.credit(pool, -amount)
    w.model.state.credit(w.core.fund_main, amount)


@pytest.mark.deep
def test_deleverage__ten_thousand_positions__each_is_what_the_model_says() -> None:
    w = World()
    accounts = [account_id(actor("many"), 0, index) for index in range(POSITIONS)]
    cash = 2_000 * WAD
    for start in range(0, POSITIONS, 500):
        part = accounts[start : start + 500]
        funding = [(w.core.fund_main, -cash * len(part), 0, 0), *((account, cash, 0, 0) for account in part)]
        w.core.vault.post(funding, sender=w.core.pool)
        w.model.state.credit(w.core.fund_main, -cash * len(part))
        for account in part:
            w.model.state.credit(account, cash)
    move_capital(w, 30_000_000 * WAD)
    for account in accounts:
        trade(w, account, SIZE)
    skew = w.model.skew(ETH)
    assert skew == POSITIONS * SIZE
    move_capital(w, skew * w.prices[ETH] // WAD // 6)
    w.evm.advance(1)

    done = w.call(
        "deleverage",
        lambda: w.model.deleverage(ETH, now=w.now),
        actor("anyone"),
        w.core.liquidator.deleverage,
        ETH,
        [],
    )
    assert done.sign == LONG
    assert WAD // 2 < done.fraction < WAD
    move_capital(w, 10_000_000 * WAD)
    for account in accounts:
        held = w.model.position(account, ETH, w.now)
        assert tuple(w.core.market.position(account, ETH)) == held
        trade(w, account, -held[0])  # whoever is touched is settled: every word of his and of the market's is compared
        assert w.model.position(account, ETH, w.now) == (0, 0, 0)
    assert 0 <= w.model.skew(ETH) <= POSITIONS * 4
    w.model.check_sums(w.now)
