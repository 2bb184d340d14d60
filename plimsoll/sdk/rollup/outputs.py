"""Outputs of L2 on L1, as claims of dispute games or as entries of an oracle: which to prove against, and when a proof
is final.

Sources: OptimismPortal2.checkWithdrawal, OptimismPortal.finalizeWithdrawalTransaction, contracts-bedrock 0.17.3.
"""

from __future__ import annotations

from plimsoll.chain.contracts import Deployed
from plimsoll.chain.optimism import at
from plimsoll.chain.transactions import Call
from plimsoll.core.errors import UserError
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.rollup.proofs import Withdrawal, output_root
from plimsoll.sdk.rollup.stages import Output, Stage, Standing

NEWEST_GAMES = 300
"""How many are looked at: about a week of hourly ones, and more than that of the usual."""
ORACLE_BATCH = 100
_IN_PROGRESS, _CHALLENGER_WINS, _DEFENDER_WINS = range(3)


class GameOutputs:
    """OptimismPortal2: outputs are claimed by starting a dispute game each, and stand when it is resolved so."""

    def __init__(self, rollup: Rollup) -> None:
        self._l1, self._l2, self._portal = rollup.l1, rollup.l2, rollup.portal

    def standing(self, withdrawal: Withdrawal, now: int) -> Standing:
        proofs = self._proofs(withdrawal)
        judged = [self._judged(submitter, game, proven_at, now) for submitter, game, proven_at in proofs]
        valid = [one for one in judged if one.stage is not Stage.PROVABLE]
        if valid:
            return min(valid, key=lambda one: (one.next_at is not None, one.next_at or 0))
        output = self._covering(withdrawal)
        lost = f"the proof of {judged[0].submitter} counts no more: {judged[0].note}" if judged else ""
        if output is None:
            return Standing(Stage.UNCLAIMED, note=lost)
        return Standing(Stage.PROVABLE, output=output, note=lost)

    def finalise(self, withdrawal: Withdrawal, standing: Standing) -> Call:
        return self._portal.prepare(
            "finalizeWithdrawalTransactionExternalProof", withdrawal.transaction, standing.submitter
        )

    def resolve(self, standing: Standing) -> list[Call]:
        game = at("Game", standing.game, self._l1)
        return [game.prepare("resolveClaim", 0, 0, gas=1_000_000), game.prepare("resolve", gas=1_000_000)]

    # --- proofs there are ---

    def _proofs(self, withdrawal: Withdrawal) -> list[tuple[str, str, int]]:
        """Submitter, game and L1 time of each."""
        key, portal = withdrawal.hash, self._portal
        count = portal.call("numProofSubmitters", key)
        submitters = self._l1.read([portal.prepare("proofSubmitters", key, place) for place in range(count)])
        submitters = list(dict.fromkeys(submitters))
        proven = self._l1.read([portal.prepare("provenWithdrawals", key, submitter) for submitter in submitters])
        return [(by, one.game, one.timestamp) for by, one in zip(submitters, proven, strict=True) if one.timestamp]

    def _judged(self, submitter: str, address: str, proven_at: int, now: int) -> Standing:
        """What a proof is worth; PROVABLE, with the reason, where it is worth nothing."""
        portal, game = self._portal, at("Game", address, self._l1)
        wanted = [game.prepare(name) for name in ("status", "gameType", "createdAt", "resolvedAt", "maxClockDuration")]
        wanted.append(game.prepare("claimDataLen"))
        status, kind, created, resolved, clock, claims = self._l1.read(wanted)
        names = ("proofMaturityDelaySeconds", "disputeGameFinalityDelaySeconds", "respectedGameType")
        rules = [portal.prepare(name) for name in (*names, "respectedGameTypeUpdatedAt")]
        maturity, air_gap, respected, since, blacklisted = self._l1.read(
            [*rules, portal.prepare("disputeGameBlacklist", address)]
        )
        refuted = "the game was lost" if status == _CHALLENGER_WINS else ""
        refuted = refuted or ("the game is blacklisted" if blacklisted else "")
        refuted = refuted or ("the portal respects other games now" if kind != respected or created < since else "")
        if refuted:
            return Standing(Stage.PROVABLE, note=refuted, submitter=submitter)
        mature, note = proven_at + maturity + 1, ""
        if status == _DEFENDER_WINS:
            ready = max(mature, resolved + air_gap + 1)
            stage = Stage.FINAL if now >= ready else Stage.WAITING
            return Standing(stage, None if now >= ready else ready, submitter=submitter, game=address)
        over = created + clock
        if claims > 1:
            note = "its dispute game is being played and may take twice as long"
        ready = max(mature, max(over, now) + air_gap + 1)
        if now >= over and claims == 1:
            return Standing(Stage.RESOLVABLE, None, ready, submitter=submitter, game=address)
        return Standing(Stage.WAITING, max(over, now + 1), ready, note, submitter=submitter, game=address)

    # --- games to prove against ---

    def _covering(self, withdrawal: Withdrawal) -> Output | None:
        """The oldest game that counts and honestly claims the withdrawal's L2 block or a later one."""
        factory = at("GameFactory", self._portal.call("disputeGameFactory"), self._l1)
        count, head = factory.call("gameCount"), self._l2.block_number
        respected, since = self._l1.read(
            [self._portal.prepare("respectedGameType"), self._portal.prepare("respectedGameTypeUpdatedAt")]
        )
        indices = range(max(0, count - NEWEST_GAMES), count)
        found = self._l1.read([factory.prepare("gameAtIndex", index) for index in indices])
        for index, game in zip(indices, found, strict=True):
            if game.gameType != respected or game.timestamp < since:
                continue
            number = self._honest(at("Game", game.proxy, self._l1), withdrawal.block_number, head)
            if number is not None:
                return Output(index, number)
        return None

    def _honest(self, game: Deployed, first: int, head: int) -> int | None:
        """The L2 block of a game's claim, where it is the true one of a block from `first` on."""
        calls = [game.prepare(name) for name in ("l2BlockNumber", "rootClaim", "status")]
        number, root, status, blacklisted = self._l1.read(
            [*calls, self._portal.prepare("disputeGameBlacklist", game.address)]
        )
        if not first <= number <= head or status == _CHALLENGER_WINS or blacklisted:
            return None
        return int(number) if output_root(self._l2, number).hash == root else None


class OracleOutputs:
    """The older OptimismPortal: a proposer writes outputs into L2OutputOracle, which a challenger may delete."""

    def __init__(self, rollup: Rollup) -> None:
        self._l1, self._l2, self._portal = rollup.l1, rollup.l2, rollup.portal
        self._oracle = at("OutputOracle", rollup.portal.call("l2Oracle"), rollup.l1)

    def standing(self, withdrawal: Withdrawal, now: int) -> Standing:
        proven = self._portal.call("provenWithdrawals", withdrawal.hash)
        note = ""
        if proven.timestamp:
            if self._stands(proven.outputIndex, proven.outputRoot):
                ready = max(proven.timestamp, self._proposed_at(proven.outputIndex))
                ready += self._oracle.call("finalizationPeriodSeconds") + 1
                return Standing(Stage.FINAL) if now >= ready else Standing(Stage.WAITING, ready)
            note = "the proof counts no more: its output was deleted"
        if self._oracle.call("latestBlockNumber") < withdrawal.block_number:
            return Standing(Stage.UNCLAIMED, note=note)
        index = self._oracle.call("getL2OutputIndexAfter", withdrawal.block_number)
        output = self._oracle.call("getL2Output", index)
        if output_root(self._l2, output.blockNumber).hash != output.root:
            return Standing(Stage.UNCLAIMED, note=f"output {index} is not what L2 block {output.blockNumber} is")
        return Standing(Stage.PROVABLE, note=note, output=Output(index, output.blockNumber))

    def finalise(self, withdrawal: Withdrawal, standing: Standing) -> Call:
        return self._portal.prepare("finalizeWithdrawalTransaction", withdrawal.transaction)

    def resolve(self, standing: Standing) -> list[Call]:
        raise UserError("outputs of this portal need no resolution")

    def _stands(self, index: int, root: bytes) -> bool:
        return bool(
            index < self._oracle.call("nextOutputIndex") and self._oracle.call("getL2Output", index).root == root
        )

    def _proposed_at(self, index: int) -> int:
        return int(self._oracle.call("getL2Output", index).timestamp)
