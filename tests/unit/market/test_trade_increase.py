"""PerpMarket.trade: orders that open or enlarge a position, with all that they write and emit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, account_id
from tests.support.evm import Evm, reverts
from tests.unit.market.conftest import Desk, open_desk, signed
from tests.unit.market.reference import ETH_SCALE, Slot, fill_price, initial, split, trading_fee

CASH = 100_000 * WAD


@pytest.mark.parametrize("base", [2 * WAD, -2 * WAD])
@pytest.mark.parametrize("skew", [0, 100 * WAD, -100 * WAD])
@pytest.mark.parametrize("confidence", [0, 3 * WAD])
def test_trade__opening__fills_at_the_price_of_the_skew_between(
    desk: Desk, trader: int, base: int, skew: int, confidence: int
) -> None:
    """PM-01: (P ± c)(1 + (k + Δ/2)/S), rounded against the trader."""
    desk.set_skew(skew)
    price, quote = fill_price(skew, base, ETH_PRICE, confidence)
    fee = trading_fee(skew, base, quote)
    receipt = desk.trade(trader, base, record=desk.record(confidence=confidence))
    assert receipt.value == (base, price, fee)
    assert receipt.event("Traded").args == {
        "account": trader,
        "marketId": ETH,
        "base": base,
        "quote": quote,
        "fillPrice": price,
        "fee": fee,
        "newBase": base,
        "newQuote": quote,
    }
    assert desk.position(trader) == (base, quote, 0)
    assert desk.slot(trader) == Slot(CASH - fee, 0, 0b01)
    assert desk.core.market.skew(ETH) == skew + base
    desk.core.check_sums()


def test_trade__opening__writes_and_emits_nothing_else(desk: Desk, trader: int) -> None:
    base = 2 * WAD
    price, quote = fill_price(0, base, ETH_PRICE)
    fee = trading_fee(0, base, quote)
    parts = split(fee)
    receipt = desk.trade(trader, base)
    assert [event.name for event in receipt.logs] == ["Posted", "Traded"]
    assert receipt.event("Posted").args == {"account": trader, "balance": Slot(CASH - fee, 0, 1).word}
    assert desk.core.market.openInterest(ETH) == (base, 0)
    assert desk.core.market.unsweptFees(ETH) == (parts.insurance, parts.treasury)
    assert desk.pool_quote() == -quote + parts.pool
    assert desk.position(desk.core.pool_account(ETH)) == (-base, -quote + parts.pool, 0)
    assert price > ETH_PRICE


def test_trade__execution_fee_and_reservation__are_paid_and_released(desk: Desk, trader: int) -> None:
    desk.core.vault.post([(trader, 0, 5 * WAD, 0)], sender=desk.core.order_book)
    base = -2 * WAD
    _, quote = fill_price(0, base, ETH_PRICE)
    fee = trading_fee(0, base, quote)
    receipt = desk.trade(trader, base, execution_fee=WAD // 2, reserved=3 * WAD)
    after = Slot(CASH - fee - WAD // 2, 2 * WAD, 1)
    assert [event.args for event in receipt.events("Posted")] == [
        {"account": trader, "balance": after.word},
        {"account": account_id(KEEPER), "balance": Slot(WAD // 2).word},
    ]
    assert desk.slot(trader) == after
    assert desk.core.cash(account_id(KEEPER)) == WAD // 2
    desk.core.check_sums()


def test_trade__after_time_passed__accrues_settles_and_emits_it(desk: Desk, trader: int) -> None:
    desk.trade(trader, 100 * WAD)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    desk.core.tick(3_600)
    _, _, owed = desk.position(trader)
    state = desk.core.market.marketState(ETH)
    assert owed > 0
    assert state.rate > 0
    _, more = fill_price(100 * WAD, WAD, ETH_PRICE)
    fee = trading_fee(100 * WAD, WAD, more)
    receipt = desk.trade(trader, WAD)
    assert receipt.event("Accrued").args == {
        "marketId": ETH,
        "rate": state.rate,
        "longG": state.longG,
        "shortG": state.shortG,
        "poolQuote": state.poolQuote,
    }
    assert desk.position(trader) == (101 * WAD, quote + more, 0)
    assert desk.core.cash(trader) == cash - owed - fee
    assert desk.core.market.marketState(ETH).accruedAt == desk.core.evm.timestamp
    desk.core.check_sums()


def test_trade__enlarging__adds_base_and_quote_and_releases_nothing(desk: Desk, trader: int) -> None:
    desk.trade(trader, -3 * WAD)
    _, quote, _ = desk.position(trader)
    cash = desk.core.cash(trader)
    _, more = fill_price(-3 * WAD, -WAD, ETH_PRICE)
    receipt = desk.trade(trader, -WAD)
    assert (receipt.event("Traded")["newBase"], receipt.event("Traded")["newQuote"]) == (-4 * WAD, quote + more)
    assert desk.core.cash(trader) == cash - trading_fee(-3 * WAD, -WAD, more)
    assert desk.slot(trader).markets == 1


def test_trade__second_market__sets_its_own_bit(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.trade(trader, WAD // 10, market=BTC)
    assert desk.slot(trader).markets == 0b11
    desk.core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_trade__whatever_the_token__is_in_dollars(evm: Evm, decimals: int) -> None:
    desk = open_desk(evm, decimals=decimals)
    trader = desk.core.trader("trader", 100_000)
    _, quote = fill_price(0, WAD, ETH_PRICE)
    desk.trade(trader, WAD)
    assert desk.position(trader) == (WAD, quote, 0)
    assert desk.core.cash(trader) == CASH - trading_fee(0, WAD, quote)
    desk.core.check_sums()


def test_trade__round_trip_in_one_block__costs_the_fees_and_the_rounding(desk: Desk, trader: int) -> None:
    """Attack: a trader who goes in and out at one record never gains, whatever the sizes."""
    for base in (WAD, 7 * 10**17 + 3, 123_456_789_012_345_678_901):
        before = desk.core.cash(trader)
        paid = desk.trade(trader, base).value[2] + desk.trade(trader, -base).value[2]
        assert 0 <= before - paid - desk.core.cash(trader) <= 1_000


# --- crossing ---


@pytest.mark.parametrize("held", [4 * WAD, -4 * WAD])
def test_trade__crossing__closes_and_opens_at_one_price(desk: Desk, trader: int, held: int) -> None:
    """Findings of audits: fees skipped by flipping sides, wrong accounting when a position flips."""
    desk.trade(trader, held)
    _, quote, _ = desk.position(trader)
    cash = desk.core.cash(trader)
    base = -held * 5 // 2
    price, more = fill_price(held, base, ETH_PRICE)
    fee = trading_fee(held, base, more)
    closing = abs(more) * 2 // 5 * (1 if more > 0 else -1)
    receipt = desk.trade(trader, base)
    assert receipt.event("Traded").args == {
        "account": trader,
        "marketId": ETH,
        "base": base,
        "quote": more,
        "fillPrice": price,
        "fee": fee,
        "newBase": held + base,
        "newQuote": more - closing,
    }
    assert desk.core.cash(trader) == cash + quote + closing - fee
    long, short = (0, 6 * WAD) if held > 0 else (6 * WAD, 0)
    assert desk.core.market.openInterest(ETH) == (long, short)
    desk.core.check_sums()


def test_trade__crossing__needs_margin_for_the_other_side(desk: Desk, trader: int) -> None:
    desk.trade(trader, 2 * WAD)
    _, quote, _ = desk.position(trader)
    base = -4 * WAD
    _, more = fill_price(2 * WAD, base, ETH_PRICE)
    fee = trading_fee(2 * WAD, base, more)
    closing = more // 2
    opened = more - closing
    required = initial(2 * WAD, ETH_PRICE)
    loss = min(0, -2 * ETH_PRICE + opened - max(0, base * ETH_PRICE // WAD + more))
    enough = required - loss + fee - quote - closing
    desk.set_cash(trader, enough - 1)
    with reverts("PerpMarket_InsufficientMargin", trader, required - 1, required):
        desk.trade(trader, base)
    desk.set_cash(trader, enough)
    desk.trade(trader, base)


# --- fees ---


@pytest.mark.parametrize(
    ("skew", "base", "made"),
    [
        (10 * WAD, 4 * WAD, 0),
        (10 * WAD, -4 * WAD, 4 * WAD),
        (10 * WAD, -10 * WAD, 10 * WAD),
        (10 * WAD, -25 * WAD, 10 * WAD),
        (-10 * WAD, -4 * WAD, 0),
        (-10 * WAD, 25 * WAD, 10 * WAD),
    ],
)
def test_trade__fee__is_the_makers_for_what_brings_the_skew_to_zero(
    desk: Desk, trader: int, skew: int, base: int, made: int
) -> None:
    desk.set_skew(skew)
    unswept, pool_quote = desk.core.market.unsweptFees(ETH), desk.pool_quote()
    _, quote = fill_price(skew, base, ETH_PRICE)
    size = abs(base)
    fee = -(-abs(quote) * (2 * made + 6 * (size - made)) // (size * 10_000))
    assert desk.trade(trader, base).value[2] == fee
    insurance, treasury = fee * 2_000 // 10_000, fee * 1_000 // 10_000
    assert desk.core.market.unsweptFees(ETH) == (unswept[0] + insurance, unswept[1] + treasury)
    assert desk.pool_quote() == pool_quote - quote + fee - insurance - treasury


@pytest.mark.parametrize(("insurance", "treasury"), [(0, 0), (10_000, 0), (0, 10_000), (3_333, 3_333)])
def test_trade__shares_of_the_fee__add_up_to_it(desk: Desk, trader: int, insurance: int, treasury: int) -> None:
    desk.core.set_params(ETH, insuranceShareBps=insurance, treasuryShareBps=treasury)
    _, quote = fill_price(0, WAD, ETH_PRICE)
    fee = trading_fee(0, WAD, quote)
    desk.trade(trader, WAD)
    unswept = (fee * insurance // 10_000, fee * treasury // 10_000)
    assert desk.core.market.unsweptFees(ETH) == unswept
    assert desk.pool_quote() == -quote + fee - sum(unswept)
    desk.core.check_sums()


def test_trade__no_maker_fee__balancing_is_free(desk: Desk, trader: int) -> None:
    desk.core.set_params(ETH, makerBps=0)
    desk.set_skew(10 * WAD)
    unswept = desk.core.market.unsweptFees(ETH)
    assert desk.trade(trader, -10 * WAD).value[2] == 0
    assert desk.core.cash(trader) == CASH
    assert desk.core.market.unsweptFees(ETH) == unswept


# --- any figures ---


@settings(max_examples=60)
@given(
    skew=signed(WAD, 1_000 * WAD),
    base=signed(10 * WAD, 1_000 * WAD),
    price=st.integers(100 * WAD, 8_000 * WAD),
    confidence_bps=st.integers(0, 100),
)
def test_trade__random_fills__are_those_of_the_specification(
    shared_desk: Desk, skew: int, base: int, price: int, confidence_bps: int
) -> None:
    """PM-01: prices and fees rounded against the trader, the ledger without dust."""
    desk = shared_desk
    confidence = price * confidence_bps // 10_000
    with desk.isolated():
        desk.set_skew(skew)
        trader = desk.rich()
        before = desk.core.cash(trader)
        at, quote = fill_price(skew, base, price, confidence)
        fee = trading_fee(skew, base, quote)
        assert desk.trade(trader, base, record=desk.record(price, confidence)).value == (base, at, fee)
        assert desk.position(trader) == (base, quote, 0)
        assert desk.core.cash(trader) == before - fee
        assert abs(quote) * WAD <= at * abs(base) if base < 0 else -quote * WAD >= at * base
        assert at >= (price + confidence) * (2 * ETH_SCALE + 2 * skew + base) // (2 * ETH_SCALE) or base < 0
        desk.core.check_sums(dust_bound=0)
