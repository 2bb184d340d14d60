"""Bankrupt accounts, and debts that neither fund nor pool can pay."""

from __future__ import annotations

from plimsoll.risk.liquidation import Absorption
from plimsoll.risk.shutdown import is_closing
from tests.stateful.choices import Choices
from tests.stateful.people import TRADERS, actor, address, main
from tests.stateful.world import MARKETS, WAD, World
from tests.support.core import TREASURY, account_id
from tests.support.evm import Receipt


def absorb(w: World, account: int, keeper: str) -> None:
    def check(done: Absorption, receipt: Receipt) -> None:
        names = ("marketId", "base", "flow", "zeroPrice", "fraction")
        got = [tuple(event[name] for name in names) for event in receipt.events("ClosedAgainstSide")]
        w.hold([tuple(one) for one in done.against_sides], got, "what was closed against a side")
        for event in receipt.events("SideCharged"):
            if is_closing(w.model.state.markets[event["marketId"]]):
                w.count("a side charged in a closing market")

    w.call(
        "absorb",
        lambda: w.model.absorb(account, now=w.now, sender=address(keeper)),
        actor(keeper),
        w.core.liquidator.absorb,
        account,
        [],
        touches=(account, main(keeper), w.core.fund_main),
        check=check,
    )


def drown(w: World, c: Choices) -> None:
    """No call that anyone could make: who holds something owes more than there is. What fund, pool and he had is the
    treasury's meanwhile, and comes back mostly; what he owed is the fund's then."""
    account = c.pick(w.accounts)
    markets = [market for market in MARKETS if w.model.position(account, market, w.now)[0]]
    if not markets:
        return
    fund = w.core.fund_main
    taken = {fund: w.model.cash_of(fund) - c.integer(0, 100) * WAD}
    exposure = 0
    for market in markets:
        worth = abs(w.model.skew(market)) * w.prices[market] // WAD
        exposure += worth
        left = worth * c.integer(35, 60) // 100
        taken[account_id(w.core.pool, market)] = w.model.pool_capital(market, w.now) - left
    debt = exposure * c.integer(0, 150) // 100 + c.integer(1, 5_000) * WAD
    taken[account] = w.model.equity(account, w.now)
    for giver, amount in taken.items():
        _move(w, giver, account_id(TREASURY), amount)
    _move(w, account, account_id(TREASURY), debt)
    absorb(w, account, c.pick(TRADERS))
    for taker, amount in taken.items():
        _move(w, account_id(TREASURY), taker if c.chance(80) else fund, amount)
    _move(w, account_id(TREASURY), fund, debt)


def _move(w: World, giver: int, taker: int, amount: int) -> None:
    """Cash, of either sign; the ledger adds up as before."""
    w.calls += 1
    w.core.vault.post([(giver, -amount, 0, 0), (taker, amount, 0, 0)], sender=w.core.pool)
    w.model.state.credit(giver, -amount)
    w.model.state.credit(taker, amount)
    w.compare((giver, taker))
