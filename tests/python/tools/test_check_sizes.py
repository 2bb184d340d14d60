"""The limit on code size."""

from __future__ import annotations

from plimsoll.chain.build import Artifact
from tools.check_sizes import LIMIT, oversized


def artifact(size: int, source: str = "contracts/market/A.sol") -> Artifact:
    return Artifact("A", [], b"", bytes(size), source)


def test_oversized__at_and_over_the_limit__only_the_latter_is_named() -> None:
    assert LIMIT == 22_528
    assert oversized({"A": artifact(LIMIT)}) == []
    assert oversized({"A": artifact(LIMIT + 1)}) == [
        "contracts/market/A.sol: A has 22,529 bytes of code, 22,528 are allowed"
    ]


def test_oversized__test_contract__is_left_alone() -> None:
    assert oversized({"A": artifact(LIMIT + 1, "contracts/test/A.sol")}) == []
