"""The L1 data fee of an OP-stack rollup since its Fjord upgrade, computed without a chain.

    estimated size = max(100, −42.5856 + 0.8365 × FastLZ size of the signed transaction)          bytes
    fee = estimated size × (16 × base fee × base fee scalar + blob base fee × blob scalar)         wei

Source: OP-stack specification, "Fjord L1-Cost fee changes (FastLZ estimator)".
"""

from __future__ import annotations

from dataclasses import dataclass

MILLION = 10**6
INTERCEPT = -42_585_600
FASTLZ_COEFFICIENT = 836_500
MIN_SIZE = 100
SIGNATURE_BYTES = 68
"""What GasPriceOracle adds to the size of an unsigned transaction for its signature, which doesn't compress."""

_WINDOW = 1 << 13
_LONGEST_MATCH = 262
_TAIL = 13
"""The last bytes, in which FastLZ doesn't look for a match to begin."""


@dataclass(frozen=True, slots=True)
class L1Prices:
    """What L1 data costs on a rollup: fees in wei of a unit of gas and of blob gas, scalars in millionths."""

    base_fee: int
    blob_base_fee: int
    base_fee_scalar: int
    blob_base_fee_scalar: int

    @property
    def scaled(self) -> int:
        """Millionths of wei that an estimated byte costs."""
        return 16 * self.base_fee_scalar * self.base_fee + self.blob_base_fee_scalar * self.blob_base_fee

    def fee(self, fastlz: int) -> int:
        """Wei, rounded down, of a transaction whose FastLZ size is `fastlz`."""
        return estimated_size(fastlz) * self.scaled // MILLION**2

    def fee_of(self, signed: bytes) -> int:
        """Wei of a signed transaction, as the rollup charges it."""
        return self.fee(fastlz_size(signed))


def estimated_size(fastlz: int) -> int:
    """Millionths of a byte that a transaction of that FastLZ size is charged for."""
    return max(MIN_SIZE * MILLION, INTERCEPT + FASTLZ_COEFFICIENT * fastlz)


def fastlz_size(data: bytes) -> int:
    """How many bytes FastLZ (level 1) would make of `data`; nothing is compressed.

    Literals go in runs of 32 with a byte before each. A match of three bytes or more, at most 8 KiB back, takes two
    bytes, three where it is longer than 8; candidates are found by one hash of three bytes, the newest place for each.
    """
    places: dict[int, int] = {}
    last = max(0, len(data) - _TAIL)
    anchor = size = 0
    at = 2
    while at < last:
        found = _next_match(data, places, at, last)
        if found is None:
            break
        at, back = found
        size += _literals(at - anchor)
        length = _match_length(data, back, at, last + _TAIL - 4)
        size += _match(length)
        at += length
        for _ in range(2):
            places[_hash(data, at)] = at
            at += 1
        anchor = at
    return size + _literals(len(data) - anchor)


def _next_match(data: bytes, places: dict[int, int], at: int, last: int) -> tuple[int, int] | None:
    """The next place, from `at` on, whose three bytes stood before within the window, and where they did."""
    while at < last:
        key = _hash(data, at)
        back = places.get(key, 0)
        places[key] = at
        if at - back < _WINDOW and data[at : at + 3] == data[back : back + 3]:
            return (at, back) if at + 1 < last else None
        at += 1
    return None


def _hash(data: bytes, at: int) -> int:
    return (int.from_bytes(data[at : at + 3], "little") * 2_654_435_769 & 0xFFFFFFFF) >> 19


def _match_length(data: bytes, back: int, at: int, end: int) -> int:
    """Of a match of three bytes at least, less two, or less three where it runs to `end`: what FastLZ goes on by
    before it hashes two places more."""
    length, longest = 0, end - at - 3
    while length < longest and data[back + 3 + length] == data[at + 3 + length]:
        length += 1
    return length + 1 if length < longest else longest


def _literals(count: int) -> int:
    whole, rest = divmod(count, 32)
    return 33 * whole + (rest + 1 if rest else 0)


def _match(length: int) -> int:
    whole, rest = divmod(length - 1, _LONGEST_MATCH)
    return 3 * whole + (3 if rest >= 6 else 2)
