"""What the other rooms and anybody else may ask of the market: chargePool, accrue, sweep, configure, setHalt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import ADMIN, BTC, ETH, ETH_PARAMS, GUARDIAN, LISTING, RISK, TREASURY, WAD, account_id
from tests.support.evm import ANYONE, Evm, reverts
from tests.unit.market.conftest import Desk, open_desk
from tests.unit.market.reference import RAY, Side, Slot, accrued, fill_price, split, trading_fee

TREASURY_ACCOUNT = account_id(TREASURY)
NEW_WORDS = {"margin": 1, "trading": 2 * WAD, "liquidity": 3, "insuranceShareBps": 4, "treasuryShareBps": 5}


@pytest.mark.parametrize(
    ("function", "args", "may"),
    [
        ("chargePool", (ETH, WAD, WAD), "liquidator"),
        ("configure", (ETH, NEW_WORDS), "configurator"),
        ("setHalt", (ETH, 1), "configurator"),
    ],
)
def test_restricted__by_one_room_only(desk: Desk, function: str, args: tuple[Any, ...], may: str) -> None:
    """PM-05 and the like: neither roles nor other rooms."""
    method = getattr(desk.core.market, function)
    rooms = ("vault", "order_book", "liquidator", "pool", "fund", "configurator", "governance", "lens")
    callers = [getattr(desk.core, room) for room in rooms if room != may]
    for caller in (*callers, ANYONE, ADMIN, RISK, GUARDIAN, LISTING, TREASURY):
        with reverts("PerpMarket_NotModule", caller):
            method(*args, sender=caller)
    method(*args, sender=getattr(desk.core, may))


# --- chargePool ---


@pytest.mark.parametrize("amount", [0, 1, 7 * WAD, 10**6 * WAD])
def test_chargePool__takes_a_debt_from_the_pools_quote(desk: Desk, trader: int, amount: int) -> None:
    desk.trade(trader, WAD)
    before = desk.core.market.marketState(ETH)
    capital, _ = desk.core.market.poolCapital(ETH)
    receipt = desk.core.market.chargePool(ETH, amount, WAD, sender=desk.core.liquidator)
    quote = before.poolQuote - amount
    assert receipt.event("PoolCharged").args == {"marketId": ETH, "amount": amount, "poolQuote": quote}
    after = desk.core.market.marketState(ETH)
    assert after.poolQuote == quote
    assert [x for x, y in zip(after, before, strict=True) if x != y] == ([quote] if amount else [])
    assert desk.core.market.poolCapital(ETH)[0] == capital - amount


def test_chargePool__beyond_the_width_of_the_quote__is_refused(desk: Desk) -> None:
    with reverts("SafeCastOverflowedIntDowncast", 128, -(2**127) - 1):
        desk.core.market.chargePool(ETH, 2**127 + 1 + desk.pool_quote(), 0, sender=desk.core.liquidator)


# --- accrue ---


def test_accrue__writes_and_emits_what_time_did(desk: Desk) -> None:
    desk.set_skew(500 * WAD)
    stored = desk.core.market.marketState(ETH)
    desk.core.tick(3_600)
    cash = desk.core.cash(desk.core.pool_account(ETH))
    wanted = accrued(
        Side(stored.longG, RAY, 500 * WAD),
        Side(stored.shortG, RAY, 0),
        stored.rate,
        stored.poolQuote,
        cash,
        desk.core.prices[ETH],
        3_600,
    )
    receipt = desk.core.market.accrue(ETH, sender=desk.core.pool)
    assert receipt.event("Accrued").args == {
        "marketId": ETH,
        "rate": wanted.rate,
        "longG": wanted.long_g,
        "shortG": wanted.short_g,
        "poolQuote": wanted.pool_quote,
    }
    state = desk.core.market.marketState(ETH)
    assert (state.rate, state.longG, state.shortG, state.poolQuote) == wanted
    assert state.accruedAt == desk.core.evm.timestamp


def test_accrue__twice_in_a_block__changes_nothing(desk: Desk) -> None:
    desk.set_skew(500 * WAD)
    desk.core.tick(3_600)
    desk.core.market.accrue(ETH, sender=desk.core.pool)
    state = tuple(desk.core.market.marketState(ETH))
    desk.core.market.accrue(ETH, sender=desk.core.pool)
    assert tuple(desk.core.market.marketState(ETH)) == state


@pytest.mark.parametrize("sender", [ANYONE, TREASURY, GUARDIAN])
def test_accrue__by_anyone__is_allowed_and_does_what_time_does(desk: Desk, sender: str) -> None:
    """Nobody has an advantage of it: every fill accrues first."""
    desk.set_skew(500 * WAD)
    desk.core.tick(3_600)
    expected = tuple(desk.core.market.marketState(ETH))
    receipt = desk.core.market.accrue(ETH, sender=sender)
    assert receipt.value is False
    assert not receipt.events("Deleveraged")
    assert tuple(desk.core.market.marketState(ETH)) == expected
    desk.core.check_sums()


def test_accrue__of_a_market_that_is_not_listed__is_refused(desk: Desk) -> None:
    with reverts("PerpMarket_NotListed", 3):
        desk.core.market.accrue(3, sender=desk.core.pool)


def test_accrue__before_the_first_record__moves_only_the_clock(desk: Desk) -> None:
    desk.core.configurator.listMarket(3, WAD, ETH_PARAMS, sender=LISTING)
    desk.core.evm.advance(1_000)
    receipt = desk.core.market.accrue(3, sender=desk.core.pool)
    assert receipt.event("Accrued").args == {"marketId": 3, "rate": 0, "longG": 0, "shortG": 0, "poolQuote": 0}
    assert desk.core.market.marketState(3).accruedAt == desk.core.evm.timestamp


# --- sweep ---


@pytest.mark.parametrize("decimals", [6, 8, 18])
@pytest.mark.parametrize("sender", [ANYONE, TREASURY])
def test_sweep__by_anyone__pays_fund_and_treasury(evm: Evm, decimals: int, sender: str) -> None:
    """PM-04"""
    desk = open_desk(evm, decimals=decimals)
    _, quote = fill_price(0, 100 * WAD, desk.core.prices[ETH])
    parts = split(trading_fee(0, 100 * WAD, quote))
    desk.trade(desk.rich(), 100 * WAD)
    desk.trade(desk.rich("other"), WAD, market=BTC)
    others = desk.core.market.unsweptFees(BTC)
    receipt = desk.core.market.sweep(ETH, sender=sender)
    assert receipt.event("FeesSwept").args == {
        "marketId": ETH,
        "insurance": parts.insurance,
        "treasury": parts.treasury,
    }
    assert [event.args for event in receipt.events("Posted")] == [
        {"account": desk.core.fund_main, "balance": Slot(parts.insurance).word},
        {"account": TREASURY_ACCOUNT, "balance": Slot(parts.treasury).word},
    ]
    assert desk.core.market.unsweptFees(ETH) == (0, 0)
    assert desk.core.market.unsweptFees(BTC) == others
    desk.core.check_sums(dust_bound=0)


def test_sweep__again__pays_nothing_twice(desk: Desk) -> None:
    """Finding of audits: a reward paid twice."""
    desk.trade(desk.rich(), 100 * WAD)
    desk.core.market.sweep(ETH)
    fund, treasury = desk.core.cash(desk.core.fund_main), desk.core.cash(TREASURY_ACCOUNT)
    receipt = desk.core.market.sweep(ETH)
    assert receipt.event("FeesSwept").args == {"marketId": ETH, "insurance": 0, "treasury": 0}
    assert (desk.core.cash(desk.core.fund_main), desk.core.cash(TREASURY_ACCOUNT)) == (fund, treasury)


def test_sweep__of_a_market_that_is_not_listed__pays_nothing(desk: Desk) -> None:
    receipt = desk.core.market.sweep(99)
    assert receipt.event("FeesSwept").args == {"marketId": 99, "insurance": 0, "treasury": 0}
    desk.core.check_sums()


def test_sweep__keeps_the_shares_of_the_market(desk: Desk, trader: int) -> None:
    """Fees and shares are in one slot."""
    desk.trade(trader, WAD)
    desk.core.market.sweep(ETH)
    _, quote = fill_price(WAD, WAD, desk.core.prices[ETH])
    parts = split(trading_fee(WAD, WAD, quote))
    desk.trade(trader, WAD)
    assert desk.core.market.unsweptFees(ETH) == (parts.insurance, parts.treasury)


# --- configure, setHalt ---


def test_configure__writes_the_words_and_keeps_the_unswept_fees(desk: Desk, trader: int) -> None:
    """PM-05"""
    desk.trade(trader, WAD)
    unswept = desk.core.market.unsweptFees(ETH)
    desk.core.tick(1)
    receipt = desk.core.market.configure(ETH, NEW_WORDS, sender=desk.core.configurator)
    assert receipt.event("Accrued")["marketId"] == ETH
    assert desk.core.market.marketConfig(ETH) == (1, 2 * WAD, 3)
    assert desk.core.market.unsweptFees(ETH) == unswept
    assert desk.core.market.marketCount() == 2


def test_configure__the_next_id__lists_it(desk: Desk) -> None:
    desk.core.market.configure(3, NEW_WORDS, sender=desk.core.configurator)
    assert desk.core.market.marketCount() == 3
    state = desk.core.market.marketState(3)
    assert (state.longK, state.shortK, state.accruedAt) == (RAY, RAY, desk.core.evm.timestamp)


@pytest.mark.parametrize("side", [1, -1])
def test_configure__after_time_passed__accrues_at_the_old_parameters_first(desk: Desk, side: int) -> None:
    """PM-05: configuration changed before accrual is a finding of audits."""
    desk.set_skew(side * 1_000 * WAD)
    stored = desk.core.market.marketState(ETH)
    desk.core.tick(10_000)
    long, short = (1_000 * WAD, 0) if side > 0 else (0, 1_000 * WAD)
    wanted = accrued(
        Side(stored.longG, RAY, long),
        Side(stored.shortG, RAY, short),
        stored.rate,
        stored.poolQuote,
        desk.core.cash(desk.core.pool_account(ETH)),
        desk.core.prices[ETH],
        10_000,
    )
    limit = abs(wanted.rate) // 2
    assert limit > 0
    desk.core.set_params(ETH, maxFundingVelocity=0, maxFundingRate=limit, rateAtKinkBps=0, rateAtFullBps=0)
    state = desk.core.market.marketState(ETH)
    assert (state.longG, state.shortG, state.poolQuote) == wanted[1:]
    assert state.rate == side * limit  # and then the rate is brought within its new limit
    desk.core.check_sums()


@pytest.mark.parametrize("delta", [-1, 0, 1])
def test_configure__rate_against_its_new_limit__on_both_sides(desk: Desk, delta: int) -> None:
    desk.set_skew(-1_000 * WAD)
    desk.next_block(seconds=10_000)
    rate = desk.core.market.fundingRate(ETH)
    assert rate < 0
    desk.core.set_params(ETH, maxFundingRate=-rate + delta)
    assert desk.core.market.fundingRate(ETH) == max(rate, rate - delta)


def test_configure__a_higher_initial_margin__liquidates_nobody(desk: Desk, trader: int) -> None:
    """Finding of audits: a configuration change that liquidates."""
    desk.trade(trader, 100 * WAD)
    before = desk.core.market.healthOf(trader)
    desk.core.set_params(ETH, imBaseBps=10_000, imSlopeBps=1_000_000, penaltyBps=300, mmFractionBps=9_000)
    assert desk.core.market.healthOf(trader) == before
    desk.core.set_params(ETH)
    assert desk.core.market.healthOf(trader) == before


@pytest.mark.parametrize("until", [0, 1, 2**32 - 1])
def test_setHalt__writes_the_time_alone(desk: Desk, until: int) -> None:
    margin, trading, liquidity = desk.core.market.marketConfig(ETH)
    desk.core.market.setHalt(ETH, 12_345, sender=desk.core.configurator)
    desk.core.market.setHalt(ETH, until, sender=desk.core.configurator)
    assert desk.core.market.marketConfig(ETH) == (margin, trading, liquidity | until << 224)
