"""What an address sent and isn't known to be mined, where a crash doesn't take it along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from plimsoll.chain.transactions import Call


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction that may be under way, with the hashes of all versions of it."""

    nonce: int
    to: str
    data: str
    """0x…"""
    value: int
    gas: int
    max_fee: int
    tip: int
    hashes: tuple[str, ...] = ()
    is_cancel: bool = False

    def call(self) -> Call:
        return Call(self.to, bytes.fromhex(self.data[2:]), self.value, self.gas)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(raw: dict[str, Any]) -> Entry:
        return Entry(**{**raw, "hashes": tuple(raw["hashes"])})


class Journal(Protocol):
    """Where entries are written down: what was saved is there after a crash."""

    def load(self) -> list[Entry]: ...

    def save(self, entries: Sequence[Entry]) -> None:
        """Instead of all before. Raises where it can't be kept; then nothing is sent."""
        ...


class MemoryJournal:
    """Forgets in a crash; what a node's pool knows is still found then."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def load(self) -> list[Entry]:
        return list(self._entries)

    def save(self, entries: Sequence[Entry]) -> None:
        self._entries = list(entries)
