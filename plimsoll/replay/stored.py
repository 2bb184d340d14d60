"""What the contracts store of the ledger, word by word, and the sums over it.

The same words come from the model, packed as the contracts pack them, and from a chain; so comparing is comparing
words, and the sums are computed by one function wherever the words are from.

Where they are and how they are packed: plimsoll/sdk/slots.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plimsoll.core.units import WAD
from plimsoll.risk.position import SideState, effective
from plimsoll.risk.protocol import Protocol
from plimsoll.sdk.slots import (
    MARKET_POSITIONS,
    MARKET_STATES,
    MARKET_WORDS,
    MASK_112,
    MASK_128,
    VAULT_BALANCES,
    balance_word,
    market_words,
    position_words,
    signed,
    slot_of,
    unpack_position,
    unpack_side,
)
from plimsoll.sdk.words import unpack_balance


@dataclass(frozen=True, slots=True)
class Ledger:
    """Stored words by what they are of: balances by account, positions by (account, market), markets by id."""

    balances: Mapping[int, int]
    positions: Mapping[tuple[int, int], tuple[int, int]]
    markets: Mapping[int, tuple[int, ...]]

    def differences(self, other: Ledger) -> set[int]:
        """Accounts of which anything differs; a market's own words count for `-market_id`."""
        found = {account for account, word in self.balances.items() if other.balances[account] != word}
        found |= {key[0] for key, words in self.positions.items() if other.positions[key] != words}
        return found | {-market_id for market_id, words in self.markets.items() if other.markets[market_id] != words}


class Layout:
    """Which words there are of some accounts, and where. Slots are computed once."""

    def __init__(self, accounts: Iterable[int], holdings: Iterable[tuple[int, int]], market_ids: Iterable[int]) -> None:
        """`holdings`: (account, market) of every position that there may be."""
        self.accounts = tuple(accounts)
        self.holdings = tuple(holdings)
        self.market_ids = tuple(market_ids)
        self.vault_slots = tuple(slot_of(VAULT_BALANCES, account) for account in self.accounts)
        states = [slot_of(MARKET_STATES, one) + place for one in self.market_ids for place in range(MARKET_WORDS)]
        positions = [slot_of(MARKET_POSITIONS, *holding) for holding in self.holdings]
        self.market_slots = (*states, *(slot + place for slot in positions for place in range(2)))

    def __len__(self) -> int:
        """How many accounts."""
        return len(self.accounts)

    def part(self, accounts: Iterable[int]) -> Layout:
        """The same of fewer accounts, without the markets."""
        wanted = set(accounts)
        return Layout(
            (one for one in self.accounts if one in wanted), (one for one in self.holdings if one[0] in wanted), ()
        )

    def read(self, vault: Sequence[int], market: Sequence[int]) -> Ledger:
        """The ledger in the words of `vault_slots` and `market_slots`, without what closed positions leave behind."""
        at = len(self.market_ids) * MARKET_WORDS
        states = [tuple(market[start : start + MARKET_WORDS]) for start in range(0, at, MARKET_WORDS)]
        positions = [
            (market[start], market[start + 1]) if market[start] else (0, 0) for start in range(at, len(market), 2)
        ]
        return Ledger(
            dict(zip(self.accounts, vault, strict=True)),
            dict(zip(self.holdings, positions, strict=True)),
            dict(zip(self.market_ids, states, strict=True)),
        )

    def expected(self, model: Protocol) -> Ledger:
        """What the model says is stored there."""
        state = model.state
        balances = {account: balance_word(state.accounts.get(account)) for account in self.accounts}
        positions = {
            (account, market_id): position_words(state.markets[market_id].positions.get(account))
            for account, market_id in self.holdings
        }
        markets = {market_id: market_words(state.markets[market_id]) for market_id in self.market_ids}
        return Ledger(balances, positions, markets)


# --- the sums ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sums:
    """The three sums of the ledger, wei. `base` by market; `dust`: tokens less claims; `equity`: Σ equity less tokens.

    Each is as of the last accrual of its market. `rounding`: positions and pool accounts, which each valued at a price
    lose a wei of equity at most.
    """

    base: Mapping[int, int]
    dust: int
    equity: int
    rounding: int


def sums_of(
    ledger: Ledger,
    tokens: int,
    prices: Mapping[int, int],
    ends: Mapping[int, tuple[Sequence[tuple[int, int]], Sequence[tuple[int, int]]]],
) -> Sums:
    """Add up a ledger. `tokens` held and `prices` are WAD; `ends` has (G, K) of past epochs, longs then shorts."""
    cash = sum(unpack_balance(word).cash for word in ledger.balances.values())
    claims = equity = cash
    base = {}
    sides = {market_id: _sides(words, *ends[market_id]) for market_id, words in ledger.markets.items()}
    for market_id, words in ledger.markets.items():
        skew = (words[2] & MASK_128) - (words[2] >> 128)
        pool_quote = signed(words[3])
        unswept = (words[4] & MASK_112) + (words[4] >> 112 & MASK_112)
        claims += pool_quote + unswept
        equity += pool_quote + unswept + -skew * prices[market_id] // WAD
        base[market_id] = -skew
    for (_, market_id), words in ledger.positions.items():
        if not words[0]:
            continue
        held = unpack_position(words)
        size, quote, owed = effective(held, sides[market_id][held.base < 0])
        base[market_id] += size
        claims += quote - owed
        equity += size * prices[market_id] // WAD + quote - owed
    held_count = sum(1 for words in ledger.positions.values() if words[0])
    return Sums(base, tokens - claims, equity - tokens, held_count + len(ledger.markets))


def _sides(
    words: Sequence[int], longs: Sequence[tuple[int, int]], shorts: Sequence[tuple[int, int]]
) -> tuple[SideState, SideState]:
    return _side(words[0], longs), _side(words[1], shorts)


def _side(word: int, ends: Sequence[tuple[int, int]]) -> SideState:
    return SideState(*unpack_side(word), ends)
