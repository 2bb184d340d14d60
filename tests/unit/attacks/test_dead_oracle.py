"""Attacks 6 and 18: wait out a dead oracle, leave at a stale push price; and what can be made of exits without a record
and of the shutdown: two opposite accounts, the choice among two minutes of signed data, others' orders, dust."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode

from tests.support.core import (
    BTC,
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import Evm, Receipt, Revert, reverts
from tests.unit.attacks.reference import MALLORY, main_account, wealth
from tests.unit.liquidation.flash_takers import Caller

SILENCE, DEAD_ORACLE_SECONDS, CLOSING_SECONDS = 601, 6 * 3600, 3600
SIZE = 1_000 * WAD
MOVES = pytest.mark.parametrize("move_bps", [-4_000, -1_000, -50, 50, 1_000, 4_000])


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def pair(core: Core) -> dict[int, int]:
    """Mallory's long and his accomplice's short, by sign: together they take no risk."""
    accounts = {1: main_account(core, 2_000_000), -1: core.trader("accomplice", 2_000_000)}
    for sign, account in accounts.items():
        core.open(account, ETH, sign * SIZE)
    core.tick(1)
    return accounts


def exits(core: Core, pair: dict[int, int]) -> dict[int, dict[str, Any]]:
    """Reduce-only limits at any price, which wait from the beginning: the cheapest option to leave."""
    orders = {}
    for sign, account in pair.items():
        orders[sign] = core.order(account, ETH, -sign * SIZE, kind=LIMIT_ORDER, reduce_only=True)
        core.place(orders[sign])
    return orders


def force(core: Core, order: dict[str, Any], price: int, age: int = 0, sender: Any = MALLORY) -> Receipt:
    payload = encode(["uint256"] * 3, [price, 0, core.evm.timestamp - age])
    receipt: Receipt = core.order_book.executeForced(order, [payload], sender=sender)
    return receipt


def close_dead(core: Core, market: int = ETH) -> None:
    for name, seconds in (
        ("declareDead", DEAD_ORACLE_SECONDS),
        ("confirmDead", CLOSING_SECONDS),
        ("closeDead", 0),
    ):
        getattr(core.liquidator, name)(market, sender=MALLORY)
        core.evm.advance(seconds)


def moved(price: int, bps: int) -> int:
    return price * (10_000 + bps) // 10_000


# --- 6: waiting out a dead oracle ---


def test_dead_oracle__waited_out_by_the_loser_of_a_crash__ends_at_the_price_of_the_crash(
    core: Core, pair: dict[int, int]
) -> None:
    """Attack 6: a 40 % fall that nobody recorded. In a draft its long settled hours later at the price before it. One
    record by anyone, a second before the end, ends the shutdown, and he is worth what he is worth."""
    crash = moved(ETH_PRICE, -4_000)
    core.evm.advance(SILENCE)
    core.liquidator.declareDead(ETH, sender=MALLORY)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(ETH, sender=MALLORY)
    core.evm.advance(CLOSING_SECONDS)
    core.record(ETH, crash)
    with reverts("Shutdown_NotDeclared", ETH):
        core.liquidator.closeDead(ETH, sender=MALLORY)
    lost = 2_000_000 * WAD - core.market.equity(pair[1])
    assert lost > 1_190_000 * WAD
    core.check_sums()


def test_dead_oracle__quiet_market_declared_dead_all_day__is_closed_by_no_one_and_costs_no_one(
    core: Core, pair: dict[int, int]
) -> None:
    """Attack 6: he declares at every silence of ten minutes. One record in seven hours is enough, and nobody's position
    has moved."""
    before = wealth(core, list(pair.values()))
    for _ in range(3):
        core.evm.advance(SILENCE)
        core.liquidator.declareDead(ETH, sender=MALLORY)
        core.evm.advance(DEAD_ORACLE_SECONDS)
        core.liquidator.confirmDead(ETH, sender=MALLORY)
        core.evm.advance(CLOSING_SECONDS - 1)
        with reverts("Shutdown_TooEarly", ETH, core.evm.timestamp + 1):
            core.liquidator.closeDead(ETH, sender=MALLORY)
        core.record(ETH)
    assert [core.market.position(account, ETH)[0] for account in pair.values()] == [SIZE, -SIZE]
    assert wealth(core, list(pair.values())) <= before
    core.check_sums(dust_bound=10**8)


@MOVES
def test_dead_oracle__two_opposite_accounts_one_out_at_push_sources_one_closed__earn_nothing(
    core: Core, pair: dict[int, int], move_bps: int
) -> None:
    """Attack 6 by the fallback: pull sources die, push sources go on. Whichever of the two has gained leaves at the push
    price, the other is closed at the last record. Up 10 % it earned $246,000 of the pool's on a thousand ETH."""
    orders = exits(core, pair)
    before = wealth(core, list(pair.values()))
    core.evm.advance(SILENCE)
    push = moved(ETH_PRICE, move_bps)
    core.oracle.setBound(ETH, push, push // 100, core.evm.timestamp)
    winner = orders[1 if move_bps > 0 else -1]
    core.order_book.executeForced(winner, [], sender=MALLORY).event("OrderForced")
    close_dead(core)
    for account in pair.values():
        core.market.settle(account, ETH, sender=MALLORY)
    assert wealth(core, list(pair.values())) < before - SIZE * 3_000 * 100 // 10_000
    core.check_sums(dust_bound=10**8)


def test_dead_oracle__account_bankrupt_at_the_last_record__is_absorbed_in_the_closing_hour_and_no_healthy_one_is(
    core: Core, pair: dict[int, int]
) -> None:
    """He would close others at a price of seven hours ago: only who is worth nothing at the price of the closing."""
    weak = core.trader("weak", 60_000)
    core.open(weak, ETH, 300 * WAD)
    core.tick(1)
    core.evm.advance(SILENCE)
    core.liquidator.declareDead(ETH, sender=MALLORY)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(ETH, sender=MALLORY)
    for account in (weak, *pair.values()):
        with reverts("Liquidator_NotBankrupt", account, core.market.healthOf(account)[0]):
            core.liquidator.absorb(account, [], sender=MALLORY)
    with reverts("Liquidator_PriceUnusable", ETH, core.oracle.price(ETH)[2], 0):
        core.liquidator.liquidate(weak, ETH, [], sender=MALLORY)
    equity = core.market.equity(weak)
    core.vault.post([(weak, -equity, 0, 0), (core.fund_main, equity, 0, 0)], sender=core.pool)
    core.liquidator.absorb(weak, [], sender=KEEPER).event("Absorbed")
    core.check_sums(dust_bound=10**8)


@pytest.mark.parametrize("when", ["in the hour", "after the closing"])
def test_dead_oracle__own_account_bankrupt_at_the_end__earns_its_limited_liability_and_no_more(
    core: Core, pair: dict[int, int], when: str
) -> None:
    """Attack 1 by the shutdown: the last record was a gap. He is worth what his short is, less nothing; whoever absorbs
    within the hour closes what passes the caps against that short, after it fund and pool bear the debt."""
    others = core.track(account_id(actor("bystander")))
    long, short = pair[1], pair[-1]
    core.tick(1, {ETH: moved(ETH_PRICE, -600)})
    debt = 20_000 * WAD
    excess = core.market.equity(long) + debt
    core.vault.post([(long, -excess, 0, 0), (others, excess, 0, 0)], sender=core.pool)
    worth = core.market.equity(short)
    pool = core.market.poolCapital(ETH)[0]
    core.give_fund(50_000)
    core.evm.advance(SILENCE)
    core.liquidator.declareDead(ETH, sender=MALLORY)
    core.evm.advance(DEAD_ORACLE_SECONDS)
    core.liquidator.confirmDead(ETH, sender=MALLORY)
    if when == "in the hour":
        core.liquidator.absorb(long, [], sender=KEEPER)
    core.evm.advance(CLOSING_SECONDS)
    core.liquidator.closeDead(ETH, sender=MALLORY)
    if when != "in the hour":
        core.liquidator.absorb(long, [], sender=KEEPER).event("DebtCovered")
    core.market.settle(short, ETH)
    assert core.cash(long) == 0
    assert core.market.equity(short) < worth + WAD  # seven hours of funding
    assert core.market.poolCapital(ETH)[0] >= pool - debt
    core.check_sums(dust_bound=10**8, base_dust=10**6)


def test_dead_oracle__last_to_leave_a_closed_market__has_what_the_first_has(core: Core) -> None:
    """The pool can't pay its winners: the shutdown deleverages first, and each is paid to the last token unit."""
    winners = [core.trader(f"winner {number}", 3_000_000) for number in range(3)]
    for winner in winners:
        core.open(winner, ETH, 700 * WAD)
    core.tick(1, {ETH: moved(ETH_PRICE, 1_500)})
    missing = core.market.poolCapital(ETH)[0] + 300_000 * WAD
    core.vault.post([(core.pool_account(ETH), -missing, 0, 0), (core.fund_main, missing, 0, 0)], sender=core.pool)
    core.evm.advance(SILENCE)
    close_dead(core)
    paid = []
    for winner in winners:
        core.market.settle(winner, ETH, sender=MALLORY)
        amount = core.vault.withdrawable(winner)
        core.vault.withdraw(winner, amount, owner_of(winner), sender=owner_of(winner))
        paid.append(amount - core.cash(winner) // core.unit)
    assert max(paid) - min(paid) < 20_000 * WAD // core.unit
    assert 0 <= core.market.poolCapital(ETH)[0] < 2 * WAD
    core.check_sums(dust_bound=10**8)


def test_dead_oracle__settled_by_a_stranger_at_any_moment__loses_nothing(core: Core) -> None:
    """Isolated, cross with a second market, and with cash set aside for an order: settling moves what is owed and takes
    nothing that could be withdrawn."""
    accounts = [
        core.trader("isolated", 50_000, isolated_market=ETH),
        core.trader("cross", 50_000),
        core.trader("waiting", 50_000),
    ]
    for sign, account in zip((1, -1, 1), accounts, strict=True):
        core.open(account, ETH, sign * 10 * WAD)
    core.open(accounts[1], BTC, WAD)
    core.tick(1, {ETH: moved(ETH_PRICE, 300)})
    pending = core.order(accounts[2], ETH, WAD)
    core.place(pending)
    core.evm.advance(SILENCE)
    close_dead(core)
    core.record(BTC)
    for account in accounts:
        equity, free = core.market.equity(account), core.vault.withdrawable(account)
        core.market.settle(account, ETH, sender=MALLORY)
        assert core.market.equity(account) == equity
        assert core.vault.withdrawable(account) >= free
    core.execute(pending).event("OrderVoided")
    assert core.vault.withdrawable(accounts[2]) * core.unit > core.cash(accounts[2]) - core.unit
    core.check_sums(dust_bound=10**8)


# --- 18: a stale push price as a fallback ---


@pytest.mark.parametrize("off_bps", [50, 100, 140])
def test_stale_push_price__off_in_favour_of_either__costs_more_than_it_is_off(
    core: Core, pair: dict[int, int], off_bps: int
) -> None:
    """Attack 18: a draft filled at a push price half a percent behind the market. Now it is what the sources may be off
    and half a percent worse, no better than the newest record, and of a round after the order."""
    orders = exits(core, pair)
    before = wealth(core, list(pair.values()))
    core.evm.advance(121)
    for sign, order in orders.items():
        with core.evm.isolated():
            push = moved(ETH_PRICE, sign * off_bps)
            core.oracle.setBound(ETH, push, push // 100, core.evm.timestamp)
            core.order_book.executeForced(order, [], sender=MALLORY).event("OrderForced")
            assert wealth(core, list(pair.values())) < before - SIZE * 3_000 * 140 // 10_000
    core.oracle.setBound(ETH, ETH_PRICE, 0, core.oracle.price(ETH)[2])
    with pytest.raises(Revert, match="Oracle_NoBound"):
        core.order_book.executeForced(orders[1], [], sender=MALLORY)


def test_stale_push_price__while_anyone_records__is_no_price_at_all(core: Core, pair: dict[int, int]) -> None:
    """Attack 18: a proper price supersedes it."""
    orders = exits(core, pair)
    core.evm.advance(121)
    core.oracle.setBound(ETH, ETH_PRICE, 0, core.evm.timestamp)
    recorded = core.record(ETH, moved(ETH_PRICE, -500))
    with reverts("OrderBook_NotSilent", ETH, recorded):
        core.order_book.executeForced(orders[1], [], sender=MALLORY)


# --- the choice among two minutes of signed data ---


@pytest.mark.parametrize("range_bps", [20, 50, 100])
def test_signed_data__long_out_at_the_highest_and_short_at_the_lowest__earn_nothing(
    core: Core, pair: dict[int, int], range_bps: int
) -> None:
    """Orders that wait are an option on two minutes in which nobody records: it costs half a percent a side, and the
    fees. Ranges of more than a percent in two minutes without a record are what keepers are there for."""
    orders = exits(core, pair)
    before = wealth(core, list(pair.values()))
    core.evm.advance(300)
    force(core, orders[1], moved(ETH_PRICE, range_bps), age=120)
    core.evm.advance(1)
    force(core, orders[-1], ETH_PRICE, age=0)
    assert wealth(core, list(pair.values())) < before
    core.check_sums()


def test_signed_data__in_one_transaction__has_one_price(core: Core, pair: dict[int, int]) -> None:
    orders = exits(core, pair)
    core.evm.advance(300)
    calls = [
        core.order_book.executeForced.encode(
            orders[sign], [encode(["uint256"] * 3, [moved(ETH_PRICE, sign * 100), 0, core.evm.timestamp])]
        )
        for sign in (1, -1)
    ]
    with reverts("OrderBook_SecondPrice", ETH):
        core.order_book.multicall(calls, sender=MALLORY)


def test_others_order__forced_by_who_owns_the_pool__is_filled_within_its_limit_or_not_at_all(core: Core) -> None:
    """Half a percent of the fill is the pool's. A provider who is a keeper would rather force a take-profit that waits
    than record; the owner's limit counts the half percent, and with one he loses no more than he said."""
    victim = core.trader("victim", 100_000)
    core.open(victim, ETH, 10 * WAD)
    profit, limit = moved(ETH_PRICE, 200), moved(ETH_PRICE, 190)
    order = core.order(
        victim, ETH, -10 * WAD, kind=TAKE_PROFIT, trigger=profit, acceptable=limit, reduce_only=True
    )
    core.place(order)
    core.evm.advance(300)
    core.track(account_id(MALLORY))
    with pytest.raises(Revert, match="PerpMarket_PriceNotAcceptable"):
        force(core, order, profit)
    filled = force(core, order, moved(ETH_PRICE, 250)).event("Traded")["fillPrice"]
    assert filled >= limit
    core.check_sums()


def test_dust__forced_order_by_order__draws_out_a_hundredth_of_what_it_closes(core: Core) -> None:
    """Each pays its executor, who is its owner's enemy or himself: no more than a percent of what it closes."""
    victim = core.trader("victim", 5_000)
    core.open(victim, ETH, 10 * WAD)
    orders = [core.order(victim, ETH, -1, kind=LIMIT_ORDER, reduce_only=True) for _ in range(5)]
    for order in orders:
        core.place(order)
    core.evm.advance(300)
    before = core.cash(core.track(account_id(MALLORY)))
    for order in orders:
        force(core, order, ETH_PRICE).event("OrderForced")
    assert core.cash(account_id(MALLORY)) - before <= 5 * ETH_PRICE // WAD // 100
    core.check_sums()


# --- from a callback ---


def test_flash_take_over__forces_closes_and_settles_in_another_market__is_refused(core: Core) -> None:
    """While a take-over's margin is not judged yet, nothing of it: BTC is silent and dead, ETH is not."""
    core.give_fund()
    victim, waiting = core.trader("victim", 60_000), core.trader("waiting", 100_000)
    core.open(victim, ETH, 100 * WAD)
    core.open(waiting, BTC, WAD)
    order = core.order(waiting, BTC, -WAD, kind=LIMIT_ORDER, reduce_only=True)
    core.place(order)
    core.evm.advance(SILENCE)
    for name, seconds in (("declareDead", DEAD_ORACLE_SECONDS), ("confirmDead", CLOSING_SECONDS)):
        getattr(core.liquidator, name)(BTC)
        core.evm.advance(seconds)
    core.record(ETH)
    equity, required = core.market.healthOf(victim)
    taken = equity - required * 6 // 10
    core.vault.post([(victim, -taken, 0, 0), (core.fund_main, taken, 0, 0)], sender=core.pool)
    caller = Caller.deploy(core, dollars=100_000)
    data = encode(["uint256"] * 3, [core.prices[BTC], 0, core.evm.timestamp])
    caller.inside(
        caller.call(core.order_book, "executeForced", order, [data]),
        caller.call(core.liquidator, "closeDead", BTC),
        caller.call(core.liquidator, "absorb", waiting, []),
        caller.call(core.market, "settle", waiting, BTC),
    )
    outcomes = caller.run(caller.take_over(victim, 50 * WAD))
    assert [str(one) for one in outcomes] == ["PerpMarket_FlashPending"] * 4 + ["ok"]
    core.check_sums(dust_bound=10**8)
