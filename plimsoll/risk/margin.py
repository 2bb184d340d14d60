"""Margin sums of one position at one price. All requirements are rounded up."""

from __future__ import annotations

from plimsoll.core.units import WAD
from plimsoll.risk.config import BPS_WAD, MarketRules
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record


def notional(size: int, price: int) -> int:
    """⌈|b| × p⌉ of |b| = size."""
    return -(-size * price // WAD)


def initial(market: Market, size: int, price: int) -> int:
    """Initial margin of |b| = size."""
    if not size:
        return 0
    params = market.rules.params
    value = -(-size * price // WAD)
    share = min(WAD, params.im_base_bps * BPS_WAD - -size * params.im_slope_bps * BPS_WAD // market.scale)
    return -(-value * share // WAD) + max(-(-value * params.penalty_bps // 10_000), market.rules.keeper_min)


def maintenance(market: Market, size: int, price: int, now: int) -> int:
    """Maintenance margin of |b| = size; 0 of nothing."""
    if not size:
        return 0
    rules = market.rules
    value = -(-size * price // WAD)
    share = min(WAD, rules.mm_base_bps * BPS_WAD - -size * rules.mm_slope_bps * BPS_WAD // market.scale)
    first = -(-value * share // WAD)
    return -(-first * rules.mm_fraction(now) // 10**8) + liquidation_cost(rules, value)


def liquidation_cost(rules: MarketRules, value: int) -> int:
    """max(penalty, keeperMin) of the maintenance set on a notional."""
    return max(-(-value * rules.mm_penalty_bps // 10_000), rules.mm_keeper_min)


def health_price(base: int, record: Record, fresh: bool, rules: MarketRules) -> int:
    """The price at which health is measured: a little in the account's favour."""
    price = record.price
    if fresh:
        tolerance = min(record.confidence, price * 25 // 10_000)
    else:
        tolerance = price * rules.params.stale_widen_bps // 10_000
    return price + tolerance if base > 0 else price - tolerance
