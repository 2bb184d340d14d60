"""What a run found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Sample(NamedTuple):
    """At one record: Unix seconds, WAD price, k / S in hundredths of a basis point, WAD base still to be liquidated
    valued at the index, WAD dollars closed against others so far, the pool's equity at the index."""

    ts: int
    price: int
    skew: int
    waiting: int
    against: int
    pool: int


@dataclass
class Result:
    """Dollars are WAD, valued at the index of the moment; skews are k / S in hundredths of a basis point.

    `closed_out`, `taken_over`, `absorbed`, `against`: how much of the unhealthy positions went which way. `paid` is
    what those closed out or taken over lost to fills, costs and discounts; `left` what the liquidated had at the end.
    `impact`: what close-outs and absorptions paid the pool in their fill prices, negative where it paid them for
    bringing the skew to zero. `given_up`: what the other side lost to zero prices. `fund`, `pool` and `pool_unwound`
    (what its shares are priced at) are changes since the worst hour began, `pool_lowest` the least that `pool` was.
    `below_seconds`: how long the mark was more than PATIENCE_BPS below the index. `delays`: seconds from the first
    record at which an account was unhealthy to the one at which it no longer was.
    """

    closed_out: int = 0
    taken_over: int = 0
    absorbed: int = 0
    against: int = 0
    accounts: int = 0
    bankrupt: int = 0
    counterparties: int = 0
    given_up: int = 0
    impact: int = 0
    paid: int = 0
    left: int = 0
    rewards: int = 0
    debt_fund: int = 0
    debt_pool: int = 0
    fund: int = 0
    pool: int = 0
    pool_unwound: int = 0
    pool_lowest: int = 0
    deleveragings: int = 0
    skew_at_start: int = 0
    skew_lowest: int = 0
    skew_highest: int = 0
    fall_in_a_minute: int = 0
    below_seconds: int = 0
    still_unhealthy: int = 0
    taker: int = 0
    taker_discount: int = 0
    bought: int = 0
    delays: list[int] = field(default_factory=list)
    trace: list[Sample] = field(default_factory=list)

    @property
    def notional(self) -> int:
        """All that was taken off unhealthy accounts."""
        return self.closed_out + self.taken_over + self.absorbed + self.against

    @property
    def debt(self) -> int:
        return self.debt_fund + self.debt_pool

    def delay(self, percent: int) -> int:
        """The delay that so many in a hundred don't exceed; 0 where nobody was liquidated."""
        ordered = sorted(self.delays)
        return ordered[(len(ordered) - 1) * percent // 100] if ordered else 0
