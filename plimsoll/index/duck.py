"""The index in a DuckDB file: nothing to set up, one process at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from plimsoll.core.errors import UserError
from plimsoll.index.store import transaction

MEMORY = ":memory:"


class Duck:
    """A connection to a file."""

    def __init__(self, path: Path, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are DuckDB's. Raises UserError where it can't be opened."""
        try:
            if str(path) != MEMORY:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = duckdb.connect(str(path), config=dict(settings or {}))
        except (duckdb.Error, OSError) as error:
            first = str(error).splitlines()[0]
            raise UserError(
                f"{path}: {first}; another process may have the index open: stop it, name another file, "
                "or keep the index in PostgreSQL, which several can read"
            ) from None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found = self._connection.execute(sql, list(values)) if values else self._connection.execute(sql)
        return found.fetchall() if found.description else []

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            columns = list(zip(*rows, strict=True))
            each = ", ".join("unnest(?)" for _ in columns)
            self._connection.execute(f"INSERT INTO {table} SELECT {each}", [list(column) for column in columns])

    def transaction(self) -> AbstractContextManager[None]:
        return transaction(self._connection.execute)

    def close(self) -> None:
        self._connection.close()
