"""PerpMarket.trade: orders that close or shrink a position: never refused for margin, charged what is there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, DOUBTFUL, DOWN, ETH, ETH_PRICE, GRACE, KEEPER, WAD, account_id
from tests.support.evm import reverts
from tests.unit.market.conftest import Desk, signed
from tests.unit.market.reference import (
    Slot,
    fill_price,
    filled,
    health_price,
    maintenance,
    notional,
    penalty,
    split,
    trading_fee,
    worth,
)

CASH = 100_000 * WAD
KEEPER_ACCOUNT = account_id(KEEPER)


# --- what it does ---


@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("part", [WAD, 3_333_333_333_333_333_333, 10 * WAD])
def test_trade__reducing__releases_the_part_of_the_quote(desk: Desk, trader: int, held: int, part: int) -> None:
    """PM-01"""
    desk.trade(trader, held)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    pool_quote, unswept = desk.pool_quote(), desk.core.market.unsweptFees(ETH)
    base = -part if held > 0 else part
    price, more = fill_price(held, base, ETH_PRICE)
    fee = trading_fee(held, base, more)
    left, left_quote, released = filled(held, quote, base, more)
    receipt = desk.trade(trader, base)
    assert receipt.value == (base, price, fee)
    assert receipt.event("Traded").args == {
        "account": trader,
        "marketId": ETH,
        "base": base,
        "quote": more,
        "fillPrice": price,
        "fee": fee,
        "newBase": left,
        "newQuote": left_quote,
    }
    slot = Slot(cash + released - fee, 0, 1 if left else 0)
    assert receipt.event("Posted").args == {"account": trader, "balance": slot.word}
    assert desk.position(trader) == (left, left_quote, 0)
    parts = split(fee)
    assert desk.pool_quote() == pool_quote - more + parts.pool
    assert desk.core.market.unsweptFees(ETH) == (unswept[0] + parts.insurance, unswept[1] + parts.treasury)
    assert desk.core.market.openInterest(ETH) == (max(left, 0), max(-left, 0))
    desk.core.check_sums(dust_bound=0)


@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("times", [1, 2, 10**9])
def test_trade__reduce_only_beyond_the_position__closes_it(desk: Desk, trader: int, held: int, times: int) -> None:
    desk.trade(trader, held)
    assert desk.trade(trader, -held * times, reduce_only=True).value[0] == -held
    assert desk.slot(trader).markets == 0


@pytest.mark.parametrize("held", [0, 10 * WAD])
def test_trade__reduce_only_with_nothing_to_reduce__is_refused(desk: Desk, trader: int, held: int) -> None:
    if held:
        desk.trade(trader, held)
    with reverts("PerpMarket_NothingToReduce", trader, ETH):
        desk.trade(trader, WAD, reduce_only=True)
    if held:
        desk.trade(trader, -WAD, reduce_only=True)


def test_trade__reduce_only_after_a_flip__is_refused(desk: Desk, trader: int) -> None:
    desk.trade(trader, -10 * WAD)
    with reverts("PerpMarket_NothingToReduce", trader, ETH):
        desk.trade(trader, -WAD, reduce_only=True)


@settings(max_examples=60)
@given(
    held=signed(10 * WAD, 500 * WAD),
    crowd=signed(WAD, 500 * WAD),
    kept=st.integers(WAD, 9 * WAD),
    price=st.integers(2_900 * WAD, 3_100 * WAD),
    confidence=st.integers(0, 20 * WAD),
)
def test_trade__random_reductions__release_what_the_specification_says(
    shared_desk: Desk, held: int, crowd: int, kept: int, price: int, confidence: int
) -> None:
    desk = shared_desk
    with desk.isolated():
        desk.set_skew(crowd)
        trader = desk.rich()
        desk.trade(trader, held)
        cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
        base = -held + (kept if held > 0 else -kept)
        at, more = fill_price(crowd + held, base, price, confidence)
        fee = trading_fee(crowd + held, base, more)
        left, left_quote, released = filled(held, quote, base, more)
        assert desk.trade(trader, base, record=desk.record(price, confidence)).value == (base, at, fee)
        assert desk.position(trader) == (left, left_quote, 0)
        assert desk.core.cash(trader) == cash + released - fee
        desk.core.check_sums(dust_bound=0)


# --- what does not stop it ---


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_trade__reducing_in_any_state_and_while_halted__is_open(desk: Desk, trader: int, state: int) -> None:
    desk.trade(trader, 10 * WAD)
    desk.core.halt(ETH, 3_600)
    desk.trade(trader, -WAD, record=desk.record(state=state))
    assert desk.position(trader)[0] == 9 * WAD


def test_trade__reducing_with_another_market_stale__is_open(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.trade(trader, WAD // 10, market=BTC)
    published = desk.core.evm.timestamp
    desk.core.evm.advance(16)
    desk.core.record(ETH)
    with reverts("PerpMarket_StalePrice", BTC, published):
        desk.trade(trader, WAD)
    desk.trade(trader, -WAD)


def test_trade__reducing_by_a_cross_account_where_it_may_no_longer_open__is_open(desk: Desk, trader: int) -> None:
    desk.trade(trader, 2 * WAD)
    desk.core.set_params(ETH, isolatedOnly=True)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.trade(trader, WAD)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.trade(trader, -4 * WAD)
    desk.trade(trader, -2 * WAD)


def test_trade__reducing_below_initial_margin__is_open(desk: Desk, trader: int) -> None:
    """PM-01: no reduction is refused for margin."""
    desk.trade(trader, 100 * WAD)
    desk.core.set_params(ETH, imBaseBps=10_000)
    initial, _ = desk.core.market.requirements(trader)
    assert initial > 3 * CASH
    desk.trade(trader, -WAD)
    assert desk.position(trader)[0] == 99 * WAD


# --- bankruptcy ---


def result(desk: Desk, trader: int, price: int) -> int:
    """What the position in ETH is worth at a price, less what it cost."""
    base, quote, owed = desk.position(trader)
    return worth(base, price) + quote - owed


@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("confidence", [0, 5 * WAD, 100 * WAD])
def test_trade__equity_of_nothing__is_bankrupt_and_one_more_pays_the_loss(
    desk: Desk, trader: int, held: int, confidence: int
) -> None:
    """Reductions by the bankrupt are the liquidator's. Equity at the health price, at most 25 bps in favour."""
    desk.set_skew(-20 * held)  # so that closing costs
    desk.trade(trader, held)
    record = desk.record(confidence=confidence)
    price = health_price(held, ETH_PRICE, confidence)
    base = -held // 2
    _, more = fill_price(-19 * held, base, ETH_PRICE, confidence)
    loss = worth(held, price) - worth(held + base, price) - more
    worthless = -result(desk, trader, price)
    assert loss > 0
    for equity in (-1, 0):
        desk.set_cash(trader, worthless + equity)
        with reverts("PerpMarket_Bankrupt", trader, equity):
            desk.trade(trader, base, record=record)
    for equity in (1, loss - 1):
        desk.set_cash(trader, worthless + equity)
        with reverts("PerpMarket_Bankrupt", trader, equity - loss):
            desk.trade(trader, base, record=record)
    desk.set_cash(trader, worthless + loss)
    assert desk.trade(trader, base, record=record, execution_fee=WAD).value[2] == 0
    assert desk.core.cash(account_id(KEEPER)) == 0


def test_trade__bankrupt_by_another_market__is_refused(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.trade(trader, WAD, market=BTC)
    desk.next_block(20_000 * WAD, BTC)
    base, quote, owed = desk.position(trader, BTC)
    other = worth(base, 20_000 * WAD) + quote - owed
    desk.set_cash(trader, -other - result(desk, trader, ETH_PRICE))
    with reverts("PerpMarket_Bankrupt", trader, 0):
        desk.trade(trader, -WAD)


# --- charges ---


def charges(equity: int, held: int, base: int, skew: int, execution_fee: int) -> tuple[int, int, int, int]:
    """(execution, fee, surcharge, the executor's part of it) of a reduction at 3,000 without confidence."""
    at = ETH_PRICE
    _, more = fill_price(skew, base, at)
    loss = worth(held, at) - worth(held + base, at) - more
    available = equity - loss
    execution = min(execution_fee, available, abs(more) * 100 // 10_000)
    fee = min(trading_fee(skew, base, more), available - execution)
    required = maintenance(held, at)
    if equity >= required:
        return execution, fee, 0, 0
    freed = required - maintenance(held + base, at)
    cost = min(penalty(notional(abs(base), at)), max(0, equity * freed // required - loss))
    surcharge = min(max(0, cost - fee), available - execution - fee)
    return execution, fee, surcharge, min(min(max(cost * 3_000 // 10_000, 2 * WAD), 500 * WAD), surcharge)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("closed", [1, 10**9, WAD // 100, WAD])
def test_trade__reducing_by_dust__pays_a_hundredth_of_it_at_most_for_the_execution(
    desk: Desk, trader: int, sign: int, closed: int
) -> None:
    """PM-01: an execution fee at the limit, a wei above, and far above it. An increase pays all of it."""
    desk.trade(trader, sign * 10 * WAD)
    _, more = fill_price(sign * 10 * WAD, -sign * closed, ETH_PRICE)
    limit = abs(more) // 100
    for execution_fee in (limit, limit + 1, 10 * WAD + limit):
        with desk.isolated():
            cash = desk.core.cash(KEEPER_ACCOUNT)
            desk.trade(trader, -sign * closed, execution_fee=execution_fee)
            assert desk.core.cash(KEEPER_ACCOUNT) == cash + limit
    cash = desk.core.cash(KEEPER_ACCOUNT)
    desk.trade(trader, sign * closed, execution_fee=limit + 1)
    assert desk.core.cash(KEEPER_ACCOUNT) == cash + limit + 1


@settings(max_examples=60)
@given(
    held=signed(10 * WAD, 1_000 * WAD),
    crowd=signed(WAD, 1_000 * WAD),
    part=st.integers(1, 10),
    health_bps=st.integers(100, 10_100),
    execution_fee=st.integers(0, 100 * WAD),
)
def test_trade__reducing_below_maintenance__costs_what_a_close_out_would(
    shared_desk: Desk, held: int, crowd: int, part: int, health_bps: int, execution_fee: int
) -> None:
    """Findings of audits: self-liquidation cheaper than closing. Execution fee first, then fee, then the surcharge."""
    desk = shared_desk
    with desk.isolated():
        desk.set_skew(crowd)
        trader = desk.rich()
        desk.trade(trader, held)
        equity = maintenance(held, ETH_PRICE) * health_bps // 10_000
        desk.set_cash(trader, equity - result(desk, trader, ETH_PRICE))
        base = -held * part // 10
        _, more = fill_price(crowd + held, base, ETH_PRICE)
        loss = worth(held, ETH_PRICE) - worth(held + base, ETH_PRICE) - more
        if equity < loss:
            with reverts("PerpMarket_Bankrupt", trader, equity - loss):
                desk.trade(trader, base)
            return
        _, quote, _ = desk.position(trader)
        cash, unswept = desk.core.cash(trader), desk.core.market.unsweptFees(ETH)
        execution, fee, surcharge, reward = charges(equity, held, base, crowd + held, execution_fee)
        _, _, released = filled(held, quote, base, more)
        pool_quote = desk.pool_quote()
        assert desk.trade(trader, base, execution_fee=execution_fee).value[2] == fee
        parts = split(fee)
        assert desk.core.cash(trader) == cash + released - execution - fee - surcharge
        assert desk.core.cash(KEEPER_ACCOUNT) == execution + reward
        assert desk.core.market.unsweptFees(ETH) == (
            unswept[0] + parts.insurance + surcharge - reward,
            unswept[1] + parts.treasury,
        )
        assert desk.pool_quote() == pool_quote - more + parts.pool
