"""The tables, the same in both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.index import store as stores
from plimsoll.index.store import Store, StoredBlock, StoredEvent, StoredSettlement, open_store

ALICE, BOB = f"0x{1:064x}", f"0x{2:064x}"


def block(number: int, fork: str = "a") -> StoredBlock:
    return StoredBlock(number, f"0x{fork}{number}", 1_000 + number)


def event(number: int, index: int = 0, account: str | None = ALICE, name: str = "Traded") -> StoredEvent:
    fields = {"base": str(-(2**127)), "fee": str(2**255), "deep": [{"ok": True, "text": "ä % ? '"}]}
    return StoredEvent(number, index, f"0xf{number}", "PerpMarket", "0xA", name, account, None, 1, fields)


def test_write__events_and_settlements__are_read_back_exactly(store: Store) -> None:
    events = [event(1), event(1, 1, BOB), event(2, 0, None)]
    settlement = StoredSettlement(2, 0, ALICE, 1, str(-(10**30)))
    store.write([block(1), block(2)], events, [settlement])
    assert store.events() == events
    assert store.events("account = ?", [BOB]) == [events[1]]
    assert store.events(order="block DESC, log_index DESC", limit=1) == [events[2]]
    assert store.settlements(ALICE) == [settlement]
    assert store.settlements(BOB) == []
    assert store.times(1, 2) == {1: 1_001, 2: 1_002}


def test_write__number_of_256_bits__can_be_added_up_in_sql(store: Store) -> None:
    store.write(
        [block(1)], [event(1)._replace(fields={"fee": str(10**36)}), event(1, 1)._replace(fields={"fee": "7"})], []
    )
    (total,) = store.query("SELECT sum((fields->>'fee')::DECIMAL(38, 0)) FROM events")[0]
    assert int(total) == 10**36 + 7


def test_write__event_that_is_there_already__nothing_of_it_is_written(store: Store) -> None:
    store.write([block(1)], [event(1)], [])
    with pytest.raises(Exception, match=r"(?i)duplicate"):
        store.write([block(2)], [event(2), event(1)], [])
    assert store.events() == [event(1)]
    assert store.block_back(0) == block(1)


def test_write__same_block_again__counts_once(store: Store) -> None:
    store.write([block(5)], [], [])
    store.write([block(5)], [event(5)], [])
    assert store.block_back(0) == block(5)
    assert store.block_back(1) is None


def test_remove_after__block__nothing_newer_is_left(store: Store) -> None:
    store.write([block(1), block(2), block(3)], [event(1), event(2), event(3)], [StoredSettlement(3, 0, ALICE, 1, "1")])
    store.remove_after(2)
    assert store.events() == [event(1), event(2)]
    assert store.block_back(0) == block(2)
    assert store.settlements(ALICE) == []
    store.remove_after(-1)
    assert store.block_back(0) is None


def test_block_back__steps__goes_by_stored_blocks(store: Store) -> None:
    store.write([block(1), block(40), block(50)], [], [])
    assert [store.block_back(steps) for steps in range(4)] == [block(50), block(40), block(1), None]


def test_all_events__more_than_a_batch__come_once_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_BATCH", 3)
    events = [event(number, index) for number in range(4) for index in range(4)]
    store.write([block(number) for number in range(4)], events, [])
    parts = list(store.all_events())
    assert [one for part in parts for one in part] == events
    assert max(map(len, parts)) == 3


def test_claim__another_deployments_index__is_refused(where: str) -> None:
    with open_store(where) as store:
        store.claim(chain="901", vault="0xaa")
        store.claim(chain="901", vault="0xaa")
    with open_store(where) as store, pytest.raises(UserError, match="vault is 0xaa, not 0xbb"):
        store.claim(chain="901", vault="0xbb")


def test_open_store__file_that_is_no_database__says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("something else entirely, for more than one page of a database" * 100)
    with pytest.raises(UserError, match=r"notes\.txt"):
        open_store(path)


def test_open_store__no_server__says_so_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PostgreSQL: connection"):
        open_store(f"postgresql://nobody@/x?host={tmp_path}")
