"""The ledger of a process: files that nobody shares, and what happens where the events don't follow."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from plimsoll.index.mirror import MirrorBroken
from plimsoll.index.store import StoredBlock
from plimsoll.keepers import ledger
from plimsoll.keepers.checks import Checks, Often
from plimsoll.keepers.guard import TRIPPED, Guard, Halted
from plimsoll.keepers.ledger import Broken, Ledger, in_folder, in_memory
from plimsoll.keepers.runner import HALTED_EXIT
from plimsoll.keepers.store import FileStore
from plimsoll.keepers.sums import Totals
from tests.python.keepers.test_runner import Case, Scripted
from tests.support.deployment import World


def test_in_folder__several_at_once__each_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Within one process DuckDB shares a file; between processes the first has it alone."""
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from plimsoll.keepers.ledger import in_folder;"
        "store = in_folder(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for one in others:
            assert one.stdout is not None
            assert one.stdout.readline() == "open\n"
        with in_folder(tmp_path):
            assert sorted(path.name for path in tmp_path.glob("*.duckdb")) == ["1.duckdb", "2.duckdb", "3.duckdb"]
    finally:
        for one in others:
            one.communicate("", timeout=20)


def test_in_folder__opened_again__has_what_was_written(tmp_path: Path) -> None:
    with in_folder(tmp_path) as store:
        store.write([StoredBlock(7, "0x7", 70)], [], [])
    with in_folder(tmp_path) as store:
        assert store.block_back(0) == StoredBlock(7, "0x7", 70)


def test_in_folder__nothing_can_be_opened__is_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with in_folder(tmp_path / "file") as store:
        store.write([StoredBlock(1, "0x1", 1)], [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_in_folder__first_is_no_database__the_next_is_taken(tmp_path: Path) -> None:
    (tmp_path / "1.duckdb").write_text("no database\n" * 1_000)
    with in_folder(tmp_path):
        assert (tmp_path / "2.duckdb").exists()


class Breaks:
    """An index whose events don't follow from each other, so often."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.read: list[int] = []
        self.mirror: Any = "mirror"

    def update(self, block: int) -> None:
        self.read.append(block)
        if self.left:
            self.left -= 1
            raise MirrorBroken("block 3, event 1, Traded: the position is 1 and should be 2")


@pytest.fixture
def broken(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Ledger, Breaks]:
    breaks = Breaks(1)
    monkeypatch.setattr(ledger, "Index", lambda *_: breaks)
    return Ledger(world.contracts, in_memory), breaks


def test_at__event_does_not_follow__everything_is_read_again(world: World, broken: tuple[Ledger, Breaks]) -> None:
    found, breaks = broken
    block = world.chain.block()
    assert found.at(block) == breaks.mirror
    assert breaks.read == [block.number, block.number]
    found.at(block)
    assert len(breaks.read) == 2


def test_at__still_does_not_follow__is_broken(world: World, broken: tuple[Ledger, Breaks]) -> None:
    found, breaks = broken
    breaks.left = 2
    with pytest.raises(Broken, match="don't follow from each other: block 3, event 1, Traded"):
        found.at(world.chain.block())


def test_round__the_job_finds_the_ledger_broken__the_breaker_opens_for_all(world: World, tmp_path: Path) -> None:
    case = Case(world, Scripted(Broken("the events don't follow"), ["never"]))
    store = FileStore(tmp_path / "s.sqlite")
    case.runner.guard = Guard("scripted", store, case.runner.signer)
    assert not case.runner.once()
    assert not case.runner.once()
    assert case.job.done == []
    assert json.loads(store.get(TRIPPED) or "{}")["why"] == "the events don't follow"
    assert case.runner.end() == HALTED_EXIT
    with pytest.raises(Halted):
        Guard("other", store, None).watch(world.chain.block())


# --- sums ----------------------------------------------------------------------------------------------------------


class Said:
    """What a ledger's sums come to, time after time, and at which cost."""

    def __init__(self, *wrong: str, seconds: float = 0.0) -> None:
        self.wrong = list(wrong)
        self.seconds = seconds
        self.clock = 1_000.0
        self.again = self.count = 0
        self.index: Any = None

    def add_up(self, *, again: bool = False) -> Totals:
        self.clock += self.seconds
        self.count += 1
        return Totals(1, 2, 0, 0, {}, tuple(filter(None, [self.wrong.pop(0)])) if self.wrong else ())

    def at(self, block: object) -> None:
        pass

    def read_again(self, block: int) -> None:
        self.again += 1


def checks(world: World, said: Said) -> Checks:
    made = Checks(
        world.contracts, world.chain.block(0).hash, None, often=Often(nodes=10**9, sums=60), clock=lambda: said.clock
    )
    said.index = SimpleNamespace(block=world.chain.block_number)
    stand_in: Any = said
    made.ledger = made._sums = stand_in
    return made


def test_look__wrong_once__is_looked_at_again_and_nothing_is_said(world: World) -> None:
    said = Said("market 1: differs")
    checks(world, said).look(world.chain.block())
    assert (said.count, said.again) == (2, 0)


def test_look__wrong_three_times__everything_was_read_again_and_it_is_broken(world: World) -> None:
    said = Said(*["market 1: differs"] * 3)
    with pytest.raises(Broken, match="block 1: market 1: differs"):
        checks(world, said).look(world.chain.block())
    assert (said.count, said.again) == (3, 1)


def test_look__sums_take_long__are_done_for_a_twentieth_of_the_time(world: World) -> None:
    said = Said(seconds=15.0)
    looks = checks(world, said)
    looks.look(world.chain.block())
    for later, count in ((60.0, 1), (200.0, 1), (285.0, 2)):
        said.clock = 1_015.0 + later
        looks.look(world.chain.block())
        assert said.count == count
