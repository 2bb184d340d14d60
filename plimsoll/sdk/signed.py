"""Signed orders on their way from hand to hand: as JSON, and back with everything checked that needs no chain.

```json
{"domain": {"chainId": "901", "verifyingContract": "0x…"},
 "order": {"account": "0x…", "marketId": "1", "kind": "limit", "base": "-2500000000000000000", …},
 "hash": "0x…", "signature": "0x…"}
```

Fields are the Solidity struct's. Numbers are decimal text, since JSON's lose digits; accounts, hashes and salts are
hexadecimal. Either spelling, and small numbers as numbers, are taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from plimsoll.chain.abi import AbiError
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.sdk.signing import Domain, order_hash, recover

MAX_WORD = 2**256 - 1
MAX_BASE = 2**255 - 1
MAX_SIGNATURE_BYTES = 4_096
"""Of a wallet that is a contract; a key's has 65."""

KINDS: Mapping[str, OrderKind] = {
    "market": OrderKind.MARKET,
    "limit": OrderKind.LIMIT,
    "stopLoss": OrderKind.STOP_LOSS,
    "takeProfit": OrderKind.TAKE_PROFIT,
}
TIMES_IN_FORCE: Mapping[str, TimeInForce] = {
    "goodTillTime": TimeInForce.GOOD_TILL_TIME,
    "postOnly": TimeInForce.POST_ONLY,
    "immediateOrCancel": TimeInForce.IMMEDIATE_OR_CANCEL,
    "fillOrKill": TimeInForce.FILL_OR_KILL,
}
Choice = TypeVar("Choice", bound=IntEnum)
_REQUIRED = ("account", "marketId", "kind", "base", "acceptablePrice", "salt")
_FIELDS = (*_REQUIRED, "triggerPrice", "reduceOnly", "timeInForce", "expiry", "parent")


class SignedOrder(NamedTuple):
    """An order and the word of whoever stands for it."""

    order: Order
    signature: bytes

    @property
    def hash(self) -> bytes:
        """Its key on the chain."""
        return order_hash(self.order)

    def signer(self, domain: Domain) -> str | None:
        """Whose key signed it, None for nobody's; a wallet that is a contract is to be asked itself."""
        return recover(self.order, domain, self.signature)


def order_to_json(order: Order) -> dict[str, Any]:
    """The fields of an order by their Solidity names."""
    return {
        "account": f"{order.account:#066x}",
        "marketId": str(order.market_id),
        "kind": _name(KINDS, order.kind),
        "base": str(order.base),
        "acceptablePrice": str(order.acceptable_price),
        "triggerPrice": str(order.trigger_price),
        "reduceOnly": order.reduce_only,
        "timeInForce": _name(TIMES_IN_FORCE, order.time_in_force),
        "expiry": str(order.expiry),
        "parent": "0x" + order.parent.hex(),
        "salt": f"{order.salt:#066x}",
    }


def order_from_json(data: Any) -> Order:
    """Raises UserError that names the field that is missing, unknown or out of range. What it says isn't judged."""
    fields = _object(data, "order")
    for name in _REQUIRED:
        if name not in fields:
            raise UserError(f"order: {name} is missing")
    unknown = fields.keys() - _FIELDS
    if unknown:
        raise UserError(f"order: it has no field {min(unknown)!r:.40}; there are {', '.join(_FIELDS)}")
    return Order(
        account=_number(fields, "account"),
        market_id=_number(fields, "marketId"),
        kind=_choice(fields, "kind", KINDS, OrderKind.MARKET),
        base=_number(fields, "base", low=-MAX_BASE - 1, high=MAX_BASE),
        acceptable_price=_number(fields, "acceptablePrice"),
        trigger_price=_number(fields, "triggerPrice"),
        reduce_only=_boolean(fields, "reduceOnly"),
        time_in_force=_choice(fields, "timeInForce", TIMES_IN_FORCE, TimeInForce.GOOD_TILL_TIME),
        expiry=_number(fields, "expiry"),
        parent=_hash(fields, "parent"),
        salt=_number(fields, "salt"),
    )


def signed_to_json(signed: SignedOrder, domain: Domain) -> dict[str, Any]:
    """A signed order with the domain that it was signed for."""
    return {
        "domain": {"chainId": str(domain.chain_id), "verifyingContract": domain.order_book},
        "order": order_to_json(signed.order),
        "hash": "0x" + signed.hash.hex(),
        "signature": "0x" + signed.signature.hex(),
    }


def signed_from_json(data: Any, domain: Domain) -> SignedOrder:
    """Raises UserError for what is none, of another domain where it names one, or of another hash than its order's."""
    fields = _object(data, "signed order")
    for name in ("order", "signature"):
        if name not in fields:
            raise UserError(f"signed order: {name} is missing")
    if "domain" in fields and _domain(fields["domain"]) != domain:
        raise UserError(f"signed order: it is not for chain {domain.chain_id} and order book {domain.order_book}")
    order = order_from_json(fields["order"])
    signature = _bytes(fields["signature"], "signature")
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise UserError(f"signed order: its signature has more than {MAX_SIGNATURE_BYTES} bytes")
    if "hash" in fields and _bytes(fields["hash"], "hash") != order_hash(order):
        raise UserError("signed order: its hash is another order's")
    return SignedOrder(order, signature)


# --- fields ------------------------------------------------------------------------------------------------------


def _object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UserError(f"{what}: it is no JSON object")
    return data


def _domain(data: Any) -> Domain:
    fields = _object(data, "domain")
    try:
        return Domain(_number(fields, "chainId"), str(fields.get("verifyingContract")))
    except AbiError as error:
        raise UserError(f"domain: verifyingContract is {error}") from None


def _number(fields: Mapping[str, Any], name: str, *, low: int = 0, high: int = MAX_WORD) -> int:
    value = fields.get(name, 0)
    if isinstance(value, str) and len(value) <= 80:
        try:
            value = int(value, 16 if value[:2].lower() == "0x" else 10)
        except ValueError:
            raise UserError(f"{name}: {value!r} is not a whole number") from None
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{name}: it is not a whole number; write it as text")
    if not low <= value <= high:
        raise UserError(f"{name}: {value} is out of range")
    return value


def _boolean(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise UserError(f"{name}: it is neither true nor false")
    return value


def _choice(fields: Mapping[str, Any], name: str, names: Mapping[str, Choice], default: Choice) -> Choice:
    value = fields.get(name, default)
    if isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in names.values():
        return type(default)(value)
    raise UserError(f"{name}: it is none of {', '.join(names)}")


def _hash(fields: Mapping[str, Any], name: str) -> bytes:
    value = _bytes(fields.get(name, "0x" + NO_PARENT.hex()), name)
    if len(value) != len(NO_PARENT):
        raise UserError(f"{name}: it is no hash of 32 bytes")
    return value


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str) and value[:2] == "0x":
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise UserError(f"{name}: it is not 0x and hexadecimal digits")


def _name(names: Mapping[str, IntEnum], value: int) -> str:
    return next(name for name, one in names.items() if one == value)
