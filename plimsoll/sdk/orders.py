"""Orders against the pool: how they are built, hashed and read back. The type itself is the reference model's.

Sizes and prices are WAD; `base` is signed, positive for a buy. Source: IOrderBook and `OrderBook.hashOf`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from eth_utils import keccak

from plimsoll.core.errors import UserError
from plimsoll.risk.orders import KIND_LIMIT, KIND_MARKET, Order

ORDER_TYPE = (
    "Order(uint256 account,uint256 marketId,uint8 kind,int256 base,uint256 acceptablePrice,"
    "bool reduceOnly,uint256 expiry,uint256 salt)"
)
ORDER_TYPEHASH = keccak(text=ORDER_TYPE)
ANY_PRICE_BUY = 2**256 - 1
ANY_PRICE_SELL = 0
MAX_SIZE = 2**127 - 1

__all__ = [
    "ANY_PRICE_BUY",
    "ANY_PRICE_SELL",
    "KIND_LIMIT",
    "KIND_MARKET",
    "Order",
    "limit_order",
    "market_order",
    "new_salt",
    "order_from",
    "order_hash",
]


def order_hash(order: Order) -> bytes:
    """The EIP-712 struct hash: what `OrderBook.hashOf` returns, and the order's key on the chain."""
    words = (
        order.account,
        order.market_id,
        order.kind,
        order.base % 2**256,
        order.acceptable_price,
        int(order.reduce_only),
        order.expiry,
        order.salt,
    )
    return keccak(ORDER_TYPEHASH + b"".join(word.to_bytes(32, "big") for word in words))


def order_from(values: Mapping[str, Any]) -> Order:
    """An order out of a decoded Solidity struct."""
    return Order(
        account=values["account"],
        market_id=values["marketId"],
        kind=values["kind"],
        base=values["base"],
        acceptable_price=values["acceptablePrice"],
        reduce_only=values["reduceOnly"],
        expiry=values["expiry"],
        salt=values["salt"],
    )


def new_salt() -> int:
    """128 random bits: a hash is spent for ever, so that every order needs a salt of its own."""
    return secrets.randbits(128)


def market_order(
    account: int,
    market_id: int,
    base: int,
    *,
    acceptable_price: int | None = None,
    reduce_only: bool = False,
    salt: int | None = None,
) -> Order:
    """A market order; without `acceptable_price` any is. Raises UserError for a size of zero or out of range."""
    if acceptable_price is None:
        acceptable_price = ANY_PRICE_BUY if base > 0 else ANY_PRICE_SELL
    return _checked(Order(account, market_id, KIND_MARKET, base, acceptable_price, reduce_only, 0, _salt(salt)))


def limit_order(
    account: int,
    market_id: int,
    base: int,
    price: int,
    *,
    reduce_only: bool = False,
    expiry: int = 0,
    salt: int | None = None,
) -> Order:
    """An order that waits until it can be filled at `price` or better. `expiry` in Unix seconds, 0 for none."""
    return _checked(Order(account, market_id, KIND_LIMIT, base, price, reduce_only, expiry, _salt(salt)))


def _salt(salt: int | None) -> int:
    return new_salt() if salt is None else salt


def _checked(order: Order) -> Order:
    if not order.base:
        raise UserError("order: its size is zero")
    if abs(order.base) > MAX_SIZE:
        raise UserError("order: its size is out of range")
    if not 0 <= order.acceptable_price <= ANY_PRICE_BUY:
        raise UserError("order: its price is negative or out of range")
    return order
