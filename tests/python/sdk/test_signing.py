"""Hashes and signatures: equal to eth_account's own encoder, and refused where the contracts refuse them."""

from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak, to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.chain.abi import AbiError
from plimsoll.core.orders import Order, OrderKind, Scope, TimeInForce
from plimsoll.sdk.signing import (
    HALF_ORDER,
    ORDER_TYPE,
    Cancel,
    CancelAll,
    Delegation,
    Domain,
    Message,
    digest,
    order_hash,
    recover,
    recover_digest,
    sign,
    struct_hash,
)

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BOOK = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
DOMAIN = Domain(901, BOOK)
SIGNER = Account.from_key(b"\7" * 32)
ORDER = Order(int(SIGNER.address, 16) << 96, 1, OrderKind.LIMIT, -5, 10, salt=1 << 128)

words = st.integers(0, 2**256 - 1)
addresses = st.binary(min_size=20, max_size=20).map(to_checksum_address)
hashes = st.binary(min_size=32, max_size=32)
orders = st.builds(
    Order,
    account=words,
    market_id=words,
    kind=st.sampled_from(OrderKind),
    base=st.integers(-(2**255), 2**255 - 1),
    acceptable_price=words,
    trigger_price=words,
    reduce_only=st.booleans(),
    time_in_force=st.sampled_from(TimeInForce),
    expiry=words,
    parent=hashes,
    salt=words,
)
scopes = st.builds(
    Scope,
    markets=st.integers(0, 2**16 - 1),
    until=st.integers(0, 2**40 - 1),
    daily_budget=st.integers(0, 2**64 - 1),
    may_match=st.booleans(),
    may_take_over=st.booleans(),
)
messages = st.one_of(
    orders,
    st.builds(Cancel, hashes, words),
    st.builds(CancelAll, words, words, words),
    st.builds(Delegation, words, addresses, scopes, words, words),
)

FIELDS = {
    "Order": [
        ("account", "uint256"), ("marketId", "uint256"), ("kind", "uint8"), ("base", "int256"),
        ("acceptablePrice", "uint256"), ("triggerPrice", "uint256"), ("reduceOnly", "bool"), ("timeInForce", "uint8"),
        ("expiry", "uint256"), ("parent", "bytes32"), ("salt", "uint256"),
    ],
    "Cancel": [("orderHash", "bytes32"), ("relayFee", "uint256")],
    "CancelAll": [("account", "uint256"), ("counter", "uint256"), ("relayFee", "uint256")],
    "Delegation": [
        ("account", "uint256"), ("delegate", "address"), ("markets", "uint16"), ("until", "uint40"),
        ("dailyBudget", "uint64"), ("mayMatch", "bool"), ("mayTakeOver", "bool"), ("salt", "uint256"),
        ("relayFee", "uint256"),
    ],
}  # fmt: skip


def full_message(message: Message, domain: Domain) -> dict[str, Any]:
    """As a browser's wallet is given it: the standard's JSON."""
    name = type(message).__name__
    values = [int(value) if isinstance(value, OrderKind | TimeInForce) else value for value in flat(message)]
    return {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            name: [{"name": field, "type": kind} for field, kind in FIELDS[name]],
        },
        "primaryType": name,
        "domain": {
            "name": "Plimsoll",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": domain.order_book,
        },
        "message": {field: value for (field, _), value in zip(FIELDS[name], values, strict=True)},
    }


def flat(message: Message) -> list[Any]:
    found: list[Any] = []
    for value in message:
        found += value if isinstance(value, Scope) else [value]
    return found


@given(messages, st.integers(1, 2**64), addresses)
@settings(max_examples=150)
def test_digest__any_message__is_eth_accounts(message: Message, chain_id: int, book: str) -> None:
    domain = Domain(chain_id, book)
    signable = encode_typed_data(full_message=full_message(message, domain))
    assert domain.separator == signable.header
    assert struct_hash(message) == signable.body
    assert digest(message, domain) == keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(messages)
@settings(max_examples=20)
def test_recover__what_was_signed__is_the_signer(message: Message) -> None:
    signature = sign(message, DOMAIN, SIGNER)
    whole = SIGNER.sign_typed_data(full_message=full_message(message, DOMAIN))
    assert signature == bytes(whole.signature)
    assert recover(message, DOMAIN, signature) == SIGNER.address


def test_order_hash__by_hand__is_words_behind_the_type() -> None:
    order = Order(1, 2, OrderKind.STOP_LOSS, -3, 4, 5, True, TimeInForce.POST_ONLY, 6, b"\x07" * 32, 8)
    encoded = [1, 2, 2, 2**256 - 3, 4, 5, 1, 1, 6, int.from_bytes(b"\x07" * 32, "big"), 8]
    data = keccak(text=ORDER_TYPE) + b"".join(word.to_bytes(32, "big") for word in encoded)
    assert order_hash(order) == struct_hash(order) == keccak(data)


@pytest.mark.parametrize(
    "changed",
    [{"base": 2**255}, {"base": -(2**255) - 1}, {"salt": -1}, {"account": 2**256}, {"parent": b"\0" * 31}],
)
def test_order_hash__out_of_range__raises(changed: dict[str, Any]) -> None:
    with pytest.raises(OverflowError):
        order_hash(ORDER._replace(**changed))


def test_struct_hash__of_something_else__raises() -> None:
    with pytest.raises(TypeError, match="nobody signs a tuple"):
        struct_hash((1, 2))


def test_domain__address_in_lower_case__is_the_same() -> None:
    assert Domain(901, BOOK.lower()) == DOMAIN
    assert Domain(901, BOOK.lower()).order_book == BOOK
    with pytest.raises(AbiError, match="not an address"):
        Domain(901, "0x12")


@pytest.mark.parametrize(
    "other", [Domain(902, BOOK), Domain(901, "0x" + "12" * 20)], ids=["another chain", "another contract"]
)
def test_recover__of_another_domain__is_somebody_else(other: Domain) -> None:
    signature = sign(ORDER, DOMAIN, SIGNER)
    assert recover(ORDER, DOMAIN, signature) == SIGNER.address
    assert recover(ORDER, other, signature) != SIGNER.address


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_recover__any_field_changed__is_somebody_else(place: int) -> None:
    values: list[Any] = list(ORDER)
    value = values[place]
    values[place] = b"\1" * 32 if isinstance(value, bytes) else not value if isinstance(value, bool) else value + 1
    changed = Order(*values)
    assert order_hash(changed) != order_hash(ORDER)
    assert recover(changed, DOMAIN, sign(ORDER, DOMAIN, SIGNER)) != SIGNER.address


def test_recover__upper_half_of_the_curve__is_no_signature() -> None:
    """The twin that anybody can make of a signature; the contracts take only one of the two."""
    signature = sign(ORDER, DOMAIN, SIGNER)
    s = int.from_bytes(signature[32:64], "big")
    assert s <= HALF_ORDER == CURVE_ORDER // 2
    twin = signature[:32] + (CURVE_ORDER - s).to_bytes(32, "big") + bytes((27 + 28 - signature[64],))
    assert recover(ORDER, DOMAIN, twin) is None


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_recover__v_that_the_precompile_refuses__is_no_signature(v: int) -> None:
    assert recover(ORDER, DOMAIN, sign(ORDER, DOMAIN, SIGNER)[:64] + bytes((v,))) is None


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\1" * 64,
        b"\1" * 66,
        bytes(64) + b"\x1b",
        b"\xff" * 32 + b"\1" * 32 + b"\x1b",
        b"\1" * 32 + bytes(32) + b"\x1b",
        (5).to_bytes(32, "big") + (1).to_bytes(32, "big") + b"\x1b",  # no point of the curve has this x
    ],
)
def test_recover__garbage__is_no_signature(signature: bytes) -> None:
    assert recover(ORDER, DOMAIN, signature) is None


def test_recover_digest__by_the_curves_own_library__is_its_key() -> None:
    key = PrivateKey(b"\x21" * 32)
    compact = key.sign_recoverable(keccak(b"x"), hasher=None)
    address = keccak(key.public_key.format(compressed=False)[1:])[12:]
    found = recover_digest(keccak(b"x"), compact[:64] + bytes((27 + compact[64],)))
    assert found == to_checksum_address(address)
