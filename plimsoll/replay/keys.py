"""Private keys that sign quickly: a replay signs tens of thousands of prices and thousands of transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rlp
from coincurve import PrivateKey
from eth_utils import keccak

from plimsoll.chain.abi import checksum

_DYNAMIC_FEE = b"\x02"


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature as 65 bytes: r, s, v with v 27 or 28."""

    signature: bytes


class Key:
    """A private key. Signs transactions as a `Wallet` does and hashes as eth_account's accounts do, far quicker."""

    __slots__ = ("_key", "address", "number", "raw_address")

    def __init__(self, secret: bytes) -> None:
        """`secret` is 32 bytes."""
        self._key = PrivateKey(secret)
        self.raw_address = keccak(self._key.public_key.format(compressed=False)[1:])[12:]
        self.address = checksum(self.raw_address)
        self.number = int.from_bytes(self.raw_address, "big")

    @classmethod
    def named(cls, name: str) -> Key:
        """The key of a name: the same on every machine, and no secret."""
        return cls(keccak(text=f"plimsoll replay {name}"))

    @classmethod
    def from_hex(cls, text: str) -> Key:
        """From 0x and 64 hexadecimal digits."""
        return cls(bytes.fromhex(text.removeprefix("0x")))

    def unsafe_sign_hash(self, digest: bytes) -> Signed:
        """The signature of 32 bytes."""
        signature = self._key.sign_recoverable(bytes(digest), hasher=None)
        return Signed(signature[:64] + bytes([signature[64] + 27]))

    def sign(self, fields: dict[str, Any]) -> bytes:
        """A raw type-2 transaction from chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gas, to, value and data."""
        to = bytes.fromhex(fields["to"][2:]) if "to" in fields else b""
        body = [
            *(fields[name] for name in ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")),
            *(to, fields["value"], fields["data"], []),
        ]
        signature = self._key.sign_recoverable(keccak(_DYNAMIC_FEE + rlp.encode(body)), hasher=None)
        r, s = (int.from_bytes(signature[start : start + 32], "big") for start in (0, 32))
        return _DYNAMIC_FEE + bytes(rlp.encode([*body, signature[64], r, s]))
