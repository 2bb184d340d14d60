"""What people sign for the order book: EIP-712 hashes, signatures and whose they are.

```python
domain = Domain(chain_id, order_book)
signature = sign(order, domain, signer)
assert recover(order, domain, signature) == signer.address
```

An order's struct hash is its key on the chain; the digest, which the domain goes into, is what is signed. Hashes are
packed by hand, and keys recovered in C: a matching engine does both for every order that it is sent.

Sources: EIP-712; contracts/orders/Commitments.sol, Delegates.sol, OrderBook.sol.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, NamedTuple, Protocol

from coincurve import PublicKey
from eth_account.messages import SignableMessage
from eth_utils import keccak
from hexbytes import HexBytes

from plimsoll.chain.abi import address_of, checksum
from plimsoll.core.orders import Order, Scope

NAME, VERSION = "Plimsoll", "1"
SIGNATURE_BYTES = 65
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half of the curve's order: the contracts take no greater s, so that nobody can make a second signature of a first."""

DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
ORDER_TYPE = (
    "Order(uint256 account,uint256 marketId,uint8 kind,int256 base,uint256 acceptablePrice,uint256 triggerPrice,"
    "bool reduceOnly,uint8 timeInForce,uint256 expiry,bytes32 parent,uint256 salt)"
)
CANCEL_TYPE = "Cancel(bytes32 orderHash,uint256 relayFee)"
CANCEL_ALL_TYPE = "CancelAll(uint256 account,uint256 counter,uint256 relayFee)"
DELEGATION_TYPE = (
    "Delegation(uint256 account,address delegate,uint16 markets,uint40 until,uint64 dailyBudget,bool mayMatch,"
    "bool mayTakeOver,uint256 salt,uint256 relayFee)"
)

_DOMAIN_PREFIX = keccak(text=DOMAIN_TYPE) + keccak(text=NAME) + keccak(text=VERSION)
ORDER_TYPEHASH = keccak(text=ORDER_TYPE)
CANCEL_TYPEHASH = keccak(text=CANCEL_TYPE)
CANCEL_ALL_TYPEHASH = keccak(text=CANCEL_ALL_TYPE)
DELEGATION_TYPEHASH = keccak(text=DELEGATION_TYPE)


class Cancel(NamedTuple):
    """The owner takes back the order of that hash; `relay_fee`, WAD dollars, is for whoever brings this."""

    order_hash: bytes
    relay_fee: int = 0


class CancelAll(NamedTuple):
    """The owner takes all back; `counter` is the account's new one."""

    account: int
    counter: int
    relay_fee: int = 0


class Delegation(NamedTuple):
    """The owner gives `delegate` a scope; `salt` carries the account's counter in its high 128 bits."""

    account: int
    delegate: str
    scope: Scope
    salt: int
    relay_fee: int = 0


Message = Order | Cancel | CancelAll | Delegation


class CanSign(Protocol):
    """A chain's Signer, or an account of eth_account."""

    def sign_message(self, signable_message: SignableMessage, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Domain:
    """One order book on one chain: what is signed for it is worth nothing elsewhere."""

    chain_id: int
    order_book: str
    """Its address, checksummed whatever was given."""
    separator: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raises AbiError for no address."""
        object.__setattr__(self, "order_book", address_of(self.order_book))
        words = _word(self.chain_id) + _word(int(self.order_book, 16))
        object.__setattr__(self, "separator", keccak(_DOMAIN_PREFIX + words))


def order_hash(order: Order) -> bytes:
    """The struct hash: what `OrderBook.hashOf` returns, and the order's key on the chain. Raises OverflowError."""
    return keccak(ORDER_TYPEHASH + order_words(order))


def order_words(order: Order) -> bytes:
    """Eleven words of 32 bytes, as the ABI has the struct. Raises OverflowError where a field doesn't fit."""
    account, market_id, kind, base, acceptable, trigger, reduce_only, in_force, expiry, parent, salt = order
    if len(parent) != 32:
        raise OverflowError("an order's parent is a hash of 32 bytes")
    return b"".join(
        (
            account.to_bytes(32, "big"),
            market_id.to_bytes(32, "big"),
            kind.to_bytes(32, "big"),
            base.to_bytes(32, "big", signed=True),
            acceptable.to_bytes(32, "big"),
            trigger.to_bytes(32, "big"),
            reduce_only.to_bytes(32, "big"),
            in_force.to_bytes(32, "big"),
            expiry.to_bytes(32, "big"),
            parent,
            salt.to_bytes(32, "big"),
        )
    )


@singledispatch
def struct_hash(message: Any) -> bytes:
    """The EIP-712 struct hash of a message. Raises OverflowError for what doesn't fit its word."""
    raise TypeError(f"nobody signs a {type(message).__name__}")


struct_hash.register(Order, order_hash)


@struct_hash.register
def _(message: Cancel) -> bytes:
    return keccak(CANCEL_TYPEHASH + message.order_hash + _word(message.relay_fee))


@struct_hash.register
def _(message: CancelAll) -> bytes:
    return keccak(CANCEL_ALL_TYPEHASH + b"".join(map(_word, message)))


@struct_hash.register
def _(message: Delegation) -> bytes:
    words = (message.account, int(address_of(message.delegate), 16), *message.scope, message.salt, message.relay_fee)
    return keccak(DELEGATION_TYPEHASH + b"".join(map(_word, words)))


def digest(message: Message, domain: Domain) -> bytes:
    """The 32 bytes that are signed."""
    return digest_of(struct_hash(message), domain)


def digest_of(hash_: bytes, domain: Domain) -> bytes:
    """The digest of what has that struct hash."""
    return keccak(b"\x19\x01" + domain.separator + hash_)


def sign(message: Message, domain: Domain, signer: CanSign) -> bytes:
    """The signer's 65 bytes: r, s, v. Raises UserError where it refuses."""
    signable = SignableMessage(HexBytes(b"\x01"), HexBytes(domain.separator), HexBytes(struct_hash(message)))
    signed = signer.sign_message(signable)
    return bytes(getattr(signed, "signature", signed))


def recover(message: Message, domain: Domain, signature: bytes) -> str | None:
    """Who signed, checksummed; None for what is no signature to the contracts. Whether he may is another question."""
    return recover_digest(digest(message, domain), signature)


def recover_digest(digest: bytes, signature: bytes) -> str | None:
    """As `recover`, of a digest."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        return None
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None
    compact = signature[:64] + bytes((signature[64] - 27,))
    try:
        key = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except Exception:  # coincurve says with a plain Exception that no key has such a signature
        return None
    return checksum(keccak(key.format(compressed=False)[1:])[12:])


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
