"""Delegates: scopes, budgets, and the signatures that set them."""

from __future__ import annotations

import pytest

from plimsoll.core.orders import NO_SCOPE, Order, OrderKind, Scope
from plimsoll.core.units import WAD
from plimsoll.risk.delegates import Grant
from plimsoll.risk.protocol import Protocol
from tests.python.risk.setting import (
    ACCOUNT,
    BTC,
    ETH,
    KEEPER,
    KEEPER_ACCOUNT,
    NOW,
    OTHER,
    PARAMS,
    TRADER,
    deployed,
    refused,
    set_price,
)  # fmt: skip

BOT = 0x4001
LIMIT = Order(ACCOUNT, ETH, OrderKind.LIMIT, 10 * WAD, 2**200, salt=1)
STOP = LIMIT._replace(kind=OrderKind.STOP_LOSS, trigger_price=1)
SCOPE = Scope(markets=1, until=NOW + 100, daily_budget=25_000)
TODAY = NOW // 86_400
TOMORROW = (TODAY + 1) * 86_400


def delegated(scope: Scope = SCOPE) -> Protocol:
    """The bot may trade the first of two markets for the trader."""
    protocol = deployed(PARAMS, PARAMS)
    protocol.set_delegate(ACCOUNT, BOT, scope, sender=TRADER)
    return protocol


def place(protocol: Protocol, order: Order, now: int = NOW, sender: int = BOT) -> None:
    protocol.place(order, now=now, sender=sender)


def test_place__delegate__in_force_to_the_last_second_and_in_its_markets():
    protocol = delegated()
    for order, now in ((LIMIT, NOW + 101), (LIMIT._replace(market_id=BTC), NOW), (LIMIT._replace(market_id=0), NOW)):
        with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
            place(protocol, order, now)
    place(protocol, LIMIT, NOW + 100)
    protocol.set_delegate(ACCOUNT, BOT, NO_SCOPE, sender=TRADER)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
        place(protocol, LIMIT._replace(salt=2))


def test_place__delegate_of_another_account__refused():
    protocol = delegated()
    with refused(protocol, "OrderBook_NotPermitted", LIMIT.account + 1, BOT):
        place(protocol, LIMIT._replace(account=LIMIT.account + 1))


def test_place__delegates_budget__one_wei_on_both_sides():
    """The notional is rounded up to wei, then to dollars."""
    protocol = delegated()
    place(protocol, LIMIT)
    assert protocol.delegation(ACCOUNT, BOT, NOW) == (SCOPE, 10_000)
    with refused(protocol, "OrderBook_BudgetExceeded", ACCOUNT, BOT, 15_000, 15_001):
        place(protocol, LIMIT._replace(base=-15 * WAD - 1, salt=2))
    place(protocol, LIMIT._replace(base=-15 * WAD, salt=2))
    with refused(protocol, "OrderBook_BudgetExceeded", ACCOUNT, BOT, 0, 1_000):
        place(protocol, LIMIT._replace(base=1, salt=3))
    place(protocol, LIMIT._replace(base=1_000 * WAD, salt=3), sender=TRADER)


def test_place__delegates_dust__counts_for_a_thousand_dollars():
    protocol = delegated()
    place(protocol, LIMIT._replace(base=1))
    assert protocol.delegation(ACCOUNT, BOT, NOW)[1] == 1_000


def test_place__next_day__budget_is_whole_again():
    protocol = delegated(SCOPE._replace(until=TOMORROW))
    place(protocol, LIMIT, TOMORROW - 1)
    assert protocol.delegation(ACCOUNT, BOT, TOMORROW - 1)[1] == 10_000
    assert protocol.delegation(ACCOUNT, BOT, TOMORROW)[1] == 0
    place(protocol, LIMIT._replace(base=25 * WAD, salt=2), TOMORROW)
    assert protocol.delegation(ACCOUNT, BOT, TOMORROW)[1] == 25_000


def test_place__new_scope__forgets_what_was_used():
    protocol = delegated()
    place(protocol, LIMIT)
    protocol.set_delegate(ACCOUNT, BOT, SCOPE._replace(daily_budget=10_000), sender=TRADER)
    place(protocol, LIMIT._replace(salt=2))


def test_place__delegate_and_no_price__refused_for_any_kind():
    protocol = Protocol()
    protocol.list_market(WAD, PARAMS, now=NOW)
    protocol.set_delegate(ACCOUNT, BOT, SCOPE, sender=TRADER)
    with refused(protocol, "OrderBook_NoPrice", ETH):
        place(protocol, LIMIT)


def test_placeFor__delegates_signature__uses_his_budget():
    protocol = delegated()
    protocol.place_for(STOP, BOT, now=NOW, sender=KEEPER)
    assert protocol.delegation(ACCOUNT, BOT, NOW)[1] == 10_000
    assert protocol.cash_of(KEEPER_ACCOUNT) == WAD // 10


def test_cancel__delegate__needs_scope_but_no_budget():
    protocol = delegated(SCOPE._replace(daily_budget=0))
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
        protocol.cancel(LIMIT, now=NOW + 101, sender=BOT)
    protocol.cancel(LIMIT, now=NOW, sender=BOT)
    with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, BOT):
        protocol.cancel_all(ACCOUNT, sender=BOT)


def test_setDelegate__not_the_owner_or_nobody__refused():
    protocol = delegated()
    for sender in (OTHER, BOT):
        with refused(protocol, "OrderBook_NotPermitted", ACCOUNT, sender):
            protocol.set_delegate(ACCOUNT, sender, SCOPE, sender=sender)
    with refused(protocol, "OrderBook_InvalidTerms", "delegate"):
        protocol.set_delegate(ACCOUNT, 0, SCOPE, sender=TRADER)


def test_setDelegateFor__owners_signature__is_spent():
    protocol = deployed()
    grant = Grant(ACCOUNT, BOT, SCOPE, 7, WAD)
    for signer in (None, BOT):
        with refused(protocol, "OrderBook_BadSignature", ACCOUNT):
            protocol.set_delegate_for(grant, signer, now=NOW, sender=KEEPER)
    protocol.set_delegate_for(grant, TRADER, now=NOW, sender=KEEPER)
    assert protocol.delegation(ACCOUNT, BOT, NOW) == (SCOPE, 0)
    assert protocol.cash_of(KEEPER_ACCOUNT) == WAD
    protocol.set_delegate(ACCOUNT, BOT, NO_SCOPE, sender=TRADER)
    with refused(protocol, "OrderBook_AlreadyUsed", grant):
        protocol.set_delegate_for(grant, TRADER, now=NOW, sender=KEEPER)
    protocol.cancel_all(ACCOUNT, sender=TRADER)
    with refused(protocol, "OrderBook_WrongCounter", ACCOUNT, 1):
        protocol.set_delegate_for(grant, TRADER, now=NOW, sender=KEEPER)
    protocol.check_sums(NOW)


@pytest.mark.parametrize(
    ("grant", "error"),
    [
        (Grant(ACCOUNT, BOT, SCOPE, 1 << 128, 0), ("OrderBook_WrongCounter", ACCOUNT, 0)),
        (Grant(ACCOUNT, 0, SCOPE, 0, 11 * WAD), ("OrderBook_InvalidTerms", "delegate")),
        (Grant(ACCOUNT, BOT, SCOPE, 0, 10 * WAD + 1), ("OrderBook_InvalidTerms", "relayFee")),
    ],
)
def test_setDelegateFor__terms__refused(grant, error):
    protocol = deployed()
    with refused(protocol, *error):
        protocol.set_delegate_for(grant, TRADER, now=NOW, sender=KEEPER)


def test_setDelegateFor__relay_fee__out_of_free_cash():
    protocol = deployed()
    protocol.state.credit(ACCOUNT, WAD - 1 - protocol.cash_of(ACCOUNT))
    with refused(protocol, "OrderBook_InsufficientCash", WAD - 1, WAD):
        protocol.set_delegate_for(Grant(ACCOUNT, BOT, SCOPE, 0, WAD), TRADER, now=NOW, sender=KEEPER)
    protocol.set_delegate_for(Grant(ACCOUNT, BOT, SCOPE, 0, WAD - 1), TRADER, now=NOW, sender=KEEPER)
    assert protocol.cash_of(ACCOUNT) == 0


def test_place__delegates_budget__is_at_the_newest_price():
    protocol = delegated()
    set_price(protocol, 2_000 * WAD, NOW + 1)
    place(protocol, LIMIT, NOW + 1)
    assert protocol.delegation(ACCOUNT, BOT, NOW + 1)[1] == 20_000
