"""What a run of a study is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from plimsoll.core.units import WAD
from plimsoll.risk.config import LiquidationParams, MarketParams
from plimsoll.risk.market import CAP_SECONDS

OFF_PERCENT = 10**9
"""Of (maker + taker) × S: a window's cap that never holds."""
OFF_BPS = 10**9
"""Of S an hour: an absorption cap that never holds."""
CONFIDENCE_BPS = 5
"""Of every record: what three sources some basis points apart give."""
PATIENCE_BPS = 25
"""How far below the index the mark has to be for outsiders to come and buy."""

_MILLION = 10**6 * WAD


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Dollars are WAD. A population of `accounts` with so much long and short at 100%; what pool and fund hold.

    `take_over_usd` is the capital of keepers that take positions over, `buyers_usd` what outsiders buy from the pool in
    a minute where the mark is `PATIENCE_BPS` below the index.
    """

    params: MarketParams = field(default_factory=MarketParams)
    scale_usd: int = 1_000 * _MILLION
    accounts: int = 600
    long_usd: int = 40 * _MILLION
    short_usd: int = 21_500_000 * WAD
    pool_usd: int = 20 * _MILLION
    fund_usd: int = _MILLION
    open_interest_percent: int = 100
    publish_seconds: int = 15
    window_cap_percent: int = 100
    window_seconds: int = CAP_SECONDS
    absorb_cap_bps: int = 50
    target_health_bps: int = 12_500
    take_over_usd: int = 0
    buyers_usd: int = 0
    seed: int = 1

    @property
    def liquidation(self) -> LiquidationParams:
        """The liquidator's parameters of this run."""
        return LiquidationParams(
            target_health_bps=self.target_health_bps,
            absorb_cap_bps=self.absorb_cap_bps,
            window_cap_percent=self.window_cap_percent,
        )
