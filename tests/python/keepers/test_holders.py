"""Whether a lease's holder is seen to be gone, and what that is worth after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plimsoll.keepers import holders
from plimsoll.keepers.holders import is_gone, own_name
from plimsoll.keepers.store import FileStore
from tests.python.keepers.test_store import LONG

NAMED = "from plimsoll.keepers.holders import own_name; print(own_name(), flush=True); input()"


@contextmanager
def another_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """One that runs, and the name by which it holds leases."""
    command = [sys.executable, "-c", NAMED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_is_gone__of_a_process__once_it_is_killed_and_before_anybody_waits_for_it() -> None:
    with another_process() as (process, name):
        assert not is_gone(name)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays where it is
        assert is_gone(name)
        process.wait()
        assert is_gone(name)


def test_is_gone__ourselves__no() -> None:
    assert own_name() != own_name()
    assert not is_gone(own_name())


def test_is_gone__its_number_is_another_process_s_by_now__yes() -> None:
    machine, pid, started, random = own_name().split("/")
    assert is_gone("/".join((machine, pid, str(int(started) - 1), random)))


@pytest.mark.parametrize("name", ["", "0123456789abcdef", "a/b/c/d", "a/1/c/d", "a/1/c/d/e", "//////"])
def test_is_gone__of_another_machine_or_no_name__nobody_knows(name: str) -> None:
    assert not is_gone(name)


def test_is_gone__hidden_from_us__no(monkeypatch: pytest.MonkeyPatch) -> None:
    with another_process() as (_, name):
        monkeypatch.setattr(holders, "_stat", lambda pid: None)
        assert not is_gone(name)


def test_is_gone__without_proc__nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with another_process() as (_, name):
        pass
    assert is_gone(name)
    monkeypatch.setattr(holders, "PROC", tmp_path)
    assert not is_gone(name)
    assert not is_gone(own_name())


@pytest.mark.parametrize("hidden", ["boot_id", "self"])
def test_is_gone__what_tells_machines_apart_is_hidden__nobody_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """Without a boot's id all machines would look alike, and a /proc of other processes says nothing of ours."""
    boot = tmp_path / "sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("" if hidden == "boot_id" else "another boot")
    of = "1" if hidden == "self" else str(os.getpid())
    (tmp_path / of / "ns").mkdir(parents=True)
    (tmp_path / of / "ns/pid").symlink_to("pid:[4026531836]")
    (tmp_path / "self").symlink_to(of)
    monkeypatch.setattr(holders, "PROC", tmp_path)
    name = own_name()
    assert name.startswith("/")
    assert not is_gone(name)
    assert not is_gone(f"/{2**22 + 1}/1/abc")


def test_release__of_a_holder_who_is_gone__is_his_alone(tmp_path: Path) -> None:
    """Two newcomers see the same one gone: the second's late release must not take the lease from the first."""
    path = tmp_path / "s"
    old, first, second = FileStore(path), FileStore(path), FileStore(path)
    old.lease("address", LONG)
    gone = second.holder("address")
    first.release("address", gone)
    assert first.lease("address", LONG)
    second.release("address", gone)
    assert not second.lease("address", LONG)
