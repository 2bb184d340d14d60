"""The index in PostgreSQL: one process writes, any number reads. Needs the extra `plimsoll[postgresql]`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from plimsoll.core.errors import UserError
from plimsoll.index.store import transaction


class PostgreSql:
    """A connection to a server's database."""

    def __init__(self, address: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise UserError("PostgreSQL needs psycopg; install plimsoll[postgresql]") from None
        try:
            self._connection = psycopg.connect(address, autocommit=True)
        except psycopg.Error as error:
            raise UserError(f"PostgreSQL: {' '.join(str(error).split())}") from None

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(_placed(sql), list(values) or None)
        return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            each = ", ".join("%s" for _ in rows[0])
            with self._connection.cursor() as cursor:
                cursor.executemany(f"INSERT INTO {table} VALUES ({each})", rows)

    def transaction(self) -> AbstractContextManager[None]:
        return transaction(self.execute)

    def close(self) -> None:
        self._connection.close()


def _placed(sql: str) -> Any:
    return sql.replace("%", "%%").replace("?", "%s") if "?" in sql else sql
