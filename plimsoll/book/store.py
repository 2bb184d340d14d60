"""The engine's memory on disk: SQLite with a write-ahead log, one file, one writer.

A commit is one transaction, forced to the disk (`synchronous=FULL`) before it returns, and carries as many changes as
came up since the last: that is the group commit. Nothing is acknowledged before the commit that holds it, so that a
process that is killed at any moment loses nothing that anybody was told.

Big numbers are decimal text, hashes blobs of 32 bytes, an order the eleven words of its ABI encoding.
"""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plimsoll.book.book import End
from plimsoll.book.records import BookOrder, Match, MatchState, Sent, unpack_order
from plimsoll.core.errors import UserError
from plimsoll.sdk.signing import order_words

VERSION = "1"

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    sequence INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    terms BLOB NOT NULL,
    signature BLOB NOT NULL,
    signer TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    open TEXT NOT NULL,
    pending TEXT NOT NULL,
    filled TEXT NOT NULL,
    ended TEXT,
    reason TEXT NOT NULL,
    live INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS live_orders ON orders (sequence) WHERE live = 1;
CREATE TABLE IF NOT EXISTS matches (
    id INTEGER PRIMARY KEY,
    market INTEGER NOT NULL,
    maker BLOB NOT NULL,
    taker BLOB NOT NULL,
    is_buy INTEGER NOT NULL,
    base TEXT NOT NULL,
    price TEXT NOT NULL,
    at INTEGER NOT NULL,
    state INTEGER NOT NULL,
    tx_hash TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS trades ON matches (market, id);
CREATE INDEX IF NOT EXISTS unsettled ON matches (id) WHERE state < 2;
CREATE TABLE IF NOT EXISTS sent (
    tx_hash TEXT PRIMARY KEY,
    nonce INTEGER NOT NULL,
    raw BLOB NOT NULL,
    taker BLOB NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS under_way ON sent (nonce) WHERE done = 0;
"""


@dataclass(slots=True)
class Batch:
    """Changes that become true together."""

    accepted: list[BookOrder] = field(default_factory=list)
    changed: list[BookOrder] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """Hashes of transactions whose outcome is in the rest."""

    def __bool__(self) -> bool:
        return bool(self.accepted or self.changed or self.matches or self.sent or self.done)

    def rows(self) -> Rows:
        """As they are now, so that another thread may write them."""
        return Rows(
            [_order_row(one) for one in self.accepted],
            [(*_state_row(one), one.sequence) for one in self.changed],
            [_match_row(one) for one in self.matches],
            list(self.sent),
            [(one,) for one in self.done],
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as it is written."""

    accepted: list[tuple[Any, ...]]
    changed: list[tuple[Any, ...]]
    matches: list[tuple[Any, ...]]
    sent: list[Sent]
    done: list[tuple[str]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is live at a start."""

    orders: list[BookOrder]
    matches: list[Match]
    sent: list[Sent]
    sequence: int
    """The last that was given to an order, 0 for none."""
    match_id: int


class Store:
    """One deployment's file. One process may have it open to write."""

    def __init__(self, path: Path, identity: str) -> None:
        """Opens or makes it. `identity` names chain and contract.

        Raises UserError for a file that is of another deployment or version, is open elsewhere, or is no database.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = path.with_name(path.name + ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UserError(f"{path}: another process has this book open") from None
        try:
            self._writer = self._connect()
            self._reader = self._connect()
            self._check("version", VERSION)
            self._check("identity", identity)
        except sqlite3.DatabaseError as error:
            self._lock.close()
            raise UserError(f"{path}: {error}; it is no book's file, or damaged") from None
        except UserError:
            self.close()
            raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(SCHEMA)
        return connection

    def _check(self, key: str, value: str) -> None:
        self._writer.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (key, value))
        found = self._writer.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]
        if found != value:
            raise UserError(f"{self.path}: its {key} is {found}, not {value}; name another file")

    def close(self) -> None:
        for connection in (self._reader, self._writer):
            connection.close()
        self._lock.close()

    # --- writing: one thread at a time -------------------------------------------------------------------------------

    def commit(self, rows: Rows) -> None:
        """All of it, on the disk; or nothing, and sqlite3.Error."""
        write = self._writer
        write.execute("BEGIN IMMEDIATE")
        try:
            write.executemany("INSERT INTO orders VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows.accepted)
            write.executemany(
                "UPDATE orders SET open=?, pending=?, filled=?, ended=?, reason=?, live=? WHERE sequence=?",
                rows.changed,
            )
            write.executemany("INSERT OR REPLACE INTO matches VALUES (?,?,?,?,?,?,?,?,?,?)", rows.matches)
            write.executemany("INSERT OR IGNORE INTO sent (tx_hash, nonce, raw, taker) VALUES (?,?,?,?)", rows.sent)
            write.executemany("UPDATE sent SET done = 1 WHERE tx_hash = ?", rows.done)
            write.execute("COMMIT")
        except BaseException:
            if write.in_transaction:
                write.execute("ROLLBACK")
            raise

    # --- reading: what is committed ----------------------------------------------------------------------------------

    def load(self) -> Kept:
        """What was live when the last process ended, oldest first."""
        read = self._reader
        sequence = read.execute("SELECT max(sequence) FROM orders").fetchone()[0]
        match_id = read.execute("SELECT max(id) FROM matches").fetchone()[0]
        return Kept(
            orders=[_order(row) for row in read.execute("SELECT * FROM orders WHERE live = 1 ORDER BY sequence")],
            matches=[_match(row) for row in read.execute("SELECT * FROM matches WHERE state < 2 ORDER BY id")],
            sent=[
                Sent(*row)
                for row in read.execute("SELECT tx_hash, nonce, raw, taker FROM sent WHERE done = 0 ORDER BY nonce")
            ],
            sequence=sequence or 0,
            match_id=match_id or 0,
        )

    def order(self, hash_: bytes) -> BookOrder | None:
        """An order, live or not."""
        with closing(self._reader.execute("SELECT * FROM orders WHERE hash = ?", (hash_,))) as found:
            row = found.fetchone()
        return None if row is None else _order(row)

    def has(self, hash_: bytes) -> bool:
        with closing(self._reader.execute("SELECT 1 FROM orders WHERE hash = ?", (hash_,))) as found:
            return found.fetchone() is not None

    def trades(self, market_id: int, limit: int, before: int | None = None) -> list[Match]:
        """A market's matches that were not undone, the newest first; those with an id below `before`."""
        rows = self._reader.execute(
            "SELECT * FROM matches WHERE market = ? AND id < ? AND state < 3 ORDER BY id DESC LIMIT ?",
            (market_id, 2**62 if before is None else before, limit),
        )
        return [_match(row) for row in rows]


def _state_row(one: BookOrder) -> tuple[Any, ...]:
    return str(one.left), str(one.pending), str(one.filled), one.end, one.reason, int(one.is_live)


def _order_row(one: BookOrder) -> tuple[Any, ...]:
    terms = order_words(one.order)
    return one.sequence, one.hash, terms, one.signature, f"0x{one.signer:040x}", one.received_at, *_state_row(one)


def _order(row: tuple[Any, ...]) -> BookOrder:
    sequence, hash_, terms, signature, signer, received_at, left, pending, filled, ended, reason, _ = row
    return BookOrder(
        hash=hash_,
        order=unpack_order(terms),
        signature=signature,
        signer=int(signer, 16),
        sequence=sequence,
        received_at=received_at,
        left=int(left),
        pending=int(pending),
        filled=int(filled),
        end=None if ended is None else End(ended),
        reason=reason,
    )


def _match_row(one: Match) -> tuple[Any, ...]:
    sizes = str(one.base), str(one.price)
    return one.id, one.market_id, one.maker, one.taker, int(one.is_buy), *sizes, one.at, int(one.state), one.tx_hash


def _match(row: tuple[Any, ...]) -> Match:
    id_, market, maker, taker, is_buy, base, price, at, state, tx_hash = row
    sizes = int(base), int(price)
    return Match(id_, market, maker, taker, bool(is_buy), *sizes, at, MatchState(state), tx_hash)
