"""What a keeper looks at beside its work: whether nodes agree, the chain is the same, the sums add up, gas is there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from plimsoll.chain.endpoints import RpcDisagreement, RpcPool
from plimsoll.chain.transactions import Block, Signer
from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.keepers.ledger import Broken, Ledger
from plimsoll.keepers.sums import Sums, Totals
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.words import unpack_record

SUMS_SHARE = 0.05
"""Of the time, at most, goes into sums: where there are very many accounts they are added up more seldom."""


@dataclass(frozen=True, slots=True)
class Often:
    """Seconds between looks. `sums` 0: the ledger isn't added up by this keeper."""

    nodes: float = 10.0
    sums: float = 60.0
    low_balance: int = WAD // 100
    """Wei; below it the alarm goes."""


class Checks:
    """Looks when it is time to."""

    def __init__(
        self,
        contracts: Contracts,
        genesis: str,
        signer: Signer | None,
        *,
        ledger: Ledger | None = None,
        often: Often | None = None,
        eth_price: int | None = None,
        eth_market: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """The price of ether is `eth_price`, WAD dollars, or the newest of a market; for what gas comes to."""
        self.contracts = contracts
        self.signer = signer
        self.often = often or Often()
        self.balance: int | None = None
        """Wei that the signer has for gas."""
        self.cash: int | None = None
        """WAD dollars in the signer's main account, where rewards go."""
        self.eth_price = eth_price
        """WAD dollars; None while nobody says it."""
        self.totals: Totals | None = None
        self.disagreements = 0
        self._genesis = genesis
        self.ledger = ledger or Ledger(contracts)
        self._sums = Sums(self.ledger)
        self._eth_market = eth_market if eth_price is None else None
        self._clock = clock
        self._nodes_at = self._sums_due = float("-inf")
        self._seen = 0

    @property
    def is_low(self) -> bool:
        """Whether gas will run out."""
        return self.balance is not None and self.balance < self.often.low_balance

    def look(self, block: Block) -> None:
        """Raises Broken where an invariant doesn't hold, RpcUnavailable where the nodes contradict one another."""
        now = self._clock()
        if now - self._nodes_at >= self.often.nodes or block.number < self._seen:  # the chain is shorter than it was
            self._look_at_nodes(block)
            self._nodes_at = now
        if self.often.sums and now >= self._sums_due and self._add_up(block):
            took = self._clock() - now
            self._sums_due = now + max(self.often.sums, took / SUMS_SHARE)
        self._seen = block.number

    def _look_at_nodes(self, block: Block) -> None:
        chain = self.contracts.chain
        if chain.block(0).hash != self._genesis:
            raise Broken(f"{chain.uri} is another chain by now (its block 0 is); was it started again?")
        if isinstance(chain.rpc, RpcPool):
            try:
                chain.rpc.compare(self._evidence())
            except RpcDisagreement:
                self.disagreements += 1
                raise
        if self.signer is not None:
            self.balance = self.signer.balance
            account = ids.pack(self.signer.address)
            [self.cash] = chain.read([self.contracts.vault.prepare("cashOf", account)], block=block.number)
        if self._eth_market is not None:
            newest = self.contracts.oracle.prepare("newest", self._eth_market)
            record = unpack_record(chain.read([newest], block=block.number)[0])
            self.eth_price = self.eth_price if record is None else record.price

    def _evidence(self) -> list[tuple[str, list[dict[str, str]]]]:
        """A call whose answer holds all that anybody could lie about to our harm: prices, positions' sums, cash."""
        if self.contracts.lens is None:
            return []
        call = self.contracts.lens.prepare("protocol")
        return [("eth_call", [{"to": call.to or "", "data": "0x" + call.data.hex()}])]

    def _add_up(self, block: Block) -> bool:
        """A finding is looked at again at the next block, and then once more with everything read again.

        False where the node is behind what was read before: there is nothing to compare with then.
        """
        chain = self.contracts.chain
        self.ledger.at(block)
        if self.ledger.index.block != block.number:
            return False
        self.totals = self._sums.add_up()
        if self.totals.wrong():
            self.ledger.at(chain.block())
            self.totals = self._sums.add_up(again=True)
        if self.totals.wrong():
            self.ledger.read_again(chain.block().number)
            self.totals = self._sums.add_up(again=True)
        if wrong := self.totals.wrong():
            raise Broken(f"block {self.totals.block}: {wrong}")
        return True
