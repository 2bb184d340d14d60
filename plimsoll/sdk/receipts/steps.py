"""The liquidations in a transaction: which of its events belong to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from plimsoll.sdk.events import (
    Absorbed,
    Accrued,
    ClosedAgainstSide,
    DebtCovered,
    Deleveraged,
    Filled,
    Happened,
    Liquidated,
    PoolCharged,
    PositionAbsorbed,
    Posted,
    SideCharged,
    TakenOver,
)

Main = Liquidated | TakenOver | Absorbed
"""The event that each liquidation has one of."""


class Disordered(Exception):
    """A liquidation's event without those that must come with it; the message says which."""


@dataclass(frozen=True, slots=True)
class Step:
    """One liquidation: its events are those from `start` up to `end` of the transaction's."""

    main: Main
    start: int
    end: int
    positions: tuple[PositionAbsorbed, ...] = ()
    against_sides: tuple[ClosedAgainstSide, ...] = ()
    debt: DebtCovered | None = None
    charged: int = 0
    """Of the debt, what the sides opposite were charged, WAD dollars."""

    @property
    def kind(self) -> str:
        if isinstance(self.main, Liquidated):
            return "close-out"
        return "take-over" if isinstance(self.main, TakenOver) else "absorption"

    @property
    def account(self) -> int:
        return self.main.account


def steps_in(records: Sequence[Happened]) -> list[Step]:
    """The liquidations in the events of one transaction, which are in order. Raises Disordered."""
    found: list[Step] = []
    for place, record in enumerate(records):
        if isinstance(record, Main):
            found.append(_step(records, place, record, found[-1].end if found else 0))
    return found


def _step(records: Sequence[Happened], place: int, main: Main, first: int) -> Step:
    debt, end = _debt_after(records, place, main.account)
    charged = sum(one.amount for one in records[place:end] if isinstance(one, SideCharged))
    if isinstance(main, TakenOver):
        return Step(main, _start_of_take_over(records, place, main, first), end)
    if isinstance(main, Liquidated):
        return Step(main, _start_of_close_out(records, place, main, first), end, debt=debt, charged=charged)
    own = [one for one in records[first:place] if getattr(one, "account", None) == main.account]
    positions = tuple(one for one in own if isinstance(one, PositionAbsorbed))
    if not positions:
        raise Disordered("Absorbed without a PositionAbsorbed of its account")
    start = records.index(positions[0])
    is_fill = _is_fill(main.account, positions[0].market_id)
    if positions[0].base or (start and is_fill(records[start - 1])):  # a position of nothing is filled with nothing
        start = _place_of_postings(records, _before(records, start, is_fill), 1)
    against = tuple(one for one in own if isinstance(one, ClosedAgainstSide))
    return Step(main, _back_over_accruals(records, start, first), end, positions, against, debt, charged)


def _start_of_close_out(records: Sequence[Happened], place: int, main: Liquidated, first: int) -> int:
    postings = 1 + (main.reward != 0) + (main.cost != main.reward)
    fill = _before(records, place, _is_fill(main.account, main.market_id))
    return _back_over_accruals(records, _place_of_postings(records, fill, postings), first)


def _start_of_take_over(records: Sequence[Happened], place: int, main: TakenOver, first: int) -> int:
    given = _before(records, place, _is_fill(main.account, main.market_id, main.to_account))
    taken = _before(records, given, _is_fill(main.to_account, main.market_id, main.account))
    return _back_over_accruals(records, taken, first)


def _is_fill(account: int, market_id: int, counter: int | None = None) -> Callable[[Happened], bool]:
    def check(one: Happened) -> bool:
        return (
            isinstance(one, Filled)
            and (one.account, one.market_id) == (account, market_id)
            and counter in (None, one.counter)
        )

    return check


def _before(records: Sequence[Happened], place: int, is_it: Callable[[Happened], bool]) -> int:
    """The last place before one at which such an event stands. Raises Disordered."""
    for before in range(place - 1, -1, -1):
        if is_it(records[before]):
            return before
    raise Disordered(f"{type(records[place]).__name__} without the Filled that it stands for")


def _place_of_postings(records: Sequence[Happened], fill: int, count: int) -> int:
    """Where the postings begin that stand just before a fill. Raises Disordered."""
    start = fill - count
    if start < 0 or not all(isinstance(one, Posted) for one in records[start:fill]):
        raise Disordered(f"Filled without its {count} Posted")
    return start


def _back_over_accruals(records: Sequence[Happened], place: int, first: int) -> int:
    while place > first and isinstance(records[place - 1], Accrued | Deleveraged):
        place -= 1
    return place


def _debt_after(records: Sequence[Happened], place: int, account: int) -> tuple[DebtCovered | None, int]:
    """The debt that a liquidation left, told of after it, and where its events end."""
    for after in range(place + 1, len(records)):
        record = records[after]
        if isinstance(record, DebtCovered) and record.account == account:
            return record, after + 1
        if not isinstance(record, PoolCharged | Deleveraged | SideCharged | Posted):
            break
    return None, place + 1
