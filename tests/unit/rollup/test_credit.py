"""L2Gateway: what L1 sends into accounts, and what becomes of it where the account refuses it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import L2_MESSENGER, TREASURY, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import ANYONE, ZERO_ADDRESS, Evm, known, reverts
from tests.unit.rollup.steps import (
    CLAIMANT,
    L1_GATEWAY,
    L1_TOKEN,
    arrive,
    check_tokens,
    credit,
    gateway_of,
    refuse_deposits,
)

OWNER = actor("owner")
ACCOUNT = account_id(OWNER)
AMOUNT = 5_000_001


def refused(core: Core, amount: int = AMOUNT, claimant: str = CLAIMANT, account: int = ACCOUNT) -> None:
    """A deposit that arrived and that the account did not take."""
    refuse_deposits(core)
    arrive(core, amount)
    credit(core, account, amount, claimant)
    refuse_deposits(core, False)


def test_constructor__tokens_own_word__says_what_it_stands_for(calm: Core) -> None:
    gateway = gateway_of(calm)
    assert (gateway.l1Gateway(), gateway.l1Token()) == (L1_GATEWAY, L1_TOKEN)
    assert gateway.totalClaims() == 0


# --- credit ---


@pytest.mark.parametrize("index", [0, 7])
def test_credit__tokens_that_arrived__are_the_accounts_cash(calm: Core, index: int) -> None:
    """RG-02"""
    account = account_id(OWNER, 0, index)
    arrive(calm, AMOUNT)
    receipt = credit(calm, account, AMOUNT)
    gateway = gateway_of(calm)
    assert receipt.event("Credited").args == {"account": account, "amount": AMOUNT}
    assert receipt.event("Deposited").args == {
        "account": account,
        "from": gateway.address,
        "amount": AMOUNT,
        "cash": AMOUNT * calm.unit,
    }
    assert calm.cash(account) == AMOUNT * calm.unit
    check_tokens(calm)


def test_credit__by_anyone_but_the_messenger__is_refused(calm: Core) -> None:
    arrive(calm, AMOUNT)
    for caller in (ANYONE, OWNER, L1_GATEWAY, calm.vault.address):
        with reverts("L2Gateway_NotFromL1Gateway", caller):
            gateway_of(calm).credit(ACCOUNT, AMOUNT, CLAIMANT, sender=caller)


def test_credit__message_of_another_l1_sender__is_refused(calm: Core) -> None:
    """Anyone sends messages through the messenger; only one sender of L1 has escrowed the tokens."""
    arrive(calm, AMOUNT)
    with reverts("L2Gateway_NotFromL1Gateway", L2_MESSENGER):
        credit(calm, ACCOUNT, AMOUNT, l1_sender=actor("thief"))


@pytest.mark.parametrize("arrived", [0, AMOUNT - 1])
def test_credit__before_its_tokens__waits_for_them(calm: Core, arrived: int) -> None:
    """The bridge's own message may fail; this one then fails too and stays with the messenger."""
    arrive(calm, arrived)
    with reverts("L2Gateway_NotArrived", arrived, AMOUNT):
        credit(calm, ACCOUNT, AMOUNT)
    arrive(calm, AMOUNT - arrived)
    credit(calm, ACCOUNT, AMOUNT)
    check_tokens(calm)


def test_credit__tokens_that_others_claim__are_not_taken(calm: Core) -> None:
    refused(calm)
    with reverts("L2Gateway_NotArrived", 0, 1):
        credit(calm, account_id(actor("thief")), 1)
    check_tokens(calm)


@pytest.mark.parametrize("name", ["pool", "fund", "treasury"])
def test_credit__into_the_protocols_own_account__is_the_claimants(calm: Core, name: str) -> None:
    account = account_id({"pool": calm.pool, "fund": calm.fund, "treasury": TREASURY}[name])
    arrive(calm, AMOUNT)
    receipt = credit(calm, account, AMOUNT)
    event = receipt.event("CreditRefused")
    assert (event["account"], event["claimant"], event["amount"]) == (account, CLAIMANT, AMOUNT)
    assert known().registry.decode_error(event["reason"]) == ("MarginVault_InvalidAccount", (account,))
    gateway = gateway_of(calm)
    assert (gateway.claimOf(account, CLAIMANT), gateway.totalClaims()) == (AMOUNT, AMOUNT)
    with reverts("MarginVault_InvalidAccount", account):
        gateway.retry(account, CLAIMANT)
    gateway.reclaim(account, actor("home"), sender=CLAIMANT)
    assert calm.token.balanceOf(actor("home")) == AMOUNT
    check_tokens(calm)


def test_credit__refused_twice__adds_up(calm: Core) -> None:
    refused(calm, 3)
    refused(calm, 4)
    refused(calm, 5, actor("another"))
    gateway = gateway_of(calm)
    assert gateway.claimOf(ACCOUNT, CLAIMANT) == 7
    assert gateway.claimOf(ACCOUNT, actor("another")) == 5
    assert gateway.totalClaims() == 12
    check_tokens(calm)


# --- retry ---


def test_retry__by_anyone__puts_it_into_the_account(calm: Core) -> None:
    """RG-03"""
    refused(calm)
    gateway = gateway_of(calm)
    receipt = gateway.retry(ACCOUNT, CLAIMANT, sender=ANYONE)
    assert receipt.event("Credited").args == {"account": ACCOUNT, "amount": AMOUNT}
    assert calm.cash(ACCOUNT) == AMOUNT * calm.unit
    with reverts("L2Gateway_NothingToClaim", ACCOUNT, CLAIMANT):
        gateway.retry(ACCOUNT, CLAIMANT)
    check_tokens(calm)


def test_retry__still_refused__stays_claimable(calm: Core) -> None:
    refused(calm)
    refuse_deposits(calm)
    gateway = gateway_of(calm)
    with reverts("MockToken_Blacklisted", calm.vault.address):
        gateway.retry(ACCOUNT, CLAIMANT)
    assert gateway.claimOf(ACCOUNT, CLAIMANT) == AMOUNT
    gateway.reclaim(ACCOUNT, CLAIMANT, sender=CLAIMANT)
    assert calm.token.balanceOf(CLAIMANT) == AMOUNT


# --- reclaim ---


def test_reclaim__by_the_claimant__pays_whom_he_says_once(calm: Core) -> None:
    """RG-03"""
    refused(calm)
    gateway, home = gateway_of(calm), actor("home")
    receipt = gateway.reclaim(ACCOUNT, home, sender=CLAIMANT)
    assert receipt.event("Reclaimed").args == {
        "account": ACCOUNT,
        "claimant": CLAIMANT,
        "to": home,
        "amount": AMOUNT,
    }
    assert [event.name for event in receipt.logs] == ["Reclaimed", "Transfer"]
    assert calm.token.balanceOf(home) == AMOUNT
    for again in (lambda: gateway.reclaim(ACCOUNT, home, sender=CLAIMANT), lambda: gateway.retry(ACCOUNT, CLAIMANT)):
        with reverts("L2Gateway_NothingToClaim", ACCOUNT, CLAIMANT):
            again()
    check_tokens(calm)


def test_reclaim__by_the_accounts_owner_or_anyone__is_refused(calm: Core) -> None:
    """Until it is in the account it belongs to whoever the depositor named."""
    refused(calm)
    for caller in (OWNER, ANYONE):
        with reverts("L2Gateway_NothingToClaim", ACCOUNT, caller):
            gateway_of(calm).reclaim(ACCOUNT, caller, sender=caller)


def test_reclaim__to_nobody_or_the_gateway__is_refused(calm: Core) -> None:
    refused(calm)
    for to in (ZERO_ADDRESS, gateway_of(calm).address):
        with reverts("L2Gateway_InvalidRecipient", to):
            gateway_of(calm).reclaim(ACCOUNT, to, sender=CLAIMANT)


@pytest.fixture(scope="module")
def shared(built: None) -> Core:
    return deploy_core(Evm(), markets=0, l1_gateway=L1_GATEWAY)


DEPOSIT = st.tuples(st.integers(1, 10**12), st.integers(0, 2), st.integers(0, 1), st.booleans(), st.sampled_from("rt-"))


@settings(max_examples=25)
@given(st.lists(DEPOSIT, max_size=8))
def test_credit__any_deposits_and_claims__every_token_is_in_an_account_or_claimed(
    shared: Core, deposits: list[tuple[int, int, int, bool, str]]
) -> None:
    """After any of them: tokens at the gateway = claims; Σ cash = tokens in the vault; nothing was lost on the way."""
    core, gateway = shared, gateway_of(shared)
    with core.evm.isolated():
        total = 0
        for amount, who, by, is_refused, after in deposits:
            account, claimant = account_id(actor(f"owner {who}")), actor(f"claimant {by}")
            total += amount
            refuse_deposits(core, is_refused)
            arrive(core, amount)
            credit(core, account, amount, claimant)
            refuse_deposits(core, False)
            if after == "r" and gateway.claimOf(account, claimant):
                gateway.retry(account, claimant)
            elif after == "t" and gateway.claimOf(account, claimant):
                gateway.reclaim(account, actor("home"), sender=claimant)
            check_tokens(core)
        held = core.token.balanceOf(core.vault) + core.token.balanceOf(gateway) + core.token.balanceOf(actor("home"))
        assert held == total
        assert core.token.balanceOf(core.vault) * 10**12 == sum(
            core.cash(account_id(actor(f"owner {n}"))) for n in range(3)
        )


def test_credit__one_unit__is_a_dollars_millionth(calm: Core) -> None:
    arrive(calm, 1)
    credit(calm, ACCOUNT, 1)
    assert calm.cash(ACCOUNT) == WAD // 10**6
