"""Debts made on purpose: of what neither fund nor pool can pay, the side opposite the bankrupt account pays its part.

It takes a gap of 40 % and more, or a pool that was ruined before: as long as the pool has the base that it took over,
or a third of what it is short, it bears the debt itself or through what is deleveraged. Here a gap of 50 % makes a long
of 40 units at 20x owe $54,000. Against 40 units of his own on either side the others have 20 on that of the shorts, 60
on that of the longs. The pool has just enough, $20,000, not to be deleveraged, or $45,000, which allows the open
interest that there is. What he has more than if he had paid, before that was charged to anybody $54,000 as soon as his
shorts were out first:

    the pool has                                          $20,000     $45,000
    his shorts stay                                       $31,300     $48,000   what is missing: he pays two thirds
    they pass to a fresh account of his                   refused     $48,000   the same
    no short is there but his                             $20,000     $45,000   what the pool had
    they pass to an account with no more than its margin  refused     $50,800   which owes the rest of its part, and is
                                                                                absorbed in turn: limited liability
"""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PRICE, KEEPER, WAD, Core, deploy_core
from tests.support.evm import Evm, reverts
from tests.support.signed import Signed
from tests.unit.attacks.reference import wealth
from tests.unit.liquidation.scene import CROWD, SIZE, Scene

PRICE = ETH_PRICE // 2
POOR, RICH = 20_001 * WAD, 45_001 * WAD
IMPACT = 20 * WAD
"""Of the fills."""


class Plot(Scene):
    """His long at 20x and his short; others' longs, and their shorts up to as many. Then the gap."""

    def __init__(self, evm: Evm, had: int, short: int = SIZE) -> None:
        self.had = had
        core = deploy_core(evm, markets=1)
        self.signed = Signed(core)
        self.short = self.signed.trader("mallory", 1_000_000)
        core.open(self.short, ETH, -short)
        super().__init__(core, 1, crowd=0)
        if CROWD - short:
            core.open(self.opposite, ETH, short - CROWD)
        core.open(self.beside, ETH, CROWD)
        core.tick(1)
        self.give(self.debtor, core.market.requirements(self.debtor)[0] - core.market.equity(self.debtor))
        self.mine = [self.short, self.debtor]
        self.give(core.pool_account(ETH), 10**6 * WAD)
        core.tick(1, {ETH: PRICE})
        core.market.accrue(ETH)
        self.give(core.pool_account(ETH), had - self.capital)
        assert core.market.skew(ETH) == SIZE

    def pass_on(self, dollars: int) -> int:
        """His short to an account of his with so much."""
        fresh = self.signed.trader("fresh", dollars)
        self.mine.append(fresh)
        maker = self.signed.limit(fresh, ETH, -SIZE, PRICE)
        self.signed.match(maker, self.signed.limit(self.short, ETH, SIZE, PRICE, reduce_only=True))
        self.give(self.core.pool_account(ETH), self.had - self.capital)  # without the fees
        return fresh

    def earn(self) -> tuple[int, int, int]:
        """What he has more after his long is absorbed: (that, its debt, what the shorts were charged)."""
        before = wealth(self.core, self.mine)
        receipt = self.absorb()
        charge = sum(event["amount"] for event in receipt.events("SideCharged"))
        return wealth(self.core, self.mine) - before, receipt.event("DebtCovered")["debt"], charge


HAD = pytest.mark.parametrize("had", [POOR, RICH], ids=["poor", "rich"])


@HAD
def test_debt_on_purpose__his_short__pays_its_part(evm: Evm, had: int) -> None:
    plot = Plot(evm, had)
    earned, debt, charge = plot.earn()
    assert 53_000 * WAD < debt < 55_000 * WAD
    assert abs(charge - debt + had) < IMPACT
    assert abs(earned - debt + charge * SIZE // CROWD) < IMPACT
    assert plot.capital == 0
    plot.check()


@HAD
def test_debt_on_purpose__nobody_else_on_the_side__earns_what_the_pool_had(evm: Evm, had: int) -> None:
    plot = Plot(evm, had, short=CROWD)
    earned, debt, charge = plot.earn()
    assert abs(charge - debt + had) < IMPACT
    assert abs(earned - had) < IMPACT
    plot.check()


def test_debt_on_purpose__passed_on_where_the_pool_is_poor__is_refused(evm: Evm) -> None:
    """Who takes a position grows, and the open interest is more than twice what the pool has."""
    plot = Plot(evm, POOR)
    with reverts("PerpMarket_OpenInterestLimit", CROWD * PRICE // WAD, 2 * POOR):
        plot.pass_on(1_000_000)


def test_debt_on_purpose__passed_to_a_fresh_account__pays_its_part_there(evm: Evm) -> None:
    plot = Plot(evm, RICH)
    plot.pass_on(1_000_000)
    earned, debt, charge = plot.earn()
    assert abs(charge - debt + RICH) < IMPACT
    assert abs(earned - debt + charge * SIZE // CROWD) < IMPACT
    plot.check()


def test_debt_on_purpose__passed_to_an_account_with_its_margin__loses_that(evm: Evm) -> None:
    """For which he has to be there before whoever absorbs his long."""
    plot = Plot(evm, RICH)
    fresh = plot.pass_on(3_200)
    before, margin, longs = wealth(plot.core, plot.mine), plot.equity(fresh), plot.equity(plot.beside)
    receipts = [plot.absorb(), plot.core.liquidator.absorb(fresh, [], sender=KEEPER)]
    first, second = (receipt.event("DebtCovered")["debt"] for receipt in receipts)
    part = receipts[0].event("SideCharged")["amount"] * SIZE // CROWD
    assert abs(second - part + margin) < IMPACT
    assert receipts[1].event("Deleveraged")["isLong"]
    assert abs(longs - plot.equity(plot.beside) - second) < IMPACT
    assert abs(wealth(plot.core, plot.mine) - before - first + margin) < IMPACT
    plot.check()


def test_debt_on_purpose__in_many_accounts__is_charged_no_more_than_in_one(core: Core) -> None:
    """Ten debts of a thousand are one of ten thousand, to the wei a debt."""
    scene = Scene(core, 1, size=2 * WAD)
    scene.give(core.pool_account(ETH), -scene.capital)
    paid = []
    for debts in (1, 10):
        with core.evm.isolated():
            before = scene.equity(scene.opposite)
            for _ in range(debts):
                core.market.chargePool(ETH, 100_000 * WAD // debts, WAD, sender=core.liquidator)
            paid.append(before - scene.equity(scene.opposite))
    assert abs(paid[0] - paid[1]) <= 10**6


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


# --- one after the other ---


@pytest.mark.parametrize(("dollars", "gone"), [(50_000, 1), (400_000, 8), (2_000_000, 8)])
def test_chain__who_can_not_pay_his_part__is_absorbed_and_it_ends(core: Core, dollars: int, gone: int) -> None:
    """Four a side with $25,000 each, and a debt that their side can pay, then one that all of them can't. Who can't pay
    his part is absorbed, and owes less than that; what is missing at the end is what all together did not have."""
    bystander = core.trader("bystander", 50_000_000)
    accounts = []
    for index in range(4):
        for name, sign in (("long", 1), ("short", -1)):
            accounts.append(core.trader(name, 25_000, index=index))
            core.open(accounts[-1], ETH, sign * 20 * WAD)
    core.tick(1)
    core.market.accrue(ETH)

    def give(account: int, amount: int) -> None:
        core.vault.post([(account, amount, 0, 0), (bystander, -amount, 0, 0)], sender=core.pool)

    give(core.pool_account(ETH), -core.market.poolCapital(ETH)[0])
    give(accounts[0], -dollars * WAD - core.market.equity(accounts[0]))
    debtors = accounts[:1]
    debts = []
    while debtors:
        debts.append(core.liquidator.absorb(debtors[0], [], sender=KEEPER).event("DebtCovered")["debt"])
        accounts.remove(debtors[0])
        core.market.accrue(ETH)
        debtors = [account for account in accounts if core.market.equity(account) < 0]
    assert len(debts) == gone
    assert all(debt < debts[0] for debt in debts[1:])
    missing = max(0, dollars - 25_000 * 7) * WAD
    assert abs(core.market.poolCapital(ETH)[0] + missing) < 200 * WAD  # fees, and the fills' impact
    core.token.mint(core.vault, 1)
    assert abs(core.check_sums(2 * core.unit, 10**6) - core.unit) <= 10**10
