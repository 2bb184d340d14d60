"""MarginVault.withdraw: only the owner, at most what is withdrawable, tokens move last."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import (
    BTC,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    TREASURY,
    WAD,
    Core,
    account_id,
    actor,
)
from tests.support.evm import ANYONE, ZERO_ADDRESS, reverts
from tests.unit.vault.reference import packed

TRADER, FRIEND = actor("trader"), actor("friend")


def initial(size: int, price: int) -> int:
    """Initial margin in the ETH market as it is listed: 4.25% + |b|/S of the notional, and a penalty of 0.75%."""
    scale = 333_333 * WAD
    value = -(-size * price // WAD)
    share = 425 * 10**14 - -size * 10_000 * 10**14 // scale
    return -(-value * share // WAD) + max(-(-value * 75 // 10_000), 2 * WAD)


# --- without a position ---


def test_withdraw__any_decimals__takes_amount_times_unit(decimal_core: Core) -> None:
    """MV-02"""
    core = decimal_core
    account = core.trader("trader", 1_000)
    amount = core.amount(400) + 1
    receipt = core.vault.withdraw(account, amount, FRIEND, sender=TRADER)
    cash = 1_000 * WAD - amount * core.unit
    assert receipt.event("Withdrawn").args == {"account": account, "to": FRIEND, "amount": amount, "cash": cash}
    assert receipt.event("Transfer").args == {"from": core.vault.address, "to": FRIEND, "value": amount}
    assert [event.name for event in receipt.logs] == ["Withdrawn", "Transfer"]  # tokens move last
    assert core.vault.balanceOf(account) == packed(cash)
    assert core.token.balanceOf(FRIEND) == amount
    core.check_sums()


def test_withdraw__everything_and_one_more__only_everything(decimal_core: Core) -> None:
    core = decimal_core
    account = core.trader("trader", 10)
    with reverts("MarginVault_InsufficientMargin", core.amount(10), core.amount(10) + 1):
        core.vault.withdraw(account, core.amount(10) + 1, TRADER, sender=TRADER)
    core.vault.withdraw(account, core.amount(10), TRADER, sender=TRADER)
    assert (core.vault.cashOf(account), core.vault.withdrawable(account)) == (0, 0)
    assert core.token.balanceOf(TRADER) == core.amount(10)


@pytest.mark.parametrize("extra", [0, 1, 10**12 - 1])
def test_withdraw__fractions_of_a_token_unit__stay(core: Core, extra: int) -> None:
    account = core.trader("trader", 10)
    core.post(account, extra)
    assert core.vault.withdrawable(account) == 10 * 10**6
    core.vault.withdraw(account, 10 * 10**6, TRADER, sender=TRADER)
    assert core.vault.cashOf(account) == extra


def test_withdraw__reserved_cash__stays(core: Core) -> None:
    account = core.trader("trader", 10)
    core.vault.post([(account, 0, 3 * WAD + 1, 0)], sender=core.order_book)
    assert core.vault.withdrawable(account) == 7 * 10**6 - 1
    with reverts("MarginVault_InsufficientMargin", 7 * 10**6 - 1, 7 * 10**6):
        core.vault.withdraw(account, 7 * 10**6, TRADER, sender=TRADER)
    core.vault.withdraw(account, 7 * 10**6 - 1, TRADER, sender=TRADER)
    assert core.vault.balanceOf(account) == packed(3 * WAD + 10**12, 3 * WAD + 1)


def test_withdrawable__cash_below_the_reservation__is_nothing(core: Core) -> None:
    account = core.trader("trader", 1)
    core.vault.post([(account, 0, 2 * WAD, 0)], sender=core.order_book)
    assert core.vault.withdrawable(account) == 0
    with reverts("MarginVault_InsufficientMargin", 0, 1):
        core.vault.withdraw(account, 1, TRADER, sender=TRADER)


def test_withdraw__nothing__is_refused_first(core: Core) -> None:
    with reverts("MarginVault_ZeroAmount"):
        core.vault.withdraw(account_id(TRADER), 0, ZERO_ADDRESS, sender=ANYONE)


@pytest.mark.parametrize("owner", ["trader", "pool", "fund"])
def test_withdraw__by_another__is_refused(core: Core, owner: str) -> None:
    account = account_id({"trader": TRADER, "pool": core.pool, "fund": core.fund}[owner])
    with reverts("MarginVault_NotOwner", account, ANYONE):
        core.vault.withdraw(account, 1, ZERO_ADDRESS, sender=ANYONE)


def test_withdraw__to_nobody_or_the_vault__is_refused(core: Core) -> None:
    account = core.trader("trader", 1)
    for to in (ZERO_ADDRESS, core.vault.address):
        with reverts("MarginVault_InvalidRecipient", to):
            core.vault.withdraw(account, core.amount(1) + 1, to, sender=TRADER)


def test_withdraw__by_the_treasury__is_open(core: Core) -> None:
    """Nobody deposits there, but its owner takes out what the ledger gave it."""
    core.post(account_id(TREASURY), 5 * WAD)
    core.vault.withdraw(account_id(TREASURY), 5 * 10**6, FRIEND, sender=TREASURY)
    assert core.token.balanceOf(FRIEND) == 5 * 10**6


def test_withdraw__to_a_blacklisted_recipient__hurts_only_him(core: Core) -> None:
    account, other = core.trader("trader", 10), core.trader("other", 10)
    core.token.setBlacklisted(TRADER, True)
    with reverts("MockToken_Blacklisted", TRADER):
        core.vault.withdraw(account, 1, TRADER, sender=TRADER)
    assert core.vault.cashOf(account) == 10 * WAD
    core.vault.withdraw(account, core.amount(10), FRIEND, sender=TRADER)
    core.vault.withdraw(other, core.amount(10), actor("other"), sender=actor("other"))
    core.check_sums()


def test_withdraw__without_a_position__needs_no_price(core: Core) -> None:
    """No market is listed and no price was ever recorded."""
    account = core.trader("trader", 10)
    core.vault.withdraw(account, core.amount(10), TRADER, sender=TRADER)
    assert core.token.balanceOf(TRADER) == core.amount(10)


@settings(max_examples=25)
@given(cash=st.integers(0, 10**24), reserved=st.integers(0, 2**80), draw=st.integers(0, 10**24))
def test_withdraw__random_cash_and_reservation__at_most_the_rest_rounded_down(
    shared_core: Core, cash: int, reserved: int, draw: int
) -> None:
    core, account = shared_core, account_id(TRADER)
    unit = 10 ** (18 - core.token.decimals())
    with core.evm.isolated():
        core.post(account, cash)
        core.vault.post([(account, 0, reserved, 0)], sender=core.order_book)
        free = max(0, cash - reserved) // unit
        assert core.vault.withdrawable(account) == free
        with reverts("MarginVault_InsufficientMargin", free, free + 1):
            core.vault.withdraw(account, free + 1, FRIEND, sender=TRADER)
        if free:
            amount = 1 + draw % free
            core.vault.withdraw(account, amount, FRIEND, sender=TRADER)
            assert core.vault.balanceOf(account) == packed(cash - amount * unit, reserved)


# --- with a position ---


def test_withdraw__with_a_position__keeps_initial_margin_at_the_index_price(trading_core: Core) -> None:
    """PM-07: cash − reserved + min(0, result) − initial margin, rounded down to token units."""
    core = trading_core
    account = core.trader("trader", 10_000)
    core.open(account, ETH, 10 * WAD)
    base, quote, owed = core.market.position(account, ETH)
    assert (base, owed) == (10 * WAD, 0)
    loss = min(0, 10 * ETH_PRICE + quote)
    assert loss < 0
    free = (core.cash(account) + loss - initial(10 * WAD, ETH_PRICE)) // core.unit
    assert core.vault.withdrawable(account) == free
    with reverts("MarginVault_InsufficientMargin", free, free + 1):
        core.vault.withdraw(account, free + 1, TRADER, sender=TRADER)
    core.vault.withdraw(account, free, TRADER, sender=TRADER)
    assert core.vault.withdrawable(account) == 0
    core.check_sums()


def test_withdraw__unrealised_gain__counts_for_nothing(trading_core: Core) -> None:
    """PM-07: gains count for nothing."""
    core = trading_core
    account = core.trader("trader", 10_000)
    core.open(account, ETH, 10 * WAD)
    core.evm.advance(1)
    core.record(ETH, 4_000 * WAD)
    free = (core.cash(account) - initial(10 * WAD, 4_000 * WAD)) // core.unit
    _, quote, owed = core.market.position(account, ETH)
    assert 10 * 4_000 * WAD + quote - owed > 9_000 * WAD
    assert core.vault.withdrawable(account) == free


def test_withdraw__stale_price_of_a_market_it_holds__is_refused(trading_core: Core) -> None:
    core = trading_core
    account, other = core.trader("trader", 50_000), core.trader("other", 10)
    core.open(account, ETH, 10 * WAD)
    core.open(account, BTC, WAD)
    published = core.evm.timestamp
    core.evm.advance(15)
    core.vault.withdraw(account, 1, TRADER, sender=TRADER)
    core.evm.advance(1)
    with reverts("PerpMarket_StalePrice", ETH, published):
        core.vault.withdraw(account, 1, TRADER, sender=TRADER)
    core.record(ETH)
    with reverts("PerpMarket_StalePrice", BTC, published):
        core.vault.withdraw(account, 1, TRADER, sender=TRADER)
    core.vault.withdraw(other, core.amount(10), FRIEND, sender=actor("other"))


@pytest.mark.parametrize("state", [DOUBTFUL, GRACE, DOWN])
def test_withdraw__whatever_the_guard_says__is_open(trading_core: Core, state: int) -> None:
    core = trading_core
    account = core.trader("trader", 10_000)
    core.open(account, ETH, WAD)
    core.tick(1, state=state)
    core.vault.withdraw(account, core.amount(1_000), TRADER, sender=TRADER)
    assert core.token.balanceOf(TRADER) == core.amount(1_000)


def test_deposit__at_any_state_and_stale__is_open(trading_core: Core) -> None:
    core = trading_core
    account = core.trader("trader", 10_000)
    core.open(account, ETH, WAD)
    cash = core.cash(account)
    core.tick(1, state=DOWN)
    core.evm.advance(86_400)
    core.fund_account(account, 5)
    assert core.cash(account) == cash + 5 * WAD
