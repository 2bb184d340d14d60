"""The ledger added up from outside: what was paid in against what everybody has.

Cash comes from the vault's events, positions from the market's views at the same block. What tokens are there beyond
all claims is dust of roundings, wei each; a cent is far above what can be right, and far below what anybody steals.
"""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.chain.transactions import Block
from plimsoll.core.units import WAD, from_wad
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import Deposited, Posted, Transferred, Withdrawn, decode_all
from plimsoll.sdk.history import Follower, occurrences, topics_of
from plimsoll.sdk.snapshots import market_count
from plimsoll.sdk.words import markets_in

TOLERANCE = WAD // 100
"""A cent, WAD dollars."""
BASE_TOLERANCE = 10**12
"""Of a side's open interest, WAD base: what closing parts of a side can leave without an owner."""

_EVENTS = ("Posted", "Deposited", "Withdrawn", "Transferred")


@dataclass(frozen=True, slots=True)
class Totals:
    """At a block, WAD dollars. `dust`: paid in less what everybody has; `surplus`: tokens there less tokens paid in."""

    block: int
    accounts: int
    dust: int
    surplus: int
    open_interest: dict[int, tuple[int, int, int, int]]
    """By market: long and short as the market counts them, long and short that positions have; WAD base."""

    def wrong(self) -> str:
        """What doesn't add up; empty where all does."""
        found = []
        if abs(self.dust) > TOLERANCE:
            found.append(f"the ledger is off by {from_wad(self.dust):f} dollars")
        if self.surplus < 0:
            found.append(f"the vault holds {from_wad(-self.surplus):f} dollars less than was paid in")
        for market_id, (long, short, owned_long, owned_short) in self.open_interest.items():
            for side, counted, owned in (("long", long, owned_long), ("short", short, owned_short)):
                if abs(counted - owned) > BASE_TOLERANCE:
                    found.append(
                        f"market {market_id}: {side} open interest is {from_wad(counted):f}, "
                        f"and positions have {from_wad(owned):f}"
                    )
        return "; ".join(found)


class LedgerTracker:
    """Everybody's cash and markets, from the vault's events since the deployment."""

    def __init__(self, contracts: Contracts) -> None:
        self.contracts = contracts
        self._restarts = 0
        self._follower = Follower(
            contracts.chain,
            [contracts.vault.address],
            topics_of(contracts.vault.name, _EVENTS),
            from_block=contracts.from_block,
        )
        self._clear()

    def _clear(self) -> None:
        self._cash: dict[int, int] = {}
        self._markets: dict[int, int] = {}
        self._tokens = 0

    def add_up(self, block: Block) -> Totals:
        """As of a block."""
        self._follow(block)
        contracts, chain = self.contracts, self.contracts.chain
        ids = range(1, market_count(contracts) + 1)
        states = chain.read([contracts.market.prepare("marketState", one) for one in ids], block=block.number)
        fees = chain.read([contracts.market.prepare("unsweptFees", one) for one in ids], block=block.number)
        held = chain.read([contracts.token.prepare("balanceOf", contracts.vault)], block=block.number)[0]
        claims = sum(self._cash.values())
        claims += sum(state.poolQuote for state in states) + sum(one + other for one, other in fees)
        owned = {market_id: [0, 0] for market_id in ids}
        places = [(account, one) for account, bitmap in self._markets.items() for one in markets_in(bitmap)]
        positions = chain.read([contracts.market.prepare("position", *place) for place in places], block=block.number)
        for (_, market_id), (base, quote, owed) in zip(places, positions, strict=True):
            claims += quote - owed
            owned[market_id][base < 0] += abs(base)
        unit = contracts.token_unit
        return Totals(
            block=block.number,
            accounts=len(self._cash),
            dust=self._tokens * unit - claims,
            surplus=(held - self._tokens) * unit,
            open_interest={
                one: (state.openLong, state.openShort, *owned[one]) for one, state in zip(ids, states, strict=True)
            },
        )

    def _follow(self, block: Block) -> None:
        logs = self._follower.poll(block.number)
        if self._follower.restarts != self._restarts:
            self._restarts = self._follower.restarts
            self._clear()
        unit = self.contracts.token_unit
        for record in decode_all(occurrences([self.contracts.vault], logs)):
            if isinstance(record, Posted):
                balance = record.unpacked
                self._cash[record.account] = balance.cash
                self._markets[record.account] = balance.markets
            elif isinstance(record, Deposited | Withdrawn):
                self._cash[record.account] = record.cash
                self._tokens += record.amount if isinstance(record, Deposited) else -record.amount
            elif isinstance(record, Transferred):
                self._move(int(record.from_), int(record.to), record.amount * unit)

    def _move(self, source: int, target: int, value: int) -> None:
        self._cash[source] = self._cash.get(source, 0) - value
        self._cash[target] = self._cash.get(target, 0) + value
