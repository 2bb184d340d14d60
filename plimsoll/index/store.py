"""The index's tables, in DuckDB (a file) or PostgreSQL (a server): blocks, events, and what positions settled.

All numbers of events are decimal text within JSON, since they have up to 256 bits: `(fields->>'fee')::HUGEINT` in
DuckDB, `::numeric` in PostgreSQL. Accounts are 0x and 64 hexadecimal digits. What is written together is there
together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from plimsoll.core.errors import UserError

SCHEMA = "1"
POSTGRESQL = ("postgresql://", "postgres://")
_BATCH = 2_000
_TABLES = (
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS blocks (number BIGINT PRIMARY KEY, hash TEXT NOT NULL, time BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS events (block BIGINT NOT NULL, log_index BIGINT NOT NULL, tx TEXT NOT NULL,"
    " contract TEXT NOT NULL, address TEXT NOT NULL, name TEXT NOT NULL, account TEXT, other TEXT, market BIGINT,"
    " fields JSON NOT NULL, PRIMARY KEY (block, log_index))",
    "CREATE TABLE IF NOT EXISTS settlements (block BIGINT NOT NULL, log_index BIGINT NOT NULL, account TEXT NOT NULL,"
    " market BIGINT NOT NULL, owed TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS events_account ON events (account)",
    "CREATE INDEX IF NOT EXISTS events_other ON events (other)",
    "CREATE INDEX IF NOT EXISTS events_name ON events (name)",
    "CREATE INDEX IF NOT EXISTS settlements_account ON settlements (account)",
)
_ALL = "block, log_index, tx, contract, address, name, account, other, market, fields"


class StoredBlock(NamedTuple):
    """`time` in Unix seconds."""

    number: int
    hash: str
    time: int


class StoredEvent(NamedTuple):
    """`account` and `other` are the accounts that it is about, None where it is about none; `fields` its values."""

    block: int
    log_index: int
    tx: str
    contract: str
    address: str
    name: str
    account: str | None
    other: str | None
    market: int | None
    fields: dict[str, Any]


class StoredSettlement(NamedTuple):
    """What a position owed when it was touched, WAD dollars as text: funding and its part of what was closed."""

    block: int
    log_index: int
    account: str
    market: int
    owed: str


class Connection(Protocol):
    """What the store needs of a database; parameters are written `?`."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None: ...

    def transaction(self) -> AbstractContextManager[None]: ...

    def close(self) -> None: ...


class Store:
    """The tables over one connection; not for several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with connection.transaction():
            for sql in _TABLES:
                connection.execute(sql)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    # ------------------------------------------------------------------------------------------------------- writing

    def claim(self, **identity: str) -> None:
        """The first time write whose events these are; later raise UserError where it is another's."""
        known = dict(self._connection.execute("SELECT name, value FROM meta"))
        wanted = {"schema": SCHEMA, **identity}
        if not known:
            with self._connection.transaction():
                self._connection.insert("meta", list(wanted.items()))
            return
        for name, value in wanted.items():
            if known.get(name) != value:
                raise UserError(
                    f"the index's {name} is {known.get(name)}, not {value}: it is of another deployment; "
                    "name another database, or delete this one and it is read anew"
                )

    def write(
        self, blocks: Sequence[StoredBlock], events: Sequence[StoredEvent], settlements: Sequence[StoredSettlement]
    ) -> None:
        """All of it or nothing."""
        with self._connection.transaction():
            numbers = [block.number for block in blocks]
            if numbers:
                self._connection.execute(
                    "DELETE FROM blocks WHERE number BETWEEN ? AND ?", [min(numbers), max(numbers)]
                )
            self._connection.insert("blocks", blocks)
            self._connection.insert("events", [(*one[:-1], json.dumps(one.fields)) for one in events])
            self._connection.insert("settlements", settlements)

    def remove_after(self, block: int) -> None:
        """Forget all newer blocks and what was in them."""
        with self._connection.transaction():
            self._connection.execute("DELETE FROM settlements WHERE block > ?", [block])
            self._connection.execute("DELETE FROM events WHERE block > ?", [block])
            self._connection.execute("DELETE FROM blocks WHERE number > ?", [block])

    # ------------------------------------------------------------------------------------------------------- reading

    def block_back(self, steps: int) -> StoredBlock | None:
        """The newest block but so many; None where there are fewer."""
        rows = self._connection.execute(
            "SELECT number, hash, time FROM blocks ORDER BY number DESC LIMIT 1 OFFSET ?", [steps]
        )
        return StoredBlock(*rows[0]) if rows else None

    def times(self, first: int, last: int) -> dict[int, int]:
        """Times of the stored blocks among these."""
        return dict(
            self._connection.execute("SELECT number, time FROM blocks WHERE number BETWEEN ? AND ?", [first, last])
        )

    def events(
        self, where: str = "TRUE", values: Sequence[Any] = (), *, order: str = "", limit: int | None = None
    ) -> list[StoredEvent]:
        """Events for which a condition over the columns holds, in the chain's order unless another is given."""
        cut = "" if limit is None else f" LIMIT {int(limit)}"
        sql = f"SELECT {_ALL} FROM events WHERE {where} ORDER BY {order or 'block, log_index'}{cut}"
        return [_event(row) for row in self._connection.execute(sql, values)]

    def places(self, first: int, last: int) -> set[tuple[int, int]]:
        """(block, log index) of every event of these blocks."""
        sql = "SELECT block, log_index FROM events WHERE block BETWEEN ? AND ?"
        return {(int(block), int(place)) for block, place in self._connection.execute(sql, [first, last])}

    def all_events(self) -> Iterator[list[StoredEvent]]:
        """Every event in the chain's order, some thousands at a time."""
        last = (-1, -1)
        while part := self.events("(block > ? OR (block = ? AND log_index > ?))", [last[0], *last], limit=_BATCH):
            yield part
            last = part[-1].block, part[-1].log_index

    def settlements(self, account: str) -> list[StoredSettlement]:
        rows = self._connection.execute(
            "SELECT block, log_index, account, market, owed FROM settlements"
            " WHERE account = ? ORDER BY block, log_index",
            [account],
        )
        return [StoredSettlement(*row) for row in rows]

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of any query, for reports."""
        return self._connection.execute(sql, values)


def _event(row: Sequence[Any]) -> StoredEvent:
    *columns, fields = row
    return StoredEvent._make([*columns, json.loads(fields) if isinstance(fields, str) else fields])


def open_store(where: str | Path) -> Store:
    """A store at a `postgresql://` address, or in a DuckDB file that is made where it doesn't exist.

    Raises UserError where it can't be opened.
    """
    if str(where).startswith(POSTGRESQL):
        from plimsoll.index.postgresql import PostgreSql

        return Store(PostgreSql(str(where)))
    from plimsoll.index.duck import Duck

    return Store(Duck(Path(where)))


@contextmanager
def transaction(begin: Callable[[str], object]) -> Iterator[None]:
    """BEGIN, and COMMIT or ROLLBACK."""
    begin("BEGIN")
    try:
        yield
    except BaseException:
        begin("ROLLBACK")
        raise
    begin("COMMIT")
