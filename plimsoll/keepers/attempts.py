"""Liquidations as transactions: batches of a size that fills blocks, without what the chain would refuse.

A block is filled by gas limits when a transaction is chosen for it, and what does not fit is left for the next one. So
batches are small against a block, and their limits close to what they use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from plimsoll.chain.transactions import Call, Receipt, Reverted
from plimsoll.keepers.liquidations import CloseOut, Decision, Deleverage, TakeOver
from plimsoll.sdk.contracts import Contracts

BLOCK_PARTS = 32
"""A batch is this part of a block at most, so that no more than that stays empty at a block's end."""
MOST_GAS = 12_000_000
"""Of a batch in a very large block: networks refuse transactions above 2^24."""
FIRST_GAS, NEXT_GAS = 80_000, 90_000
"""Of a batch by itself, and of each action in it, before anything was estimated."""
LEAST_GAS = 20_000
SPARE_PERCENT, SPARE_GAS = 3, 40_000
"""Added to what is enough now: by then a market may have to be accrued once more, and an account be written first."""
GROUP = 8
"""Batches that are simulated at once: the first are on their way while the next are being looked at."""


Part = tuple[Decision, ...]


class Attempt(NamedTuple):
    """A transaction, and what it does in its order."""

    call: Call
    actions: Part


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

    def parts(self, actions: Sequence[Decision], gas_limit: int) -> Iterable[list[Part]]:
        """Batches in the order of the actions, some at a time, each as large as is known when it is asked for.

        The first comes alone: it is estimated, and tells what the others take.
        """
        at, most = 0, 1
        while at < len(actions):
            size = self.size(gas_limit)
            group: list[Part] = []
            while at < len(actions) and len(group) < most:
                group.append(tuple(actions[at : at + size]))
                at += size
            yield group
            most = GROUP

    def simulate(self, parts: Sequence[Part], sender: str) -> Simulated:
        """What the chain would do now, each batch by itself; in their order.

        One alone is estimated. Of several each is carried out with the gas that the last estimate makes of it, which is
        a twentieth of an estimate's work; what that isn't enough for, or has something refused, is estimated after all.
        """
        found = Simulated([], [])
        sure: list[bool] = [False] * len(parts)
        limited = [self.call(part, gas=FIRST_GAS + self._each * len(part)) for part in parts]
        if len(parts) > 1:
            said = self.contracts.chain.simulate(limited, sender=sender)
            sure = [len(part) > 1 and one == [b""] * len(part) for part, one in zip(parts, said, strict=True)]
        doubtful = [part for part, is_sure in zip(parts, sure, strict=True) if not is_sure]
        estimated = iter(self._estimated(doubtful, sender, found))
        for part, call, is_sure in zip(parts, limited, sure, strict=True):
            attempt = Attempt(_with_spare(call, call.gas or 0), part) if is_sure else next(estimated)
            if attempt is not None:
                found.attempts.append(attempt)
        return found

    def reasons(self, receipt: Receipt) -> dict[int, Reverted]:
        """What in a mined batch did nothing, by its place."""
        events = self.contracts.liquidator.events(receipt, "AttemptFailed")
        return {one.values["index"]: self.contracts.chain.revert_of(one.values["reason"], receipt) for one in events}

    def call(self, part: Part, gas: int | None = None) -> Call:
        """One transaction: the action's own call where there is only one."""
        if len(part) == 1:
            return replace(self._call(part[0]), gas=gas)
        return self.contracts.liquidator.prepare("attempt", [self._call(one).data for one in part], gas=gas)

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

    def _estimated(self, parts: Sequence[Part], sender: str, found: Simulated) -> list[Attempt | None]:
        """Each part's transaction without what would be refused; None where nothing is left of it."""
        left = self._without_refused(parts, sender, found)
        estimates = iter(self.contracts.chain.estimates([self.call(part) for part in left if part], sender=sender))
        attempts: list[Attempt | None] = []
        for part in left:
            gas = next(estimates) if part else None
            if gas is None or isinstance(gas, Reverted):
                found.refused += [(one, gas) for one in part if gas is not None]
                attempts.append(None)
                continue
            if len(part) > 1:
                self._each = max(LEAST_GAS, (gas - FIRST_GAS) // len(part) + 1)
            attempts.append(Attempt(_with_spare(self.call(part), gas), part))
        return attempts

    def _without_refused(self, parts: Sequence[Part], sender: str, found: Simulated) -> list[Part]:
        """What of each batch would do something; of a single action its estimate says that."""
        answers = iter(
            self.contracts.chain.simulate([self.call(part) for part in parts if len(part) > 1], sender=sender)
        )
        left: list[Part] = []
        for part in parts:
            reasons = next(answers) if len(part) > 1 else [b""]
            if isinstance(reasons, Reverted):
                found.refused += [(one, reasons) for one in part]
                left.append(())
                continue
            refused = [(one, reason) for one, reason in zip(part, reasons, strict=True) if reason]
            found.refused += [(one, self.contracts.chain.revert_of(reason)) for one, reason in refused]
            left.append(tuple(one for one, reason in zip(part, reasons, strict=True) if not reason))
        return left


def _with_spare(call: Call, gas: int) -> Call:
    return replace(call, gas=gas + gas * SPARE_PERCENT // 100 + SPARE_GAS)
