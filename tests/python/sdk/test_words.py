"""Unpacking the contracts' words: against the contracts' own answers."""

from __future__ import annotations

import dataclasses
import re

import pytest

from plimsoll.risk.config import MarketParams
from plimsoll.sdk.snapshots import read_markets
from plimsoll.sdk.words import Balance, markets_in, unpack_balance, unpack_configuration, unpack_record
from tests.support.core import DOUBTFUL, ETH, ETH_PARAMS, SCALES, WAD
from tests.support.deployment import World


def test_unpack_record__of_the_oracle__gives_its_fields(world: World) -> None:
    world.evm.advance(1)
    before = unpack_record(world.core.oracle.newest(ETH))
    time = world.core.record(ETH, 3_333 * WAD + 1, 7, state=DOUBTFUL)
    assert before is not None
    after = (3_333 * WAD + 1, 7, time, DOUBTFUL, before.sequence + 1)
    assert unpack_record(world.core.oracle.newest(ETH)) == after


def test_unpack_record__zero__is_none() -> None:
    assert unpack_record(0) is None


@pytest.mark.parametrize("cash", [0, 1, -1, 2**127 - 1, -(2**127)])
def test_unpack_balance__signed_cash__comes_back(cash: int) -> None:
    word = cash % 2**128 | (2**96 - 1) << 128 | 0b101 << 224
    assert unpack_balance(word) == Balance(cash, 2**96 - 1, 0b101)
    assert markets_in(0b101) == [1, 3]
    assert markets_in(0) == []


def test_unpack_configuration__of_the_market__gives_all_parameters(world: World) -> None:
    world.core.halt(ETH, 1_000)
    found = unpack_configuration(*world.core.market.marketConfig(ETH))
    assert found.scale == SCALES[ETH]
    assert found.halt_until == world.evm.timestamp + 1_000
    not_there = ("insurance_share_bps", "treasury_share_bps")  # these are no part of the three words
    for field in dataclasses.fields(MarketParams):
        if field.name not in not_there:
            name = re.sub(r"_(\w)", lambda match: match[1].upper(), field.name)
            assert getattr(found.rules.params, field.name) == ETH_PARAMS[name], field.name


def test_unpack_configuration__maintenance_along_a_ramp__is_the_lenss(world: World) -> None:
    core = world.core
    core.set_params(ETH, imBaseBps=600, mmFractionBps=7_000, penaltyBps=90)
    for _ in range(4):
        world.evm.advance(61_111)
        rules = read_markets(world.contracts, world.chain.block(), [ETH])[ETH].configuration.rules
        assert world.contracts.lens is not None
        params = world.contracts.lens.call("market", ETH).params
        assert (rules.mm_base_bps, rules.mm_slope_bps, rules.mm_penalty_bps) == (425, 10_000, 75)
        assert rules.mm_fraction(world.evm.timestamp) == params.mmFraction
        assert rules.mm_keeper_min == params.mmKeeperMin
    assert 6_000 * 10_000 < params.mmFraction < 7_000 * 10_000
