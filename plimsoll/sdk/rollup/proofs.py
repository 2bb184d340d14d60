"""Withdrawals out of an L2's message passer, and the proofs of them that L1 accepts.

Source: OP stack specification, "Withdrawals" and "Proposals: L2 output commitment construction".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from eth_abi import encode
from eth_utils import keccak

from plimsoll.chain.optimism import MESSAGE_PASSER, at
from plimsoll.chain.transactions import Chain, Receipt
from plimsoll.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A message from L2 to L1 that the message passer recorded in block `block_number`; `value` in wei."""

    nonce: int
    sender: str
    target: str
    value: int
    gas_limit: int
    data: bytes
    block_number: int

    @staticmethod
    def of_event(values: Mapping[str, Any], block_number: int) -> Withdrawal:
        """Out of the values of a MessagePassed event."""
        return Withdrawal(
            nonce=values["nonce"],
            sender=values["sender"],
            target=values["target"],
            value=values["value"],
            gas_limit=values["gasLimit"],
            data=values["data"],
            block_number=block_number,
        )

    @property
    def message_hash(self) -> bytes:
        """By which the messenger on L1 knows what it carries: of its call data."""
        return bytes(keccak(self.data))

    @property
    def transaction(self) -> tuple[int, str, str, int, int, bytes]:
        """The struct WithdrawalTransaction that the portal takes."""
        return self.nonce, self.sender, self.target, self.value, self.gas_limit, self.data

    @property
    def hash(self) -> bytes:
        types = ["uint256", "address", "address", "uint256", "uint256", "bytes"]
        return bytes(keccak(encode(types, self.transaction)))


class OutputRoot(NamedTuple):
    """What the root of an L2 block commits to; the struct OutputRootProof that the portal takes."""

    version: bytes
    state_root: bytes
    storage_root: bytes
    """Of the message passer."""
    block_hash: bytes

    @property
    def hash(self) -> bytes:
        return bytes(keccak(b"".join(self)))


@dataclass(frozen=True, slots=True)
class Proof:
    """That a withdrawal was recorded, as the portal takes it: `index` is the game's or the output's."""

    index: int
    output: OutputRoot
    nodes: tuple[bytes, ...]


def withdrawals_in(receipt: Receipt, l2: Chain) -> list[Withdrawal]:
    """Those that an L2 transaction began, in their order."""
    return [
        Withdrawal.of_event(event.values, receipt.block_number)
        for event in at("MessagePasser", MESSAGE_PASSER, l2).events(receipt, "MessagePassed")
    ]


def output_root(l2: Chain, block_number: int) -> OutputRoot:
    """Of an L2 block. Raises UserError where the chain has none of that number."""
    block = l2.rpc.call("eth_getBlockByNumber", hex(block_number), False)
    if block is None:
        raise UserError(f"{l2.uri}: has no block {block_number}")
    proof = l2.rpc.call("eth_getProof", MESSAGE_PASSER, [], hex(block_number))
    return OutputRoot(bytes(32), _bytes(block["stateRoot"]), _bytes(proof["storageHash"]), _bytes(block["hash"]))


def prove_withdrawal(withdrawal: Withdrawal, index: int, block_number: int, l2: Chain) -> Proof:
    """Proof against the output of an L2 block, which is number `index` on L1.

    Raises UserError where the block doesn't have the withdrawal yet, or no longer.
    """
    slot = keccak(encode(["bytes32", "uint256"], [withdrawal.hash, 0]))
    answer = l2.rpc.call("eth_getProof", MESSAGE_PASSER, ["0x" + bytes(slot).hex()], hex(block_number))
    found = answer["storageProof"][0]
    if int(found["value"], 16) != 1:
        raise UserError(
            f"L2 block {block_number} has no withdrawal 0x{withdrawal.hash.hex()}; was it reorganised away?"
        )
    nodes = tuple(_bytes(node) for node in found["proof"])
    return Proof(index, output_root(l2, block_number), nodes)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
