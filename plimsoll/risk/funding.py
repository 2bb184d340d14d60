"""What time does to a market: funding between the sides and the pool, and the utilisation fee to the pool."""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import RAY, SECONDS_PER_DAY, WAD
from plimsoll.risk.config import BPS_WAD, MarketParams
from plimsoll.risk.position import scale

_FUNDING_UNIT = SECONDS_PER_DAY * 10**9


class Flow(NamedTuple):
    """What an accrual adds to G of each side (RAY) and to the pool's quote (WAD), and the rate after it (WAD a day)."""

    long: int
    short: int
    pool_quote: int
    rate: int


def rate_after(params: MarketParams, market_scale: int, skew: int, rate: int, seconds: int) -> tuple[int, int]:
    """(r1, A): the funding rate after `seconds`, WAD a day, and its integral, WAD·seconds."""
    velocity = _trunc(params.max_funding_velocity * max(-market_scale, min(skew, market_scale)), market_scale)
    after = rate + _trunc(velocity * seconds, SECONDS_PER_DAY)
    limit = params.max_funding_rate
    if -limit <= after <= limit:
        return after, _trunc((rate + after) * seconds, 2)
    after = limit if after > 0 else -limit
    return after, after * seconds - _trunc((after - rate) ** 2 * SECONDS_PER_DAY, 2 * velocity)


def utilisation_rate(params: MarketParams, utilisation: int) -> int:
    """The fee's rate, WAD a day, at a utilisation (WAD, at most 1): kinked."""
    kink = params.kink_bps * BPS_WAD
    at_kink = params.rate_at_kink_bps * BPS_WAD
    if utilisation <= kink:
        return at_kink * utilisation // kink
    return at_kink + (params.rate_at_full_bps * BPS_WAD - at_kink) * (utilisation - kink) // (WAD - kink)


def flow(
    params: MarketParams,
    market_scale: int,
    open_interest: tuple[int, int],
    scales: tuple[int, int],
    rate: int,
    price: int,
    exposure_limit: int,
    seconds: int,
) -> Flow:
    """What `seconds` at `price` do to a market with this open interest and these K of (long, short)."""
    long, short = open_interest
    k_long, k_short = scales
    skew = long - short
    rate, integral = rate_after(params, market_scale, skew, rate, seconds)
    down, remainder = divmod(integral * price, _FUNDING_UNIT)
    up = down + 1 if remainder else down
    size = abs(skew)
    fee = 0
    if size:
        used = WAD if exposure_limit <= 0 else min(WAD, size * price // exposure_limit)
        fee = utilisation_rate(params, used) * size * price * seconds // (WAD * WAD * SECONDS_PER_DAY)
    g_long = -(-k_long * up // RAY)
    g_short = k_short * down // RAY
    if skew > 0:
        g_long -= -k_long * fee // long
    elif skew < 0:
        g_short += -k_short * fee // short
    return Flow(g_long, g_short, skew * (down if skew >= 0 else up) // RAY + fee, rate)


def _trunc(value: int, denominator: int) -> int:
    """value / denominator toward zero; both may be negative."""
    return scale(value, 1, denominator) if denominator > 0 else scale(-value, 1, -denominator)
