"""What goes wrong and when: drawn from the seed before the run, carried out by block, and remembered for the verdict.

A run is cut into spells, every other of which is rough, so that what happens while nothing is wrong can be judged by
itself. The last ones are quiet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plimsoll.chain.contracts import interface
from plimsoll.chain.transactions import Block
from plimsoll.risk.scenario.draws import Draws
from tests.soak.fleet import Fleet
from tests.soak.ground import Ground
from tests.support.faulty import FaultyNode, Lie

SPELL_BLOCKS = 150
LEAST_SPELLS = 4
KILLS = (2, 4)
"""In each rough spell."""
NODE_FAULTS = (2, 3)
NODE_SECONDS = (15, 60)
"""Of the chain, for which a node is bad."""
REDIS_EVERY, REDIS_SECONDS = 4, (6, 20)
REORGANISED_EVERY, DEPTH = 3, (2, 10)
"""Of the rough spells, the first of all among them."""
STALL_SECONDS = 3.5
"""Longer than a keeper waits for one node of several."""
LAG = 8
MANY = 10**9
LATE = 2
"""Newest blocks whose logs a node doesn't have yet."""

ONE_NODE = ("stalls", "limits", "errors", "cuts", "loses answers", "lags", "loses transactions", "lies about health",
            "lies about a block", "has logs late")  # fmt: skip
BOTH_NODES = ("both stall", "both limit", "both cut")
KILL, REDIS, REORGANISATION = "kill", "redis gone", "reorganisation"


class Planned(NamedTuple):
    """At a block of the run (from 0), for so many blocks; `what` is a unit's name, a node's place, a depth."""

    at: int
    kind: str
    what: Any
    blocks: int


@dataclass(slots=True)
class Fault:
    """One that happened, from block to block of the chain; `last` None while it lasts."""

    kind: str
    what: str
    first: int
    last: int | None = None


def plan(seed: int, blocks: int, units: Sequence[str]) -> list[Planned]:
    """All faults of a run, in their order."""
    draws = Draws(seed, "soak/faults")
    found: list[Planned] = []
    spells = max(LEAST_SPELLS, blocks // SPELL_BLOCKS)
    for turn, spell in enumerate(range(1, spells - 2, 2)):
        start, end = spell * blocks // spells, (spell + 1) * blocks // spells

        def moment(first: int = start, last: int = end) -> int:
            return draws.between(first, first + (last - first) * 3 // 4)

        found += [Planned(moment(), KILL, units[draws.below(len(units))], 0) for _ in range(draws.between(*KILLS))]
        found += [_node_fault(draws, moment()) for _ in range(draws.between(*NODE_FAULTS))]
        if turn % REDIS_EVERY == 0:
            found.append(Planned(moment(), REDIS, "", draws.between(*REDIS_SECONDS) // 2))
        if turn % REORGANISED_EVERY == 0:
            found.append(Planned(moment(), REORGANISATION, draws.between(*DEPTH), 0))
    return sorted(found, key=lambda one: one.at)


def _node_fault(draws: Draws, at: int) -> Planned:
    lasts = draws.between(*NODE_SECONDS) // 2
    if draws.below(5) == 0:
        return Planned(at, BOTH_NODES[draws.below(len(BOTH_NODES))], None, min(lasts, 12))
    return Planned(at, ONE_NODE[draws.below(len(ONE_NODE))], draws.below(2), lasts)


class Faults:
    """Carries a plan out."""

    def __init__(self, ground: Ground, fleet: Fleet, planned: Sequence[Planned]) -> None:
        self.ground = ground
        self.fleet = fleet
        self.happened: list[Fault] = []
        self.reorganised: Callable[[], None] = lambda: None
        """Told after each reorganisation."""
        self._left = list(planned)
        self._ending: list[tuple[int, Fault, Callable[[], None]]] = []
        """Until which block of the run, and how it is ended."""
        self._killed: list[Fault] = []
        self._bad: set[int] = set()

    def step(self, place: int) -> None:
        """What begins and ends at a block of the run."""
        head = self.ground.block
        for one in [one for one in self._ending if one[0] <= place]:
            self._ending.remove(one)
            self._end(one[1], one[2])
        for killed in [one for one in self._killed if self.fleet.units[one.what].is_up]:
            killed.last = head.number
            self._killed.remove(killed)
        while self._left and self._left[0].at <= place:
            self._begin(self._left.pop(0), place, head)

    def end_all(self) -> None:
        """All is well from now on."""
        for _, fault, end in self._ending:
            self._end(fault, end)
        self._ending.clear()
        self._left.clear()

    def close(self, head: int) -> None:
        """Killed ones that are not up yet count until here."""
        for one in self._killed:
            one.last = head

    def counts(self) -> Counter[str]:
        return Counter(one.kind for one in self.happened)

    # --- parts -----------------------------------------------------------------------------------------------------

    def _begin(self, one: Planned, place: int, head: Block) -> None:
        if one.kind == KILL:
            if self.fleet.units[one.what].is_up:
                self.fleet.kill(one.what)
                self._killed.append(self._note(KILL, one.what, head))
        elif one.kind == REDIS:
            self.ground.redis.stop()
            self._ending.append((place + one.blocks, self._note(REDIS, "", head), self.ground.redis.start))
        elif one.kind == REORGANISATION:
            fault = self._note(REORGANISATION, f"{one.what} blocks", head)
            fault.first = head.number - one.what
            self.ground.reorganise(one.what)
            fault.last = self.ground.block.number
            self.reorganised()
        else:
            self._make_bad(one, place, head)

    def _make_bad(self, one: Planned, place: int, head: Block) -> None:
        """A node has one fault at a time."""
        places = {0, 1} if one.what is None else {one.what}
        if places & self._bad:
            return
        self._bad |= places
        for place_of in places:
            set_fault(self.ground.nodes[place_of], one.kind)

        def end() -> None:
            for place_of in places:
                heal(self.ground.nodes[place_of])
            self._bad.difference_update(places)

        what = "both nodes" if one.what is None else f"node {one.what + 1}"
        self._ending.append((place + one.blocks, self._note(one.kind, what, head), end))

    def _note(self, kind: str, what: str, head: Block) -> Fault:
        fault = Fault(kind, what, head.number)
        self.happened.append(fault)
        return fault

    def _end(self, fault: Fault, end: Callable[[], None]) -> None:
        end()
        fault.last = self.ground.block.number


def set_fault(node: FaultyNode, kind: str) -> None:
    """Make a node bad in one way."""
    match kind:
        case "stalls" | "both stall":
            node.stall_seconds = STALL_SECONDS
        case "limits" | "both limit":
            node.limits, node.retry_after = MANY, "1"
        case "errors":
            node.errors = MANY
        case "cuts" | "both cut":
            node.cuts = MANY
        case "loses answers":
            node.lost_answers = MANY
        case "lags":
            node.lag = LAG
        case "loses transactions":
            node.loses_transactions = True
        case "lies about health":
            node.lie = everybody_is_bankrupt()
        case "lies about a block":
            node.lie = another_block
        case "has logs late":
            node.lie = late_logs(node)
        case _:
            raise ValueError(kind)


def heal(node: FaultyNode) -> None:
    node.stall_seconds, node.limits, node.errors, node.cuts, node.lost_answers, node.lag = 0.0, 0, 0, 0, 0, 0
    node.retry_after, node.loses_transactions, node.lie = "", False, None


def everybody_is_bankrupt() -> Lie:
    """`healthOf` is nothing of very much, and whatever is simulated goes through."""
    health = "0x" + interface("PerpMarket").selector("healthOf").hex()

    def lie(method: str, params: list[Any], said: Any) -> Any:
        if method == "eth_call" and params[0]["data"].startswith(health):
            return "0x" + (1).to_bytes(32, "big").hex() + (10**24).to_bytes(32, "big").hex()
        return hex(200_000) if method == "eth_estimateGas" else said

    return lie


def another_block(method: str, params: list[Any], said: Any) -> Any:
    """Every block but the first has a hash that it hasn't."""
    if method == "eth_getBlockByNumber" and params[0] != "0x0" and said:
        return {**said, "hash": "0x" + "66" * 32}
    return said


def late_logs(node: FaultyNode) -> Lie:
    """The newest blocks seem to be empty."""

    def lie(method: str, params: list[Any], said: Any) -> Any:
        if method != "eth_getLogs" or not said:
            return said
        answer = node.forward({"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []})
        newest = int(answer["result"], 16) - LATE
        return [log for log in said if int(log["blockNumber"], 16) <= newest]

    return lie
