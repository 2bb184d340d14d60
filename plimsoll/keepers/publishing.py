"""What a publisher decides, from what it sees alone: which prices to record, which push feeds and pools to move.

A market's price is recorded when the last record is old, when the price has moved, and at every block while somebody
waits for it. A source that stays silent is reported, so that the others can go on without it. A push feed follows its
price by deviation and heartbeat; a pool is traded to its price as arbitrageurs would, and often enough to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS
from plimsoll.keepers.runner import Fields, shown
from plimsoll.risk.oracle import Record
from plimsoll.sdk.pools import PoolFeed, out_of_tick

REPORT_SECONDS = 5
"""How long a source that is ours may hold up the records before it is reported; others' have the quiet time on top."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """Seconds between records in quiet times, and how far a price has to move to be recorded earlier."""

    max_seconds: int = 10
    move_bps: int = 10

    def __post_init__(self) -> None:
        if self.max_seconds < 1 or self.move_bps < 1:
            raise UserError("publisher: seconds and basis points between records must be at least 1")


@dataclass(frozen=True, slots=True)
class BoundTerms:
    """How far the price of a push feed or of a pool may be from what it should say, in basis points, and how many
    seconds old the last update, or the last swap that the pool's average saw. A pool's fee is about its deviation."""

    feed_bps: int = 25
    feed_seconds: int = 45
    pool_bps: int = 30
    pool_seconds: int = 120

    def __post_init__(self) -> None:
        if min(self.feed_bps, self.feed_seconds, self.pool_bps, self.pool_seconds) < 1:
            raise UserError("publisher: seconds and basis points of push feeds and pools must be at least 1")


@dataclass(frozen=True, slots=True)
class Silent:
    """A pull source that nothing is signed for now: when what it holds was published, when it was reported, whether a
    record still needs it, and whether it is ours, so that nobody else brings its price."""

    index: int
    name: str
    published_at: int
    reported_at: int
    is_required: bool
    is_ours: bool


@dataclass(frozen=True, slots=True)
class MarketPrices:
    """A market's newest record, the median of what our sources say and each of them, and whether somebody waits for the
    next record."""

    market_id: int
    newest: Record | None
    price: int | None
    is_awaited: bool
    quotes: Mapping[str, int] = field(default_factory=dict)
    silent: tuple[Silent, ...] = ()


@dataclass(frozen=True, slots=True)
class PushFeed:
    """What a push feed holds, and what it should: WAD dollars, Unix seconds; `wanted` None for silence."""

    market_id: int
    name: str
    contract: str
    price: int
    updated_at: int
    wanted: int | None


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's sqrtPriceX96, the time of its newest observation, and the price that it should have."""

    market_id: int
    name: str
    feed: PoolFeed
    sqrt: int
    observed_at: int
    wanted: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`now` is the time that the prices are of, Unix seconds, never later than the chain's."""

    now: int
    markets: tuple[MarketPrices, ...]
    feeds: tuple[PushFeed, ...] = ()
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True)
class Publish:
    """Sign prices as of a time and record them; `price` is their median."""

    market_id: int
    price: int
    timestamp: int
    why: str
    quotes: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> tuple[int, str]:
        return self.market_id, self.why

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent."""
        return (f"price:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": "publish", "market": self.market_id, "price": shown(self.price), "why": self.why}


@dataclass(frozen=True, slots=True)
class Report:
    """Say in public that a pull source is silent."""

    market_id: int
    index: int
    name: str

    @property
    def key(self) -> tuple[int, str]:
        return self.market_id, self.name

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent."""
        return (f"report:{self.market_id}:{self.name}",)

    def describe(self) -> Fields:
        return {"do": "report", "market": self.market_id, "source": self.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """Move a source that bounds prices: at `contract`, to `price`, WAD dollars."""

    market_id: int
    name: str
    contract: str
    price: int
    why: str
    do: ClassVar[str]

    @property
    def key(self) -> tuple[int, str, str]:
        return self.market_id, self.name, self.why

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent."""
        return (f"{self.do}:{self.contract}",)

    def describe(self) -> Fields:
        where = {"market": self.market_id, "source": self.name}
        return {"do": self.do, **where, "price": shown(self.price), "why": self.why}


@dataclass(frozen=True, slots=True, kw_only=True)
class Push(_Bound):
    """Set a push feed."""

    timestamp: int
    do: ClassVar[str] = "push"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap(_Bound):
    """Trade in a pool from its present sqrtPriceX96 until it is `target`, which the price is."""

    current: int
    target: int
    do: ClassVar[str] = "swap"


Action = Publish | Report | Push | Swap


def decide(snapshot: Snapshot, cadence: Cadence, terms: BoundTerms | None = None) -> list[Action]:
    """What there is a reason to do now, the bounds before the prices that they bound."""
    terms = terms or BoundTerms()
    actions: list[Action] = [*_pushes(snapshot, terms), *_swaps(snapshot, terms)]
    for market in snapshot.markets:
        if market.price is None or not (why := _reason(market, snapshot.now, cadence)):
            continue
        if not any(one.is_ours and _holds_up(one, market.newest) for one in market.silent):
            actions.append(Publish(market.market_id, market.price, snapshot.now, why, market.quotes))
        actions += [
            Report(market.market_id, one.index, one.name)
            for one in market.silent
            if _holds_up(one, market.newest) and _is_overdue(one, market.newest, snapshot.now, cadence)
        ]
    return actions


def _reason(market: MarketPrices, now: int, cadence: Cadence) -> str:
    newest, price = market.newest, market.price or 0
    if newest is None:
        return "first"
    if now <= newest.published_at:
        return ""
    if market.is_awaited:
        return "awaited"
    if _is_off(price, newest.price, cadence.move_bps):
        return "moved"
    return "due" if now - newest.published_at >= cadence.max_seconds else ""


def _holds_up(source: Silent, newest: Record | None) -> bool:
    """Whether no record is possible without more of it."""
    return source.is_required and source.published_at <= (newest.published_at if newest else 0)


def _is_overdue(source: Silent, newest: Record | None, now: int, cadence: Cadence) -> bool:
    """Whether it is time to say so in public, where nobody has."""
    patience = REPORT_SECONDS if source.is_ours else REPORT_SECONDS + cadence.max_seconds
    return not source.reported_at and (newest is None or now - newest.published_at >= patience)


def _pushes(snapshot: Snapshot, terms: BoundTerms) -> Iterable[Push]:
    for feed in snapshot.feeds:
        if feed.wanted is None or snapshot.now <= feed.updated_at:
            continue
        why = _why(feed.wanted, feed.price, terms.feed_bps, snapshot.now - feed.updated_at, terms.feed_seconds)
        if why:
            yield Push(
                market_id=feed.market_id, name=feed.name, contract=feed.contract, price=feed.wanted, why=why,
                timestamp=snapshot.now,
            )  # fmt: skip


def _swaps(snapshot: Snapshot, terms: BoundTerms) -> Iterable[Swap]:
    for pool in snapshot.pools:
        if pool.wanted is None or not pool.sqrt:
            continue
        price, age = pool.feed.price(pool.sqrt), snapshot.now - pool.observed_at
        why = _why(pool.wanted, price, terms.pool_bps, age, terms.pool_seconds)
        if not why:
            continue
        target = out_of_tick(pool.sqrt, pool.feed.sqrt_price(pool.wanted))
        yield Swap(
            market_id=pool.market_id, name=pool.name, contract=pool.feed.pool, price=pool.feed.price(target), why=why,
            current=pool.sqrt, target=target,
        )  # fmt: skip


def _why(wanted: int, held: int, bps: int, age: int, seconds: int) -> str:
    if _is_off(wanted, held, bps):
        return "moved"
    return "due" if age >= seconds else ""


def _is_off(price: int, held: int, bps: int) -> bool:
    return abs(price - held) * BPS >= held * bps
