"""Exit plans without a chain: the file of profiles, the rules' times, steps and their costs, exposures, other ways."""

from __future__ import annotations

import copy
import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.sdk.exit_plan.plan import (
    BRIDGE,
    CLOSE,
    WITHDRAW,
    ExitPlan,
    Holding,
    Leaving,
    Sending,
    Terms,
    exposure,
    make_plan,
)
from plimsoll.sdk.exit_plan.rules import (
    FILE,
    Kind,
    Rules,
    parse_profile,
    profile,
    profile_of_chain,
    profiles,
    with_games,
    with_oracle,
)
from plimsoll.sdk.exit_plan.shown import comparison_lines, plan_json, plan_lines
from plimsoll.sdk.exit_plan.volatility import Volatility
from plimsoll.sdk.fees.report import Cost

HOUR, DAY = 3_600, 86_400
GWEI = 10**9
OP = profile("op-mainnet")
LINEA = profile("linea")

LONG = Holding("ETH/USD", 2 * WAD, 2_500 * WAD, 2_495 * WAD, 3 * WAD, WAD // 2, 5)
SHORT = Holding("BTC/USD", -WAD // 10, 60_000 * WAD, 60_030 * WAD, 4 * WAD, WAD // 2, 5)
CALM = Volatility(3 * WAD // 100, "made up")


def cost(name: str, gas: int, l1_fee: int) -> Cost:
    """At a gwei of L2 gas."""
    return Cost(name, 0, 0, 0, gas, l1_fee, gas * GWEI)


SENDING = Sending(
    {
        CLOSE: cost(CLOSE, 80_000, 10 * GWEI),
        WITHDRAW: cost(WITHDRAW, 90_000, 20 * GWEI),
        BRIDGE: cost(BRIDGE, 110_000, 30 * GWEI),
    },
    l1_gas_price=20 * GWEI,
    eth_price=2_000 * WAD,
)


def plan_of(rules: Rules = OP, *holdings: Holding, terms: Terms | None = None, equity: int = 10_000) -> ExitPlan:
    leaving = Leaving(equity * WAD, 4_000 * WAD, holdings)
    return make_plan(rules, leaving, SENDING, {"ETH/USD": CALM}, terms)


# --- the file ------------------------------------------------------------------------------------------------------


def test_profiles__the_file__is_whole_and_names_its_sources() -> None:
    found = profiles()
    assert {"op-mainnet", "op-sepolia", "base", "output-oracle", "linea", "zksync-era", "scroll"} == set(found)
    assert {one.kind for one in found.values()} == set(Kind)
    assert all(one.sources and not one.is_live for one in found.values())


@pytest.mark.parametrize(
    ("chain_id", "key"), [(10, "op-mainnet"), (11_155_420, "op-sepolia"), (8_453, "base"), (901, None)]
)
def test_profile_of_chain__its_id__is_found(chain_id: int, key: str | None) -> None:
    assert profile_of_chain(chain_id) == key


def test_profile__unknown__lists_the_known() -> None:
    with pytest.raises(UserError, match="no rollup profile arbitrum; there are op-mainnet, op-sepolia"):
        profile("arbitrum")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "magic"}, "op-mainnet: kind 'magic' is none of dispute-games, output-oracle"),
        ({"game_clock": None}, "op-mainnet: game_clock is missing"),
        ({"execution_delay": "1 h"}, "op-mainnet: execution_delay is not for dispute-games"),
        ({"air_gap": "a while"}, "op-mainnet: air_gap: 'a while' is not a time; write it like"),
        ({"sources": []}, "op-mainnet: sources is empty"),
        ({"prove_gas": -1}, "op-mainnet: prove_gas is no amount of gas"),
    ],
)
def test_parse_profile__mistakes__are_named(change: dict[str, Any], said: str) -> None:
    data = copy.deepcopy(tomllib.loads(FILE.read_text())["op-mainnet"]) | change
    with pytest.raises(UserError, match=said):
        parse_profile("op-mainnet", {key: value for key, value in data.items() if value is not None})


# --- times ---------------------------------------------------------------------------------------------------------


def test_finalisable__dispute_games__the_longer_of_proof_and_game() -> None:
    """Unchallenged: 20 min until proposed, then 84 h of clock and 84 h of air gap, which is the proof's 7 days too."""
    assert OP.proposed == (20 * 60, 80 * 60)
    assert OP.finalisable == (7 * DAY + 20 * 60, 10 * DAY + 12 * HOUR + 80 * 60)
    patient = replace(OP, proof_maturity=14 * DAY)
    assert patient.finalisable == (14 * DAY + 20 * 60, 14 * DAY + 80 * 60)


def test_finalisable__output_oracle__the_period_after_the_proposal() -> None:
    assert profile("output-oracle").finalisable == (7 * DAY + 20 * 60, 7 * DAY + 80 * 60)


def test_finalisable__two_proofs__a_day_or_five() -> None:
    assert profile("base").finalisable == (DAY + 20 * 60, 5 * DAY + 80 * 60)


def test_finalisable__validity_proofs__proven_and_executed() -> None:
    assert not LINEA.needs_proof
    assert LINEA.finalisable == (30 * 60, 16 * HOUR)
    assert profile("zksync-era").finalisable == (4 * HOUR, 7 * HOUR)


def test_with_games__what_the_portal_says__counts() -> None:
    live = with_games(OP, game_clock=10, air_gap=20, proof_maturity=25, sources=("portal",))
    assert live.is_live
    assert live.finalisable == (OP.proposal_lag + 30, OP.proposal_lag + HOUR + 40)
    assert (
        with_games(profile("base"), game_clock=10, air_gap=0, proof_maturity=0, sources=()).kind is Kind.DISPUTE_GAMES
    )


def test_with_games__no_clock_to_be_read__the_profile_s_windows_stay() -> None:
    live = with_games(profile("base"), game_clock=None, air_gap=HOUR, proof_maturity=2 * DAY, sources=("portal",))
    assert live.kind is Kind.TWO_PROOFS
    assert live.finalisable == (2 * DAY + 20 * 60, 5 * DAY + HOUR + 80 * 60)


def test_with_oracle__what_it_says__counts() -> None:
    live = with_oracle(OP, period=100, interval=20, sources=("oracle",))
    assert (live.kind, live.finalisable) == (Kind.OUTPUT_ORACLE, (OP.proposal_lag + 100, OP.proposal_lag + 120))


# --- steps and costs -----------------------------------------------------------------------------------------------


def test_make_plan__two_positions__every_cost_in_its_step() -> None:
    plan = plan_of(OP, LONG, SHORT)
    close, withdraw, proposed, prove, finalise = plan.steps
    assert [step.layer for step in plan.steps] == ["L2", "L2", "L1", "L1", "L1"]
    # two placements of 80,000 gas at a gwei and 10 gwei of data each; an ETH is $2,000
    assert (close.gas, close.execution, close.data) == (160_000, 32 * WAD // 100, 20 * 2_000 * GWEI)
    assert close.other == (3 + 4) * WAD + WAD + 2 * 5 * WAD + WAD // 10 * 30
    assert (withdraw.gas, withdraw.execution, withdraw.data) == (200_000, 4 * WAD // 10, 50 * 2_000 * GWEI)
    assert (proposed.gas, proposed.execution) == (0, 0)
    # at 20 gwei and $2,000: 4 cents a thousand gas
    assert prove.execution == OP.prove_gas * 4 * WAD // 100_000
    assert finalise.execution == OP.finalise_gas * 4 * WAD // 100_000
    assert plan.network_cost == sum(step.execution + step.data for step in plan.steps)
    assert plan.arrives == 10_000 * WAD - plan.closing_cost
    assert (plan.soonest, plan.latest) == (OP.finalisable[0], OP.finalisable[1] + 5)


def test_make_plan__no_position__nothing_to_close_and_no_risk() -> None:
    plan = plan_of()
    assert plan.steps[0].what.startswith("withdraw")
    assert plan.exposures == ()
    assert plan.closing_cost == 0
    assert plan.arrives == 10_000 * WAD
    assert [route.name for route in plan.routes] == ["the rollup's own bridge", "a fast bridge"]


def test_make_plan__validity_proofs__no_proof_of_one_s_own() -> None:
    plan = plan_of(LINEA, LONG)
    assert [step.what for step in plan.steps][2:] == ["its batch is proven", "finalise: the dollars are there"]
    assert plan.latest == 16 * HOUR + 5
    assert plan.network_cost < plan_of(OP, LONG).network_cost


def test_make_plan__nothing_left__arrives_nothing() -> None:
    assert plan_of(OP, LONG, equity=5).arrives == 0
    assert all(route.arrives >= 0 for route in plan_of(OP, LONG, equity=5).routes[:3])


def test_impact__a_better_fill__costs_nothing() -> None:
    assert replace(LONG, fill_price=2_501 * WAD).impact == 0
    assert replace(SHORT, fill_price=59_000 * WAD).impact == 0


# --- risk ----------------------------------------------------------------------------------------------------------


def test_exposure__long_and_short__mirror_each_other() -> None:
    """Three hundredths a day over four days: σ√T is 6%, so e^0.06 − 1 up and 1 − e^−0.06 down."""
    long = exposure(LONG, 4 * DAY, CALM)
    short = exposure(replace(LONG, base=-LONG.base), 4 * DAY, CALM)
    assert [round(value / WAD, 4) for value in long.usual] == [309.1827, -291.1773]
    assert short.usual == (-long.usual[1], -long.usual[0])
    assert long.rare[0] > long.usual[0] > 0 > long.usual[1] > long.rare[1]


def test_make_plan__exposures__at_the_soonest_and_the_latest() -> None:
    plan = plan_of(OP, LONG, SHORT)
    assert [(one.market, one.seconds) for one in plan.exposures] == [
        ("ETH/USD", plan.soonest),
        ("ETH/USD", plan.latest),
    ]


# --- other ways ----------------------------------------------------------------------------------------------------


def test_routes__hedge__costs_its_fee_and_each_day() -> None:
    own, hedged, *_ = plan_of(OP, LONG, terms=Terms(hedge_fee_bps=10, hedge_bps_day=3)).routes
    # $5,000 at 10 bps, and 3 bps a day over 10 days and 13 h 20 min and 5 s, rounded up
    days = (10 * DAY + 12 * HOUR + 80 * 60 + 5) * WAD
    assert hedged.cost - own.cost == 5 * WAD + -(-5_000 * WAD * 3 * -(-days // DAY) // (10_000 * WAD))
    assert hedged.arrives == own.arrives


def test_routes__fast_bridge__its_fee_instead_of_the_wait_and_of_l1_gas() -> None:
    terms = Terms(bridge_fee_bps=50, bridge_fee=WAD, bridge_seconds=120)
    plan = plan_of(OP, terms=terms)
    own, fast = plan.routes
    assert (fast.soonest, fast.latest) == (120, 120)
    assert fast.arrives == 10_000 * WAD - 51 * WAD
    assert fast.cost == 51 * WAD + plan.steps[0].execution + plan.steps[0].data
    assert own.latest > fast.latest


def test_routes__free_money_only__while_positions_stay() -> None:
    free = plan_of(OP, LONG).routes[-1]
    assert (free.name, free.arrives) == ("only what is free, the positions stay", 4_000 * WAD)
    unknown = make_plan(OP, Leaving(WAD, None, (LONG,)), SENDING, {})
    assert all(route.name != free.name for route in unknown.routes)


# --- shown ---------------------------------------------------------------------------------------------------------


def test_plan_lines__a_plan__says_steps_risk_and_ways() -> None:
    text = "\n".join([*plan_lines(plan_of(OP, LONG, SHORT)), *comparison_lines([LINEA])])
    for said in (
        "OP Mainnet: dispute-games, by its profile",
        "7 days 20 min",
        "10 days 13 h",
        "a fast bridge",
        "volatility made up; σ√T, a scale and no bound",
        "Linea (validity-proofs)",
        "after 12 h at most",
    ):
        assert said in text, said


def test_plan_lines__live_rules__say_so() -> None:
    live = with_games(OP, game_clock=1, air_gap=1, proof_maturity=1, sources=("portal 0x1",))
    assert "as its portal says" in "\n".join(plan_lines(plan_of(live)))


def test_plan_json__a_plan__adds_up() -> None:
    plan = plan_of(OP, LONG)
    data = json.loads(json.dumps(plan_json(plan)))
    assert data["arrives"] == str(plan.arrives)
    assert sum(int(step["execution"]) + int(step["l1Data"]) for step in data["steps"]) == int(data["networkCost"])
    assert [route["name"] for route in data["routes"]] == [route.name for route in plan.routes]
