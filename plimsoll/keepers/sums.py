"""The ledger added up from outside: what was paid in against what everybody has, and samples against the contracts.

Everything is the mirror's but the tokens that the vault holds, each market's sums, and some accounts, whose words are
read from the chain at the same block: others every time. What tokens are there beyond all claims is dust of roundings,
wei each; a cent is far above what can be right, and far below what anybody steals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plimsoll.chain.transactions import Call
from plimsoll.core.units import WAD, from_wad
from plimsoll.index.mirror import Mirror
from plimsoll.keepers.ledger import Ledger
from plimsoll.risk.position import effective
from plimsoll.sdk.words import unpack_balance

TOLERANCE = WAD // 100
"""A cent, WAD dollars."""
BASE_TOLERANCE = 10**12
"""Of a side's open interest, WAD base: what closing parts of a side can leave without an owner."""
SAMPLE = 64
"""Accounts that are compared with the vault's and the market's words each time."""


@dataclass(frozen=True, slots=True)
class Totals:
    """At a block, WAD dollars. `dust`: paid in less what everybody has; `surplus`: tokens there less tokens paid in."""

    block: int
    accounts: int
    dust: int
    surplus: int
    open_interest: dict[int, tuple[int, int, int, int]]
    """By market: long and short as the market counts them, long and short that positions have; WAD base."""
    differences: tuple[str, ...] = ()
    """What the contracts store otherwise than the mirror has it."""

    def wrong(self) -> str:
        """What doesn't add up; empty where all does."""
        found = list(self.differences)
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


class Sums:
    """Adds up, and remembers how far through all accounts the samples are."""

    def __init__(self, ledger: Ledger, sample: int = SAMPLE) -> None:
        self.ledger = ledger
        self.sample = sample
        self._first = self._next = 0

    def add_up(self, *, again: bool = False) -> Totals:
        """As of the block that the ledger is at; `again`: with the accounts of the last time as the sample."""
        if again:
            self._next = self._first
        index, contracts = self.ledger.index, self.ledger.contracts
        mirror, block = index.mirror, index.block
        unit, chain = contracts.token_unit, contracts.chain
        [held] = chain.read([contracts.token.prepare("balanceOf", contracts.vault)], block=block)
        tokens = self._paid_in()
        longs = dict.fromkeys(mirror.markets, 0)
        shorts = dict(longs)
        claims = sum(one.pool_quote + one.unswept_insurance + one.unswept_treasury for one in mirror.markets.values())
        for account in mirror.monitor.accounts:
            balance = mirror.monitor.balance(account)
            claims += balance.cash
            if balance.markets:
                for market_id, base, value in _held(mirror, account):
                    claims += value
                    (longs if base > 0 else shorts)[market_id] += abs(base)
        return Totals(
            block=block,
            accounts=len(mirror.monitor.accounts),
            dust=tokens * unit - claims,
            surplus=(held - tokens) * unit,
            open_interest={
                one.id: (one.long, one.short, longs[one.id], shorts[one.id]) for one in mirror.markets.values()
            },
            differences=tuple(self._differences(mirror, block)),
        )

    def _paid_in(self) -> int:
        """Tokens deposited less withdrawn, by the events."""
        rows = self.ledger.index.store.query(
            "SELECT name, SUM(CAST(fields->>'amount' AS HUGEINT)) FROM events"
            " WHERE contract = 'MarginVault' AND name IN ('Deposited', 'Withdrawn') GROUP BY name"
        )
        by_name = {str(name): int(amount) for name, amount in rows}
        return by_name.get("Deposited", 0) - by_name.get("Withdrawn", 0)

    # --- against the contracts ---

    def _differences(self, mirror: Mirror, block: int) -> Iterator[str]:
        """Markets, and a sample of accounts, accrued to the block's time as the contracts' views are."""
        contracts, monitor = self.ledger.contracts, mirror.monitor
        now = contracts.chain.block(block).timestamp
        due = {one.id: one.pending(monitor.balance(one.pool_account).cash, now) for one in mirror.markets.values()}
        pairs: list[tuple[str, Call, tuple[int, ...]]] = []
        for market in mirror.markets.values():
            flow = due[market.id]
            mirrored: tuple[int, ...] = (
                market.long,
                market.short,
                market.pool_quote + (flow.pool_quote if flow else 0),
            )
            pairs.append((f"market {market.id}", contracts.market.prepare("marketState", market.id), mirrored))
        for account in self._sample(mirror):
            name = f"account {account:#066x}"
            pairs.append((name, contracts.vault.prepare("balanceOf", account), monitor.balance(account)))
            for market_id, held in monitor.positions(account):
                side = mirror.markets[market_id].side(held.base, due[market_id])
                call = contracts.market.prepare("position", account, market_id)
                pairs.append((f"{name} in market {market_id}", call, effective(held, side)))
        said = contracts.chain.read([call for _, call, _ in pairs], block=block)
        for (name, _, mirrored), one in zip(pairs, said, strict=True):
            if (stored := _numbers(one)) != mirrored:
                yield f"{name}: the contracts say {tuple(stored)}, and by their events it is {tuple(mirrored)}"

    def _sample(self, mirror: Mirror) -> list[int]:
        """The next accounts in the order in which they came."""
        every = mirror.monitor.accounts
        if self._next >= len(every):
            self._next = 0
        self._first, self._next = self._next, self._next + self.sample
        return [every.id_of(row) for row in range(self._first, min(self._next, len(every)))]


def _numbers(said: Any) -> tuple[int, ...]:
    """What a view said: a vault's slot, a market's state, or a position."""
    if isinstance(said, int):
        return unpack_balance(said)
    return tuple(said) if len(said) == 3 else (said.openLong, said.openShort, said.poolQuote)


def _held(mirror: Mirror, account: int) -> Iterator[tuple[int, int, int]]:
    """(market, effective base, quote − owed) of the account's positions, as of each market's last accrual."""
    for market_id, held in mirror.monitor.positions(account):
        base, quote, owed = effective(held, mirror.markets[market_id].side(held.base))
        yield market_id, base, quote - owed
