"""Accounts, markets and orders as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plimsoll.core import ids
from plimsoll.core.units import WAD, format_percent, format_usd, format_wad, from_units
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.order_book import Placed
from plimsoll.sdk.orders import ANY_PRICE_BUY, ANY_PRICE_SELL, Order, OrderKind
from plimsoll.sdk.quotes import Quote
from plimsoll.sdk.snapshots import AccountSnapshot, MarketSnapshot
from plimsoll.sdk.views import Outcome, Views

KINDS: Mapping[int, str] = {
    OrderKind.MARKET: "market",
    OrderKind.LIMIT: "limit",
    OrderKind.STOP_LOSS: "stop-loss",
    OrderKind.TAKE_PROFIT: "take-profit",
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
    kind = KINDS[order.kind]
    limit = order.acceptable_price
    price = "any price" if limit in (ANY_PRICE_BUY, ANY_PRICE_SELL) else f"{format_usd(limit)} or better"
    reduce_only = ", reduce only" if order.reduce_only else ""
    return f"{kind} {client.market_name(order.market_id)} {size(order.base)} at {price}{reduce_only}"


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
