"""The stages of a withdrawal, and what a portal can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from plimsoll.chain.transactions import Call
from plimsoll.sdk.rollup.proofs import Withdrawal


class Stage(Enum):
    """The value says in words where the withdrawal stands."""

    UNCLAIMED = "waits for an output of its L2 block on L1"
    PROVABLE = "can be proven"
    WAITING = "is proven and waits"
    RESOLVABLE = "is proven, and its dispute game can be resolved"
    FINAL = "can be finalised"
    FAILED = "was finalised, but the payment failed on L1 and can be tried again"
    PAID = "is paid"

    @property
    def step(self) -> str:
        """What anyone can do now: a verb, empty where there is nothing to do."""
        return _STEPS.get(self, "")


_STEPS = {
    Stage.PROVABLE: "prove",
    Stage.RESOLVABLE: "resolve",
    Stage.FINAL: "finalise",
    Stage.FAILED: "pay",
}


@dataclass(frozen=True, slots=True)
class Output:
    """An output on L1: its index there, and the L2 block that it is of."""

    index: int
    block_number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """`next_at`: the earliest L1 time, Unix seconds, of the next step; None where it is now or nobody can know.

    `final_at`: likewise of the finalisation, where the next step is another. `note` says what is out of the ordinary.
    `output` is what to prove against, `submitter` whose proof counts, `game` the dispute game that it rests on; each
    where the portal has such a thing.
    """

    stage: Stage
    next_at: int | None = None
    final_at: int | None = None
    note: str = ""
    output: Output | None = None
    submitter: str | None = None
    game: str | None = None


class Outputs(Protocol):
    """What both kinds of portal answer. Nothing is kept between calls."""

    def standing(self, withdrawal: Withdrawal, now: int) -> Standing:
        """Of a withdrawal that is not finalised; `now` is L1's time."""
        ...

    def finalise(self, withdrawal: Withdrawal, standing: Standing) -> Call:
        """The call that finalises one that is FINAL."""
        ...

    def resolve(self, standing: Standing) -> list[Call]:
        """The calls that resolve the game of one that is RESOLVABLE."""
        ...
