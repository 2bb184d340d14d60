"""The watch finds whom asking everybody finds."""

from __future__ import annotations

import pytest

from plimsoll.risk.study.cascade import Cascade
from plimsoll.risk.study.setting import Setting
from tests.python.risk.study.setting import MILLION, made_up, small


@pytest.mark.parametrize(
    "setting", [small(), small(pool_usd=4 * MILLION), small(buyers_usd=MILLION, short_usd=60 * MILLION)]
)
def test_due__at_every_record__is_whom_asking_everybody_finds(setting: Setting) -> None:
    cascade = Cascade(made_up(), setting)
    world, found = cascade.world, 0
    for now, price in made_up().published(30):
        world.publish(now, price)
        cascade.step()
        everybody = {
            account for account in world.market.positions if world.protocol.is_liquidatable(account, world.now)
        }
        assert {one.account for one in cascade.watch.due()} == everybody
        found += len(everybody)
    assert found
    assert world.market.events
