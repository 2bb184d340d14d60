"""A seeded population of traders: who holds what, at which leverage, on how much collateral, since when, and how he
trades.

Dollars, leverages and shares are WAD ints; minutes count from the first bar of the prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS, WAD, format_wad, from_wad, mul_div_ceil, to_wad
from plimsoll.risk.scenario.draws import Draws

Side = Literal["long", "short"]
MarginMode = Literal["cross", "isolated"]
Way = Literal["pool", "take", "quote"]
"""Where an account trades: against the pool; with others, and for the rest against the pool; by quoting both sides."""

MAX_LEVERAGE = 50 * WAD  # the protocol's constant that no configuration passes
_LEVERAGE_STEP = WAD // 100
_CENT = WAD // 100


_SHARES = (
    *("long_share", "cross_share", "two_market_share"),
    *("book_share", "quoter_share", "stop_share", "relayed_share", "delegate_share"),
)


def _wad(text: str) -> int:
    return field(default=to_wad(text), metadata={"unit": "wad"})


@dataclass(frozen=True, kw_only=True)
class PopulationParameters:
    """How to draw the accounts. Shares are WAD fractions and hold exactly, up to rounding to whole accounts.

    Leverage is log-uniform in [leverage_min, leverage_max]; a leg's notional is log-normal with the given median and
    sigma, clamped to [size_min_usd, size_max_usd]. Accounts open within the `entry_spread_minutes` before the crash.
    Collateral is notional / leverage and `headroom_bps` of the notional on top, for fees and the impact of the fill.

    `book_share` trade with others through the book, `quoter_share` of them by quoting: a quoter's legs are the markets
    that it quotes in and the most it wants to hold there. `stop_share` protect their positions with exits that wait on
    the chain; `relayed_share` sign their orders and leave the gas to a relayer; `delegate_share` are traded by a bot.
    """

    accounts: int = 240
    leverage_min: int = _wad("2")
    leverage_max: int = _wad("20")
    size_median_usd: int = _wad("40000")
    size_sigma: int = _wad("1.2")
    size_min_usd: int = _wad("2000")
    size_max_usd: int = _wad("1500000")
    long_share: int = _wad("0.65")
    cross_share: int = _wad("0.6")
    two_market_share: int = _wad("0.4")  # of the cross accounts
    market_weights: Mapping[str, int] = field(
        default_factory=lambda: {"ETH": 6 * WAD // 10, "BTC": 4 * WAD // 10}, metadata={"unit": "wad"}
    )
    entry_spread_minutes: int = 60
    headroom_bps: int = 100
    book_share: int = _wad("0.25")
    quoter_share: int = _wad("0.3")  # of those who trade through the book
    stop_share: int = _wad("0.35")  # never quoters
    relayed_share: int = _wad("0.2")
    delegate_share: int = _wad("0.1")

    def __post_init__(self) -> None:
        _require(self.accounts > 0, "accounts", "must be at least 1")
        _require(self.leverage_min >= WAD, "leverage_min", "must be at least 1")
        _require(self.leverage_max >= self.leverage_min, "leverage_max", "must not be below leverage_min")
        _require(self.leverage_max <= MAX_LEVERAGE, "leverage_max", f"must be at most {format_wad(MAX_LEVERAGE, 0)}")
        _require(self.size_min_usd > 0, "size_min_usd", "must be positive")
        _require(self.size_min_usd <= self.size_median_usd, "size_median_usd", "must not be below size_min_usd")
        _require(self.size_median_usd <= self.size_max_usd, "size_max_usd", "must not be below size_median_usd")
        _require(0 <= self.size_sigma <= 4 * WAD, "size_sigma", "must lie between 0 and 4")
        for name in _SHARES:
            _require(0 <= getattr(self, name) <= WAD, name, "must lie between 0 and 1")
        weights = self.market_weights.values()
        _require(bool(weights) and min(weights) >= 0 and sum(weights) > 0, "market_weights", "must have a positive one")
        _require(self.entry_spread_minutes >= 0, "entry_spread_minutes", "must not be negative")
        _require(0 <= self.headroom_bps <= BPS, "headroom_bps", f"must lie between 0 and {BPS}")


@dataclass(frozen=True, slots=True)
class Leg:
    """One position an account opens: notional and leverage in WAD, the minute counted from the first bar."""

    market: str
    side: Side
    notional_usd: int
    leverage: int
    entry_minute: int

    @property
    def sign(self) -> int:
        """+1 for a long, −1 for a short."""
        return 1 if self.side == "long" else -1


@dataclass(frozen=True, slots=True)
class Habits:
    """How an account trades: where, whether its positions carry exits, who brings its orders and who decides."""

    way: Way = "pool"
    has_stops: bool = False
    is_relayed: bool = False
    has_delegate: bool = False


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account: its positions, the collateral (WAD dollars, whole cents) it is opened with, and its habits."""

    name: str
    owner_index: int
    margin: MarginMode
    legs: tuple[Leg, ...]
    collateral_usd: int
    habits: Habits = Habits()

    @property
    def isolated_market(self) -> str | None:
        """The market an isolated account is bound to, None for a cross account."""
        return self.legs[0].market if self.margin == "isolated" else None

    @property
    def notional_usd(self) -> int:
        """Σ notional of its legs, WAD dollars."""
        return sum(leg.notional_usd for leg in self.legs)


def build_population(parameters: PopulationParameters, *, crash_minute: int, seed: int) -> tuple[AccountPlan, ...]:
    """The accounts, in the order of their owner index. The same arguments give the same ints on every machine.

    `crash_minute` is the minute in which the crash begins: entries fall in [crash_minute − spread, crash_minute],
    cut at 0. Raises UserError if it is negative.
    """
    if crash_minute < 0:
        raise UserError(f"population: crash_minute {crash_minute} is negative; count from the first bar")
    count = parameters.accounts
    kinds = Draws(seed, "population/kinds")
    cross = kinds.flags(count, _share_of(count, parameters.cross_share))
    held = _markets_held(parameters, cross, kinds)

    legs_in_all = sum(len(markets) for markets in held)
    longs = iter(Draws(seed, "population/sides").flags(legs_in_all, _share_of(legs_in_all, parameters.long_share)))
    habits = _habits(parameters, Draws(seed, "population/habits"))
    sizes, leverages, entries = (Draws(seed, f"population/{name}") for name in ("sizes", "leverages", "entries"))

    plans = []
    for index, markets in enumerate(held):
        leverage = _leverage(parameters, leverages)
        legs = tuple(
            Leg(
                market,
                "long" if next(longs) else "short",
                _notional(parameters, sizes),
                leverage,
                entries.between(max(0, crash_minute - parameters.entry_spread_minutes), crash_minute),
            )
            for market in markets
        )
        margin: MarginMode = "cross" if cross[index] else "isolated"
        collateral = _collateral(parameters, legs)
        plans.append(AccountPlan(f"trader-{index:03d}", index, margin, legs, collateral, habits[index]))
    return tuple(plans)


def open_interest(plans: tuple[AccountPlan, ...]) -> dict[str, tuple[int, int]]:
    """By market, the planned (long, short) notional in WAD dollars."""
    totals: dict[str, tuple[int, int]] = {}
    for leg in (leg for plan in plans for leg in plan.legs):
        long, short = totals.get(leg.market, (0, 0))
        is_long = leg.side == "long"
        totals[leg.market] = (long + leg.notional_usd * is_long, short + leg.notional_usd * (not is_long))
    return totals


def _markets_held(parameters: PopulationParameters, cross: list[bool], draws: Draws) -> list[tuple[str, ...]]:
    weights = [(market, weight) for market, weight in parameters.market_weights.items() if weight > 0]
    cross_count = sum(cross)
    doubles = iter(draws.flags(cross_count, _share_of(cross_count, parameters.two_market_share)))
    held: list[tuple[str, ...]] = []
    for is_cross in cross:
        first = draws.weighted(weights)
        others = [(market, weight) for market, weight in weights if market != first]
        if is_cross and next(doubles) and others:
            held.append((first, draws.weighted(others)))
        else:
            held.append((first,))
    return held


def _habits(parameters: PopulationParameters, draws: Draws) -> list[Habits]:
    count = parameters.accounts
    on_book = draws.flags(count, _share_of(count, parameters.book_share))
    quotes = iter(draws.flags(sum(on_book), _share_of(sum(on_book), parameters.quoter_share)))
    ways: list[Way] = [("quote" if next(quotes) else "take") if is_there else "pool" for is_there in on_book]
    holders = count - ways.count("quote")
    stops = iter(draws.flags(holders, min(holders, _share_of(count, parameters.stop_share))))
    relayed = draws.flags(count, _share_of(count, parameters.relayed_share))
    delegates = draws.flags(count, _share_of(count, parameters.delegate_share))
    return [
        Habits(way, way != "quote" and next(stops), is_relayed, has_delegate)
        for way, is_relayed, has_delegate in zip(ways, relayed, delegates, strict=True)
    ]


def _leverage(parameters: PopulationParameters, draws: Draws) -> int:
    """In hundredths, within the limits."""
    drawn = draws.log_uniform(from_wad(parameters.leverage_min), from_wad(parameters.leverage_max))
    stepped = int(drawn * 100) * _LEVERAGE_STEP
    return max(stepped, parameters.leverage_min)


def _notional(parameters: PopulationParameters, draws: Draws) -> int:
    """In whole dollars, within the limits."""
    drawn = draws.log_normal(from_wad(parameters.size_median_usd), from_wad(parameters.size_sigma))
    return min(max(int(drawn) * WAD, parameters.size_min_usd), parameters.size_max_usd)


def _collateral(parameters: PopulationParameters, legs: tuple[Leg, ...]) -> int:
    wanted = sum(
        mul_div_ceil(leg.notional_usd, WAD, leg.leverage) + mul_div_ceil(leg.notional_usd, parameters.headroom_bps, BPS)
        for leg in legs
    )
    return -(-wanted // _CENT) * _CENT


def _share_of(count: int, share: int) -> int:
    """The nearest whole number to count × share."""
    return (2 * count * share + WAD) // (2 * WAD)


def _require(holds: bool, name: str, rule: str) -> None:
    if not holds:
        raise UserError(f"population: {name} {rule}")
