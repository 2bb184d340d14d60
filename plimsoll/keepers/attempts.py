"""Liquidations as transactions: batches of a size that fills blocks, without what the chain would refuse.

A block is filled by gas limits when a transaction is chosen for it, and what does not fit is left for the next one. So
batches are small against a block, and their limits close to what they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from plimsoll.chain.transactions import Call, Receipt, Reverted
from plimsoll.keepers.liquidations import CloseOut, Decision, Deleverage, TakeOver
from plimsoll.sdk.contracts import Contracts

BLOCK_PARTS = 32
"""A batch is this part of a block at most, so that no more than that stays empty at a block's end."""
MOST_GAS = 12_000_000
"""Of a batch in a very large block: networks refuse transactions above 2^24."""
FIRST_GAS, NEXT_GAS = 80_000, 90_000
"""Of a batch, and of each action in it, before anything was estimated."""
SPARE_PERCENT, SPARE_GAS = 3, 40_000
"""Added to an estimate: by then a market may have to be accrued once more, and accounts of ours be written first."""
GROUP = 8
"""Batches that are simulated at once: the first are on their way while the next are being looked at."""


class Attempt(NamedTuple):
    """A transaction, and what it does in its order."""

    call: Call
    actions: tuple[Decision, ...]


@dataclass(slots=True)
class Simulated:
    """What the chain would do with some actions: transactions, and what it would refuse with the reasons."""

    attempts: list[Attempt]
    refused: list[tuple[Decision, Reverted]]


class Attempts:
    """Makes batches for one sender. Remembers what an action takes."""

    def __init__(self, contracts: Contracts, most_gas: int = MOST_GAS) -> None:
        """`most_gas`: of a transaction, whatever blocks have room for."""
        self.contracts = contracts
        self._most_gas = min(most_gas, MOST_GAS)
        self._each = NEXT_GAS

    def size(self, gas_limit: int) -> int:
        """Actions in a batch, for blocks of that gas limit."""
        target = min(gas_limit // BLOCK_PARTS, self._most_gas)
        return max(1, (target - FIRST_GAS) // self._each)

    def parts(self, actions: Sequence[Decision], gas_limit: int) -> Iterable[list[tuple[Decision, ...]]]:
        """Batches in the order of the actions, a group at a time, each as large as is known when it is asked for."""
        at = 0
        while at < len(actions):
            size = self.size(gas_limit)
            group: list[tuple[Decision, ...]] = []
            while at < len(actions) and len(group) < GROUP:
                group.append(tuple(actions[at : at + size]))
                at += size
            yield group

    def simulate(self, parts: Sequence[tuple[Decision, ...]], sender: str) -> Simulated:
        """Each batch by itself at the newest block; estimates are of what is left of it."""
        found = Simulated([], [])
        kept = [self._tried(part, said, found) for part, said in zip(parts, self._said(parts, sender), strict=True)]
        calls = [(self.call(part), part) for part in kept if part]
        estimates = self.contracts.chain.estimates([call for call, _ in calls], sender=sender)
        for (call, part), gas in zip(calls, estimates, strict=True):
            if isinstance(gas, Reverted):
                found.refused += [(one, gas) for one in part]
                continue
            if len(part) > 1:
                self._each = (gas - FIRST_GAS) // len(part) + 1
            limit = gas + gas * SPARE_PERCENT // 100 + SPARE_GAS
            found.attempts.append(Attempt(Call(call.to, call.data, gas=limit, label=call.label), part))
        return found

    def reasons(self, receipt: Receipt) -> dict[int, Reverted]:
        """What in a mined batch did nothing, by its place."""
        events = self.contracts.liquidator.events(receipt, "AttemptFailed")
        return {one.values["index"]: self.contracts.chain.revert_of(one.values["reason"], receipt) for one in events}

    def call(self, part: Sequence[Decision]) -> Call:
        """One transaction: the action's own call where there is only one."""
        if len(part) == 1:
            return self._call(part[0])
        return self.contracts.liquidator.prepare("attempt", [self._call(one).data for one in part])

    def _call(self, action: Decision) -> Call:
        liquidator = self.contracts.liquidator
        if isinstance(action, CloseOut):
            return liquidator.prepare("liquidate", action.account, action.market_id, [])
        if isinstance(action, TakeOver):
            return liquidator.prepare(
                "takeOver", action.account, action.market_id, action.base, action.to_account, b"", []
            )
        if isinstance(action, Deleverage):
            return liquidator.prepare("deleverage", action.market_id, [])
        return liquidator.prepare("absorb", action.account, [])

    def _said(self, parts: Sequence[tuple[Decision, ...]], sender: str) -> list[list[bytes] | Reverted]:
        """The reasons in each batch; a Reverted where all of it would be refused. Singles are only estimated."""
        calls = [self.call(part) for part in parts if len(part) > 1]
        answers = iter(self.contracts.chain.simulate(calls, sender=sender))
        return [next(answers) if len(part) > 1 else [b""] for part in parts]

    def _tried(
        self, part: tuple[Decision, ...], said: list[bytes] | Reverted, found: Simulated
    ) -> tuple[Decision, ...]:
        """The actions of a batch that would do something."""
        if isinstance(said, Reverted):
            found.refused += [(one, said) for one in part]
            return ()
        for one, reason in zip(part, said, strict=True):
            if reason:
                found.refused.append((one, self.contracts.chain.revert_of(reason)))
        return tuple(one for one, reason in zip(part, said, strict=True) if not reason)
