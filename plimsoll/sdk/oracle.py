"""Signing prices as API3's beacons and packing them as the aggregator takes them.

A beacon is one signer's feed: `keccak(airnode ‖ templateId)`. An update of it is a price and a time under that signer's
signature; anyone may bring it to the chain. Prices are WAD dollars, times Unix seconds.

Source: Api3ServerV1 (`updateBeaconWithSignedData`) of @api3/contracts 27.0.0.
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

NOTHING_NEW = b""
"""The payload of a source that has no update."""

_SIGNED_MESSAGE = b"\x19Ethereum Signed Message:\n32"


def template_id(name: str) -> bytes:
    """The 32 bytes that name a feed at every signer, from its readable name such as "ETH/USD"."""
    return keccak(text=name)


def beacon_id(airnode: str, template: bytes) -> bytes:
    """The feed id of one signer's beacon. `airnode` is the signer's address."""
    return keccak(bytes.fromhex(airnode.removeprefix("0x")) + template)


def encode_price(price: int) -> bytes:
    """A price as beacons carry it. Raises UserError where it is no int224."""
    if not -(2**223) <= price < 2**223:
        raise UserError(f"price {price} does not fit a beacon (int224)")
    return price.to_bytes(32, "big", signed=True)


def sign_update(signer: LocalAccount, template: bytes, timestamp: int, data: bytes) -> bytes:
    """The 65-byte signature of an update: of `keccak(template ‖ timestamp ‖ data)` as an Ethereum signed message."""
    digest = keccak(template + timestamp.to_bytes(32, "big") + data)
    # As sign_message(encode_defunct(digest)) does, without its detours: publishers sign several prices a second.
    return bytes(signer.unsafe_sign_hash(Hash32(keccak(_SIGNED_MESSAGE + digest))).signature)


def encode_update(airnode: str, template: bytes, timestamp: int, data: bytes, signature: bytes) -> bytes:
    """The payload that the API3 adapter takes."""
    return encode(["address", "bytes32", "uint256", "bytes", "bytes"], [airnode, template, timestamp, data, signature])


def beacon_update(signer: LocalAccount, template: bytes, timestamp: int, price: int) -> bytes:
    """A signed payload: what `signer` says that the price was at `timestamp`."""
    data = encode_price(price)
    return encode_update(signer.address, template, timestamp, data, sign_update(signer, template, timestamp, data))


def price_item(market_id: int, payloads: Iterable[bytes] = ()) -> bytes:
    """One item of `priceData`: a payload per pull source in order, or none to record what the sources hold."""
    return encode(["uint256", "bytes[]"], [market_id, list(payloads)])


@dataclass(frozen=True, slots=True)
class Publisher:
    """Several signers who publish prices of one feed, in the order in which a market has them as pull sources."""

    signers: tuple[LocalAccount, ...]
    template: bytes

    @classmethod
    def from_keys(cls, keys: Iterable[bytes | str], feed: str) -> Publisher:
        """Publisher of a feed such as "ETH/USD", with one private key per signer."""
        return cls(tuple(Account.from_key(key) for key in keys), template_id(feed))

    @property
    def feed_ids(self) -> tuple[bytes, ...]:
        """The beacon of each signer: the `feedId`s of the market's sources."""
        return tuple(beacon_id(signer.address, self.template) for signer in self.signers)

    def payload(self, index: int, price: int, timestamp: int) -> bytes:
        """What one signer says."""
        return beacon_update(self.signers[index], self.template, timestamp, price)

    def payloads(self, prices: int | Sequence[int | None], timestamps: int | Sequence[int]) -> list[bytes]:
        """What each signer says; None for one who says nothing. A single price or time is everyone's.

        Raises UserError where their number is not that of the signers.
        """
        count = len(self.signers)
        each_price = [prices] * count if isinstance(prices, int) else prices
        each_time = [timestamps] * count if isinstance(timestamps, int) else timestamps
        if len(each_price) != count or len(each_time) != count:
            raise UserError(f"{len(each_price)} prices and {len(each_time)} times for {count} signers")
        return [
            NOTHING_NEW if price is None else self.payload(index, price, timestamp)
            for index, (price, timestamp) in enumerate(zip(each_price, each_time, strict=True))
        ]

    def item(self, market_id: int, prices: int | Sequence[int | None], timestamps: int | Sequence[int]) -> bytes:
        """One item of `priceData` for a market whose pull sources are this publisher's signers."""
        return price_item(market_id, self.payloads(prices, timestamps))
