"""Tokens that call back, and tokens that refuse."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ETH,
    KEEPER,
    ORDER_CONFIG,
    TREASURY,
    WAD,
    Core,
    account_id,
    actor,
    owner_of,
)
from tests.support.evm import reverts
from tests.unit.audit.hostile import Reentrant
from tests.unit.audit.steps import absorb, fall, liquidate

EXECUTION_FEE = int(ORDER_CONFIG["executionFee"])
DOLLARS = 10**6
"""Token units of a dollar."""


@pytest.fixture
def mallory(calm: Core) -> Reentrant:
    """A contract with 1,000 dollars of cash, which the token calls on every transfer."""
    mallory = Reentrant.deploy(calm)
    calm.fund_account(mallory.account, 1_000)
    return mallory


# ---------------------------------------------------------------------------------------------------------- re-entrancy


@pytest.mark.parametrize(("first", "second", "paid"), [(1_000, 1_000, 1_000), (600, 401, 600), (600, 400, 1_000)])
def test_reentrancy__withdrawal_within_a_withdrawal__gets_what_is_left(
    calm: Core, mallory: Reentrant, first: int, second: int, paid: int
) -> None:
    """Elsewhere tokens left before the balance was written, so that their recipient withdrew the same balance again
    and again. Here cash is gone before the token is called: what is withdrawn in the middle is withdrawn of the rest.
    """
    mallory.on_transfer(calm.vault, calm.vault.withdraw.encode(mallory.account, second * DOLLARS, mallory.address))
    mallory.send(calm.vault, calm.vault.withdraw.encode(mallory.account, first * DOLLARS, mallory.address))
    assert mallory.succeeded == (paid != first)
    assert calm.token.balanceOf(mallory.address) == paid * DOLLARS
    assert calm.cash(mallory.account) == (1_000 - paid) * WAD
    calm.check_sums()


def test_reentrancy__withdrawal_within_a_deposit__gets_nothing_of_it_yet(calm: Core, mallory: Reentrant) -> None:
    """As above the other way round: a deposit counts when its tokens have come, not when they are announced."""
    calm.token.mint(mallory.address, 500 * DOLLARS)
    mallory.on_transfer(
        calm.vault, calm.vault.withdraw.encode(mallory.account, 1_000 * DOLLARS + 1, actor("accomplice"))
    )
    mallory.send(calm.token, calm.token.approve.encode(calm.vault, 500 * DOLLARS))
    mallory.send(calm.vault, calm.vault.deposit.encode(mallory.account, 500 * DOLLARS))
    assert not mallory.succeeded
    assert calm.cash(mallory.account) == 1_500 * WAD
    calm.check_sums()


def test_reentrancy__deposit_within_a_deposit__counts_each_once(calm: Core, mallory: Reentrant) -> None:
    """Elsewhere a deposit was measured as the difference of two balances, so that an inner one counted in both. Here
    each is the amount that its own transfer moved.
    """
    calm.token.mint(mallory.address, 500 * DOLLARS)
    mallory.on_transfer(calm.vault, calm.vault.deposit.encode(mallory.account, 200 * DOLLARS))
    mallory.send(calm.token, calm.token.approve.encode(calm.vault, 500 * DOLLARS))
    mallory.send(calm.vault, calm.vault.deposit.encode(mallory.account, 300 * DOLLARS))
    assert mallory.succeeded
    assert calm.token.balanceOf(mallory.address) == 0
    assert calm.cash(mallory.account) == 1_500 * WAD
    calm.check_sums()


@pytest.mark.parametrize("use", ["place", "requestDeposit", "transfer"])
def test_reentrancy__cash_on_its_way_out__can_not_be_used_elsewhere(calm: Core, mallory: Reentrant, use: str) -> None:
    """Elsewhere a lock guarded one contract and not its neighbours: cash being withdrawn backed an order or bought
    shares in the middle. Here all of them read the one cash, which is written already.
    """
    calls = {
        "place": (calm.order_book, calm.order_book.place.encode(calm.order(mallory.account, ETH, WAD))),
        "requestDeposit": (calm.pool, calm.pool.requestDeposit.encode(1, mallory.address, mallory.address)),
        "transfer": (
            calm.vault,
            calm.vault.transfer.encode(mallory.account, account_id(mallory.address, ETH), 1),
        ),
    }
    mallory.on_transfer(*calls[use])
    calm.track(account_id(mallory.address, ETH))
    mallory.send(calm.vault, calm.vault.withdraw.encode(mallory.account, 1_000 * DOLLARS, mallory.address))
    assert not mallory.succeeded
    assert (calm.cash(mallory.account), calm.vault.balanceOf(mallory.account)) == (0, 0)
    assert calm.token.balanceOf(mallory.address) == 1_000 * DOLLARS
    calm.post(mallory.account, 1_000 * WAD)
    mallory.send(*calls[use])  # the same call is good where there is cash
    calm.check_sums()


@pytest.mark.parametrize(
    "view", ["cash", "withdrawable", "equity", "totalAssets", "convertToAssets", "poolCapital", "health"]
)
def test_read_only_reentrancy__views_in_the_middle_of_a_withdrawal__say_what_they_say_after_it(
    calm: Core, mallory: Reentrant, view: str
) -> None:
    """Elsewhere other protocols read a price or a balance in the middle of a withdrawal, when tokens had left and
    shares had not, or the reverse. Here everything is written before the token is called, and no view reads a balance
    of tokens: the answer in the middle is the answer after it.
    """
    calm.open(calm.trader("trader", 100_000), ETH, 10 * WAD)
    encoded = {
        "cash": (calm.vault, calm.vault.cashOf, (mallory.account,)),
        "withdrawable": (calm.vault, calm.vault.withdrawable, (mallory.account,)),
        "equity": (calm.market, calm.market.equity, (mallory.account,)),
        "totalAssets": (calm.pool, calm.pool.totalAssets, ()),
        "convertToAssets": (calm.pool, calm.pool.convertToAssets, (10**18,)),
        "poolCapital": (calm.market, calm.market.poolCapital, (ETH,)),
        "health": (calm.market, calm.market.healthOf, (mallory.account,)),
    }
    contract, method, args = encoded[view]
    mallory.on_transfer(contract, method.encode(*args))
    mallory.send(calm.vault, calm.vault.withdraw.encode(mallory.account, 400 * DOLLARS, mallory.address))
    assert mallory.succeeded
    after = method(*args)
    assert mallory.answer == (after[0] if isinstance(after, tuple) else after)
    if view in ("cash", "equity", "health"):
        assert mallory.answer == 600 * WAD
    calm.check_sums()


def test_callback__token_that_calls_its_holders__is_not_called_by_a_liquidation(calm: Core) -> None:
    """Elsewhere a liquidation sent tokens to its victim, whose code could stop it. Here it moves no tokens at all: the
    hook of a token that calls back on every transfer is never reached.
    """
    mallory = Reentrant.deploy(calm)
    calm.fund_account(mallory.account, 10_000)
    order = calm.order(mallory.account, ETH, 60 * WAD)
    mallory.on_transfer(calm.vault, b"")
    mallory.send(calm.order_book, calm.order_book.place.encode(order))
    calm.settle(order).event("OrderExecuted")
    fall(calm, 2_900)
    liquidate(calm, mallory.account)
    fall(calm, 2_500)
    absorb(calm, mallory.account)
    assert calm.evm.storage(mallory.address, 0) == 0  # never called
    calm.check_sums()


# ------------------------------------------------------------------------------------------------------------ blacklist


def test_blacklist__owner__is_liquidated_and_absorbed(calm: Core) -> None:
    """Elsewhere what was left of a liquidated account was sent to its owner, and a token that refused him saved him
    from liquidation. Here what is left stays in his account.
    """
    debtor = calm.trader("debtor", 10_000)
    calm.open(debtor, ETH, 60 * WAD)
    calm.token.setBlacklisted(actor("debtor"), True)
    fall(calm, 2_900)
    closed = liquidate(calm, debtor).event("Liquidated")
    assert closed["reward"] > 0
    assert calm.cash(account_id(KEEPER)) == EXECUTION_FEE + closed["reward"]
    fall(calm, 2_500)
    absorb(calm, debtor)
    assert calm.market.position(debtor, ETH) == (0, 0, 0)
    calm.check_sums()


def test_blacklist__keeper_pool_fund_and_treasury__stop_nobody(calm: Core) -> None:
    """As above for everyone who is paid on the way: trades, liquidations, sweeps and exits are sums in the ledger, and
    a keeper whom the token refuses takes his earnings to another address.
    """
    for owner in (KEEPER, TREASURY, calm.pool, calm.fund, calm.market, calm.liquidator, actor("debtor")):
        calm.token.setBlacklisted(owner, True)
    debtor = calm.track(account_id(actor("debtor")))
    calm.post(debtor, 10_000 * WAD)
    calm.open(debtor, ETH, 60 * WAD)
    fall(calm, 2_900)
    reward = liquidate(calm, debtor).event("Liquidated")["reward"]
    swept = calm.market.sweep(ETH).event("FeesSwept")
    assert calm.cash(account_id(TREASURY)) == swept["treasury"] > 0
    earned = (EXECUTION_FEE + reward) // calm.unit
    with reverts("MockToken_Blacklisted", KEEPER):
        calm.vault.withdraw(account_id(KEEPER), earned, KEEPER, sender=KEEPER)
    calm.vault.withdraw(account_id(KEEPER), earned, actor("keeper's other address"), sender=KEEPER)
    assert calm.token.balanceOf(actor("keeper's other address")) == earned
    calm.check_sums()


def test_blacklist__one_of_many_in_a_batch_or_in_the_pool__blocks_no_other(calm: Core) -> None:
    """Elsewhere payments were made in a loop or a queue, and one recipient whom the token refused held up all behind
    him. Here nothing is paid out to anyone but who calls for himself: the queue of orders and the exits go on.
    """
    accounts = [calm.trader(f"trader {number}", 10_000) for number in range(3)]
    orders = [calm.order(account, ETH, WAD) for account in accounts]
    for order in orders:
        calm.place(order)
    shares = [calm.enter(calm.pool, account, 1_000) for account in accounts]
    assert len(set(shares)) == 1
    refused = owner_of(accounts[0])
    calm.token.setBlacklisted(refused, True)
    calm.tick(1)
    calm.track(account_id(KEEPER))
    receipt = calm.order_book.executeBatch(orders, [], sender=KEEPER)
    ended = [event["account"] for event in receipt.logs if event.name in ("OrderExecuted", "OrderVoided")]
    assert ended == accounts
    before = [calm.cash(account) for account in accounts]
    assets = [calm.leave(calm.pool, account) for account in accounts]
    gained = [calm.cash(account) - cash for account, cash in zip(accounts, before, strict=True)]
    assert gained == [amount * calm.unit for amount in assets]
    with reverts("MockToken_Blacklisted", refused):
        calm.vault.withdraw(accounts[0], 1, refused, sender=refused)
    other = owner_of(accounts[1])
    calm.vault.withdraw(accounts[1], assets[1], other, sender=other)
    assert calm.token.balanceOf(other) == assets[1]
    calm.check_sums()
