"""The attack that the cap of a window is for: push the skew, let the victims be closed out below, buy back."""

from __future__ import annotations

from collections.abc import Sequence

from plimsoll.core.units import BPS, WAD
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.study.cascade import Cascade
from plimsoll.risk.study.crash import Crash
from plimsoll.risk.study.crowd import Entry
from plimsoll.risk.study.result import Result, Sample
from plimsoll.risk.study.setting import CONFIDENCE_BPS, Setting
from plimsoll.risk.study.world import World

_CAPITAL = 20 * 10**6 * WAD
_START, _CALM_SECONDS, _CALM = 1_700_000_000, 60, 2_500 * WAD
_VICTIMS = 100


class Pusher:
    """Sells so many dollars to the pool at the first record from `at` on, before any keeper, and holds it; less where
    the market's limits stop him (`dollars` is what he sold).

    `worth` has at each record the seconds held, and what he would have earned by buying back after the keepers, with
    funding and fees paid. His risk in the index is taken off: he is taken to be long as much elsewhere, for nothing.
    The most of it is what he earns with hindsight.
    """

    def __init__(self, world: World, dollars: int, at: int) -> None:
        self._account = world.account(_CAPITAL)
        self._dollars = dollars
        self._at: int | None = at
        self._since = self._base = self._price = self._hedge = 0
        self.dollars = 0
        self.worth: list[tuple[int, int]] = []

    @property
    def best(self) -> tuple[int, int]:
        """(seconds held, dollars) of the best moment to buy back; nothing and 0 where none pays."""
        return max([(0, 0), *self.worth], key=lambda one: one[1])

    def before(self, world: World) -> None:
        if self._at is None or world.now < self._at:
            return
        self._at = None
        self.dollars = self._sell(world)
        self._base, self._price, self._since = world.base_of(self._account), world.price, world.now

    def after(self, world: World) -> None:
        if not self._base:
            return
        self._hedge -= self._base * (world.price - self._price) // WAD
        self._base, self._price = world.base_of(self._account), world.price  # a part may have been closed against him
        cost = fee = 0
        if self._base:
            paid = -world.market.fill_quote(-self._base, world.price, world.price * CONFIDENCE_BPS // BPS).amount
            cost, fee = paid - world.value(self._base), world.market.trading_fee(-self._base, paid)
        earned = world.protocol.equity(self._account, world.now) - _CAPITAL - cost - fee
        self.worth.append((world.now - self._since, earned + self._hedge))

    def _sell(self, world: World) -> int:
        """What was sold: as many tenths of what he wants as the market's limits allow."""
        for tenths in range(10, 0, -1):
            dollars = self._dollars * tenths // 10
            try:
                world.trade(self._account, -dollars * WAD // world.price)
            except Refusal:
                continue
            return dollars
        return 0


def flat_push(setting: Setting, push: int, victims: int, buyback_seconds: int) -> Pusher:
    """The attack where the index stands still: a crowd of longs with `victims` dollars in all, balanced by one short
    that is in no danger, of which one record of four per cent less makes everybody unhealthy and nobody bankrupt."""
    seconds = (_CALM_SECONDS * (_CALM,)) + (buyback_seconds + 1) * (_CALM * 96 // 100,)
    crash = Crash("flat", "ETH", "made up", _START, _START, seconds)
    each = victims // _VICTIMS
    entries = [Entry(_START, -victims, victims), *(Entry(_START, each, each // 20) for _ in range(_VICTIMS))]
    cascade = Cascade(crash, setting, entries)
    pusher = Pusher(cascade.world, push, _START + _CALM_SECONDS)
    cascade.join(pusher)
    cascade.run()
    return pusher


def push_into(crash: Crash, setting: Setting, push: int) -> tuple[Pusher, Result, Result]:
    """The attack in a crash, begun at the record from which on the skew falls farthest: he knows how it goes on.

    Returns the attacker, and the results without him and with him.
    """
    quiet = Cascade(crash, setting).run(trace=True)
    begin = _before_the_fall([sample for sample in quiet.trace if sample.ts >= crash.worst])
    cascade = Cascade(crash, setting)
    pusher = Pusher(cascade.world, push, begin)
    cascade.join(pusher)
    return pusher, quiet, cascade.run()


def _before_the_fall(samples: Sequence[Sample]) -> int:
    """The record just before which the skew is highest, of all from which it falls farthest."""
    highest, best, found = samples[0], 0, samples[0].ts
    for sample in samples:
        if sample.skew > highest.skew:
            highest = sample
        if highest.skew - sample.skew > best:
            best, found = highest.skew - sample.skew, highest.ts
    return found
