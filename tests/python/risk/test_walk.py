"""Random walks over all entry points: the sums hold after every call, and a refusal changes nothing."""

from __future__ import annotations

import pytest

from plimsoll.core.units import WAD
from plimsoll.risk.refusals import Refusal
from tests.python.risk.setting import image
from tests.python.risk.walk import TRADERS, Walk


def check_accounts(walk: Walk) -> None:
    """Nobody without a position owes; a bitmap names exactly the positions; reservations are those of live orders."""
    state = walk.protocol.state
    for account, found in state.accounts.items():
        held = [m.id for m in state.markets.values() if account in m.positions and m.positions[account].base]
        assert found.markets == sum(1 << market - 1 for market in held)
        assert held or found.cash >= 0
        assert found.reserved >= 0
    reserved = sum(record.reserved for record in state.orders.values())
    assert reserved == sum(found.reserved for found in state.accounts.values())


@pytest.mark.parametrize("seed", range(4))
def test_walk__any_calls__sums_hold_after_every_one(seed):
    walk = Walk(seed)
    for step in range(2_500):
        walk.step()
        quick = walk.protocol.check_sums_quickly(walk.now)
        assert quick.lowest == 0
        if step % 250 == 0:
            walk.protocol.check_sums(walk.now)
            check_accounts(walk)
    walk.protocol.check_sums(walk.now)
    assert {"filled", "failed", "void", "waiting", "liquidate", "match", "match_batch"} <= walk.done.keys()


@pytest.mark.parametrize("seed", range(10, 13))
def test_walk__with_deleveraging__sums_hold_within_their_bounds(seed):
    walk = Walk(seed, deleveraging=True)
    for _ in range(1_500):
        walk.step()
        walk.protocol.check_sums_quickly(walk.now)
    sums = walk.protocol.check_sums(walk.now)
    assert -WAD // 10**6 < sums.lowest <= sums.highest < WAD // 10**6
    assert walk.done["against a side"]
    assert sum(market.events for market in walk.protocol.state.markets.values()) > walk.done["inject"]


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 130))
def test_walk__long__sums_hold(seed):
    walk = Walk(seed, volatility=0.02, deleveraging=seed % 2 == 0)
    for step in range(30_000):
        walk.step()
        if step % 10 == 0:
            walk.protocol.check_sums_quickly(walk.now)
    walk.protocol.check_sums(walk.now)


def test_walk__refused_calls__change_nothing():
    walk = Walk(42, deleveraging=True)
    compared = 0
    for _ in range(600):
        markets = walk.protocol.state.markets.values()
        before = image(walk.protocol)
        records, done = [market.newest for market in markets], dict(walk.done)
        walk.step()
        if walk.done == done and records == [market.newest for market in markets]:
            assert image(walk.protocol) == before
            compared += 1
    assert compared > 100


def test_simulated__anything__is_undone():
    walk = Walk(5)
    walk.run(300)
    before = image(walk.protocol)
    with walk.protocol.simulated():
        walk.run(300)
    assert image(walk.protocol) == before
    with pytest.raises(Refusal), walk.protocol.simulated():
        walk.protocol.withdraw(TRADERS[0] << 96, 10**30, 5, now=walk.now, sender=TRADERS[0])
    assert image(walk.protocol) == before
