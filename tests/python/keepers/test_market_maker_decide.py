"""What the market maker decides: when quotes stand, are replaced, pulled, revoked; when it lays off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plimsoll.core.orders import TimeInForce
from plimsoll.core.units import WAD, WAD_PER_BPS
from plimsoll.keepers.engine import Standing
from plimsoll.keepers.market_maker import Decision, LayOff, Place, Pull, Revoke, Snapshot, decide
from plimsoll.keepers.quoting import Quoting, View
from plimsoll.risk.state import MAX_HEALTH
from plimsoll.sdk.orders import limit_order
from tests.python.keepers.made_up import ETH, NOW, TRADER

P = 3_000 * WAD
CENT = WAD // 100
SIZE = 33_333 * WAD // 10_000
BID, ASK = P - 150 * CENT, P + 150 * CENT
TERMS = Quoting()
VIEW = View(P, 4 * WAD_PER_BPS, 0, 1_000_000 * WAD, 2 * WAD_PER_BPS, 1_000 * WAD, CENT, WAD // 10_000)
EMPTY = Snapshot(now=NOW, view=VIEW, published_at=NOW, max_price_age=15, is_open=True, health=MAX_HEALTH, standing=())


def standing(base: int, price: int, *, left: int | None = None, expiry: int = NOW + 30, salt: int = 1) -> Standing:
    order = limit_order(TRADER, ETH, base, price, time_in_force=TimeInForce.POST_ONLY, expiry=expiry, salt=salt)
    return Standing(order, base if left is None else left)


def quoted(**changes: Any) -> Snapshot:
    """Both quotes stand where they should."""
    both = standing(SIZE, BID), standing(-SIZE, ASK)
    return replace(EMPTY, **{"standing": both, **changes})


def held(dollars: int) -> View:
    return replace(VIEW, base=dollars * WAD * WAD // P)


def hashes(snapshot: Snapshot) -> tuple[bytes, ...]:
    return tuple(one.hash for one in snapshot.standing)


def kinds(decisions: list[Decision]) -> list[str]:
    return [type(one).__name__ for one in decisions]


# --- quotes ------------------------------------------------------------------------------------------------------


def test_decide__nothing_stands__quotes_both_sides() -> None:
    assert decide(EMPTY, TERMS) == [Place(SIZE, BID, NOW + 30), Place(-SIZE, ASK, NOW + 30)]


def test_decide__quotes_stand__does_nothing() -> None:
    assert decide(quoted(), TERMS) == []


@pytest.mark.parametrize(("off", "stays"), [(30, True), (31, False), (-30, True), (-31, False)])
def test_decide__price_off_by_more_than_the_threshold__is_replaced(off: int, stays: bool) -> None:
    snapshot = quoted(standing=(standing(SIZE, BID + off * CENT), standing(-SIZE, ASK)))
    expected = [] if stays else [Pull(hashes(snapshot)[:1], "replaced"), Place(SIZE, BID, NOW + 30)]
    assert decide(snapshot, TERMS) == expected


def test_decide__index_moved__replaces_both() -> None:
    snapshot = quoted(view=replace(VIEW, index=P + P // 2_000))
    pull, bid, ask = decide(snapshot, TERMS)
    assert pull == Pull(hashes(snapshot), "replaced")
    assert isinstance(bid, Place)
    assert isinstance(ask, Place)
    assert BID < bid.price < P < ASK < ask.price


@pytest.mark.parametrize(
    ("left", "stays"), [(SIZE // 2, True), (SIZE // 2 - 1, False), (2 * SIZE, True), (2 * SIZE + 1, False)]
)
def test_decide__less_than_half_or_more_than_twice_the_size__is_replaced(left: int, stays: bool) -> None:
    snapshot = quoted(standing=(standing(3 * SIZE, BID, left=left), standing(-SIZE, ASK)))
    assert kinds(decide(snapshot, TERMS)) == ([] if stays else ["Pull", "Place"])


@pytest.mark.parametrize(("seconds", "stays"), [(11, True), (10, False)])
def test_decide__about_to_expire__is_replaced(seconds: int, stays: bool) -> None:
    snapshot = quoted(standing=(standing(SIZE, BID, expiry=NOW + seconds), standing(-SIZE, ASK)))
    assert kinds(decide(snapshot, TERMS)) == ([] if stays else ["Pull", "Place"])


def test_decide__two_of_a_side__one_is_pulled() -> None:
    snapshot = quoted(standing=(standing(SIZE, BID), standing(SIZE, BID, salt=2), standing(-SIZE, ASK)))
    assert decide(snapshot, TERMS) == [Pull(hashes(snapshot)[1:2], "replaced")]


def test_decide__at_the_limit__pulls_the_side_that_adds() -> None:
    snapshot = quoted(view=held(100_000))
    pull, ask = decide(snapshot, TERMS)
    assert pull == Pull(hashes(snapshot), "replaced")
    assert isinstance(ask, Place)
    assert ask.base < 0
    assert ask.price < ASK


def test_decide__all_that_was_left_is_on_its_way__is_nothing_to_pull() -> None:
    done = standing(SIZE, BID)._replace(left=0, pending=SIZE)
    snapshot = replace(EMPTY, standing=(done,), is_open=False)
    assert decide(snapshot, TERMS) == []


# --- a delegate's budget -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dollars", "sides"), [(20_002, 2), (19_999, 1), (10_001, 1), (9_999, 0)])
def test_decide__delegates_budget__carries_as_many_sides_as_it_can(dollars: int, sides: int) -> None:
    assert kinds(decide(replace(EMPTY, budget=dollars * WAD), TERMS)) == ["Place"] * sides


# --- nothing may stand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"view": None}, "index is stale"),
        ({"published_at": NOW - 14}, "index is stale"),
        ({"is_open": False}, "market is halted"),
        ({"health": 3 * WAD - 1}, "health is low"),
        ({"budget": 0}, "delegate may not match"),
    ],
)
def test_decide__something_is_wrong__pulls_all_and_quotes_nothing(changes: dict[str, Any], why: str) -> None:
    snapshot = quoted(**changes)
    assert decide(snapshot, TERMS) == [Pull(hashes(snapshot), why)]
    assert decide(replace(snapshot, standing=()), TERMS) == []


@pytest.mark.parametrize("changes", [{"published_at": NOW - 13}, {"health": 3 * WAD}])
def test_decide__at_the_boundary__keeps_quoting(changes: dict[str, Any]) -> None:
    assert decide(quoted(**changes), TERMS) == []


def test_decide__too_volatile_for_the_band__pulls_all() -> None:
    snapshot = quoted(view=replace(VIEW, volatility=40 * WAD_PER_BPS))
    assert decide(snapshot, TERMS) == [Pull(hashes(snapshot), "replaced")]


# --- the engine is gone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "revokes"), [(0, False), (3, False), (4, True)])
def test_decide__engine_gone__is_asked_again_and_then_the_chain(seconds: int, revokes: bool) -> None:
    snapshot = quoted(engine_gone=seconds)
    assert decide(snapshot, TERMS) == [(Revoke if revokes else Pull)(hashes(snapshot), "engine is gone")]


@pytest.mark.parametrize(("left", "revokes"), [(3, True), (2, False)])
def test_decide__quotes_die_before_they_could_be_revoked__are_left_to_die(left: int, revokes: bool) -> None:
    snapshot = replace(EMPTY, engine_gone=9, standing=(standing(SIZE, BID, expiry=NOW + left),))
    assert bool(decide(snapshot, TERMS)) == revokes


# --- laying off --------------------------------------------------------------------------------------------------

LAYING = replace(TERMS, lay_off_beyond=60_000 * WAD)


@pytest.mark.parametrize(("dollars", "off"), [(59_999, 0), (60_001, -30_001), (-60_001, 30_001), (90_000, -60_000)])
def test_decide__inventory_beyond_the_limit__is_brought_down_to_half_of_it(dollars: int, off: int) -> None:
    found = [one for one in decide(replace(EMPTY, view=held(dollars)), LAYING) if isinstance(one, LayOff)]
    assert len(found) == bool(off)
    for one in found:
        assert abs(one.base * P // WAD - off * WAD) < WAD // 100
        assert one.acceptable_price == P * (9_950 if off < 0 else 10_050) // 10_000


@pytest.mark.parametrize(
    ("changes", "lays_off"),
    [
        ({}, True),
        ({"is_laying_off": True}, False),
        ({"published_at": NOW - 13}, True),
        ({"published_at": NOW - 14}, False),
        ({"health": 0}, True),
        ({"is_open": False}, True),
        ({"engine_gone": 0}, True),
    ],
)
def test_decide__laying_off__needs_a_price_and_is_once_at_a_time(changes: dict[str, Any], lays_off: bool) -> None:
    found = kinds(decide(replace(EMPTY, view=held(70_000), **changes), LAYING))
    assert ("LayOff" in found) == lays_off
    assert "LayOff" not in kinds(decide(replace(EMPTY, view=held(70_000), **changes), TERMS))
