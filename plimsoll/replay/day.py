"""What an account means to do over a day, drawn from its plan: when it enters, leaves, comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from plimsoll.core.orders import Order
from plimsoll.core.units import SECONDS_PER_MINUTE, WAD
from plimsoll.risk.scenario.draws import Draws
from plimsoll.risk.scenario.population import AccountPlan, Leg

_CALM_MINUTES = 90
"""After the crash began, before anyone comes back."""

_ROUND_TRIPS = (6, 14)
"""Of an account that trades through the book, before it enters its positions."""

Kind = Literal["enter", "leave", "halve", "aim", "top up", "withdraw", "give up", "protect", "move", "clear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Something an account means to do before the publication `tick`.

    To enter: `notional_usd` with `sign` in a market, with the account's cash brought up to `cash_usd` first; `at_limit`
    waits for a better price first. `only_if_out`: not while the account has a position. `by_pool`: not through the book
    again. `order` is the one to give up on, to aim with, or to move, which `moved` is in the place of.
    """

    tick: int
    kind: Kind
    market: str = ""
    sign: int = 0
    notional_usd: int = 0
    cash_usd: int = 0
    at_limit: bool = False
    only_if_out: bool = False
    is_main: bool = False
    attempt: int = 1
    by_pool: bool = False
    order: Order | None = None
    moved: Order | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """The day: its minutes, the seconds between publications, and the minute in which the crash begins."""

    minutes: int
    publish_seconds: int
    crash_minute: int

    @property
    def ticks(self) -> int:
        """How many publications there are, the first prices included."""
        return self.minutes * SECONDS_PER_MINUTE // self.publish_seconds + 1

    @property
    def ticks_a_minute(self) -> int:
        return max(1, SECONDS_PER_MINUTE // self.publish_seconds)

    def tick(self, minute: int, draws: Draws) -> int:
        """A publication of a minute, drawn; the first prices settle nothing."""
        return max(1, minute * SECONDS_PER_MINUTE // self.publish_seconds + draws.below(self.ticks_a_minute))


def day_of(plan: AccountPlan, calendar: Calendar, draws: Draws) -> list[Intent]:
    """What an account means to do over the day, its temper aside. A quoter waits for others."""
    if plan.habits.way == "quote":
        return []
    return [*_before(plan, calendar, draws), *_entries(plan, calendar, draws), *_after(plan, calendar, draws)]


def _before(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    """Smaller positions in and out of before the main one is entered: up to two, more through the book."""
    leg = plan.legs[0]
    room = min(one.entry_minute for one in plan.legs) - 10
    on_book = plan.habits.way == "take"
    for _ in range(draws.between(*_ROUND_TRIPS) if on_book else draws.weighted(((0, 3), (1, 4), (2, 2)))):
        if room < 60:
            return
        start = draws.between(5, room - 40)
        end = draws.between(start + 10, min(start + (60 if on_book else 240), room))
        sign = 1 if draws.below(2) else -1
        share = draws.between(*((5, 25) if on_book else (20, 50)))
        notional = max(leg.notional_usd * share // 100, 2_000 * WAD)
        enter = Intent(
            tick=calendar.tick(start, draws),
            kind="enter",
            market=leg.market,
            sign=sign,
            notional_usd=min(notional, plan.notional_usd),
            at_limit=draws.below(3) == 0,
            only_if_out=True,
        )
        yield enter
        yield Intent(tick=calendar.tick(end, draws), kind="leave", market=leg.market)


def _entries(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    for leg in plan.legs:
        yield Intent(
            tick=calendar.tick(leg.entry_minute, draws),
            kind="enter",
            market=leg.market,
            sign=leg.sign,
            notional_usd=leg.notional_usd,
            cash_usd=_share_of(plan, leg),
            at_limit=draws.below(6) == 0,
            is_main=True,
        )


def _share_of(plan: AccountPlan, leg: Leg) -> int:
    """What must be there before a leg is entered: all of the collateral before the first, its part before another."""
    first = min(plan.legs, key=lambda one: one.entry_minute)
    return plan.collateral_usd if leg is first else plan.collateral_usd * leg.notional_usd // plan.notional_usd


def _after(plan: AccountPlan, calendar: Calendar, draws: Draws) -> Iterator[Intent]:
    """A third of those who are out come back with little leverage once it is calm, and half of them leave again."""
    earliest, latest = calendar.crash_minute + _CALM_MINUTES, calendar.minutes - 30
    if latest - earliest < 30 or draws.below(3):
        return
    leg = plan.legs[0]
    minute = draws.between(earliest, latest - 10)
    notional = max(leg.notional_usd * draws.between(20, 80) // 100, 2_000 * WAD)
    yield Intent(
        tick=calendar.tick(minute, draws),
        kind="enter",
        market=leg.market,
        sign=1 if draws.below(4) else -1,
        notional_usd=notional,
        cash_usd=notional // draws.between(2, 5),
        only_if_out=True,
    )
    if draws.below(2):
        end = draws.between(minute + 10, latest)
        yield Intent(tick=calendar.tick(end, draws), kind="leave", market=leg.market)
        if draws.below(2):
            yield Intent(tick=calendar.tick(min(end + 5, latest + 20), draws), kind="withdraw")
