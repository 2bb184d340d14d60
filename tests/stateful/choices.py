"""Where the arguments of the walk's calls come from."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

T = TypeVar("T")


class Choices(Protocol):
    """Where a handler's arguments come from."""

    def pick(self, items: Sequence[T]) -> T: ...

    def integer(self, low: int, high: int) -> int: ...

    def chance(self, percent: int) -> bool: ...


class Seeded:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.random.random() * len(items))]

    def integer(self, low: int, high: int) -> int:
        return low + int(self.random.random() * (high - low + 1))

    def chance(self, percent: int) -> bool:
        return self.random.random() * 100 < percent
