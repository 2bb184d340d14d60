"""L2Gateway: the L1 address that acts for an owner; it cancels, reduces and withdraws to itself, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.core.orders import NO_SCOPE
from tests.support.core import ETH, LIMIT_ORDER, STOP_LOSS, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import ANYONE, ZERO_ADDRESS, Evm, reverts
from tests.support.signed import Signed, key_of
from tests.unit.rollup.steps import AGENT, aliased, appoint, gateway_of

OWNER = actor("owner")


@pytest.fixture
def account(core: Core) -> int:
    """Long 2 ETH."""
    found = core.trader("owner", 10_000)
    core.open(found, ETH, 2 * WAD)
    return found


def exit_order(core: Core, account: int, base: int = -2 * WAD, **options: Any) -> dict[str, Any]:
    return core.order(account, ETH, base, **{"reduce_only": True, **options})


def test_set_agent__again_and_nobody__the_last_counts(core: Core, account: int) -> None:
    """RG-05"""
    gateway = gateway_of(core)
    receipt = appoint(core, OWNER, is_contract=True)
    assert receipt.event("AgentSet").args == {"owner": OWNER, "agent": (AGENT, True)}
    assert tuple(gateway.agentOf(OWNER)) == (AGENT, True)
    appoint(core, OWNER)
    with reverts("L2Gateway_NotPermitted", account, aliased(AGENT)):
        gateway.cancelAll(account, sender=aliased(AGENT))
    gateway.cancelAll(account, sender=AGENT)
    appoint(core, OWNER, ZERO_ADDRESS)
    with reverts("L2Gateway_NotPermitted", account, AGENT):
        gateway.cancelAll(account, sender=AGENT)
    assert tuple(gateway.agentOf(actor("other"))) == (ZERO_ADDRESS, False)


@pytest.mark.parametrize("is_contract", [False, True])
def test_place__reduce_only_by_the_agent__closes_the_position(core: Core, account: int, is_contract: bool) -> None:
    appoint(core, OWNER, is_contract=is_contract)
    order = exit_order(core, account)
    receipt = gateway_of(core).place(order, sender=aliased(AGENT) if is_contract else AGENT)
    assert receipt.value == core.order_book.hashOf(order)
    assert receipt.event("OrderPlaced")["account"] == account
    core.settle(order).event("OrderExecuted")
    assert core.market.position(account, ETH)[0] == 0
    core.check_sums()


def test_place__that_could_increase__is_refused(core: Core, account: int) -> None:
    appoint(core, OWNER)
    for base in (2 * WAD, -2 * WAD):
        with reverts("L2Gateway_NotReduceOnly", account):
            gateway_of(core).place(core.order(account, ETH, base), sender=AGENT)


def test_place__by_anyone_even_the_owner__is_the_agents_only(core: Core, account: int) -> None:
    appoint(core, OWNER)
    for caller in (ANYONE, OWNER, aliased(AGENT)):
        with reverts("L2Gateway_NotPermitted", account, caller):
            gateway_of(core).place(exit_order(core, account), sender=caller)


def test_place__in_every_account_of_the_owner__and_no_others(core: Core, account: int) -> None:
    appoint(core, OWNER)
    second, others = core.trader("owner", 100, index=1), core.trader("other", 10_000)
    gateway_of(core).place(exit_order(core, second, kind=LIMIT_ORDER), sender=AGENT)
    with reverts("L2Gateway_NotPermitted", others, AGENT):
        gateway_of(core).place(exit_order(core, others), sender=AGENT)


def test_cancel__a_waiting_order__by_the_agent(core: Core, account: int) -> None:
    appoint(core, OWNER)
    order = exit_order(core, account, kind=STOP_LOSS, trigger=2_000 * WAD)
    core.place(order)
    for caller in (ANYONE, aliased(AGENT)):
        with reverts("L2Gateway_NotPermitted", account, caller):
            gateway_of(core).cancel(order, sender=caller)
    receipt = gateway_of(core).cancel(order, sender=AGENT)
    assert receipt.event("OrderCancelled").args == {"hash": core.order_book.hashOf(order), "account": account}


def test_cancel__a_queued_market_order__is_refused_as_ever(core: Core, account: int) -> None:
    appoint(core, OWNER)
    order = core.order(account, ETH, WAD)
    core.place(order)
    with reverts("OrderBook_NotCancellable", core.order_book.hashOf(order)):
        gateway_of(core).cancel(order, sender=AGENT)


def test_cancel_all__by_the_agent__ends_what_was_signed(core: Core, account: int) -> None:
    appoint(core, OWNER)
    receipt = gateway_of(core).cancelAll(account, sender=AGENT)
    assert receipt.event("AllCancelled").args == {"account": account, "counter": 1}
    with reverts("L2Gateway_NotPermitted", account, ANYONE):
        gateway_of(core).cancelAll(account)


def test_agent__at_the_order_book_itself__is_nobody(core: Core) -> None:
    """His rights are those that the gateway checks; neither his call nor his signature counts elsewhere."""
    signed = Signed(core)
    agent = signed.know("agent key")
    account = core.trader("owner", 10_000)
    core.open(account, ETH, 2 * WAD)
    appoint(core, OWNER, agent)
    book, order = core.order_book, exit_order(core, account, expiry=core.evm.timestamp + 60)
    with reverts("OrderBook_NotPermitted", account, agent):
        book.place(order, sender=agent)
    with reverts("OrderBook_NotPermitted", account, agent):
        book.cancelAll(account, sender=agent)
    with reverts("OrderBook_NotPermitted", account, agent):
        book.setDelegate(account, agent, NO_SCOPE, sender=agent)
    with reverts("OrderBook_NotPermitted", account, agent):
        book.placeFor(order, signed.order(order, key_of("agent key")))


def test_agent__of_an_account_with_owner_zero__does_not_exist(core: Core) -> None:
    with reverts("L2Gateway_NotPermitted", 0, ANYONE):
        gateway_of(core).cancelAll(0)
    with reverts("L2Gateway_NotPermitted", account_id(ZERO_ADDRESS), aliased(ZERO_ADDRESS)):
        gateway_of(core).cancelAll(0, sender=aliased(ZERO_ADDRESS))


def test_place_for__signed_by_nobody_where_there_is_no_gateway__is_refused(evm: Evm) -> None:
    """Such a signature recovers to the zero address, which is what stands for "no gateway" on other chains."""
    core = deploy_core(evm)
    account = core.trader("owner", 10_000)
    order = exit_order(core, account, expiry=core.evm.timestamp + 60)
    with reverts("OrderBook_NotPermitted", account, ZERO_ADDRESS):
        core.order_book.placeFor(order, b"\0" * 65)
