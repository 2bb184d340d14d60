"""Withdrawals of an owner, where each stands and what comes next, and the steps themselves.

A withdrawal is proven against an output of L2 that was claimed on L1, waits, and is finalised: by anyone. All is read
from both chains each time; where L1 was reorganised, or a game was lost, a proof counts for nothing and is made again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from plimsoll.chain.abi import address_of
from plimsoll.chain.optimism import MESSAGE_PASSER, at
from plimsoll.chain.transactions import Receipt, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.sdk.history import logs_between
from plimsoll.sdk.rollup.layers import Rollup
from plimsoll.sdk.rollup.outputs import GameOutputs, OracleOutputs
from plimsoll.sdk.rollup.proofs import Withdrawal, prove_withdrawal
from plimsoll.sdk.rollup.stages import Outputs, Stage, Standing

RELAY_GAS = 300_000
"""On L1, for the messenger and the bridge beside what the message asked for."""


@dataclass(frozen=True, slots=True)
class Started:
    """A withdrawal that an account began on L2: token units to an address on L1, in the L2 transaction `tx_hash`."""

    account: int
    to: str
    amount: int
    tx_hash: str
    timestamp: int
    withdrawal: Withdrawal


@dataclass(frozen=True, slots=True)
class Followed:
    """One, and where it stands at L1's time `now`."""

    started: Started
    standing: Standing
    now: int

    @property
    def seconds_left(self) -> int | None:
        """Until the next step can be taken; None where it can now, or nobody can know."""
        at_ = self.standing.next_at
        return None if at_ is None else max(0, at_ - self.now)


class Withdrawals:
    """Finds, judges and moves withdrawals of one deployment."""

    def __init__(self, rollup: Rollup) -> None:
        self.rollup = rollup
        self.outputs: Outputs = GameOutputs(rollup) if rollup.has_games else OracleOutputs(rollup)

    # --- finding ---

    def of_owner(self, owner: str) -> list[Started]:
        """All that the accounts of an owner began, oldest first."""
        return [one for one in self._started() if address_of(ids.owner_of(one.account)) == address_of(owner)]

    def of_transaction(self, tx_hash: str) -> list[Started]:
        """Those that an L2 transaction began. Raises UserError where it began none, or isn't there."""
        receipt = self.rollup.l2.receipt(tx_hash)
        if receipt is None:
            raise UserError(f"{self.rollup.l2.uri}: has no transaction {tx_hash}")
        found = [one for one in self._started(receipt.block_number, receipt.block_number) if one.tx_hash == tx_hash]
        if not found:
            raise UserError(f"transaction {tx_hash} began no withdrawal to L1")
        return found

    def _started(self, first: int | None = None, last: int | None = None) -> list[Started]:
        """Each with the message that follows its event."""
        gateway, l2 = self.rollup.l2_gateway, self.rollup.l2
        passer = at("MessagePasser", MESSAGE_PASSER, l2)
        events = [
            contract.interface.events[name].topic
            for contract, name in ((gateway, "WithdrawalStarted"), (passer, "MessagePassed"))
        ]
        logs = logs_between(
            l2,
            [gateway.address, passer.address],
            [events],
            self.rollup.contracts.from_block if first is None else first,
            l2.block_number if last is None else last,
        )
        found, begun = [], None
        for log in sorted(logs, key=lambda one: (one.block_number, one.index)):
            if log.address == gateway.address:
                begun = gateway.events([log])[0]
            elif begun is not None and begun.log.tx_hash == log.tx_hash:
                message = passer.events([log])[0]
                found.append((begun, Withdrawal.of_event(message.values, log.block_number)))
                begun = None
        times = {number: l2.block(number).timestamp for number in {message.block_number for _, message in found}}
        return [
            Started(
                account=event["account"],
                to=event["to"],
                amount=event["amount"],
                tx_hash=event.log.tx_hash,
                timestamp=times[message.block_number],
                withdrawal=message,
            )
            for event, message in found
        ]

    # --- judging ---

    def followed(self, started: Iterable[Started]) -> list[Followed]:
        """Where each stands now."""
        now = self.rollup.l1.block().timestamp
        return [Followed(one, self.standing(one.withdrawal, now), now) for one in started]

    def standing(self, withdrawal: Withdrawal, now: int | None = None) -> Standing:
        """Of one withdrawal; `now` is L1's time, the newest block's by default."""
        now = self.rollup.l1.block().timestamp if now is None else now
        if not self.rollup.portal.call("finalizedWithdrawals", withdrawal.hash):
            return self.outputs.standing(withdrawal, now)
        messenger = self.rollup.l1_messenger
        if withdrawal.target != messenger.address or messenger.call("successfulMessages", withdrawal.message_hash):
            return Standing(Stage.PAID)
        return Standing(Stage.FAILED)

    # --- the steps ---

    def take_step(self, withdrawal: Withdrawal, signer: Signer) -> list[Receipt]:
        """Whatever can be done for a withdrawal now, by anyone's `signer` on L1; nothing where it is to wait."""
        standing = self.standing(withdrawal)
        if standing.stage is Stage.PROVABLE:
            return [self._prove(withdrawal, standing, signer)]
        if standing.stage is Stage.RESOLVABLE:
            return signer.send_many(self.outputs.resolve(standing), check=True)
        if standing.stage is Stage.FINAL:
            call = self.outputs.finalise(withdrawal, standing)
            return [signer.send(call.to, call.data)]
        if standing.stage is Stage.FAILED:
            # not estimated: with too little gas the messenger doesn't fail, it only notes that the message did
            return [signer.send(withdrawal.target, withdrawal.data, gas=withdrawal.gas_limit + RELAY_GAS)]
        return []

    def _prove(self, withdrawal: Withdrawal, standing: Standing, signer: Signer) -> Receipt:
        assert standing.output is not None
        proof = prove_withdrawal(withdrawal, standing.output.index, standing.output.block_number, self.rollup.l2)
        return self.rollup.portal.transact(
            signer, "proveWithdrawalTransaction", withdrawal.transaction, proof.index, proof.output, proof.nodes
        )
