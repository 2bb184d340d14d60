"""What the publisher decides about push feeds, pools, and sources that say nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS, WAD
from plimsoll.keepers.publishing import (
    BoundTerms,
    Cadence,
    MarketPrices,
    Pool,
    Publish,
    Push,
    PushFeed,
    Report,
    Silent,
    Snapshot,
    Swap,
    decide,
)
from plimsoll.risk.oracle import Record
from plimsoll.sdk.pools import PoolFeed, out_of_tick

NOW = 1_700_000_000
PRICE = 3_000 * WAD
CADENCE = Cadence(max_seconds=10, move_bps=20)
TERMS = BoundTerms(feed_bps=25, feed_seconds=45, pool_bps=30, pool_seconds=120)
ADDRESS = "0x00000000000000000000000000000000000000AA"
POOLS = [
    PoolFeed(ADDRESS, 300, 18, 6, False),
    PoolFeed(ADDRESS, 300, 6, 18, True),
    PoolFeed(ADDRESS, 300, 8, 6, False),
]


def feed(age: int, held: int, wanted: int | None = PRICE) -> Snapshot:
    return Snapshot(NOW, (), (PushFeed(1, "chainlink", ADDRESS, held, NOW - age, wanted),))


def pool(age: int, held: int, wanted: int | None = PRICE, of: PoolFeed = POOLS[0]) -> Snapshot:
    return Snapshot(NOW, (), (), (Pool(1, "uniswap", of, of.sqrt_price(held), NOW - age, wanted),))


@pytest.mark.parametrize(
    ("age", "held", "wanted", "why"),
    [
        (44, PRICE, PRICE, ""),
        (45, PRICE, PRICE, "due"),
        (1, PRICE, PRICE * 10_025 // 10_000, "moved"),
        (1, PRICE, PRICE * 10_025 // 10_000 - 1, ""),
        (1, PRICE, PRICE * 9_975 // 10_000, "moved"),
        (1, PRICE, PRICE * 9_975 // 10_000 + 1, ""),
        (0, PRICE, 2 * PRICE, ""),  # nothing newer can be said in the same second
        (99, PRICE, None, ""),  # its source says nothing
        (NOW, 0, PRICE, "moved"),  # it never had a price
    ],
)
def test_decide__a_push_feed__follows_by_deviation_and_heartbeat(
    age: int, held: int, wanted: int | None, why: str
) -> None:
    found = decide(feed(age, held, wanted), CADENCE, TERMS)
    push = Push(market_id=1, name="chainlink", contract=ADDRESS, price=wanted or 0, why=why, timestamp=NOW)
    assert found == ([push] if why else [])


@pytest.mark.parametrize("of", POOLS)
@pytest.mark.parametrize(
    ("age", "bps", "why"),
    [(119, 0, ""), (120, 0, "due"), (1, 31, "moved"), (1, -31, "moved"), (1, 29, ""), (1, -29, "")],
)
def test_decide__a_pool__is_traded_to_its_price(of: PoolFeed, age: int, bps: int, why: str) -> None:
    wanted = PRICE * (BPS + bps) // BPS
    found = decide(pool(age, PRICE, wanted, of), CADENCE, TERMS)
    if not why:
        assert found == []
        return
    [swap] = found
    assert isinstance(swap, Swap)
    assert (swap.contract, swap.current, swap.why) == (ADDRESS, of.sqrt_price(PRICE), why)
    assert abs(swap.price - wanted) * BPS <= 2 * wanted  # a tick and a half off where it would not be seen otherwise
    assert abs(of.price(swap.target) - swap.price) <= 1


@pytest.mark.parametrize("of", POOLS)
def test_out_of_tick__target_in_the_same_tick__leaves_it(of: PoolFeed) -> None:
    """An observation is only written when a swap changes the tick: one and a half basis points always do."""
    current = of.sqrt_price(PRICE)
    for target in (current, current + 1, current - 1, current * 1_000_074 // 1_000_000):
        moved = out_of_tick(current, target)
        assert abs(of.price(moved) - of.price(current)) * BPS > of.price(current)
        assert (moved < current) == (target < current)
    far = current * 2
    assert out_of_tick(current, far) == far


@pytest.mark.parametrize(
    "snapshot", [pool(999, PRICE, None), Snapshot(NOW, pools=(Pool(1, "", POOLS[0], 0, 0, PRICE),), markets=())]
)
def test_decide__no_price_wanted_or_none_there__no_swap(snapshot: Snapshot) -> None:
    assert decide(snapshot, CADENCE, TERMS) == []


def silent(*, held: int = NOW - 11, reported: int = 0, required: bool = True, ours: bool = True) -> Silent:
    return Silent(2, "datastreams", held, reported, required, ours)


def market(source: Silent, *, age: int = 11, awaited: bool = False) -> Snapshot:
    newest = Record(PRICE, 0, NOW - age, 0, 1) if age else None
    return Snapshot(NOW, (MarketPrices(1, newest, PRICE, awaited, {"api3-1": PRICE, "api3-2": PRICE}, (source,)),))


PUBLISHES = Publish(1, PRICE, NOW, "due")
REPORTS = Report(1, 2, "datastreams")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (silent(), [REPORTS]),  # a record without it would be skipped
        (silent(reported=NOW - 5), []),  # reported, and not long enough ago
        (silent(reported=NOW - 40, required=False), [PUBLISHES]),
        (silent(held=NOW - 1), [PUBLISHES]),  # somebody else brought it
        (silent(ours=False), [PUBLISHES]),  # whoever signs for it may bring it; here at once or within a while
    ],
)
def test_decide__a_source_silent__is_reported_and_then_left_out(source: Silent, found: list[object]) -> None:
    assert decide(market(source), CADENCE) == found


@pytest.mark.parametrize(("age", "ours", "reports"), [(4, True, 0), (5, True, 1), (14, False, 0), (15, False, 1)])
def test_decide__a_source_silent__is_reported_after_a_while(age: int, ours: bool, reports: int) -> None:
    """Others' sources may come within the quiet time of their publishers."""
    found = decide(market(silent(held=NOW - age, ours=ours), age=age, awaited=True), CADENCE)
    assert [type(one) for one in found].count(Report) == reports


def test_decide__never_a_price__missing_source_is_reported_at_once() -> None:
    assert decide(market(silent(held=0), age=0), CADENCE) == [REPORTS]


def test_decide__everything_at_once__bounds_before_the_prices_that_they_bound() -> None:
    fed, traded = feed(99, PRICE), pool(999, PRICE)
    both = Snapshot(NOW, market(silent(ours=False)).markets, fed.feeds, traded.pools)
    assert [type(one) for one in decide(both, CADENCE, TERMS)] == [Push, Swap, Publish]


@pytest.mark.parametrize("wrong", ["feed_bps", "feed_seconds", "pool_bps", "pool_seconds"])
def test_bound_terms__zero__is_refused(wrong: str) -> None:
    make: Callable[..., BoundTerms] = BoundTerms
    with pytest.raises(UserError, match="at least 1"):
        make(**{wrong: 0})


@pytest.mark.parametrize("of", POOLS)
@pytest.mark.parametrize("price", [WAD // 10**4, WAD, 3_000 * WAD + 7, 10**6 * WAD])
def test_pool_feed__price_of_a_square_root__and_back(of: PoolFeed, price: int) -> None:
    assert abs(of.price(of.sqrt_price(price)) - price) * 10**6 <= price
    assert of.price(0) == 0


def test_pool_feed__from_a_feed_id__as_the_adapter_reads_it() -> None:
    word = int(ADDRESS, 16) | 300 << 160 | 6 << 192 | 18 << 200 | 1 << 208
    assert PoolFeed.of(word.to_bytes(32, "big")) == POOLS[1]
