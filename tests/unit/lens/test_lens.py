"""Snapshots say what the contracts say, and a market without a price, or with an old one, spoils none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import (
    BTC,
    BTC_PRICE,
    DOUBTFUL,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    FUND_DOLLARS,
    KEEPER,
    LISTING,
    ORDER_CONFIG,
    POOL_DOLLARS,
    SCALES,
    TREASURY,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
)
from tests.support.evm import Evm, Revert, reverts

INT_MAX, INT_MIN = 2**255 - 1, -(2**255)


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, fund_dollars=FUND_DOLLARS)


def agrees(core: Core, account: int) -> Any:
    """The account's snapshot, held against the contracts' own views."""
    view = core.lens.account(account)
    balance = core.cash(account)
    assert (view.account, view.cash) == (account, balance)
    assert view.equity == core.market.equity(account)
    assert (view.initial, view.maintenance) == tuple(core.market.requirements(account))
    assert view.health == core.liquidator.health(account)
    if view.isStale:
        assert (view.free, view.withdrawable) == (0, 0)
        with pytest.raises(Revert, match="PerpMarket_StalePrice"):
            core.vault.withdrawable(account)
    else:
        assert view.withdrawable == core.vault.withdrawable(account) == max(0, view.free) // core.unit
    for position in view.positions:
        assert (position.base, position.quote, position.owed) == tuple(core.market.position(account, position.marketId))
        result = position.base * position.indexPrice // WAD + position.quote - position.owed
        assert position.unrealised == result
    assert view.equity == view.cash + sum(position.unrealised for position in view.positions)
    return view


def test_account__never_used__is_all_zeros(core: Core) -> None:
    view = agrees(core, account_id(actor("nobody")))
    assert (view.equity, view.health, view.free, view.withdrawable, view.isStale) == (0, INT_MAX, 0, 0, False)
    assert len(view.positions) == 0


def test_account__with_cash_and_a_pending_order__shows_what_is_reserved(core: Core) -> None:
    trader = core.trader("trader", 10_000)
    core.place(core.order(trader, ETH, WAD))
    view = agrees(core, trader)
    assert view.reserved == WAD // 2 + 18 * WAD // 10
    assert view.free == 10_000 * WAD - view.reserved


def test_account__with_positions_in_two_markets__lists_both(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, BTC, -2 * WAD)
    core.open(trader, ETH, 10 * WAD)
    core.evm.advance(1)
    core.record(ETH, 3_100 * WAD, confidence=20 * WAD)
    core.record(BTC, confidence=10 * WAD)
    view = agrees(core, trader)
    eth, btc = view.positions
    assert (eth.marketId, btc.marketId) == (ETH, BTC)
    assert (eth.base, btc.base) == (10 * WAD, -2 * WAD)
    assert eth.healthPrice == 3_100 * WAD * 10_025 // 10_000
    assert btc.healthPrice == BTC_PRICE - 10 * WAD
    assert eth.isFresh
    assert btc.isFresh
    assert not view.isStale


def test_account__one_market_stale__shows_all_but_what_is_free(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 10 * WAD)
    core.open(trader, BTC, WAD)
    core.evm.advance(16)
    core.record(ETH)
    view = agrees(core, trader)
    assert view.isStale
    assert [position.isFresh for position in view.positions] == [True, False]
    assert view.positions[1].healthPrice == BTC_PRICE * 10_500 // 10_000
    assert view.equity != 0


def test_account__free_collateral_negative__says_by_how_much(core: Core) -> None:
    trader = core.trader("trader", 3_000)
    core.open(trader, ETH, 15 * WAD)
    core.tick(1, {ETH: 2_900 * WAD})
    view = agrees(core, trader)
    assert view.free < 0
    assert view.withdrawable == 0


def test_account__in_debt_without_a_position__has_the_least_health(core: Core) -> None:
    trader = core.trader("trader")
    core.post(trader, -WAD)
    assert agrees(core, trader).health == INT_MIN


def test_accounts__several__are_in_order(core: Core) -> None:
    names = [core.trader(name, dollars) for name, dollars in (("a", 1), ("b", 2), ("c", 3))]
    assert [view.cash for view in core.lens.accounts(names)] == [WAD, 2 * WAD, 3 * WAD]
    assert len(core.lens.accounts([])) == 0


def test_market__with_trades__agrees_with_the_contracts(core: Core) -> None:
    core.open(core.trader("long", 100_000), ETH, 10 * WAD)
    core.open(core.trader("short", 100_000), ETH, -4 * WAD)
    core.place(core.order(core.trader("long"), ETH, WAD))
    core.evm.advance(7)
    core.record(ETH, 3_003 * WAD, confidence=WAD, state=DOUBTFUL)
    sequence = core.oracle.newest(ETH) >> 224
    view = core.lens.market(ETH)
    assert view.marketId == ETH
    assert tuple(view.record) == (3_003 * WAD, WAD, core.evm.timestamp, DOUBTFUL, sequence, True)
    assert view.markPrice == core.market.markPrice(ETH) == 3_003 * WAD * (SCALES[ETH] + 6 * WAD) // SCALES[ETH]
    assert view.fundingRate == core.market.fundingRate(ETH) > 0
    assert (view.openLong, view.openShort, view.skew) == (10 * WAD, 4 * WAD, 6 * WAD)
    assert (view.insuranceFees, view.treasuryFees) == tuple(core.market.unsweptFees(ETH))
    assert view.insuranceFees > 0
    base, quote, _ = core.market.position(core.pool_account(ETH), ETH)
    assert (view.pool.cash, view.pool.quote) == (core.cash(core.pool_account(ETH)), quote)
    assert base == -view.skew
    assert (view.pool.capital, view.pool.exposureLimit) == tuple(core.market.poolCapital(ETH))
    assert (view.pool.equity, view.pool.weightBps) == (core.pool.equityOf(ETH), 5_000)
    assert view.queue.config._asdict() == ORDER_CONFIG
    assert (view.queue.next, view.queue.head) == (4, 3)


def test_market__after_a_liquidation__shows_what_was_moved(core: Core) -> None:
    trader = core.trader("trader", 3_000)
    core.open(trader, ETH, 15 * WAD)
    core.tick(1, {ETH: 2_870 * WAD})
    core.liquidator.liquidate(trader, ETH, [], sender=KEEPER)
    view = core.lens.market(ETH).queue
    window, moved, hour, absorbed = core.liquidator.counters(ETH)
    assert (view.windowStart, view.moved, view.absorbedHour, view.absorbed) == (window, moved, hour, absorbed)
    assert moved > 0


def test_market__parameters__are_those_listed(core: Core) -> None:
    core.halt(ETH, 100)
    view = core.lens.market(ETH).params
    shown = view._asdict()
    same = set(ETH_PARAMS) & set(shown)
    assert {name: shown[name] for name in same} == {name: ETH_PARAMS[name] for name in same}
    assert set(ETH_PARAMS) - same == {
        "mmFractionBps",
        "keeperMinCents",
        "minPositionUsd",
        "insuranceShareBps",
        "treasuryShareBps",
    }
    assert view.scale == SCALES[ETH]
    assert view.mmFraction == 6_000 * 10**4
    assert (view.mmBaseBps, view.mmSlopeBps, view.mmPenaltyBps) == (425, 10_000, 75)
    assert view.keeperMin == view.mmKeeperMin == 2 * WAD
    assert view.minPosition == 1_000 * WAD
    assert view.haltUntil == core.evm.timestamp + 100


def test_market__not_listed__is_refused(core: Core) -> None:
    for market in (0, 3):
        with reverts("PerpMarket_NotListed", market):
            core.lens.market(market)


def test_snapshots__market_without_a_price__are_not_spoilt(core: Core) -> None:
    core.configurator.listMarket(3, 10**6 * WAD, ETH_PARAMS, sender=LISTING)
    core.open(core.trader("trader", 100_000), ETH, WAD)
    core.evm.advance(10**6)
    view = core.lens.market(3)
    assert tuple(view.record) == (0, 0, 0, 0, 0, False)
    assert (view.markPrice, view.pool.equity, view.pool.weightBps) == (0, 0, 0)
    assert (view.queue.next, view.queue.head) == (0, 0)
    assert len(core.lens.protocol().markets) == 3
    assert agrees(core, core.trader("trader")).isStale


def test_protocol__says_what_is_held_and_by_whom(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 10 * WAD)
    core.market.sweep(ETH)
    request = core.request_redeem(core.pool, account_id(actor("provider")), 10**12)
    core.request_deposit(core.fund, trader, 5)
    view = core.lens.protocol()
    assert view.timestamp == core.evm.timestamp
    assert view.tokensHeld == core.token.balanceOf(core.vault) == core.amount(POOL_DOLLARS + FUND_DOLLARS + 100_000)
    assert tuple(view.pool) == (
        core.pool.totalAssets(),
        POOL_DOLLARS * 10**12,
        core.pool.convertToAssets(10**12) * core.unit,
        0,
        10**12,
    )
    assert core.pool.request(request).amount == 10**12
    assert (view.fund.assets, view.fund.supply, view.fund.pendingAssets) == (
        core.fund.totalAssets(),
        FUND_DOLLARS * 10**12,
        5,
    )
    assert view.fundBalance == core.fund.balance()
    assert view.treasury == core.cash(account_id(TREASURY)) > 0
    assert [market.marketId for market in view.markets] == [ETH, BTC]
    assert view.markets[0].record.price == ETH_PRICE


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_protocol__tokens_of_any_decimals__share_price_is_in_dollars(built: None, decimals: int) -> None:
    core = deploy_core(Evm(), decimals=decimals)
    assert core.lens.protocol().pool.sharePrice == WAD
    assert core.lens.protocol().pool.assets == core.amount(POOL_DOLLARS)
