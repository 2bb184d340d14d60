"""The walks again, with a mirror that hears nothing but the events: it must have what the contracts store."""

from __future__ import annotations

from collections import Counter

import pytest

from plimsoll.index.follow import ROOMS
from plimsoll.index.mirror import Mirror, Settlement
from plimsoll.sdk.events import Happened, Traded
from plimsoll.sdk.slots import market_words, position_words
from tests.stateful.choices import Seeded
from tests.stateful.handlers import DYING, HANDLERS, POOR, Handler
from tests.stateful.world import MARKETS, World
from tests.support.heard import Ear, Listener

CALLS = 4_000
CHECK_EVERY = 25


class Counting(Mirror):
    """Counts the deleveragings that a trade made due, which its event comes after."""

    late = 0

    def _trade(self, record: Traded) -> Settlement | None:
        self.late += len(self._deferred)
        return super()._trade(record)


class Mirrored:
    """A world, and a mirror of it."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.world = World()
        core = self.world.core
        self.mirror = Counting(pool=int(core.pool.address, 16), fund=int(core.fund.address, 16), token_unit=10**12)
        self.ear = Ear(core)
        assert {one.name for one in self.ear.interfaces.values()} == set(ROOMS)
        self.seen: Counter[str] = Counter()
        self._known: dict[int, list[Happened]] = {}

    def follow(self) -> None:
        for heard in self.listener.heard():
            records = self._known[heard.number] = self.ear.records(heard)
            self.seen.update(type(one).__name__ for one in records)
            self.mirror.apply(heard.number, heard.time, records)

    def hear_again(self, blocks: int) -> None:
        """As after a reorganisation in which the same happened again."""
        heard = self.listener.blocks[-blocks:]
        assert self.mirror.rollback(heard[0].number - 1)
        for one in heard:
            self.mirror.apply(one.number, one.time, self._known[one.number])

    def check(self) -> None:
        """Against the model, which the world holds equal to the contracts' storage."""
        state, monitor = self.world.model.state, self.mirror.monitor
        for account, slot in state.accounts.items():
            assert monitor.balance(account) == (slot.cash, slot.reserved, slot.markets), hex(account)
            for market in MARKETS:
                held, got = state.markets[market].positions.get(account), monitor.position(account, market)
                assert position_words(got) == position_words(held), (hex(account), market)
        for market in MARKETS:
            assert market_words(self.mirror.markets[market]) == market_words(state.markets[market]), market

    def check_health(self) -> int:
        """Against the contracts."""
        liquidator = self.world.core.liquidator
        found = set(self.mirror.monitor.liquidatable(self.world.now))
        said = {account for account in self.world.accounts if liquidator.isLiquidatable.call(account)}
        assert found == said
        return len(said)


def walked(seed: int, handlers: dict[str, tuple[Handler, int]], calls: int = CALLS) -> tuple[Mirrored, int]:
    """A walk of which nothing but events is heard; now and then the last blocks are taken back and heard again."""
    listener = Listener()
    with listener.listening():
        mirrored = Mirrored(listener)
        choices, unhealthy, step = Seeded(seed), 0, 0
        names = [name for name, (_, weight) in handlers.items() for _ in range(weight) if name != "inject"]
        while mirrored.world.calls < calls:
            handlers[choices.pick(names)][0](mirrored.world, choices)
            mirrored.follow()
            step += 1
            if step % CHECK_EVERY == 0:
                mirrored.check()
                unhealthy += mirrored.check_health()
                mirrored.hear_again(choices.integer(1, 60))
                mirrored.check()
                unhealthy += mirrored.check_health()
    return mirrored, unhealthy


def test_apply__walk_over_every_function__mirror_is_what_the_contracts_store() -> None:
    mirrored, unhealthy = walked(1, HANDLERS)
    assert unhealthy > 10
    names = ("Traded", "OrdersMatched", "Liquidated", "TakenOver", "PositionAbsorbed", "DebtCovered", "PoolCharged")
    assert min(mirrored.seen[name] for name in (*names, "FeesSwept", "ParamsChanged", "Transferred", "Withdrawn")) > 0


def test_apply__walk_with_a_pool_too_poor__mirror_is_what_the_contracts_store() -> None:
    mirrored, unhealthy = walked(5, POOR)
    assert unhealthy > 10
    assert min(mirrored.seen[name] for name in ("Deleveraged", "ClosedAgainstSide", "SideCharged")) > 0
    assert mirrored.mirror.late > 0
    assert any(one.epoch_long + one.epoch_short for one in mirrored.mirror.markets.values())


def test_apply__walk_in_which_oracles_die__mirror_is_what_the_contracts_store() -> None:
    mirrored, _ = walked(2, DYING)
    assert min(mirrored.seen[name] for name in ("MarketClosed", "Settled", "DeclaredDead", "OrderForced")) > 0


@pytest.mark.deep
@pytest.mark.parametrize(
    ("handlers", "trades"),
    [(HANDLERS, 100), (POOR, 100), (DYING, 50)],  # where oracles die, most calls find a market that is closed
    ids=["plain", "poor", "dying"],
)
def test_apply__long_walk__mirror_is_what_the_contracts_store(
    handlers: dict[str, tuple[Handler, int]], trades: int
) -> None:
    for seed in range(200, 204):
        mirrored, unhealthy = walked(seed, handlers, 20_000)
        assert unhealthy > 50
        assert mirrored.seen["Traded"] > trades
