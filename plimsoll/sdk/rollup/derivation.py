"""Deposit transactions, as a rollup node derives them from L1: exact bytes, hence exact hashes.

Source: OP stack specification, "Deposits".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rlp
from eth_utils import keccak

from plimsoll.chain.abi import address_of

DEPOSIT_TYPE = 0x7E
ALIAS_OFFSET = 0x1111000000000000000000000000000000001111
USER_DOMAIN = 0


def aliased(contract: str) -> str:
    """The sender that a contract of L1 has on L2."""
    return address_of(f"0x{(int(contract, 16) + ALIAS_OFFSET) % 2**160:040x}")


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit transaction: `mint` and `value` in wei; `to` None creates a contract."""

    source_hash: bytes
    sender: str
    to: str | None
    mint: int
    value: int
    gas: int
    data: bytes

    @property
    def raw(self) -> bytes:
        """Its bytes on L2. isSystemTransaction is false, as it has been ever since Regolith."""
        to = b"" if self.to is None else bytes.fromhex(self.to[2:])
        sender = bytes.fromhex(self.sender[2:])
        fields = [self.source_hash, sender, to, self.mint, self.value, self.gas, 0, self.data]
        return bytes([DEPOSIT_TYPE]) + bytes(rlp.encode(fields))

    @property
    def tx_hash(self) -> str:
        return "0x" + bytes(keccak(self.raw)).hex()


def user_deposit(event: Mapping[str, Any], block_hash: str, log_index: int) -> Deposit:
    """Of a portal's TransactionDeposited: its values, the hash of its L1 block, and its index in that block."""
    opaque = event["opaqueData"]
    return Deposit(
        source_hash=source_hash(USER_DOMAIN, keccak(bytes.fromhex(block_hash[2:]) + log_index.to_bytes(32, "big"))),
        sender=event["from"],
        to=None if opaque[72] else event["to"],
        mint=int.from_bytes(opaque[:32], "big"),
        value=int.from_bytes(opaque[32:64], "big"),
        gas=int.from_bytes(opaque[64:72], "big"),
        data=opaque[73:],
    )


def source_hash(domain: int, identifier: bytes) -> bytes:
    """What makes one deposit another than the next."""
    return bytes(keccak(domain.to_bytes(32, "big") + identifier))
