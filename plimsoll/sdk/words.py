"""The packed words of the contracts, unpacked: price records, account balances, a market's configuration.

Sources: contracts/types/PriceRecord.sol, Accounts.sol, MarketConfig.sol.
"""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.risk.config import MarketParams, MarketRules
from plimsoll.risk.oracle import Record


class Balance(NamedTuple):
    """An account's slot: cash and what is reserved of it, WAD dollars; bit m − 1 for its position in market m."""

    cash: int
    reserved: int
    markets: int


def unpack_record(word: int) -> Record | None:
    """A price record; None for the word that means there is none."""
    if not word:
        return None
    return Record(
        price=_bits(word, 0, 96),
        confidence=_bits(word, 96, 80),
        published_at=_bits(word, 176, 40),
        state=_bits(word, 216, 8),
        sequence=word >> 224,
    )


def unpack_balance(word: int) -> Balance:
    cash = _bits(word, 0, 128)
    return Balance(cash - (cash >> 127 << 128), _bits(word, 128, 96), _bits(word, 224, 16))


def markets_in(bitmap: int) -> list[int]:
    """The ids in an account's bitmap, ascending."""
    return [bit + 1 for bit in range(bitmap.bit_length()) if bitmap >> bit & 1]


class Configuration(NamedTuple):
    """A market's three words: its rules, its scale (WAD base), and the Unix time until which opening is halted."""

    rules: MarketRules
    scale: int
    halt_until: int


def unpack_configuration(margin: int, trading: int, liquidity: int) -> Configuration:
    """The words of `PerpMarket.marketConfig`. How a fee is split is not among them; the defaults stand there."""
    params = MarketParams(
        im_base_bps=_bits(margin, 0, 16),
        im_slope_bps=_bits(margin, 16, 24),
        mm_fraction_bps=_bits(margin, 176, 16),
        penalty_bps=_bits(margin, 80, 16),
        keeper_min_cents=_bits(margin, 112, 24),
        maker_bps=_bits(trading, 128, 16),
        taker_bps=_bits(trading, 144, 16),
        max_skew_bps=_bits(trading, 160, 16),
        min_position_usd=_bits(trading, 176, 32),
        max_price_age=_bits(trading, 208, 16),
        stale_widen_bps=_bits(trading, 224, 16),
        isolated_only=bool(_bits(trading, 240, 1)),
        max_funding_velocity=_bits(liquidity, 0, 64),
        max_funding_rate=_bits(liquidity, 64, 64),
        open_interest_bps=_bits(liquidity, 128, 24),
        exposure_bps=_bits(liquidity, 152, 24),
        kink_bps=_bits(liquidity, 176, 16),
        rate_at_kink_bps=_bits(liquidity, 192, 16),
        rate_at_full_bps=_bits(liquidity, 208, 16),
    )
    rules = MarketRules(
        params,
        mm_base_bps=_bits(margin, 40, 16),
        mm_slope_bps=_bits(margin, 56, 24),
        mm_penalty_bps=_bits(margin, 96, 16),
        mm_keeper_min_cents=_bits(margin, 136, 24),
        fraction_from_bps=_bits(margin, 160, 16),
        fraction_to_bps=_bits(margin, 176, 16),
        ramp_start=_bits(margin, 192, 32),
    )
    return Configuration(rules, _bits(trading, 0, 128), liquidity >> 224)


def _bits(word: int, start: int, count: int) -> int:
    return word >> start & (1 << count) - 1
