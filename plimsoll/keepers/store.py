"""What keepers have in common: who sends from an address, who does which work, what was sent, who is alive.

One machine keeps it in a file (SQLite), a fleet in Redis; `open_store` takes either. Leases end by a clock that no wall
clock moves: the server's in Redis, the machine's uptime in a file. Nothing in here is needed to know what happened on
the chain: a store that is lost or wiped costs a wait for what is under way, never a second payment.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import redis

from plimsoll.chain.journal import Entry
from plimsoll.chain.rpc import endpoint_name
from plimsoll.core.errors import UserError
from plimsoll.keepers.holders import boot_id, own_name

T = TypeVar("T")

ANSWER_SECONDS = 3.0
"""How long Redis, or another process's lock on the file, is waited for."""


SWEEP_SECONDS = 600.0
"""How often a file is rid of what is to be forgotten."""


class StoreUnavailable(UserError):
    """The store can't be read or written; nothing may be sent until it can."""


class Store(Protocol):
    """Leases and values by name, of one deployment."""

    name: str

    def lease(self, name: str, seconds: float) -> bool:
        """Take or prolong a lease; False where another holder has it. Raises StoreUnavailable."""
        ...

    def holder(self, name: str) -> str:
        """Who has a lease, as `holders` names him; empty where nobody has."""
        ...

    def release(self, name: str, holder: str = "") -> None:
        """Give a lease back, ours or one of a holder who is gone; nothing where it is another's by now."""
        ...

    def get(self, name: str) -> str | None: ...

    def put(self, name: str, text: str | None, seconds: float | None = None) -> None:
        """None removes it. It is there once this returns, also if the process is killed right after.

        What a power cut takes with it is found in the node's pool, as far as that matters. With `seconds` it is
        forgotten some time after them.
        """
        ...

    def all(self, prefix: str) -> dict[str, str]:
        """Values by name, of names that start so."""
        ...

    def now(self) -> float:
        """The store's own clock, seconds: to compare with what others wrote."""
        ...


def open_store(address: str, space: str) -> Store:
    """`redis://…` or a file's path; `space` is the deployment's, so that several share one. Raises UserError."""
    if address.startswith(("redis://", "rediss://", "unix://")):
        return RedisStore(address, space)
    return FileStore(Path(address), space)


class FileStore:
    """A SQLite file that the processes of one machine share."""

    def __init__(self, path: Path, space: str = "") -> None:
        """Raises UserError where it can't be opened."""
        self.name = str(path)
        self._space = space
        self._holder = own_name()
        self._boot = boot_id()
        self._lock = threading.Lock()
        self._swept = 0.0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=ANSWER_SECONDS, isolation_level=None, check_same_thread=False)
            for statement in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "CREATE TABLE IF NOT EXISTS leases (name TEXT PRIMARY KEY, holder TEXT, boot TEXT, ends REAL)",
                "CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, text TEXT, boot TEXT, ends REAL)",
            ):
                _patiently(self._file, statement)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"store {path}: {error}; give the keeper a folder that it may write to") from None

    def lease(self, name: str, seconds: float) -> bool:
        now = time.monotonic()
        changed = self._write(
            "INSERT INTO leases VALUES (:name, :holder, :boot, :ends) ON CONFLICT (name) DO UPDATE SET "
            "holder = :holder, boot = :boot, ends = :ends "
            "WHERE holder = :holder OR boot != :boot OR ends <= :now",
            {"name": self._space + name, "holder": self._holder, "boot": self._boot, "ends": now + seconds, "now": now},
        )
        return changed == 1

    def holder(self, name: str) -> str:
        found = self._read("SELECT holder FROM leases WHERE name = ?", (self._space + name,))
        return str(found[0][0]) if found else ""

    def release(self, name: str, holder: str = "") -> None:
        self._write("DELETE FROM leases WHERE name = ? AND holder = ?", (self._space + name, holder or self._holder))

    def get(self, name: str) -> str | None:
        found = self._read("SELECT text FROM notes WHERE name = ?", (self._space + name,))
        return found[0][0] if found else None

    def put(self, name: str, text: str | None, seconds: float | None = None) -> None:
        now = time.monotonic()
        if text is None:
            self._write("DELETE FROM notes WHERE name = ?", (self._space + name,))
            return
        boot, ends = (None, None) if seconds is None else (self._boot, now + seconds)
        self._write("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", (self._space + name, text, boot, ends))
        if seconds is not None and now - self._swept > SWEEP_SECONDS:
            self._swept = now
            self._write("DELETE FROM notes WHERE boot IS NOT NULL AND (boot != ? OR ends <= ?)", (self._boot, now))

    def all(self, prefix: str) -> dict[str, str]:
        start = self._space + prefix
        rows = self._read(
            "SELECT name, text FROM notes WHERE substr(name, 1, ?) = ? ORDER BY name", (len(start), start)
        )
        return {name[len(self._space) :]: text for name, text in rows}

    def now(self) -> float:
        return time.time()

    def _read(self, statement: str, values: Sequence[Any]) -> list[Any]:
        return self._do(lambda: self._file.execute(statement, values).fetchall())

    def _write(self, statement: str, values: Any) -> int:
        return self._do(lambda: self._file.execute(statement, values).rowcount)

    def _do(self, action: Callable[[], T]) -> T:
        with self._lock:
            try:
                return action()
            except sqlite3.Error as error:  # the disk is full, the file is gone, somebody holds its lock
                raise StoreUnavailable(f"store {self.name}: {error}") from None


def _patiently(file: sqlite3.Connection, statement: str) -> None:
    """Execute it, again while others hold the file: SQLite doesn't wait itself where several turn WAL on at once."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            file.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class RedisStore:
    """A Redis server that all workers share."""

    _TAKE = """
        local holder = redis.call('GET', KEYS[1])
        if holder and holder ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        return 1
    """
    _GIVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

    def __init__(self, url: str, space: str = "") -> None:
        """Opens nothing yet. Raises UserError where `url` is none."""
        self.name = endpoint_name(url)
        self._space = f"plimsoll:{space}"
        self._holder = own_name()
        try:
            self._redis: Any = redis.Redis.from_url(
                url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS, decode_responses=True
            )
        except ValueError as error:
            raise UserError(f"store {self.name}: {error}") from None

    def lease(self, name: str, seconds: float) -> bool:
        milliseconds = max(1, round(seconds * 1_000))
        return bool(self._do(lambda: self._redis.eval(self._TAKE, 1, self._key(name), self._holder, milliseconds)))

    def holder(self, name: str) -> str:
        return str(self._do(lambda: self._redis.get(self._key(name))) or "")

    def release(self, name: str, holder: str = "") -> None:
        self._do(lambda: self._redis.eval(self._GIVE, 1, self._key(name), holder or self._holder))

    def get(self, name: str) -> str | None:
        found = self._do(lambda: self._redis.get(self._space + name))
        return None if found is None else str(found)

    def put(self, name: str, text: str | None, seconds: float | None = None) -> None:
        if text is None:
            self._do(lambda: self._redis.delete(self._space + name))
        else:
            milliseconds = None if seconds is None else max(1, round(seconds * 1_000))
            self._do(lambda: self._redis.set(self._space + name, text, px=milliseconds))

    def all(self, prefix: str) -> dict[str, str]:
        def read() -> dict[str, str]:
            names = sorted(self._redis.scan_iter(match=f"{_plain(self._space + prefix)}*", count=500))
            texts = self._redis.mget(names) if names else []
            return {name[len(self._space) :]: text for name, text in zip(names, texts, strict=True) if text is not None}

        return self._do(read)

    def now(self) -> float:
        seconds, micros = self._do(lambda: self._redis.time())
        return float(seconds) + float(micros) / 1e6

    def _key(self, name: str) -> str:
        return f"{self._space}lease:{name}"

    def _do(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except redis.RedisError as error:
            what = " ".join(str(error).split()) or type(error).__name__
            raise StoreUnavailable(f"store {self.name}: {what}; is Redis running?") from None


class StoredJournal:
    """What an address sent, in a store: whoever sends from it next finds it there."""

    def __init__(self, store: Store, address: str) -> None:
        self._store = store
        self._name = f"sent:{address.lower()}"
        self._is_empty = False
        """Whether nothing is known to be written down, so that saving nothing again costs nothing."""

    def load(self) -> list[Entry]:
        text = self._store.get(self._name)
        return [] if text is None else [Entry.from_json(one) for one in json.loads(text)]

    def save(self, entries: Sequence[Entry]) -> None:
        if entries or not self._is_empty:
            self._store.put(self._name, json.dumps([one.to_json() for one in entries]) if entries else None)
        self._is_empty = not entries


def _plain(text: str) -> str:
    """Without the characters that a Redis pattern gives a meaning."""
    return "".join(f"\\{one}" if one in "*?[]\\^" else one for one in text)
