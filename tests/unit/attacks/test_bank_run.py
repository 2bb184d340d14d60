"""Attack 4: the pool's account of a market is insolvent after a gap, and winners close at P before the others.

In a draft the first ones had all of their gain and the last ones bore the whole shortfall. Now what is due comes first
in whatever they try, and takes the same fraction of each at the same price."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.core import ETH, KEEPER, PROVIDER, WAD, account_id, deploy_core
from tests.support.evm import Evm, Receipt, Revert
from tests.support.signed import Signed
from tests.unit.attacks.reference import wealth

GAP = 4_000 * WAD
SIZE = 700 * WAD
WEI = 10**8
"""Of dollars: roundings."""


class Run:
    """Two longs of one size, mallory's and a victim's, shorts against a part of them, and a pool that owes them more
    than it has after the price rose by a third. Mallory has a fresh account, too, and his ways are prepared."""

    def __init__(self, evm: Evm, shorts: int) -> None:
        core = self.core = deploy_core(evm, markets=1, pool_dollars=20_000_000)
        self.signed = signed = Signed(core)
        self.mallory = signed.trader("mallory", 2_000_000)
        self.fresh = signed.trader("fresh", 2_000_000)
        self.victim = core.trader("victim", 2_000_000)
        self.sick = core.trader("sick", 2_000_000)
        bystander = core.trader("bystander", 30_000_000)
        if shorts:
            core.open(bystander, ETH, -shorts)
        core.open(self.sick, ETH, -10 * WAD)
        core.open(self.mallory, ETH, SIZE)
        core.open(self.victim, ETH, SIZE)
        self.leave = core.request_redeem(core.pool, account_id(PROVIDER), core.pool.balanceOf(PROVIDER) // 2)
        core.tick(86_398)
        self.order = core.order(self.mallory, ETH, -SIZE, reduce_only=True)
        core.place(self.order)
        core.tick(2, {ETH: GAP})
        core.market.accrue(ETH)
        self._set(self.sick, core.market.healthOf(self.sick)[1] // 2 - core.market.healthOf(self.sick)[0], bystander)
        pool = core.pool_account(ETH)
        self._set(pool, -300_000 * WAD - core.market.poolCapital(ETH)[0], bystander)
        self.mine = [self.mallory, self.fresh]

    def _set(self, account: int, change: int, bystander: int) -> None:
        """An account has so much more, from a bystander."""
        self.core.vault.post([(account, change, 0, 0), (bystander, -change, 0, 0)], sender=self.core.pool)

    def trade(self) -> None:
        """He placed it in time, before the gap, so to speak."""
        receipt: Receipt = self.core.execute(self.order)
        assert receipt.events("OrderExecuted") or receipt.events("OrderFailed")

    def match(self) -> None:
        self.signed.match(*self._pair(reduce_only=True))

    def match_into_the_fresh_account(self) -> None:
        """Without reduce-only, so that what is cut meanwhile doesn't refuse it."""
        self.signed.match(*self._pair(reduce_only=False))

    def match_what_is_left(self) -> None:
        """As much as he will have after it, if he knows the fraction."""
        with self.core.evm.isolated():
            self.core.liquidator.deleverage(ETH, [])
            left = self.core.market.position(self.mallory, ETH)[0]
        self.signed.match(*self._pair(reduce_only=True, size=left))

    def _pair(self, *, reduce_only: bool, size: int = SIZE) -> tuple[dict[str, object], dict[str, object]]:
        maker = self.signed.limit(self.fresh, ETH, size, GAP)
        return maker, self.signed.limit(self.mallory, ETH, -size, GAP, reduce_only=reduce_only)

    def take_over(self) -> None:
        """Somebody's sick short closes a part of his long at P and better."""
        self.core.liquidator.takeOver(
            self.sick, ETH, -10 * WAD, self.mallory, b"", [], sender=self.signed.know("mallory")
        )

    def take_over_into_the_fresh_account(self) -> None:
        self.core.liquidator.takeOver(self.sick, ETH, -10 * WAD, self.fresh, b"", [], sender=self.signed.know("fresh"))

    def exit(self) -> None:
        self.core.pool.executeRequest(self.leave, sender=KEEPER)


WAYS: dict[Callable[[Run], None], str] = {
    Run.trade: "",
    Run.match: "PerpMarket_NothingToReduce",
    Run.match_into_the_fresh_account: "PerpMarket_OpenInterestLimit",
    Run.match_what_is_left: "PerpMarket_OpenInterestLimit",
    Run.take_over: "",
    Run.take_over_into_the_fresh_account: "",
    Run.exit: "",
}
"""And what refuses it, if anything."""


@pytest.mark.parametrize("shorts", [0, 400 * WAD], ids=["alone", "matched_in_part"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_bank_run__first_out__gets_no_more_than_who_waits(evm: Evm, way: Callable[[Run], None], shorts: int) -> None:
    run = Run(evm, shorts)
    core = run.core
    assert core.market.poolCapital(ETH)[0] == -300_000 * WAD
    ahead = wealth(core, run.mine), core.market.equity(run.victim)
    with core.evm.isolated():
        core.liquidator.deleverage(ETH, [])
        mine, victims = wealth(core, run.mine), core.market.equity(run.victim)
        assert mine < ahead[0] - 100_000 * WAD  # a shortfall of 300,000, and two who bear it
        assert abs((ahead[0] - mine) - (ahead[1] - victims)) <= WEI
        maintained = core.market.healthOf(run.sick)
    try:
        way(run)
    except Revert as refusal:
        assert refusal.name == WAYS[way]  # noqa: PT017
        core.liquidator.deleverage(ETH, [])  # refused, and it is as it was
    assert core.market.equity(run.victim) >= victims - WEI
    discount = max(0, maintained[0]) if "take_over" in way.__name__ else 0
    assert wealth(core, run.mine) <= mine + discount + WEI
    core.token.mint(core.vault, 1)
    assert abs(core.check_sums(2 * core.unit, 10**5) - core.unit) <= 10**9


def test_bank_run__all_leave_one_after_the_other__the_last_has_what_the_first_has(evm: Evm) -> None:
    """Whatever is left of them after the event is backed by the shorts: who closes first pays the same impact as the
    last, and nobody finds the pool empty."""
    run = Run(evm, 400 * WAD)
    core = run.core
    core.liquidator.deleverage(ETH, [])
    results = []
    for account, close in (
        (run.mallory, lambda: core.execute(run.order)),
        (run.victim, lambda: core.close(run.victim, ETH)),
    ):
        held, before = core.market.position(account, ETH)[0], core.market.equity(account)
        close()
        assert core.market.position(account, ETH) == (0, 0, 0)
        results.append((before - core.market.equity(account)) * WAD // held)
    assert all(0 <= lost <= 10 * WAD for lost in results)  # fee and impact, in dollars a unit of 4,000
    core.token.mint(core.vault, 1)
    assert abs(core.check_sums(2 * core.unit, 10**5) - core.unit) <= 10**9
