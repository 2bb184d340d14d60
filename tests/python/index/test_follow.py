"""Following: what is said, and a node that doesn't answer."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.index.commands import account_of, follow
from plimsoll.index.follow import Index, Update


class Scripted:
    """An index whose updates give, or raise, one thing after the other; then it is interrupted."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)

    def update(self) -> Update:
        if not self.results:
            raise KeyboardInterrupt
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return cast(Update, result)


class NoTime:
    """Waits for nothing, and notes how long it would have."""

    waited: list[float]

    def __init__(self) -> None:
        NoTime.waited = []

    def wait(self, seconds: float) -> None:
        NoTime.waited.append(seconds)


def followed(monkeypatch: pytest.MonkeyPatch, *results: Any) -> list[str]:
    monkeypatch.setattr("plimsoll.index.commands.threading.Event", NoTime)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        follow(cast(Index, Scripted(*results)), said.append, once=False, poll=1.0)
    return said


def test_follow__updates__are_said_where_anything_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    said = followed(monkeypatch, Update(1, 9, 5, None), Update(10, 9, 0, None), Update(4, 11, 2, 3))
    assert said == [
        "blocks 1 to 9: 5 events",
        "reorganised: forgot what came after block 3",
        "blocks 4 to 11: 2 events",
    ]


def test_follow__node_gone_for_a_while__is_asked_more_and_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [RpcUnavailable("refused")] * 7
    said = followed(monkeypatch, *gone, Update(1, 2, 0, None))
    assert NoTime.waited == [1, 2, 4, 8, 16, 30, 30, 1]
    assert said[-1] == "blocks 1 to 2: 0 events"


def test_follow__once__ends_or_raises() -> None:
    assert follow(cast(Index, Scripted(Update(1, 1, 0, None))), print, once=True, poll=1) == 0
    with pytest.raises(RpcUnavailable):
        follow(cast(Index, Scripted(RpcUnavailable("refused"))), print, once=True, poll=1)


def test_account_of__address_or_id__gives_the_account() -> None:
    address = "0x" + "Ab" * 20
    assert account_of(address) == int(address, 16) << 96
    assert account_of(hex(5 << 96 | 2)) == 5 << 96 | 2
