"""Outputs of L2 on L1: claims of dispute games, or entries of the output oracle. The role of op-proposer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Call, Chain, Signer
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack.contracts import deployed
from plimsoll.devnet.opstack.layer1 import CANNON, INIT_BOND, Layer1
from plimsoll.devnet.opstack.settings import OpStackSettings, role_key
from plimsoll.devnet.state import is_forgotten
from plimsoll.sdk.rollup.proofs import output_root

IN_PROGRESS, CHALLENGER_WINS, DEFENDER_WINS = range(3)
"""States of a game."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An output on L1: its index there, the L2 block it is of, the root it claims, the L1 time, the game's address."""

    index: int
    block_number: int
    root: bytes
    proposed_at: int
    game: str | None


class Proposer(Protocol):
    """What both kinds can do; all they know is read from the chains each time."""

    def propose(self, root: bytes | None = None) -> Proposal:
        """Claim the newest output, or a root of one's own as a dishonest proposer would."""
        ...

    def newest_first(self) -> Iterator[Proposal]:
        """All that still count."""
        ...

    def resolve_due(self) -> list[Proposal]:
        """Resolve what nobody challenged in time; returns what was resolved now."""
        ...


def latest(proposer: Proposer) -> Proposal | None:
    """The newest proposal, None where there is none yet."""
    return next(proposer.newest_first(), None)


def covering(proposer: Proposer, l2: Chain, block_number: int) -> Proposal | None:
    """The oldest honest proposal of L2 block `block_number` or a later one, None where there is none yet."""
    found = None
    head = l2.block_number
    for proposal in proposer.newest_first():
        if block_number <= proposal.block_number <= head and _is_honest(proposal, l2):
            found = proposal
    return found


def _is_honest(proposal: Proposal, l2: Chain) -> bool:
    try:
        return output_root(l2, proposal.block_number).hash == proposal.root
    except RpcError as error:
        if is_forgotten(error):
            return False  # nothing can be proven against it
        raise


def _proposer(l1: Chain) -> Signer:
    """Anew each time: its nonce may have been taken back with a snapshot or a reorganisation."""
    return Signer(l1, role_key("proposer"), name="proposer")


class GameProposer:
    """Claims outputs by starting dispute games, and resolves those that nobody disputed."""

    def __init__(self, l1: Chain, l2: Chain, system: Layer1, settings: OpStackSettings) -> None:
        self._l1, self._l2, self._settings = l1, l2, settings
        self._factory = system["DisputeGameFactory"]

    def propose(self, root: bytes | None = None) -> Proposal:
        """Of the newest L2 block. One that is claimed already is returned as it is."""
        number = self._l2.block_number
        last = latest(self)
        if last is not None and last.block_number >= number:
            if root is None and last.root == output_root(self._l2, number).hash:
                return last
            self._l2.rpc.call("evm_mine")  # a game must be of another block or another root
            number = self._l2.block_number
        claim = root or output_root(self._l2, number).hash
        self._factory.transact(
            _proposer(self._l1), "create", CANNON, claim, number.to_bytes(32, "big"), value=INIT_BOND
        )
        # the portal wants proofs to be later than the game; here blocks of one second have the same time
        self._l1.rpc.batch([("evm_increaseTime", [1]), ("evm_mine", [])])
        newest = latest(self)
        assert newest is not None
        return newest

    def newest_first(self) -> Iterator[Proposal]:
        for index in reversed(range(self._factory.call("gameCount"))):
            proposal = self._proposal(index)
            if self.status(proposal) != CHALLENGER_WINS:
                yield proposal

    def resolve_due(self) -> list[Proposal]:
        now = self._l1.block().timestamp
        resolved = []
        for proposal in self.newest_first():
            if self.status(proposal) != IN_PROGRESS:
                break  # older ones were resolved before it
            if now >= proposal.proposed_at + self._settings.game_clock_seconds:
                game = self.game(proposal)
                signer = _proposer(self._l1)
                game.transact(signer, "resolveClaim", 0, 0)
                game.transact(signer, "resolve")
                resolved.append(proposal)
        return resolved

    def game(self, proposal: Proposal) -> Deployed:
        """The dispute game that claims an output."""
        if proposal.game is None:
            raise UserError(f"output {proposal.index} is no dispute game's")
        return deployed("FaultDisputeGame", proposal.game, self._l1)

    def status(self, proposal: Proposal) -> int:
        """IN_PROGRESS, CHALLENGER_WINS or DEFENDER_WINS."""
        return int(self.game(proposal).call("status"))

    def _proposal(self, index: int) -> Proposal:
        _, created_at, address = self._factory.call("gameAtIndex", index)
        game = deployed("FaultDisputeGame", address, self._l1)
        number, root = self._l1.read([game.prepare("l2BlockNumber"), game.prepare("rootClaim")])
        return Proposal(index, number, root, created_at, game.address)


class OracleProposer:
    """Writes outputs into L2OutputOracle, one for each interval of L2 blocks."""

    def __init__(self, l1: Chain, l2: Chain, system: Layer1) -> None:
        self._l1, self._l2 = l1, l2
        self._oracle = system["L2OutputOracle"]

    def propose(self, root: bytes | None = None) -> Proposal:
        """All outputs that are due, up to one that covers the newest L2 block: L2 mines blocks until that one is due.

        One that covers it already is returned as it is.
        """
        head, last = self._l2.block_number, latest(self)
        if root is None and last is not None and last.block_number >= head:
            return last
        first, interval = self._oracle.call("nextBlockNumber"), self._oracle.call("submissionInterval")
        target = first + max(-(-(head - first) // interval), 0) * interval
        self._l2.rpc.call("anvil_mine", hex(target - head))
        due = range(first, target + 1, interval)
        _proposer(self._l1).send_many([self._output(number, root) for number in due], check=True)
        newest = latest(self)
        assert newest is not None
        return newest

    def newest_first(self) -> Iterator[Proposal]:
        for index in reversed(range(self._oracle.call("nextOutputIndex"))):
            output = self._oracle.call("getL2Output", index)
            yield Proposal(index, output.l2BlockNumber, output.outputRoot, output.timestamp, None)

    def resolve_due(self) -> list[Proposal]:
        """The oracle's outputs need no resolution."""
        return []

    def _output(self, number: int, root: bytes | None) -> Call:
        claim = root or output_root(self._l2, number).hash
        return self._oracle.prepare("proposeL2Output", claim, number, bytes(32), 0, gas=300_000)
