"""Who may act for an account: its owner, and delegates within a scope and a daily budget."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from plimsoll.core.orders import Scope
from plimsoll.core.units import SECONDS_PER_DAY, WAD
from plimsoll.risk.commitments import (
    SPENT,
    is_owner,
    pay_relayer,
    require_counter,
    require_owner,
    require_owners_word,
    require_unused,
)
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import Delegation, OrderRecord, State

MIN_BUDGET_USE = 1_000
"""Whole dollars that any use counts for at least."""


class Grant(NamedTuple):
    """What an owner signs to set a scope. relay_fee: WAD dollars."""

    account: int
    delegate: int
    scope: Scope
    salt: int
    relay_fee: int


GrantHash = Callable[[Grant], Hashable]


def set_delegate(state: State, sender: int, account: int, delegate: int, scope: Scope) -> None:
    """Set a scope and forget what was used of the last one."""
    require_owner(account, sender)
    _set(state, account, delegate, scope)


def set_delegate_for(state: State, now: int, relayer: int, grant: Grant, key: Hashable, signer: int | None) -> None:
    """As `set_delegate`, on the owner's signature, which is spent."""
    require_owners_word(grant.account, signer)
    require_counter(state, grant.account, grant.salt)
    require_unused(state, key)
    state.journal.put(state.orders, key, OrderRecord(SPENT))
    _set(state, grant.account, grant.delegate, grant.scope)
    pay_relayer(state, now, relayer, grant.account, grant.relay_fee)


def require_permitted(state: State, now: int, account: int, caller: int | None, market_id: int) -> None:
    """The owner, or a delegate whose scope is in force in the market."""
    if not is_owner(account, caller) and _scope_in_force(state, now, account, caller, market_id) is None:
        raise Refusal("OrderBook_NotPermitted", account, caller or 0)


def require_may_match(state: State, now: int, account: int, caller: int | None, market_id: int) -> None:
    """As `require_permitted`, for matches."""
    if is_owner(account, caller):
        return
    scope = _scope_in_force(state, now, account, caller, market_id)
    if scope is None or not scope.may_match:
        raise Refusal("OrderBook_NotPermitted", account, caller or 0)


def use_for_take_over(state: State, now: int, account: int, caller: int, market_id: int, size: int) -> None:
    """A take-over of |base| = size into the account: the owner's, or out of a delegate's budget."""
    if is_owner(account, caller):
        return
    scope = _scope_in_force(state, now, account, caller, market_id)
    if scope is None or not scope.may_take_over:
        raise Refusal("OrderBook_NotPermitted", account, caller)
    use_budget(state, now, account, caller, market_id, size)


def use_budget(state: State, now: int, account: int, caller: int | None, market_id: int, size: int) -> None:
    """Count |base| = size of a delegate's; an owner has no budget."""
    if caller is None or is_owner(account, caller):
        return
    market = state.markets.get(market_id)
    if market is None or market.newest is None:
        raise Refusal("OrderBook_NoPrice", market_id)
    notional = -(-size * market.newest.price // WAD)
    wanted = max(-(-notional // WAD), MIN_BUDGET_USE)
    found = state.delegations[account, caller]
    used = used_today(found, now)
    left = max(0, found.scope.daily_budget - used)
    if wanted > left:
        raise Refusal("OrderBook_BudgetExceeded", account, caller, left, wanted)
    changed = found._replace(day=now // SECONDS_PER_DAY, used=used + wanted)
    state.journal.put(state.delegations, (account, caller), changed)


def used_today(delegation: Delegation, now: int) -> int:
    """Whole dollars."""
    return delegation.used if delegation.day == now // SECONDS_PER_DAY else 0


def _scope_in_force(state: State, now: int, account: int, caller: int | None, market_id: int) -> Scope | None:
    found = state.delegations.get((account, caller or 0))
    if found is None or not found.scope.covers(market_id, now):
        return None
    return found.scope


def _set(state: State, account: int, delegate: int, scope: Scope) -> None:
    if not delegate:
        raise Refusal("OrderBook_InvalidTerms", "delegate")
    state.journal.put(state.delegations, (account, delegate), Delegation(scope))
