"""Deposit transactions, as a rollup node derives them from L1: exact bytes, hence exact hashes.

Source: OP stack specification, "Deposits" and "Ecotone: L1 attributes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import rlp
from eth_utils import keccak

from plimsoll.chain.abi import address_of
from plimsoll.devnet.opstack.predeploys import DEPOSITOR, PREDEPLOYS

DEPOSIT_TYPE = 0x7E
ATTRIBUTES_GAS = 1_000_000
_FAILING_GAS = 100_000
ALIAS_OFFSET = 0x1111000000000000000000000000000000001111

_USER_DOMAIN, _ATTRIBUTES_DOMAIN = 0, 1


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

    def failed(self) -> Deposit:
        """One that fails on L2 whatever happens: its mint stays and its sender's nonce goes up, and that is all.

        The specification's effect of a deposit that can't even start, for want of gas or ether.
        """
        return replace(self, to=PREDEPLOYS["L1Block"], value=0, gas=_FAILING_GAS, data=b"\xff" * 4)


def user_deposit(event: Mapping[str, Any], block_hash: str, log_index: int) -> Deposit:
    """Of a portal's TransactionDeposited: its values, the hash of its L1 block, and its index in that block."""
    opaque = event["opaqueData"]
    return Deposit(
        source_hash=_source(_USER_DOMAIN, keccak(_bytes(block_hash) + _word(log_index))),
        sender=event["from"],
        to=None if opaque[72] else event["to"],
        mint=int.from_bytes(opaque[:32], "big"),
        value=int.from_bytes(opaque[32:64], "big"),
        gas=int.from_bytes(opaque[64:72], "big"),
        data=opaque[73:],
    )


@dataclass(frozen=True, slots=True)
class Attributes:
    """What L2 is told of an L1 block. Fees in wei; the scalars are SystemConfig's."""

    number: int
    timestamp: int
    base_fee: int
    block_hash: str
    batcher_hash: bytes
    base_fee_scalar: int
    blob_base_fee_scalar: int
    blob_base_fee: int = 1
    sequence_number: int = 0

    def deposit(self) -> Deposit:
        """The transaction that sets them (L1Block.setL1BlockValuesEcotone)."""
        data = (
            keccak(text="setL1BlockValuesEcotone()")[:4]
            + self.base_fee_scalar.to_bytes(4, "big")
            + self.blob_base_fee_scalar.to_bytes(4, "big")
            + self.sequence_number.to_bytes(8, "big")
            + self.timestamp.to_bytes(8, "big")
            + self.number.to_bytes(8, "big")
            + _word(self.base_fee)
            + _word(self.blob_base_fee)
            + _bytes(self.block_hash)
            + self.batcher_hash
        )
        source = _source(_ATTRIBUTES_DOMAIN, keccak(_bytes(self.block_hash) + _word(self.sequence_number)))
        return Deposit(source, DEPOSITOR, PREDEPLOYS["L1Block"], 0, 0, ATTRIBUTES_GAS, data)


def _source(domain: int, identifier: bytes) -> bytes:
    return bytes(keccak(_word(domain) + identifier))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
