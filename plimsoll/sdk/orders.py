"""Building orders that make sense, and reading them back from the chain.

Sizes and prices are WAD; `base` is signed, positive for a buy; times are Unix seconds. What could never be filled, or
the order book would refuse, is a UserError of one line. Sources: IOrderBook, docs/specification.md section 7.

Of all constructors: `counter` is the account's (`OrderBook.counterOf`), and `salt`, below 2^128, what makes the order
new; random where not given. `expiry` is the last second in which the order may be placed by others, executed or
matched; 0 is none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import COUNTER_SHIFT, NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import format_usd

ANY_PRICE_BUY = 2**256 - 1
ANY_PRICE_SELL = 0
MAX_SIZE = 2**127 - 1
MAX_COUNTER = 2**128 - 1
MAX_EXPIRY = 2**40 - 1
"""Far beyond any date in seconds, and before every present one in milliseconds."""

__all__ = [
    "ANY_PRICE_BUY",
    "ANY_PRICE_SELL",
    "NO_PARENT",
    "Order",
    "OrderKind",
    "TimeInForce",
    "any_price",
    "limit_order",
    "market_order",
    "new_salt",
    "order_from",
    "require_relayable",
    "stop_loss_order",
    "take_profit_order",
]


def order_from(values: Mapping[str, Any]) -> Order:
    """An order out of a decoded Solidity struct."""
    return Order(
        account=values["account"],
        market_id=values["marketId"],
        kind=OrderKind(values["kind"]),
        base=values["base"],
        acceptable_price=values["acceptablePrice"],
        trigger_price=values["triggerPrice"],
        reduce_only=values["reduceOnly"],
        time_in_force=TimeInForce(values["timeInForce"]),
        expiry=values["expiry"],
        parent=values["parent"],
        salt=values["salt"],
    )


def any_price(base: int) -> int:
    """The acceptable price that accepts all, for a buy or a sell."""
    return ANY_PRICE_BUY if base > 0 else ANY_PRICE_SELL


def new_salt(counter: int = 0, salt: int | None = None) -> int:
    """A salt under an account's counter; its low half random where not given. Raises UserError out of range."""
    low = secrets.randbits(COUNTER_SHIFT) if salt is None else salt
    if not 0 <= low < 1 << COUNTER_SHIFT:
        raise UserError("order: its salt does not lie between 0 and 2^128; the high half is the account's counter")
    if not 0 <= counter <= MAX_COUNTER:
        raise UserError(f"order: the account's counter can't be {counter}")
    return counter << COUNTER_SHIFT | low


def market_order(
    account: int,
    market_id: int,
    base: int,
    *,
    acceptable_price: int | None = None,
    reduce_only: bool = False,
    expiry: int = 0,
    counter: int = 0,
    salt: int | None = None,
) -> Order:
    """Filled at the first price after the settlement delay; without `acceptable_price` at any.

    One that others place on a signature needs an expiry.
    """
    return _checked(
        Order(
            account,
            market_id,
            OrderKind.MARKET,
            base,
            any_price(base) if acceptable_price is None else acceptable_price,
            reduce_only=reduce_only,
            expiry=expiry,
            salt=new_salt(counter, salt),
        )
    )


def limit_order(
    account: int,
    market_id: int,
    base: int,
    price: int,
    *,
    reduce_only: bool = False,
    time_in_force: TimeInForce = TimeInForce.GOOD_TILL_TIME,
    expiry: int = 0,
    parent: bytes = NO_PARENT,
    counter: int = 0,
    salt: int | None = None,
) -> Order:
    """Waits until it can be filled at `price` or better: placed by owner or delegate, or signed to be matched.

    Nobody can place it on its signature (`require_relayable`). Any other `time_in_force` than good till time is for
    orders that are matched; those have no parent.
    """
    if time_in_force and parent != NO_PARENT:
        raise UserError("order: one that is matched can't wait for a parent; leave one of them out")
    if price in (ANY_PRICE_BUY, ANY_PRICE_SELL):
        raise UserError("order: a limit order needs a price; one for any price is a market order")
    return _checked(
        Order(
            account,
            market_id,
            OrderKind.LIMIT,
            base,
            price,
            reduce_only=reduce_only,
            time_in_force=time_in_force,
            expiry=expiry,
            parent=parent,
            salt=new_salt(counter, salt),
        )
    )


def stop_loss_order(
    account: int,
    market_id: int,
    base: int,
    trigger_price: int,
    *,
    acceptable_price: int | None = None,
    reduce_only: bool = True,
    expiry: int = 0,
    parent: bytes = NO_PARENT,
    counter: int = 0,
    salt: int | None = None,
) -> Order:
    """Due when the index price is at the trigger or worse: at or below it to sell, at or above it to buy.

    Without `acceptable_price` it takes any price. With one it is filled while the index is between the two, and waits
    beyond it. Raises UserError where no index price is both due and acceptable.
    """
    order = Order(
        account,
        market_id,
        OrderKind.STOP_LOSS,
        base,
        any_price(base) if acceptable_price is None else acceptable_price,
        trigger_price,
        reduce_only,
        expiry=expiry,
        parent=parent,
        salt=new_salt(counter, salt),
    )
    _checked(order)
    worst = order.acceptable_price
    if worst < trigger_price if order.is_buy else worst > trigger_price:
        raise UserError(
            f"order: a stop-loss that is due at {format_usd(trigger_price)} or worse never fills at "
            f"{format_usd(worst)} or better; accept a worse price than the trigger"
        )
    return order


def take_profit_order(
    account: int,
    market_id: int,
    base: int,
    trigger_price: int,
    *,
    acceptable_price: int | None = None,
    reduce_only: bool = True,
    expiry: int = 0,
    parent: bytes = NO_PARENT,
    counter: int = 0,
    salt: int | None = None,
) -> Order:
    """Due when the index price is at the trigger or better: at or above it to sell, at or below it to buy.

    Without `acceptable_price` it takes any price.
    """
    return _checked(
        Order(
            account,
            market_id,
            OrderKind.TAKE_PROFIT,
            base,
            any_price(base) if acceptable_price is None else acceptable_price,
            trigger_price,
            reduce_only,
            expiry=expiry,
            parent=parent,
            salt=new_salt(counter, salt),
        )
    )


def require_relayable(order: Order) -> None:
    """Raises UserError for what nobody can place on a signature: a limit order, which is signed to be matched."""
    if order.kind == OrderKind.LIMIT:
        raise UserError(
            "order: a signed limit order is for matching; use a take-profit order with the same trigger and limit, "
            "or place it yourself"
        )


def _checked(order: Order) -> Order:
    """Raises UserError for what the contracts refuse whatever the state, or would never fill."""
    ids.unpack(order.account)
    if not 1 <= order.market_id <= ids.MAX_MARKET:
        raise UserError(f"order: there is no market {order.market_id}")
    if ids.isolated_market_of(order.account) not in (ids.CROSS, order.market_id):
        raise UserError(
            f"order: an account isolated in market {ids.isolated_market_of(order.account)} can't hold "
            f"market {order.market_id}"
        )
    if not order.base:
        raise UserError("order: its size is zero")
    if abs(order.base) > MAX_SIZE:
        raise UserError("order: its size is out of range")
    if not 0 <= order.acceptable_price <= ANY_PRICE_BUY:
        raise UserError("order: its price is negative or out of range")
    if order.is_buy and not order.acceptable_price:
        raise UserError("order: nobody sells at a price of zero")
    triggered = order.kind in (OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT)
    if triggered and not 0 < order.trigger_price <= ANY_PRICE_BUY:
        raise UserError("order: its trigger price is not more than zero, or out of range")
    if not 0 <= order.expiry <= MAX_EXPIRY:
        raise UserError(f"order: expiry {order.expiry} is no Unix time in seconds")
    if len(order.parent) != len(NO_PARENT):
        raise UserError("order: its parent is no hash of 32 bytes")
    return order
