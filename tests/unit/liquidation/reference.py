"""The sums of liquidations, written from the specification's sections 2, 3, 4 and 6, in Python's own integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.support.core import PARAMS, SCALES, WAD, Core

BPS = 10_000
TARGET_HEALTH_BPS, KEEPER_SHARE_BPS, MAX_DISCOUNT_BPS = 12_500, 3_000, 500
KEEPER_MAX = 500 * WAD
MAX_INT = 2**255 - 1


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def trunc_div(a: int, b: int) -> int:
    return a // b if (a >= 0) == (b >= 0) else -(-a // b)


@dataclass(frozen=True)
class Terms:
    """A market's scale, parameters and newest record; parameters as they were listed unless told otherwise."""

    market: int
    price: int
    confidence: int
    published_at: int
    fresh: bool
    scale: int
    params: Mapping[str, Any] = field(repr=False)

    @property
    def keeper_min(self) -> int:
        return int(self.params["keeperMinCents"]) * 10**16

    @property
    def min_position(self) -> int:
        return int(self.params["minPositionUsd"]) * WAD

    def health_price(self, base: int) -> int:
        if self.fresh:
            favour = min(self.confidence, self.price * 25 // BPS)
        else:
            favour = self.price * int(self.params["staleWidenBps"]) // BPS
        return self.price + favour if base > 0 else self.price - favour

    def penalty(self, notional: int) -> int:
        return max(ceil_div(notional * int(self.params["penaltyBps"]), BPS), self.keeper_min)

    def maintenance(self, size: int, price: int) -> int:
        if not size:
            return 0
        notional = ceil_div(size * price, WAD)
        slope = ceil_div(size * int(self.params["imSlopeBps"]) * 10**14, self.scale)
        fraction = min(WAD, int(self.params["imBaseBps"]) * 10**14 + slope)
        scaled = ceil_div(notional * fraction, WAD) * int(self.params["mmFractionBps"]) * 10**4
        return ceil_div(scaled, 10**8) + self.penalty(notional)

    def initial(self, size: int) -> int:
        """At the plain price."""
        if not size:
            return 0
        notional = ceil_div(size * self.price, WAD)
        slope = ceil_div(size * int(self.params["imSlopeBps"]) * 10**14, self.scale)
        fraction = min(WAD, int(self.params["imBaseBps"]) * 10**14 + slope)
        return ceil_div(notional * fraction, WAD) + self.penalty(notional)

    def minimum_base(self, price: int) -> int:
        return ceil_div(self.min_position * WAD, price)

    def fill_quote(self, skew: int, base: int) -> int:
        """Δquote of a fill of `base` against the pool."""
        n = 2 * self.scale + 2 * skew + base
        if base > 0:
            price = ceil_div((self.price + self.confidence) * n, 2 * self.scale)
            return -ceil_div(base * price, WAD)
        return -base * ((self.price - self.confidence) * n // (2 * self.scale)) // WAD


def terms(core: Core, market: int, **changes: Any) -> Terms:
    """As of now; `changes` to the parameters that the market was listed with."""
    price, confidence, published_at = core.oracle.price(market)
    params = {**PARAMS[market], **changes}
    fresh = core.evm.timestamp - published_at <= params["maxPriceAge"]
    return Terms(market, price, confidence, published_at, fresh, SCALES[market], params)


@dataclass(frozen=True)
class Holding:
    """An account's position in one market as of now, and its whole account: E and M at health prices."""

    terms: Terms
    base: int
    quote: int
    cash: int
    """Settled in this market."""
    equity: int
    maintenance: int
    skew: int

    @property
    def price(self) -> int:
        return self.terms.health_price(self.base)

    @property
    def size(self) -> int:
        return abs(self.base)

    @property
    def cap(self) -> int:
        """What close-outs may move in a window: never less than a minimum position and a remainder of one."""
        by_fees = self.terms.scale * int(self.terms.params["makerBps"] + self.terms.params["takerBps"]) // BPS
        return max(by_fees, 2 * self.terms.minimum_base(self.price))

    def against(self, size: int) -> int:
        """Δbase that closes `size`."""
        return -size if self.base > 0 else size

    def close_quote(self, size: int) -> int:
        return self.terms.fill_quote(self.skew, self.against(size))

    def loss(self, size: int) -> int:
        rest = self.base + self.against(size)
        return self.base * self.price // WAD - rest * self.price // WAD - self.close_quote(size)

    def released(self, size: int) -> int:
        return self.terms.maintenance(self.size, self.price) - self.terms.maintenance(self.size - size, self.price)

    def cost(self, size: int) -> int:
        bearable = self.equity * self.released(size) // self.maintenance - self.loss(size)
        return min(self.terms.penalty(ceil_div(size * self.price, WAD)), max(0, bearable))

    def freed_quote(self, size: int) -> int:
        """What a reduction by `size` takes out of the position's quote."""
        return self.quote if size == self.size else trunc_div(self.quote * size, self.size)


def holding(core: Core, account: int, market: int, **changes: Any) -> Holding:
    """`changes` to the market's parameters."""
    equity, required = core.cash(account), 0
    base = quote = owed = 0
    for other in range(1, core.market.marketCount() + 1):
        held = core.market.position(account, other)
        t = terms(core, other, **(changes if other == market else {}))
        price = t.health_price(held[0])
        equity += held[0] * price // WAD + held[1] - held[2]
        required += t.maintenance(abs(held[0]), price)
        if other == market:
            base, quote, owed = held
    skew = core.market.skew(market)
    return Holding(terms(core, market, **changes), base, quote, core.cash(account) - owed, equity, required, skew)


class CloseOut(NamedTuple):
    size: int
    base: int
    quote: int
    cost: int
    reward: int
    top_up: int


def close_size(h: Holding, room: int) -> int:
    """How much is closed, 0 where the cap leaves too little for it."""
    size = h.size
    minimum = h.terms.minimum_base(h.price)
    missing = ceil_div(TARGET_HEALTH_BPS * h.maintenance, BPS) - h.equity
    whole = ceil_div(h.size * h.price, WAD)
    divisor = (
        TARGET_HEALTH_BPS * h.terms.maintenance(h.size, h.price) * 10**14 // whole
        - int(h.terms.params["penaltyBps"]) * 10**14
        - ceil_div(max(0, h.loss(h.size)) * WAD, whole)
    )
    if divisor > 0:
        size = max(ceil_div(ceil_div(missing * WAD, divisor) * WAD, h.price), minimum)
    if (
        size >= h.size
        or h.size - size < minimum
        or h.equity - h.loss(size) - h.cost(size) < h.maintenance - h.released(size)
    ):
        size = h.size
    if size > room:
        size = min(room, h.size - minimum)
        size = size if size >= minimum else 0
    return size


def close_out(h: Holding, room: int | None = None) -> CloseOut:
    """What `liquidate` does where no gas is paid for: the reward is what the account bears; the fund adds nothing."""
    size = close_size(h, h.cap if room is None else room)
    cost = h.cost(size)
    reward = min(max(cost * KEEPER_SHARE_BPS // BPS, h.terms.keeper_min), KEEPER_MAX)
    return CloseOut(size, h.against(size), h.close_quote(size), cost, min(reward, cost), 0)


class TakeOver(NamedTuple):
    quote: int
    """Δquote of the account that is relieved."""
    discount: int
    fee: int


def take_over(h: Holding, base: int) -> TakeOver:
    """Of `base`, with the position's sign."""
    notional = ceil_div(base * h.price, WAD) if base > 0 else -base * h.price // WAD
    by_health = (h.maintenance - h.equity) * notional * MAX_DISCOUNT_BPS // (h.maintenance * BPS)
    discount = min(by_health, h.equity * h.released(abs(base)) // h.maintenance)
    quote = notional - discount if base > 0 else -(notional + discount)
    return TakeOver(quote, discount, ceil_div(abs(quote) * int(h.terms.params["takerBps"]), BPS))
