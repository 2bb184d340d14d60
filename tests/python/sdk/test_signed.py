"""Signed orders as JSON: what goes out comes back, and what is no order is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings

from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.sdk.signed import (
    MAX_SIGNATURE_BYTES,
    SignedOrder,
    order_from_json,
    order_to_json,
    signed_from_json,
    signed_to_json,
)
from plimsoll.sdk.signing import Domain, sign
from tests.python.sdk.test_signing import orders

DOMAIN = Domain(901, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
SIGNER = Account.from_key(b"\7" * 32)
ORDER = Order(int(SIGNER.address, 16) << 96, 1, OrderKind.LIMIT, -(10**18), 3 * 10**21, salt=1 << 128 | 5)
SIGNED = SignedOrder(ORDER, sign(ORDER, DOMAIN, SIGNER))


def fields(**changed: Any) -> dict[str, Any]:
    return order_to_json(ORDER) | changed


@given(orders)
@settings(max_examples=50)
def test_order_to_json__any_order__comes_back(order: Order) -> None:
    assert order_from_json(json.loads(json.dumps(order_to_json(order)))) == order


def test_order_to_json__names_and_spelling__are_the_structs() -> None:
    order = Order(5 << 96, 1, OrderKind.STOP_LOSS, -7, 8, 9, True, TimeInForce.POST_ONLY, 10, b"\2" * 32, 11)
    assert order_to_json(order) == {
        "account": "0x" + "0" * 39 + "5" + "0" * 24,
        "marketId": "1",
        "kind": "stopLoss",
        "base": "-7",
        "acceptablePrice": "8",
        "triggerPrice": "9",
        "reduceOnly": True,
        "timeInForce": "postOnly",
        "expiry": "10",
        "parent": "0x" + "02" * 32,
        "salt": "0x" + "0" * 63 + "b",
    }


def test_order_from_json__numbers_as_numbers__are_taken() -> None:
    plain = {"account": 5 << 96, "marketId": 1, "kind": 3, "base": -7, "acceptablePrice": 8, "salt": 11}
    order = order_from_json(plain | {"timeInForce": 2})
    assert order == Order(
        5 << 96, 1, OrderKind.TAKE_PROFIT, -7, 8, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL, salt=11
    )
    assert order.kind is OrderKind.TAKE_PROFIT
    assert order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"base": "1.5"}, r"base: '1.5' is not a whole number"),
        ({"base": 1.5}, "base: it is not a whole number"),
        ({"base": True}, "base: it is not a whole number"),
        ({"base": None}, "base: it is not a whole number"),
        ({"base": str(2**255)}, "base: .* is out of range"),
        ({"base": str(-(2**255) - 1)}, "base: .* is out of range"),
        ({"base": "1" * 81}, "base: it is not a whole number"),
        ({"salt": "-1"}, "salt: -1 is out of range"),
        ({"salt": str(2**256)}, "salt: .* is out of range"),
        ({"salt": "0xzz"}, "salt: '0xzz' is not a whole number"),
        ({"kind": "stop"}, "kind: it is none of market, limit, stopLoss, takeProfit"),
        ({"kind": 4}, "kind: it is none of"),
        ({"kind": -1}, "kind: it is none of"),
        ({"kind": True}, "kind: it is none of"),
        ({"timeInForce": []}, "timeInForce: it is none of goodTillTime"),
        ({"reduceOnly": 1}, "reduceOnly: it is neither true nor false"),
        ({"parent": "0x" + "00" * 31}, "parent: it is no hash of 32 bytes"),
        ({"parent": "00" * 32}, "parent: it is not 0x and hexadecimal digits"),
        ({"price": "1"}, "it has no field 'price'"),
    ],
)
def test_order_from_json__a_bad_field__is_named(changed: dict[str, Any], said: str) -> None:
    order_from_json(fields())
    with pytest.raises(UserError, match=said):
        order_from_json(fields(**changed))


@pytest.mark.parametrize("name", ["account", "marketId", "kind", "base", "acceptablePrice", "salt"])
def test_order_from_json__a_field_missing__is_named(name: str) -> None:
    data = fields()
    del data[name]
    with pytest.raises(UserError, match=f"order: {name} is missing"):
        order_from_json(data)


def test_signed_to_json__comes_back__with_its_signer() -> None:
    data = json.loads(json.dumps(signed_to_json(SIGNED, DOMAIN)))
    assert data["domain"] == {"chainId": "901", "verifyingContract": DOMAIN.order_book}
    assert data["hash"] == "0x" + SIGNED.hash.hex()
    found = signed_from_json(data, DOMAIN)
    assert found == SIGNED
    assert found.signer(DOMAIN) == SIGNER.address
    assert signed_from_json({"order": data["order"], "signature": data["signature"]}, DOMAIN) == SIGNED


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"domain": {"chainId": "902", "verifyingContract": DOMAIN.order_book}}, "not for chain 901"),
        (
            {"domain": {"chainId": "901", "verifyingContract": "0x" + "12" * 20}},
            "not for chain 901 and order book 0x5F",
        ),
        ({"domain": {"chainId": "901"}}, "verifyingContract is not an address"),
        ({"domain": "here"}, "domain: it is no JSON object"),
        ({"hash": "0x" + "00" * 32}, "its hash is another order's"),
        ({"hash": 5}, "hash: it is not 0x"),
        ({"signature": "12"}, "signature: it is not 0x"),
        ({"signature": "0x" + "11" * (MAX_SIGNATURE_BYTES + 1)}, "more than 4096 bytes"),
        ({"order": []}, "order: it is no JSON object"),
    ],
)
def test_signed_from_json__something_wrong__is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        signed_from_json(signed_to_json(SIGNED, DOMAIN) | changed, DOMAIN)


def test_signed_from_json__no_object_or_half_of_one__is_refused() -> None:
    nothing: list[Any] = [None, [], "x", 5]
    for data in nothing:
        with pytest.raises(UserError, match="signed order: it is no JSON object"):
            signed_from_json(data, DOMAIN)
    with pytest.raises(UserError, match="signed order: signature is missing"):
        signed_from_json({"order": fields()}, DOMAIN)
    wallets = {"order": fields(), "signature": "0x" + "11" * MAX_SIGNATURE_BYTES}
    assert len(signed_from_json(wallets, DOMAIN).signature) == MAX_SIGNATURE_BYTES
