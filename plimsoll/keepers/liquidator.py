"""The liquidator: closes out unhealthy accounts, absorbs bankrupt ones, takes positions over where it has capital, and
deleverages a market whose pool could not pay.

Who may be liquidated, and what an action would do, comes from the mirror of the ledger; every action is simulated on
the chain before it is sent. Many at once go as batches, of which enough are under way that no block waits for us; each
round decides anew about everybody else, so that the largest risk goes first at the newest prices.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.sending import CarefulSigner
from plimsoll.chain.transactions import Block, Receipt, Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.keepers.attempts import MOST_GAS, NEXT_GAS, Attempt, Attempts
from plimsoll.keepers.ledger import Ledger
from plimsoll.keepers.liquidations import Capital, Decision, Sick, Snapshot, decide, deleveragings
from plimsoll.keepers.mirrored import MirrorBook, read_counters
from plimsoll.keepers.outcomes import TOLD, told
from plimsoll.keepers.runner import Fields, Log, account_shown
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import decode_all
from plimsoll.sdk.history import topics_of

FLIGHT_BLOCKS = 2
"""As many blocks could be filled with what is under way: the one being made and the next. More would be decided at
older prices, and keep the next price waiting where blocks are filled in the order of arrival.
"""


@dataclass(frozen=True, slots=True)
class Flight:
    """A transaction that was sent."""

    attempt: Attempt
    records: tuple[int, ...]
    """What each action rested on (`Snapshot.record_of`): what the contracts refuse is refused at that."""
    block: int = 0
    """In which it was mined, 0 while it isn't known to be."""

    @property
    def gas(self) -> int:
        """What it may still take of a block."""
        return 0 if self.block else self.attempt.call.gas or 0


class Liquidator:
    """The job. State: what is under way, and what was refused at which record; all else is the ledger's."""

    name = "liquidator"

    def __init__(
        self,
        contracts: Contracts,
        signer: Signer | None,
        *,
        capital: Capital | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        """Raises UserError where the capital's account is not the signer's."""
        if capital is not None and (signer is None or capital.account >> 96 != int(signer.address, 16)):
            raise UserError("liquidator: the account to take over into must be the signer's own")
        self.contracts = contracts
        self.signer = signer
        self.capital = capital
        self.ledger = ledger or Ledger(contracts)
        most_gas = signer.limits.max_gas if isinstance(signer, CarefulSigner) else MOST_GAS
        self._attempts = Attempts(contracts, most_gas)
        self._refused: dict[tuple[int, int], int] = {}
        self._last: Snapshot | None = None
        self._gas_limit = 0
        self._flights: dict[int, Flight] = {}
        """By nonce."""
        self._done: list[Decision] = []
        """What `land` gives back next."""
        self._told = {topic for name, kinds in TOLD.items() for topic in topics_of(name, kinds)}

    def check(self) -> Fields:
        fields = {"liquidator": self.contracts.liquidator.address, "from_block": self.contracts.from_block}
        if self.capital is not None:
            fields["takes_over_into"] = account_shown(self.capital.account)
        return fields

    def observe(self, block: Block) -> Snapshot:
        mirror = self.ledger.at(block)
        now = self.ledger.time(block)
        self._gas_limit = block.gas_limit
        self._flights = {nonce: one for nonce, one in self._flights.items() if not 0 < one.block <= block.number}
        found = [Sick(*one) for one in mirror.monitor.unhealthy(now)]
        found.sort(key=lambda one: (one.health, one.account))
        accounts = {one.account for one in found}
        self._refused = {key: at for key, at in self._refused.items() if key[0] in accounts or not key[0]}
        counters = read_counters(self.contracts, block.number, list(mirror.markets)) if found else {}
        pool, fund = (int(self.contracts.addresses[name], 16) for name in ("LiquidityPool", "InsuranceFund"))
        self._last = Snapshot(
            now=now,
            keeper=int(self.signer.address, 16) if self.signer is not None else 1,
            book=MirrorBook(mirror, counters, pool=pool, fund=fund),
            sick=tuple(found),
            refused=dict(self._refused),
            under_way=tuple(action for one in self._flights.values() for action in one.attempt.actions),
        )
        return self._last

    def decide(self, snapshot: Snapshot) -> list[Decision]:
        """As much as may be under way at once; what has to be deleveraged first, of which there is little."""
        most = max(1, FLIGHT_BLOCKS * self._gas_limit // NEXT_GAS - len(snapshot.under_way))
        liquidations = decide(snapshot, self.capital, most)
        return [*deleveragings(snapshot, liquidations), *liquidations]

    # --- acting ------------------------------------------------------------------------------------------------------

    def act(self, actions: Sequence[Decision], log: Log, stop: threading.Event) -> None:
        """What the chain would do now is sent in order, as far as there is room; `land` says what became of it."""
        assert self.signer is not None
        left = list(actions)
        for parts in self._attempts.parts(actions, self._gas_limit):
            if stop.is_set() or self._is_full():
                break
            del left[: sum(map(len, parts))]
            simulated = self._attempts.simulate(parts, self.signer.address)
            for action, error in simulated.refused:
                self._refuse(action, error, log)
            self._send(simulated.attempts, log)
        self._done += left

    def land(self, log: Log) -> list[Decision]:
        """Say what became of what was sent. Returns actions that nothing is under way of any more."""
        if isinstance(self.signer, CarefulSigner) and self._flights:
            for nonce, receipt in sorted(self.signer.landed().items()):
                if (flight := self._flights.get(nonce)) is not None:
                    self._flights[nonce] = replace(flight, block=receipt.block_number)
                    self._tell(flight, receipt, log)
        done, self._done = self._done, []
        return done

    def lost(self) -> list[Decision]:
        """Nothing of ours is under way any more, whatever we thought. Returns what was."""
        actions = [action for one in self._flights.values() if not one.block for action in one.attempt.actions]
        self._flights = {nonce: one for nonce, one in self._flights.items() if one.block}
        return actions

    @property
    def is_flying(self) -> bool:
        return any(not one.block for one in self._flights.values())

    # --- parts ---

    def _is_full(self) -> bool:
        """Whether what is under way fills blocks enough."""
        return sum(one.gas for one in self._flights.values()) >= FLIGHT_BLOCKS * self._gas_limit

    def _send(self, attempts: Sequence[Attempt], log: Log) -> None:
        assert self.signer is not None
        calls = [one.call for one in attempts]
        flights = [Flight(one, tuple(map(self._record_of, one.actions))) for one in attempts]
        if isinstance(self.signer, CarefulSigner):
            nonces = self.signer.dispatch(calls)
            self._flights |= dict(zip(nonces, flights, strict=True))
            return
        for one, receipt in zip(flights, self.signer.send_many(calls), strict=True):
            self._tell(one, receipt, log)

    def _record_of(self, action: Decision) -> int:
        return 0 if self._last is None else self._last.record_of(action.key)

    def _tell(self, flight: Flight, receipt: Receipt, log: Log) -> None:
        """What a mined transaction did, and what in it did nothing: not again before the next record."""
        actions = flight.attempt.actions
        if receipt.ok:
            known = [one for one in receipt.logs if one.topics and one.topics[0] in self._told]
            for event, fields in told(decode_all(decode_logs(known, self.contracts.chain.registry))):
                log(event, **fields, tx=receipt.tx_hash)
            refused = self._attempts.reasons(receipt)
        else:
            refused = dict.fromkeys(range(len(actions)), self.contracts.chain.why(receipt))
        for place, error in refused.items():
            self._refused[actions[place].key] = flight.records[place]
            log("failed", **actions[place].describe(), reason=error.reason, tx=receipt.tx_hash)
        self._done += actions

    def _refuse(self, action: Decision, error: Reverted, log: Log) -> None:
        """Not again before the next record; said once a record."""
        self._refused[action.key] = self._record_of(action)
        self._done.append(action)
        log("refused", **action.describe(), reason=error.reason)
