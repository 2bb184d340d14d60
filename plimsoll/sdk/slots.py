"""Where the contracts store the ledger, and the words that they store, packed from the reference model's parts.

Storage layout: MarginVault's balances; PerpMarket's configurations, markets, ends of epochs and positions. Sources:
contracts/types/Accounts.sol and MarketState.sol.
"""

from __future__ import annotations

from functools import lru_cache

from eth_utils import keccak

from plimsoll.risk.market import Market
from plimsoll.risk.position import Position
from plimsoll.risk.state import Account

VAULT_BALANCES = 0
MARKET_CONFIGS, MARKET_STATES, MARKET_ENDS, MARKET_POSITIONS = 1, 2, 3, 4
CONFIG_WORDS, MARKET_WORDS, POSITION_WORDS = 3, 5, 2
MASK_64, MASK_96, MASK_112, MASK_128 = ((1 << bits) - 1 for bits in (64, 96, 112, 128))


@lru_cache(maxsize=1 << 16)
def slot_of(start: int, *keys: int) -> int:
    """Storage slot of nested mappings: the variable's slot, then the keys from the outside in."""
    slot = start
    for key in keys:
        slot = int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")
    return slot


def signed(word: int, bits: int = 128) -> int:
    """The lowest bits of a word as a signed number."""
    value = word & (1 << bits) - 1
    return value - (value >> bits - 1 << bits)


def unpack_side(word: int) -> tuple[int, int, int]:
    """(G, K, epoch) of a side, or of a position when it was last touched."""
    return signed(word), word >> 128 & MASK_96, word >> 224


def balance_word(account: Account | None) -> int:
    if account is None:
        return 0
    return account.cash & MASK_128 | account.reserved << 128 | account.markets << 224


def position_words(held: Position | None) -> tuple[int, int]:
    """Zeros without a base: what the contracts keep in the second word then means nothing."""
    if held is None or not held.base:
        return 0, 0
    return (
        held.base & MASK_128 | (held.quote & MASK_128) << 128,
        held.g & MASK_128 | held.k << 128 | held.epoch << 224,
    )


def market_words(market: Market) -> tuple[int, ...]:
    params = market.rules.params
    return (
        market.g_long & MASK_128 | market.k_long << 128 | market.epoch_long << 224,
        market.g_short & MASK_128 | market.k_short << 128 | market.epoch_short << 224,
        market.long | market.short << 128,
        market.pool_quote & MASK_128 | (market.rate & MASK_64) << 128 | market.last << 192,
        market.unswept_insurance
        | market.unswept_treasury << 112
        | params.insurance_share_bps << 224
        | params.treasury_share_bps << 240,
    )


def unpack_position(words: tuple[int, int]) -> Position:
    held = Position()
    if words[0] & MASK_128:
        held.base, held.quote = signed(words[0]), signed(words[0] >> 128)
        held.g, held.k, held.epoch = unpack_side(words[1])
    return held
