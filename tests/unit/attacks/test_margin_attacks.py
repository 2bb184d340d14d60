"""Attacks 7, 13, 17 and 21, on what counts as margin, at which price, and who may still close."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import (
    BTC,
    BTC_PRICE,
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    MARKET_ORDER,
    ORDER_CONFIG,
    WAD,
    Core,
    account_id,
    deploy_core,
)
from tests.support.evm import Evm, Revert, known, reverts
from tests.unit.attacks.reference import MALLORY, base_of, main_account, place, wealth

EXECUTION = ORDER_CONFIG["executionFee"]


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, fund_dollars=1_000_000)


def refusal(core: Core, order: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Why an order placed by the attacker failed."""
    failed = core.order_book.execute(order, [], sender=MALLORY).event("OrderFailed")
    decoded = known().registry.decode_error(failed["reason"])
    assert decoded is not None
    return decoded


# --- 7: dust in a halted market ---


@pytest.mark.parametrize("sign", [1, -1])
def test_dust_in_a_dead_market__keeper_comes__liquidates_at_its_last_price_widened(core: Core, sign: int) -> None:
    """The smallest position in a market whose oracle is dead was in a draft all it took to make a cross account
    uncomputable: its large position elsewhere could not be liquidated, a free ride. The dead market counts at its last
    price, 5 % in the account's favour, and blocks nothing."""
    account = main_account(core, 110_000)
    core.open(account, BTC, sign * base_of(1_500, BTC_PRICE))
    core.open(account, ETH, base_of(1_900_000, ETH_PRICE))
    dead_at = core.evm.timestamp
    core.halt(BTC, 3_600)
    core.evm.advance(3_600)
    core.record(ETH, ETH_PRICE * 96 // 100)
    with reverts("PerpMarket_StalePrice", BTC, dead_at):
        core.vault.withdraw(account, 1, MALLORY, sender=MALLORY)

    cash = core.cash(account)
    equity = cash
    for market, price in ((ETH, core.prices[ETH]), (BTC, BTC_PRICE * (100 + 5 * sign) // 100)):
        base, quote, owed = core.market.position(account, market)
        equity += base * price // WAD + quote - owed
    liquidated = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (liquidated["equity"], liquidated["healthPrice"]) == (equity, core.prices[ETH])
    core.track(account_id(KEEPER))
    core.check_sums()


def test_dust_in_a_dead_market__bankrupt_account__is_absorbed_whole(core: Core) -> None:
    """The same account after a gap: the dead market's position goes to the pool with the rest, at its last price."""
    account = main_account(core, 110_000)
    core.open(account, BTC, base_of(1_500, BTC_PRICE))
    core.open(account, ETH, base_of(1_900_000, ETH_PRICE))
    before = wealth(core, [account])
    core.evm.advance(3_600)
    core.record(ETH, ETH_PRICE * 90 // 100)
    receipt = core.liquidator.absorb(account, [], sender=MALLORY)
    assert [event["marketId"] for event in receipt.events("PositionAbsorbed")] == [ETH, BTC]
    assert core.market.position(account, BTC) == core.market.position(account, ETH) == (0, 0, 0)
    assert wealth(core, [account]) == 0 < before
    core.check_sums()


# --- 13: gains as collateral ---


@pytest.fixture
def hedged(core: Core) -> int:
    """The attacker's account, some ten thousand dollars up in ETH and as many down in BTC."""
    account = main_account(core, 25_000)
    core.open(account, ETH, base_of(100_000, ETH_PRICE))
    core.open(account, BTC, base_of(100_000, BTC_PRICE))
    core.tick(2, {ETH: ETH_PRICE * 110 // 100, BTC: BTC_PRICE * 90 // 100})
    return account


def test_gains_as_collateral__withdrawn_before_they_revert__count_for_nothing(core: Core, hedged: int) -> None:
    """+$10k in one market, by a price moved for a moment, and −$10k in another, for real. A draft set the one against
    the other: withdraw everything, let the price revert, and leave $10k of debt. Gains count position by position as
    nothing, so what is left in bears the loss."""
    before = wealth(core, [hedged])
    initial, _ = core.market.requirements(hedged)
    base, quote, owed = core.market.position(hedged, BTC)
    loss = base * core.prices[BTC] // WAD + quote - owed
    assert loss < -9_900 * WAD
    assert core.market.equity(hedged) - core.cash(hedged) > -200 * WAD  # the two set each other off
    free = (core.cash(hedged) + loss - initial) // core.unit
    assert core.vault.withdrawable(hedged) == free
    with reverts("MarginVault_InsufficientMargin", free, free + 1):
        core.vault.withdraw(hedged, free + 1, MALLORY, sender=MALLORY)
    core.vault.withdraw(hedged, free, MALLORY, sender=MALLORY)

    core.tick(2, {ETH: ETH_PRICE})  # the gain reverts
    assert core.market.equity(hedged) > 0
    core.close(hedged, ETH)
    core.close(hedged, BTC)
    assert core.cash(hedged) > 0  # no debt
    assert wealth(core, [hedged]) + free * core.unit < before
    core.check_sums()


def test_gains_as_collateral__for_a_larger_position__count_for_nothing(core: Core, hedged: int) -> None:
    """The same to open instead of to withdraw: the margin that is missing is the gain."""
    free = core.vault.withdrawable(hedged) * core.unit
    core.vault.withdraw(
        hedged, free // core.unit - 100 * 10**6, MALLORY, sender=MALLORY
    )  # a hundred dollars for the fees
    order = core.order(hedged, ETH, base_of(20_000, ETH_PRICE))
    place(core, order)
    core.tick(2)
    name, (account, available, required) = refusal(core, order)
    assert (name, account) == ("PerpMarket_InsufficientMargin", hedged)
    assert available < required < available + 10_000 * WAD < core.market.equity(hedged) + 10_000 * WAD
    core.check_sums()


def test_gains_as_collateral__bought_below_the_index__do_not_count_at_once(core: Core) -> None:
    """A gain can be made without any move: others' shorts push the fill price 2 % below the index, and a buy there is
    up 2 % at once. What a fill won against the index counts for nothing in its own check."""
    core.give_pool(20_000_000)
    core.open(core.trader("bystander", 20_000_000), ETH, -base_of(18_000_000, ETH_PRICE))
    account = main_account(core, 51_500)  # 5.1 % of the position, and its fee
    bought = base_of(1_000_000, ETH_PRICE)
    gain = bought * (ETH_PRICE - core.market.fillPrice(ETH, bought)) // WAD
    assert gain > 17_000 * WAD
    core.open(account, ETH, bought)
    assert core.market.equity(account) > 68_000 * WAD
    assert core.vault.withdrawable(account) < core.amount(500)
    more = core.order(account, ETH, bought // 5)
    place(core, more)
    core.tick(2)
    assert refusal(core, more)[0] == "PerpMarket_InsufficientMargin"
    core.check_sums()


# --- 17: locked in below maintenance ---


@pytest.mark.parametrize("kind", [MARKET_ORDER, LIMIT_ORDER], ids=["placed_before", "placed_below"])
@pytest.mark.parametrize("percent", [5, 25, 75, 100])
@pytest.mark.parametrize("fall", [22, 30, 40, 48])
def test_below_maintenance__own_close_of_a_part__is_filled_and_charged_as_a_close_out(
    core: Core, percent: int, fall: int, kind: int
) -> None:
    """Below maintenance, closing a quarter cost more than the margin it freed, and a draft's check of health reverted:
    trapped until a keeper came. A reduction is never refused for margin. It is charged what a close-out of the same
    part would cost, so that it is no way round the penalty, and leaves the account no less healthy. By an order queued
    before the fall; below maintenance there is nothing left to set aside for a market order, and a limit order, which
    sets nothing aside, is the way out."""
    account = main_account(core, 52_500)
    size = base_of(1_000_000, ETH_PRICE)
    core.open(account, ETH, size)
    price = ETH_PRICE * (1_000 - fall) // 1_000
    order = core.order(account, ETH, -size * percent // 100, kind=kind, reduce_only=True)
    if kind == LIMIT_ORDER:
        core.tick(1, {ETH: price})
        equity, maintenance = core.market.healthOf(account)
        with pytest.raises(Revert, match="OrderBook_InsufficientCash") as refused:
            place(core, {**order, "kind": MARKET_ORDER})
        assert refused.value.values[0] == equity - maintenance < 0
    place(core, order)
    core.tick(2, {ETH: price})
    equity, maintenance = core.market.healthOf(account)
    assert 0 < equity < maintenance
    receipt = core.execute(order)
    receipt.event("OrderExecuted")
    traded = receipt.event("Traded")
    assert traded["base"] == -size * percent // 100
    after, required = core.market.healthOf(account)

    notional = -(traded["base"] * core.prices[ETH] // WAD)
    impact = -traded["base"] * core.prices[ETH] // WAD - traded["quote"]
    bearable = equity * (maintenance - required) // maintenance - impact
    cost = min(notional * 75 // 10_000, max(0, bearable))
    charged = equity - impact - after
    due = min(EXECUTION + max(traded["fee"], cost), equity - impact)  # all that it has, at most
    assert abs(charged - due) <= 3
    assert (after + EXECUTION) * maintenance >= (equity - 3) * required  # no sicker, but for the executor's half dollar
    core.check_sums()


# --- 21: widening doubt ---


@pytest.mark.parametrize("sign", [1, -1])
def test_widened_doubt__in_liquidation__favours_by_a_quarter_percent_at_most(core: Core, sign: int) -> None:
    """One lying source widens the confidence to 1 %, and nobody can be liquidated while the loss grows: three times the
    bad debt in a draft. Doubt favours an account by 0.25 % of the price, whatever the confidence."""
    account = core.trader("victim", 52_600)
    core.open(account, ETH, sign * base_of(1_000_000, ETH_PRICE))
    keeper = main_account(core)
    price = ETH_PRICE * (1_000 - 24 * sign) // 1_000
    core.evm.advance(1)
    core.record(ETH, price, confidence=price // 100)
    favoured = price + sign * price * 25 // 10_000
    base, quote, owed = core.market.position(account, ETH)
    equity = core.cash(account) + base * favoured // WAD + quote - owed
    assert (
        equity + abs(base) * price * 75 // 10_000 // WAD > core.market.healthOf(account)[1]
    )  # 1 % would have saved it
    liquidated = core.liquidator.liquidate(account, ETH, [], sender=MALLORY).event("Liquidated")
    assert (liquidated["healthPrice"], liquidated["equity"]) == (favoured, equity)
    assert wealth(core, [keeper]) == liquidated["reward"]
    core.check_sums()


def test_widened_doubt__within_the_quarter_percent__is_the_accounts(core: Core) -> None:
    """Less doubt than that favours by as much as there is: below maintenance at the price, healthy at its edge."""
    account = core.trader("victim", 52_600)
    core.open(account, ETH, base_of(1_000_000, ETH_PRICE))
    core.evm.advance(1)
    price = ETH_PRICE * 980 // 1_000
    core.record(ETH, price, confidence=price * 20 // 10_000)
    equity, maintenance = core.market.healthOf(account)
    assert core.market.equity(account) < core.market.requirements(account)[1] <= maintenance <= equity
    with reverts("Liquidator_Healthy", account, equity, maintenance):
        core.liquidator.liquidate(account, ETH, [], sender=MALLORY)
    core.check_sums()
