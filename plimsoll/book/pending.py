"""Matches that are not settled: those that wait, by their taker and by their maker, and those in transactions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plimsoll.book.records import Match


class Pending:
    """An index; it changes no match."""

    def __init__(self) -> None:
        self._by_taker: dict[bytes, dict[int, Match]] = {}
        self._by_maker: dict[bytes, dict[int, Match]] = {}
        self._sent: dict[str, list[Match]] = {}

    def __len__(self) -> int:
        """How many wait."""
        return sum(len(matches) for matches in self._by_taker.values())

    def takers(self) -> Iterator[tuple[bytes, tuple[Match, ...]]]:
        """Each taker with what waits of his, the oldest first."""
        for taker, matches in self._by_taker.items():
            yield taker, tuple(matches.values())

    def of_taker(self, taker: bytes) -> tuple[Match, ...]:
        return tuple(self._by_taker.get(taker, {}).values())

    def of_maker(self, maker: bytes) -> tuple[Match, ...]:
        return tuple(self._by_maker.get(maker, {}).values())

    def between(self, maker: bytes, taker: bytes) -> Match | None:
        """The one of these two that waits."""
        return next((match for match in self._by_maker.get(maker, {}).values() if match.taker == taker), None)

    def add(self, match: Match) -> None:
        """It waits."""
        self._by_taker.setdefault(match.taker, {})[match.id] = match
        self._by_maker.setdefault(match.maker, {})[match.id] = match

    def discard(self, match: Match) -> None:
        """It doesn't wait any more."""
        for index, key in ((self._by_taker, match.taker), (self._by_maker, match.maker)):
            found = index.get(key)
            if found is not None and found.pop(match.id, None) is not None and not found:
                del index[key]

    def send(self, tx_hash: str, matches: Iterable[Match]) -> None:
        """They are in that transaction, and don't wait."""
        self._sent[tx_hash] = list(matches)
        for match in self._sent[tx_hash]:
            self.discard(match)

    def sent(self, tx_hash: str) -> list[Match]:
        """The matches of a transaction, in its order."""
        return self._sent[tx_hash]

    def finish(self, tx_hash: str) -> list[Match]:
        """A transaction's outcome is known: its matches."""
        return self._sent.pop(tx_hash)

    def hashes_sent(self) -> set[bytes]:
        """Orders with a match in a transaction."""
        return {key for matches in self._sent.values() for match in matches for key in (match.maker, match.taker)}
