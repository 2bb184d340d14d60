"""Attack 10: the executor trades around an order that everyone can see."""

from __future__ import annotations

import pytest

from tests.support.core import ETH, ETH_PRICE, LIMIT_ORDER, Core, deploy_core, owner_of
from tests.support.evm import Evm, known, reverts
from tests.unit.attacks.reference import MALLORY, base_of, execute, main_account, place, wealth

OWN = base_of(19_000_000, ETH_PRICE)
PUBLIC = base_of(5_000_000, ETH_PRICE)


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1, pool_dollars=60_000_000)


@pytest.fixture
def account(core: Core) -> int:
    return main_account(core, 20_000_000)


@pytest.fixture
def victim(core: Core) -> int:
    return core.trader("victim", 1_000_000)


def test_sandwich__around_a_public_order__comes_after_it_and_loses_its_fees(
    core: Core, account: int, victim: int
) -> None:
    """The executor sees a $5m buy, buys $20m before it and sells them after it: $172k in a draft, where the executor
    chose the sequence. Market orders settle in the sequence in which they were placed: what he places on seeing the buy
    comes after it, and his own round trip costs the fees."""
    before = wealth(core, [account])
    public = core.order(victim, ETH, PUBLIC)
    core.place(public)
    front, back = core.order(account, ETH, OWN), core.order(account, ETH, -OWN)
    place(core, front)
    place(core, back)
    core.tick(2)
    for early, sequence in ((front, 2), (back, 3)):
        with reverts("OrderBook_NotNext", sequence, 1):
            core.order_book.execute(early, [], sender=MALLORY)
    skipped = core.order_book.executeBatch([front, public, back], [], sender=MALLORY)
    assert [event["hash"] for event in skipped.events("OrderSkipped")] == [
        core.order_book.hashOf(front),
        core.order_book.hashOf(back),
    ]
    execute(core, front)
    execute(core, back)
    assert wealth(core, [account]) < before - 15_000 * 10**18
    core.check_sums()


def test_sandwich__front_leg_as_a_limit_order__waits_for_the_pending_one(core: Core, account: int, victim: int) -> None:
    """A limit order has no place in the queue and settles at the newest record: lying in wait, it would be the front
    leg at any time. One that increases risk waits while market orders are pending."""
    lying = core.order(account, ETH, OWN, kind=LIMIT_ORDER)
    place(core, lying)
    core.tick(2)
    public = core.order(victim, ETH, PUBLIC)
    core.place(public)
    core.tick(2)
    expected = core.market.fillPrice(ETH, PUBLIC)
    with reverts("OrderBook_MarketOrdersPending", ETH):
        core.order_book.execute(lying, [], sender=MALLORY)
    assert execute(core, public).event("Traded")["fillPrice"] == expected
    execute(core, lying)
    core.check_sums()


def test_sandwich__placed_before_by_luck__fails_on_the_acceptable_price(core: Core, account: int, victim: int) -> None:
    """He guesses that the order comes and places his buy before it. A price that the victim finds acceptable pins the
    fill: his order is cancelled with the reason, at no fee, and the guess costs the attacker his own round trip."""
    before = wealth(core, [account])
    front = core.order(account, ETH, OWN)
    place(core, front)
    acceptable = ETH_PRICE * 1_005 // 1_000
    public = core.order(victim, ETH, PUBLIC, acceptable=acceptable)
    core.place(public)
    back = core.order(account, ETH, -OWN, reduce_only=True)
    place(core, back)
    core.tick(2)
    execute(core, front)
    price = core.market.fillPrice(ETH, PUBLIC)
    failed = core.order_book.execute(public, [], sender=MALLORY).event("OrderFailed")
    assert failed["forfeited"] == 0
    assert known().registry.decode_error(failed["reason"]) == (
        "PerpMarket_PriceNotAcceptable",
        (price, acceptable),
    )
    execute(core, back)
    assert core.market.position(victim, ETH) == (0, 0, 0)
    assert core.vault.withdrawable(victim) == core.amount(1_000_000) - failed["paid"] // core.unit
    assert wealth(core, [account]) < before - 15_000 * 10**18
    core.check_sums()


def test_sandwich__own_execution_at_another_price__has_no_choice(core: Core, account: int, victim: int) -> None:
    """He executes the victim's order at whichever of ten records hurts it most: it is bound to the first."""
    public = core.order(victim, ETH, PUBLIC)
    core.place(public)
    core.tick(2)
    expected = core.market.fillPrice(ETH, PUBLIC)
    for step in range(1, 11):
        core.tick(1, {ETH: ETH_PRICE * (1_000 + step) // 1_000})
    assert execute(core, public).event("Traded")["fillPrice"] == expected
    assert owner_of(account) == MALLORY
    core.check_sums()
