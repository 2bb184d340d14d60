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
"""Exposure of the pool by its capital in a market: above the first, the other side is closed in part, to the second."""
CAP_SECONDS = 4
"""Length of a window, by time of publication, in which close-outs may move a market by its cap."""
LONG, SHORT = 1, -1


class Quote(NamedTuple):
    """A fill against the pool: price, and the trader's Δquote."""

    price: int
    amount: int


class Deleveraging(NamedTuple):
    """A part of a side (sign ±1) closed: open interest cut, and what its longs got or its shorts paid. All WAD."""

    sign: int
    fraction: int
    price: int
    cut: int
    flow: int


class Declaration(NamedTuple):
    """That a market is dead: Unix seconds, 0 for not confirmed yet; the record since which there was none."""

    declared_at: int
    confirmed_at: int
    sequence: int


class Market(Recorded):
    """A listed market. Sizes, dollars WAD; g and k RAY. The pool's base is −skew and is not stored."""

    __slots__ = (
        "absorbed", "absorbed_hour", "cap_seconds", "count", "credit_bound", "debit_bound", "declaration", "ends_long",
        "ends_short", "epoch_long", "epoch_short", "events", "g_long", "g_short", "halt_until", "id", "k_long",
        "k_short", "last", "long", "moved", "moved_since", "newest", "order_params", "ownerless_long",
        "ownerless_short", "pool_account", "pool_quote", "positions", "queue_head", "queue_next", "rate", "records",
        "rules", "scale",
        "short", "stored_long", "stored_long_g", "stored_quote", "stored_short", "stored_short_g", "unswept_insurance",
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
        self.cap_seconds = CAP_SECONDS  # a constant of the contracts; studies ask what others do
        self.absorbed_hour = self.absorbed = 0
        self.queue_next = self.queue_head = 1
        self.declaration: Declaration | None = None
        # what the checks of the sums need and the protocol does not
        self.events = self.count = 0
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
        """What one accrual may add to the ledger's dust, and what ownerless open interest may take from it, WAD wei."""
        debit = 4 + (self.long + self.short) * 2 // RAY + 2 * self.long // self.k_long + 2 * self.short // self.k_short
        credit = 0
        for ownerless, owed, k in (
            (self.ownerless_long, due.long, self.k_long),
            (self.ownerless_short, -due.short, self.k_short),
        ):
            part = -(-ownerless * abs(owed) // k)
            if owed > 0:
                credit += part
            else:
                debit += part
        return debit, credit

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
        return self.moved if published_at <= self.moved_since + self.cap_seconds else 0

    def count_moved(self, published_at: int, size: int) -> None:
        self.moved = self.moved_in(published_at) + size
        if published_at > self.moved_since + self.cap_seconds:
            self.moved_since = published_at

    def absorbed_in(self, now: int) -> int:
        """What absorptions added to |skew| in the hour of `now`."""
        return self.absorbed if self.absorbed_hour == now // SECONDS_PER_HOUR else 0

    def count_absorbed(self, now: int, size: int) -> None:
        self.absorbed = self.absorbed_in(now) + size
        self.absorbed_hour = now // SECONDS_PER_HOUR

    # -------------------------------------------------------------------------------------------------- deleveraging

    def due(self, pool_cash: int) -> tuple[int, int, int]:
        """(sign, fraction, price) of the deleveraging that is due after an accrual; a fraction of 0 for none."""
        skew = self.long - self.short
        newest = self.newest
        if not skew or newest is None:
            return 0, 0, 0
        price = newest.price
        size = abs(skew)
        backing = pool_cash + self.pool_quote
        capital = backing + -skew * price // WAD
        if size * price <= (MAX_POOL_LEVERAGE * max(0, capital) + WAD) * WAD:
            return 0, 0, 0
        excess = size
        if capital > 0:
            excess -= LEVERAGE_TARGET * capital * WAD // price
        elif skew > 0:
            price = min(2 * price, max(0, backing * WAD // skew))
        else:
            price = max(0, min(2 * price, -(backing * WAD // -skew)))
        sign = LONG if skew > 0 else SHORT
        return sign, min(WAD, excess * WAD // (self.long if skew > 0 else self.short)), price

    def backed_price(self, pool_cash: int, size: int, held: int, price: int) -> int:
        """`price` of a forced order of `size` by who holds `held`; where the skew shrinks and the pool can't pay all at
        it, worse by the order's part of what is missing, and by what a fill against the skew is paid for it."""
        skew = self.long - self.short
        missing = -self.capital(pool_cash, price)
        if not skew or (skew > 0) == (size > 0) or missing < 0:
            return price
        part = min(price, -(-missing * WAD // max(abs(skew), min(abs(size), abs(held)))))
        unpaid = max(0, self.scale - skew)
        return (price - part) * unpaid // self.scale if skew > 0 else -(-(price + part) * unpaid // self.scale)

    def deleverage(self, sign: int, fraction: int, price: int) -> Deleveraging:
        """Close `fraction` (WAD) of every position of a side with the pool."""
        done = self.close_side(sign, fraction, price)
        self.pool_quote -= sign * done.flow
        return done

    def close_side(self, sign: int, fraction: int, price: int) -> Deleveraging:
        """Close `fraction` (WAD) of every position of a side at `price`; the counterpart's part is the caller's."""
        g, k, epoch, _ = self.side(sign)
        open_interest = self.long if sign > 0 else self.short
        cut = open_interest * fraction // WAD
        if sign > 0:
            moved = k * (fraction * price // WAD) // WAD
            flow = -(-open_interest * moved // k)
        else:
            moved = -(-k * -(-fraction * price // WAD) // WAD)
            flow = open_interest * moved // k
        self._bound_event(sign, open_interest, fraction, moved)
        g -= moved
        k = k * (WAD - fraction) // WAD
        if k < ROLLOVER_BELOW:
            self._bound_rollover(sign, g, k)
            if sign > 0:
                self.ends_long += ((g, k),)
            else:
                self.ends_short += ((g, k),)
            k, epoch = RAY, epoch + 1
        if sign > 0:
            self.long -= cut
            self.g_long, self.k_long, self.epoch_long = g, k, epoch
        else:
            self.short -= cut
            self.g_short, self.k_short, self.epoch_short = g, k, epoch
        return Deleveraging(sign, fraction, price, cut, flow)

    # ---------------------------------------------------------------------------------------------------------- debt

    def charge_debt(self, pool_cash: int, debt: int, held: int) -> int:
        """A debt that the fund can't pay, of who held `held`: the pool's, and what that can't bear the other side's.

        The pool bears what it has, and then what deleveraging takes from its counterpart. Returns what the side
        opposite `held` was charged: at most the price a unit.
        """
        self.pool_quote -= debt
        sign, fraction, price = self.due(pool_cash)
        if fraction:
            self.deleverage(sign, fraction, price)
        if not held or self.newest is None:
            return 0
        price = self.newest.price
        open_interest = self.short if held > 0 else self.long
        charge = min(debt, -self.capital(pool_cash, price), open_interest * price // WAD)
        if charge <= 0:
            return 0
        self.charge_side(SHORT if held > 0 else LONG, charge)
        return charge

    def charge_side(self, sign: int, amount: int) -> None:
        """Every position of a side owes the pool its part by base of so many dollars."""
        open_interest, k, ownerless = (
            (self.long, self.k_long, self.ownerless_long)
            if sign > 0
            else (self.short, self.k_short, self.ownerless_short)
        )
        moved = -(-amount * k // open_interest)
        if sign > 0:
            self.g_long += moved
        else:
            self.g_short -= moved
        self.pool_quote += amount
        self.debit_bound += 1 + open_interest // k
        self.credit_bound += -(-ownerless * moved // k)

    # -------------------------------------------------------------------------------------------- bounds of the dust

    def add_ownerless(self, sign: int, size: int) -> None:
        """So much more of a side's open interest may belong to nobody, WAD base."""
        if sign > 0:
            self.ownerless_long += size
        else:
            self.ownerless_short += size

    def _bound_event(self, sign: int, open_interest: int, fraction: int, moved: int) -> None:
        """Nobody has the flow of what is ownerless, which shrinks with the side, and grows by rounding cut and K."""
        ownerless, k = (self.ownerless_long, self.k_long) if sign > 0 else (self.ownerless_short, self.k_short)
        nobodys = -(-ownerless * moved // k)
        self.events += 1
        self.debit_bound += 1 + (nobodys if sign > 0 else 0)
        self.credit_bound += nobodys if sign < 0 else 0
        left = -(-ownerless * (WAD - fraction) // WAD)
        left += 1 if open_interest * fraction % WAD else 0
        left += -(-open_interest // k) if k * (WAD - fraction) % WAD else 0
        self.add_ownerless(sign, left - ownerless)

    def _bound_rollover(self, sign: int, g: int, k: int) -> None:
        """Positions are cut to whole wei at the end of an epoch; who slept through the two before loses what is left.

        He walks two epochs and no further. What this one brought him, and what he has left after it, is nobody's.
        """
        epoch, ends = (self.epoch_long, self.ends_long) if sign > 0 else (self.epoch_short, self.ends_short)
        self.add_ownerless(sign, self.count)
        if epoch < 2:
            return
        (_, first_k), (last_g, last_k) = ends[-2:]
        asleep = sum(
            -(-sign * held.base * first_k * last_k // (held.k * RAY))
            for held in self.positions.values()
            if held.base * sign > 0 and held.epoch == epoch - 2
        )
        nobodys = -(-asleep * abs(g - last_g) // RAY)
        self.debit_bound += nobodys
        self.credit_bound += nobodys
        self.add_ownerless(sign, -(-asleep * k // RAY))
