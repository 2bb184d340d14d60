"""The monitor: a ledger of very many accounts in little memory, and who of them may be liquidated.

    monitor = Monitor(markets, protocol=(pool, fund))        # the model's markets: prices, accumulators, parameters
    monitor.set_balance(account, Balance(cash, reserved, bitmap))
    monitor.set_position(account, market_id, position)       # base 0: none any more
    monitor.markets[1].newest = record                       # or g_long, k_short, rules …
    monitor.unhealthy(now)                                   # exactly those for whom E < M

Whoever changes a market needs to tell nobody. What an account or a position changes costs microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plimsoll.core.units import WAD
from plimsoll.health.accounts import Accounts, Balance
from plimsoll.health.columns import grow
from plimsoll.health.places import Places
from plimsoll.health.screen import MARGIN, MOST_POSITIONS, Floats, Scratch, Terms, add_lower, add_upper, terms
from plimsoll.health.sides import Side
from plimsoll.risk import margin
from plimsoll.risk.funding import Flow
from plimsoll.risk.market import Market
from plimsoll.risk.position import Position, effective

MANY = 256
"""With more candidates than that, the upper bound tells most of them apart before the model is asked."""
MOST_DIRTY = 4_096
"""Accounts whose constant waits for the next screening; what is changed many times in a block is summed up once."""

Rows = NDArray[np.int64]


class Unhealthy(NamedTuple):
    """An account with less equity than maintenance at health prices, WAD dollars."""

    account: int
    equity: int
    maintenance: int


class Monitor:
    """Accounts, their positions by market and side, and the model's markets."""

    def __init__(self, markets: Mapping[int, Market] | None = None, *, protocol: Iterable[int] = ()) -> None:
        """`protocol`: owners, as ints, whose accounts nobody liquidates (pool and fund)."""
        self.markets: dict[int, Market] = dict(markets or {})
        self.accounts = Accounts()
        self._protocol = frozenset(protocol)
        self._sides: dict[tuple[int, int], Side] = {}
        self._places = Places()
        self._constants: Floats = np.zeros(0)
        self._totals: Floats = np.zeros(0)
        self._dirty: set[int] = set()
        self._scratch = Scratch()

    # ------------------------------------------------------------------------------------------------------ changing

    def set_balance(self, account: int, balance: Balance) -> None:
        """An account's slot. Raises OverflowError where a number doesn't fit the contracts' storage."""
        row = self._row(account)
        self.accounts.set_balance(row, balance)
        self._touch(row)

    def set_position(self, account: int, market_id: int, held: Position) -> None:
        """A position as it was stored when last touched. Raises KeyError for a market that isn't there."""
        market = self.markets[market_id]
        row = self._row(account)
        self._touch(row)
        place = self._places.get(row, market_id)
        if held.base and place and (place > 0) == (held.base > 0):
            self._side(market_id, place).write(abs(place) - 1, held, market.side(place))
            return
        if place:
            self._drop(row, market_id, place)
        if held.base:
            side = self._side(market_id, held.base)
            at = side.add(row, held, market.side(held.base))
            self._places.set(row, market_id, side.sign * (at + 1))

    def _touch(self, row: int) -> None:
        if len(self._dirty) == MOST_DIRTY:
            self._bring_up()
        self._dirty.add(row)

    def _drop(self, row: int, market_id: int, place: int) -> None:
        moved = self._side(market_id, place).drop(abs(place) - 1)
        if moved is not None:
            self._places.set(moved, market_id, place)
        self._places.set(row, market_id, 0)

    def _row(self, account: int) -> int:
        row = self.accounts.row_of(account)
        self._widen(row + 1)
        return row

    def _widen(self, rows: int) -> None:
        width = max(self.markets, default=0)
        if width > MOST_POSITIONS:
            raise ValueError(f"market {width}: accounts have no bit for markets above {MOST_POSITIONS}")
        self._places.reserve(rows, width)
        for column in (self._constants, self._totals):
            grow(column, rows)

    def _side(self, market_id: int, sign: int) -> Side:
        key = market_id, 1 if sign > 0 else -1
        side = self._sides.get(key)
        if side is None:
            side = self._sides[key] = Side(key[1])
            side.epoch = self.markets[market_id].side(sign).epoch
        return side

    # ------------------------------------------------------------------------------------------------------- reading

    def balance(self, account: int) -> Balance:
        """Zeros for an account that was never seen."""
        row = self.accounts.find(account)
        return Balance() if row is None else self.accounts.balance(row)

    def position(self, account: int, market_id: int) -> Position | None:
        """As stored; None where there is none."""
        row = self.accounts.find(account)
        if row is None:
            return None
        place = self._places.get(row, market_id)
        return self._side(market_id, place).position(abs(place) - 1) if place else None

    def positions(self, account: int) -> Iterator[tuple[int, Position]]:
        """(market id, position as stored), ascending."""
        row = self.accounts.find(account)
        return iter(()) if row is None else self._held(row)

    def health(self, account: int, now: int) -> tuple[int, int]:
        """(E, M) at health prices by the model, markets accrued to `now`. Zeros for an account never seen."""
        row = self.accounts.find(account)
        return (0, 0) if row is None else self._sums(row, now, self._pending(now))

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        sides = sum(side.nbytes for side in self._sides.values())
        return self.accounts.nbytes + self._places.nbytes + self._constants.nbytes + self._totals.nbytes + sides

    def _held(self, row: int) -> Iterator[tuple[int, Position]]:
        for index, place in enumerate(self._places.of(row)):
            if place:
                yield index + 1, self._side(index + 1, place).position(abs(place) - 1)

    # ----------------------------------------------------------------------------------------------------- screening

    def unhealthy(self, now: int) -> list[Unhealthy]:
        """Everyone for whom E < M at `now`, with the model's sums; in no order."""
        due = self._pending(now)
        rows = self._candidates(now, due)[0].tolist()
        found = ((row, *self._sums(row, now, due)) for row in rows)
        return [Unhealthy(self.accounts.id_of(row), *sums) for row, *sums in found if sums[0] < sums[1]]

    def liquidatable(self, now: int) -> list[int]:
        """The accounts alone. The model decides only those that neither bound does, which is faster in a crash."""
        due = self._pending(now)
        rows, of_sides = self._candidates(now, due)
        sure: Rows = rows[:0]
        if len(rows) > MANY:
            below = self._upper(of_sides) < -_wei(of_sides)
            sure, rows = rows[below[rows]], rows[~below[rows]]
        unclear = ((row, *self._sums(row, now, due)) for row in rows.tolist())
        return [self.accounts.id_of(row) for row in sure.tolist()] + [
            self.accounts.id_of(row) for row, equity, required in unclear if equity < required
        ]

    def _candidates(self, now: int, due: Mapping[int, Flow | None]) -> tuple[Rows, list[tuple[Side, Terms]]]:
        """Rows of all accounts that the lower bound doesn't prove healthy, and the terms of every side."""
        self._bring_up()
        of_sides = []
        for (market_id, sign), side in self._sides.items():
            if side.count and not side.is_empty:
                market = self.markets[market_id]
                of_sides.append((side, terms(market, market.side(sign, due[market_id]), sign, now)))
        totals = self._totals
        np.copyto(totals, self._constants)
        for side, t in of_sides:
            add_lower(totals, side, t, self._scratch)
        return np.flatnonzero(totals[: len(self.accounts)] < _wei(of_sides)), of_sides

    def _upper(self, of_sides: list[tuple[Side, Terms]]) -> Floats:
        totals = self._totals
        np.multiply(np.abs(self._constants), 3 * MARGIN, out=totals)
        np.add(totals, self._constants, out=totals)
        for side, t in of_sides:
            add_upper(totals, side, t, self._scratch)
        return totals

    def _bring_up(self) -> None:
        """Sizes after the end of an epoch, and the constants of what changed."""
        for (market_id, sign), side in self._sides.items():
            if side.count and side.epoch != (state := self.markets[market_id].side(sign)).epoch:
                side.rebase(state)
                self._dirty.update(side.owners[: side.count].tolist())
        self._settle_constants()

    def _settle_constants(self) -> None:
        for row in self._dirty:
            self._constants[row] = self._constant(row)
        self._dirty.clear()

    def _constant(self, row: int) -> float:
        """Less than cash and the constants of the positions by the margin; infinite for who can't be liquidated."""
        total = self.accounts.cash(row)
        places = self._places.of(row)
        is_empty = not any(places) and total >= 0
        if is_empty or self.accounts.id_of(row) >> 96 in self._protocol:
            return float("inf")
        for index, place in enumerate(places):
            if place:
                state = self.markets[index + 1].side(place)
                total += self._side(index + 1, place).constant(abs(place) - 1, state)
        return float(total) - MARGIN * abs(total)

    # --------------------------------------------------------------------------------------------------------- exact

    def _pending(self, now: int) -> dict[int, Flow | None]:
        """What the time since each market's last accrual adds, by the model."""
        return {one.id: one.pending(self.balance(one.pool_account).cash, now) for one in self.markets.values()}

    def _sums(self, row: int, now: int, due: Mapping[int, Flow | None]) -> tuple[int, int]:
        equity, required = self.accounts.cash(row), 0
        for market_id, held in self._held(row):
            market = self.markets[market_id]
            base, quote, owed = effective(held, market.side(held.base, due[market_id]))
            assert market.newest is not None, "a position in a market without a price"
            price = margin.health_price(base, market.newest, market.is_fresh(now), market.rules)
            equity += base * price // WAD + quote - owed
            required += margin.maintenance(market, abs(base), price, now)
        return equity, required


def _wei(of_sides: Iterable[tuple[Side, Terms]]) -> float:
    """What integers are rounded by, at most, in an account with a position in every market."""
    return sum(t.wei for _, t in of_sides)
