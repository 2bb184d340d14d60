"""An undo log, so that a refused call leaves no trace and costs no copy of the state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, ClassVar

_ABSENT = object()


class Recorded:
    """A mutable piece of state. A subclass names the attributes that a rollback restores in FIELDS (two or more)."""

    __slots__ = ("mark",)
    FIELDS: ClassVar[tuple[str, ...]] = ()
    image: ClassVar[attrgetter[tuple[Any, ...]]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.image = attrgetter(*cls.FIELDS)

    def __init__(self) -> None:
        self.mark = 0

    def restore(self, image: tuple[Any, ...]) -> None:
        for name, value in zip(self.FIELDS, image, strict=True):
            setattr(self, name, value)


class Journal:
    """Images of what a call is about to change. Calls nest: an order contains a trade that may fail alone."""

    __slots__ = ("_depth", "_entries", "_mark")

    def __init__(self) -> None:
        self._entries: list[tuple[Any, Any, Any]] = []
        self._mark = 1
        self._depth = 0

    def save(self, thing: Recorded) -> None:
        """Call before changing a Recorded."""
        if thing.mark != self._mark:
            thing.mark = self._mark
            self._entries.append((None, thing, type(thing).image(thing)))

    def put(self, container: dict[Any, Any], key: Any, value: Any) -> None:
        """container[key] = value."""
        self._entries.append((container, key, container.get(key, _ABSENT)))
        container[key] = value

    def drop(self, container: dict[Any, Any], key: Any) -> None:
        """del container[key]."""
        self._entries.append((container, key, container.pop(key)))

    def begin(self) -> int:
        """A point to roll back to."""
        self._mark += 1
        self._depth += 1
        return len(self._entries)

    def commit(self) -> None:
        """Keep what was done since the innermost `begin`; final with the outermost."""
        self._mark += 1
        self._depth -= 1
        if not self._depth:
            self._entries.clear()

    def rollback(self, point: int) -> None:
        """Undo what was done since the `begin` that gave this point."""
        entries = self._entries
        while len(entries) > point:
            container, key, old = entries.pop()
            if container is None:
                key.restore(old)
            elif old is _ABSENT:
                del container[key]
            else:
                container[key] = old
        self._mark += 1
        self._depth -= 1

    @contextmanager
    def discarded(self) -> Iterator[None]:
        """What happens inside is undone at the end."""
        point = self.begin()
        try:
            yield
        finally:
            self.rollback(point)
