"""What liquidation pays to whom, and what nobody can get around by it."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    ETH,
    ETH_PRICE,
    KEEPER,
    ORDER_CONFIG,
    WAD,
    Core,
    account_id,
    actor,
)
from tests.support.evm import known, reverts
from tests.unit.audit import reference
from tests.unit.audit.steps import absorb, fall, liquidate, take_over

EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
SIZE = 60 * WAD
MINIMUM = 1_000 * WAD
ALTER_EGO = "debtor's other self"


@pytest.fixture
def debtor(calm: Core) -> int:
    """60 ETH long on 10,000 dollars: liquidatable below 2,932, bankrupt below 2,836."""
    account = calm.trader("debtor", 10_000)
    calm.open(account, ETH, SIZE)
    return account


# ----------------------------------------------------------------------------------------------------------------- dust


def test_dust__position_below_the_minimum__can_not_be_opened_or_left(calm: Core) -> None:
    """Elsewhere positions of a dollar were opened by the thousand, each costing a keeper more gas than it paid. Here a
    position is worth the minimum, which bears twice the least reward, or it is none; reducing it below is refused too.
    """
    trader = calm.trader("trader", 10_000)
    below = MINIMUM * WAD // ETH_PRICE  # a third of an ETH, rounded down
    worth = below * ETH_PRICE // WAD
    for base, left in ((below, worth), (-below, worth)):
        reason = calm.try_open(trader, ETH, base).event("OrderFailed")["reason"]
        assert known().registry.decode_error(reason) == ("PerpMarket_BelowMinimumPosition", (left, MINIMUM))
    calm.open(trader, ETH, below + 1)
    reason = calm.try_open(trader, ETH, -1, reduce_only=True).event("OrderFailed")["reason"]
    assert known().registry.decode_error(reason) == ("PerpMarket_BelowMinimumPosition", (worth, MINIMUM))
    calm.close(trader, ETH)
    calm.check_sums()


def test_dust__smallest_position_fallen_further__still_pays_its_keeper(calm: Core) -> None:
    """As above, for a position that the price made smaller than the minimum: it is closed whole, and what its owner
    bears is more than the least reward.
    """
    debtor = calm.trader("debtor", 55)
    size = MINIMUM * WAD // ETH_PRICE + 1
    calm.open(debtor, ETH, size)
    fall(calm, 2_910)
    assert size * 2_910 < MINIMUM
    before = calm.cash(account_id(KEEPER))
    closed = liquidate(calm, debtor).event("Liquidated")
    notional = reference.ceil_div(size * 2_910 * WAD, WAD)
    assert (closed["base"], closed["cost"]) == (-size, reference.penalty(ETH, notional))
    assert calm.cash(account_id(KEEPER)) - before == closed["reward"] == reference.reward_of(ETH, closed["cost"])
    assert (closed["reward"], closed["topUp"]) >= (2 * WAD, 0)
    calm.check_sums()


def test_dust__chunk_that_the_target_needs__is_never_below_the_minimum(calm: Core) -> None:
    """Elsewhere a liquidator cut a position into slices and took the least reward for each. Here the contract chooses
    the chunk, which is the minimum position at least even where health needs half of it, and a second one is refused.
    """
    debtor = calm.trader("debtor", 140)
    calm.open(debtor, ETH, WAD * 3 // 4)
    fall(calm, 2_905)
    minimum = reference.ceil_div(MINIMUM * WAD, 2_905 * WAD)
    assert liquidate(calm, debtor).event("Liquidated")["base"] == -minimum
    with reverts("Liquidator_Healthy", debtor, *calm.market.healthOf(debtor)):
        liquidate(calm, debtor)
    calm.check_sums()


# ----------------------------------------------------------------------------------------------------- one's own keeper


@pytest.mark.parametrize(("price", "difference"), [(2_925, 0), (2_900, 0), (2_870, 0), (2_840, EXECUTION_FEE)])
def test_self_liquidation__by_the_owner_himself__is_no_cheaper_than_closing(
    calm: Core, debtor: int, price: int, difference: int
) -> None:
    """Elsewhere it cost less to be liquidated by a friend than to close, because a close paid fees that a liquidation
    did not, and the friend was paid. Here a close below maintenance costs what the close-out would, reward included:
    the two differ by nothing, or by the execution fee of a close that takes all there is.
    """
    own = account_id(actor(ALTER_EGO))
    equity = _equity_after_fall(calm, debtor, price)
    required = reference.maintenance(ETH, SIZE, price * WAD)
    chunk = reference.close_out(ETH, SIZE, SIZE, price * WAD, equity, required, reference.cap(ETH))
    wealth = {}
    with calm.evm.isolated():
        fall(calm, price)
        liquidate(calm, debtor, sender=actor(ALTER_EGO))
        wealth["liquidated"] = calm.market.equity(debtor) + calm.cash(own)
        calm.check_sums()
    order = calm.order(debtor, ETH, chunk.base, reduce_only=True)
    calm.place(order)
    calm.tick(2, {ETH: price * WAD})
    calm.execute(order, sender=actor(ALTER_EGO)).event("OrderExecuted")
    wealth["closed"] = calm.market.equity(debtor) + calm.cash(own)
    assert wealth["closed"] - wealth["liquidated"] == difference
    assert abs(equity - chunk.loss - chunk.cost + reference.reward_of(ETH, chunk.cost) - wealth["liquidated"]) <= 1
    calm.check_sums()


def test_self_liquidation__of_a_healthy_account__is_refused(calm: Core, debtor: int) -> None:
    """Nor can it be had early: above maintenance there is only the close."""
    equity, required = _equity_after_fall(calm, debtor, 3_000), reference.maintenance(ETH, SIZE, ETH_PRICE)
    other = calm.trader(ALTER_EGO, 100_000)
    with reverts("Liquidator_Healthy", debtor, equity, required):
        liquidate(calm, debtor, sender=actor(ALTER_EGO))
    with reverts("Liquidator_Healthy", debtor, equity, required):
        take_over(calm, debtor, SIZE, other, actor(ALTER_EGO))
    calm.check_sums()


def test_self_liquidation__taken_over_by_an_account_of_ones_own__costs_the_taker_fee(calm: Core, debtor: int) -> None:
    """As above for take-overs: the discount goes from one pocket to the other, and the fee is the one of a trade."""
    other = calm.trader(ALTER_EGO, 100_000)
    fall(calm, 2_900)
    before = calm.market.equity(debtor) + calm.market.equity(other)
    taken = take_over(calm, debtor, SIZE, other, actor(ALTER_EGO)).event("TakenOver")
    equity, required = taken["equity"], reference.maintenance(ETH, SIZE, 2_900 * WAD)
    notional = SIZE * 2_900
    discount = min((required - equity) * notional * 500 // (required * 10_000), equity)
    fee = reference.ceil_div((notional - discount) * 6, 10_000)
    assert (taken["quote"], taken["discount"], taken["fee"]) == (notional - discount, discount, fee)
    assert calm.market.equity(debtor) + calm.market.equity(other) == before - fee
    calm.check_sums()


# ----------------------------------------------------------------------------------------------------------- paid twice


def test_reward__liquidating_or_absorbing_again__is_refused(calm: Core, debtor: int) -> None:
    """Elsewhere a liquidation could be repeated in the same transaction, and each time paid its reward. Here the state
    that made it possible is gone after it: healthy after a close-out, without a position after an absorption.
    """
    fall(calm, 2_900)
    reward = liquidate(calm, debtor).event("Liquidated")["reward"]
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE + reward
    with reverts("Liquidator_Healthy", debtor, *calm.market.healthOf(debtor)):
        liquidate(calm, debtor)
    fall(calm, 2_500)
    absorb(calm, debtor)
    with reverts("Liquidator_NotBankrupt", debtor, 0):
        absorb(calm, debtor)
    with reverts("Liquidator_NoPosition", debtor, ETH):
        liquidate(calm, debtor)
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE + reward
    calm.check_sums()


# ------------------------------------------------------------------------------------------------ around the invariants


def test_around__take_over_into_an_account_without_margin__is_refused(calm: Core, debtor: int) -> None:
    """Elsewhere positions moved by liquidation skipped the checks of opening, and landed in accounts that were under
    water at once. Here the taker passes the test of opening, in which the discount counts for nothing.
    """
    taker = calm.trader("taker", 1_000)
    fall(calm, 2_900)
    equity = _equity_after_fall(calm, debtor, 2_900)
    required = reference.maintenance(ETH, SIZE, 2_900 * WAD)
    discount = min((required - equity) * SIZE * 2_900 * 500 // (required * 10_000), equity)
    fee = reference.ceil_div((SIZE * 2_900 - discount) * 6, 10_000)
    needed = reference.initial(ETH, SIZE, 2_900 * WAD)
    with reverts("PerpMarket_InsufficientMargin", taker, 1_000 * WAD - fee, needed):
        take_over(calm, debtor, SIZE, taker, actor("taker"))
    calm.check_sums()


def test_around__take_over_by_accounts_that_may_not_hold_it__is_refused(calm: Core, debtor: int) -> None:
    """As above: an isolated account of another market, the same account, somebody else's, a position below the
    minimum."""
    stranger = calm.trader("stranger", 100_000)
    isolated = calm.trader("taker", 100_000, isolated_market=BTC)
    taker = calm.trader("taker", 100_000)
    fall(calm, 2_900)
    with reverts("PerpMarket_WrongMarket", isolated, ETH):
        take_over(calm, debtor, SIZE, isolated, actor("taker"))
    with reverts("Liquidator_SameAccount", debtor):
        take_over(calm, debtor, SIZE, debtor, actor("debtor"))
    with reverts("OrderBook_NotPermitted", stranger, actor("taker")):
        take_over(calm, debtor, SIZE, stranger, actor("taker"))
    with reverts("PerpMarket_BelowMinimumPosition", 2_900 * WAD // 10, MINIMUM):
        take_over(calm, debtor, WAD // 10, taker, actor("taker"))
    with reverts("Liquidator_BelowMinimumPosition", 2_900 * WAD // 10, MINIMUM):
        take_over(calm, debtor, SIZE - WAD // 10, taker, actor("taker"))
    calm.check_sums()


def test_around__close_outs_at_one_price__move_the_market_by_its_cap_at_most(calm: Core) -> None:
    """Elsewhere liquidations had no limit of size, and whoever pushed the price by them traded against it at the same
    record. Here a window's close-outs move at most the cap, over all accounts, and the rest waits for the next.
    """
    debtors = [calm.trader(f"debtor {number}", 23_600) for number in range(3)]
    for debtor in debtors:
        calm.open(debtor, ETH, 150 * WAD)
    fall(calm, 2_852)
    cap, window = reference.cap(ETH), calm.evm.timestamp
    assert [liquidate(calm, debtor).event("Liquidated")["base"] for debtor in debtors[:2]] == [
        -150 * WAD,
        150 * WAD - cap,
    ]
    assert calm.liquidator.counters(ETH)[:2] == (window, cap)
    for debtor in debtors[1:]:
        with reverts("Liquidator_CapReached", ETH, window + 5, 0):
            liquidate(calm, debtor)
    calm.tick(4)
    with reverts("Liquidator_CapReached", ETH, window + 5, 0):
        liquidate(calm, debtors[2])
    calm.tick(1)
    assert liquidate(calm, debtors[2]).event("Liquidated")["base"] == -150 * WAD
    calm.check_sums()


def test_around__halted_and_limited_market__is_liquidated_all_the_same(calm: Core, debtor: int) -> None:
    """Elsewhere limits meant for opening, of open interest or of a halt, were checked in the fill that liquidation
    used too, and stopped it. Here they are the order's, not the fill's.
    """
    calm.halt(ETH, 3_600)
    quiet = {"maxFundingVelocity": 0, "rateAtKinkBps": 0, "rateAtFullBps": 0}
    calm.set_params(ETH, openInterestBps=0, exposureBps=0, maxSkewBps=1, **quiet)
    fall(calm, 2_900)
    equity = _equity_after_fall(calm, debtor, 2_900)
    required = reference.maintenance(ETH, SIZE, 2_900 * WAD)
    chunk = reference.close_out(ETH, SIZE, SIZE, 2_900 * WAD, equity, required, reference.cap(ETH))
    assert liquidate(calm, debtor).event("Liquidated")["base"] == chunk.base
    fall(calm, 2_500)
    absorb(calm, debtor)
    assert calm.market.openInterest(ETH) == (0, 0)
    calm.check_sums()


def _equity_after_fall(core: Core, account: int, dollars: int) -> int:
    """Of an account with nothing but SIZE bought at 3,000 from a market without skew."""
    return core.cash(account) + SIZE * dollars + reference.fill(ETH, 0, SIZE, ETH_PRICE).quote
