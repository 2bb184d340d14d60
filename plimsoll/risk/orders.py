"""On-chain orders: placing and cancelling, by the owner, a delegate, or anyone on a signature."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from plimsoll.core import ids
from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.risk.commitments import (
    FILLED,
    QUEUED,
    SPENT,
    WAITING,
    pay_relayer,
    record_of,
    require_counter,
    require_free,
    require_owners_word,
    require_unused,
)
from plimsoll.risk.delegates import require_permitted, use_budget
from plimsoll.risk.market import Market
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord, State

MAX_SIZE = 2**96 - 1

OrderHash = Callable[[Order], Hashable]


def place(state: State, now: int, sender: int, order: Order, key: Hashable) -> OrderRecord:
    """Commit to an order."""
    return _place(state, now, sender, order, key, relayer=None)


def place_for(state: State, now: int, relayer: int, order: Order, key: Hashable, signer: int | None) -> OrderRecord:
    """As `place`, on a signature: the account pays the relay fee. Limit orders are signed to be matched only."""
    return _place(state, now, signer, order, key, relayer)


def cancel(state: State, now: int, sender: int, order: Order, key: Hashable) -> None:
    """End an order that is not in the queue, also one that was only signed."""
    require_permitted(state, now, order.account, sender, order.market_id)
    _cancel(state, order, key)


def cancel_for(
    state: State, now: int, relayer: int, order: Order, key: Hashable, relay_fee: int, signer: int | None
) -> None:
    """As `cancel`, on the owner's signature."""
    require_owners_word(order.account, signer)
    _cancel(state, order, key)
    pay_relayer(state, now, relayer, order.account, relay_fee)


def end(state: State, order: Order, key: Hashable, record: OrderRecord, status: int = SPENT) -> None:
    """Release what was reserved and give the record its last status."""
    release(state, order.account, record.reserved)
    state.journal.put(state.orders, key, record._replace(status=status, reserved=0))


def release(state: State, account: int, amount: int) -> None:
    """Set reserved cash free."""
    if amount:
        state.changed_account(account).reserved -= amount


def _place(state: State, now: int, caller: int | None, order: Order, key: Hashable, relayer: int | None) -> OrderRecord:
    require_permitted(state, now, order.account, caller, order.market_id)
    if not order.base:
        raise Refusal("OrderBook_ZeroSize")
    is_market = order.kind == OrderKind.MARKET
    _require_terms(order, is_relayed=relayer is not None)
    if order.expiry and now > order.expiry:
        raise Refusal("OrderBook_Expired", order.expiry)
    if not is_market or relayer is not None:
        require_counter(state, order.account, order.salt)
    require_unused(state, key)
    market = state.markets.get(order.market_id)
    if market is None:
        raise Refusal("OrderBook_NotListed", order.market_id)
    use_budget(state, now, order.account, caller, order.market_id, abs(order.base))
    params = market.order_params
    not_before = now + params.settlement_delay
    reserve = _reserve_of(order, market) if is_market else 0
    relay_fee = 0 if relayer is None else params.relay_fee
    require_free(state, now, order.account, reserve + relay_fee, only_reduces=order.reduce_only)
    if is_market:
        record = OrderRecord(QUEUED, not_before, market.queue_next, reserve, params.execution_fee)
        state.journal.save(market)
        market.queue_next += 1
        release(state, order.account, -reserve)
    else:
        record = OrderRecord(WAITING, not_before, execution_fee=params.execution_fee)
    state.journal.put(state.orders, key, record)
    if relayer is not None:
        state.credit(order.account, -relay_fee)
        state.credit(ids.pack(relayer), relay_fee)
    return record


def _require_terms(order: Order, *, is_relayed: bool) -> None:
    """The terms of an order against the pool make sense together."""
    is_market = order.kind == OrderKind.MARKET
    if abs(order.base) > MAX_SIZE:
        raise Refusal("OrderBook_InvalidTerms", "base")
    if order.time_in_force != TimeInForce.GOOD_TILL_TIME:
        raise Refusal("OrderBook_InvalidTerms", "timeInForce")
    has_trigger = order.kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT)
    if has_trigger != (order.trigger_price != 0):
        raise Refusal("OrderBook_InvalidTerms", "triggerPrice")
    if is_relayed and order.kind == OrderKind.LIMIT:
        raise Refusal("OrderBook_InvalidTerms", "kind")
    if is_market and order.parent != NO_PARENT:
        raise Refusal("OrderBook_InvalidTerms", "parent")
    if is_market and is_relayed and not order.expiry:
        raise Refusal("OrderBook_InvalidTerms", "expiry")


def _reserve_of(order: Order, market: Market) -> int:
    """What a market order sets aside: execution fee and fee reserve."""
    if market.newest is None:
        raise Refusal("OrderBook_NoPrice", order.market_id)
    value = -(-abs(order.base) * market.newest.price // WAD)
    return market.order_params.execution_fee - -value * market.order_params.fee_reserve_bps // 10_000


def _cancel(state: State, order: Order, key: Hashable) -> None:
    record = record_of(state, key)
    if record.status in (FILLED, SPENT):
        raise Refusal("OrderBook_UnknownOrder", key)
    if record.status == QUEUED:
        raise Refusal("OrderBook_NotCancellable", key)
    end(state, order, key, record)
