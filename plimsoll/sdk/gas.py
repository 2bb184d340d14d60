"""What a rollup knows of L1: the price of a byte there."""

from __future__ import annotations

from eth_utils import function_signature_to_4byte_selector

from plimsoll.chain.transactions import BlockId, Call, Chain

L1_BLOCK = "0x4200000000000000000000000000000000000015"
"""The OP stack's predeploy."""
_FIELDS = ("baseFeeScalar()", "basefee()", "blobBaseFeeScalar()", "blobBaseFee()")


def read_fee_per_byte(chain: Chain, block: BlockId = "latest") -> int:
    """Wei for a byte of compressed data, as the liquidator reckons it; 0 where there is no OP stack."""
    if not chain.code(L1_BLOCK):
        return 0
    calls = [Call(L1_BLOCK, function_signature_to_4byte_selector(name), decode=_number) for name in _FIELDS]
    base_scalar, base_fee, blob_scalar, blob_fee = chain.read(calls, block=block)
    return int(16 * base_scalar * base_fee + blob_scalar * blob_fee) // 10**6


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "big")
