"""The ledger's words that a receipt rests on, by what they are of; and the reference model's state made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.units import RAY
from plimsoll.risk.config import LiquidationParams, MarketParams, OrderParams
from plimsoll.risk.market import Declaration, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.state import State
from plimsoll.sdk.slots import (
    CONFIG_WORDS,
    MARKET_CONFIGS,
    MARKET_ENDS,
    MARKET_POSITIONS,
    MARKET_STATES,
    MARKET_WORDS,
    MASK_96,
    MASK_112,
    POSITION_WORDS,
    VAULT_BALANCES,
    balance_word,
    market_words,
    position_words,
    signed,
    slot_of,
    unpack_position,
    unpack_side,
)
from plimsoll.sdk.words import unpack_balance, unpack_configuration

BALANCE, POSITION, MARKET, CONFIG, END = "balance", "position", "market", "config", "end"
FEES = 4
"""The place of a market's word with the fees that wait, and how fees are split."""
_STARTS = {
    BALANCE: VAULT_BALANCES,
    POSITION: MARKET_POSITIONS,
    MARKET: MARKET_STATES,
    CONFIG: MARKET_CONFIGS,
    END: MARKET_ENDS,
}


class Key(NamedTuple):
    """One word: `of` an account; an account and a market; a market; a market, its longs (1) or shorts (0), an epoch."""

    kind: str
    of: tuple[int, ...]
    place: int = 0

    @property
    def in_vault(self) -> bool:
        return self.kind == BALANCE

    @property
    def slot(self) -> int:
        return slot_of(_STARTS[self.kind], *self.of) + self.place


Words = Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """What isn't read as words: the deployment; by market newest records, (moved since, moved, hour, absorbed), and
    declarations of death that hold."""

    pool: int
    fund: int
    token_decimals: int
    gas_market: int
    newest: Mapping[int, Record | None]
    counters: Mapping[int, tuple[int, int, int, int]]
    declarations: Mapping[int, Declaration] = field(default_factory=dict)


def market_keys(market_ids: Iterable[int]) -> Iterator[Key]:
    for market_id in market_ids:
        yield from (Key(CONFIG, (market_id,), place) for place in range(CONFIG_WORDS))
        yield from (Key(MARKET, (market_id,), place) for place in range(MARKET_WORDS))


def position_keys(holdings: Iterable[tuple[int, int]]) -> Iterator[Key]:
    """Of (account, market)."""
    for holding in holdings:
        yield from (Key(POSITION, holding, place) for place in range(POSITION_WORDS))


def end_keys(words: Words) -> Iterator[Key]:
    """Of the epochs that positions have slept through: each looks at two at most."""
    for key, word in words.items():
        if key.kind != POSITION or key.place or not signed(word):
            continue
        _, market_id = key.of
        is_long = signed(word) > 0
        _, _, then = unpack_side(words[Key(POSITION, key.of, 1)])
        _, _, now = unpack_side(words[Key(MARKET, (market_id,), 0 if is_long else 1)])
        yield from (Key(END, (market_id, int(is_long), epoch)) for epoch in range(then, min(now, then + 2)))


def state_of(words: Words, facts: Facts) -> State:
    """The model's state with these words; what is not among them it doesn't know."""
    state = State(facts.token_decimals, facts.pool, facts.fund, 3, LiquidationParams(gas_market=facts.gas_market))
    for market_id, newest in facts.newest.items():
        state.markets[market_id] = _market(words, facts, market_id, newest)
    for key, word in words.items():
        if key.kind == BALANCE:
            account = state.changed_account(key.of[0])
            account.cash, account.reserved, account.markets = unpack_balance(word)
        elif key.kind == POSITION and not key.place:
            holder, market_id = key.of
            state.markets[market_id].positions[holder] = unpack_position((word, words[Key(POSITION, key.of, 1)]))
    return state


def _market(words: Words, facts: Facts, market_id: int, newest: Record | None) -> Market:
    configuration = unpack_configuration(*(words[Key(CONFIG, (market_id,), place)] for place in range(CONFIG_WORDS)))
    longs, shorts, interest, funding, fees = (words[Key(MARKET, (market_id,), place)] for place in range(MARKET_WORDS))
    market = Market(
        market_id, configuration.scale, MarketParams(), OrderParams(), ids.pack(facts.pool, market_id), funding >> 192
    )
    rules = configuration.rules
    shares = replace(rules.params, insurance_share_bps=fees >> 224 & 0xFFFF, treasury_share_bps=fees >> 240)
    market.rules = replace(rules, params=shares)
    market.halt_until = configuration.halt_until
    market.newest = newest
    market.declaration = facts.declarations.get(market_id)
    market.g_long, market.k_long, market.epoch_long = unpack_side(longs)
    market.g_short, market.k_short, market.epoch_short = unpack_side(shorts)
    market.long, market.short = interest & (1 << 128) - 1, interest >> 128
    market.pool_quote, market.rate = signed(funding), signed(funding >> 128, 64)
    market.unswept_insurance, market.unswept_treasury = fees & MASK_112, fees >> 112 & MASK_112
    market.moved_since, market.moved, market.absorbed_hour, market.absorbed = facts.counters[market_id]
    market.ends_long = _ends(words, market_id, 1, market.epoch_long)
    market.ends_short = _ends(words, market_id, 0, market.epoch_short)
    return market


def counters_of(market: Market) -> tuple[int, int, int, int]:
    """What the caps count, as the liquidator shows it."""
    return market.moved_since, market.moved, market.absorbed_hour, market.absorbed


def _ends(words: Words, market_id: int, is_long: int, count: int) -> tuple[tuple[int, int], ...]:
    """(G, K) of each past epoch; of those that no position needs something that changes nothing."""
    found = (words.get(Key(END, (market_id, is_long, epoch))) for epoch in range(count))
    return tuple((0, RAY) if word is None else (signed(word), word >> 128 & MASK_96) for word in found)


def words_of(state: State, keys: Collection[Key]) -> dict[Key, int]:
    """The words that the contracts would store; what only configures is left out."""
    found = {}
    for key in keys:
        if key.kind == BALANCE:
            found[key] = balance_word(state.accounts.get(key.of[0]))
        elif key.kind == POSITION:
            found[key] = position_words(state.markets[key.of[1]].positions.get(key.of[0]))[key.place]
        elif key.kind == MARKET:
            found[key] = market_words(state.markets[key.of[0]])[key.place]
    return found


def meaningful(words: Words) -> dict[Key, int]:
    """Without what the contracts leave behind in the second word of a position that is closed."""
    return {
        key: 0 if key.kind == POSITION and key.place and not signed(words[Key(POSITION, key.of)]) else word
        for key, word in words.items()
    }
