"""Attacks 13 and 14: fees, which go to whoever executes or relays, as a way to take out the margin of a position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    MAX_PRICE,
    ORDER_CONFIG,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Evm, Revert, reverts
from tests.support.signed import Signed
from tests.unit.attacks.reference import MALLORY, base_of, execute, main_account, place, wealth

EXECUTION = int(ORDER_CONFIG["executionFee"])
SMALLEST = base_of(1_000, ETH_PRICE) + WAD // 1_000


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1, pool_dollars=60_000_000, fund_dollars=1_000_000)


@pytest.fixture
def pair(core: Core) -> tuple[int, int]:
    """Two accounts of the attacker, one long and one short of the smallest size on $53 each: no risk together."""
    main_account(core, 1_000)
    accounts = core.trader("mallory", 53, index=1), core.trader("mallory", 53, index=2)
    for account, sign in zip(accounts, (1, -1), strict=True):
        order = core.order(account, ETH, sign * SMALLEST)
        place(core, order)
        core.tick(2)
        execute(core, order)
    return accounts


def place_while_taken(core: Core, template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As many of that order as the book takes, at most 300."""
    taken: list[dict[str, Any]] = []
    for salt in range(300):
        order = {**template, "salt": 10**6 + salt}
        try:
            place(core, order)
        except Revert as refusal:
            if refusal.name != "OrderBook_InsufficientCash":
                raise
            break
        taken.append(order)
    return taken


def execute_all(core: Core, orders: list[dict[str, Any]]) -> None:
    for start in range(0, len(orders), 50):
        core.order_book.executeBatch(orders[start : start + 50], [], sender=MALLORY)


@pytest.mark.parametrize("reduce_only", [True, False])
def test_draining__by_own_orders_that_fail__leaves_the_position_healthy(
    core: Core, pair: tuple[int, int], reduce_only: bool
) -> None:
    """Each failed order pays its executor half a dollar, and the executor is oneself: a draft let orders be backed by
    all equity, so that an account was emptied down to liquidation without any move of the price. Both of a pair were,
    and each liquidation paid its keeper, oneself, at least two dollars that the fund topped up: again and again, for
    nothing. Fees come out of what is beyond initial margin, or of a reduction beyond maintenance: nobody is brought
    nearer to a liquidation by them than the market may bring him."""
    mine = [main_account(core), *pair]
    before = wealth(core, mine)
    for account, sign in zip(pair, (1, -1), strict=True):
        acceptable = (MAX_PRICE if reduce_only else 1) if sign > 0 else (0 if reduce_only else MAX_PRICE)
        bad = core.order(account, ETH, sign * SMALLEST, reduce_only=reduce_only, acceptable=acceptable)
        orders = place_while_taken(core, bad)
        assert len(orders) < 100
        core.tick(2)
        execute_all(core, orders)
    for account in pair:
        equity, maintenance = core.market.healthOf(account)
        assert equity >= maintenance
        if not reduce_only:
            assert core.cash(account) >= 0
            assert equity >= core.market.requirements(account)[0]
        with reverts("Liquidator_Healthy", account, equity, maintenance):
            core.liquidator.liquidate(account, ETH, [], sender=MALLORY)
    assert wealth(core, mine) <= before
    core.check_sums()


def test_draining__by_closing_dust_again_and_again__pays_a_hundredth_of_what_is_closed(
    core: Core, pair: tuple[int, int]
) -> None:
    """A reduction is never refused for margin, and pays its execution fee out of what it leaves: a limit order to close
    a wei took half a dollar of margin with it, and limit orders reserve nothing. The fee of a reduction is at most 1 %
    of what it closes, which no account can be emptied by."""
    long, _ = pair
    main = main_account(core)
    dust, count = 10**12, 200
    template = core.order(long, ETH, -dust, kind=LIMIT_ORDER, reduce_only=True)
    orders = place_while_taken(core, template)
    assert len(orders) == 300  # they cost nothing to place
    core.tick(2)
    earned, (equity, maintenance) = core.cash(main), core.market.healthOf(long)
    execute_all(core, orders[:count])
    earned = core.cash(main) - earned
    closed = count * dust * ETH_PRICE // WAD
    assert closed * 99 // 10_000 <= earned <= closed // 100 < EXECUTION
    assert core.market.position(long, ETH)[0] == SMALLEST - count * dust
    after, required = core.market.healthOf(long)
    assert after * maintenance >= equity * required * 999 // 1_000
    core.check_sums()


def test_draining__by_relay_fees__stops_at_what_could_be_withdrawn(evm: Evm) -> None:
    """The same with signatures, whose bringer is paid up to ten dollars each: for taking back an order, all orders, for
    naming a delegate, for placing an order that waits."""
    core = deploy_core(evm, markets=1)
    signed = Signed(core)
    account = signed.trader("alice", 100)
    core.open(account, ETH, SMALLEST)
    core.tick(1)
    free = core.vault.withdrawable(account) * core.unit
    assert 10 * WAD < free < core.cash(account) - 40 * WAD
    for _ in range(free // (10 * WAD)):
        order = core.order(account, ETH, WAD, kind=LIMIT_ORDER)
        fee = 10 * WAD
        core.order_book.cancelFor(order, fee, signed.cancel(order, fee), sender=KEEPER)
    left = core.market.freeCollateral(account, core.vault.balanceOf(account))
    assert 0 <= left < 10 * WAD
    more = left + 1
    order, counter = core.order(account, ETH, WAD, kind=LIMIT_ORDER), core.order_book.counterOf(account) + 1
    with reverts("OrderBook_InsufficientCash", left, more):
        core.order_book.cancelFor(order, more, signed.cancel(order, more), sender=KEEPER)
    with reverts("OrderBook_InsufficientCash", left, more):
        core.order_book.cancelAllFor(account, counter, more, signed.cancel_all(account, counter, more), sender=KEEPER)
    core.order_book.cancelFor(order, left, signed.cancel(order, left), sender=KEEPER)
    relay_fee = int(ORDER_CONFIG["relayFee"])
    waiting = core.order(account, ETH, WAD, kind=TAKE_PROFIT, trigger=ETH_PRICE)
    with reverts("OrderBook_InsufficientCash", 0, relay_fee):
        core.order_book.placeFor(waiting, signed.order(waiting), sender=KEEPER)
    equity, maintenance = core.market.healthOf(account)
    assert equity > maintenance
    core.track(account_id(KEEPER))
    core.check_sums()


def test_draining__by_relay_fees_of_reductions__stops_at_maintenance(evm: Evm) -> None:
    """What is brought to reduce may cost what is beyond maintenance, so that nobody is locked in; not a wei more."""
    core = deploy_core(evm, markets=1)
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "relayFee": 10 * WAD}, sender=actor("listing"))
    signed = Signed(core)
    account = signed.trader("alice", 100)
    core.open(account, ETH, SMALLEST)
    core.tick(1)
    placed = 0
    while True:
        equity, maintenance = core.market.healthOf(account)
        order = core.order(account, ETH, -SMALLEST, kind=TAKE_PROFIT, trigger=2 * ETH_PRICE, reduce_only=True)
        if equity - maintenance < 10 * WAD:
            break
        core.order_book.placeFor(order, signed.order(order), sender=KEEPER)
        placed += 1
    assert placed > 4
    with reverts("OrderBook_InsufficientCash", equity - maintenance, 10 * WAD):
        core.order_book.placeFor(order, signed.order(order), sender=KEEPER)
    with reverts("Liquidator_Healthy", account, equity, maintenance):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    core.order_book.place(order, sender=owner_of(account))  # the owner himself pays nothing for it
    core.track(account_id(KEEPER))
    core.check_sums()
