"""Leases, notes and claims: the same of a file and of Redis, and what happens when either is away."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plimsoll.chain.journal import Entry
from plimsoll.core.errors import UserError
from plimsoll.keepers.claims import Claims, claims_of
from plimsoll.keepers.store import FileStore, RedisStore, Store, StoredJournal, StoreUnavailable, open_store
from tests.support.redis_server import RedisServer

SHORT = 0.15
LONG = 60.0

Open = Callable[[], Store]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store as another process would."""
    if request.param == "file":
        return lambda: open_store(str(tmp_path / "folder" / "keepers.sqlite"), "one:")
    server = request.getfixturevalue("redis")
    return lambda: open_store(server.url, f"{tmp_path.name}:")


def test_lease__one_holder__who_may_prolong_it(another: Open) -> None:
    one, two = another(), another()
    assert [one.lease("work", LONG), one.lease("work", LONG), two.lease("work", LONG)] == [True, True, False]
    assert two.lease("other work", LONG)
    two.release("work")  # not his to give back
    assert not two.lease("work", LONG)
    one.release("work")
    assert two.lease("work", LONG)


def test_lease__its_holder_dies__ends_by_itself(another: Open) -> None:
    another().lease("work", SHORT)
    two = another()
    assert not two.lease("work", LONG)
    time.sleep(SHORT + 0.05)
    assert two.lease("work", LONG)


def test_lease__wall_clock_jumps__changes_nothing(another: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = another(), another()
    one.lease("work", LONG)
    for jump in (10**6, -(10**6)):
        real = time.time()
        monkeypatch.setattr(time, "time", lambda real=real, jump=jump: real + jump)
        assert not two.lease("work", LONG)


def test_lease__machine_started_again__is_free(tmp_path: Path) -> None:
    """Uptime begins at zero again, and what a lease ends by lies far ahead."""
    one, two = FileStore(tmp_path / "s"), FileStore(tmp_path / "s")
    one.lease("work", LONG)
    two._boot = "another boot"
    assert two.lease("work", LONG)


def test_open__by_several_at_once__all_have_it(tmp_path: Path) -> None:
    """As when a machine starts all its keepers."""
    count = 4
    together = threading.Barrier(count)

    def opened(path: Path) -> FileStore:
        together.wait()
        return FileStore(path)

    with ThreadPoolExecutor(count) as threads:
        for number in range(60):
            stores = list(threads.map(opened, [tmp_path / str(number)] * count))
            assert sum(one.lease("work", LONG) for one in stores) == 1


def test_put__and_get__by_name_and_prefix(another: Open) -> None:
    one, two = another(), another()
    assert two.get("note") is None
    for name in ("beat:a", "beat:b", "note", "be*t:c"):
        one.put(name, f"text of {name}")
    one.put("note", "newer")
    assert two.get("note") == "newer"
    assert two.all("beat:") == {"beat:a": "text of beat:a", "beat:b": "text of beat:b"}
    assert list(two.all("be*")) == ["be*t:c"]
    one.put("note", None)
    assert two.get("note") is None


def test_spaces__do_not_see_each_other(tmp_path: Path, redis: RedisServer) -> None:
    for address in (str(tmp_path / "s"), redis.url):
        one, two = open_store(address, "old chain:"), open_store(address, "new chain:")
        one.put("note", "x")
        assert (two.get("note"), two.all("")) == (None, {})
        assert one.lease("work", LONG)
        assert two.lease("work", LONG)


def test_put__for_some_time__is_forgotten(redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(redis.url, "short:")
    store.put("note", "x", SHORT)
    file = FileStore(tmp_path / "s")
    file.put("note", "x", SHORT)
    file.put("kept", "x")
    time.sleep(SHORT + 0.05)
    assert store.get("note") is None
    file._swept = float("-inf")
    file.put("other", "x", LONG)
    assert set(file.all("")) == {"kept", "other"}


def test_now__is_one_clock_for_all(another: Open) -> None:
    assert abs(another().now() - another().now()) < 5


# --- away ----------------------------------------------------------------------------------------------------------


def test_redis__gone__is_said__and_it_comes_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        store = RedisStore(server.url.replace("redis://", "redis://user:secret@"), "x:")
        store.name = store.name  # the password is no part of it
        assert "secret" not in store.name
        store = RedisStore(server.url, "x:")
        store.put("note", "x")
        server.stop()
        for ask in (lambda: store.lease("work", 1), lambda: store.get("note"), lambda: store.put("note", "y")):
            with pytest.raises(StoreUnavailable, match=r"store redis://127.0.0.1:\d+: .*is Redis running\?"):
                ask()
        server.start()
        assert store.lease("work", LONG)
        assert store.get("note") is None


def test_open_store__no_address__is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="give the keeper a folder that it may write to"):
        open_store(str(tmp_path / "file" / "s.sqlite"), "")
    (tmp_path / "s").write_bytes(b"no database at all, but some text of a certain length" * 40)
    with pytest.raises(UserError, match="not a database"):
        open_store(str(tmp_path / "s"), "")


def test_file__disk_full__is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "s")
    store.put("note", "x")
    pages = store._file.execute("PRAGMA page_count").fetchone()[0]
    store._file.execute(f"PRAGMA max_page_count = {pages}")  # as if the disk had no room for another page
    with pytest.raises(StoreUnavailable, match="full"):
        store.put("long", "y" * 100_000)
    store._file.execute("PRAGMA max_page_count = 100000")
    store.put("long", "y" * 100_000)
    assert FileStore(tmp_path / "s").get("note") == "x"


def test_file__another_process_holds_its_lock__is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plimsoll.keepers.store.ANSWER_SECONDS", 0.05)
    store = FileStore(tmp_path / "s")
    other = sqlite3.connect(tmp_path / "s", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.put("note", "x")
    other.execute("COMMIT")
    store.put("note", "x")
    other.close()


# --- the journal ---------------------------------------------------------------------------------------------------

ENTRY = Entry(5, "0x" + "11" * 20, "0x1234", 0, 21_000, 10**9, 10**6, ("0xaa", "0xbb"))


def test_journal__saved__is_what_the_next_process_finds(another: Open) -> None:
    StoredJournal(another(), "0xAB").save([ENTRY])
    again = StoredJournal(another(), "0xab")
    assert again.load() == [ENTRY]
    assert StoredJournal(another(), "0xcd").load() == []
    again.save([])
    assert StoredJournal(another(), "0xab").load() == []


# --- claims --------------------------------------------------------------------------------------------------------


def test_claims__two_at_once__one_gets_it(another: Open) -> None:
    one, two = Claims(another()), Claims(another())
    assert one.take(["work:a", "work:b"], 10)
    assert not two.take(["work:c", "work:b"], 10)
    assert two.take(["work:c"], 10)  # what he had taken of it was given back
    one.give_back(["work:a", "work:b"], 11)
    assert two.take(["work:a", "work:b"], 11)


def test_claims__who_has_not_seen_the_block__waits(another: Open) -> None:
    """A node that lags still shows the account as it was, and a simulation on it would go through."""
    one, two = Claims(another()), Claims(another())
    assert one.take(["work:a"], 10)
    one.give_back(["work:a"], 12)
    assert not two.take(["work:a"], 11)
    assert two.take(["work:a"], 12)


def test_claims__holder_killed__come_free(another: Open) -> None:
    assert Claims(another(), SHORT).take(["work:a"], 10)
    two = Claims(another())
    assert not two.take(["work:a"], 10)
    time.sleep(SHORT + 0.05)
    assert two.take(["work:a"], 10)


def test_claims__prolonged__outlast_their_time(another: Open) -> None:
    """The holder is still at it: what it sent was sent again."""
    first, second = Claims(another(), seconds=0.6), Claims(another(), seconds=60)
    first.begin()
    assert first.take(["a", "b"], head=1)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        time.sleep(0.25)
        assert first.prolong()
        assert not second.take(["b"], head=1)


def test_claims__taken_over_meanwhile__can_not_be_prolonged(another: Open) -> None:
    first, second = Claims(another(), seconds=0.2), Claims(another(), seconds=60)
    first.begin()
    assert first.take(["a"], head=1)
    time.sleep(0.3)
    assert second.take(["a"], head=1)
    assert not first.prolong()
    first.begin()  # the next round: none of its business any more
    time.sleep(0.1)
    assert first.prolong()


def test_claims_of__an_action_without__needs_none() -> None:
    @dataclass
    class Free:
        name: str = "x"

    @dataclass
    class Claimed:
        claims: tuple[str, ...] = field(default=("a", "b"))

    assert (claims_of(Free()), claims_of(Claimed())) == ((), ("a", "b"))
