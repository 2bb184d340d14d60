"""The sums of the share vaults, written from the rules, in Python's own integers."""

from __future__ import annotations

from tests.support.core import WAD, Core

VIRTUAL_SHARES = 10**6


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def to_shares(assets: int, supply: int, total: int) -> int:
    return assets * (supply + VIRTUAL_SHARES) // (total + 1)


def to_assets(shares: int, supply: int, total: int) -> int:
    return shares * (total + 1) // (supply + VIRTUAL_SHARES)


def market_equity(core: Core, market: int) -> int:
    """e_m: cash and quote, the position at P (2S + k) / 2S."""
    _, quote, _ = core.market.position(core.pool_account(market), market)
    k = core.market.skew(market)
    price, _, _ = core.oracle.price(market)
    scale = core.lens.market(market).params.scale
    unwinding = price * (2 * scale + k)
    unwinding = ceil_div(unwinding, 2 * scale) if k > 0 else unwinding // (2 * scale)
    equity: int = core.cash(core.pool_account(market)) + quote - ceil_div(k * unwinding, WAD)
    return equity


def total_assets(core: Core) -> int:
    count = core.market.marketCount()
    return sum(max(0, market_equity(core, market)) for market in range(1, count + 1)) // core.unit


def exposure(core: Core, market: int) -> int:
    price, _, _ = core.oracle.price(market)
    return ceil_div(abs(core.market.skew(market)) * price, WAD)
