"""Money that an audit elsewhere found to come from nowhere, or to go there."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from plimsoll.risk.config import MarketParams
from plimsoll.risk.funding import flow
from tests.support.core import (
    BTC,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    ORDER_CONFIG,
    SCALES,
    WAD,
    Core,
    account_id,
    owner_of,
)
from tests.support.evm import Receipt, Revert, reverts
from tests.unit.audit import reference
from tests.unit.audit.steps import absorb, liquidate

RAY = 10**27
DAY = 86_400
EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
FUNDING = MarketParams(
    max_skew_bps=ETH_PARAMS["maxSkewBps"],
    rate_at_kink_bps=ETH_PARAMS["rateAtKinkBps"],
    rate_at_full_bps=ETH_PARAMS["rateAtFullBps"],
)


# ------------------------------------------------------------------------------------------------------------- rounding


@pytest.mark.parametrize("size", [WAD + 1, 3 * WAD + 333_333_333_333_333_333, 7 * WAD - 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_rounding__position_taken_apart_in_odd_pieces__never_gains_a_wei(calm: Core, size: int, sign: int) -> None:
    """Elsewhere sums were rounded in the trader's favour, so that thousands of tiny fills carried the pool's money
    off. Here a fill is rounded against the trader: a way there and back, whose impact cancels out exactly, loses at
    least nothing and at most the wei of its roundings, fees aside.
    """
    trader = calm.trader("trader", 100_000)
    pieces = [1, 2, 3, 10**9 + 7, WAD // 3, 1, WAD // 7]
    pieces.append(size - sum(pieces))
    fills = [sign * size, *(-sign * piece for piece in pieces)]
    quotes = [calm.open(trader, ETH, base).event("Traded")["quote"] for base in fills]
    assert calm.market.position(trader, ETH) == (0, 0, 0)
    most = sum(1 + reference.ceil_div(abs(base), WAD) for base in fills)
    assert -most <= sum(quotes) <= 0
    calm.check_sums()


@pytest.mark.parametrize("base", [1, 10**9, WAD - 1, 17 * WAD + 1])
def test_rounding__every_fill__is_within_a_wei_of_the_exact_sum_and_never_better(calm: Core, base: int) -> None:
    """As above for a single fill: the exact quote is a fraction, and what is paid lies on the pool's side of it."""
    trader = calm.trader("trader", 1_000_000)
    calm.open(trader, ETH, 40 * WAD)
    skew = 40 * WAD
    for delta in (base, -base):
        quote = calm.open(trader, ETH, delta).event("Traded")["quote"]
        exact = Fraction(-delta * ETH_PRICE * (2 * SCALES[ETH] + 2 * skew + delta), WAD * 2 * SCALES[ETH])
        assert exact - 2 - base // WAD < quote <= exact
        assert quote == reference.fill(ETH, skew, delta, ETH_PRICE).quote
        skew += delta
    calm.check_sums()


# -------------------------------------------------------------------------------------------------------------- funding


def test_funding__paid_and_received_over_days__is_the_same_money(core: Core) -> None:
    """Elsewhere each side's funding was computed by itself, and what was paid out passed what had been paid in. Here
    longs pay what shorts and the pool receive, to the wei of rounding, and the rounding stays in the vault.
    """
    long, short = core.trader("long", 2_000_000), core.trader("short", 2_000_000)
    core.open(long, ETH, 1_999 * WAD + 1)
    core.open(short, ETH, -777 * WAD - 7)
    core.market.accrue(ETH, sender=core.pool)
    pool = core.pool_account(ETH)
    by_long = core.market.position(long, ETH)[2]
    quote = core.market.position(pool, ETH)[1]
    walk = random.Random(19)
    for accruals in range(1, 9):
        core.tick(walk.randrange(1, 2 * DAY), {ETH: walk.randrange(2_900, 3_100) * WAD})
        core.market.accrue(ETH, sender=core.pool)
        paid, got = (core.market.position(account, ETH)[2] for account in (long, short))
        assert paid > by_long >= 0 > got
        received = core.market.position(pool, ETH)[1] - quote
        assert 0 <= paid - by_long + got - received <= 4 * accruals + 3 * 2
        core.check_sums()
    core.close(long, ETH)
    core.close(short, ETH)
    core.check_sums()


def test_funding__receiver_leaving_first__takes_what_accrued_to_the_wei(core: Core) -> None:
    """Elsewhere receivers were paid out of a pot that payers filled only when they settled, so that the first to leave
    emptied it. Here what the other side owes is in the ledger already: the short leaves with his accumulator's growth,
    and the long owes his own, no more and no less than if he had left first.
    """
    long, short = core.trader("long", 2_000_000), core.trader("short", 2_000_000)
    core.open(long, ETH, 2_000 * WAD)
    entry = core.open(short, ETH, -500 * WAD).event("Traded")["quote"]
    start = core.market.marketState(ETH)
    capital = core.cash(core.pool_account(ETH)) + start.poolQuote - 1_500 * ETH_PRICE
    limit = min(capital, SCALES[ETH] * ETH_PRICE * FUNDING.max_skew_bps // (10_000 * WAD))
    open_interest = (2_000 * WAD, 500 * WAD)
    due = flow(FUNDING, SCALES[ETH], open_interest, (RAY, RAY), start.rate, ETH_PRICE, limit, DAY + 2)

    core.tick(DAY)
    before = core.cash(short)
    fill = core.close(short, ETH).event("Traded")
    received = 500 * WAD * due.short // RAY
    assert received > 0
    assert core.cash(short) - before == received + entry + fill["quote"] - fill["fee"] - EXECUTION_FEE
    state = core.market.marketState(ETH)
    assert (state.longG - start.longG, state.shortG - start.shortG) == (due.long, due.short)
    core.check_sums()


def test_rate__poked_every_hour_or_once__costs_the_same(core: Core) -> None:
    """Elsewhere the rate of the moment of a call was charged for all the time since the last one, so that who poked
    could choose. Here the rate moves with constant velocity and its integral is exact: a day in one step and a day in
    odd steps differ by the wei of truncation.
    """
    core.set_params(ETH, rateAtKinkBps=0, rateAtFullBps=0)  # the utilisation fee follows the pool's capital
    trader = core.trader("trader", 2_000_000)
    core.open(trader, ETH, 2_000 * WAD)
    start = core.evm.timestamp
    with core.evm.isolated():
        core.evm.advance(DAY)
        rate, once = core.market.fundingRate(ETH), core.market.position(trader, ETH)[2]
    params = MarketParams(rate_at_kink_bps=0, rate_at_full_bps=0)
    velocity = 2 * WAD * 2_000 // 333_333  # a day later: the rate is that much, and the average half of it
    assert rate == velocity == 12_000_012_000_012_000
    due = flow(params, SCALES[ETH], (2_000 * WAD, 0), (RAY, RAY), 0, ETH_PRICE, 0, DAY)
    assert once == reference.ceil_div(2_000 * WAD * due.long, RAY)
    for step in (1, 3_599, 20_000, 7, 30_000):
        core.evm.advance(step)
        core.market.accrue(ETH, sender=core.pool)
    core.evm.timestamp = start + DAY
    assert abs(core.market.fundingRate(ETH) - rate) <= 6
    assert abs(core.market.position(trader, ETH)[2] - once) < 10**9  # a billionth of a dollar, of 36,000
    core.check_sums()


def test_rate__skew_pushed_within_one_block__is_not_seen(core: Core) -> None:
    """Elsewhere a large trade there and back within a block set the rate that then held for hours. Here the skew counts
    by the time that it lasted: a push that lasts no second moves the rate by nothing.
    """
    core.open(core.trader("trader", 2_000_000), ETH, 500 * WAD)
    pusher = core.trader("pusher", 5_000_000)
    orders = [core.order(pusher, ETH, base) for base in (2_500 * WAD, -2_500 * WAD)]
    for order in orders:
        core.place(order)
    core.evm.advance(2)
    core.record(ETH)
    rate = core.market.fundingRate(ETH)
    receipt = core.order_book.executeBatch(orders, [], sender=KEEPER)
    core.track(account_id(KEEPER))
    assert len(receipt.events("OrderExecuted")) == 2
    assert core.market.fundingRate(ETH) == rate
    core.evm.advance(3_600)
    velocity = 2 * WAD * 500 // 333_333
    assert core.market.fundingRate(ETH) == rate + velocity * 3_600 // DAY
    core.check_sums()


# --------------------------------------------------------------------------------------------------------------- totals


def test_totals__over_hundreds_of_random_steps__are_the_sums_of_the_positions(core: Core) -> None:
    """Elsewhere open interest was kept beside the positions and drifted from them: by flips, by liquidations, by
    amounts computed twice. Here it moves by what the position moves, in the one place where fills happen.
    """
    walk = random.Random(7)
    accounts = [core.trader(f"trader {number}", 20_000) for number in range(5)]
    kinds: set[str] = set()
    for _ in range(120):
        account, market = walk.choice(accounts), walk.choice([ETH, BTC])
        base = walk.choice([-1, 1]) * walk.randrange(WAD, 110 * WAD) // (1 if market == ETH else 14)
        while core.cash(account) < 2_000 * WAD:
            core.fund_account(account, 20_000)
        done = []
        order = core.order(account, market, base, reduce_only=walk.random() < 0.1)
        try:
            core.place(order)
        except Revert as refusal:
            kinds.add(str(refusal.name))
        else:
            done.append(core.settle(order))
        core.tick(1, {ETH: ETH_PRICE * walk.randrange(900, 1_100) // 1_000})
        done += [receipt for victim in accounts if (receipt := _liquidated(core, victim))]
        kinds |= {event.name for receipt in done for event in receipt.logs}
        for each in (ETH, BTC):
            bases = [core.market.position(trader, each)[0] for trader in accounts]
            totals = (sum(b for b in bases if b > 0), -sum(b for b in bases if b < 0))
            assert core.market.openInterest(each) == totals
    assert kinds >= {"OrderExecuted", "OrderFailed", "OrderBook_InsufficientCash", "Liquidated", "Absorbed"}
    core.check_sums()


def _liquidated(core: Core, account: int) -> Receipt | None:
    """What a keeper does about an account, if anything."""
    equity, required = core.market.healthOf(account)
    if equity >= required:
        return None
    if equity <= 0:
        return absorb(core, account)
    held = ETH if core.market.position(account, ETH)[0] else BTC
    return liquidate(core, account, held)


# ---------------------------------------------------------------------------------------------------------------- flips


@pytest.mark.parametrize("sign", [1, -1])
def test_flip__position_through_zero__is_a_close_and_a_new_one(calm: Core, sign: int) -> None:
    """Elsewhere a position that flipped kept the entry price, the funding stamp or the open interest of its old side.
    Here the fill is split at zero: the old side's result is cash, the new side's entry is its part of the fill.
    """
    trader = calm.trader("trader", 100_000)
    entry = calm.open(trader, ETH, sign * 2 * WAD).event("Traded")
    cash = calm.cash(trader)
    receipt = calm.open(trader, ETH, -sign * 5 * WAD)

    fill = reference.fill(ETH, sign * 2 * WAD, -sign * 5 * WAD, ETH_PRICE)
    fee = reference.fee(ETH, sign * 2 * WAD, -sign * 5 * WAD, fill.quote)
    closing = reference.trunc_div(fill.quote * 2, 5)
    assert receipt.event("Traded").args == {
        "account": trader,
        "marketId": ETH,
        "base": -sign * 5 * WAD,
        "quote": fill.quote,
        "fillPrice": fill.price,
        "fee": fee,
        "newBase": -sign * 3 * WAD,
        "newQuote": fill.quote - closing,
    }
    assert calm.cash(trader) == cash + entry["quote"] + closing - fee - EXECUTION_FEE
    assert calm.market.openInterest(ETH) == ((3 * WAD, 0) if sign < 0 else (0, 3 * WAD))
    calm.check_sums()


def test_flip__after_days_of_funding__settles_the_old_side_and_owes_nothing_on_the_new(core: Core) -> None:
    """As above, for what accrued: the old side's funding is paid in the flip, and the new side starts at its own
    accumulator of that moment rather than at the other side's.
    """
    core.open(core.trader("other", 2_000_000), ETH, 2_000 * WAD)
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 2 * WAD)
    core.tick(3 * DAY)
    order = core.order(trader, ETH, -4 * WAD)
    core.place(order)
    core.evm.advance(2)
    core.record(ETH)
    owed, cash = core.market.position(trader, ETH)[2], core.cash(trader)
    quote = core.market.position(trader, ETH)[1]
    assert owed > 0
    fill = core.execute(order).event("Traded")
    closing = reference.trunc_div(fill["quote"], 2)
    assert core.market.position(trader, ETH) == (-2 * WAD, fill["quote"] - closing, 0)
    assert core.cash(trader) == cash - owed + quote + closing - fill["fee"] - EXECUTION_FEE
    core.tick(DAY)
    assert core.market.position(trader, ETH)[2] < 0  # a short is paid, from the flip on
    core.check_sums()


# ----------------------------------------------------------------------------------------------------- gains, donations


def test_gains__unrealised__are_no_margin_for_a_second_position(calm: Core) -> None:
    """Elsewhere a gain on paper backed further positions, until the price came back and left debt. Here collateral is
    cash less losses: a gain of 60,000 dollars carries not one more ETH than the account's cash does.
    """
    trader = calm.trader("trader", 10_000)
    calm.open(trader, ETH, 60 * WAD)
    calm.tick(1, {ETH: 4_000 * WAD, BTC: 40_000 * WAD})
    cash = calm.cash(trader)
    free = cash - reference.initial(ETH, 60 * WAD, 4_000 * WAD)
    reserve = reference.ceil_div(6 * 4_000 * WAD * 6, 10_000)
    with reverts("OrderBook_InsufficientCash", free, EXECUTION_FEE + reserve):
        calm.place(calm.order(trader, ETH, 6 * WAD))
    order = calm.order(trader, ETH, 6 * WAD, kind=LIMIT_ORDER)
    calm.place(order)
    calm.tick(2)
    required = reference.initial(ETH, 66 * WAD, 4_000 * WAD)
    fill = reference.fill(ETH, 60 * WAD, 6 * WAD, 4_000 * WAD)
    fee = reference.fee(ETH, 60 * WAD, 6 * WAD, fill.quote)
    with reverts("PerpMarket_InsufficientMargin", trader, cash - fee - EXECUTION_FEE, required):
        calm.execute(order)
    calm.check_sums()


def test_gains__unrealised__can_not_be_withdrawn(calm: Core) -> None:
    """Elsewhere a gain could leave the vault while the loss that would follow it could not. Here what can be withdrawn
    is cash less the initial margin, to the token unit, and the gain has to be realised first.
    """
    trader = calm.trader("trader", 10_000)
    calm.open(trader, ETH, 20 * WAD)
    calm.tick(1, {ETH: 4_000 * WAD, BTC: 40_000 * WAD})
    owner = owner_of(trader)
    available = (calm.cash(trader) - reference.initial(ETH, 20 * WAD, 4_000 * WAD)) // calm.unit
    with reverts("MarginVault_InsufficientMargin", available, available + 1):
        calm.vault.withdraw(trader, available + 1, owner, sender=owner)
    calm.vault.withdraw(trader, available, owner, sender=owner)
    assert calm.token.balanceOf(owner) == available
    calm.check_sums()


def test_donation__to_the_vault__belongs_to_nobody(core: Core) -> None:
    """Elsewhere tokens sent to a vault counted as somebody's: as a share price, as a fund, as what a deposit brought.
    Here nothing reads the vault's balance: no account, no share, no limit moves, and a deposit after it counts itself.
    """
    trader = core.trader("trader", 10_000)
    gift = core.amount(1_000_000)
    before = _figures(core, trader)
    core.token.mint(core.vault, gift)
    for market in (ETH, BTC):
        core.market.sweep(market)
    assert _figures(core, trader) == before
    core.deposit(trader, 1)
    assert core.cash(trader) == 10_000 * WAD + core.unit
    assert core.check_sums(gift * core.unit + 10**6) >= gift * core.unit


def _figures(core: Core, trader: int) -> list[object]:
    return [
        core.cash(trader),
        core.vault.withdrawable(trader),
        core.cash(core.fund_main),
        core.pool.totalAssets(),
        core.fund.totalAssets(),
        core.pool.convertToAssets(10**18),
        core.market.poolCapital(ETH),
    ]
