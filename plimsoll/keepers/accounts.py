"""Which accounts there are to watch: those with a position or a debt, from the vault's entries."""

from __future__ import annotations

from plimsoll.chain.transactions import Block
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Posted, decode_all
from plimsoll.sdk.history import Follower, occurrences, topics_of
from plimsoll.sdk.snapshots import read_health


class AccountTracker:
    """Follows every entry in an account; `Posted` says what results, so that the last one is all that counts."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        self._own = contracts.own_addresses
        self._watched: dict[int, None] = {}
        self._restarts = 0
        self._follower = Follower(
            contracts.chain,
            [contracts.vault.address],
            topics_of(contracts.vault.name, ["Posted"]),
            from_block=contracts.from_block,
        )

    def watched(self, block: Block) -> list[int]:
        """Accounts with a position or a debt as of a block; the pool's and the fund's are nobody's to liquidate."""
        logs = self._follower.poll(block.number)
        if self._follower.restarts != self._restarts:
            self._restarts = self._follower.restarts
            self._watched.clear()
        for record in decode_all(occurrences([self.contracts.vault], logs)):
            if not isinstance(record, Posted) or record.account >> 96 in self._own:
                continue
            balance = record.unpacked
            if balance.markets or balance.cash < 0:
                self._watched[record.account] = None
            else:
                self._watched.pop(record.account, None)
        return list(self._watched)

    def unhealthy(self, block: Block) -> dict[int, tuple[int, int]]:
        """(equity, maintenance) at health prices of every account that may be liquidated."""
        health = read_health(self.contracts, block, self.watched(block))
        return {account: sums for account, sums in health.items() if sums[0] < sums[1]}
