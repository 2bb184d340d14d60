"""What a fill against the pool would be: the reference model's sums on a snapshot of a market."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from plimsoll.core.units import BPS, WAD
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk.snapshots import MarketSnapshot


@dataclass(frozen=True, slots=True)
class Quote:
    """What a fill of `base` against the pool would be now. `amount` goes to the account's quote: negative for a buy."""

    market_id: int
    base: int
    index_price: int
    fill_price: int
    amount: int
    fee: int
    execution_fee: int
    fee_reserve: int

    @property
    def impact_bps(self) -> int:
        """How much worse than the index the fill price is, rounded toward zero."""
        worse = self.fill_price - self.index_price if self.base > 0 else self.index_price - self.fill_price
        return int(Decimal(worse * BPS) / self.index_price)


def quote_of(snapshot: MarketSnapshot, base: int) -> Quote:
    """The reference model's fill of `base` at a market's newest price. Raises Refusal PerpMarket_PriceOutOfRange."""
    market, newest = snapshot.model(), snapshot.newest
    if newest is None:
        raise Refusal("OrderBook_NoPrice", snapshot.market_id)
    fill = market.fill_quote(base, newest.price, newest.confidence)
    value = -(-abs(base) * newest.price // WAD)
    return Quote(
        market_id=snapshot.market_id,
        base=base,
        index_price=newest.price,
        fill_price=fill.price,
        amount=fill.amount,
        fee=market.trading_fee(base, abs(fill.amount)),
        execution_fee=snapshot.orders.execution_fee,
        fee_reserve=-(-value * snapshot.orders.fee_reserve_bps // BPS),
    )


def worse_by(price: int, base: int, bps: int) -> int:
    """A price `bps` worse for a fill of `base`: higher for a buy (rounded up), lower for a sell (rounded down)."""
    if base > 0:
        return -(-price * (BPS + bps) // BPS)
    return price * max(0, BPS - bps) // BPS
