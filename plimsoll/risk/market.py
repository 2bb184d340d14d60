"""One market's state: sides, open interest, the pool's quote, prices; and the sums that need nothing else."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from plimsoll.core.units import RAY, SECONDS_PER_HOUR, WAD
from plimsoll.risk.config import MarketParams, MarketRules, OrderParams
from plimsoll.risk.funding import Flow, flow
from plimsoll.risk.journal import Recorded
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, SideState
from plimsoll.risk.refusals import Refusal

ROLLOVER_BELOW = 10**18
MAX_POOL_LEVERAGE, LEVERAGE_TARGET = 3, 2
CAP_SECONDS = 15
"""Length of a window, by time of publication, in which close-outs may move a market by its cap."""
LONG, SHORT = 1, -1


class Quote(NamedTuple):
    """A fill against the pool: price, and the trader's Δquote."""

    price: int
    amount: int


class Market(Recorded):
    """A listed market. Sizes, dollars WAD; g and k RAY. The pool's base is −skew and is not stored."""

    __slots__ = (
        "absorbed", "absorbed_hour", "count", "credit_bound", "debit_bound", "ends_long", "ends_short", "epoch_long",
        "epoch_short", "events", "g_long", "g_short", "halt_until", "id", "k_long", "k_short", "last", "long", "moved",
        "moved_since", "newest", "order_params", "ownerless_long", "ownerless_short", "peak", "pool_account",
        "pool_quote", "positions", "queue_head", "queue_next", "rate", "records", "rules", "scale", "short",
        "stored_long", "stored_long_g", "stored_quote", "stored_short", "stored_short_g", "unswept_insurance",
        "unswept_treasury",
    )  # fmt: skip
    FIELDS: ClassVar[tuple[str, ...]] = tuple(
        sorted(set(__slots__) - {"id", "scale", "pool_account", "positions", "records"})
    )

    def __init__(
        self, market_id: int, scale: int, params: MarketParams, orders: OrderParams, pool_account: int, now: int
    ) -> None:
        super().__init__()
        self.id = market_id
        self.scale = scale
        self.pool_account = pool_account
        self.rules = MarketRules.first(params, now)
        self.order_params = orders
        self.halt_until = 0
        self.records: dict[int, Record] = {}
        self.newest: Record | None = None
        self.positions: dict[int, Position] = {}
        self.long = self.short = 0
        self.g_long = self.g_short = 0
        self.k_long = self.k_short = RAY
        self.epoch_long = self.epoch_short = 0
        self.ends_long: tuple[tuple[int, int], ...] = ()
        self.ends_short: tuple[tuple[int, int], ...] = ()
        self.rate = 0
        self.last = now
        self.pool_quote = 0
        self.unswept_insurance = self.unswept_treasury = 0
        self.moved_since = self.moved = 0
        self.absorbed_hour = self.absorbed = 0
        self.queue_next = self.queue_head = 1
        # what the checks of the sums need and the protocol does not
        self.events = self.count = self.peak = 0
        self.debit_bound = self.credit_bound = 0
        self.ownerless_long = self.ownerless_short = 0
        self.stored_long = self.stored_short = self.stored_quote = 0
        self.stored_long_g = self.stored_short_g = 0

    @property
    def skew(self) -> int:
        return self.long - self.short

    def is_fresh(self, now: int) -> bool:
        newest = self.newest
        return newest is not None and now - newest.published_at <= self.rules.params.max_price_age

    # ------------------------------------------------------------------------------------------------------- accrual

    def capital(self, pool_cash: int, price: int) -> int:
        """The pool's equity here at `price`, before any accrual that is due."""
        return pool_cash + self.pool_quote + -(self.long - self.short) * price // WAD

    def exposure_limit(self, capital: int, price: int) -> int:
        """X(P)."""
        params = self.rules.params
        by_scale = self.scale * price * params.max_skew_bps // (10_000 * WAD)
        return min(by_scale, capital * params.exposure_bps // 10_000) if capital > 0 else 0

    def pending(self, pool_cash: int, now: int) -> Flow | None:
        """What the time since the last accrual adds; None where that is nothing."""
        newest = self.newest
        seconds = now - self.last
        if not seconds or newest is None:
            return None
        if seconds < 0:
            raise ValueError(f"market {self.id}: time runs backwards, from {self.last} to {now}")
        price = newest.price
        return flow(
            self.rules.params,
            self.scale,
            (self.long, self.short),
            (self.k_long, self.k_short),
            self.rate,
            price,
            self.exposure_limit(self.capital(pool_cash, price), price),
            seconds,
        )

    def accrue(self, pool_cash: int, now: int) -> None:
        """Bring the market up to `now`. The caller has saved it."""
        due = self.pending(pool_cash, now)
        if due is not None:
            self.g_long += due.long
            self.g_short += due.short
            self.pool_quote += due.pool_quote
            self.rate = due.rate
            debit, credit = self.accrual_dust(due)
            self.debit_bound += debit
            self.credit_bound += credit
        self.last = now

    def accrual_dust(self, due: Flow) -> tuple[int, int]:
        """What one accrual may add to the ledger's dust, and ownerless open interest may take from it, WAD wei."""
        debit = 2 + (self.long + self.short) * 2 // RAY + 2 * self.long // self.k_long + 2 * self.short // self.k_short
        credit = (
            self.ownerless_long * abs(due.long) // self.k_long + self.ownerless_short * abs(due.short) // self.k_short
        )
        return debit + 2, credit + 2 if self.events else 0

    def side(self, sign: int, due: Flow | None = None) -> SideState:
        """A side's accumulators, with an accrual that is only computed."""
        if sign > 0:
            return SideState(self.g_long + (due.long if due else 0), self.k_long, self.epoch_long, self.ends_long)
        return SideState(self.g_short + (due.short if due else 0), self.k_short, self.epoch_short, self.ends_short)

    # --------------------------------------------------------------------------------------------------------- fills

    def fill_quote(self, size: int, price: int, confidence: int) -> Quote:
        """The fill of Δ = size ≠ 0 against the pool. Raises PerpMarket_PriceOutOfRange."""
        twice = 2 * self.scale
        factor = twice + 2 * (self.long - self.short) + size
        quoted = price + confidence if size > 0 else price - confidence
        if factor <= 0 or quoted <= 0:
            raise Refusal("PerpMarket_PriceOutOfRange", self.id)
        if size > 0:
            quoted = -(-quoted * factor // twice)
            return Quote(quoted, -size * quoted // WAD)
        quoted = quoted * factor // twice
        return Quote(quoted, -size * quoted // WAD)

    def mark_price(self, price: int) -> int:
        return price * (self.scale + self.long - self.short) // self.scale

    def trading_fee(self, size: int, notional: int) -> int:
        """Maker for the part of |Δ| that brings the skew before the fill toward zero, taker for the rest; up."""
        params = self.rules.params
        skew = self.long - self.short
        total = abs(size)
        toward = min(total, abs(skew)) if skew and (skew > 0) != (size > 0) else 0
        weighted = toward * params.maker_bps + (total - toward) * params.taker_bps
        return -(-notional * weighted // (total * 10_000))

    def book_fee(self, fee: int) -> None:
        """Split a fee: insurance and treasury wait to be swept, the rest is the pool's at once."""
        params = self.rules.params
        insurance = fee * params.insurance_share_bps // 10_000
        treasury = fee * params.treasury_share_bps // 10_000
        self.unswept_insurance += insurance
        self.unswept_treasury += treasury
        self.pool_quote += fee - insurance - treasury

    # --------------------------------------------------------------------------------------------------- liquidation

    def moved_in(self, published_at: int) -> int:
        """What close-outs and absorptions moved in the window of a record."""
        return self.moved if published_at <= self.moved_since + CAP_SECONDS else 0

    def count_moved(self, published_at: int, size: int) -> None:
        self.moved = self.moved_in(published_at) + size
        if published_at > self.moved_since + CAP_SECONDS:
            self.moved_since = published_at

    def absorbed_in(self, now: int) -> int:
        """What absorptions added to |skew| in the hour of `now`."""
        return self.absorbed if self.absorbed_hour == now // SECONDS_PER_HOUR else 0

    def count_absorbed(self, now: int, size: int) -> None:
        self.absorbed = self.absorbed_in(now) + size
        self.absorbed_hour = now // SECONDS_PER_HOUR

    def due(self, pool_cash: int, price: int) -> tuple[int, int]:
        """(fraction WAD, price) of the deleveraging of the side opposite the pool that is due; fraction 0 for none."""
        skew = self.skew
        size = abs(skew)
        capital = self.capital(pool_cash, price)
        if -(-size * price // WAD) <= MAX_POOL_LEVERAGE * max(0, capital) + WAD:
            return 0, 0
        backing = pool_cash + self.pool_quote
        if capital > 0:
            excess, at = size - LEVERAGE_TARGET * capital * WAD // price, price
        elif skew > 0:
            excess, at = size, max(0, backing * WAD // skew)
        else:
            excess, at = size, max(0, -(backing * WAD // size))
        return min(WAD, excess * WAD // (self.long if skew > 0 else self.short)), at

    def deleverage(self, sign: int, fraction: int, price: int) -> int:
        """Close `fraction` (WAD) of every position of a side with the pool; returns the open interest cut."""
        cut, flow = self.close_side(sign, fraction, price)
        self.pool_quote -= sign * flow
        return cut

    def close_side(self, sign: int, fraction: int, price: int) -> tuple[int, int]:
        """Close `fraction` (WAD) of every position of a side at `price`: (open interest cut, what longs get or shorts pay)."""
        g, k, _, _ = self.side(sign)
        open_interest = self.long if sign > 0 else self.short
        cut = open_interest * fraction // WAD
        if sign > 0:
            moved = k * (fraction * price // WAD) // WAD
            flow = -(-open_interest * moved // k)
        else:
            moved = -(-k * -(-fraction * price // WAD) // WAD)
            flow = open_interest * moved // k
        g -= moved
        self._bound_event(sign, open_interest, k, price)
        k = k * (WAD - fraction) // WAD
        rolled = k < ROLLOVER_BELOW
        if sign > 0:
            self.long -= cut
            self.g_long, self.k_long = g, RAY if rolled else k
            if rolled:
                self.ends_long += ((g, k),)
                self.epoch_long += 1
        else:
            self.short -= cut
            self.g_short, self.k_short = g, RAY if rolled else k
            if rolled:
                self.ends_short += ((g, k),)
                self.epoch_short += 1
        return cut, flow

    def _bound_event(self, sign: int, open_interest: int, k: int, price: int) -> None:
        """Ownerless base grows by the roundings of K and of every position; the payment's own roundings are dust."""
        self.events += 1
        self.peak = max(self.peak, open_interest)
        grown = 2 + 4 * self.count + open_interest // k + self.peak // ROLLOVER_BELOW
        if sign > 0:
            self.ownerless_long += grown
            ownerless = self.ownerless_long
        else:
            self.ownerless_short += grown
            ownerless = self.ownerless_short
        wei = -(-(ownerless + 1) * price // WAD) + 2
        self.debit_bound += wei + open_interest // WAD + open_interest // k + 1
        self.credit_bound += wei
