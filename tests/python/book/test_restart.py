"""A restart at any moment: what was acknowledged is there, and nothing happens twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plimsoll.book.book import End
from plimsoll.book.store import Batch, Store
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from tests.python.book.process import digest
from tests.python.book.setting import ETH, POST_ONLY, state_of
from tests.python.book.stage import TAKER, A, B, C, Durable


class Crash(Exception):
    """The process ends here."""


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Durable]:
    stage = Durable(tmp_path / "book.sqlite")
    yield stage
    stage.store.close()


def busy(stage: Durable) -> None:
    """A book with a bit of everything."""
    stage.submit(A, -5, 10)
    stage.submit(A, -5, 5, expiry=stage.facts.now + 100)
    stage.submit(B, 3, -10, time_in_force=POST_ONLY)
    stage.submit(B, 2, -10)
    cancelled = stage.submit(C, 4, -20)
    stage.submit(TAKER, 7, 10)
    stage.engine.cancel(cancelled.hash)
    stage.commit()


def test_restart__anything_in_the_book__the_same_after(durable: Durable) -> None:
    busy(durable)
    before = state_of(durable.engine)
    durable.restart()
    assert state_of(durable.engine) == before
    assert len(durable.engine.pending) == 2


def test_restart__the_next_order__gets_the_next_place(durable: Durable) -> None:
    busy(durable)
    durable.restart()
    assert durable.submit(C, 1, -30).sequence == 7


def test_restart__order_known_before__still_refused_as_known(durable: Durable) -> None:
    busy(durable)
    durable.restart()
    durable.salt = 4
    with pytest.raises(Exception, match="was accepted before"):
        durable.submit(C, 4, -20)


def test_restart__before_anything_was_sent__settled_after(durable: Durable) -> None:
    maker, taker = durable.submit(A, -5, 0), durable.submit(TAKER, 5, 0)
    durable.commit()
    durable.restart()
    durable.settle()
    assert [durable.order(one).filled for one in (maker, taker)] == [5 * WAD] * 2
    assert durable.base(TAKER) == 5


def test_restart__written_down_but_not_sent__sent_after(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = durable.submit(A, -5, 0)
    durable.submit(TAKER, 5, 0)
    crash_in(durable, monkeypatch, "send")
    assert durable.chain.nonce == 0
    durable.restart()
    assert len(durable.engine.sent) == 1
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER)) == (5 * WAD, 5)


def test_restart__sent_but_no_receipt__looked_up_and_not_sent_again(
    durable: Durable, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = durable.submit(A, -9, 0)
    durable.submit(TAKER, 5, 0)
    durable.round()
    assert durable.chain.nonce == 1
    durable.restart()
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER), durable.chain.nonce) == (5 * WAD, 5, 1)
    assert durable.depth == ([], [(0, 4)])


def test_restart__still_in_the_mempool__sent_again_and_mined_once(durable: Durable) -> None:
    maker = durable.submit(A, -9, 0)
    durable.submit(TAKER, 5, 0)
    durable.chain.holds = True
    durable.round()
    durable.restart()
    durable.round()
    durable.restart()
    durable.chain.holds = False
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER), durable.chain.nonce) == (5 * WAD, 5, 1)


def test_restart__lost_by_the_node__sent_again(durable: Durable) -> None:
    maker = durable.submit(A, -9, 0)
    durable.submit(TAKER, 5, 0)
    durable.chain.holds = True
    durable.round()
    durable.chain.mempool.clear()
    durable.chain.holds = False
    durable.restart()
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER)) == (5 * WAD, 5)


def test_restart__its_nonce_went_to_another__matched_in_a_new_one(durable: Durable) -> None:
    maker = durable.submit(A, -9, 0)
    durable.submit(TAKER, 5, 0)
    durable.chain.holds = True
    durable.round()
    durable.chain.replace()
    durable.chain.holds = False
    durable.restart()
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER)) == (5 * WAD, 5)


def test_restart__outcome_known_but_not_written__found_again(durable: Durable, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = durable.submit(A, -9, 0)
    durable.submit(TAKER, 5, 0)
    durable.round()
    with monkeypatch.context() as patched:
        patched.setattr(durable.store, "commit", crash)
        with pytest.raises(Crash):
            durable.round()
    durable.restart()
    durable.settle()
    assert (durable.order(maker).filled, durable.base(TAKER), durable.chain.nonce) == (5 * WAD, 5, 1)


def test_restart__makers_dropped_and_undone__stay_so(durable: Durable) -> None:
    bad, good = durable.submit(A, -5, 0), durable.submit(B, -5, 0)
    durable.submit(TAKER, 5, 0)
    durable.commit()
    durable.take_cash(A)
    durable.settle()
    before = state_of(durable.engine)
    durable.restart()
    assert state_of(durable.engine) == before
    assert (durable.order(bad).end, durable.order(good).filled) == (End.REFUSED, 5 * WAD)


def crash(*_: object) -> None:
    raise Crash


def crash_in(stage: Durable, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(stage.chain, method, crash)
        with pytest.raises(Crash):
            stage.round()


# --- the file --------------------------------------------------------------------------------------------------------


def test_store__open_elsewhere__says_so(durable: Durable) -> None:
    with pytest.raises(UserError, match="another process has this book open"):
        Store(durable.path, "test")


def test_store__of_another_deployment__says_so(durable: Durable) -> None:
    durable.store.close()
    with pytest.raises(UserError, match="its identity is test, not other; name another file"):
        Store(durable.path, "other")
    durable.start()


def test_store__no_database__says_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(UserError, match="file is not a database"):
        Store(tmp_path / "x", "test")


def test_commit__one_row_refused__nothing_of_the_batch(durable: Durable) -> None:
    one = durable.submit(A, 5, 0)
    rows = durable.engine.drain().batch.rows()
    durable.store.commit(rows)
    other = Batch(accepted=[one], done=["0x"]).rows()
    with pytest.raises(sqlite3.IntegrityError):
        durable.store.commit(other)
    assert durable.store.load().orders == [one]


def test_trades__settled_and_on_their_way__the_newest_first(durable: Durable) -> None:
    durable.submit(A, -5, 0)
    durable.submit(TAKER, 2, 0)
    durable.settle()
    durable.submit(TAKER, 2, 0)
    durable.commit()
    assert [(one.id, int(one.state)) for one in durable.store.trades(ETH, 9)] == [(2, 0), (1, 2)]
    assert [one.id for one in durable.store.trades(ETH, 9, before=2)] == [1]
    assert [one.id for one in durable.store.trades(ETH, 1)] == [2]
    assert durable.store.trades(ETH + 1, 9) == []


# --- a process that is killed ----------------------------------------------------------------------------------------


def child(path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.python.book.process", str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def kill(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """What it had said before it was killed, whole lines."""
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert process.stdout is not None
    with process.stdout as output:
        return [json.loads(line) for line in output.read().splitlines() if line.endswith("}")]


def test_kill__process_that_has_said_its_state__rebuilt_the_same(tmp_path: Path) -> None:
    process = child(tmp_path / "book.sqlite", "400")
    assert process.stdout is not None
    lines = []
    while not (line := process.stdout.readline()).startswith('{"state"'):
        lines.append(json.loads(line))
    before = json.loads(line)["state"]
    kill(process)
    stage = Durable(tmp_path / "book.sqlite")
    assert digest(stage.engine) == before
    assert len(stage.engine.book(ETH)) > 100
    assert len(stage.engine.pending) > 10
    stage.store.close()


@pytest.mark.parametrize("acknowledged", [1, 150])
def test_kill__in_the_middle__every_acknowledged_order_is_there(tmp_path: Path, acknowledged: int) -> None:
    process = child(tmp_path / "book.sqlite", "100000")
    assert process.stdout is not None
    said = [json.loads(process.stdout.readline()) for _ in range(acknowledged)]
    said += kill(process)
    stage = Durable(tmp_path / "book.sqlite")
    for one in said:
        found = stage.store.order(bytes.fromhex(one["hash"]))
        assert found is not None
        assert found.sequence == one["sequence"]
    orders = stage.engine.orders.values()
    waiting = sum(match.base for _, matches in stage.engine.pending.takers() for match in matches)
    assert sum(one.pending for one in orders) == 2 * waiting
    assert not stage.engine.book(ETH).is_crossed
    assert {one.hash for one in stage.engine.book(ETH)} == {one.hash for one in orders if one.left}
    stage.store.close()
