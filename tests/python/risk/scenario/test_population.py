import dataclasses
import hashlib
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, to_wad
from plimsoll.risk.scenario.population import (
    AccountPlan,
    Habits,
    PopulationParameters,
    build_population,
    open_interest,
)

DEFAULTS = PopulationParameters()


def build(seed: int = 1, crash_minute: int = 600, **changes: Any) -> tuple[AccountPlan, ...]:
    return build_population(dataclasses.replace(DEFAULTS, **changes), crash_minute=crash_minute, seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_build_population__defaults__keep_every_limit(seed: int) -> None:
    plans = build(seed)
    assert len(plans) == 240
    assert [plan.owner_index for plan in plans] == list(range(240))
    assert len({plan.name for plan in plans}) == 240
    for plan in plans:
        assert len({leg.market for leg in plan.legs}) == len(plan.legs) <= (2 if plan.margin == "cross" else 1)
        assert plan.isolated_market == (plan.legs[0].market if plan.margin == "isolated" else None)
        for leg in plan.legs:
            assert 2 * WAD <= leg.leverage <= 20 * WAD
            assert DEFAULTS.size_min_usd <= leg.notional_usd <= DEFAULTS.size_max_usd
            assert 540 <= leg.entry_minute <= 600
            assert leg.sign == (1 if leg.side == "long" else -1)
        wanted = sum(leg.notional_usd * WAD // leg.leverage + leg.notional_usd // 100 for leg in plan.legs)
        assert wanted <= plan.collateral_usd <= wanted + WAD // 50
        assert plan.collateral_usd % (WAD // 100) == 0


@pytest.mark.parametrize("seed", range(5))
def test_build_population__shares__hold_exactly(seed: int) -> None:
    plans = build(seed)
    legs = [leg for plan in plans for leg in plan.legs]
    cross = [plan for plan in plans if plan.margin == "cross"]
    assert len(cross) == 144
    assert sum(len(plan.legs) == 2 for plan in cross) == 58
    assert sum(leg.side == "long" for leg in legs) == round(len(legs) * 65 / 100)


@pytest.mark.parametrize("seed", range(5))
def test_build_population__habits__hold_exactly(seed: int) -> None:
    habits = [plan.habits for plan in build(seed)]
    ways = [one.way for one in habits]
    assert (ways.count("take"), ways.count("quote")) == (42, 18)
    assert sum(one.has_stops for one in habits) == 84
    assert sum(one.is_relayed for one in habits) == 48
    assert sum(one.has_delegate for one in habits) == 24
    assert not any(one.has_stops for one in habits if one.way == "quote")


def test_build_population__stops_for_all__quoters_have_none() -> None:
    plans = build(accounts=20, stop_share=WAD, book_share=WAD, quoter_share=WAD // 2)
    assert [plan.habits.has_stops for plan in plans] == [plan.habits.way == "take" for plan in plans]


def test_build_population__no_habits__plain_accounts() -> None:
    nothing = dict.fromkeys(("book_share", "stop_share", "relayed_share", "delegate_share"), 0)
    assert {plan.habits for plan in build(**nothing)} == {Habits()}


def test_build_population__same_arguments__are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256(repr(build()).encode()).hexdigest()
    assert digest == "b845a10fb2f137389d502a2860cbeaafac1ef1d7469bb3d4fd26e79226f55136"
    assert build(seed=2) != build()


def test_build_population__other_sizes__leave_the_other_draws_alone() -> None:
    before, after = build(), build(size_median_usd=80_000 * WAD)
    for one, other in zip(before, after, strict=True):
        assert [(leg.market, leg.side, leg.leverage, leg.entry_minute) for leg in one.legs] == [
            (leg.market, leg.side, leg.leverage, leg.entry_minute) for leg in other.legs
        ]


@pytest.mark.parametrize(("share", "longs"), [(0, 0), (WAD, 10)])
def test_build_population__all_or_none_long__is_so(share: int, longs: int) -> None:
    plans = build(accounts=10, long_share=share, cross_share=0)
    assert sum(leg.side == "long" for plan in plans for leg in plan.legs) == longs


def test_build_population__one_market__has_no_second_leg() -> None:
    plans = build(market_weights={"ETH": WAD, "BTC": 0}, cross_share=WAD, two_market_share=WAD)
    assert {tuple(leg.market for leg in plan.legs) for plan in plans} == {("ETH",)}


def test_build_population__crash_at_once__enters_in_the_first_minutes() -> None:
    assert {leg.entry_minute for plan in build(crash_minute=2) for leg in plan.legs} <= {0, 1, 2}
    with pytest.raises(UserError, match="negative"):
        build(crash_minute=-1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"accounts": 0}, "accounts must be at least 1"),
        ({"leverage_min": WAD // 2}, "leverage_min must be at least 1"),
        ({"leverage_max": WAD}, "leverage_max must not be below"),
        ({"leverage_max": 51 * WAD}, "leverage_max must be at most 50"),
        ({"size_min_usd": 0}, "size_min_usd must be positive"),
        ({"size_max_usd": WAD}, "size_max_usd must not be below"),
        ({"long_share": WAD + 1}, "long_share must lie between 0 and 1"),
        ({"book_share": -1}, "book_share must lie between 0 and 1"),
        ({"quoter_share": WAD + 1}, "quoter_share must lie between 0 and 1"),
        ({"stop_share": WAD + 1}, "stop_share must lie between 0 and 1"),
        ({"relayed_share": WAD + 1}, "relayed_share must lie between 0 and 1"),
        ({"delegate_share": WAD + 1}, "delegate_share must lie between 0 and 1"),
        ({"market_weights": {"ETH": 0}}, "market_weights must have a positive one"),
        ({"market_weights": {}}, "market_weights must have a positive one"),
        ({"size_sigma": to_wad("4.1")}, "size_sigma must lie between"),
        ({"entry_spread_minutes": -1}, "entry_spread_minutes must not be negative"),
        ({"headroom_bps": 10_001}, "headroom_bps must lie between"),
    ],
)
def test_population_parameters__out_of_range__names_the_parameter(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        dataclasses.replace(DEFAULTS, **changes)


def test_open_interest__two_sides__sums_by_market() -> None:
    totals = open_interest(build())
    assert set(totals) == {"ETH", "BTC"}
    assert sum(map(sum, totals.values())) == sum(plan.notional_usd for plan in build())
