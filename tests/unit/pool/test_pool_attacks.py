"""Attacks on the pool, tried with money of the attacker's own: each earns nothing, or is refused."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    KEEPER,
    LISTING,
    RISK,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Evm, Revert, reverts

COOLDOWN, WINDOW = 86_400, 600
MALLORY = "mallory"


def wealth(core: Core, account: int) -> int:
    """Cash, open positions and shares of an account's owner, WAD dollars."""
    owner = owner_of(account)
    shares = core.pool.convertToAssets(core.pool.balanceOf(owner)) * core.unit
    equity: int = core.market.equity(account)
    return equity + shares


def test_share_inflation__by_the_first_depositor__costs_more_than_it_takes(
    evm: Evm,
) -> None:
    """The first depositor enters with one unit and gives the pool assets, so that the next one's shares round to
    nothing. Here the gift is 100,000 dollars out of thin air; six decimals of virtual shares keep nearly all of it."""
    core = deploy_core(evm, pool_dollars=0)
    mallory, victim = core.trader(MALLORY, 1), core.trader("victim", 1_000_000)
    core.execute_request(core.pool, core.request_deposit(core.pool, mallory, 1))
    assert core.pool.totalSupply() == 10**6
    gift = 100_000 * WAD
    core.post(core.pool_account(ETH), gift)  # no way to do that is known: the vault refuses deposits there
    core.execute_request(core.pool, core.request_deposit(core.pool, victim, core.amount(1_000_000)))

    gain = core.leave(core.pool, mallory) * core.unit
    back = core.leave(core.pool, victim) * core.unit
    assert gain < gift * 51 // 100  # half of the gift stays with the virtual shares
    assert back > 999_940 * WAD  # and the victim loses less than the price of two shares
    core.check_sums()


@pytest.mark.parametrize("index", [0, 1])
def test_donation__tokens_or_deposits_to_the_protocols_accounts__move_no_share_price(core: Core, index: int) -> None:
    """Tokens sent to the vault or to the pool belong to nobody; the vault takes no deposit for them."""
    price = core.pool.convertToAssets(10**12)
    core.token.mint(core.pool, core.amount(10**6))
    core.token.mint(core.vault, core.amount(10**6))
    assert core.pool.convertToAssets(10**12) == price
    mallory = core.trader(MALLORY, 10)
    core.token.mint(actor(MALLORY), 10)
    core.token.approve(core.vault, 10, sender=actor(MALLORY))
    for vault in (core.pool, core.fund):
        for account in (account_id(vault, ETH), account_id(vault, 0, index), vault.escrowAccount()):
            with reverts("MarginVault_InvalidAccount", account):
                core.vault.deposit(account, 10, sender=actor(MALLORY))
            with reverts("MarginVault_DifferentOwners", mallory, account):
                core.vault.transfer(mallory, account, 10, sender=actor(MALLORY))


def test_early_entry__before_a_price_that_is_known__gets_the_price_after_it(core: Core) -> None:
    """A trader is long, the market has just fallen elsewhere: the pool is about to gain. Mallory asks at the old
    record; her request takes only one published a minute later, and what she pays is the price after the gain."""
    core.open(core.trader("trader", 2_000_000), ETH, 2_000 * WAD)
    mallory = core.trader(MALLORY, 5_000_000)
    request = core.request_deposit(core.pool, mallory, core.amount(5_000_000))
    with reverts("RequestVault_NotMature", core.pool.request(request).maturity):
        core.pool.executeRequest(request)
    before = core.pool.convertToAssets(10**12)
    core.execute_request(core.pool, request, {ETH: 2_850 * WAD})
    assert core.pool.convertToAssets(10**12) > before  # the providers' gain
    assert wealth(core, mallory) <= 5_000_000 * WAD
    core.check_sums()


def test_early_entry__at_maturity_with_the_record_of_before__is_refused(core: Core) -> None:
    """No newer record than one from before the maturity: the price that was known then can't be used."""
    core.open(core.trader("trader", 2_000_000), ETH, 2_000 * WAD)
    mallory = core.trader(MALLORY, 5_000_000)
    request = core.request_deposit(core.pool, mallory, core.amount(5_000_000))
    maturity = core.pool.request(request).maturity
    core.evm.advance(59)
    core.record(ETH)
    core.evm.advance(1)
    with reverts("RequestVault_PriceUnusable", ETH, maturity - 1, 0):
        core.pool.executeRequest(request)


def test_early_entry__before_funding_that_accrued__pays_for_it(core: Core) -> None:
    """Nobody touched the market for days, so its accumulators are old; the entry accrues first."""
    core.open(core.trader("trader", 2_000_000), ETH, 3_000 * WAD)
    core.tick(3 * 86_400)
    mallory = core.trader(MALLORY, 5_000_000)
    core.execute_request(core.pool, core.request_deposit(core.pool, mallory, core.amount(5_000_000)))
    assert 5_000_000 * WAD - 2 * core.unit <= wealth(core, mallory) <= 5_000_000 * WAD


def test_late_exit__before_a_known_loss__bears_it(core: Core, provider: int) -> None:
    """The shares wait in escrow for a day and fall with the others."""
    core.open(core.trader("trader", 2_000_000), ETH, 1_000 * WAD)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)) // 2)
    assert core.pool.totalSupply() == 20_000_000 * 10**12
    half = core.pool.totalAssets() // 2
    receipt = core.execute_request(core.pool, request, {ETH: 3_300 * WAD})
    assert receipt.event("Withdraw")["assets"] <= half - core.amount(140_000)
    assert core.pool.totalAssets() == pytest.approx(receipt.event("Withdraw")["assets"], rel=1e-6)
    core.check_sums()


def test_matured_claim__held_as_an_option__lapses(core: Core, provider: int) -> None:
    """An exit asked for every day and executed only after a good one: each is good for ten minutes and anyone may
    execute it."""
    owner = owner_of(provider)
    shares = core.pool.balanceOf(owner)
    for _ in range(3):
        request = core.request_redeem(core.pool, provider, shares)
        core.tick(COOLDOWN + WINDOW + 1)
        assert core.pool.executeRequest(request, sender=owner).value[0] is True
    request = core.request_redeem(core.pool, provider, shares)
    core.tick(COOLDOWN)
    assert core.pool.executeRequest(request, sender=KEEPER).value[0] is False  # not the owner's choice


def test_one_unit__in_and_out_a_hundred_times__never_gains(core: Core) -> None:
    core.open(core.trader("trader", 100_000), ETH, 17 * WAD)
    core.tick(3_601, {ETH: 2_999 * WAD + 7})
    mallory = core.trader(MALLORY, 1)
    assets = core.pool.totalAssets()
    requests = [core.request_deposit(core.pool, mallory, 1) for _ in range(100)]
    for request in requests:
        core.execute_request(core.pool, request)
    shares = core.pool.balanceOf(actor(MALLORY))
    requests = [core.request_redeem(core.pool, mallory, shares // 100) for _ in range(100)]
    core.tick(COOLDOWN)
    for request in requests:
        core.pool.executeRequest(request)
    assert core.cash(mallory) <= WAD
    assert core.pool.totalAssets() >= assets
    core.check_sums()


def test_entry__that_would_get_no_share__is_refused_and_lapses(evm: Evm) -> None:
    """A pool whose holders all left and that earned 20 million afterwards: a unit of assets buys half a thousandth of a
    share. The rules without this one would have taken the unit for nothing."""
    core = deploy_core(evm, pool_dollars=0)
    core.give_pool()
    mallory = core.trader(MALLORY, 100)
    dear = 20_000_000 * 10**6 // 10**6
    request = core.request_deposit(core.pool, mallory, dear)
    core.tick(60)
    with reverts("RequestVault_ZeroAmount"):
        core.pool.executeRequest(request)
    core.evm.advance(WINDOW + 1)
    assert core.pool.executeRequest(request).value == (True, dear)
    assert core.cash(mallory) == 100 * WAD
    core.execute_request(core.pool, core.request_deposit(core.pool, mallory, dear + 1))
    assert core.pool.balanceOf(actor(MALLORY)) == 1


def test_empty_pool_with_assets__first_depositor__gets_what_he_paid_and_no_more(evm: Evm) -> None:
    core = deploy_core(evm, pool_dollars=0)
    core.give_pool()
    mallory = core.trader(MALLORY, 1_000_000)
    core.execute_request(core.pool, core.request_deposit(core.pool, mallory, core.amount(1_000_000)))
    back = core.leave(core.pool, mallory)
    assert core.amount(1_000_000) - 2 * 20 * 10**6 <= back <= core.amount(1_000_000)


def test_own_impact__a_trade_before_the_own_entry_or_exit__moves_the_share_price_by_fees_only(core: Core) -> None:
    """Marked at the index, the pool would seem to gain k²/2S × P from the trade that takes the skew to its limit, and
    to lose it at the way back: sell dear, buy cheap. At the unwinding price the trade moves it by the pool's part of
    the fee."""
    mallory = core.trader(MALLORY, 5_000_000)
    for base in (3_000 * WAD, -3_000 * WAD, -2_500 * WAD, 2_500 * WAD):
        order = core.order(mallory, ETH, base)
        core.place(order)
        core.evm.advance(2)
        core.record(ETH)
        core.record(BTC)
        with core.evm.isolated():
            core.market.accrue(ETH, sender=core.pool)
            before = core.pool.equityOf(ETH)
        fee = core.execute(order).event("Traded")["fee"]
        kept = fee - fee * 2_000 // 10_000 - fee * 1_000 // 10_000
        gained = core.pool.equityOf(ETH) - before
        assert 0 <= gained - kept <= 10_000  # the roundings of price, quote and valuation, in the pool's favour


def test_insolvent_market__entry__pays_nobodys_gains(core: Core) -> None:
    """ETH has risen until the pool's account there owes traders more than it has, and nobody has deleveraged it yet.
    The share price would count that account as zero, so whoever enters would give the hole a part of his deposit. The
    entry deleverages first: the winner is closed at the price at which the account is worth nothing, and who enters
    has what he gave."""
    core.open(core.trader("trader", 10_000_000), ETH, 3_000 * WAD)
    victim = core.trader("victim", 1_000_000)
    request = core.request_deposit(core.pool, victim, core.amount(1_000_000))
    core.tick(60, {ETH: 7_000 * WAD})
    assert core.pool.equityOf(ETH) < -1_000_000 * WAD
    event = core.pool.executeRequest(request).event("Deleveraged")
    assert (event["isLong"], event["fraction"], event["cut"]) == (True, WAD, 3_000 * WAD)
    assert core.market.skew(ETH) == 0
    assert wealth(core, victim) >= 1_000_000 * WAD - 2 * core.unit
    assert 0 <= core.pool.equityOf(ETH) - 500_000 * WAD < 10**6
    core.check_sums(10**6, 1)


def test_insolvent_market__without_a_skew__entry_is_refused(core: Core) -> None:
    """A hole that there is nobody to close against, as bad debt leaves it: refused, and the request lapses."""
    core.market.chargePool(ETH, 11_000_000 * WAD, WAD, sender=core.liquidator)
    victim = core.trader("victim", 1_000_000)
    request = core.request_deposit(core.pool, victim, core.amount(1_000_000))
    core.tick(60)
    equity = core.pool.equityOf(ETH)
    assert equity < 0
    with reverts("LiquidityPool_Insolvent", ETH, equity):
        core.pool.executeRequest(request)
    with core.evm.isolated():
        core.pool.setWeights([0, 10_000], sender=RISK)  # the others may be entered
        core.pool.executeRequest(request)
        assert wealth(core, victim) >= 1_000_000 * WAD - 2 * core.unit
    core.tick(WINDOW + 1)
    assert core.pool.executeRequest(request).value == (True, core.amount(1_000_000))
    assert core.cash(victim) == 1_000_000 * WAD


def test_insolvent_market__exit__is_not_charged_for_it_and_takes_nothing_from_it(core: Core, provider: int) -> None:
    """The exit deleverages first, and there is nothing left to be charged for: he is paid from the other market."""
    core.open(core.trader("trader", 10_000_000), ETH, 3_000 * WAD)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)) // 10)
    core.tick(COOLDOWN, {ETH: 7_000 * WAD})
    cash, others = core.cash(core.pool_account(ETH)), core.cash(core.pool_account(BTC))
    receipt = core.pool.executeRequest(request)
    assert receipt.event("Deleveraged")["fraction"] == WAD
    assert core.market.skew(ETH) == 0
    assert 0 <= core.pool.equityOf(ETH) < 10**6
    taken = cash - core.cash(core.pool_account(ETH))
    assert 0 <= taken < 10**6
    assert others - core.cash(core.pool_account(BTC)) + taken == receipt.event("Withdraw")["assets"] * core.unit
    core.check_sums(10**6, 1)


def test_insolvent_market__dust_of_a_skew__locks_nobody_in(core: Core, provider: int) -> None:
    """Where the other side has open interest too, a deleveraging of all leaves a few hundred wei of a skew, and the
    pool nothing in that market: an exposure of up to a dollar is none, or no provider of any market could leave."""
    core.open(core.trader("short", 10_000_000), ETH, -1_700 * WAD)
    core.open(core.trader("trader", 10_000_000), ETH, 3_000 * WAD + 7)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)) // 10)
    core.tick(COOLDOWN, {ETH: 12_000 * WAD})
    receipt = core.pool.executeRequest(request)
    assert receipt.event("Deleveraged")["price"] < 12_000 * WAD
    assert 0 < core.market.skew(ETH) < 10_000
    assert core.pool.equityOf(ETH) < 10**8
    receipt.event("Withdraw")
    core.check_sums(10**9, 10**4)


def test_exposed_market__exit__is_refused_above_the_limit_that_deleveraging_leaves(core: Core, provider: int) -> None:
    """Up to three times its capital nothing is due, and the pool is above its limit until somebody reduces."""
    trader = core.trader("trader", 10_000_000)
    core.open(trader, ETH, 3_000 * WAD)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)) // 10)
    core.tick(COOLDOWN, {ETH: 4_000 * WAD})
    with pytest.raises(Revert, match="RequestVault_OpeningLimit"):
        core.pool.executeRequest(request)
    core.order_book.setOrderConfig(ETH, (0, 1, 1, 60, 0), sender=LISTING)
    core.close(trader, ETH)
    core.pool.executeRequest(request)
    core.check_sums()


def test_dead_market__without_a_position_of_the_pool__locks_nobody_in(core: Core, provider: int) -> None:
    """The rule as first written wanted a fresh record of every listed market: one that was just listed, or closed for
    ever, or whose publisher has stopped, would have kept every provider in the pool."""
    core.configurator.listMarket(3, 1_000 * WAD, {**ETH_PARAMS, "isolatedOnly": True}, sender=LISTING)
    core.evm.advance(10 * 86_400)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)))
    core.evm.advance(COOLDOWN)
    lapsed, assets = core.pool.executeRequest(request).value
    assert (lapsed, assets) == (False, core.amount(20_000_000))
    core.check_sums()


def test_matched_interest__without_skew__needs_no_price_and_changes_nothing(core: Core, provider: int) -> None:
    """Longs and shorts that cancel out leave the pool without a position: its equity is the same at every price."""
    long, short = core.trader("long", 1_000_000), core.trader("short", 1_000_000)
    core.open(long, ETH, 100 * WAD)
    core.open(short, ETH, -100 * WAD)
    assert core.market.skew(ETH) == 0
    assets = core.pool.totalAssets()
    core.record(BTC, published_at=core.evm.timestamp + 1)
    core.evm.advance(86_400)
    assert core.pool.totalAssets() == assets
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)) // 2)
    core.evm.advance(COOLDOWN)
    core.pool.executeRequest(request)
    core.check_sums()


def test_controller_with_code__is_never_called(core: Core, provider: int) -> None:
    """No callback, so nothing to re-enter from: a controller whose code reverts at once gets shares and cash all the
    same."""
    hostile = actor("hostile")
    core.evm.set_code(hostile, bytes.fromhex("5f5ffd"))
    owner = owner_of(provider)
    core.fund_account(provider, 10)
    entry = core.pool.requestDeposit(core.amount(10), hostile, owner, sender=owner).value
    exit_ = core.pool.requestRedeem(10**12, hostile, owner, sender=owner).value
    core.execute_request(core.pool, entry)
    core.execute_request(core.pool, exit_)
    assert core.pool.balanceOf(hostile) > 0
    assert core.cash(core.track(account_id(hostile))) > 0
    core.check_sums()


def test_shelter__cash_in_escrow_while_the_account_goes_under__was_never_its_margin(core: Core) -> None:
    """Asking takes no more than what could be withdrawn, so the account opens no wider by it and is liquidated as
    before."""
    mallory = core.trader(MALLORY, 100_000)
    core.open(mallory, ETH, 200 * WAD)
    owner = owner_of(mallory)
    available = core.vault.withdrawable(mallory)
    with reverts("RequestVault_InsufficientMargin", available, available + 1):
        core.pool.requestDeposit(available + 1, owner, owner, sender=owner)
    with core.evm.isolated():
        core.vault.withdraw(mallory, available, owner, sender=owner)
        standing = core.market.healthOf(mallory)
    core.request_deposit(core.pool, mallory, available)
    assert core.market.healthOf(mallory) == standing


def test_reserved_cash__of_pending_orders__can_not_enter(core: Core) -> None:
    mallory = core.trader(MALLORY, 10_000)
    core.place(core.order(mallory, ETH, 2 * WAD))
    available = core.vault.withdrawable(mallory)
    assert available < core.amount(10_000)
    with reverts("RequestVault_InsufficientMargin", available, core.amount(10_000)):
        core.request_deposit(core.pool, mallory, core.amount(10_000))


def test_later_cooldown__by_governance__does_not_lock_in_who_asked_before(core: Core, provider: int) -> None:
    """The rule as first written read the delay at execution: a vote could have kept whoever was leaving for 14 days
    more."""
    request = core.request_redeem(core.pool, provider, 10**12)
    core.pool.setDelays((60, 14 * 86_400, 600), sender=RISK)
    core.execute_request(core.pool, request)
    assert core.evm.timestamp < 1_700_000_000 + 2 * 86_400


def test_rebalancing_by_entry_and_exit__of_a_whale__earns_nothing(core: Core) -> None:
    """Entries go in by weight, exits leave by equity: a large provider shifts capital between markets that way, for
    nothing."""
    core.post(core.pool_account(ETH), 5_000_000 * WAD)
    whale = core.trader("whale")
    core.enter(core.pool, whale, 50_000_000)
    assert core.leave(core.pool, whale) <= core.amount(50_000_000)
    core.check_sums()


def test_price_of_before__recorded_late__is_no_newer_for_it(core: Core) -> None:
    """A record made after the maturity of a price published before it does not count."""
    core.open(core.trader("trader", 2_000_000), ETH, 2_000 * WAD)
    mallory = core.trader(MALLORY, 1_000_000)
    request = core.request_deposit(core.pool, mallory, core.amount(1_000_000))
    maturity = core.pool.request(request).maturity
    core.evm.advance(62)
    core.record(ETH, ETH_PRICE, published_at=maturity - 1)
    with reverts("RequestVault_PriceUnusable", ETH, maturity - 1, 0):
        core.pool.executeRequest(request)
