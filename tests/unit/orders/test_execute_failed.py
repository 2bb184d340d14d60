"""Market orders that a rule of the market refuses: ended, paid for, and out of the way of those behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.core import (
    BTC,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    GRACE,
    KEEPER,
    WAD,
    Core,
    account_id,
)
from tests.support.evm import reverts
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    QUEUED,
    SPENT,
    WINDOW,
    fee_reserve,
    fill,
    hash_of,
    initial,
    queue,
    reason_of,
    reserved,
    status,
)

KEEPER_ACCOUNT = account_id(KEEPER)
MAX_AGE: int = ETH_PARAMS["maxPriceAge"]
Reason = tuple[Any, ...]


def test_execute__insufficient_margin__forfeits_the_taker_fee_to_the_fund(core: Core) -> None:
    """OB-03: who asks for what he can't carry pays what the trade would have cost; nothing else of it remains."""
    trader = core.trader("trader", 500)
    order = core.order(trader, ETH, 10 * WAD)
    core.place(order)
    core.tick(DELAY)
    filled = fill(ETH, 0, 10 * WAD, ETH_PRICE)
    loss = 10 * ETH_PRICE + filled.quote
    pool = core.market.position(core.pool_account(ETH), ETH)

    receipt = core.execute(order)

    reserve = fee_reserve(10 * WAD, ETH_PRICE)
    args = dict(receipt.event("OrderFailed").args)
    args.pop("reason")
    assert args == {
        "hash": hash_of(core, order),
        "account": trader,
        "executor": KEEPER,
        "paid": EXECUTION_FEE,
        "forfeited": reserve,
    }
    assert loss < 0
    available = 500 * WAD - filled.fee - EXECUTION_FEE + loss
    required = initial(ETH, 10 * WAD, ETH_PRICE)
    assert reason_of(receipt) == ("PerpMarket_InsufficientMargin", trader, available, required)
    assert not receipt.events("Traded")
    assert core.cash(trader) == 500 * WAD - EXECUTION_FEE - reserve
    assert core.cash(core.fund_main) == reserve
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    assert reserved(core, trader) == 0
    assert (status(core, order), queue(core, ETH)) == (SPENT, (2, 2))
    assert core.market.position(trader, ETH) == (0, 0, 0)
    assert core.market.position(core.pool_account(ETH), ETH) == pool
    assert core.market.unsweptFees(ETH) == (0, 0)
    core.check_sums()


def test_execute__margin_exactly__is_filled_and_a_wei_less_fails(core: Core) -> None:
    filled = fill(ETH, 0, 10 * WAD, ETH_PRICE)
    needed = initial(ETH, 10 * WAD, ETH_PRICE) + filled.fee + EXECUTION_FEE - (10 * ETH_PRICE + filled.quote)
    trader = core.trader("trader")
    core.post(trader, needed - 1)
    order = core.order(trader, ETH, 10 * WAD)
    core.place(order)
    core.tick(DELAY)
    with core.evm.isolated():
        required = initial(ETH, 10 * WAD, ETH_PRICE)
        assert reason_of(core.execute(order)) == ("PerpMarket_InsufficientMargin", trader, required - 1, required)
    core.post(trader, 1)
    core.execute(order).event("OrderExecuted")


@pytest.mark.parametrize("cash", [10 * WAD, EXECUTION_FEE + 1, EXECUTION_FEE, EXECUTION_FEE - 1, 0, -1])
def test_execute__insufficient_margin_and_little_cash__executor_first(core: Core, cash: int) -> None:
    """What is left pays the executor, then the fund, and is never made negative by them."""
    trader = core.trader("trader", 500)
    order = core.order(trader, ETH, 10 * WAD)
    core.place(order)
    core.tick(DELAY)
    core.post(trader, cash - core.cash(trader))
    event = core.execute(order).event("OrderFailed")
    paid = min(EXECUTION_FEE, max(0, cash))
    forfeited = min(fee_reserve(10 * WAD, ETH_PRICE), max(0, cash) - paid)
    assert (event["paid"], event["forfeited"]) == (paid, forfeited)
    assert core.cash(trader) == cash - paid - forfeited
    assert core.cash(KEEPER_ACCOUNT) == paid
    assert core.cash(core.fund_main) == forfeited
    assert reserved(core, trader) == 0


def test_execute__failed_order__leaves_no_accrual_behind(core: Core, trader: int) -> None:
    """A failed trade leaves nothing of itself: time is accrued by the next that succeeds."""
    core.open(core.trader("other", 100_000), ETH, 20 * WAD)
    order = core.order(trader, ETH, 2 * WAD, acceptable=1)
    core.place(order)
    core.tick(DELAY)
    receipt = core.execute(order)
    assert receipt.event("OrderFailed")["forfeited"] == 0
    assert not receipt.events("Accrued")
    core.check_sums()


def test_execute__order_behind_a_failed_one__is_next(core: Core, trader: int) -> None:
    first, second = core.order(trader, ETH, 2 * WAD, acceptable=1), core.order(trader, ETH, 2 * WAD)
    for order in (first, second):
        core.place(order)
    core.tick(DELAY)
    core.execute(first).event("OrderFailed")
    core.execute(second).event("OrderExecuted")


# --- each of the rules ends an order, without a forfeit ---


def fails(core: Core, order: dict[str, Any], prepare: Callable[[], None] | None = None) -> Reason:
    """Places, waits, prepares, executes; the reason, after all that a failure does was checked."""
    account = order["account"]
    core.place(order)
    core.tick(DELAY)
    if prepare:
        prepare()
    cash, keeper, fund = core.cash(account), core.cash(KEEPER_ACCOUNT), core.cash(core.fund_main)
    position = core.market.position(account, order["marketId"])
    receipt = core.execute(order)
    event = receipt.event("OrderFailed")
    paid = min(EXECUTION_FEE, max(0, cash))
    assert (event["hash"], event["account"], event["executor"]) == (hash_of(core, order), account, KEEPER)
    assert (event["paid"], event["forfeited"]) == (paid, 0)
    assert core.cash(account) == cash - paid
    assert core.cash(KEEPER_ACCOUNT) == keeper + paid
    assert core.cash(core.fund_main) == fund
    assert reserved(core, account) == 0
    assert status(core, order) == SPENT
    following, head = queue(core, order["marketId"])
    assert head == following
    assert core.market.position(account, order["marketId"]) == position
    return reason_of(receipt)


@pytest.mark.parametrize("sign", [1, -1])
def test_execute__nothing_to_reduce__fails(core: Core, trader: int, sign: int) -> None:
    expected = ("PerpMarket_NothingToReduce", trader, ETH)
    assert fails(core, core.order(trader, ETH, sign * 2 * WAD, reduce_only=True)) == expected
    core.open(trader, ETH, sign * 2 * WAD)
    assert fails(core, core.order(trader, ETH, sign * 2 * WAD, reduce_only=True)) == expected


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_execute__price_that_allows_no_opening__fails(core: Core, trader: int, state: int) -> None:
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.tick(DELAY, state=state)
    assert reason_of(core.execute(order)) == ("PerpMarket_OpeningHalted", ETH, state, 0)


def test_execute__market_halted__fails(core: Core, trader: int) -> None:
    core.halt(ETH, 3_600)
    until = core.evm.timestamp + 3_600
    assert fails(core, core.order(trader, ETH, 2 * WAD)) == ("PerpMarket_OpeningHalted", ETH, 0, until)


def test_execute__too_small_a_position__fails(core: Core, trader: int) -> None:
    base = WAD // 3
    expected = ("PerpMarket_BelowMinimumPosition", base * ETH_PRICE // WAD, 1_000 * WAD)
    assert fails(core, core.order(trader, ETH, base)) == expected


def test_execute__open_interest_at_its_limit__fails(core: Core, trader: int) -> None:
    core.set_params(ETH, openInterestBps=1)
    capital, _ = core.market.poolCapital(ETH)
    base = 2 * WAD
    after = capital - (base * ETH_PRICE // WAD + fill(ETH, 0, base, ETH_PRICE).quote)
    expected = ("PerpMarket_OpenInterestLimit", 2 * ETH_PRICE, after // 10_000)
    assert fails(core, core.order(trader, ETH, base)) == expected


def test_execute__skew_beyond_its_limit__fails(core: Core) -> None:
    core.set_params(ETH, maxSkewBps=1)
    rich = core.trader("rich", 10_000_000)
    limit = 333_333 * WAD // 10_000
    assert fails(core, core.order(rich, ETH, -limit - 1)) == ("PerpMarket_SkewLimit", limit + 1, limit)
    core.open(rich, ETH, -limit)


def test_execute__exposure_beyond_its_limit__fails(core: Core, trader: int) -> None:
    core.set_params(ETH, exposureBps=1)
    capital, _ = core.market.poolCapital(ETH)
    base = 2 * WAD
    after = capital - (base * ETH_PRICE // WAD + fill(ETH, 0, base, ETH_PRICE).quote)
    expected = ("PerpMarket_ExposureLimit", 2 * ETH_PRICE, after // 10_000)
    assert fails(core, core.order(trader, ETH, base)) == expected


def test_execute__ninth_market__fails(core: Core, trader: int) -> None:
    for _ in range(7):
        market = core.list_market(100 * WAD, 10**6 * WAD, ETH_PARAMS)
        core.post(core.pool_account(market), 10**7 * WAD)
        core.open(trader, market, 20 * WAD)
    core.open(trader, BTC, WAD)
    assert fails(core, core.order(trader, ETH, 2 * WAD)) == ("PerpMarket_TooManyMarkets", trader)


@pytest.mark.parametrize("equity", [0, -WAD])
def test_execute__bankrupt__fails(core: Core, trader: int, equity: int) -> None:
    """No equity to pay the reduction from: that is for absorption."""
    core.open(trader, ETH, 2 * WAD)

    def ruin() -> None:
        found, _ = core.market.healthOf(trader)
        core.post(trader, equity - found)

    order = core.order(trader, ETH, -2 * WAD)
    assert fails(core, order, ruin) == ("PerpMarket_Bankrupt", trader, equity)


def test_execute__account_isolated_in_another_market__fails(core: Core) -> None:
    isolated = core.trader("trader", 10_000, isolated_market=BTC)
    assert fails(core, core.order(isolated, ETH, 2 * WAD)) == ("PerpMarket_WrongMarket", isolated, ETH)


def test_execute__cross_account_in_an_isolated_only_market__fails(core: Core, trader: int) -> None:
    core.set_params(ETH, isolatedOnly=True)
    assert fails(core, core.order(trader, ETH, 2 * WAD)) == ("PerpMarket_IsolatedOnly", ETH)


def test_execute__price_that_skew_or_doubt_make_worthless__fails(core: Core, trader: int) -> None:
    """A sale at an index price that is all doubt has no price."""
    order = core.order(trader, ETH, -2 * WAD)
    core.place(order)
    core.evm.advance(DELAY)
    core.record(ETH, ETH_PRICE, ETH_PRICE)
    assert reason_of(core.execute(order)) == ("PerpMarket_PriceOutOfRange", ETH)


# --- another market of the account without a price: waited for, then the order's own fault ---


def with_a_market_gone_stale(core: Core, trader: int) -> tuple[dict[str, Any], int, int]:
    """An order in ETH, due now and its record there, of an account whose BTC is a second too old; its T, and BTC's
    publishedAt."""
    core.open(trader, BTC, WAD)
    core.tick(1)
    published = core.evm.timestamp
    core.evm.advance(MAX_AGE + 1 - DELAY)
    order = core.order(trader, ETH, 2 * WAD)
    core.place(order)
    core.evm.advance(DELAY)
    core.record(ETH)
    return order, core.evm.timestamp, published


def test_execute__another_market_stale__is_refused_whole_until_twice_the_window(core: Core, trader: int) -> None:
    """OB-03: its own market's price is there, so it is not void; whoever brings the other price may still fill it."""
    order, start, published = with_a_market_gone_stale(core, trader)
    cash, aside = core.cash(trader), reserved(core, trader)
    for wait in (0, WINDOW + 1, 2 * WINDOW):
        core.evm.timestamp = start + wait
        with reverts("PerpMarket_StalePrice", BTC, published):
            core.execute(order)
        skipped = core.order_book.executeBatch([order], [], sender=KEEPER)
        assert [event.name for event in skipped.logs] == ["OrderSkipped"]
        assert reason_of(skipped, "OrderSkipped") == ("PerpMarket_StalePrice", BTC, published)
        assert (status(core, order), queue(core, ETH)) == (QUEUED, (2, 1))
        assert (core.cash(trader), reserved(core, trader)) == (cash, aside)
    core.record(BTC)
    core.execute(order).event("OrderExecuted")
    assert (reserved(core, trader), queue(core, ETH)) == (0, (2, 2))


def test_execute__another_market_stale_for_longer__fails_and_forfeits_as_without_margin(
    core: Core, trader: int
) -> None:
    """OB-03: whose account it is can bring that price, or not: not to bring it costs what a fill would have."""
    order, start, published = with_a_market_gone_stale(core, trader)
    core.evm.timestamp = start + 2 * WINDOW + 1
    cash = core.cash(trader)
    receipt = core.execute(order)
    assert reason_of(receipt) == ("PerpMarket_StalePrice", BTC, published)
    reserve = fee_reserve(2 * WAD, ETH_PRICE)
    event = receipt.event("OrderFailed")
    assert (event["paid"], event["forfeited"]) == (EXECUTION_FEE, reserve)
    assert core.cash(trader) == cash - EXECUTION_FEE - reserve
    assert core.cash(core.fund_main) == reserve
    assert (reserved(core, trader), status(core, order), queue(core, ETH)) == (0, SPENT, (2, 2))


def test_execute__another_market_stale_in_a_reduction__does_not_matter(core: Core, trader: int) -> None:
    core.open(trader, BTC, WAD)
    core.open(trader, ETH, 2 * WAD)
    core.evm.advance(MAX_AGE + 1)
    order = core.order(trader, ETH, -2 * WAD, reduce_only=True)
    core.place(order)
    core.evm.advance(DELAY)
    core.record(ETH)
    core.execute(order).event("OrderExecuted")
