"""What orders and signatures of all kinds share: hashes spent for ever, an account's counter, the relayer's fee."""

from __future__ import annotations

from collections.abc import Hashable

from plimsoll.core import ids
from plimsoll.core.orders import COUNTER_SHIFT
from plimsoll.core.units import WAD
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord, State

QUEUED, WAITING, MATCHING, FILLED, SPENT = range(1, 6)
"""Status of an order; 0 for one that was never seen."""

MAX_RELAY_FEE = 10 * WAD

NEVER_SEEN = OrderRecord(0)


def is_owner(account: int, caller: int | None) -> bool:
    """Whether that address, None or 0 for nobody, owns the account."""
    return bool(caller) and account >> 96 == caller


def record_of(state: State, key: Hashable) -> OrderRecord:
    """What is known of an order."""
    return state.orders.get(key, NEVER_SEEN)


def require_unused(state: State, key: Hashable) -> None:
    if record_of(state, key).status:
        raise Refusal("OrderBook_AlreadyUsed", key)


def require_counter(state: State, account: int, salt: int) -> None:
    """The salt carries the account's present counter."""
    counter = state.counters.get(account, 0)
    if salt >> COUNTER_SHIFT != counter:
        raise Refusal("OrderBook_WrongCounter", account, counter)


def cancel_all(state: State, sender: int, account: int) -> None:
    """End all of an account's orders that are not queued."""
    require_owner(account, sender)
    _bump(state, account)


def cancel_all_for(
    state: State, now: int, relayer: int, account: int, counter: int, relay_fee: int, signer: int | None
) -> None:
    """As `cancel_all`, on the owner's signature; `counter` is the new one."""
    require_owners_word(account, signer)
    present = state.counters.get(account, 0)
    if counter != present + 1:
        raise Refusal("OrderBook_WrongCounter", account, present)
    _bump(state, account)
    pay_relayer(state, now, relayer, account, relay_fee)


def require_owner(account: int, caller: int) -> None:
    if not is_owner(account, caller):
        raise Refusal("OrderBook_NotPermitted", account, caller)


def require_owners_word(account: int, signer: int | None) -> None:
    """What was signed is signed by the account's owner."""
    if not is_owner(account, signer):
        raise Refusal("OrderBook_BadSignature", account)


def require_free(state: State, now: int, account: int, required: int, *, only_reduces: bool) -> None:
    """Fees come out of what could be withdrawn; those of an order that only reduces, of what is beyond maintenance."""
    if not required:
        return
    found = state.accounts.get(account)
    reserved = found.reserved if found else 0
    if found is None or not found.markets:
        free = state.cash_of(account) - reserved
    elif only_reduces:
        equity, maintenance = state.health(account, now)
        free = equity - reserved - maintenance
    else:
        state.require_fresh(account, now)
        margin = state.free(account, now)
        free = margin.available - margin.required
    if free < required:
        raise Refusal("OrderBook_InsufficientCash", free, required)


def pay_relayer(state: State, now: int, relayer: int, account: int, relay_fee: int) -> None:
    """The fee that the owner signed, out of what is free, to the relayer's main account."""
    if relay_fee > MAX_RELAY_FEE:
        raise Refusal("OrderBook_InvalidTerms", "relayFee")
    require_free(state, now, account, relay_fee, only_reduces=False)
    state.credit(account, -relay_fee)
    state.credit(ids.pack(relayer), relay_fee)


def _bump(state: State, account: int) -> None:
    state.journal.put(state.counters, account, state.counters.get(account, 0) + 1)
