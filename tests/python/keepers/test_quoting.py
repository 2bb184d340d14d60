"""Where quotes belong: the formula's figures, which way inventory pushes them, and where a side is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, WAD_PER_BPS
from plimsoll.keepers.quoting import Quote, Quoting, View, Volatility, inventory, quotes

P = 3_000 * WAD
CENT = WAD // 100
LOT = WAD // 10_000
TERMS = Quoting()
VIEW = View(
    index=P,
    volatility=4 * WAD_PER_BPS,
    base=0,
    equity=1_000_000 * WAD,
    fee=2 * WAD_PER_BPS,
    min_notional=1_000 * WAD,
    tick=CENT,
    lot=LOT,
)


def prices(view: View, terms: Quoting = TERMS) -> dict[str, int]:
    return {"bid" if one.base > 0 else "ask": one.price for one in quotes(view, terms)}


def sizes(view: View, terms: Quoting = TERMS) -> dict[str, int]:
    return {"bid" if one.base > 0 else "ask": abs(one.base) for one in quotes(view, terms)}


def held(dollars: int) -> View:
    return replace(VIEW, base=dollars * WAD * WAD // P)


def test_quotes__nothing_held__lie_fee_edge_and_half_the_volatility_either_side() -> None:
    # 2 + 1 + 4/2 = 5 bps of 3,000; 10,000 dollars are 3.3333 units
    assert quotes(VIEW, TERMS) == [Quote(33_333 * LOT, P - 150 * CENT), Quote(-33_333 * LOT, P + 150 * CENT)]


@pytest.mark.parametrize(("dollars", "bid", "ask"), [(0, 150, 150), (50_000, 210, 90), (-50_000, 90, 210)])
def test_quotes__inventory__moves_both_sides_against_it(dollars: int, bid: int, ask: int) -> None:
    found = prices(held(dollars))  # half of the limit: by 2 bps of the volatility's 4
    assert abs(P - bid * CENT - found["bid"]) <= CENT
    assert abs(P + ask * CENT - found["ask"]) <= CENT


def test_quotes__more_aversion__wider_and_more_skewed() -> None:
    calm, averse = prices(held(50_000)), prices(held(50_000), replace(TERMS, aversion=2 * WAD))
    assert averse["bid"] < calm["bid"]
    # 2 + 1 + 8/2 − 8/2 = 3 bps: what it asks for risk and what it gives to be rid of it are the same here
    assert averse["ask"] == calm["ask"] == P + 90 * CENT


def test_quotes__so_eager_to_reduce_that_it_would_cross__stay_at_the_index() -> None:
    view = replace(held(99_999), volatility=20 * WAD_PER_BPS)
    assert prices(view, replace(TERMS, edge=0, aversion=WAD)) == {"ask": P}


def test_quotes__toward_the_limit__what_adds_shrinks_and_what_reduces_does_not() -> None:
    assert sizes(held(0)) == {"bid": 33_333 * LOT, "ask": 33_333 * LOT}
    assert sizes(held(50_000)) == {"bid": 16_666 * LOT, "ask": 33_333 * LOT}
    assert sizes(held(-50_000)) == {"bid": 33_333 * LOT, "ask": 16_666 * LOT}


@pytest.mark.parametrize(("dollars", "adds"), [(89_990, True), (90_010, False), (100_000, False), (150_000, False)])
def test_quotes__adding_side_smaller_than_the_least_order__is_left_out(dollars: int, adds: bool) -> None:
    assert ("bid" in sizes(held(dollars))) == adds
    assert "ask" in sizes(held(dollars))


def test_quotes__equity__limits_the_inventory_too() -> None:
    poor = replace(held(30_000), equity=10_000 * WAD)
    assert inventory(poor, TERMS) >= WAD - 1
    assert sizes(poor) == {"ask": 33_333 * LOT}
    assert sizes(replace(VIEW, equity=0)) == {}


def test_quotes__reduction_that_would_leave_too_little__closes_all() -> None:
    ten_and_a_half = held(10_500)
    assert sizes(ten_and_a_half)["ask"] == ten_and_a_half.base
    assert sizes(held(11_001))["ask"] == 33_333 * LOT
    nine_and_a_half = held(9_500)  # to be short of 500 is no less too little
    assert sizes(nine_and_a_half)["ask"] == nine_and_a_half.base
    assert sizes(held(8_999))["ask"] == 33_333 * LOT


def test_quotes__half_spread_at_the_band__is_the_last_that_is_quoted() -> None:
    at = replace(VIEW, volatility=38 * WAD_PER_BPS)  # 2 + 1 + 19 = 22
    assert prices(at) == {"bid": P - 660 * CENT, "ask": P + 660 * CENT}
    assert prices(replace(at, volatility=at.volatility + 2)) == {}


def test_quotes__others_quotes__are_not_crossed() -> None:
    bid = P - 150 * CENT
    assert prices(replace(VIEW, best_ask=bid + CENT))["bid"] == bid
    assert prices(replace(VIEW, best_ask=bid))["bid"] == bid - CENT
    ask = P + 150 * CENT
    assert prices(replace(VIEW, best_bid=ask - CENT))["ask"] == ask
    assert prices(replace(VIEW, best_bid=ask))["ask"] == ask + CENT


def test_quotes__off_the_tick__are_rounded_away_from_the_index() -> None:
    found = prices(replace(VIEW, index=P + 7))
    assert found == {"bid": P - 150 * CENT, "ask": P + 151 * CENT}


def test_volatility__steady_moves__converge_to_them() -> None:
    known, price = Volatility(), P
    for step in range(2_000):
        moved = price * (10_003 if step % 2 else 9_997) // 10_000
        known, price = known.after(price, moved, 10), moved
    assert known.over(10) * 100 // WAD_PER_BPS in (299, 300)
    assert known.over(1_000) // known.over(10) == 10


def test_volatility__no_time_or_no_price_before__is_no_news() -> None:
    assert Volatility().after(P, 2 * P, 0) == Volatility().after(0, P, 5) == Volatility()


def test_volatility__of_a_minute__is_what_it_starts_with() -> None:
    assert Volatility().over(60) * 10 // WAD_PER_BPS in (99, 100)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 100_001 * WAD},
        {"edge": -1},
        {"band": 25 * WAD_PER_BPS + 1},
        {"band": 0},
        {"lifetime": 3},
        {"lay_off_beyond": 0},
        {"max_leverage": 0},
    ],
)
def test_quoting__senseless__is_refused(options: dict[str, int]) -> None:
    with pytest.raises(UserError, match="market maker: "):
        replace(TERMS, **options)
    assert Quoting(size=100_000 * WAD, edge=0, band=25 * WAD_PER_BPS, lifetime=4, lay_off_beyond=1)
