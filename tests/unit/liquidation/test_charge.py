"""What fund and pool can't pay of a debt: the side opposite the bankrupt position does, every unit alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, Core, account_id, deploy_core, owner_of
from tests.support.evm import Evm
from tests.unit.liquidation.scene import CROWD, SIZE, Scene, fill
from tests.unit.liquidation.test_shutdown import closed, confirmed

RAY = 10**27
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, market_contract="PerpMarketHarness")


@SIDES
def test_debt__beyond_fund_and_pool__is_charged_to_the_side_opposite(core: Core, sign: int) -> None:
    """PM-10"""
    scene = Scene(core, sign)
    scene.set(capital=50_000 * WAD, debt=150_000 * WAD, fund=30_000 * WAD)
    g, k, open_interest = scene.opposite_side()
    beside, opposite = scene.equity(scene.beside), scene.equity(scene.opposite)

    receipt = scene.absorb()

    covered = receipt.event("DebtCovered")
    assert (covered["debt"], covered["byFund"], covered["byPool"]) == (150_000 * WAD, 30_000 * WAD, 120_000 * WAD)
    assert receipt.event("PoolCharged")["amount"] == 120_000 * WAD
    event = receipt.event("SideCharged")
    charge = event["amount"]
    assert (k, open_interest) == (RAY, CROWD)
    assert abs(charge - 70_000 * WAD) <= 1
    g -= sign * -(-RAY * charge // open_interest)
    quote = core.market.marketState(ETH).poolQuote
    assert event.args == {"marketId": ETH, "isLong": sign < 0, "amount": charge, "g": g, "poolQuote": quote}
    assert receipt.event("PoolCharged")["poolQuote"] == quote - charge
    assert scene.opposite_side() == (g, k, open_interest)
    assert scene.capital == 0
    assert 0 <= opposite - charge - scene.equity(scene.opposite) <= 1
    assert scene.equity(scene.beside) == beside
    assert core.vault.balanceOf(scene.debtor) == core.cash(core.fund_main) == 0
    core.check_sums()


@SIDES
@pytest.mark.parametrize(("short_of", "charge"), [(-1, 0), (0, 0), (1, 1)])
def test_debt__at_what_the_pool_has__costs_the_side_no_more_than_the_rest(
    core: Core, sign: int, short_of: int, charge: int
) -> None:
    scene = Scene(core, sign)
    scene.set(capital=50_000 * WAD, debt=50_000 * WAD)
    scene.give(core.pool_account(ETH), -scene.capital_once_absorbed() - short_of)
    receipt = scene.absorb()
    assert [event["amount"] for event in receipt.events("SideCharged")] == [charge] * charge
    assert scene.capital == max(0, -short_of)


@SIDES
def test_charge__by_base__not_by_gain_nor_entry(core: Core, sign: int) -> None:
    """Three times the base pays three times as much, whatever was paid for it."""
    scene = Scene(core, sign)
    core.tick(1, {ETH: ETH_PRICE * 99 // 100})
    late = core.trader("late", 1_000_000)
    core.open(late, ETH, -sign * 20 * WAD)
    core.open(core.trader("late", 1_000_000, index=1), ETH, sign * 20 * WAD)
    core.market.accrue(ETH)
    scene.set(capital=50_000 * WAD, debt=130_000 * WAD)
    before = [scene.equity(account) for account in (scene.opposite, late)]
    scene.absorb()
    paid = [was - scene.equity(account) for was, account in zip(before, (scene.opposite, late), strict=True)]
    assert abs(paid[0] - 60_000 * WAD) <= 10
    assert abs(paid[1] - 20_000 * WAD) <= 10


@SIDES
def test_charge__more_than_the_side_is_worth__takes_the_price_a_unit_and_leaves_the_rest(core: Core, sign: int) -> None:
    """Nobody loses more by another's debt than his position is worth; the pool's account keeps the hole."""
    scene = Scene(core, sign)
    scene.set(capital=50_000 * WAD, debt=1_050_000 * WAD)
    before = scene.equity(scene.opposite)
    receipt = scene.absorb()
    worth = CROWD * scene.price // WAD
    assert receipt.event("SideCharged")["amount"] == worth
    assert before - scene.equity(scene.opposite) == worth
    assert 0 <= worth - 1_000_000 * WAD - scene.capital <= 1
    assert core.vault.balanceOf(scene.debtor) == 0
    scene.check()


def test_charge__nobody_on_the_other_side__leaves_it_with_the_pool(core: Core) -> None:
    scene = Scene(core, 1, crowd=0)
    scene.set(capital=50_000 * WAD, debt=150_000 * WAD)
    receipt = scene.absorb()
    assert not receipt.events("SideCharged")
    assert abs(scene.capital + 100_000 * WAD) <= 1
    scene.check()


@SIDES
@pytest.mark.parametrize("open_interest", [1, 1_000, 10**12])
def test_charge__open_interest_of_some_wei__never_fails(core: Core, sign: int, open_interest: int) -> None:
    """Of ten million dollars a wei of base pays what it is worth: G fits, whatever it is divided by."""
    core.post(core.pool_account(ETH), -20_000_000 * WAD)
    holder = core.trader("holder", 10)
    fill(core, holder, -sign * open_interest)
    core.market.chargePool(ETH, 10_000_000 * WAD, sign * WAD, sender=core.liquidator)
    assert core.market.equity(holder) == 10 * WAD - open_interest * ETH_PRICE // WAD


@SIDES
def test_debt__pool_with_a_base__is_first_deleveraged(core: Core, sign: int) -> None:
    """The pool stands where the debtor stood: its counterpart pays by being closed at the price at which the pool's
    account is worth nothing, and nothing is left to charge but dust."""
    scene = Scene(core, sign, size=SIZE, crowd=CROWD)
    core.open(scene.opposite, ETH, -sign * SIZE)
    core.market.accrue(ETH)
    assert core.market.skew(ETH) == 0
    scene.set(capital=0, debt=100_000 * WAD)
    beside, opposite = scene.equity(scene.beside), scene.equity(scene.opposite)
    receipt = scene.absorb()
    event = receipt.event("Deleveraged")
    assert (event["isLong"], event["fraction"]) == (sign < 0, SIZE * WAD // (CROWD + SIZE))
    assert sum(event["amount"] for event in receipt.events("SideCharged")) <= 10**6
    assert 0 <= scene.capital <= 10**6
    assert abs(opposite - scene.equity(scene.opposite) - 100_000 * WAD) <= 10**6
    assert scene.equity(scene.beside) == beside
    scene.check()


@SIDES
def test_debt__more_than_the_pools_base_is_worth__charges_what_is_left_of_the_side(core: Core, sign: int) -> None:
    """Closed at nothing, or at twice the price, and the rest out of what is still open."""
    scene = Scene(core, sign)
    core.open(scene.opposite, ETH, -sign * SIZE)
    core.market.accrue(ETH)
    scene.set(capital=0, debt=250_000 * WAD)
    opposite = scene.equity(scene.opposite)
    receipt = scene.absorb()
    assert receipt.event("Deleveraged")["price"] == (2 * ETH_PRICE if sign > 0 else 0)
    assert abs(receipt.event("SideCharged")["amount"] - (250_000 - 120_000) * WAD) <= 10**6
    assert abs(opposite - scene.equity(scene.opposite) - 250_000 * WAD) <= 10**6
    assert scene.capital >= 0
    scene.check()


def test_debt__heavy_side_is_the_debtors_own__bears_it_before_the_other(core: Core) -> None:
    """As any hole of the pool: those whom it owes are closed at its zero price first."""
    scene = Scene(core, 1)
    core.open(scene.beside, ETH, 20 * WAD)
    core.market.accrue(ETH)
    scene.set(capital=61_000 * WAD, debt=161_000 * WAD)
    beside, opposite = scene.equity(scene.beside), scene.equity(scene.opposite)
    receipt = scene.absorb()
    assert receipt.event("Deleveraged")["isLong"]
    paid = beside - scene.equity(scene.beside), opposite - scene.equity(scene.opposite)
    assert abs(paid[0] - 60_000 * WAD) <= 10**6  # 20 units at 3,000, and no more
    assert abs(paid[1] - 40_000 * WAD) <= 10**6
    assert scene.capital >= 0
    scene.check()


def test_debt__of_two_markets__charges_in_each_the_side_opposite_there(core: Core) -> None:
    """Long ETH and short BTC: ETH's shorts, and BTC's longs."""
    debtor = core.trader("debtor", 1_000_000)
    bystander = core.trader("bystander", 50_000_000)
    crowd = {
        (market, sign): core.trader("crowd", 1_000_000, market, sign + 1) for market in (ETH, BTC) for sign in (1, -1)
    }
    sizes = {ETH: CROWD, BTC: 5 * WAD}
    for (market, sign), account in crowd.items():
        core.open(account, market, sign * sizes[market])
    core.open(debtor, ETH, 40 * WAD)
    core.open(debtor, BTC, -3 * WAD)
    core.tick(1, {ETH: 2_990 * WAD, BTC: 40_200 * WAD})

    def give(account: int, amount: int) -> None:
        core.vault.post([(account, amount, 0, 0), (bystander, -amount, 0, 0)], sender=core.pool)

    for market in (ETH, BTC):
        core.market.accrue(market)
        give(core.pool_account(market), 50_000 * WAD - core.market.poolCapital(market)[0])
    give(debtor, -250_000 * WAD - core.market.equity(debtor))
    before = {key: core.market.equity(account) for key, account in crowd.items()}
    receipt = core.liquidator.absorb(debtor, [], sender=KEEPER)
    charges = {event["marketId"]: event for event in receipt.events("SideCharged")}
    assert {market: event["isLong"] for market, event in charges.items()} == {ETH: False, BTC: True}
    shares = [event["amount"] for event in receipt.events("PoolCharged")]
    for (market, sign), account in crowd.items():
        paid = before[(market, sign)] - core.market.equity(account)
        charged = charges[market]["amount"] if sign == (-1 if market == ETH else 1) else 0
        assert abs(paid - charged) <= 10**6
    assert sum(shares) == receipt.event("DebtCovered")["debt"]
    for market, share in zip((ETH, BTC), shares, strict=True):  # less what the pool had, but for the fill's impact
        assert abs(charges[market]["amount"] - share + 50_000 * WAD) < 20 * WAD
        assert core.market.poolCapital(market)[0] == 0
    core.check_sums(10**9, 10**6)


@SIDES
def test_debt__of_a_close_out__is_charged_likewise(core: Core, sign: int) -> None:
    """A close-out whose fill loses more than the account had leaves nothing but debt. The pool has won what it is, so
    it makes no hole; of one that was there it has the side opposite pay no more than the debt."""
    scene = Scene(core, sign)
    core.open(scene.opposite, ETH, -sign * SIZE)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 3 * WAD)
    core.market.accrue(ETH)
    scene.give(scene.debtor, 10 * WAD - core.market.healthOf(scene.debtor)[0])
    scene.give(core.pool_account(ETH), -200_000 * WAD - scene.capital)
    beside, opposite = scene.equity(scene.beside), scene.equity(scene.opposite)
    receipt = core.liquidator.liquidate(scene.debtor, ETH, [], sender=KEEPER)
    assert receipt.event("Liquidated")["base"] == -sign * SIZE
    event = receipt.event("SideCharged")
    debt = receipt.event("DebtCovered")["debt"]
    assert (event["isLong"], event["amount"]) == (sign < 0, debt)
    closed_at_worst = SIZE * ETH_PRICE // WAD
    assert abs(opposite - scene.equity(scene.opposite) - closed_at_worst - debt) <= 10**6
    assert scene.equity(scene.beside) == beside
    scene.check()


def test_debt__position_that_a_closing_ended__charges_nobody(core: Core) -> None:
    """Whose side it was is not known any more, and its own epoch is over: the pool bears it."""
    scene = Scene(core, 1)
    core.market.injectDeleveraging(ETH, True, WAD, ETH_PRICE)
    scene.give(scene.debtor, -50_000 * WAD - scene.equity(scene.debtor))
    scene.give(core.pool_account(ETH), -scene.capital)
    receipt = scene.absorb()
    assert receipt.event("PositionAbsorbed")["base"] == 0
    assert not [event for event in receipt.events("SideCharged") if event["amount"] > 10**6]
    scene.check()


@SIDES
@pytest.mark.parametrize("fraction", [WAD // 3, WAD - 10**10, WAD], ids=["a_third", "nearly_all", "all"])
def test_charge__of_a_side_that_was_cut__is_paid_by_what_is_left(core: Core, sign: int, fraction: int) -> None:
    """K as it is; nobody who came after an epoch pays for one before it, nor who was closed with it."""
    core.post(core.pool_account(ETH), -10_000_000 * WAD)
    early, late = core.trader("early", 1_000_000), core.trader("late", 1_000_000)
    fill(core, early, -sign * CROWD)
    core.market.injectDeleveraging(ETH, sign < 0, fraction, ETH_PRICE)
    fill(core, late, -sign * CROWD)
    core.post(core.pool_account(ETH), -core.market.poolCapital(ETH)[0])
    left = abs(core.market.position(early, ETH)[0])
    before = core.market.equity(early), core.market.equity(late)
    core.market.chargePool(ETH, 30_000 * WAD, 0, sender=core.liquidator)
    mid = core.market.equity(early), core.market.equity(late)
    # a pool with a base: the counterpart was closed at its zero price, all of it
    paid = [a - b for a, b in zip(before, mid, strict=True)]
    assert abs(sum(paid) - 30_000 * WAD) <= 10**10
    assert abs(paid[0] * CROWD - paid[1] * left) <= 10**10 * CROWD


@SIDES
def test_debts__two_in_one_block__add_up(core: Core, sign: int) -> None:
    core.post(core.pool_account(ETH), -10_000_000 * WAD)
    holder, other = core.trader("holder", 1_000_000), core.trader("other", 1_000_000)
    fill(core, holder, -sign * CROWD)
    fill(core, other, sign * CROWD)
    core.post(core.pool_account(ETH), -core.market.poolCapital(ETH)[0])
    before = core.market.equity(holder), core.market.equity(other)
    for _ in range(2):
        core.market.chargePool(ETH, 1_000 * WAD + 1, sign * WAD, sender=core.liquidator)
    assert 0 <= before[0] - core.market.equity(holder) - 2 * (1_000 * WAD + 1) <= 2
    assert core.market.equity(other) == before[1]
    assert core.market.poolCapital(ETH)[0] == 0


@settings(max_examples=60, deadline=None)
@given(
    sign=st.sampled_from((1, -1)),
    debt=st.integers(1, 10**26),
    capital=st.integers(-(10**25), 10**25),
    longs=st.integers(0, 10**23),
    shorts=st.integers(0, 10**23),
    price=st.integers(1, 10**25),
)
def test_chargePool__any_debt__leaves_no_more_unpaid_than_the_side_is_short_of(
    sign: int, debt: int, capital: int, longs: int, shorts: int, price: int
) -> None:
    """Total whatever the sums; what is charged is what the specification says, and the ledger adds up."""
    core = deploy_core(Evm(), markets=1)
    holders = core.trader("longs", 1), core.trader("shorts", 1)
    core.tick(1, {ETH: price})
    for account, base in zip(holders, (longs, -shorts), strict=True):
        if base:
            fill(core, account, base)
    dust = core.check_sums(10**9)
    core.post(core.pool_account(ETH), capital - core.market.poolCapital(ETH)[0])
    gone = core.check_sums(2**250) - dust  # the tokens of what was taken from the pool
    receipt = core.market.chargePool(ETH, debt, sign * WAD, sender=core.liquidator)
    state = core.market.marketState(ETH)
    side = state.openShort if sign > 0 else state.openLong
    charged = sum(event["amount"] for event in receipt.events("SideCharged"))
    left = core.market.poolCapital(ETH)[0]
    assert charged <= min(debt, side * price // WAD)
    if left < 0:  # all of the debt or all of the side
        assert charged in (debt, side * price // WAD)
    core.vault.post([(core.track(account_id(KEEPER)), debt, 0, 0)], sender=core.pool)  # who had it
    assert core.check_sums(2**250) - gone - dust <= 10**12


# --- a market that is closed ---


@SIDES
def test_shutdown__bankrupt_absorbed_before_it_closes__everyone_left_is_paid_in_full(evm: Evm, sign: int) -> None:
    """What the side opposite was charged covers what the others have: the last to withdraw finds it there."""
    core = deploy_core(evm, markets=1)
    scene = Scene(core, sign)
    scene.set(capital=50_000 * WAD, debt=150_000 * WAD)
    confirmed(core)
    receipt = scene.absorb()
    assert abs(receipt.event("SideCharged")["amount"] - 100_000 * WAD) <= 1_000 * WAD  # funding of six hours
    core.evm.advance(3_600)
    core.liquidator.closeDead(ETH)
    assert 0 <= scene.capital <= 10**9
    for account in (scene.beside, scene.opposite):
        core.market.settle(account, ETH)
    for account in (scene.bystander, scene.beside, scene.opposite):
        core.vault.withdraw(account, core.vault.withdrawable(account), owner_of(account), sender=owner_of(account))
        assert 0 <= core.cash(account) < core.unit
    scene.check()


def test_shutdown__bankrupt_absorbed_after_it_closed__leaves_the_pool_short(evm: Evm) -> None:
    """No side is left to charge, which is why there is an hour to absorb in: a weakness that is stated."""
    core = deploy_core(evm, markets=1)
    scene = Scene(core, 1)
    scene.set(capital=50_000 * WAD, debt=150_000 * WAD)
    closed(core)
    receipt = scene.absorb()
    assert receipt.event("PoolCharged")["amount"] > 149_000 * WAD
    assert sum(event["amount"] for event in receipt.events("SideCharged")) <= 10**6
    assert abs(scene.capital + 100_000 * WAD) <= 1_000 * WAD
    scene.check()
