"""Who acts in the walk, and their keys: what they sign is signed for real."""

from __future__ import annotations

from functools import lru_cache

from coincurve import PrivateKey
from eth_utils import keccak

from plimsoll.chain.abi import checksum
from plimsoll.sdk.signing import Domain, Message, digest

TRADERS = tuple(f"trader {number}" for number in range(5))
BOTS = ("bot 0", "bot 1")
NO_SIGNATURE = bytes(65)
"""Of the right length, and nobody's."""


@lru_cache
def _key(name: str) -> PrivateKey:
    return PrivateKey(keccak(text=name))


@lru_cache
def actor(name: str) -> str:
    """The address of a name's key."""
    return checksum(keccak(_key(name).public_key.format(compressed=False)[1:])[12:])


def address(name: str) -> int:
    """As the model has it."""
    return int(actor(name), 16)


def main(name: str) -> int:
    """The account that fees go to."""
    return address(name) << 96


def owner_name(account: int) -> str:
    """The trader whose account it is."""
    return next(name for name in TRADERS if main(name) >> 96 == account >> 96)


def signer(name: str | None) -> int | None:
    """As the model has who signed; None for nobody."""
    return None if name is None else address(name)


def sign(message: Message, domain: Domain, name: str | None) -> bytes:
    """A name's signature, 65 bytes; of nobody one that recovers to none."""
    return NO_SIGNATURE if name is None else _signed(digest(message, domain), name)


@lru_cache(maxsize=4096)
def _signed(hash_: bytes, name: str) -> bytes:
    signature = _key(name).sign_recoverable(hash_, hasher=None)
    return signature[:64] + bytes((signature[64] + 27,))
