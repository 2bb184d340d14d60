"""The sums that these tests expect, written from the specification in Python's own integers."""

from __future__ import annotations

from typing import NamedTuple

from tests.support.core import PARAMS, SCALES, WAD

BPS = 10_000
CENT = 10**16
KEEPER_SHARE_BPS, KEEPER_MAX = 3_000, 500 * WAD
TARGET_HEALTH_BPS, MAX_DISCOUNT_BPS = 12_500, 500
VIRTUAL_SHARES = 10**6


class Fill(NamedTuple):
    """A fill against the pool: its price and the trader's quote."""

    price: int
    quote: int


class Chunk(NamedTuple):
    """A part of a position closed against the pool: what it fetches, loses against the index, frees and costs."""

    base: int
    quote: int
    loss: int
    released: int
    cost: int


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def trunc_div(a: int, b: int) -> int:
    return a // b if (a >= 0) == (b > 0) else ceil_div(a, b)


def fill(market: int, skew: int, base: int, price: int, confidence: int = 0) -> Fill:
    """(P ± c)(1 + (k + Δ/2)/S), rounded against the trader."""
    twice = 2 * SCALES[market]
    n = twice + 2 * skew + base
    if base > 0:
        at = ceil_div((price + confidence) * n, twice)
        return Fill(at, -ceil_div(base * at, WAD))
    at = (price - confidence) * n // twice
    return Fill(at, -base * at // WAD)


def fee(market: int, skew: int, base: int, quote: int) -> int:
    """The maker's fee on what brings the skew toward zero, the taker's on the rest."""
    made = min(abs(base), abs(skew)) if (skew > 0) != (base > 0) else 0
    weighted = made * PARAMS[market]["makerBps"] + (abs(base) - made) * PARAMS[market]["takerBps"]
    return ceil_div(abs(quote) * weighted, abs(base) * BPS)


def split(market: int, paid: int) -> tuple[int, int, int]:
    """A trading fee's parts: (insurance, treasury, pool)."""
    insurance = paid * PARAMS[market]["insuranceShareBps"] // BPS
    treasury = paid * PARAMS[market]["treasuryShareBps"] // BPS
    return insurance, treasury, paid - insurance - treasury


def penalty(market: int, notional: int) -> int:
    params = PARAMS[market]
    return max(ceil_div(notional * params["penaltyBps"], BPS), params["keeperMinCents"] * CENT)


def _of_notional(market: int, size: int, notional: int) -> int:
    params = PARAMS[market]
    share = params["imBaseBps"] * 10**14 + ceil_div(size * params["imSlopeBps"] * 10**14, SCALES[market])
    return ceil_div(notional * min(WAD, share), WAD)


def initial(market: int, size: int, price: int) -> int:
    notional = ceil_div(size * price, WAD)
    return _of_notional(market, size, notional) + penalty(market, notional) if size else 0


def maintenance(market: int, size: int, price: int, fraction_bps: int = 0) -> int:
    """At the fraction of listing, unless another one is given."""
    notional = ceil_div(size * price, WAD)
    fraction = fraction_bps or PARAMS[market]["mmFractionBps"]
    return ceil_div(_of_notional(market, size, notional) * fraction, BPS) + penalty(market, notional) if size else 0


def closing(market: int, skew: int, held: int, size: int, price: int, equity: int, required: int) -> Chunk:
    """Closing `size` of a position `held` against the pool, and what liquidation may charge for it."""
    base = -size if held > 0 else size
    quote = fill(market, skew, base, price).quote
    loss = held * price // WAD - (held + base) * price // WAD - quote
    released = maintenance(market, abs(held), price) - maintenance(market, abs(held) - size, price)
    bearable = max(0, equity * released // required - loss)
    return Chunk(base, quote, loss, released, min(penalty(market, ceil_div(size * price, WAD)), bearable))


def close_out(market: int, skew: int, held: int, price: int, equity: int, required: int, room: int) -> Chunk:
    """The chunk that a close-out takes; `room` is what the window's cap leaves."""
    everything = abs(held)
    notional = ceil_div(everything * price, WAD)
    whole = closing(market, skew, held, everything, price, equity, required)
    wanted = ceil_div(TARGET_HEALTH_BPS * required, BPS) - equity
    divisor = TARGET_HEALTH_BPS * maintenance(market, everything, price) * 10**14 // notional
    divisor -= PARAMS[market]["penaltyBps"] * 10**14 + ceil_div(max(0, whole.loss) * WAD, notional)
    size = everything if divisor <= 0 else ceil_div(ceil_div(wanted * WAD, divisor) * WAD, price)
    least = ceil_div(PARAMS[market]["minPositionUsd"] * WAD * WAD, price)
    size = max(size, least)
    if size >= everything or everything - size < least:
        size = everything
    else:
        part = closing(market, skew, held, size, price, equity, required)
        if equity - part.loss - part.cost < required - part.released:
            size = everything
    if size > room:
        size = min(room, everything - least)
    return closing(market, skew, held, size, price, equity, required)


def reward_of(market: int, cost: int) -> int:
    """The keeper's part of a liquidation's cost, before the fund tops it up or can't."""
    return min(max(cost * KEEPER_SHARE_BPS // BPS, PARAMS[market]["keeperMinCents"] * CENT), KEEPER_MAX)


def cap(market: int) -> int:
    """What close-outs may move in a window."""
    return SCALES[market] * (PARAMS[market]["makerBps"] + PARAMS[market]["takerBps"]) // BPS


def to_shares(assets: int, supply: int, total: int) -> int:
    return assets * (supply + VIRTUAL_SHARES) // (total + 1)


def to_assets(shares: int, supply: int, total: int) -> int:
    return shares * (total + 1) // (supply + VIRTUAL_SHARES)
