"""Deposit transactions that no user asks for: the L1 attributes and network upgrades.

Source: OP stack specification, "Ecotone: L1 attributes", "Network upgrade automation transactions".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eth_utils import keccak

from plimsoll.devnet.opstack.predeploys import DEPOSITOR, PREDEPLOYS
from plimsoll.sdk.rollup.derivation import Deposit, source_hash

ATTRIBUTES_GAS = 1_000_000
_FAILING_GAS = 100_000

_ATTRIBUTES_DOMAIN = 1


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
        source = source_hash(_ATTRIBUTES_DOMAIN, keccak(_bytes(self.block_hash) + _word(self.sequence_number)))
        return Deposit(source, DEPOSITOR, PREDEPLOYS["L1Block"], 0, 0, ATTRIBUTES_GAS, data)


def failing(deposit: Deposit) -> Deposit:
    """One in its place that fails on L2: its mint stays and its sender's nonce goes up, and that is all.

    The specification's effect of a deposit that can't even start, for want of gas or ether.
    """
    return replace(deposit, to=PREDEPLOYS["L1Block"], value=0, gas=_FAILING_GAS, data=b"\xff" * 4)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
