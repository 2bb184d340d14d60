"""On-chain orders: commitments, the queue of market orders, and who pays whom when one fails."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record, settlement_record
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord, State
from plimsoll.risk.trade import Trade, trade

KIND_MARKET, KIND_LIMIT = 0, 1

PENDING, WAITING, SPENT = 1, 2, 3


class Order(NamedTuple):
    """What an owner wants: base is signed WAD, expiry Unix seconds or 0."""

    account: int
    market_id: int
    kind: int
    base: int
    acceptable_price: int
    reduce_only: bool
    expiry: int
    salt: int


class Outcome(NamedTuple):
    """How an execution ended: "filled", "failed" (with the reason), "void", "waiting", or "skipped" by a batch."""

    status: str
    trade: Trade | None = None
    reason: Refusal | None = None


OrderHash = Callable[[Order], Hashable]


def place(state: State, now: int, sender: int, order: Order, key: Hashable) -> OrderRecord:
    """Commit to an order."""
    if order.account >> 96 != sender:
        raise Refusal("OrderBook_NotOwner", order.account, sender)
    if not order.base:
        raise Refusal("OrderBook_ZeroSize")
    if order.expiry and order.kind == KIND_MARKET:
        raise Refusal("OrderBook_ExpiryNotAllowed")
    if order.expiry and now > order.expiry:
        raise Refusal("OrderBook_Expired", order.expiry)
    if key in state.orders:
        raise Refusal("OrderBook_AlreadyUsed", key)
    market = state.markets.get(order.market_id)
    if market is None:
        raise Refusal("OrderBook_NotListed", order.market_id)
    params = market.order_params
    not_before = now + params.settlement_delay
    if order.kind != KIND_MARKET:
        record = OrderRecord(WAITING, not_before, 0, 0, params.execution_fee)
    else:
        record = OrderRecord(
            PENDING, not_before, market.queue_next, _reserve(state, now, order, market), params.execution_fee
        )
        state.journal.save(market)
        market.queue_next += 1
    state.journal.put(state.orders, key, record)
    return record


def cancel(state: State, now: int, sender: int, order: Order, key: Hashable) -> None:
    """Take back an order that is not in the queue."""
    if order.account >> 96 != sender:
        raise Refusal("OrderBook_NotOwner", order.account, sender)
    record = _known(state, key)
    if record.status == PENDING:
        raise Refusal("OrderBook_NotCancellable", key)
    _spend(state, order, key, record)


def execute(state: State, now: int, sender: int, order: Order, key: Hashable) -> Outcome:
    """Settle an order; anyone may ask."""
    record = _known(state, key)
    market = state.markets[order.market_id]
    keeper = ids.pack(sender)
    if record.status == PENDING:
        return _execute_market(state, now, keeper, order, key, record, market)
    newest = market.newest
    window = market.order_params.settlement_window
    if newest is None or now - newest.published_at > window or newest.published_at < record.not_before:
        raise Refusal("OrderBook_NoRecord", record.not_before)
    if order.expiry and now > order.expiry:
        raise Refusal("OrderBook_Expired", order.expiry)
    if not order.reduce_only and market.queue_head != market.queue_next:
        raise Refusal("OrderBook_MarketOrdersPending", order.market_id)
    done = _trade(state, now, keeper, order, record, newest)
    state.journal.put(state.orders, key, record._replace(status=SPENT, reserved=0))
    return Outcome("filled", done)


def _execute_market(
    state: State, now: int, keeper: int, order: Order, key: Hashable, record: OrderRecord, market: Market
) -> Outcome:
    if record.sequence != market.queue_head:
        raise Refusal("OrderBook_NotNext", record.sequence, market.queue_head)
    window = market.order_params.settlement_window
    first = settlement_record(market.records, market.newest, record.not_before)
    if first is None and now <= record.not_before + 2 * window:
        raise Refusal("OrderBook_NoRecord", record.not_before)
    state.journal.save(market)
    market.queue_head += 1
    if first is None or first.published_at > record.not_before + window:
        if order.reduce_only:
            state.journal.put(state.orders, key, record._replace(status=WAITING))
            return Outcome("waiting")
        _spend(state, order, key, record)
        _pay(state, order.account, (keeper, record.execution_fee))
        return Outcome("void")
    point = state.journal.begin()
    try:
        done = _trade(state, now, keeper, order, record, first)
    except Refusal as reason:
        state.journal.rollback(point)
        _spend(state, order, key, record)
        forfeit = record.reserved - record.execution_fee if reason.name == "PerpMarket_InsufficientMargin" else 0
        _pay(state, order.account, (keeper, record.execution_fee), (state.fund_account, forfeit))
        return Outcome("failed", reason=reason)
    except BaseException:
        state.journal.rollback(point)
        raise
    state.journal.commit()
    state.journal.put(state.orders, key, record._replace(status=SPENT, reserved=0))
    return Outcome("filled", done)


def _trade(state: State, now: int, keeper: int, order: Order, record: OrderRecord, price: Record) -> Trade:
    return trade(
        state,
        now,
        keeper,
        order.account,
        order.market_id,
        order.base,
        order.acceptable_price,
        order.reduce_only,
        record.execution_fee,
        record.reserved,
        price,
    )


def _reserve(state: State, now: int, order: Order, market: Market) -> int:
    """Set the fees of a market order aside."""
    if market.newest is None:
        raise Refusal("OrderBook_NoPrice", order.market_id)
    params = market.order_params
    value = -(-abs(order.base) * market.newest.price // WAD)
    reserve = params.execution_fee - -value * params.fee_reserve_bps // 10_000
    account = state.accounts.get(order.account)
    reserved = account.reserved if account else 0
    free = (account.cash if account else 0) - reserved
    if free < reserve and order.reduce_only:
        free = equity(state, order.account, now) - reserved
    if free < reserve:
        raise Refusal("OrderBook_InsufficientCash", free, reserve)
    state.changed_account(order.account).reserved += reserve
    return reserve


def equity(state: State, account: int, now: int) -> int:
    """E at plain newest prices."""
    return state.cash_of(account) + sum(
        base * newest.price // WAD + value for _, newest, base, value in state.valued(account, now)
    )


def _known(state: State, key: Hashable) -> OrderRecord:
    record = state.orders.get(key)
    if record is None or record.status == SPENT:
        raise Refusal("OrderBook_UnknownOrder", key)
    return record


def _spend(state: State, order: Order, key: Hashable, record: OrderRecord) -> None:
    if record.reserved:
        state.changed_account(order.account).reserved -= record.reserved
    state.journal.put(state.orders, key, record._replace(status=SPENT, reserved=0))


def _pay(state: State, account: int, *payments: tuple[int, int]) -> None:
    """(to, amount) each in turn, as far as the cash goes that the account has before."""
    left = max(0, state.cash_of(account))
    for to, amount in payments:
        paid = min(amount, left)
        left -= paid
        state.credit(account, -paid)
        state.credit(to, paid)
