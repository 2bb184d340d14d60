"""What the market says of accounts and of itself, everything as of this block."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, BTC_PARAMS, DOWN, ETH, ETH_PRICE, SCALES, WAD
from tests.support.evm import reverts
from tests.unit.market.conftest import Desk, signed
from tests.unit.market.reference import (
    DAY,
    ETH_SCALE,
    capital,
    exposure_limit,
    fill_price,
    health_price,
    initial,
    maintenance,
    worth,
)


@pytest.fixture
def holder(desk: Desk) -> int:
    """Long 20 ETH and short 1 BTC with 100,000 dollars, an hour ago; ETH has fallen since and BTC too."""
    account = desk.core.trader("holder", 100_000)
    desk.trade(account, 20 * WAD)
    desk.trade(account, -WAD, market=BTC)
    desk.core.tick(3_600, {ETH: 2_950 * WAD, BTC: 39_000 * WAD})
    return account


def unrealised(desk: Desk, account: int, market: int, price: int) -> int:
    base, quote, owed = desk.position(account, market)
    return worth(base, price) + quote - owed


# --- accounts ---


def test_equity__is_cash_and_every_result_at_the_index(desk: Desk, holder: int) -> None:
    results = [unrealised(desk, holder, ETH, 2_950 * WAD), unrealised(desk, holder, BTC, 39_000 * WAD)]
    assert results[0] < 0 < results[1]
    assert desk.core.market.equity(holder) == desk.core.cash(holder) + sum(results)


def test_requirements__are_of_every_market_at_the_index(desk: Desk, holder: int) -> None:
    btc = (BTC_PARAMS, SCALES[BTC])
    assert desk.core.market.requirements(holder) == (
        initial(20 * WAD, 2_950 * WAD) + initial(WAD, 39_000 * WAD, *btc),
        maintenance(20 * WAD, 2_950 * WAD) + maintenance(WAD, 39_000 * WAD, *btc),
    )


@pytest.mark.parametrize("confidence", [0, 1, 7 * WAD, 500 * WAD])
def test_healthOf__is_at_prices_in_the_accounts_favour(desk: Desk, holder: int, confidence: int) -> None:
    """By the confidence, at most 25 bps; for the notional too."""
    desk.core.evm.advance(1)
    desk.core.record(ETH, confidence=confidence)
    desk.core.record(BTC, confidence=confidence)
    eth, btc = health_price(1, 2_950 * WAD, confidence), health_price(-1, 39_000 * WAD, confidence)
    assert desk.core.market.healthOf(holder) == (
        desk.core.cash(holder) + unrealised(desk, holder, ETH, eth) + unrealised(desk, holder, BTC, btc),
        maintenance(20 * WAD, eth) + maintenance(WAD, btc, BTC_PARAMS, SCALES[BTC]),
    )


def test_healthOf__with_a_stale_price__is_wider_after_its_last_second(desk: Desk, holder: int) -> None:
    """5% in the account's favour, instead of the confidence: one dead feed liquidates nobody."""
    desk.core.evm.advance(15)
    desk.core.record(BTC)
    assert desk.core.market.healthOf(holder)[1] == sum(
        (maintenance(20 * WAD, 2_950 * WAD), maintenance(WAD, 39_000 * WAD, BTC_PARAMS, SCALES[BTC]))
    )
    desk.core.evm.advance(1)
    eth = 2_950 * WAD * 105 // 100
    equity, required = desk.core.market.healthOf(holder)
    results = unrealised(desk, holder, ETH, eth) + unrealised(desk, holder, BTC, 39_000 * WAD)
    assert equity == desk.core.cash(holder) + results
    assert required == maintenance(20 * WAD, eth) + maintenance(WAD, 39_000 * WAD, BTC_PARAMS, SCALES[BTC])
    desk.core.evm.advance(15)
    btc = 39_000 * WAD * 95 // 100
    results = unrealised(desk, holder, ETH, eth) + unrealised(desk, holder, BTC, btc)
    assert desk.core.market.healthOf(holder)[0] == desk.core.cash(holder) + results


def test_healthOf__along_the_ramp__rises_with_the_seconds(desk: Desk) -> None:
    """GV-02: maintenance rises within three days, linearly, and not at once."""
    account = desk.rich()
    desk.trade(account, 100 * WAD)
    desk.core.set_params(ETH, mmFractionBps=7_000)
    for seconds in (0, 1, DAY, 3 * DAY - 1, 3 * DAY, 4 * DAY):
        with desk.isolated():
            desk.core.tick(seconds)
            fraction = 6_000 * 10**4 + 1_000 * 10**4 * min(seconds, 3 * DAY) // (3 * DAY)
            wanted = maintenance(100 * WAD, ETH_PRICE, fraction=fraction)
            assert desk.core.market.requirements(account)[1] == wanted
    desk.core.tick(DAY)
    desk.core.set_params(ETH, mmFractionBps=6_100)
    wanted = maintenance(100 * WAD, ETH_PRICE, fraction=6_100 * 10**4)
    assert desk.core.market.requirements(account)[1] == wanted


@pytest.mark.parametrize("market", [ETH, BTC])
def test_standing__is_the_position_and_the_health_of_the_account(desk: Desk, holder: int, market: int) -> None:
    s = desk.core.market.standing(holder, market)
    assert (s.equity, s.maintenance) == desk.core.market.healthOf(holder)
    base, quote, _ = desk.position(holder, market)
    assert (s.base, s.quote, s.markets) == (base, quote, 0b11)
    assert s.skew == base == desk.core.market.skew(market)
    assert s.newest == desk.core.oracle.newest(market)
    assert (s.margin, s.trading) == tuple(desk.core.market.marketConfig(market))[:2]


def test_standing__without_a_position__is_of_the_others(desk: Desk) -> None:
    account = desk.core.trader("trader", 100_000)
    desk.trade(account, -WAD, market=BTC)
    s = desk.core.market.standing(account, ETH)
    assert (s.equity, s.maintenance) == desk.core.market.healthOf(account)
    assert (s.base, s.quote, s.markets, s.skew) == (0, 0, 0b10, 0)


@settings(max_examples=40)
@given(
    base=signed(WAD, 1_000 * WAD),
    other=signed(WAD // 10, 50 * WAD),
    eth=st.integers(500 * WAD, 9_000 * WAD),
    btc=st.integers(5_000 * WAD, 90_000 * WAD),
    confidence=st.integers(0, 30 * WAD),
    cash=st.integers(-(10**24), 10**24),
)
def test_views__random_accounts__are_valued_as_the_specification_says(
    shared_desk: Desk, base: int, other: int, eth: int, btc: int, confidence: int, cash: int
) -> None:
    desk = shared_desk
    with desk.isolated():
        account = desk.rich()
        desk.trade(account, base)
        desk.trade(account, other, market=BTC)
        desk.set_cash(account, cash)
        desk.core.evm.advance(60)
        desk.core.record(ETH, eth, confidence)
        desk.core.record(BTC, btc, confidence)
        market, config = desk.core.market, (BTC_PARAMS, SCALES[BTC])
        at_eth, at_btc = health_price(base, eth, confidence), health_price(other, btc, confidence)
        results = unrealised(desk, account, ETH, eth), unrealised(desk, account, BTC, btc)
        assert market.equity(account) == cash + sum(results)
        assert market.healthOf(account) == (
            cash + unrealised(desk, account, ETH, at_eth) + unrealised(desk, account, BTC, at_btc),
            maintenance(base, at_eth) + maintenance(other, at_btc, *config),
        )
        required = initial(base, eth) + initial(other, btc, *config)
        free = cash + sum(min(0, result) for result in results) - required
        assert market.requirements(account)[0] == required
        assert market.freeCollateral(account, desk.slot(account).word) == free
        assert desk.core.vault.withdrawable(account) == max(0, free) // desk.core.unit


# --- freeCollateral ---


def test_freeCollateral__is_of_the_balance_that_it_is_given(desk: Desk, holder: int) -> None:
    """PM-07: the vault gives the slot it read, and gains count for nothing."""
    slot = desk.slot(holder)
    losses = unrealised(desk, holder, ETH, 2_950 * WAD)
    required, _ = desk.core.market.requirements(holder)
    for cash, reserved in ((slot.cash, 0), (slot.cash, 5 * WAD), (-7 * WAD, 1), (0, 0)):
        word = slot._replace(cash=cash, reserved=reserved).word
        assert desk.core.market.freeCollateral(holder, word) == cash - reserved + losses - required


def test_freeCollateral__with_a_stale_market__names_the_lowest(desk: Desk, holder: int) -> None:
    published = desk.core.evm.timestamp
    desk.core.evm.advance(16)
    with reverts("PerpMarket_StalePrice", ETH, published):
        desk.core.market.freeCollateral(holder, desk.slot(holder).word)
    desk.core.record(ETH, state=DOWN)
    with reverts("PerpMarket_StalePrice", BTC, published):
        desk.core.market.freeCollateral(holder, desk.slot(holder).word)


# --- the market ---


@pytest.mark.parametrize("skew", [0, 500 * WAD, -500 * WAD])
@pytest.mark.parametrize("base", [1, 7 * WAD, -1, -7 * WAD])
@pytest.mark.parametrize("confidence", [0, 3 * WAD])
def test_fillPrice__is_what_a_trade_would_get(desk: Desk, skew: int, base: int, confidence: int) -> None:
    desk.set_skew(skew)
    desk.core.evm.advance(1)
    desk.core.record(ETH, confidence=confidence)
    assert desk.core.market.fillPrice(ETH, base) == fill_price(skew, base, ETH_PRICE, confidence)[0]


def test_fillPrice__out_of_range__is_refused(desk: Desk) -> None:
    for base in (-2 * ETH_SCALE, -3 * ETH_SCALE):
        with reverts("PerpMarket_PriceOutOfRange", ETH):
            desk.core.market.fillPrice(ETH, base)


@pytest.mark.parametrize("skew", [0, 500 * WAD, -500 * WAD, 333_333_333_333_333_334])
def test_markPrice__is_the_index_moved_by_the_skew(desk: Desk, skew: int) -> None:
    desk.set_skew(skew)
    assert desk.core.market.markPrice(ETH) == ETH_PRICE * (ETH_SCALE + skew) // ETH_SCALE


@pytest.mark.parametrize("skew", [500 * WAD, -500 * WAD])
def test_poolCapital__is_cash_quote_and_position_at_the_newest_price(desk: Desk, skew: int) -> None:
    desk.set_skew(skew)
    desk.next_block(3_100 * WAD, seconds=3_600)
    cash = desk.core.cash(desk.core.pool_account(ETH))
    _, quote, _ = desk.position(desk.core.pool_account(ETH))
    wanted = capital(cash, quote, skew, 3_100 * WAD)
    assert desk.core.market.poolCapital(ETH) == (wanted, exposure_limit(wanted, 3_100 * WAD))
    desk.set_cash(desk.core.pool_account(ETH), 0)
    wanted -= cash
    assert desk.core.market.poolCapital(ETH) == (wanted, exposure_limit(wanted, 3_100 * WAD))


def test_marketState__is_accrued_to_this_block_and_nothing_is_stored(desk: Desk) -> None:
    desk.set_skew(500 * WAD)
    stored = tuple(desk.core.market.marketState(ETH))
    desk.core.evm.advance(3_600)
    seen = desk.core.market.marketState(ETH)
    assert seen.accruedAt == desk.core.evm.timestamp
    assert (seen.rate, seen.poolQuote) == (
        desk.core.market.fundingRate(ETH),
        desk.position(desk.core.pool_account(ETH))[1],
    )
    assert seen.rate > 0
    desk.core.evm.advance(-3_600)
    assert tuple(desk.core.market.marketState(ETH)) == stored


def test_openInterest__is_the_sum_of_each_side(desk: Desk) -> None:
    """PM-02"""
    for number, base in enumerate((5 * WAD, -3 * WAD, 7 * WAD, -WAD)):
        desk.trade(desk.rich(f"trader {number}"), base)
    assert desk.core.market.openInterest(ETH) == (12 * WAD, 4 * WAD)
    assert desk.core.market.skew(ETH) == 8 * WAD
    assert desk.core.market.openInterest(BTC) == (0, 0)


def test_views__of_a_market_that_is_not_listed(desk: Desk) -> None:
    account = desk.core.trader("trader", 1)
    assert desk.core.market.skew(3) == 0
    assert desk.core.market.openInterest(3) == (0, 0)
    assert desk.core.market.unsweptFees(3) == (0, 0)
    for view, args in (
        ("position", (account, 3)),
        ("standing", (account, 3)),
        ("fundingRate", (3,)),
        ("poolCapital", (3,)),
        ("marketState", (3,)),
    ):
        with reverts("PerpMarket_NotListed", 3):
            getattr(desk.core.market, view)(*args)


def test_views__of_an_account_without_a_position__need_no_price(desk: Desk) -> None:
    account = desk.core.trader("trader", 100)
    desk.core.evm.advance(DAY)
    assert desk.core.market.equity(account) == 100 * WAD
    assert desk.core.market.healthOf(account) == (100 * WAD, 0)
    assert desk.core.market.requirements(account) == (0, 0)
    assert desk.core.market.freeCollateral(account, desk.slot(account).word) == 100 * WAD
    assert desk.position(account) == (0, 0, 0)
