"""Asking to enter and to leave the pool, and what becomes of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import (
    BTC,
    BTC_PRICE,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    KEEPER,
    OPEN,
    RISK,
    TREASURY,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ANYONE, ZERO_ADDRESS, Evm, Revert, reverts
from tests.unit.pool.reference import exposure, market_equity, to_assets, to_shares, total_assets

DEPOSIT_DELAY, COOLDOWN, WINDOW = 60, 86_400, 600
FRIEND = actor("friend")


def ledger(core: Core, *accounts: int) -> list[int]:
    return [core.cash(account) for account in accounts]


# --- requestDeposit ---


def test_requestDeposit__within_the_withdrawable__moves_cash_into_escrow(core: Core, newcomer: int) -> None:
    owner = owner_of(newcomer)
    escrow = core.pool.escrowAccount()
    assert escrow == account_id(core.pool, 0, 1)
    now, count, total = core.evm.timestamp, core.pool.requestCount(), core.pool.totalAssets()
    receipt = core.pool.requestDeposit(core.amount(400_000), FRIEND, owner, sender=owner)

    assert receipt.value == count + 1 == core.pool.requestCount()
    assert receipt.event("DepositRequested").args == {
        "requestId": receipt.value,
        "controller": FRIEND,
        "owner": owner,
        "assets": core.amount(400_000),
        "maturity": now + DEPOSIT_DELAY,
        "deadline": now + DEPOSIT_DELAY + WINDOW,
    }
    assert tuple(core.pool.request(receipt.value)) == (
        owner,
        now + DEPOSIT_DELAY,
        now + DEPOSIT_DELAY + WINDOW,
        False,
        FRIEND,
        core.amount(400_000),
    )
    assert ledger(core, newcomer, escrow) == [600_000 * WAD, 400_000 * WAD]
    assert core.pool.totalAssets() == total
    assert core.lens.protocol().pool.pendingAssets == core.amount(400_000)
    core.check_sums()


def test_requestDeposit__first_request_ever__has_id_one(evm: Evm) -> None:
    core = deploy_core(evm, pool_dollars=0)
    trader = core.trader("trader", 10)
    assert core.request_deposit(core.pool, trader, 1) == 1
    assert core.request_deposit(core.pool, trader, 1) == 2


def test_requestDeposit__of_another_account__is_refused(core: Core, newcomer: int) -> None:
    owner = owner_of(newcomer)
    with reverts("RequestVault_NotOwner", owner, ANYONE):
        core.pool.requestDeposit(1, ANYONE, owner, sender=ANYONE)


def test_requestDeposit__of_nothing__is_refused(core: Core, newcomer: int) -> None:
    owner = owner_of(newcomer)
    with reverts("RequestVault_ZeroAmount"):
        core.pool.requestDeposit(0, owner, owner, sender=owner)


@pytest.mark.parametrize("name", ["nobody", "pool", "fund", "treasury"])
def test_requests__for_the_protocol_itself__are_refused(core: Core, provider: int, name: str) -> None:
    controller = {
        "nobody": ZERO_ADDRESS,
        "pool": core.pool.address,
        "fund": core.fund.address,
        "treasury": TREASURY,
    }[name]
    owner = owner_of(provider)
    core.fund_account(provider, 10)
    for ask in (core.pool.requestDeposit, core.pool.requestRedeem, core.fund.requestDeposit):
        with reverts("RequestVault_InvalidController", controller):
            ask(1, controller, owner, sender=owner)


def test_requestDeposit__of_more_than_withdrawable__is_refused_at_the_unit(core: Core, newcomer: int) -> None:
    owner = owner_of(newcomer)
    core.open(newcomer, ETH, 100 * WAD)
    available = core.vault.withdrawable(newcomer)
    assert available < core.amount(1_000_000)
    with reverts("RequestVault_InsufficientMargin", available, available + 1):
        core.pool.requestDeposit(available + 1, owner, owner, sender=owner)
    core.pool.requestDeposit(available, owner, owner, sender=owner)
    assert core.vault.withdrawable(newcomer) == 0


def test_requestDeposit__with_a_position_and_a_stale_price__is_refused(core: Core, newcomer: int) -> None:
    owner = owner_of(newcomer)
    core.open(newcomer, ETH, 100 * WAD)
    published = core.evm.timestamp
    core.evm.advance(16)
    with reverts("PerpMarket_StalePrice", ETH, published):
        core.pool.requestDeposit(1, owner, owner, sender=owner)


def test_requestDeposit__leaves_isolated_and_other_accounts_alone(core: Core) -> None:
    isolated = core.trader("saver", 1_000, isolated_market=ETH)
    second = core.trader("saver", 1_000, index=1)
    with reverts("RequestVault_InsufficientMargin", 0, 1):
        core.pool.requestDeposit(1, actor("saver"), actor("saver"), sender=actor("saver"))
    assert ledger(core, isolated, second) == [1_000 * WAD, 1_000 * WAD]


# --- requestRedeem ---


def test_requestRedeem__of_shares__moves_them_into_escrow(core: Core, provider: int) -> None:
    owner = owner_of(provider)
    shares = core.pool.balanceOf(owner)
    supply, price, now = core.pool.totalSupply(), core.pool.convertToAssets(10**12), core.evm.timestamp
    receipt = core.pool.requestRedeem(shares // 4, FRIEND, owner, sender=owner)
    assert receipt.event("RedeemRequested").args == {
        "requestId": receipt.value,
        "controller": FRIEND,
        "owner": owner,
        "shares": shares // 4,
        "maturity": now + COOLDOWN,
        "deadline": now + COOLDOWN + WINDOW,
    }
    assert tuple(core.pool.request(receipt.value))[3:] == (True, FRIEND, shares // 4)
    assert core.pool.balanceOf(owner) == shares - shares // 4
    assert core.pool.balanceOf(core.pool) == shares // 4
    assert (core.pool.totalSupply(), core.pool.convertToAssets(10**12)) == (supply, price)


def test_requestRedeem__of_another_owner__is_refused_even_with_an_allowance(core: Core, provider: int) -> None:
    owner = owner_of(provider)
    core.pool.approve(ANYONE, 2**256 - 1, sender=owner)
    with reverts("RequestVault_NotOwner", owner, ANYONE):
        core.pool.requestRedeem(1, ANYONE, owner, sender=ANYONE)


def test_requestRedeem__of_nothing_or_too_much__is_refused(core: Core, provider: int) -> None:
    owner = owner_of(provider)
    shares = core.pool.balanceOf(owner)
    with reverts("RequestVault_ZeroAmount"):
        core.pool.requestRedeem(0, owner, owner, sender=owner)
    with reverts("ERC20InsufficientBalance", owner, shares, shares + 1):
        core.pool.requestRedeem(shares + 1, owner, owner, sender=owner)


# --- executeRequest ---


def test_executeRequest__deposit__mints_at_the_price_before_and_splits_by_weight(core: Core, newcomer: int) -> None:
    core.pool.setWeights([3_333, 6_667], sender=RISK)
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 100 * WAD)
    core.open(trader, BTC, -2 * WAD)
    assets = 999_999_999_999
    request = core.request_deposit(core.pool, newcomer, assets)
    core.tick(DEPOSIT_DELAY, {ETH: 3_050 * WAD})
    with core.evm.isolated():
        core.market.accrue(ETH, sender=core.pool)
        core.market.accrue(BTC, sender=core.pool)
        total, supply = total_assets(core), core.pool.totalSupply()
    assert core.pool.totalAssets() == total
    accounts = [core.pool_account(market) for market in (ETH, BTC)]
    before = ledger(core, *accounts)

    receipt = core.pool.executeRequest(request, sender=KEEPER)

    shares = to_shares(assets, supply, total)
    assert receipt.value == (False, shares)
    assert core.pool.balanceOf(owner_of(newcomer)) == shares
    assert core.pool.totalSupply() == supply + shares
    eth = assets * core.unit * 3_333 // 10_000
    after = ledger(core, *accounts)
    assert [after[0] - before[0], after[1] - before[1]] == [eth, assets * core.unit - eth]
    assert core.cash(core.pool.escrowAccount()) == 0
    assert receipt.event("RequestExecuted").args == {
        "requestId": request,
        "executor": KEEPER,
        "assets": assets,
        "shares": shares,
        "totalAssets": core.pool.totalAssets(),
        "totalSupply": supply + shares,
    }
    assert receipt.event("Deposit")["sender"] == owner_of(newcomer)
    core.check_sums()


def test_executeRequest__redeem__pays_from_each_market_by_its_equity(core: Core, provider: int) -> None:
    owner = owner_of(provider)
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 100 * WAD)
    shares = core.pool.balanceOf(owner) // 3
    request = core.pool.requestRedeem(shares, FRIEND, owner, sender=owner).value
    core.tick(COOLDOWN, {ETH: 2_950 * WAD})
    with core.evm.isolated():
        core.market.accrue(ETH, sender=core.pool)
        core.market.accrue(BTC, sender=core.pool)
        equities = [market_equity(core, market) for market in (ETH, BTC)]
    supply = core.pool.totalSupply()
    total = sum(equities) // core.unit
    accounts = [core.pool_account(market) for market in (ETH, BTC)]
    before = ledger(core, *accounts)

    receipt = core.pool.executeRequest(request, sender=KEEPER)

    assets = to_assets(shares, supply, total)
    value = assets * core.unit
    assert receipt.value == (False, assets)
    friend = core.track(account_id(FRIEND))
    assert core.cash(friend) == value
    eth = value * equities[0] // sum(equities)
    after = ledger(core, *accounts)
    assert [before[0] - after[0], before[1] - after[1]] == [eth, value - eth]
    assert core.pool.totalSupply() == supply - shares
    assert core.pool.balanceOf(core.pool) == 0
    withdrawn = receipt.event("Withdraw")
    assert withdrawn.args == {
        "sender": KEEPER,
        "receiver": FRIEND,
        "owner": owner,
        "assets": assets,
        "shares": shares,
    }
    core.check_sums()
    core.vault.withdraw(friend, assets, FRIEND, sender=FRIEND)
    assert core.token.balanceOf(FRIEND) == assets


def test_executeRequest__unknown_or_ended__is_refused(core: Core, newcomer: int) -> None:
    for number in (0, 10**6):
        with reverts("RequestVault_Unknown", number):
            core.pool.executeRequest(number)
    request = core.request_deposit(core.pool, newcomer, 10**6)
    core.execute_request(core.pool, request)
    with reverts("RequestVault_Unknown", request):
        core.pool.executeRequest(request)


@pytest.mark.parametrize("is_redeem", [False, True])
def test_executeRequest__at_the_edges_of_its_time__waits_executes_or_lapses(
    core: Core, provider: int, is_redeem: bool
) -> None:
    core.fund_account(provider, 1)
    request = (core.request_redeem if is_redeem else core.request_deposit)(core.pool, provider, 10**6)
    maturity, deadline = core.pool.request(request)[1:3]
    core.tick(maturity - 1 - core.evm.timestamp)
    with reverts("RequestVault_NotMature", maturity):
        core.pool.executeRequest(request)
    for moment, lapsed in ((maturity, False), (deadline, False), (deadline + 1, True)):
        with core.evm.isolated():
            core.tick(moment - core.evm.timestamp)
            assert core.pool.executeRequest(request).value[0] is lapsed


def test_executeRequest__deposit_after_its_deadline__gives_the_cash_back(core: Core, newcomer: int) -> None:
    request = core.request_deposit(core.pool, newcomer, core.amount(300_000))
    supply = core.pool.totalSupply()
    core.evm.advance(DEPOSIT_DELAY + WINDOW + 1)  # no price is needed
    receipt = core.pool.executeRequest(request, sender=KEEPER)
    assert receipt.value == (True, core.amount(300_000))
    assert receipt.event("RequestLapsed").args == {
        "requestId": request,
        "owner": owner_of(newcomer),
        "isRedeem": False,
        "amount": core.amount(300_000),
    }
    assert ledger(core, newcomer, core.pool.escrowAccount()) == [1_000_000 * WAD, 0]
    assert core.pool.totalSupply() == supply
    with reverts("RequestVault_Unknown", request):
        core.pool.executeRequest(request)


def test_executeRequest__redeem_after_its_deadline__gives_the_shares_back(core: Core, provider: int) -> None:
    owner = owner_of(provider)
    shares = core.pool.balanceOf(owner)
    request = core.pool.requestRedeem(shares, FRIEND, owner, sender=owner).value
    core.evm.advance(COOLDOWN + WINDOW + 1)
    assert core.pool.executeRequest(request).event("RequestLapsed")["isRedeem"] is True
    assert (core.pool.balanceOf(owner), core.pool.balanceOf(core.pool), core.pool.balanceOf(FRIEND)) == (shares, 0, 0)


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_executeRequest__with_a_position_and_a_guarded_price__waits(core: Core, newcomer: int, state: int) -> None:
    core.open(core.trader("trader", 100_000), ETH, 10 * WAD)
    request = core.request_deposit(core.pool, newcomer, 10**6)
    core.tick(DEPOSIT_DELAY, state=state)
    with reverts("RequestVault_PriceUnusable", ETH, core.evm.timestamp, state):
        core.pool.executeRequest(request)
    core.tick(1)
    core.pool.executeRequest(request)


def test_executeRequest__record_before_maturity_or_old__waits(core: Core, newcomer: int) -> None:
    core.open(core.trader("trader", 100_000), BTC, 1 * WAD)
    request = core.request_deposit(core.pool, newcomer, 10**6)
    maturity = core.pool.request(request).maturity
    core.evm.advance(DEPOSIT_DELAY + 3)
    core.record(BTC, published_at=maturity - 1)
    with reverts("RequestVault_PriceUnusable", BTC, maturity - 1, OPEN):
        core.pool.executeRequest(request)
    core.record(BTC, published_at=maturity)
    with core.evm.isolated():
        core.pool.executeRequest(request)  # ETH's record is old, but the pool has nothing there
    core.evm.advance(12)
    with core.evm.isolated():
        core.pool.executeRequest(request)
    core.evm.advance(1)
    with reverts("RequestVault_PriceUnusable", BTC, maturity, OPEN):
        core.pool.executeRequest(request)


def test_executeRequest__exit_down_to_the_opening_limit__passes_and_below_is_refused(core: Core, provider: int) -> None:
    trader = core.trader("trader", 2_000_000)
    core.open(trader, ETH, 2_700 * WAD)  # 8.1 of the 10 million that the pool has in ETH
    shares = core.pool.balanceOf(owner_of(provider))

    def leaves(part: int) -> None:
        with core.evm.isolated():
            request = core.request_redeem(core.pool, provider, shares * part // 10_000)
            core.tick(COOLDOWN)
            core.pool.executeRequest(request)
            assert exposure(core, ETH) <= core.market.poolCapital(ETH)[1]

    leaves(1_000)
    low, high = 1_000, 4_000
    refusal: Revert | None = None
    while high - low > 1:
        middle = (low + high) // 2
        try:
            leaves(middle)
            low = middle
        except Revert as error:
            refusal, high = error, middle
    assert 1_500 < low < 2_500
    assert refusal is not None
    assert refusal.name == "RequestVault_OpeningLimit"
    _, found, limit = refusal.values
    assert limit < found == exposure(core, ETH)
    # nobody else's exit is bound by a market in which nothing is taken: closing frees it
    core.close(trader, ETH)
    leaves(10_000)


def test_executeRequest__refused_exit__keeps_its_escrow(core: Core, provider: int) -> None:
    core.open(core.trader("trader", 2_000_000), ETH, 2_700 * WAD)
    request = core.request_redeem(core.pool, provider, core.pool.balanceOf(owner_of(provider)))
    core.tick(COOLDOWN)
    before = tuple(core.pool.request(request))
    with pytest.raises(Revert, match="RequestVault_OpeningLimit"):
        core.pool.executeRequest(request)
    assert tuple(core.pool.request(request)) == before
    core.check_sums()


# --- sums ---


@pytest.mark.parametrize("decimals", [6, 8, 18])
@settings(max_examples=15)
@given(
    eth=st.integers(-800, 800),
    btc=st.integers(-60, 60),
    move=st.integers(-1_000, 1_000),
    assets=st.integers(1, 10**6),
    hours=st.integers(0, 48),
)
def test_executeRequest__random_markets__follows_the_reference(
    built: None, decimals: int, eth: int, btc: int, move: int, assets: int, hours: int
) -> None:
    core = deploy_core(Evm(), decimals=decimals)
    trader = core.trader("trader", 2_000_000)
    for market, base in ((ETH, eth), (BTC, btc)):
        if base:
            core.open(trader, market, base * WAD)
    newcomer = core.trader("newcomer", 1_000_000)
    core.tick(3_600 * hours + 1, {ETH: ETH_PRICE * (10_000 + move) // 10_000})
    assert core.pool.totalAssets() == total_assets(core)
    assert core.pool.decimals() == decimals + 6

    amount = assets * core.amount(1)
    request = core.request_deposit(core.pool, newcomer, amount)
    core.tick(DEPOSIT_DELAY, {BTC: BTC_PRICE * (10_000 - move) // 10_000})
    supply, total = core.pool.totalSupply(), total_assets(core)
    shares = core.pool.executeRequest(request).value[1]
    assert shares == to_shares(amount, supply, total)
    assert core.pool.previewRedeem(shares) == core.pool.convertToAssets(shares) <= amount
    assert core.pool.convertToAssets(shares) == to_assets(shares, supply + shares, total_assets(core))
    back = core.leave(core.pool, newcomer)
    assert back == core.cash(newcomer) // core.unit - (core.amount(1_000_000) - amount)
    core.check_sums()
