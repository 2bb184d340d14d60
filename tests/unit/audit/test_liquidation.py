"""Liquidations that could be stopped, or that paid somebody who should not have been paid."""

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


@pytest.fixture
def debtor(calm: Core) -> int:
    """60 ETH long on 10,000 dollars: liquidatable below 2,932, bankrupt below 2,836."""
    account = calm.trader("debtor", 10_000)
    calm.open(account, ETH, SIZE)
    return account


def equity_at(core: Core, account: int, price: int, size: int = SIZE, skew: int = 0) -> int:
    """Of an account with nothing but what a fill of `size` at 3,000 left of its cash."""
    return core.cash(account) + size * price // WAD + reference.fill(ETH, skew, size, ETH_PRICE).quote


# ------------------------------------------------------------------------------------------------- sums below zero


@pytest.mark.parametrize("price", range(2_945, 2_815, -5))
def test_liquidation__at_any_equity__is_refused_or_done_but_never_panics(calm: Core, debtor: int, price: int) -> None:
    """Elsewhere a liquidation subtracted a fee from what was left of the collateral and underflowed, so that the worst
    accounts could not be liquidated. Here each price has its one outcome: healthy, closed out, or absorbed whole.
    """
    fall(calm, price)
    equity = equity_at(calm, debtor, price * WAD)
    required = reference.maintenance(ETH, SIZE, price * WAD)
    if equity >= required:
        with reverts("Liquidator_Healthy", debtor, equity, required):
            liquidate(calm, debtor)
        with reverts("Liquidator_NotBankrupt", debtor, equity):
            absorb(calm, debtor)
    elif equity > 0:
        with reverts("Liquidator_NotBankrupt", debtor, equity):
            absorb(calm, debtor)
        chunk = reference.close_out(ETH, SIZE, SIZE, price * WAD, equity, required, reference.cap(ETH))
        closed = liquidate(calm, debtor).event("Liquidated")
        assert (closed["base"], closed["quote"], closed["cost"]) == (chunk.base, chunk.quote, chunk.cost)
        assert calm.market.equity(debtor) in (left := equity - chunk.loss - chunk.cost, left - 1)
    else:
        with reverts("Liquidator_Bankrupt", debtor, equity):
            liquidate(calm, debtor)
        assert absorb(calm, debtor).event("Absorbed")["equity"] == equity
        assert calm.cash(debtor) == max(0, equity + _gain_of_closing(price * WAD))
    calm.check_sums()


def _gain_of_closing(price: int) -> int:
    """What selling into a market of longs fetches beyond the index."""
    return reference.fill(ETH, SIZE, -SIZE, price).quote - SIZE * price // WAD


# ------------------------------------------------------------------------------------------------------ an empty fund


def test_empty_fund__close_out_that_can_not_pay_its_keeper__happens_all_the_same(calm: Core) -> None:
    """Elsewhere the reward was topped up by the insurance fund, and a transfer out of an empty fund reverted the
    liquidation. Here the keeper gets what the account bears and what the fund has, which may be nothing.
    """
    debtor = calm.trader("debtor", 200)
    size = WAD
    calm.open(debtor, ETH, size)
    for at in range(2_999, 2_000, -1):  # to the last dollar before bankruptcy
        if equity_at(calm, debtor, (at - 1) * WAD, size) <= 0:
            break
    fall(calm, at)
    equity = equity_at(calm, debtor, at * WAD, size)
    chunk = reference.closing(ETH, size, size, size, at * WAD, equity, reference.maintenance(ETH, size, at * WAD))
    assert 0 < chunk.cost < 2 * WAD  # less than the least reward
    assert calm.cash(calm.fund_main) == 0
    closed = liquidate(calm, debtor).event("Liquidated")
    assert (closed["base"], closed["cost"], closed["reward"], closed["topUp"]) == (-size, chunk.cost, chunk.cost, 0)
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE + chunk.cost
    calm.check_sums()


def test_empty_fund__absorption__charges_the_pool(calm: Core) -> None:
    """As above for bankrupt accounts: the debt that no fund covers is the pool's, in the market that lost it."""
    calm.liquidator.setGasMarket(ETH, sender=actor("risk"))
    debtor = calm.trader("debtor", 10_000)
    calm.open(debtor, ETH, SIZE)
    fall(calm, 2_700)
    equity = equity_at(calm, debtor, 2_700 * WAD)
    fill = reference.fill(ETH, SIZE, -SIZE, 2_700 * WAD)
    entry = reference.fill(ETH, 0, SIZE, ETH_PRICE)
    debt = -(calm.cash(debtor) + entry.quote + fill.quote)
    receipt = absorb(calm, debtor)
    assert receipt.event("Absorbed").args == {"account": debtor, "keeper": KEEPER, "equity": equity, "reward": 0}
    assert receipt.event("DebtCovered").args == {"account": debtor, "debt": debt, "byFund": 0, "byPool": debt}
    assert receipt.event("PoolCharged")["amount"] == debt
    assert (calm.cash(debtor), calm.cash(calm.fund_main)) == (0, 0)
    calm.check_sums()


# -------------------------------------------------------------------------------------------- owners who get in the way


def test_gas__account_in_eight_markets__is_absorbed_within_bounds(calm: Core) -> None:
    """Elsewhere an account with enough positions could not be liquidated within a block's gas. Here an account holds
    at most eight markets, however many there are, and to absorb all eight takes a fraction of a block.
    """
    for _ in range(7):
        calm.list_market(ETH_PRICE, 333_333 * WAD)
    calm.pool.setWeights([1_112, *[1_111] * 8], sender=actor("risk"))
    calm.enter(calm.pool, account_id(actor("provider")), 200_000_000)
    debtor = calm.trader("debtor", 12_000)
    for market in range(1, 9):
        calm.open(debtor, market, 8 * WAD if market != BTC else WAD // 2)
    receipt = calm.try_open(debtor, 9, WAD)
    assert known().registry.decode_error(receipt.event("OrderFailed")["reason"]) == (
        "PerpMarket_TooManyMarkets",
        (debtor,),
    )
    calm.tick(1, {market: price * 9 // 10 for market, price in calm.prices.items()})
    receipt = absorb(calm, debtor)
    assert len(receipt.events("PositionAbsorbed")) == 8
    assert receipt.gas_used < 1_500_000
    assert (calm.cash(debtor), calm.vault.balanceOf(debtor)) == (0, 0)
    calm.check_sums()


def test_callback__owner_and_keeper_are_contracts_that_refuse_everything__changes_nothing(
    calm: Core, debtor: int
) -> None:
    """Elsewhere the owner was called, or sent ether or tokens, in the middle of his liquidation, and his contract burnt
    all gas or reverted. Here nobody is called: sums are posted in the ledger, and who wants tokens comes for them.
    """
    for name in ("debtor", "treasury"):
        calm.evm.set_code(actor(name), b"\xfe")
    fall(calm, 2_900)
    closed = liquidate(calm, debtor).event("Liquidated")
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE + closed["reward"]
    fall(calm, 2_600)
    assert absorb(calm, debtor).events("PositionAbsorbed")
    calm.market.sweep(ETH)
    calm.check_sums()


def test_front_running__a_wei_added_before__reverts_no_close_out(calm: Core, debtor: int) -> None:
    """Elsewhere a keeper named the size, and the owner reverted him by repaying or closing a wei first. Here a
    close-out takes no size: the wei is added, the account is closed out at what it is worth then.
    """
    fall(calm, 2_900)
    with calm.evm.isolated():
        before = liquidate(calm, debtor).event("Liquidated")
    calm.deposit(debtor, 1)
    equity = equity_at(calm, debtor, 2_900 * WAD)
    after = liquidate(calm, debtor).event("Liquidated")
    assert after["equity"] == equity == before["equity"] + calm.unit
    assert 0 < after["base"] - before["base"] < WAD // 10**6  # closes less, by what a millionth of a dollar saves
    calm.check_sums()


def test_front_running__a_wei_taken_over_before__stops_neither_close_out_nor_take_over(calm: Core, debtor: int) -> None:
    """A take-over names its size, so that a wei taken before it, by the owner's friend, made the whole position too
    large a wish, and a draft refused it: time and again, for the price of a wei's fee. Here it takes what is left. The
    close-out names none and goes on.
    """
    rival, keeper = calm.trader("rival", 100_000), calm.trader("keeper", 100_000)
    calm.open(rival, ETH, WAD)
    fall(calm, 2_900)
    take_over(calm, debtor, 1, rival, actor("rival"))
    with calm.evm.isolated():
        assert liquidate(calm, debtor).event("Liquidated")["base"] < -30 * WAD
    assert take_over(calm, debtor, SIZE, keeper, actor("keeper")).event("TakenOver")["base"] == SIZE - 1
    assert calm.market.position(debtor, ETH) == (0, 0, 0)
    calm.check_sums()


# ------------------------------------------------------------------------------------------------- what a keeper may do


@pytest.mark.parametrize("held", [SIZE, -SIZE])
@pytest.mark.parametrize("share", [(0, 1), (-1, 1), (-1, 60), (-2, 1)])
def test_take_over__that_would_enlarge_or_turn_the_position__is_refused(
    calm: Core, held: int, share: tuple[int, int]
) -> None:
    """Elsewhere the size that a liquidator named had no sign or no bound, and the victim came out with a larger
    position, or one on the other side. Here a take-over has the position's sign, and whatever size it wishes for, it
    takes at most what there is.
    """
    debtor, keeper = calm.trader("debtor", 10_000), calm.trader("keeper", 1_000_000)
    calm.open(debtor, ETH, held)
    fall(calm, 2_900 if held > 0 else 3_100)
    base = held * share[0] // share[1]
    with reverts("Liquidator_WrongSize", base, held):
        take_over(calm, debtor, base, keeper, actor("keeper"))
    for over in (held + (1 if held > 0 else -1), 2 * held):
        with calm.evm.isolated():
            assert take_over(calm, debtor, over, keeper, actor("keeper")).event("TakenOver")["base"] == held
            assert calm.market.position(debtor, ETH) == (0, 0, 0)
    calm.check_sums()


@pytest.mark.parametrize("sign", [1, -1])
def test_close_out__repeated_until_healthy__only_ever_shrinks_the_position(calm: Core, sign: int) -> None:
    """As above for close-outs, which choose the size themselves: the sign stays, the size falls, health rises."""
    debtor = calm.trader("debtor", 10_000)
    calm.open(debtor, ETH, sign * SIZE)
    fall(calm, 3_000 - sign * 110)
    sizes, healths = [SIZE], [calm.liquidator.health(debtor)]
    while calm.liquidator.isLiquidatable(debtor):
        liquidate(calm, debtor)
        base = calm.market.position(debtor, ETH)[0]
        sizes.append(sign * base)
        healths.append(calm.liquidator.health(debtor))
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] > 0
    assert healths == sorted(set(healths))
    with reverts("Liquidator_Healthy", debtor, *calm.market.healthOf(debtor)):
        liquidate(calm, debtor)
    calm.check_sums()
