"""The authority: what it lists, its delays, and who can do what."""

from __future__ import annotations

import pytest

from tests.support.core import (
    ADMIN,
    ADMIN_ROLE,
    ETH,
    ETH_PARAMS,
    GUARDIAN,
    GUARDIAN_ROLE,
    LISTING,
    LISTING_ROLE,
    ORDER_CONFIG,
    RISK,
    RISK_ROLE,
    ROLES,
    WAD,
    Core,
    actor,
    deploy_core,
)
from tests.support.evm import ANYONE, Contract, Evm, reverts

DAY = 86_400
ROLE_MEMBERS = {ADMIN_ROLE: ADMIN, RISK_ROLE: RISK, GUARDIAN_ROLE: GUARDIAN, LISTING_ROLE: LISTING}


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


def call_of(core: Core) -> tuple[Contract, bytes]:
    return core.pool, core.pool.setDelays.encode((5, 5, 60))


def test_roles__after_the_deployment__are_listed_with_their_members(core: Core) -> None:
    roles = core.governance.roles()
    assert {role.id: [member.account for member in role.members] for role in roles} == {
        role: [member] for role, member in ROLE_MEMBERS.items()
    }
    assert all(role.admin == ADMIN_ROLE and role.guardian == ADMIN_ROLE and role.grantDelay == 0 for role in roles)
    assert all(member.delay == 0 and member.effect == 0 for role in roles for member in role.members)


def test_roles__delays_and_changes__are_listed(core: Core) -> None:
    second = actor("second")
    core.governance.grantRole(RISK_ROLE, second, 2 * DAY, sender=ADMIN)
    core.governance.setRoleGuardian(RISK_ROLE, GUARDIAN_ROLE, sender=ADMIN)
    core.governance.setGrantDelay(RISK_ROLE, DAY, sender=ADMIN)
    core.evm.advance(6 * DAY)  # a longer grant delay is in force after five
    core.governance.grantRole(RISK_ROLE, second, DAY, sender=ADMIN)
    third = actor("third")
    core.governance.grantRole(RISK_ROLE, third, 7 * DAY, sender=ADMIN)
    risk = next(role for role in core.governance.roles() if role.id == RISK_ROLE)
    assert (risk.guardian, risk.grantDelay) == (GUARDIAN_ROLE, DAY)
    now = core.evm.timestamp
    assert [tuple(member) for member in risk.members] == [
        (RISK, now - 6 * DAY - 60, 0, 0, 0),
        (second, now - 6 * DAY, 2 * DAY, DAY, now + DAY),  # a shorter delay is in force after the difference
        (third, now + DAY, 7 * DAY, 0, 0),
    ]
    core.governance.revokeRole(RISK_ROLE, second, sender=ADMIN)
    core.governance.renounceRole(RISK_ROLE, RISK, sender=RISK)
    risk = next(role for role in core.governance.roles() if role.id == RISK_ROLE)
    assert [member.account for member in risk.members] == [third]


def test_functions__that_a_role_may_call__are_listed(core: Core) -> None:
    listed = {(entry.target, bytes(entry.selector)): entry.role for entry in core.governance.functions()}
    wanted = {
        (getattr(core, name).address, getattr(getattr(core, name), function).selector): role
        for name, functions in ROLES.items()
        for function, role in functions.items()
    }
    assert listed == wanted
    core.governance.setTargetFunctionRole(core.pool, [core.pool.setDelays.selector], ADMIN_ROLE, sender=ADMIN)
    entry = next(
        entry
        for entry in core.governance.functions()
        if entry.target == core.pool.address and bytes(entry.selector) == core.pool.setDelays.selector
    )
    assert entry.role == ADMIN_ROLE


# --- delays ---


def test_scheduled__until_it_is_executed__is_listed_and_waits(core: Core) -> None:
    core.governance.grantRole(RISK_ROLE, RISK, 2 * DAY, sender=ADMIN)
    target, data = call_of(core)
    with reverts("AccessManagerNotScheduled", core.governance.hashOperation(RISK, target, data)):
        core.pool.setDelays((5, 5, 60), sender=RISK)
    receipt = core.governance.schedule(target, data, 0, sender=RISK)
    operation, nonce = receipt.value
    assert nonce == 1
    ready = core.evm.timestamp + 2 * DAY
    (waiting,) = core.governance.scheduled()
    assert tuple(waiting) == (operation, RISK, target.address, ready, data)

    core.evm.advance(2 * DAY - 1)
    with reverts("AccessManagerNotReady", operation):
        core.governance.execute(target, data, sender=RISK)
    core.evm.advance(1)
    core.governance.execute(target, data, sender=RISK)
    assert tuple(core.pool.delays()) == (5, 5, 60)
    assert len(core.governance.scheduled()) == 0


def test_scheduled__called_at_the_target_itself__is_forgotten_too(core: Core) -> None:
    core.governance.grantRole(RISK_ROLE, RISK, DAY, sender=ADMIN)
    core.governance.schedule(*call_of(core), 0, sender=RISK)
    core.evm.advance(DAY)
    core.pool.setDelays((5, 5, 60), sender=RISK)
    assert len(core.governance.scheduled()) == 0


def test_scheduled__expired__is_left_out_and_may_be_scheduled_again(core: Core) -> None:
    core.governance.grantRole(RISK_ROLE, RISK, DAY, sender=ADMIN)
    core.governance.schedule(*call_of(core), 0, sender=RISK)
    core.evm.advance(DAY + core.governance.expiration())
    assert len(core.governance.scheduled()) == 0
    core.governance.schedule(*call_of(core), 0, sender=RISK)
    (waiting,) = core.governance.scheduled()
    assert waiting.readyAt == core.evm.timestamp + DAY


@pytest.mark.parametrize("by", [RISK, ADMIN])
def test_cancel__by_its_caller_or_the_admin__is_forgotten(core: Core, by: str) -> None:
    core.governance.grantRole(RISK_ROLE, RISK, DAY, sender=ADMIN)
    target, data = call_of(core)
    core.governance.schedule(target, data, 0, sender=RISK)
    with reverts("AccessManagerUnauthorizedCancel", ANYONE, RISK, target, core.pool.setDelays.selector):
        core.governance.cancel(RISK, target, data, sender=ANYONE)
    core.governance.cancel(RISK, target, data, sender=by)
    assert len(core.governance.scheduled()) == 0
    core.evm.advance(DAY)
    with reverts("AccessManagerNotScheduled", core.governance.hashOperation(RISK, target, data)):
        core.pool.setDelays((5, 5, 60), sender=RISK)


# --- who can do what ---


def test_updateAuthority__of_any_target__is_refused(core: Core) -> None:
    """An admin who could hand the core to a manager without delays would have none."""
    for name in ("configurator", "order_book", "liquidator", "pool", "fund"):
        target = getattr(core, name)
        with reverts("Governance_AuthorityFixed", target):
            core.governance.updateAuthority(target, ANYONE, sender=ADMIN)
        with reverts("AccessManagedUnauthorized", ADMIN):
            target.setAuthority(ANYONE, sender=ADMIN)
        assert target.authority() == core.governance.address


@pytest.mark.parametrize("role", sorted(ROLE_MEMBERS))
def test_roles__each__may_call_its_functions_and_no_others(core: Core, role: int) -> None:
    calls = {
        ("configurator", "listMarket"): (3, WAD, ETH_PARAMS),
        ("configurator", "setParams"): (ETH, ETH_PARAMS),
        ("configurator", "haltOpening"): (ETH, core.evm.timestamp + DAY),
        ("configurator", "resumeOpening"): (ETH,),
        ("order_book", "setOrderConfig"): (ETH, ORDER_CONFIG),
        ("liquidator", "setGasMarket"): (ETH,),
        ("pool", "setDelays"): ((5, 5, 60),),
        ("pool", "setWeights"): ([10_000, 0],),
        ("pool", "moveCapital"): (1, 2, 1),
        ("fund", "setDelays"): ((5, 5, 60),),
    }
    assert set(calls) == {(name, function) for name, functions in ROLES.items() for function in functions}
    member = ROLE_MEMBERS[role]
    for (name, function), args in calls.items():
        method = getattr(getattr(core, name), function)
        with core.evm.isolated():
            if ROLES[name][function] == role:
                method(*args, sender=member)
            else:
                with reverts("AccessManagedUnauthorized", member):
                    method(*args, sender=member)


def test_guardian__halts_opening_only__and_nobody_is_locked_in(core: Core) -> None:
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 10 * WAD)
    core.halt(ETH, 7 * DAY)
    core.close(trader, ETH)
    core.vault.withdraw(trader, core.vault.withdrawable(trader), actor("trader"), sender=actor("trader"))
    for call in (
        lambda: core.governance.grantRole(RISK_ROLE, GUARDIAN, 0, sender=GUARDIAN),
        lambda: core.governance.setTargetFunctionRole(
            core.pool, [core.pool.setWeights.selector], GUARDIAN_ROLE, sender=GUARDIAN
        ),
        lambda: core.governance.setTargetClosed(core.pool, True, sender=GUARDIAN),
    ):
        with reverts("AccessManagerUnauthorizedAccount", GUARDIAN, ADMIN_ROLE):
            call()


def test_closed_target__stops_no_user(core: Core) -> None:
    """The admin's switch closes restricted functions; money goes in and out as before."""
    for name in ("configurator", "order_book", "liquidator", "pool", "fund"):
        core.governance.setTargetClosed(getattr(core, name), True, sender=ADMIN)
    trader = core.trader("trader", 100_000)
    core.open(trader, ETH, 10 * WAD)
    core.close(trader, ETH)
    core.vault.withdraw(trader, core.vault.withdrawable(trader), actor("trader"), sender=actor("trader"))
    core.check_sums()
