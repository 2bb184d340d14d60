"""L2Gateway.withdraw: cash of an account to L1 in one transaction, and who may send it where."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, TREASURY, WAD, Core, account_id, actor, owner_of
from tests.support.evm import ANYONE, ZERO_ADDRESS, reverts
from tests.unit.rollup.steps import AGENT, aliased, appoint, bridged, check_tokens, gateway_of

ALL = 2**256 - 1
OWNER, HOME = actor("owner"), actor("home")


def test_withdraw__by_the_owner__burns_here_for_anybody_on_l1(calm: Core) -> None:
    """RG-04"""
    account = calm.trader("owner", 1_000)
    gateway, amount, supply = gateway_of(calm), calm.amount(400) + 1, calm.token.totalSupply()
    receipt = gateway.withdraw(account, amount, HOME, sender=OWNER)
    assert receipt.value == amount
    assert receipt.event("WithdrawalStarted").args == {"account": account, "to": HOME, "amount": amount}
    cash = 1_000 * WAD - amount * calm.unit
    assert receipt.event("Withdrawn").args == {
        "account": account,
        "to": gateway.address,
        "amount": amount,
        "cash": cash,
    }
    assert receipt.event("Bridged").args == bridged(calm, HOME, amount)
    assert (calm.cash(account), calm.token.totalSupply()) == (cash, supply - amount)
    check_tokens(calm)


def test_withdraw__all__is_what_is_withdrawable(calm: Core) -> None:
    account = calm.trader("owner", 10)
    calm.post(account, 5)  # less than a unit of the token
    assert gateway_of(calm).withdraw(account, ALL, HOME, sender=OWNER).value == calm.amount(10)
    assert calm.cash(account) == 5
    with reverts("MarginVault_ZeroAmount"):
        gateway_of(calm).withdraw(account, ALL, HOME, sender=OWNER)


def test_withdraw__more_than_is_withdrawable__is_refused(calm: Core) -> None:
    account = calm.trader("owner", 10)
    with reverts("MarginVault_InsufficientMargin", calm.amount(10), calm.amount(10) + 1):
        gateway_of(calm).withdraw(account, calm.amount(10) + 1, HOME, sender=OWNER)
    with reverts("MarginVault_ZeroAmount"):
        gateway_of(calm).withdraw(account, 0, HOME, sender=OWNER)


def test_withdraw__to_nobody__is_refused(calm: Core) -> None:
    account = calm.trader("owner", 10)
    with reverts("L2Gateway_InvalidRecipient", ZERO_ADDRESS):
        gateway_of(calm).withdraw(account, 1, ZERO_ADDRESS, sender=OWNER)


@pytest.mark.parametrize("name", ["owner", "pool", "fund"])
def test_withdraw__by_another__is_refused(calm: Core, name: str) -> None:
    """Nor can an owner without agent be taken for one whose agent is the zero address."""
    owners = {"owner": OWNER, "pool": calm.pool.address, "fund": calm.fund.address}
    account = account_id(owners[name])
    for caller in (ANYONE, calm.vault.address, calm.order_book.address, aliased(ZERO_ADDRESS)):
        with reverts("L2Gateway_NotPermitted", account, caller):
            gateway_of(calm).withdraw(account, 1, HOME, sender=caller)


def test_withdraw__by_the_treasury__is_open(calm: Core) -> None:
    calm.post(account_id(TREASURY), 5 * WAD)
    assert gateway_of(calm).withdraw(account_id(TREASURY), ALL, HOME, sender=TREASURY).value == calm.amount(5)


def test_withdraw__with_a_position__keeps_initial_margin(core: Core) -> None:
    account = core.trader("owner", 10_000)
    core.open(account, ETH, 10 * WAD)
    free = core.vault.withdrawable(account)
    assert 0 < free < core.amount(10_000)
    with reverts("MarginVault_InsufficientMargin", free, free + 1):
        gateway_of(core).withdraw(account, free + 1, HOME, sender=OWNER)
    assert gateway_of(core).withdraw(account, ALL, HOME, sender=OWNER).value == free
    check_tokens(core)


def test_withdraw__stale_price_of_a_market_it_holds__is_refused(core: Core) -> None:
    account = core.trader("owner", 50_000)
    core.open(account, BTC, WAD)
    published = core.evm.timestamp
    core.evm.advance(16)
    for amount in (1, ALL):
        with reverts("PerpMarket_StalePrice", BTC, published):
            gateway_of(core).withdraw(account, amount, HOME, sender=OWNER)


# --- the agent ---


@pytest.mark.parametrize("is_contract", [False, True])
def test_withdraw__by_the_agent__to_his_own_l1_address_only(calm: Core, is_contract: bool) -> None:
    """RG-05: the owner's own address may be nobody's on L1, the agent's is the one that he named for it."""
    account = calm.trader("owner", 10)
    appoint(calm, OWNER, is_contract=is_contract)
    caller = aliased(AGENT) if is_contract else AGENT
    for to in (HOME, OWNER, ZERO_ADDRESS, aliased(AGENT)):
        with reverts("L2Gateway_InvalidRecipient", to):
            gateway_of(calm).withdraw(account, 1, to, sender=caller)
    receipt = gateway_of(calm).withdraw(account, ALL, AGENT, sender=caller)
    assert receipt.event("Bridged").args == bridged(calm, AGENT, calm.amount(10))
    check_tokens(calm)


@pytest.mark.parametrize("is_contract", [False, True])
def test_withdraw__by_the_agents_namesake__is_refused(calm: Core, is_contract: bool) -> None:
    """A contract of L1 has no say under its own address here, where anybody may have deployed another at it."""
    account = calm.trader("owner", 10)
    appoint(calm, OWNER, is_contract=is_contract)
    namesake = AGENT if is_contract else aliased(AGENT)
    with reverts("L2Gateway_NotPermitted", account, namesake):
        gateway_of(calm).withdraw(account, 1, AGENT, sender=namesake)


def test_withdraw__by_anothers_agent__is_refused(calm: Core) -> None:
    account = calm.trader("owner", 10)
    appoint(calm, actor("other"))
    with reverts("L2Gateway_NotPermitted", account, AGENT):
        gateway_of(calm).withdraw(account, 1, AGENT, sender=AGENT)


def test_withdraw__alias_beyond_the_last_address__wraps_around(calm: Core) -> None:
    """As the portal's sum does."""
    agent = "0x" + "ff" * 20
    account = calm.trader("owner", 10)
    appoint(calm, OWNER, agent, is_contract=True)
    caller = aliased(agent)
    assert int(caller, 16) == 0x1111000000000000000000000000000000001110
    gateway_of(calm).withdraw(account, ALL, agent, sender=caller)
    assert calm.cash(account) == 0


def test_withdraw__gateways_word_at_the_vault__nobody_else_has_it(calm: Core) -> None:
    """MV-02: owner and gateway, and not the other rooms, nor an agent by himself."""
    account = calm.trader("owner", 10)
    appoint(calm, OWNER)
    for caller in (AGENT, calm.order_book.address, calm.market.address, ANYONE):
        with reverts("MarginVault_NotOwner", account, caller):
            calm.vault.withdraw(account, 1, caller, sender=caller)
    with reverts("MarginVault_NotOwner", account, gateway_of(calm).address):
        calm.vault.transfer(account, account_id(owner_of(account), 0, 1), 1, sender=gateway_of(calm))
