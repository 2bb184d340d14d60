"""The soak of docs/soak.md, and that its parts are what the report says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.claims import WORK_PATIENCES
from tests.soak.faults import KILL, REDIS, REORGANISATION, Fault, plan
from tests.soak.prices import ETH, SHOCKS, path
from tests.soak.replayed import Wait
from tests.soak.run import Ran, soak
from tests.soak.setting import Setting
from tests.soak.verdict import AFTERMATH_SECONDS, split

UNITS = ("a", "b", "c")


@pytest.mark.node
@pytest.mark.deep
def test_soak__two_hours_a_thousand_accounts_kills_and_faults__all_holds(built: None, tmp_path: Path) -> None:
    verdict = soak(Setting(), tmp_path, print)
    assert verdict.failures == []


def test_plan__same_seed__same_faults_in_rough_spells_only() -> None:
    blocks = Setting().blocks
    faults = plan(1, blocks, UNITS)
    assert faults == plan(1, blocks, UNITS)
    assert faults != plan(2, blocks, UNITS)
    spell = blocks // 24
    assert all(one.at // spell % 2 == 1 and one.at < 22 * spell for one in faults)
    kinds = [one.kind for one in faults]
    assert kinds.count(KILL) >= 20
    assert kinds.count(REDIS) == 3
    assert kinds.count(REORGANISATION) == 4
    assert len(set(kinds)) >= 10


@pytest.mark.parametrize("blocks", [300, 3_600])
def test_path__of_any_length__has_all_shocks(blocks: int) -> None:
    prices = [one[ETH] for one in path(1, blocks)]
    for shock in SHOCKS:
        first, last = shock.at * blocks // 1_000, (shock.at + 30) * blocks // 1_000
        moved = (prices[last] - prices[max(0, first - 1)]) * 1_000_000 // prices[max(0, first - 1)]
        assert moved * shock.eth > 0 or shock.at in (300, 680)  # those run into the next
    assert all(abs(after - before) * 10 < before for before, after in pairwise(prices))  # the oracle's move limit
    assert all(price % (WAD // 100) == 0 for price in prices)


def test_split__a_wait_touches_a_fault__it_is_rough_for_as_long_as_claims_and_its_aftermath_last() -> None:
    setting = Setting(speed=4)
    after = round(AFTERMATH_SECONDS / setting.block_wait)
    claimed = round(WORK_PATIENCES * setting.patience / setting.block_wait)
    ran = Ran(setting, end=9_000)
    ran.faults = [Fault("stalls", "node 1", 100, 110), Fault(KILL, "a", 500, 501), Fault(KILL, "b", 8_000)]
    quiet = [(90, 99), (110 + after + 1, 200), (500 + claimed + after + 1, 7_999)]
    rough = [
        (90, 100),
        (105, 106),
        (110 + after, 200),
        (501 + after, 600),
        (500 + claimed + after, 700),
        (8_900, 8_901),
    ]
    waits = [Wait(1, since, until) for since, until in [*quiet, *rough]]
    assert split(waits, ran) == (waits[: len(quiet)], waits[len(quiet) :])


@pytest.mark.parametrize(("name", "value"), [("minutes", 4), ("accounts", 19), ("speed", 9)])
def test_setting__out_of_range__is_said(name: str, value: int) -> None:
    with pytest.raises(UserError, match=name):
        Setting(**{name: value})
