"""Signing prices as Chainlink's Data Streams and packing them as the adapter takes them.

A report says a price, bid and ask of a stream at a time; more than f of a set of signers sign its hash. Prices are WAD
dollars, times Unix seconds.

Source: DestinationVerifier 0.4.0 (`verify`) and report schema 3 of @chainlink/contracts 1.3.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils import keccak

from plimsoll.core.errors import UserError

CONTEXT = (b"\0" * 32,) * 3
"""Configuration digest, epoch and salt: signed along, and of no meaning to the verifier."""
VALID_SECONDS = 86_400
MAX_SIGNERS = 31

_REPORT = ["bytes32", "uint32", "uint32", "uint192", "uint192", "uint32", "int192", "int192", "int192"]


def stream_id(name: str) -> bytes:
    """The 32 bytes that name a stream of schema 3, from its readable name such as "ETH/USD"."""
    return b"\x00\x03" + keccak(text=name)[2:]


def encode_report(stream: bytes, timestamp: int, price: int, half_spread: int = 0) -> bytes:
    """A report that costs nothing. Raises UserError where price or spread is no int192."""
    bid, ask = price - half_spread, price + half_spread
    if not -(2**191) <= min(bid, price, ask) <= max(bid, price, ask) < 2**191:
        raise UserError(f"price {price} with spread {half_spread} does not fit a report (int192)")
    return encode(_REPORT, [stream, timestamp, timestamp, 0, 0, timestamp + VALID_SECONDS, price, bid, ask])


def sign_report(signers: Sequence[LocalAccount], report: bytes) -> bytes:
    """The payload that the Data Streams adapter takes: `keccak(keccak(report) ‖ context)`, signed raw by each.

    Raises UserError where there are more signers than a report has room for.
    """
    if len(signers) > MAX_SIGNERS:
        raise UserError(f"{len(signers)} signers; a report has room for {MAX_SIGNERS}")
    digest = Hash32(keccak(keccak(report) + b"".join(CONTEXT)))
    signed = [bytes(signer.unsafe_sign_hash(digest).signature) for signer in signers]
    return encode(
        ["bytes32[3]", "bytes", "bytes32[]", "bytes32[]", "bytes32"],
        [
            list(CONTEXT),
            report,
            [one[:32] for one in signed],
            [one[32:64] for one in signed],
            bytes(one[64] - 27 for one in signed).ljust(32, b"\0"),
        ],
    )


@dataclass(frozen=True, slots=True)
class StreamPublisher:
    """The signers of one stream, who sign every report together."""

    signers: tuple[LocalAccount, ...]
    stream: bytes

    @classmethod
    def from_keys(cls, keys: Iterable[bytes | str], name: str) -> StreamPublisher:
        """Publisher of a stream such as "ETH/USD"."""
        return cls(tuple(Account.from_key(key) for key in keys), stream_id(name))

    def payload(self, price: int, timestamp: int, half_spread: int = 0) -> bytes:
        """A signed report."""
        return sign_report(self.signers, encode_report(self.stream, timestamp, price, half_spread))
