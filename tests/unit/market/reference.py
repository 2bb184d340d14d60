"""The market's sums, written from the specification, in Python's own integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.core import ETH, ETH_PARAMS, SCALES, WAD

RAY = 10**27
DAY = 86_400
BPS = 10_000
ETH_SCALE = SCALES[ETH]


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def trunc_div(a: int, b: int) -> int:
    return a // b if (a >= 0) == (b > 0) else -(-a // b)


# --- words ---


def packed_record(price: int, confidence: int = 0, published_at: int = 0, state: int = 0, sequence: int = 1) -> int:
    """sequence (32) | state (8) | publishedAt (40) | confidence (80) | price (96)."""
    return sequence << 224 | state << 216 | published_at << 176 | confidence << 96 | price


class Slot(NamedTuple):
    """An account's slot in the vault."""

    cash: int
    reserved: int = 0
    markets: int = 0

    @property
    def word(self) -> int:
        return self.markets << 224 | self.reserved << 128 | self.cash % 2**128


# --- fills ---


def fill_price(skew: int, base: int, price: int, confidence: int = 0, scale: int = ETH_SCALE) -> tuple[int, int]:
    """(price, Δquote) of a fill against the pool, rounded against the caller."""
    n = 2 * scale + 2 * skew + base
    if base > 0:
        at = ceil_div((price + confidence) * n, 2 * scale)
        return at, -ceil_div(base * at, WAD)
    at = (price - confidence) * n // (2 * scale)
    return at, -base * at // WAD


def trading_fee(skew: int, base: int, quote: int, params: Mapping[str, Any] = ETH_PARAMS) -> int:
    made = min(abs(base), abs(skew)) if skew * base < 0 else 0
    weighted = made * params["makerBps"] + (abs(base) - made) * params["takerBps"]
    return ceil_div(abs(quote) * weighted, abs(base) * BPS)


class Split(NamedTuple):
    insurance: int
    treasury: int
    pool: int


def split(fee: int, params: Mapping[str, Any] = ETH_PARAMS) -> Split:
    insurance = fee * params["insuranceShareBps"] // BPS
    treasury = fee * params["treasuryShareBps"] // BPS
    return Split(insurance, treasury, fee - insurance - treasury)


def filled(base: int, quote: int, more: int, more_quote: int) -> tuple[int, int, int]:
    """(base, quote, cash released) of a position after a fill."""
    if base * more >= 0:
        return base + more, quote + more_quote, 0
    if abs(more) <= abs(base):
        part = quote if abs(more) == abs(base) else trunc_div(quote * abs(more), abs(base))
        return base + more, quote - part, part + more_quote
    closing = trunc_div(more_quote * abs(base), abs(more))
    return base + more, more_quote - closing, quote + closing


# --- margin ---


def worth(base: int, price: int) -> int:
    return base * price // WAD


def notional(size: int, price: int) -> int:
    return ceil_div(size * price, WAD)


def share(base_bps: int, slope_bps: int, size: int, scale: int) -> int:
    return min(WAD, base_bps * 10**14 + ceil_div(size * slope_bps * 10**14, scale))


def penalty(value: int, params: Mapping[str, Any] = ETH_PARAMS) -> int:
    return max(ceil_div(value * params["penaltyBps"], BPS), params["keeperMinCents"] * 10**16)


def initial(size: int, price: int, params: Mapping[str, Any] = ETH_PARAMS, scale: int = ETH_SCALE) -> int:
    size = abs(size)
    if not size:
        return 0
    value = notional(size, price)
    return ceil_div(value * share(params["imBaseBps"], params["imSlopeBps"], size, scale), WAD) + penalty(value, params)


def maintenance(
    size: int,
    price: int,
    params: Mapping[str, Any] = ETH_PARAMS,
    scale: int = ETH_SCALE,
    fraction: int | None = None,
) -> int:
    """`fraction` in bps × 10^4; without one, what was listed. The mm* set is the one listed."""
    size = abs(size)
    if not size:
        return 0
    fraction = params["mmFractionBps"] * 10**4 if fraction is None else fraction
    value = notional(size, price)
    part = ceil_div(value * share(params["imBaseBps"], params["imSlopeBps"], size, scale), WAD)
    return ceil_div(part * fraction, 10**8) + penalty(value, params)


def health_price(base: int, price: int, confidence: int) -> int:
    """Of a fresh record: in the account's favour by its confidence, at most 25 bps."""
    favour = min(confidence, price * 25 // BPS)
    return price + favour if base > 0 else price - favour


# --- the pool's limits ---


def capital(pool_cash: int, pool_quote: int, skew: int, price: int) -> int:
    return pool_cash + pool_quote - ceil_div(skew * price, WAD)


def exposure_limit(of_capital: int, price: int, params: Mapping[str, Any] = ETH_PARAMS, scale: int = ETH_SCALE) -> int:
    by_skew = scale * price * params["maxSkewBps"] // (BPS * WAD)
    return min(by_skew, max(0, of_capital) * params["exposureBps"] // BPS)


# --- deleveraging ---

MAX_POOL_LEVERAGE, LEVERAGE_TARGET = 3, 2
K_MIN = 10**18


class Side(NamedTuple):
    g: int
    k: int
    open_interest: int
    epoch: int = 0


class Closing(NamedTuple):
    """An event: a part of one side closed."""

    is_long: bool
    fraction: int
    price: int
    cut: int
    flow: int


def close_side(side: Side, is_long: bool, fraction: int, price: int) -> tuple[Side, Closing]:
    """The side afterwards, in a new epoch at a scale of one where the old one became too small."""
    g, k, open_interest, epoch = side
    if is_long:
        moved = k * (fraction * price // WAD) // WAD
        flow = ceil_div(open_interest * moved, k)
    else:
        moved = ceil_div(k * ceil_div(fraction * price, WAD), WAD)
        flow = open_interest * moved // k
    cut = open_interest * fraction // WAD
    k = k * (WAD - fraction) // WAD
    after = Side(g - moved, k, open_interest - cut, epoch)
    if k < K_MIN:
        after = Side(g - moved, RAY, open_interest - cut, epoch + 1)
    return after, Closing(is_long, fraction, price, cut, flow)


def due(long: int, short: int, backing: int, price: int) -> tuple[int, int] | None:
    """(fraction, price) of the heavy side that is to be closed; `backing` is the pool's cash and quote there."""
    k = long - short
    worth_of_pool = backing - ceil_div(k * price, WAD)
    if notional(abs(k), price) <= MAX_POOL_LEVERAGE * max(0, worth_of_pool) + WAD:
        return None
    excess = abs(k)
    if worth_of_pool > 0:
        excess -= LEVERAGE_TARGET * worth_of_pool * WAD // price
    elif k > 0:
        price = max(0, backing * WAD // k)
    else:
        price = min(2 * price, ceil_div(-backing * WAD, -k))
    fraction = min(WAD, excess * WAD // (long if k > 0 else short))
    return (fraction, price) if fraction else None


class Deleveraged(NamedTuple):
    """Both sides and the pool's quote after what was due, and the event, None where nothing was."""

    long: Side
    short: Side
    pool_quote: int
    closing: Closing | None


def deleveraged(long: Side, short: Side, pool_quote: int, pool_cash: int, price: int) -> Deleveraged:
    found = due(long.open_interest, short.open_interest, pool_cash + pool_quote, price)
    if found is None:
        return Deleveraged(long, short, pool_quote, None)
    if long.open_interest > short.open_interest:
        long, closing = close_side(long, True, *found)
        return Deleveraged(long, short, pool_quote - closing.flow, closing)
    short, closing = close_side(short, False, *found)
    return Deleveraged(long, short, pool_quote + closing.flow, closing)


def ownerless(events: int, positions: int, open_interest: int, k: int = K_MIN) -> int:
    """The most base, wei, that so many events leave without an owner."""
    return events * (3 + 4 * positions + open_interest // k + open_interest // WAD)


# --- time ---


class Accrued(NamedTuple):
    rate: int
    long_g: int
    short_g: int
    pool_quote: int


def accrued(
    long: Side,
    short: Side,
    rate: int,
    pool_quote: int,
    pool_cash: int,
    price: int,
    seconds: int,
    params: Mapping[str, Any] = ETH_PARAMS,
    scale: int = ETH_SCALE,
) -> Accrued:
    """A market's state after `seconds` at a price."""
    if not seconds or not price:
        return Accrued(rate, long.g, short.g, pool_quote)
    k = long.open_interest - short.open_interest
    velocity = trunc_div(params["maxFundingVelocity"] * max(-scale, min(scale, k)), scale)
    after = rate + trunc_div(velocity * seconds, DAY)
    limit = params["maxFundingRate"]
    if abs(after) <= limit:
        area = trunc_div((rate + after) * seconds, 2)
    else:
        after = limit if after > 0 else -limit
        area = after * seconds - trunc_div((after - rate) ** 2 * DAY, 2 * velocity)
    down, up = area * price // (DAY * 10**9), ceil_div(area * price, DAY * 10**9)
    fee = _utilisation_fee(k, capital(pool_cash, pool_quote, k, price), price, seconds, params, scale)
    long_g = long.g + ceil_div(long.k * up, RAY) + (ceil_div(long.k * fee, long.open_interest) if k > 0 else 0)
    short_g = short.g + short.k * down // RAY - (ceil_div(short.k * fee, short.open_interest) if k < 0 else 0)
    return Accrued(after, long_g, short_g, pool_quote + k * (down if k >= 0 else up) // RAY + fee)


def _utilisation_fee(k: int, of_capital: int, price: int, seconds: int, params: Mapping[str, Any], scale: int) -> int:
    limit = exposure_limit(of_capital, price, params, scale)
    used = WAD if limit <= 0 else min(WAD, abs(k) * price // limit)
    kink, at_kink, at_full = (params[name] * 10**14 for name in ("kinkBps", "rateAtKinkBps", "rateAtFullBps"))
    if used <= kink:
        rate = at_kink * used // kink
    else:
        rate = at_kink + (at_full - at_kink) * (used - kink) // (WAD - kink)
    return rate * abs(k) * price * seconds // (WAD * WAD * DAY)
