"""Exits that guard a position: where they are, and that a replay builds the same ones every time."""

from __future__ import annotations

import dataclasses
from itertools import count

import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.replay.exits import RUNGS, STEP_BPS, bracket_of, exits_of, stop_bps, trailed
from plimsoll.replay.keys import Key
from plimsoll.replay.trader import Exits, Trader
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import PopulationParameters, build_population
from plimsoll.sdk.signing import order_hash

ETH, PRICE = 1, 2_500 * WAD


def trader(guard: Exits, leverage: int = 10) -> Trader:
    plan = build_population(PopulationParameters(accounts=1), crash_minute=0, seed=1)[0]
    legs = tuple(dataclasses.replace(leg, leverage=leverage * WAD) for leg in plan.legs)
    key = Key.named("somebody")
    one = dataclasses.replace(plan, legs=legs)
    return Trader(one, key, ids.pack(key.number), "hold", Draws(1, "test"), WAD, 1, guard=guard)


def exits(guard: Exits, base: int = 40 * WAD, minimum: int = 2_000 * WAD) -> list[Order]:
    salts = count(1)
    return exits_of(trader(guard), ETH, base, PRICE, minimum, lambda _: next(salts))


@pytest.mark.parametrize(
    ("guard", "kinds"),
    [
        ("pair", [OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT]),
        ("bracket", [OrderKind.STOP_LOSS, OrderKind.TAKE_PROFIT]),
        ("trailing", [OrderKind.STOP_LOSS]),
        ("ladder", [OrderKind.STOP_LOSS, *[OrderKind.TAKE_PROFIT] * RUNGS]),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_exits_of__each_style__a_stop_behind_and_profits_ahead(guard: Exits, kinds: list[OrderKind], sign: int) -> None:
    found = exits(guard, sign * 40 * WAD)
    assert [order.kind for order in found] == kinds
    assert all(order.reduce_only and (order.base > 0) == (sign < 0) for order in found)
    assert (PRICE - found[0].trigger_price) * sign > 0
    assert all((order.trigger_price - PRICE) * sign > 0 for order in found[1:])
    assert [order.salt for order in found] == list(range(1, len(found) + 1))
    if guard == "ladder":
        assert sum(order.base for order in found[1:]) == -sign * 40 * WAD


def test_exits_of__twice__the_same() -> None:
    assert exits("ladder") == exits("ladder")


@pytest.mark.parametrize(("minimum", "count_"), [(40 * 2_500 * WAD // 3, 1 + RUNGS), (40 * 2_500 * WAD // 3 + 1, 2)])
def test_exits_of__position_too_small_for_rungs__one_profit_order(minimum: int, count_: int) -> None:
    assert len(exits("ladder", minimum=minimum)) == count_


@pytest.mark.parametrize(("leverage", "bps"), [(2, 400), (12, 400), (13, 384), (20, 250), (200, 30)])
def test_stop_bps__leverage__is_before_the_liquidation(leverage: int, bps: int) -> None:
    assert stop_bps(trader("pair", leverage)) == bps


def test_bracket_of__entry_that_is_not_filled__both_wait_for_it() -> None:
    entry = Order(trader("bracket").account, ETH, OrderKind.MARKET, 4 * WAD, PRICE)
    salts = count(1)
    stop, profit = bracket_of(trader("bracket"), entry, PRICE, lambda _: next(salts))
    assert stop.parent == profit.parent == order_hash(entry)
    assert stop.base == profit.base == -4 * WAD
    assert stop.trigger_price < PRICE < profit.trigger_price
    assert (stop.salt, profit.salt) == (1, 2)


@pytest.mark.parametrize(("gained", "moves"), [(STEP_BPS + 1, True), (STEP_BPS - 1, False), (-50, False)])
def test_trailed__index_gains__the_stop_follows_by_steps(gained: int, moves: bool) -> None:
    [stop] = exits("trailing")
    price = PRICE * (10_000 + gained) // 10_000
    moved = trailed(trader("trailing"), stop, price, lambda _: 77)
    assert (moved is not None) == moves
    if moved is not None:
        assert moved.trigger_price > stop.trigger_price
        assert moved.salt == 77
