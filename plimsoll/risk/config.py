"""Parameters. Dollars, rates and fractions are WAD unless the name carries another unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

RAMP_SECONDS = 3 * 86_400
CENT = 10**16
BPS_WAD = 10**14


@dataclass(frozen=True, slots=True)
class MarketParams:
    """What governance sets for a market, as in the contracts' struct. The defaults are the ones to start ETH from."""

    im_base_bps: int = 425
    im_slope_bps: int = 10_000
    mm_fraction_bps: int = 6_000
    penalty_bps: int = 75
    keeper_min_cents: int = 200
    maker_bps: int = 2
    taker_bps: int = 6
    insurance_share_bps: int = 2_000
    treasury_share_bps: int = 1_000
    max_skew_bps: int = 300
    exposure_bps: int = 10_000
    open_interest_bps: int = 20_000
    min_position_usd: int = 1_000
    max_price_age: int = 15
    stale_widen_bps: int = 500
    max_funding_velocity: int = 2 * 10**18
    max_funding_rate: int = 8 * 10**16
    kink_bps: int = 8_000
    rate_at_kink_bps: int = 5
    rate_at_full_bps: int = 50
    isolated_only: bool = False


@dataclass(frozen=True, slots=True)
class MarketRules:
    """The parameters in force and the maintenance set that lags behind them, so that no vote liquidates anyone."""

    params: MarketParams
    mm_base_bps: int
    mm_slope_bps: int
    mm_penalty_bps: int
    mm_keeper_min_cents: int
    fraction_from_bps: int
    fraction_to_bps: int
    ramp_start: int
    keeper_min: int = field(init=False)
    min_position: int = field(init=False)
    mm_keeper_min: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keeper_min", self.params.keeper_min_cents * CENT)
        object.__setattr__(self, "min_position", self.params.min_position_usd * 100 * CENT)
        object.__setattr__(self, "mm_keeper_min", self.mm_keeper_min_cents * CENT)

    @classmethod
    def first(cls, params: MarketParams, now: int) -> MarketRules:
        """The rules of a market at its listing."""
        return cls(
            params,
            params.im_base_bps,
            params.im_slope_bps,
            params.penalty_bps,
            params.keeper_min_cents,
            params.mm_fraction_bps,
            params.mm_fraction_bps,
            now,
        )

    def changed(self, params: MarketParams, now: int) -> MarketRules:
        """The rules after a change: of maintenance only mmFraction rises, linearly over the ramp."""
        present = self.mm_fraction(now)
        target = params.mm_fraction_bps
        return replace(
            self,
            params=params,
            mm_base_bps=min(self.mm_base_bps, params.im_base_bps),
            mm_slope_bps=min(self.mm_slope_bps, params.im_slope_bps),
            mm_penalty_bps=min(self.mm_penalty_bps, params.penalty_bps),
            mm_keeper_min_cents=min(self.mm_keeper_min_cents, params.keeper_min_cents),
            fraction_from_bps=min(present // 10_000, target),
            fraction_to_bps=target,
            ramp_start=now,
        )

    def mm_fraction(self, now: int) -> int:
        """Maintenance as a share of the first term of initial margin, bps × 10^4."""
        start = self.fraction_from_bps
        if now >= self.ramp_start + RAMP_SECONDS or start == self.fraction_to_bps:
            return self.fraction_to_bps * 10_000
        return start * 10_000 + (self.fraction_to_bps - start) * 10_000 * (now - self.ramp_start) // RAMP_SECONDS


@dataclass(frozen=True, slots=True)
class OrderParams:
    """What governance sets for a market's orders. Times in seconds, fees in WAD dollars."""

    settlement_delay: int = 2
    settlement_window: int = 3
    execution_fee: int = 10**17
    fee_reserve_bps: int = 6
    relay_fee: int = 10**17


@dataclass(frozen=True, slots=True)
class LiquidationParams:
    """The liquidator's parameters, for all markets. `gas_market` prices a caller's gas; 0 for none.

    `window_cap_percent` is of (maker + taker) × S. The contracts know 100 and no other; studies ask what others do.
    """

    target_health_bps: int = 12_500
    keeper_share_bps: int = 3_000
    keeper_max: int = 500 * 10**18
    max_discount_bps: int = 500
    absorb_cap_bps: int = 50
    window_cap_percent: int = 100
    gas_market: int = 0


@dataclass(frozen=True, slots=True)
class RequestParams:
    """Delays of a request vault in seconds and, for the pool, the weight of each market in bps (sum 10^4)."""

    deposit_delay: int = 60
    redeem_cooldown: int = 86_400
    execution_window: int = 3_600
    weights_bps: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gas:
    """What gas costs a keeper, wei: a unit of it, a byte on L1. `is_first`: this transaction was not paid for yet."""

    base_fee: int = 0
    fee_per_byte: int = 0
    is_first: bool = True


FREE = Gas()
