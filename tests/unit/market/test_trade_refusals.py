"""PerpMarket.trade: who may call it, which account may trade what, when, at which price; which reason is first."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ADMIN,
    BTC,
    BTC_PRICE,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    OPEN,
    RISK,
    SCALES,
    TREASURY,
    WAD,
    actor,
)
from tests.support.evm import ANYONE, reverts
from tests.unit.market.conftest import Desk
from tests.unit.market.reference import ETH_SCALE, Slot, fill_price, initial

# --- who ---


@pytest.mark.parametrize("sender", [ANYONE, ADMIN, RISK, TREASURY, actor("trader")])
def test_trade__by_anybody__is_refused(desk: Desk, trader: int, sender: str) -> None:
    """PM-01: only the order book; no role, and not the owner."""
    with reverts("PerpMarket_NotModule", sender):
        desk.trade(trader, WAD, sender=sender)


@pytest.mark.parametrize("room", ["vault", "configurator", "liquidator", "pool", "fund", "lens", "oracle", "token"])
def test_trade__by_another_room__is_refused(desk: Desk, trader: int, room: str) -> None:
    contract = getattr(desk.core, room)
    with reverts("PerpMarket_NotModule", contract):
        desk.trade(trader, WAD, sender=contract)


# --- what may be traded ---


@pytest.mark.parametrize("market", [0, 3, 2**256 - 1])
def test_trade__market_that_is_not_listed__is_refused(desk: Desk, trader: int, market: int) -> None:
    with reverts("PerpMarket_NotListed", market):
        desk.trade(trader, WAD, market=market, record=desk.record())


def test_trade__isolated_account__in_its_own_market_only(desk: Desk) -> None:
    isolated = desk.rich(isolated_market=ETH)
    with reverts("PerpMarket_WrongMarket", isolated, BTC):
        desk.trade(isolated, WAD, market=BTC)
    with reverts("PerpMarket_WrongMarket", isolated, BTC):
        desk.trade(isolated, 0, market=BTC)
    desk.trade(isolated, WAD)
    assert desk.slot(isolated).markets == 0b01


def test_trade__accounts_of_one_owner__are_apart(desk: Desk) -> None:
    """Neither cash nor positions of one count in the other."""
    cross, isolated = desk.core.trader("trader", 100_000), desk.core.trader("trader", 0, ETH)
    _, quote = fill_price(0, WAD, ETH_PRICE)
    required = initial(WAD, ETH_PRICE)
    fee = -(-abs(quote) * 6 // 10_000)
    with reverts("PerpMarket_InsufficientMargin", isolated, ETH_PRICE + quote - fee, required):
        desk.trade(isolated, WAD)
    desk.trade(cross, WAD)
    assert desk.position(isolated) == (0, 0, 0)
    assert desk.slot(isolated) == Slot(0)


def test_trade__isolated_only_market__is_closed_to_cross_accounts(desk: Desk) -> None:
    desk.core.set_params(ETH, isolatedOnly=True)
    cross, isolated = desk.rich(), desk.rich(isolated_market=ETH)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.trade(cross, WAD)
    desk.trade(isolated, WAD)
    desk.core.set_params(ETH, isolatedOnly=False)
    desk.trade(cross, WAD)


def test_trade__of_nothing__is_refused(desk: Desk, trader: int) -> None:
    with reverts("PerpMarket_ZeroSize"):
        desk.trade(trader, 0)
    desk.trade(trader, WAD)
    with reverts("PerpMarket_ZeroSize"):
        desk.trade(trader, 0)


def test_trade__ninth_market_of_an_account__is_refused(desk: Desk) -> None:
    """A loop over an account's markets has a bound. An isolated account counts for itself."""
    while desk.core.market.marketCount() < 9:
        market = desk.core.list_market(BTC_PRICE, SCALES[BTC])
        desk.core.post(desk.core.pool_account(market), 10_000_000 * WAD)
    trader = desk.rich()
    for market in range(1, 9):
        desk.trade(trader, WAD, market=market)
    assert desk.slot(trader).markets == 0xFF
    with reverts("PerpMarket_TooManyMarkets", trader):
        desk.trade(trader, WAD, market=9)
    desk.trade(trader, WAD, market=8)
    desk.trade(trader, -2 * WAD, market=8)
    desk.trade(trader, WAD, market=9)
    assert desk.slot(trader).markets == 0x17F
    with reverts("PerpMarket_TooManyMarkets", trader):
        desk.trade(trader, WAD, market=8)
    desk.trade(trader, -2 * WAD, market=9)  # crossing is no market more
    desk.core.check_sums()


# --- when ---


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
@pytest.mark.parametrize("base", [WAD, -WAD])
def test_trade__opening_at_a_record_of_another_state__is_refused(
    desk: Desk, trader: int, state: int, base: int
) -> None:
    """The order's own record decides, whatever the newest says."""
    with reverts("PerpMarket_OpeningHalted", ETH, state, 0):
        desk.trade(trader, base, record=desk.record(state=state))
    desk.core.evm.advance(1)
    desk.core.record(ETH, state=state)
    desk.trade(trader, base, record=desk.record(state=OPEN))


def test_trade__opening_during_a_halt__until_its_last_second(desk: Desk, trader: int) -> None:
    until = desk.core.evm.timestamp + 10
    desk.core.halt(ETH, 10)
    with reverts("PerpMarket_OpeningHalted", ETH, OPEN, until):
        desk.trade(trader, WAD)
    with reverts("PerpMarket_OpeningHalted", ETH, GRACE, until):
        desk.trade(trader, WAD, record=desk.record(state=GRACE))
    desk.trade(trader, WAD, market=BTC)
    desk.core.evm.timestamp = until - 1
    with reverts("PerpMarket_OpeningHalted", ETH, OPEN, until):
        desk.trade(trader, WAD)
    desk.core.evm.timestamp = until
    desk.trade(trader, WAD)


def test_trade__resumed__opens(desk: Desk, trader: int) -> None:
    desk.core.halt(ETH, 1_000)
    desk.core.configurator.resumeOpening(ETH, sender=RISK)
    desk.trade(trader, WAD)


def test_trade__another_market_stale__is_refused_after_its_last_second(desk: Desk, trader: int) -> None:
    """The order's own market may be stale: its record counts."""
    desk.trade(trader, WAD // 10, market=BTC)
    published = desk.core.evm.timestamp
    desk.core.evm.advance(15)
    desk.trade(trader, WAD)
    desk.core.evm.advance(1)
    with reverts("PerpMarket_StalePrice", BTC, published):
        desk.trade(trader, WAD)
    desk.core.record(BTC)
    desk.trade(trader, WAD)


# --- at which price ---


@pytest.mark.parametrize("base", [WAD, -WAD])
def test_trade__acceptable_price__at_it_and_beyond(desk: Desk, trader: int, base: int) -> None:
    desk.set_skew(50 * WAD)
    price, _ = fill_price(50 * WAD, base, ETH_PRICE, WAD)
    record = desk.record(confidence=WAD)
    worse = price - 1 if base > 0 else price + 1
    with reverts("PerpMarket_PriceNotAcceptable", price, worse):
        desk.trade(trader, base, acceptable=worse, record=record)
    desk.trade(trader, base, acceptable=price, record=record)


def test_trade__acceptable_price_of_a_reduction__counts_too(desk: Desk, trader: int) -> None:
    desk.trade(trader, 2 * WAD)
    price, _ = fill_price(2 * WAD, -WAD, ETH_PRICE)
    with reverts("PerpMarket_PriceNotAcceptable", price, price + 1):
        desk.trade(trader, -WAD, acceptable=price + 1)
    desk.trade(trader, -WAD, acceptable=price)


@pytest.mark.parametrize("confidence", [ETH_PRICE, ETH_PRICE + 1])
def test_trade__confidence_as_wide_as_the_price__has_no_price_to_sell_at(
    desk: Desk, trader: int, confidence: int
) -> None:
    with reverts("PerpMarket_PriceOutOfRange", ETH):
        desk.trade(trader, -WAD, record=desk.record(confidence=confidence))


@pytest.mark.parametrize("crowd", [0, 100 * WAD, -100 * WAD])
def test_trade__sale_of_twice_the_scale__has_no_price(desk: Desk, trader: int, crowd: int) -> None:
    """n = 2S + 2k + Δ ≤ 0 would be a price below nothing."""
    desk.set_skew(crowd)
    most = 2 * ETH_SCALE + 2 * crowd
    for size in (most, most + 1, 10 * most):
        with reverts("PerpMarket_PriceOutOfRange", ETH):
            desk.trade(trader, -size)
    price, _ = fill_price(crowd, -(most - 10**6), ETH_PRICE)
    with reverts("PerpMarket_PriceNotAcceptable", price, price + 1):
        desk.trade(trader, -(most - 10**6), acceptable=price + 1)


# --- which first ---


def test_trade__several_reasons__the_first_in_order_is_named(desk: Desk) -> None:
    """The specification's section 5: each reason is taken away when it was named."""
    core = desk.core
    wrong = desk.rich(isolated_market=BTC)
    cross = core.trader("trader", 10_000)
    desk.trade(cross, WAD // 10, market=BTC)
    published = core.evm.timestamp
    core.set_params(ETH, isolatedOnly=True, openInterestBps=0, maxSkewBps=1, exposureBps=0)
    core.halt(ETH, 1_000)
    core.evm.advance(16)
    halted = core.evm.timestamp + 984
    huge = -3 * ETH_SCALE
    with reverts("PerpMarket_WrongMarket", wrong, ETH):
        desk.trade(wrong, 0)
    with reverts("PerpMarket_ZeroSize"):
        desk.trade(cross, 0)
    with reverts("PerpMarket_NothingToReduce", cross, ETH):
        desk.trade(cross, huge, reduce_only=True)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.trade(cross, huge)
    core.set_params(ETH, openInterestBps=0, maxSkewBps=1, exposureBps=0)
    with reverts("PerpMarket_OpeningHalted", ETH, DOWN, halted):
        desk.trade(cross, huge, record=desk.record(state=DOWN))
    core.configurator.resumeOpening(ETH, sender=RISK)
    with reverts("PerpMarket_StalePrice", BTC, published):
        desk.trade(cross, huge)
    core.record(BTC)
    with reverts("PerpMarket_PriceOutOfRange", ETH):
        desk.trade(cross, huge)
    price, _ = fill_price(0, 1, ETH_PRICE)
    with reverts("PerpMarket_PriceNotAcceptable", price, price - 1):
        desk.trade(cross, 1, acceptable=price - 1)
    with reverts("PerpMarket_BelowMinimumPosition", 3_000, 1_000 * WAD):
        desk.trade(cross, 1)
    with reverts("PerpMarket_OpenInterestLimit", 1_000 * ETH_PRICE, 0):
        desk.trade(cross, 1_000 * WAD)
    core.set_params(ETH, maxSkewBps=1, exposureBps=0)
    with reverts("PerpMarket_SkewLimit", 1_000 * WAD, ETH_SCALE // 10_000):
        desk.trade(cross, 1_000 * WAD)
    core.set_params(ETH, exposureBps=0)
    with reverts("PerpMarket_ExposureLimit", 1_000 * ETH_PRICE, 0):
        desk.trade(cross, 1_000 * WAD)


def test_trade__refused__leaves_nothing_of_itself(desk: Desk, trader: int) -> None:
    """A failed trade leaves nothing, its accrual and settlement included."""
    desk.trade(trader, 10 * WAD)
    desk.core.tick(1_000)
    slot, position = desk.slot(trader), desk.position(trader)
    state = tuple(desk.core.market.marketState(ETH))
    with reverts("PerpMarket_BelowMinimumPosition", 3_000, 1_000 * WAD):
        desk.trade(trader, -10 * WAD + 1)
    assert (desk.slot(trader), desk.position(trader)) == (slot, position)
    assert tuple(desk.core.market.marketState(ETH)) == state


def test_trade__releases_more_than_is_reserved__is_a_failure_of_the_machine(desk: Desk, trader: int) -> None:
    desk.core.vault.post([(trader, 0, WAD, 0)], sender=desk.core.order_book)
    with reverts("Panic", 0x11):
        desk.trade(trader, WAD, reserved=WAD + 1)
    desk.trade(trader, WAD, reserved=WAD)
