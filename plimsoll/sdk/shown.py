"""Accounts, markets and orders as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plimsoll.core import ids
from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD, format_percent, format_usd, format_wad, from_units
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH
from plimsoll.sdk.delegates import Delegated
from plimsoll.sdk.fills import Fill
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.order_book import Placed
from plimsoll.sdk.orders import ANY_PRICE_BUY, ANY_PRICE_SELL
from plimsoll.sdk.quotes import Quote
from plimsoll.sdk.snapshots import AccountSnapshot, MarketSnapshot
from plimsoll.sdk.times import date
from plimsoll.sdk.views import Outcome, Views

KINDS: Mapping[int, str] = {
    OrderKind.MARKET: "market",
    OrderKind.LIMIT: "limit",
    OrderKind.STOP_LOSS: "stop-loss",
    OrderKind.TAKE_PROFIT: "take-profit",
}
TIMES_IN_FORCE: Mapping[int, str] = {
    TimeInForce.POST_ONLY: "post only",
    TimeInForce.IMMEDIATE_OR_CANCEL: "immediate or cancel",
    TimeInForce.FILL_OR_KILL: "fill or kill",
}
GUARD_STATES = ("open", "doubtful", "grace", "down")


def size(base: int) -> str:
    """A size with as many decimals as it has, six at most; its sign always: "+2.5"."""
    text = format_wad(base, 6).rstrip("0").rstrip(".")
    return text if base < 0 else f"+{text}"


def health(value: int) -> str:
    """A health as a factor: "1.25"; "none" without a requirement."""
    if value in (MAX_HEALTH, MIN_HEALTH):
        return "none" if value == MAX_HEALTH else "in debt"
    return format_wad(value, 2)


def account_lines(client: Views, account: AccountSnapshot) -> Iterator[str]:
    decimals = client.contracts.token_decimals
    leaving = (
        "unknown (stale price)" if account.withdrawable is None else f"${from_units(account.withdrawable, decimals):,f}"
    )
    yield f"account      {account.account:#x} ({ids.describe(account.account)})"
    yield f"cash         {format_usd(account.cash)}, reserved {format_usd(account.reserved)}, withdrawable {leaving}"
    yield (
        f"equity       {format_usd(account.equity)}, initial {format_usd(account.initial)}, "
        f"maintenance {format_usd(account.maintenance)}, health {health(account.health)}"
    )
    for held in account.positions:
        yield (
            f"position     {client.market_name(held.market_id)} {size(held.base)} from {format_usd(held.entry_price)}, "
            f"index {format_usd(held.price)}, result {format_usd(held.unrealised)}"
        )
    if not account.positions:
        yield "position     none"


def market_lines(client: Views, market: MarketSnapshot) -> Iterator[str]:
    name = client.market_name(market.market_id)
    if market.newest is None:
        yield f"{name}  no price yet"
        return
    yield (
        f"{name}  index {format_usd(market.price)} ({market.age()} s old, {GUARD_STATES[market.newest.state]}), "
        f"mark {format_usd(market.mark_price)}"
    )
    yield (
        f"{' ' * len(name)}  long {size(market.long)[1:]}, short {size(market.short)[1:]}, skew {size(market.skew)}, "
        f"funding {format_percent(market.rate, 4)} a day"
    )


def quote_line(client: Views, quote: Quote) -> str:
    return (
        f"{client.market_name(quote.market_id)} {size(quote.base)} at {format_usd(quote.fill_price)} "
        f"(index {format_usd(quote.index_price)}, {quote.impact_bps} bps), fee {format_usd(quote.fee)}, "
        f"execution {format_usd(quote.execution_fee)}"
    )


def order_line(client: Views, order: Order) -> str:
    limit = order.acceptable_price
    parts = [f"at {format_usd(limit)} or better"]
    if limit in (ANY_PRICE_BUY, ANY_PRICE_SELL):
        parts = ["at any price"]
    if order.trigger_price:
        wants_higher = order.is_buy == (order.kind == OrderKind.STOP_LOSS)
        side = "above" if wants_higher else "below"
        parts.insert(0, f"once the index is at {format_usd(order.trigger_price)} or {side},")
    if order.reduce_only:
        parts[-1] += ", reduce only"
    if order.time_in_force:
        parts[-1] += f", {TIMES_IN_FORCE[order.time_in_force]}"
    if order.parent != NO_PARENT:
        parts[-1] += f", after order 0x{order.parent.hex()[:8]}…"
    if order.expiry:
        parts[-1] += f", until {date(order.expiry)}"
    return f"{KINDS[order.kind]} {client.market_name(order.market_id)} {size(order.base)} {' '.join(parts)}"


def open_order_line(client: Views, order: OpenOrder) -> str:
    place = f"number {order.sequence} of the queue" if order.is_queued else "waits for its price"
    return f"order        0x{order.hash.hex()} {order_line(client, order.order)}, {place}"


def placed_lines(client: Views, placed: Placed) -> Iterator[str]:
    yield f"placed       {order_line(client, placed.order)}"
    yield f"hash         0x{placed.hash.hex()}"
    if placed.sequence:
        yield f"settles      at the first price from {placed.settle_from} on, number {placed.sequence} of the queue"


def outcome_line(outcome: Outcome) -> str:
    fill = outcome.fill
    if fill is None:
        return f"{outcome.status:<12} {outcome.reason}".rstrip()
    notional = abs(fill.base) * fill.fill_price // WAD
    return (
        f"{outcome.status:<12} {size(fill.base)} at {format_usd(fill.fill_price)} ({format_usd(notional)}), "
        f"fee {format_usd(fill.fee)}; position {size(fill.new_base)}"
    )


def fill_line(client: Views, fill: Fill) -> str:
    """One fill of a history: what, at which price, what it cost, and with whom."""
    execution = f", execution {format_usd(fill.execution_fee)}" if fill.execution_fee else ""
    return (
        f"block {fill.block_number:<10} {client.market_name(fill.market_id)} {size(fill.base)} at "
        f"{format_usd(fill.price)}, {fill.role}, fee {format_usd(fill.fee)}{execution}; position {size(fill.new_base)}"
    )


def delegate_lines(client: Views, delegate: str, delegated: Delegated, now: int) -> Iterator[str]:
    """What a delegate may do, if anything."""
    scope = delegated.scope
    if now > scope.until or not scope.markets:
        yield f"delegate     {delegate} may do nothing"
        return
    more = [what for what, allowed in (("match", scope.may_match), ("take over", scope.may_take_over)) if allowed]
    yield f"delegate     {delegate} until {date(scope.until)}"
    yield f"markets      {', '.join(client.market_name(market_id) for market_id in delegated.markets)}"
    yield f"budget       ${scope.daily_budget:,} a day, ${delegated.left_today:,} left today"
    yield f"may          {', '.join(['place and cancel', *more])}"
