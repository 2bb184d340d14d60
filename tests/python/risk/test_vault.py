"""Deposits, withdrawals, transfers."""

from __future__ import annotations

import pytest

from plimsoll.core import ids
from plimsoll.core.units import WAD
from tests.python.risk.setting import (
    ACCOUNT,
    ETH,
    NO_FEES,
    NOW,
    OTHER,
    OTHER_ACCOUNT,
    PARAMS,
    PRICE,
    TRADER,
    UNIT,
    buy,
    deployed,
    refused,
    set_price,
)  # fmt: skip


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_deposit__any_decimals__adds_exactly_and_comes_back(decimals):
    from plimsoll.risk.protocol import Protocol

    protocol = Protocol(token_decimals=decimals)
    protocol.deposit(ACCOUNT, 12_345)
    assert protocol.cash_of(ACCOUNT) == 12_345 * 10 ** (18 - decimals)
    assert protocol.withdrawable(ACCOUNT, NOW) == 12_345
    with refused(protocol, "MarginVault_InsufficientMargin", 12_345, 12_346):
        protocol.withdraw(ACCOUNT, 12_346, TRADER, now=NOW, sender=TRADER)
    protocol.withdraw(ACCOUNT, 12_345, TRADER, now=NOW, sender=TRADER)
    assert protocol.cash_of(ACCOUNT) == protocol.state.totals.tokens == 0


def test_deposit__protocol_account_or_none__refused():
    protocol = deployed()
    for account in (ids.pack(0xA001, ETH), ids.pack(0xA002), ids.pack(0xA003), 5):
        with refused(protocol, "MarginVault_InvalidAccount", account):
            protocol.deposit(account, 1)
    with refused(protocol, "MarginVault_ZeroAmount"):
        protocol.deposit(ACCOUNT, 0)


def test_withdraw__wrong_caller_recipient_or_amount__refused():
    protocol = deployed()
    with refused(protocol, "MarginVault_ZeroAmount"):
        protocol.withdraw(ACCOUNT, 0, TRADER, now=NOW, sender=TRADER)
    with refused(protocol, "MarginVault_NotOwner", ACCOUNT, OTHER):
        protocol.withdraw(ACCOUNT, 1, OTHER, now=NOW, sender=OTHER)
    for to in (0, protocol.vault):
        with refused(protocol, "MarginVault_InvalidRecipient", to):
            protocol.withdraw(ACCOUNT, 1, to, now=NOW, sender=TRADER)


def test_withdraw__with_a_position__to_the_last_unit_of_what_is_free():
    protocol = deployed()
    buy(protocol, 100 * WAD)
    free = protocol.state.free(ACCOUNT, NOW)
    amount = protocol.withdrawable(ACCOUNT, NOW)
    assert amount == (free.available - free.required) // 10**12
    with refused(protocol, "MarginVault_InsufficientMargin", amount, amount + 1):
        protocol.withdraw(ACCOUNT, amount + 1, TRADER, now=NOW, sender=TRADER)
    protocol.withdraw(ACCOUNT, amount, TRADER, now=NOW, sender=TRADER)
    assert protocol.withdrawable(ACCOUNT, NOW) == 0
    protocol.check_sums(NOW)


def test_withdraw__stale_price__refused_with_a_position_only():
    protocol = deployed()
    buy(protocol, 100 * WAD)
    late = NOW + PARAMS.max_price_age
    protocol.withdraw(ACCOUNT, 1, TRADER, now=late, sender=TRADER)
    with refused(protocol, "PerpMarket_StalePrice", ETH, NOW):
        protocol.withdraw(ACCOUNT, 1, TRADER, now=late + 1, sender=TRADER)
    protocol.withdraw(OTHER_ACCOUNT, 100_000 * UNIT, OTHER, now=late + 10**6, sender=OTHER)


def test_withdraw__unrealised_gain__is_not_collateral():
    protocol = deployed(NO_FEES)
    buy(protocol, 100 * WAD)
    before = protocol.withdrawable(ACCOUNT, NOW)
    set_price(protocol, 2 * PRICE, NOW + 1)
    assert protocol.equity(ACCOUNT, NOW + 1) > 190_000 * WAD
    assert protocol.withdrawable(ACCOUNT, NOW + 1) < before


def test_transfer__own_accounts__moves_what_is_free():
    protocol = deployed()
    isolated = ids.pack(TRADER, ETH)
    protocol.transfer(ACCOUNT, isolated, 5 * UNIT, now=NOW, sender=TRADER)
    assert protocol.cash_of(isolated) == 5 * WAD
    with refused(protocol, "MarginVault_InsufficientMargin", 99_995 * UNIT, 100_000 * UNIT):
        protocol.transfer(ACCOUNT, isolated, 100_000 * UNIT, now=NOW, sender=TRADER)
    with refused(protocol, "MarginVault_DifferentOwners", ACCOUNT, OTHER_ACCOUNT):
        protocol.transfer(ACCOUNT, OTHER_ACCOUNT, 1, now=NOW, sender=TRADER)
    with refused(protocol, "MarginVault_NotOwner", ACCOUNT, OTHER):
        protocol.transfer(ACCOUNT, OTHER_ACCOUNT, 1, now=NOW, sender=OTHER)
    with refused(protocol, "MarginVault_ZeroAmount"):
        protocol.transfer(ACCOUNT, isolated, 0, now=NOW, sender=TRADER)
