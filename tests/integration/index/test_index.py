"""The mirror from events alone is the chain, word by word; and who it says may be liquidated, the contracts say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from plimsoll.core import ids
from plimsoll.index import history, mirror
from plimsoll.index.follow import Index
from plimsoll.index.mirror import MirrorBroken
from plimsoll.index.store import Store, open_store
from plimsoll.sdk.events import LIQUIDATIONS
from plimsoll.sdk.fund import read_ledger
from plimsoll.sdk.history import Histories
from plimsoll.sdk.snapshots import read_health
from tests.integration.index.conftest import Traded
from tests.support.postgres import postgresql

pytestmark = [pytest.mark.node]

DEPTH = 10


def test_update__from_block_0__the_mirror_is_what_the_contracts_store(traded: Traded, tmp_path: Path) -> None:
    with open_store(tmp_path / "index.duckdb") as store:
        index = Index(traded.contracts, store)
        index.update()
        stored, mirrored = traded.at_chain(index.mirror)
        assert mirrored == stored
        assert len(stored.balances) > 60
        assert sum(1 for words in stored.positions.values() if words[0]) > 10
        names = Counter(name for (name,) in store.query("SELECT name FROM events"))
        seen = ("Traded", "Filled", "OrdersMatched", "Liquidated", "TakenOver", "Absorbed", "OrderVoided")
        assert min(names[one] for one in seen) > 0, names


def test_update__block_after_block__health_of_everybody_is_what_the_contracts_say(traded: Traded) -> None:
    """At many moments of the crash, and stopped and opened again at each of them."""
    chain, seen = traded.devnet.chain, 0
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        for number in range(60, chain.block_number, 4):
            index.update(number)
            index = Index(traded.contracts, store)
            monitor, now = index.mirror.monitor, chain.block(number).timestamp
            accounts = [one for one in monitor.accounts if one >> 96 not in traded.contracts.own_addresses]
            said = read_health(traded.contracts, chain.block(number), accounts)
            assert {one: monitor.health(one, now) for one in accounts} == said
            calls = [traded.contracts.liquidator.prepare("isLiquidatable", one) for one in accounts]
            liquidatable = dict(zip(accounts, chain.read(calls, block=number), strict=True))
            assert set(monitor.liquidatable(now)) == {one for one, is_so in liquidatable.items() if is_so}
            seen += sum(liquidatable.values())
    assert seen > 2


def test_update__nothing_new__reads_nothing(traded: Traded) -> None:
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        first = index.update()
        assert first.events > 500
        again = index.update()
        assert (again.events, again.forgotten) == (0, None)
        assert again.last < again.first == first.last + 1


@pytest.mark.parametrize("undo", [mirror.UNDO_BLOCKS, 3], ids=["mirror rolled back", "mirror built anew"])
def test_update__ten_blocks_exchanged__what_was_in_them_is_gone(
    fork: Traded, monkeypatch: pytest.MonkeyPatch, undo: int
) -> None:
    monkeypatch.setattr(mirror, "UNDO_BLOCKS", undo)
    rpc = fork.devnet.chain.rpc
    with open_store(":memory:") as store:
        index = Index(fork.contracts, store)
        index.update()
        tip = index.block
        late = len(store.events("block > ?", [tip - DEPTH]))
        assert late > 10
        rpc.call("anvil_reorg", DEPTH, [])
        rpc.call("evm_mine")
        done = index.update()
        assert done.forgotten is not None
        assert done.forgotten <= tip - DEPTH
        stored, mirrored = fork.at_chain(index.mirror)
        assert mirrored == stored
        assert len(store.events("block > ?", [tip - DEPTH])) < late
        assert store.query("SELECT count(*) FROM settlements WHERE block > ?", [tip - DEPTH]) == [(0,)]
        assert fork.at_chain(Index(fork.contracts, store).mirror)[1] == mirrored


def test_update__chain_rolled_back_and_grown_again__is_followed(fork: Traded) -> None:
    rpc = fork.devnet.chain.rpc
    with open_store(":memory:") as store:
        index = Index(fork.contracts, store)
        index.update()
        before = index.block
        rpc.call("anvil_rollback", DEPTH)
        assert index.update().events == 0
        assert index.block == before
        rpc.call("anvil_mine", hex(DEPTH + 1))
        assert index.update().forgotten is not None
        stored, mirrored = fork.at_chain(index.mirror)
        assert mirrored == stored


@pytest.mark.parametrize("undo", [mirror.UNDO_BLOCKS, 3], ids=["mirror rolled back", "mirror built anew"])
def test_update__disk_full_in_a_window__goes_on_where_it_was(
    traded: Traded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undo: int
) -> None:
    """The tables are refused in the middle: neither they nor the mirror have anything of that window."""
    path = tmp_path / "index.duckdb"
    monkeypatch.setattr(mirror, "UNDO_BLOCKS", undo)
    monkeypatch.setattr("plimsoll.index.follow.WINDOW_BLOCKS", 40)
    with open_store(path) as store:
        index = Index(traded.contracts, store)
        write, calls = store.write, Counter[str]()

        def fail(*args: Any) -> None:
            calls["write"] += 1
            if calls["write"] == 4:
                raise OSError("no space left on the disk")
            write(*args)

        monkeypatch.setattr(store, "write", fail)
        with pytest.raises(OSError, match="no space"):
            index.update()
        kept = index.block
        assert kept < traded.devnet.chain.block_number
        assert traded.at_chain(Index(traded.contracts, store).mirror)[1] == traded.at_chain(index.mirror)[1]
        index.update()
        stored, mirrored = traded.at_chain(index.mirror)
        assert mirrored == stored
    with open_store(path) as store:
        assert traded.at_chain(Index(traded.contracts, store).mirror)[1] == stored


def test_update__event_left_out_by_the_node__stops_and_says_where(
    traded: Traded, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs_between = Index._read.__globals__["logs_between"]
    topic = traded.contracts.market.interface.events["Traded"].topic

    def without_one(*args: Any) -> list[Any]:
        logs = logs_between(*args)
        dropped = next(log for log in logs if log.topics[0] == topic)
        return [log for log in logs if log is not dropped]

    monkeypatch.setitem(Index._read.__globals__, "logs_between", without_one)
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        with pytest.raises(MirrorBroken, match=r"block \d+, event \d+, \w+: "):
            index.update()
        assert store.events() == []
        assert index.mirror.markets == {}


def test_update__logs_come_later_than_their_blocks__are_found(traded: Traded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest two blocks seem to be empty, at one of two nodes: what was read there once was missing for ever."""
    real, asked = Index._read.__globals__["logs_between"], Counter[str]()

    def late(chain: Any, addresses: Any, topics: Any, first: int, last: int) -> list[Any]:
        asked["late" if asked.total() % 3 else "whole"] += 1
        logs = real(chain, addresses, topics, first, last)
        return logs if asked.total() % 3 == 1 else [log for log in logs if log.block_number <= number - 2]

    monkeypatch.setitem(Index._read.__globals__, "logs_between", late)
    forgotten = 0
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        for number in range(60, traded.devnet.chain.block_number + 4):
            done = index.update(min(number, traded.devnet.chain.block_number))
            forgotten += done.forgotten is not None
        assert forgotten > 8
        stored, mirrored = traded.at_chain(index.mirror)
        assert mirrored == stored
        monkeypatch.undo()
        with open_store(":memory:") as whole:
            Index(traded.contracts, whole).update()
            assert store.events() == whole.events()


def test_update__into_postgresql__has_the_same_rows_as_in_duckdb(traded: Traded) -> None:
    with postgresql() as address, open_store(address) as server, open_store(":memory:") as file:
        for store in (server, file):
            Index(traded.contracts, store).update()
        assert server.events() == file.events()
        account = _busiest(file)
        assert server.settlements(f"0x{account:064x}") == file.settlements(f"0x{account:064x}")
        stored, mirrored = traded.at_chain(Index(traded.contracts, server).mirror)
        assert mirrored == stored


def test_history__of_an_account__is_what_the_chain_says(traded: Traded) -> None:
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        index.update()
        account = _busiest(store)
        fills = history.fills(store, account)
        held: Counter[int] = Counter()
        for fill in fills:
            held[fill.market_id] = fill.new_base
        for market_id, base in held.items():
            position = index.mirror.monitor.position(account, market_id)
            assert (position.base if position else 0) == base
        assert all(fill.kind for fill in fills)
        everybodys = [one for whom in index.mirror.monitor.accounts for one in history.fills(store, whom)]
        assert {one.kind for one in everybodys} == {"order", "match", "close-out", "take-over", "absorption"}
        told = Histories(traded.contracts).of(LIQUIDATIONS)
        assert [one.record for one in history.liquidations(store)] == told
        assert len(history.rates(store, 1)) > 20
        paid = history.payments(store, account)
        assert paid == sorted(paid, key=lambda one: one.block)
        assert any(one.owed for one in paid)


def test_fund_ledger__from_the_tables_alone__is_that_from_the_chain(traded: Traded) -> None:
    with open_store(":memory:") as store:
        index = Index(traded.contracts, store)
        index.update()
        fund = traded.contracts.addresses["InsuranceFund"]
        balance = index.mirror.monitor.balance(ids.pack(fund)).cash
        ledger = history.fund_ledger(store, fund, traded.contracts.token_unit, balance)
        assert ledger == read_ledger(traded.contracts)
        assert ledger.is_right
        assert len(ledger.entries) > 5


def _busiest(store: Store) -> int:
    """The account that was filled most."""
    rows = store.query(
        "SELECT account, count(*) FROM events WHERE name IN ('Traded', 'Filled') GROUP BY account ORDER BY 2 DESC, 1"
    )
    return int(rows[0][0], 16)
