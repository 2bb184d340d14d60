"""What the engine knows of the chain: prices and rules of markets, cash and positions of accounts, who may sign.

Plain data. `plimsoll.book.watch` reads it from a node, tests and the benchmark make it up. Dollars, sizes and prices
are WAD, times Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from plimsoll.core.orders import Scope
from plimsoll.core.units import SECONDS_PER_DAY, WAD
from plimsoll.risk.market import Market
from plimsoll.risk.matching import BAND_BPS
from plimsoll.sdk.signing import Domain

ACCOUNT_SECONDS = 60
"""For how long what was read of an account holds without news: funding accrues without an event."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the operator asks of orders in a market: steps of price and size, and the least notional of an order."""

    tick: int = WAD // 100
    lot: int = WAD // 10_000
    min_notional: int = 0


@dataclass(slots=True)
class MarketFacts:
    """A market as the reference model has it, as of the newest block."""

    model: Market
    pool_cash: int = 0
    terms: Terms = Terms()

    @property
    def price(self) -> int:
        """The index price; 0 before the first record."""
        return self.model.newest.price if self.model.newest else 0

    @property
    def band(self) -> tuple[int, int]:
        """Lowest and highest price of a match."""
        distance = self.price * BAND_BPS // 10_000
        return self.price - distance, self.price + distance


NO_POSITION = (0, 0, 0)


@dataclass(slots=True)
class AccountFacts:
    """An account. `positions`: (base, quote, owed) by market; settling one takes what it owes from the cash."""

    cash: int = 0
    reserved: int = 0
    counter: int = 0
    positions: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    read_at: int = 0

    def base(self, market_id: int) -> int:
        return self.positions.get(market_id, NO_POSITION)[0]

    def increases(self, market_id: int, size: int) -> bool:
        """Whether a fill of `size`, signed, would be more than a reduction of the position."""
        held = self.base(market_id)
        return not held or (held > 0) == (size > 0) or abs(size) > abs(held)


@dataclass(slots=True)
class DelegateFacts:
    """A delegate's scope, and the whole dollars that were used of its budget on `day`, counted from the epoch."""

    scope: Scope
    used: int = 0
    day: int = 0

    def left(self, now: int) -> int:
        """Whole dollars of today's budget."""
        return max(0, self.scope.daily_budget - (self.used if self.day == now // SECONDS_PER_DAY else 0))


@dataclass(slots=True)
class Facts:
    """All of it. Addresses are ints."""

    domain: Domain
    now: int = 0
    """Time of the newest block."""
    block: int = 0
    markets: dict[int, MarketFacts] = field(default_factory=dict)
    accounts: dict[int, AccountFacts] = field(default_factory=dict)
    delegates: dict[tuple[int, int], DelegateFacts] = field(default_factory=dict)
    """By account and delegate."""
    wallets: dict[int, bool] = field(default_factory=dict)
    """Whether an owner is a contract, which says itself what its signature is (ERC-1271)."""
    words: dict[bytes, bool] = field(default_factory=dict)
    """Whether a wallet calls a signature its own, by keccak(digest, signature)."""
    spent: set[bytes] = field(default_factory=set)
    """Hashes that the chain knows as placed, cancelled or all filled."""
    matched: dict[bytes, int] = field(default_factory=dict)
    """Base that the chain has matched of signed orders."""

    def account(self, account: int) -> AccountFacts | None:
        """None where it isn't known, or not well enough any more."""
        found = self.accounts.get(account)
        return found if found is not None and self.now - found.read_at <= ACCOUNT_SECONDS else None
