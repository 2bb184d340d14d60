"""The attack that holds a push: what it earns at a standing index, by window."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.core.units import WAD
from plimsoll.risk.market import CAP_SECONDS
from plimsoll.risk.study.push import flat_push, push_into
from plimsoll.risk.study.setting import OFF_PERCENT, Setting
from tests.python.risk.study.setting import MILLION, made_up, small

PUSH, VICTIMS = 10 * MILLION, 2 * MILLION
BASE = Setting(pool_usd=40 * MILLION, publish_seconds=1)
STEP = PUSH * 8 // 10_000
"""What a cap's worth of close-outs moves the push by: cap × push / scale, before the fall of four per cent."""


def test_flat_push__within_one_window__does_not_pay() -> None:
    worth = dict(flat_push(BASE, PUSH, VICTIMS, 60).worth)
    assert max(worth[second] for second in range(CAP_SECONDS + 1)) < 0


def test_flat_push__each_further_window__earns_the_cap_times_push_by_scale() -> None:
    worth = dict(flat_push(BASE, PUSH, VICTIMS, 60).worth)
    assert abs(worth[5] - worth[4] - STEP) < STEP // 20
    long = dict(flat_push(replace(BASE, window_seconds=15), PUSH, VICTIMS, 60).worth)
    assert long[0] == worth[0]
    assert abs(long[16] - long[15] - STEP) < STEP // 20


def test_flat_push__without_a_cap__earns_all_of_it_at_one_record() -> None:
    free = flat_push(replace(BASE, window_cap_percent=OFF_PERCENT), PUSH, VICTIMS, 60)
    capped = flat_push(BASE, PUSH, VICTIMS, 60)
    assert free.best[0] == 0
    assert dict(capped.worth)[0] < 0 < free.best[1]
    assert abs(capped.best[1] - free.best[1]) < 50 * WAD


def test_flat_push__with_outsiders_who_buy__earns_less() -> None:
    alone = flat_push(BASE, PUSH, VICTIMS, 120)
    assert flat_push(replace(BASE, buyers_usd=3 * MILLION), PUSH, VICTIMS, 120).best[1] < alone.best[1]


@pytest.mark.parametrize(("window_seconds", "earned"), [(15, 0), (CAP_SECONDS, 239_500)], ids=["of_16_s", "of_5_s"])
def test_flat_push__held_against_outsiders__pays_in_the_shorter_windows(window_seconds: int, earned: int) -> None:
    """Attack 16 over many windows at a standing index: $20m pushed against $20m of victims, while outsiders buy $3m a
    minute. What the shorter window costs: nothing was earned with one of 16 seconds."""
    setting = replace(BASE, window_seconds=window_seconds, buyers_usd=3 * MILLION)
    best = flat_push(setting, 20 * MILLION, 20 * MILLION, 150).best[1]
    assert abs(best - earned * WAD) < 1_000 * WAD


def test_push_into__a_crash__stays_within_the_limits_and_adds_up() -> None:
    pusher, quiet, pushed = push_into(made_up(), small(), 20 * MILLION)
    assert 0 < pusher.dollars <= 20 * MILLION
    assert pusher.best[1] > 0
    assert pushed.skew_lowest < quiet.skew_lowest


def test_push_into__no_room_in_the_limits__sells_nothing() -> None:
    setting = small()
    closed = replace(setting, params=replace(setting.params, open_interest_bps=1))
    pusher, quiet, pushed = push_into(made_up(), closed, 20 * MILLION)
    assert pusher.dollars == 0
    assert pusher.best == (0, 0)
    assert quiet.skew_lowest == pushed.skew_lowest
    assert quiet.debt // WAD == pushed.debt // WAD
