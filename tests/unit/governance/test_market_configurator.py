"""The configurator: listing, parameters within their bounds, halts, each by its role only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plimsoll.risk.config import MarketParams, MarketRules
from tests.support.core import (
    ADMIN,
    BTC,
    ETH,
    ETH_PARAMS,
    GUARDIAN,
    LISTING,
    RISK,
    SCALES,
    WAD,
    Core,
    actor,
    deploy_core,
)
from tests.support.evm import ANYONE, Evm, reverts

DAY = 86_400
RAY = 10**27
MAX_SCALE = 2**112 - 1
PARAMS: dict[str, Any] = dict(ETH_PARAMS)


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, pool_dollars=0)


@pytest.fixture(scope="module")
def shared_core(built: None) -> Core:
    return deploy_core(Evm(), pool_dollars=0)


def rules_of(params: Mapping[str, Any], now: int) -> MarketRules:
    return MarketRules.first(model_params(params), now)


def model_params(params: Mapping[str, Any]) -> MarketParams:
    """The model's own type of the same parameters."""
    in_snake_case = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): v for name, v in params.items()}
    assert set(in_snake_case) == {field.name for field in fields(MarketParams)}
    return MarketParams(**in_snake_case)


def word(*parts: tuple[int, int]) -> int:
    """(value, bits) from the low bits up."""
    total = offset = 0
    for value, bits in parts:
        assert 0 <= value < 2**bits
        total |= value << offset
        offset += bits
    assert offset <= 256
    return total


def words(params: Mapping[str, Any], scale: int, rules: MarketRules, halt_until: int = 0) -> tuple[int, int, int]:
    """A market's three words as the types' layouts say."""
    p = dict(params)
    return (
        word(
            (p["imBaseBps"], 16),
            (p["imSlopeBps"], 24),
            (rules.mm_base_bps, 16),
            (rules.mm_slope_bps, 24),
            (p["penaltyBps"], 16),
            (rules.mm_penalty_bps, 16),
            (p["keeperMinCents"], 24),
            (rules.mm_keeper_min_cents, 24),
            (rules.fraction_from_bps, 16),
            (rules.fraction_to_bps, 16),
            (rules.ramp_start, 32),
            (3 * DAY, 32),
        ),
        word(
            (scale, 128),
            (p["makerBps"], 16),
            (p["takerBps"], 16),
            (p["maxSkewBps"], 16),
            (p["minPositionUsd"], 32),
            (p["maxPriceAge"], 16),
            (p["staleWidenBps"], 16),
            (int(p["isolatedOnly"]), 1),
        ),
        word(
            (p["maxFundingVelocity"], 64),
            (p["maxFundingRate"], 64),
            (p["openInterestBps"], 24),
            (p["exposureBps"], 24),
            (p["kinkBps"], 16),
            (p["rateAtKinkBps"], 16),
            (p["rateAtFullBps"], 16),
            (halt_until, 32),
        ),
    )


# --- listMarket ---


@pytest.mark.parametrize("scale", [1, 5_000 * WAD, MAX_SCALE])
@pytest.mark.parametrize("isolated_only", [False, True])
def test_listMarket__the_next_id__stores_three_words_and_says_so(core: Core, scale: int, isolated_only: bool) -> None:
    """GV-01"""
    params = {**PARAMS, "isolatedOnly": isolated_only, "makerBps": 1, "takerBps": 9, "kinkBps": 7_777}
    receipt = core.configurator.listMarket(3, scale, params, sender=LISTING)
    assert receipt.event("MarketListed").args == {"marketId": 3, "scale": scale}
    assert receipt.event("ParamsChanged")["marketId"] == 3
    assert tuple(receipt.event("ParamsChanged")["params"]) == tuple(params.values())
    now = core.evm.timestamp
    assert tuple(core.market.marketConfig(3)) == words(params, scale, rules_of(params, now))
    assert core.market.marketCount() == 3
    state = core.market.marketState(3)
    assert (state.longG, state.longK, state.longEpoch) == (state.shortG, state.shortK, state.shortEpoch) == (0, RAY, 0)
    assert (state.openLong, state.openShort, state.poolQuote, state.rate) == (0, 0, 0, 0)
    assert state.accruedAt == now


@pytest.mark.parametrize("market", [0, ETH, BTC, 4, 2**256 - 1])
def test_listMarket__any_other_id__is_refused(core: Core, market: int) -> None:
    with reverts("MarketConfigurator_InvalidMarket", market, 3):
        core.configurator.listMarket(market, WAD, PARAMS, sender=LISTING)


def test_listMarket__sixteen_and_no_more(core: Core) -> None:
    """An account's bitmap has 16 bits."""
    for market in range(3, 17):
        core.configurator.listMarket(market, WAD, PARAMS, sender=LISTING)
    assert core.market.marketCount() == 16
    with reverts("MarketConfigurator_InvalidMarket", 17, 17):
        core.configurator.listMarket(17, WAD, PARAMS, sender=LISTING)


@pytest.mark.parametrize("scale", [0, MAX_SCALE + 1, 2**256 - 1])
def test_listMarket__scale_that_is_none_or_too_wide__is_refused(core: Core, scale: int) -> None:
    with reverts("MarketConfigurator_InvalidScale", scale):
        core.configurator.listMarket(3, scale, PARAMS, sender=LISTING)


def test_listMarket__parameters_out_of_bounds__are_refused(core: Core) -> None:
    with reverts("Bounds_Refused", rule("penalty")):
        core.configurator.listMarket(3, WAD, {**PARAMS, "penaltyBps": 0}, sender=LISTING)
    assert core.market.marketCount() == 2


# --- who ---


@pytest.mark.parametrize(
    ("function", "args", "may"),
    [
        ("listMarket", (3, WAD, PARAMS), LISTING),
        ("setParams", (ETH, PARAMS), RISK),
        ("haltOpening", (ETH, 1_700_010_000), GUARDIAN),
        ("resumeOpening", (ETH,), RISK),
    ],
)
def test_restricted__by_its_role_only(core: Core, function: str, args: tuple[Any, ...], may: str) -> None:
    method = getattr(core.configurator, function)
    for caller in (ADMIN, RISK, GUARDIAN, LISTING, ANYONE, actor("trader")):
        if caller != may:
            with reverts("AccessManagedUnauthorized", caller):
                method(*args, sender=caller)
    method(*args, sender=may)


# --- setParams ---


def test_setParams__everything_changed__stores_and_says_so(core: Core) -> None:
    """GV-02"""
    listed = core.evm.timestamp
    core.evm.advance(1_000)
    params = {
        "imBaseBps": 500,
        "imSlopeBps": 9_000,
        "mmFractionBps": 5_500,
        "penaltyBps": 80,
        "keeperMinCents": 150,
        "makerBps": 3,
        "takerBps": 7,
        "insuranceShareBps": 100,
        "treasuryShareBps": 200,
        "maxSkewBps": 200,
        "openInterestBps": 30_000,
        "exposureBps": 9_000,
        "minPositionUsd": 2_000,
        "maxFundingVelocity": WAD,
        "maxFundingRate": WAD // 10,
        "kinkBps": 7_000,
        "rateAtKinkBps": 3,
        "rateAtFullBps": 30,
        "maxPriceAge": 10,
        "staleWidenBps": 600,
        "isolatedOnly": True,
    }
    receipt = core.configurator.setParams(ETH, params, sender=RISK)
    assert receipt.event("ParamsChanged")["marketId"] == ETH
    assert tuple(receipt.event("ParamsChanged")["params"]) == tuple(params.values())
    rules = rules_of(PARAMS, listed).changed(model_params(params), core.evm.timestamp)
    assert tuple(core.market.marketConfig(ETH)) == words(params, SCALES[ETH], rules)
    assert core.market.marketState(ETH).accruedAt == core.evm.timestamp


def test_setParams__of_one_market__leaves_the_others(core: Core) -> None:
    before = tuple(core.market.marketConfig(BTC))
    core.set_params(ETH, takerBps=50)
    assert tuple(core.market.marketConfig(BTC)) == before


def test_setParams__during_a_halt__keeps_it(core: Core) -> None:
    until = core.evm.timestamp + DAY
    core.configurator.haltOpening(ETH, until, sender=GUARDIAN)
    core.set_params(ETH)
    assert core.market.marketConfig(ETH)[2] >> 224 == until


@pytest.mark.parametrize("market", [0, 3, 2**256 - 1])
def test_configurator__market_that_is_not_listed__is_refused(core: Core, market: int) -> None:
    with reverts("MarketConfigurator_NotListed", market):
        core.configurator.setParams(market, PARAMS, sender=RISK)
    with reverts("MarketConfigurator_NotListed", market):
        core.configurator.haltOpening(market, core.evm.timestamp + 1, sender=GUARDIAN)
    with reverts("MarketConfigurator_NotListed", market):
        core.configurator.resumeOpening(market, sender=RISK)


margins = st.fixed_dictionaries(
    {
        "imBaseBps": st.integers(1_000, 10_000),
        "imSlopeBps": st.integers(0, 1_000_000),
        "mmFractionBps": st.integers(2_500, 8_000),
        "penaltyBps": st.integers(1, 150),
        "keeperMinCents": st.integers(0, 200),
    }
)


@settings(max_examples=30)
@given(changes=st.lists(st.tuples(st.integers(0, 4 * DAY), margins), min_size=1, max_size=4))
def test_setParams__random_changes__of_maintenance_only_the_fraction_rises_along_a_ramp(
    shared_core: Core, changes: list[tuple[int, dict[str, int]]]
) -> None:
    """GV-02: a vote can't liquidate: the mm* set is the least that it ever was."""
    core = shared_core
    rules = rules_of(PARAMS, core.evm.timestamp)
    with core.evm.isolated():
        core.configurator.listMarket(3, WAD, PARAMS, sender=LISTING)
        for seconds, change in changes:
            core.evm.advance(seconds)
            params = {**PARAMS, **change}
            core.configurator.setParams(3, params, sender=RISK)
            rules = rules.changed(model_params(params), core.evm.timestamp)
            assert tuple(core.market.marketConfig(3)) == words(params, WAD, rules)


# --- bounds ---


def rule(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


ACCEPTED_AND_REFUSED: list[tuple[str, dict[str, int], dict[str, int]]] = [
    # the rule, what just passes, what changes of that to be refused
    ("imBase", {"imBaseBps": 190, "penaltyBps": 10, "maxSkewBps": 100}, {"imBaseBps": 189}),
    ("imBase", {"imBaseBps": 10_000}, {"imBaseBps": 10_001}),
    ("imSlope", {"imSlopeBps": 1_000_000}, {"imSlopeBps": 1_000_001}),
    ("mmFraction", {"mmFractionBps": 1_000, "maxSkewBps": 42}, {"mmFractionBps": 999}),
    ("mmFraction", {"mmFractionBps": 9_000, "penaltyBps": 20, "keeperMinCents": 100}, {"mmFractionBps": 9_001}),
    ("penalty", {"penaltyBps": 1}, {"penaltyBps": 0}),
    ("penalty", {"penaltyBps": 300, "imBaseBps": 1_000}, {"penaltyBps": 301}),
    ("keeperMin", {"keeperMinCents": 10_000, "minPositionUsd": 21_053}, {"keeperMinCents": 10_001}),
    ("fees", {"makerBps": 6}, {"makerBps": 7}),
    ("fees", {"makerBps": 0, "takerBps": 1}, {"takerBps": 0}),
    ("fees", {"takerBps": 100, "makerBps": 100}, {"takerBps": 101}),
    ("shares", {"insuranceShareBps": 9_000}, {"insuranceShareBps": 9_001}),
    ("shares", {"treasuryShareBps": 8_000}, {"treasuryShareBps": 8_001}),
    ("shares", {}, {"insuranceShareBps": 65_535, "treasuryShareBps": 65_535}),
    ("maxSkew", {"maxSkewBps": 1}, {"maxSkewBps": 0}),
    ("maxSkew", {"maxSkewBps": 1_000, "imBaseBps": 1_700}, {"maxSkewBps": 1_001}),
    ("limits", {"openInterestBps": 100_000}, {"openInterestBps": 100_001}),
    ("limits", {"exposureBps": 20_000}, {"exposureBps": 20_001}),
    ("funding", {"maxFundingRate": WAD}, {"maxFundingRate": WAD + 1}),
    ("funding", {"maxFundingVelocity": 10 * WAD}, {"maxFundingVelocity": 10 * WAD + 1}),
    ("kink", {"kinkBps": 1}, {"kinkBps": 0}),
    ("kink", {"kinkBps": 9_999}, {"kinkBps": 10_000}),
    ("utilisation", {"rateAtKinkBps": 20}, {"rateAtKinkBps": 21}),
    ("utilisation", {"rateAtFullBps": 1_000}, {"rateAtFullBps": 1_001}),
    ("utilisation", {"rateAtKinkBps": 0, "rateAtFullBps": 0}, {"rateAtKinkBps": 1}),
    ("maxPriceAge", {"maxPriceAge": 1}, {"maxPriceAge": 0}),
    ("maxPriceAge", {"maxPriceAge": 600}, {"maxPriceAge": 601}),
    ("staleWiden", {"staleWidenBps": 2_000}, {"staleWidenBps": 2_001}),
    ("impact", {"maxSkewBps": 255}, {"maxSkewBps": 256}),
    ("penaltyAgainstMargin", {"penaltyBps": 169, "keeperMinCents": 5}, {"penaltyBps": 170}),
    ("minPosition", {"minPositionUsd": 422}, {"minPositionUsd": 421}),
    ("minPosition", {"minPositionUsd": 1, "keeperMinCents": 0}, {"minPositionUsd": 0}),
    ("minPosition", {"minPositionUsd": 1, "keeperMinCents": 0}, {"keeperMinCents": 1}),
]


@pytest.mark.parametrize(("name", "accepted", "refused"), ACCEPTED_AND_REFUSED)
def test_configurator__each_bound__on_both_sides(
    core: Core, name: str, accepted: dict[str, int], refused: dict[str, int]
) -> None:
    """Constants that no vote passes; a position of the minimum size can bear its own liquidation. Of a market that is
    listed, and of one that is changed."""
    params = {**PARAMS, **accepted}
    core.configurator.listMarket(3, WAD, params, sender=LISTING)
    core.configurator.setParams(3, params, sender=RISK)
    before = tuple(core.market.marketConfig(3))
    with reverts("Bounds_Refused", rule(name)):
        core.configurator.listMarket(4, WAD, {**params, **refused}, sender=LISTING)
    with reverts("Bounds_Refused", rule(name)):
        core.configurator.setParams(3, {**params, **refused}, sender=RISK)
    assert tuple(core.market.marketConfig(3)) == before
    assert core.market.marketCount() == 3


# --- what can only become gentler ---


def test_setParams__age_of_prices__only_falls(core: Core) -> None:
    """GV-02: raised, it would end the favour of a stale price at once, and a vote would liquidate whom that kept."""
    for age in (15, 14, 14, 1):
        core.set_params(ETH, maxPriceAge=age)
        with reverts("Bounds_Refused", rule("maxPriceAge")):
            core.set_params(ETH, maxPriceAge=age + 1)
    core.set_params(BTC, maxPriceAge=15)


def test_setParams__favour_of_a_stale_price__only_rises(core: Core) -> None:
    """GV-02: as above for how large that favour is."""
    for bps in (500, 501, 501, 2_000):
        core.set_params(ETH, staleWidenBps=bps)
        with reverts("Bounds_Refused", rule("staleWiden")):
            core.set_params(ETH, staleWidenBps=bps - 1)
    core.set_params(BTC, staleWidenBps=500)


@pytest.mark.parametrize("changes", [{"maxPriceAge": 60}, {"staleWidenBps": 0}], ids=["older", "narrower"])
def test_setParams__stricter_with_stale_prices__liquidates_nobody(core: Core, changes: dict[str, int]) -> None:
    """An account that only the favour of its stale market keeps above maintenance: a draft's vote ended the favour
    between two blocks."""
    core.give_pool(20_000_000)
    account = core.trader("trader", 10_000)
    core.open(account, ETH, 60 * WAD)
    core.tick(1, {ETH: 2_900 * WAD})
    assert core.liquidator.isLiquidatable(account)
    core.evm.advance(16)
    standing = core.market.healthOf(account)
    assert standing[0] >= standing[1]
    name = "maxPriceAge" if "maxPriceAge" in changes else "staleWiden"
    with reverts("Bounds_Refused", rule(name)):
        core.set_params(ETH, **changes)
    assert core.market.healthOf(account) == standing


# --- haltOpening, resumeOpening ---


def test_haltOpening__until_a_time__stores_and_says_so(core: Core) -> None:
    """GV-03"""
    words_before = tuple(core.market.marketConfig(ETH))
    until = core.evm.timestamp + DAY
    receipt = core.configurator.haltOpening(ETH, until, sender=GUARDIAN)
    assert receipt.event("OpeningHalted").args == {"marketId": ETH, "until": until}
    margin, trading, liquidity = core.market.marketConfig(ETH)
    assert (margin, trading, liquidity) == (*words_before[:2], words_before[2] | until << 224)
    assert core.market.marketConfig(BTC)[2] >> 224 == 0


def test_haltOpening__seven_days_ahead_at_most(core: Core) -> None:
    latest = core.evm.timestamp + 7 * DAY
    with reverts("MarketConfigurator_HaltOutOfRange", latest + 1, latest):
        core.configurator.haltOpening(ETH, latest + 1, sender=GUARDIAN)
    core.configurator.haltOpening(ETH, latest, sender=GUARDIAN)
    core.evm.advance(1)
    core.configurator.haltOpening(ETH, latest + 1, sender=GUARDIAN)


@pytest.mark.parametrize("less", [0, 1, DAY])
def test_haltOpening__not_longer_than_the_last__is_refused(core: Core, less: int) -> None:
    """Only ever longer: the guardian can't end what the guardian began."""
    until = core.evm.timestamp + DAY
    core.configurator.haltOpening(ETH, until, sender=GUARDIAN)
    with reverts("MarketConfigurator_HaltOutOfRange", until - less, core.evm.timestamp + 7 * DAY):
        core.configurator.haltOpening(ETH, until - less, sender=GUARDIAN)
    core.configurator.haltOpening(ETH, until + 1, sender=GUARDIAN)
    assert core.market.marketConfig(ETH)[2] >> 224 == until + 1


def test_haltOpening__no_time_at_all__is_refused(core: Core) -> None:
    with reverts("MarketConfigurator_HaltOutOfRange", 0, core.evm.timestamp + 7 * DAY):
        core.configurator.haltOpening(ETH, 0, sender=GUARDIAN)


def test_resumeOpening__ends_a_halt__which_may_begin_again(core: Core) -> None:
    until = core.evm.timestamp + DAY
    core.configurator.haltOpening(ETH, until, sender=GUARDIAN)
    receipt = core.configurator.resumeOpening(ETH, sender=RISK)
    assert receipt.event("OpeningHalted").args == {"marketId": ETH, "until": 0}
    assert core.market.marketConfig(ETH)[2] >> 224 == 0
    core.configurator.haltOpening(ETH, until - 100, sender=GUARDIAN)
    assert core.market.marketConfig(ETH)[2] >> 224 == until - 100


def test_resumeOpening__without_a_halt__changes_nothing(core: Core) -> None:
    before = tuple(core.market.marketConfig(ETH))
    core.configurator.resumeOpening(ETH, sender=RISK)
    assert tuple(core.market.marketConfig(ETH)) == before
