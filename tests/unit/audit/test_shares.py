"""Providers who took what belonged to others: the first one, the one who leaves in time, the one who gives."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    ETH,
    ETH_PRICE,
    KEEPER,
    PROVIDER,
    SCALES,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
)
from tests.support.evm import Contract, Evm, known, reverts
from tests.unit.audit import reference
from tests.unit.audit.steps import absorb, fall

COOLDOWN, EXECUTION_WINDOW = 86_400, 600


# ------------------------------------------------------------------------------------------------------------ inflation


@pytest.mark.parametrize("name", ["pool", "fund"])
@pytest.mark.parametrize("gift", [10**6, 10**9, 10**11])
def test_inflation__first_provider_with_one_unit_and_a_gift__loses_half_of_the_gift(
    evm: Evm, name: str, gift: int
) -> None:
    """Elsewhere the first depositor entered with one unit, gave the vault a fortune, and the second one's shares were
    rounded to nothing. Here no way leads in but shares (the gift is conjured up by the test); even so, virtual shares
    keep half of it, and the victim loses less than a millionth of it.
    """
    core = deploy_core(evm, pool_dollars=0)
    vault: Contract = getattr(core, name)
    mallory, victim = core.trader("mallory", 1), core.trader("victim", 1_000)
    core.execute_request(vault, core.request_deposit(vault, mallory, 1))
    assert vault.balanceOf(actor("mallory")) == vault.totalSupply() == 10**6
    core.post(core.pool_account(ETH) if name == "pool" else core.fund_main, gift * core.unit)
    core.execute_request(vault, core.request_deposit(vault, victim, core.amount(1_000)))
    shares = vault.balanceOf(actor("victim"))
    assert shares == reference.to_shares(1_000 * 10**6, 10**6, 1 + gift) > 0

    taken = core.leave(vault, mallory)
    total = 1 + gift + 1_000 * 10**6
    assert taken == reference.to_assets(10**6, 10**6 + shares, total)
    assert taken <= gift // 2 + gift // 10**6 + 1
    returned = core.leave(vault, victim)
    assert returned == reference.to_assets(shares, shares, total - taken)
    assert 1_000 * 10**6 - returned <= 1 + gift // 10**6
    core.check_sums()


def test_inflation__by_losing_trades_to_the_pool__is_no_way_either(evm: Evm) -> None:
    """As above by the only gift there is: fees and losses. Into a pool of one unit nobody can trade, since its capital
    carries no open interest.
    """
    core = deploy_core(evm, pool_dollars=0)
    mallory = core.trader("mallory", 100_000)
    core.execute_request(core.pool, core.request_deposit(core.pool, mallory, 1))
    core.tick(1)
    failed = core.try_open(mallory, ETH, WAD).event("OrderFailed")
    impact = -reference.fill(ETH, 0, WAD, ETH_PRICE).quote - ETH_PRICE
    limit = 2 * (core.unit // 2 + impact)
    assert known().registry.decode_error(failed["reason"]) == ("PerpMarket_OpenInterestLimit", (ETH_PRICE, limit))
    core.check_sums()


def test_inflation__entry_that_buys_no_share__is_refused(evm: Evm) -> None:
    """And where rounding would leave nothing, nothing is taken: the request is refused, and lapses back."""
    core = deploy_core(evm, pool_dollars=0)
    mallory, victim = core.trader("mallory", 1), core.trader("victim", 1_000)
    core.execute_request(core.fund, core.request_deposit(core.fund, mallory, 1))
    core.post(core.fund_main, 10**13 * core.unit)
    request = core.request_deposit(core.fund, victim, 1)
    core.tick(60)
    with reverts("RequestVault_ZeroAmount"):
        core.fund.executeRequest(request)
    core.tick(EXECUTION_WINDOW + 1)
    assert core.fund.executeRequest(request).value == (True, 1)
    assert core.cash(victim) == 1_000 * WAD
    core.check_sums()


# -------------------------------------------------------------------------------------------------------- leaving early


def test_leaving__before_a_loss_that_everybody_knows__bears_it(core: Core) -> None:
    """Elsewhere a provider who saw a bankruptcy coming redeemed at the price of before it, and the others bore his
    part. Here shares wait for a day and are paid at the first usable price after it: he and who stayed lose alike.
    """
    leaver = core.trader("leaver")
    core.enter(core.pool, leaver, 20_000_000)
    core.set_params(ETH, maxFundingVelocity=0, rateAtKinkBps=0, rateAtFullBps=0)
    debtor, winner = core.trader("debtor", 500_000), core.trader("winner", 2_000_000)
    core.open(debtor, ETH, 2_000 * WAD)
    core.open(winner, ETH, -2_000 * WAD)
    shares = core.pool.balanceOf(actor("leaver"))
    promised = core.pool.convertToAssets(shares)
    request = core.request_redeem(core.pool, leaver, shares)

    fall(core, 2_400)  # 1.2 million of loss on half a million of margin
    absorb(core, debtor)
    with reverts("RequestVault_NotMature", core.pool.request(request).maturity):
        core.pool.executeRequest(request, sender=actor("leaver"))
    # The pool takes its cap and no more; the rest was closed against the winner, who is left with as much.
    held, entry, owed = core.market.position(winner, ETH)
    taken = SCALES[ETH] * 8 // 10_000
    assert 0 <= -held - taken <= 10_000
    unwinding = 2_400 * WAD * (2 * SCALES[ETH] + held) // (2 * SCALES[ETH])
    others = core.cash(winner) - owed + entry + held * unwinding // WAD + core.cash(account_id(KEEPER))
    total = (42_500_000 * WAD - others - sum(core.market.unsweptFees(ETH))) // core.unit
    assert core.pool.totalAssets() == total

    given = core.execute_request(core.pool, request).event("Withdraw")["assets"]
    assert given == reference.to_assets(shares, 2 * shares, total) == core.cash(leaver) // core.unit
    assert promised - given > 48_000 * 10**6  # half of what the pool's part of the absorption costs
    assert 0 <= core.pool.convertToAssets(core.pool.balanceOf(PROVIDER)) - given <= 1
    core.check_sums()


def test_leaving__with_the_price_of_before_the_loss__is_refused(core: Core) -> None:
    """As above at maturity: a record from before it, at which the pool still looked well, can't be used, whoever calls
    and however fresh it is.
    """
    core.open(core.trader("trader", 2_000_000), ETH, 1_000 * WAD)
    request = core.request_redeem(core.pool, account_id(PROVIDER), core.pool.balanceOf(PROVIDER) // 10)
    maturity = core.pool.request(request).maturity
    core.evm.timestamp = maturity - 1
    core.record(ETH)
    core.evm.timestamp = maturity
    for sender in (PROVIDER, KEEPER):
        with reverts("RequestVault_PriceUnusable", ETH, maturity - 1, 0):
            core.pool.executeRequest(request, sender=sender)
    core.check_sums()


def test_leaving__with_the_capital_that_positions_need__is_refused(core: Core) -> None:
    """As above for the risk itself: an exit that leaves the pool with more exposure than its capital carries waits, so
    that nobody leaves the others alone with the winners' gains.
    """
    core.set_params(ETH, maxFundingVelocity=0, rateAtKinkBps=0, rateAtFullBps=0)
    size = 2_000 * WAD
    core.open(core.trader("trader", 2_000_000), ETH, size)
    request = core.request_redeem(core.pool, account_id(PROVIDER), core.pool.balanceOf(PROVIDER))
    core.tick(COOLDOWN)
    before, supply = core.pool.totalAssets(), core.pool.totalSupply()
    equities = [core.pool.equityOf(market) for market in (ETH, BTC)]
    wanted = reference.to_assets(supply, supply, before) * core.unit
    left = core.market.poolCapital(ETH)[0] - wanted * equities[0] // sum(equities)
    exposure = size * ETH_PRICE // WAD
    assert left < exposure
    with reverts("RequestVault_OpeningLimit", ETH, exposure, left):
        core.pool.executeRequest(request)
    assert core.pool.totalAssets() == before
    core.check_sums()


# ------------------------------------------------------------------------------------------------------------- donation


@pytest.mark.parametrize("name", ["pool", "fund"])
def test_donation__between_a_request_and_its_execution__changes_no_share(core: Core, name: str) -> None:
    """Elsewhere tokens sent to a vault just before somebody's entry or exit changed its price. Here a vault's assets
    are its accounts' cash, which a transfer of tokens doesn't reach, and no deposit into them is taken.
    """
    vault: Contract = getattr(core, name)
    victim = core.trader("victim", 1_000)
    request = core.request_deposit(vault, victim, 1_000 * 10**6)
    total, supply = vault.totalAssets(), vault.totalSupply()
    gift = 10**12
    for target in (vault, core.vault):
        core.token.mint(target, gift)
    core.token.mint(actor("mallory"), gift)
    core.token.approve(core.vault, gift, sender=actor("mallory"))
    for account in (vault.escrowAccount(), account_id(vault), account_id(vault, ETH)):
        with reverts("MarginVault_InvalidAccount", account):
            core.vault.deposit(account, gift, sender=actor("mallory"))
    given = core.execute_request(vault, request).event("Deposit")["shares"]
    assert given == reference.to_shares(1_000 * 10**6, supply, total)
    assert vault.totalAssets() == total + 1_000 * 10**6
    assert core.check_sums(gift * core.unit) == gift * core.unit
