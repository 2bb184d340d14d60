"""When to come back to an order: one that was refused at a later record, one that somebody else was faster with at a
later block, and the later the more often it happened."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

MAX_RECORDS = 32
MAX_BLOCKS = 32


@dataclass(slots=True)
class _Refused:
    times: int
    at: int
    """The record from which it is tried again."""


@dataclass(slots=True)
class _Lost:
    times: int
    until: int
    """The block from which its state is read again."""
    rests: bool = True


class Patience:
    """What is known of orders that didn't go."""

    def __init__(self) -> None:
        self._refused: dict[bytes, _Refused] = {}
        self._lost: dict[bytes, _Lost] = {}

    def refuse(self, hash_: bytes, sequence: int, most: int = MAX_RECORDS) -> bool:
        """It was refused at a record: not again before the next, and then at ever later ones, `most` later at most.

        True the first time.
        """
        refused = self._refused.setdefault(hash_, _Refused(0, 0))
        refused.times += 1
        refused.at = sequence + min(1 << min(refused.times - 1, 16), most)
        return refused.times == 1

    def lose(self, hash_: bytes, block: int) -> None:
        """A transaction of that block was sent for nothing: not again before its state was read at that block or later,
        and after more such losses at ever later ones."""
        lost = self._lost.setdefault(hash_, _Lost(0, 0))
        lost.times += 1
        lost.rests, lost.until = True, block - 1 + min(1 << min(lost.times - 1, 16), MAX_BLOCKS)

    @property
    def retry_at(self) -> dict[bytes, int]:
        """The record from which each refused order is tried again."""
        return {hash_: one.at for hash_, one in self._refused.items()}

    @property
    def resting(self) -> frozenset[bytes]:
        return frozenset(hash_ for hash_, one in self._lost.items() if one.rests)

    def to_read(self, block: int) -> list[bytes]:
        """Those whose state has to be read at this block before they are sent again."""
        return [hash_ for hash_, one in self._lost.items() if one.rests and block >= one.until]

    def wake(self, hash_: bytes) -> None:
        """Its state was read, and it is still open."""
        self._lost[hash_].rests = False

    def keep(self, open_: Container[bytes]) -> None:
        """Forget all others."""
        self._refused = {hash_: one for hash_, one in self._refused.items() if hash_ in open_}
        self._lost = {hash_: one for hash_, one in self._lost.items() if hash_ in open_}
