"""ERC-4626's face, governance and numbers of the pool."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, ETH, ETH_PARAMS, LISTING, PROVIDER, RISK, WAD, Core, deploy_core
from tests.support.evm import ANYONE, Evm, reverts
from tests.unit.pool.reference import VIRTUAL_SHARES, ceil_div, market_equity, to_assets, to_shares, total_assets

DAY = 86_400


def test_entry_points__synchronous__are_refused(core: Core) -> None:
    for vault in (core.pool, core.fund):
        for call in (
            lambda v: v.deposit.transact(1, PROVIDER, sender=PROVIDER),
            lambda v: v.mint.transact(1, PROVIDER, sender=PROVIDER),
            lambda v: v.withdraw.transact(1, PROVIDER, PROVIDER, sender=PROVIDER),
            lambda v: v.redeem.transact(1, PROVIDER, PROVIDER, sender=PROVIDER),
        ):
            with reverts("RequestVault_Asynchronous"):
                call(vault)
        for maximum in (vault.maxDeposit, vault.maxMint, vault.maxWithdraw, vault.maxRedeem):
            assert maximum(PROVIDER) == 0


def test_metadata__of_both_vaults(core: Core) -> None:
    assert (core.pool.name(), core.pool.symbol(), core.pool.decimals()) == ("Plimsoll Pool", "pPOOL", 12)
    assert core.fund.name() == "Plimsoll Insurance"
    assert core.pool.asset() == core.fund.asset() == core.token.address


@settings(max_examples=25)
@given(number=st.integers(0, 10**24), fees=st.integers(0, 10**24))
def test_conversions__any_amount__floor_or_ceil_as_the_standard_says(built: None, number: int, fees: int) -> None:
    core = deploy_core(Evm())
    core.post(core.pool_account(ETH), fees)
    total, supply = core.pool.totalAssets(), core.pool.totalSupply()
    assert total == (20_000_000 * WAD + fees) // core.unit
    virtual = supply + VIRTUAL_SHARES
    pool = core.pool
    assert pool.convertToShares(number) == pool.previewDeposit(number) == to_shares(number, supply, total)
    assert pool.convertToAssets(number) == pool.previewRedeem(number) == to_assets(number, supply, total)
    assert pool.previewMint(number) == ceil_div(number * (total + 1), virtual)
    assert pool.previewWithdraw(number) == ceil_div(number * virtual, total + 1)


def test_equityOf__long_and_short_skew__rounds_against_the_pool(core: Core) -> None:
    trader = core.trader("trader", 1_000_000)
    core.open(trader, ETH, 123 * WAD + 7)
    core.open(trader, BTC, -3 * WAD - 1)
    core.tick(3_601, {ETH: 3_017 * WAD + 11, BTC: 39_999 * WAD + 13})
    for market in (ETH, BTC):
        assert core.pool.equityOf(market) == market_equity(core, market)
    assert core.pool.totalAssets() == total_assets(core)


def test_totalAssets__insolvent_market__counts_as_zero(core: Core) -> None:
    core.open(core.trader("trader", 10_000_000), ETH, 3_000 * WAD)
    core.tick(1, {ETH: 7_000 * WAD})
    assert core.pool.equityOf(ETH) < 0
    assert core.pool.totalAssets() == core.pool.equityOf(BTC) // core.unit


def test_totalAssets__market_without_a_record__counts_its_cash(core: Core) -> None:
    core.configurator.listMarket(3, 1_000 * WAD, ETH_PARAMS, sender=LISTING)
    core.post(core.pool_account(3), 5 * WAD)
    assert core.pool.equityOf(3) == 5 * WAD
    assert core.pool.totalAssets() == core.amount(20_000_005)


# --- governance ---


def test_setDelays__within_bounds__is_for_later_requests_only(core: Core, newcomer: int) -> None:
    request = core.request_deposit(core.pool, newcomer, 10**6)
    before = tuple(core.pool.request(request))
    receipt = core.pool.setDelays((DAY, 14 * DAY, DAY), sender=RISK)
    assert tuple(receipt.event("DelaysChanged")["delays"]) == (DAY, 14 * DAY, DAY) == tuple(core.pool.delays())
    assert tuple(core.pool.request(request)) == before
    core.execute_request(core.pool, request)
    later = core.pool.request(core.request_deposit(core.pool, newcomer, 10**6))
    assert later.maturity == core.evm.timestamp + DAY
    assert later.deadline == later.maturity + DAY


@pytest.mark.parametrize(
    ("delays", "rule"),
    [
        ((4, 5, 60), "depositDelay"),
        ((DAY + 1, 5, 60), "depositDelay"),
        ((5, 4, 60), "redeemCooldown"),
        ((5, 14 * DAY + 1, 60), "redeemCooldown"),
        ((5, 5, 59), "executionWindow"),
        ((5, 5, DAY + 1), "executionWindow"),
    ],
)
def test_setDelays__out_of_bounds__is_refused(core: Core, delays: tuple[int, int, int], rule: str) -> None:
    for vault in (core.pool, core.fund):
        vault.setDelays((5, 5, 60), sender=RISK)
        with reverts("RequestVault_InvalidDelay", rule.encode().ljust(32, b"\0")):
            vault.setDelays(delays, sender=RISK)


def test_restricted_functions__anyone__are_refused(core: Core) -> None:
    for call in (
        lambda: core.pool.setDelays((5, 5, 60)),
        lambda: core.fund.setDelays((5, 5, 60)),
        lambda: core.pool.setWeights([10_000, 0]),
        lambda: core.pool.moveCapital(ETH, BTC, 1),
    ):
        with reverts("AccessManagedUnauthorized", ANYONE):
            call()


def test_setWeights__summing_to_all__are_listed(core: Core) -> None:
    receipt = core.pool.setWeights([1, 9_999], sender=RISK)
    assert list(receipt.event("WeightsChanged")["weightsBps"]) == [1, 9_999]
    assert core.pool.weights() == [1, 9_999]


@pytest.mark.parametrize("weights", [[5_000, 4_999], [5_000, 5_001], [10_000], [5_000, 4_000, 1_000], []])
def test_setWeights__wrong_sum_or_count__are_refused(core: Core, weights: list[int]) -> None:
    with reverts("LiquidityPool_InvalidWeights", sum(weights), len(weights)):
        core.pool.setWeights(weights, sender=RISK)


def test_setWeights__sixteen_markets__fit_their_word(core: Core) -> None:
    while core.market.marketCount() < 16:
        core.list_market(100 * WAD, 10**6 * WAD)
    assert core.pool.weights() == [5_000, 5_000] + [0] * 14
    weights = [625] * 16
    core.pool.setWeights(weights, sender=RISK)
    assert core.pool.weights() == weights
    newcomer = core.trader("newcomer")
    before = [core.cash(core.pool_account(market)) for market in range(1, 17)]
    core.enter(core.pool, newcomer, 1_000)
    after = [core.cash(core.pool_account(market)) for market in range(1, 17)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1_000 * WAD * 625 // 10_000] * 16
    core.check_sums()


def test_executeRequest__last_market_without_weight__gets_no_remainder(core: Core, newcomer: int) -> None:
    core.list_market(100 * WAD, 10**6 * WAD)
    core.pool.setWeights([3_333, 6_667, 0], sender=RISK)
    before = [core.cash(core.pool_account(market)) for market in (1, 2, 3)]
    core.execute_request(core.pool, core.request_deposit(core.pool, newcomer, 1))
    after = [core.cash(core.pool_account(market)) for market in (1, 2, 3)]
    eth = core.unit * 3_333 // 10_000
    assert [b - a for a, b in zip(before, after, strict=True)] == [eth, core.unit - eth, 0]


def test_executeRequest__no_weights_set__waits(evm: Evm) -> None:
    core = deploy_core(evm, markets=0)
    newcomer = core.trader("newcomer", 10)
    request = core.request_deposit(core.pool, newcomer, 10**6)
    core.evm.advance(60)
    with reverts("LiquidityPool_InvalidWeights", 0, 0):
        core.pool.executeRequest(request)


def test_moveCapital__within_equity__moves_cash(core: Core) -> None:
    core.open(core.trader("trader", 1_000_000), ETH, 100 * WAD)
    before = [core.cash(core.pool_account(market)) for market in (ETH, BTC)]
    receipt = core.pool.moveCapital(ETH, BTC, core.amount(1_000_000), sender=RISK)
    assert receipt.event("CapitalMoved").args == {
        "fromMarket": ETH,
        "toMarket": BTC,
        "assets": core.amount(1_000_000),
    }
    after = [core.cash(core.pool_account(market)) for market in (ETH, BTC)]
    assert [b - a for a, b in zip(before, after, strict=True)] == [-1_000_000 * WAD, 1_000_000 * WAD]
    core.check_sums()


def test_moveCapital__more_than_there_is_or_below_the_limit__is_refused(core: Core) -> None:
    equity = core.pool.equityOf(BTC)
    with reverts("LiquidityPool_InsufficientEquity", BTC, equity, equity + core.unit):
        core.pool.moveCapital(BTC, ETH, equity // core.unit + 1, sender=RISK)
    core.pool.moveCapital(BTC, ETH, equity // core.unit, sender=RISK)

    core.open(core.trader("trader", 1_000_000), ETH, 100 * WAD)
    _, limit = core.market.poolCapital(ETH)
    movable = core.pool.equityOf(ETH) // core.unit - core.amount(300_000)
    core.pool.moveCapital(ETH, BTC, movable, sender=RISK)
    _, limit = core.market.poolCapital(ETH)
    assert limit >= 300_000 * WAD
    step = (limit - 300_000 * WAD) // core.unit
    core.pool.moveCapital(ETH, BTC, step, sender=RISK)
    _, limit = core.market.poolCapital(ETH)
    with reverts("RequestVault_OpeningLimit", ETH, 300_000 * WAD, limit - core.unit):
        core.pool.moveCapital(ETH, BTC, 1, sender=RISK)


def test_moveCapital__stale_price_or_unlisted_market__is_refused(core: Core) -> None:
    core.open(core.trader("trader", 1_000_000), ETH, 100 * WAD)
    published = core.evm.timestamp
    core.evm.advance(16)
    for pair in ((ETH, BTC), (BTC, ETH)):
        with reverts("RequestVault_PriceUnusable", ETH, published, 0):
            core.pool.moveCapital(*pair, 1, sender=RISK)
    core.tick(1)
    for pair in ((ETH, 3), (0, ETH), (ETH, 2**32 + BTC)):
        with reverts("PerpMarket_NotListed", next(market for market in pair if market not in (ETH, BTC))):
            core.pool.moveCapital(*pair, 1, sender=RISK)


def test_price__of_a_share__starts_at_a_dollar(core: Core) -> None:
    assert core.pool.convertToAssets(10**12) == 10**6
    assert core.lens.protocol().pool.sharePrice == WAD
    assert core.pool.balanceOf(PROVIDER) == 20_000_000 * 10**12


def test_moveCapital__exposure_at_the_limit__passes_and_a_wei_above_is_refused(core: Core) -> None:
    core.open(core.trader("trader", 1_000_000), ETH, 100 * WAD)
    core.market.accrue(ETH, sender=core.pool)
    exposure = 300_000 * WAD
    capital, _ = core.market.poolCapital(ETH)
    core.post(core.pool_account(ETH), exposure - capital)
    assert core.market.poolCapital(ETH) == (exposure, exposure)
    core.pool.moveCapital(ETH, BTC, 0, sender=RISK)
    core.post(core.pool_account(ETH), -1)
    with reverts("RequestVault_OpeningLimit", ETH, exposure, exposure - 1):
        core.pool.moveCapital(ETH, BTC, 0, sender=RISK)


def test_executeRequest__last_market_without_equity__gives_nothing_of_an_exit(core: Core, provider: int) -> None:
    core.list_market(100 * WAD, 10**6 * WAD)
    core.post(core.pool_account(ETH), 3)  # so that the shares don't divide
    before = [core.cash(core.pool_account(market)) for market in (1, 2, 3)]
    assert before[2] == 0
    value = core.leave(core.pool, provider, 10**18 + 1) * core.unit
    after = [core.cash(core.pool_account(market)) for market in (1, 2, 3)]
    eth = value * before[0] // (before[0] + before[1])
    assert [b - a for a, b in zip(after, before, strict=True)] == [eth, value - eth, 0]
    core.check_sums(dust_bound=core.unit)
