"""What the liquidator decides: by the reference model's forecast on a copy of the ledger, one action after the other,
the largest risk first, so that what is sent respects the cap of a window. What was refused waits for the next record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from plimsoll.core.units import WAD
from plimsoll.keepers.runner import Fields, account_shown, shown
from plimsoll.risk import liquidation
from plimsoll.risk.market import Market
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MIN_HEALTH, State

T = TypeVar("T")

MAX_HALVINGS = 6


@dataclass(frozen=True, slots=True)
class Capital:
    """What the keeper may take over with: into which account, up to which notional in all and from which profit on.

    `min_profit_bps` of the notional taken, discount less taker fee.
    """

    account: int
    max_notional: int
    min_profit_bps: int = 10


class Sick(NamedTuple):
    """An account that may be liquidated: equity and maintenance at health prices, WAD dollars."""

    account: int
    equity: int
    maintenance: int

    @property
    def health(self) -> int:
        """WAD, rounded down; the smallest number for a debt without a position."""
        return self.equity * WAD // self.maintenance if self.maintenance else MIN_HEALTH


class Book(Protocol):
    """The ledger as of the snapshot's block."""

    @property
    def markets(self) -> Mapping[int, Market]: ...

    def held(self, account: int) -> Collection[int]:
        """The markets in which an account has a position."""
        ...

    def state(self) -> State:
        """The model's state with all markets, the fund and the pool, and without anybody else; a copy of one's own."""
        ...

    def enter(self, state: State, account: int) -> None:
        """Put an account with its positions into such a state."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Unhealthy accounts and all that a forecast needs.

    `refused`: (account, market, 0 for absorb) → `record_of` it when the contracts refused.
    """

    now: int
    """The newest block's time, Unix seconds: what simulations see, too."""
    keeper: int
    """The keeper's address."""
    book: Book
    sick: tuple[Sick, ...]
    """The largest risk first."""
    refused: Mapping[tuple[int, int], int] = field(default_factory=dict)
    under_way: tuple[Decision, ...] = ()
    """What was sent and isn't in the book yet, in its order."""

    def record_of(self, key: tuple[int, int]) -> int:
        """Counts the records that an action of that key rests on: its market's, or all of the account's."""
        account, market_id = key
        newest = [self.book.markets[one].newest for one in ([market_id] if market_id else self.book.held(account))]
        return sum(one.sequence for one in newest if one is not None)

    def is_refused(self, key: tuple[int, int]) -> bool:
        """Whether the contracts refused it at the present record."""
        return key in self.refused and self.refused[key] == self.record_of(key)


@dataclass(frozen=True, slots=True)
class _OfAccount:
    account: int

    @property
    def claims(self) -> tuple[str, ...]:
        """What nobody else may have in hand when this is sent: one deed at a time for an account."""
        return (f"account:{self.account:x}",)


@dataclass(frozen=True, slots=True)
class _OfPosition(_OfAccount):
    market_id: int

    @property
    def key(self) -> tuple[int, int]:
        return self.account, self.market_id


@dataclass(frozen=True, slots=True)
class CloseOut(_OfPosition):
    """Close a chunk against the pool; the forecast size and reward (without what is paid for gas), WAD."""

    size: int
    reward: int

    def describe(self) -> Fields:
        return {
            "do": "close out",
            "account": account_shown(self.account),
            "market": self.market_id,
            "size": shown(self.size),
            "reward": shown(self.reward),
        }


@dataclass(frozen=True, slots=True)
class TakeOver(_OfPosition):
    """Take `base` (with the position's sign) into an account of the keeper's; the forecast profit, WAD dollars."""

    base: int
    to_account: int
    profit: int

    def describe(self) -> Fields:
        return {
            "do": "take over",
            "account": account_shown(self.account),
            "market": self.market_id,
            "base": shown(self.base),
            "profit": shown(self.profit),
        }


@dataclass(frozen=True, slots=True)
class Absorb(_OfAccount):
    """Hand a bankrupt account's positions to the pool."""

    @property
    def key(self) -> tuple[int, int]:
        return self.account, 0

    def describe(self) -> Fields:
        return {"do": "absorb", "account": account_shown(self.account)}


@dataclass(frozen=True, slots=True)
class Deleverage:
    """Close what of a side the pool could not pay any more."""

    market_id: int

    @property
    def key(self) -> tuple[int, int]:
        return 0, self.market_id

    @property
    def claims(self) -> tuple[str, ...]:
        return (f"deleverage:{self.market_id}",)

    def describe(self) -> Fields:
        return {"do": "deleverage", "market": self.market_id}


Liquidation = CloseOut | TakeOver | Absorb
Decision = Liquidation | Deleverage


# --- decide ------------------------------------------------------------------------------------------------------


def decide(snapshot: Snapshot, capital: Capital | None = None, most: int | None = None) -> list[Liquidation]:
    """One action an account at most, the sickest first, `most` in all; none for an account that has one under way."""
    forecast = _Forecast(snapshot, capital)
    decisions: list[Liquidation] = []
    for one in snapshot.sick:
        if most is not None and len(decisions) >= most:
            break
        if (decision := forecast.decide(one)) is not None:
            decisions.append(decision)
    return decisions


def deleveragings(snapshot: Snapshot, decisions: Sequence[Liquidation]) -> list[Deleverage]:
    """What no liquidation does along: each brings its markets up to date first, which deleverages what is due."""
    seen = {one.market_id for one in snapshot.under_way if isinstance(one, Deleverage)}
    for decision in (*snapshot.under_way, *decisions):
        if isinstance(decision, Absorb):
            seen |= set(snapshot.book.held(decision.account))
        elif not isinstance(decision, Deleverage):
            seen.add(decision.market_id)
    due = set(snapshot.book.markets) - seen
    if not due:
        return []
    state = snapshot.book.state()
    return [Deleverage(one) for one in sorted(due) if _is_due(snapshot, state, one)]


def _is_due(snapshot: Snapshot, state: State, market_id: int) -> bool:
    """Whether a market has something to deleverage, at the newest record and accrued to the block."""
    market = state.markets[market_id]
    state.accrue(market, max(snapshot.now, market.last))
    _, fraction, _ = market.due(state.cash_of(market.pool_account))
    return fraction != 0 and not snapshot.is_refused((0, market_id))


class _Forecast:
    """The model's state, in which each decision is carried out at once; first those that are under way."""

    def __init__(self, snapshot: Snapshot, capital: Capital | None) -> None:
        self.snapshot = snapshot
        self.state = snapshot.book.state()
        self.capital = capital
        self.taken = 0
        self._entered: set[int] = set()
        self._full: set[int] = set()
        """Markets whose window has no room for the smallest close-out any more."""
        self._busy = {one.account for one in snapshot.under_way if not isinstance(one, Deleverage)}
        if capital is not None:
            self._enter(capital.account)
            self.taken = sum(self._notional(market, base) for market, base in self._positions(capital.account))
        for one in snapshot.under_way:
            self._repeat(one)

    def decide(self, sick: Sick) -> Liquidation | None:
        account = sick.account
        if account in self._busy:
            return None
        self._enter(account)
        if sick.health <= 0 and (absorb := self._absorb(account)) is not None:
            return absorb
        held = sorted(self._positions(account), key=lambda one: (-self._notional(*one), one[0].id))
        for market, base in held:
            if not self.snapshot.is_refused((account, market.id)):
                decision = self._close_out(account, market.id) or self._take_over(account, market, base)
                if decision is not None:
                    return decision
        return None

    # --- what there is ---

    def _enter(self, account: int) -> None:
        if account not in self._entered:
            self._entered.add(account)
            self.snapshot.book.enter(self.state, account)

    def _positions(self, account: int) -> list[tuple[Market, int]]:
        """(market, effective base)."""
        found = ((one, self.state.view(one, account, self.snapshot.now)[0]) for one in self.state.markets_of(account))
        return [(market, base) for market, base in found if base]

    def _notional(self, market: Market, base: int) -> int:
        """At the index price, WAD dollars."""
        return -(-abs(base) * (market.newest.price if market.newest else 0) // WAD)

    # --- what would be done ---

    def _repeat(self, decision: Decision) -> None:
        """What it does once it is mined, as far as that can be said."""
        now, keeper, state = self.snapshot.now, self.snapshot.keeper, self.state
        if isinstance(decision, Deleverage):
            self._try(lambda: liquidation.deleverage(state, now, decision.market_id))
            return
        self._enter(decision.account)
        if isinstance(decision, Absorb):
            self._try(lambda: liquidation.absorb(state, now, keeper, decision.account))
        elif isinstance(decision, CloseOut):
            self._try(lambda: liquidation.liquidate(state, now, keeper, decision.account, decision.market_id))
        elif self.capital is not None:
            notional = self._notional(state.markets[decision.market_id], decision.base)
            done = self._try(
                lambda: liquidation.take_over(
                    state, now, keeper, decision.account, decision.market_id, decision.base, decision.to_account
                )
            )
            self.taken += notional if done is not None else 0

    def _absorb(self, account: int) -> Absorb | None:
        if self.snapshot.is_refused((account, 0)):
            return None
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = self._try(lambda: liquidation.absorb(self.state, now, keeper, account))
        return None if done is None else Absorb(account)

    def _close_out(self, account: int, market_id: int) -> CloseOut | None:
        if market_id in self._full:
            return None
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = self._try(lambda: liquidation.liquidate(self.state, now, keeper, account, market_id))
        return None if done is None else CloseOut(account, market_id, done.size, done.reward)

    def _take_over(self, account: int, market: Market, held: int) -> TakeOver | None:
        """The largest part that pays, halving from all of it: what the capital can't carry is refused by the model."""
        capital = self.capital
        if capital is None:
            return None
        for base in _halvings(held):
            notional = abs(base) * (market.newest.price if market.newest else 0) // WAD
            if self.taken + notional > capital.max_notional:
                continue
            done = self._try(partial(self._taken, capital, account, market.id, base, notional))
            if done is not None:
                self.taken += notional
                return TakeOver(account, market.id, base, capital.account, done.discount - done.fee)
        return None

    def _taken(self, capital: Capital, account: int, market_id: int, base: int, notional: int) -> liquidation.TakeOver:
        """Raises Refusal where the model refuses, or where it doesn't pay."""
        now, keeper = self.snapshot.now, self.snapshot.keeper
        done = liquidation.take_over(self.state, now, keeper, account, market_id, base, capital.account)
        if (done.discount - done.fee) * 10_000 < notional * capital.min_profit_bps:
            raise Refusal("unprofitable", done.discount, done.fee)
        return done

    def _try(self, action: Callable[[], T]) -> T | None:
        """Carry an action out in the model; None, and nothing changed, where it refuses."""
        point = self.state.journal.begin()
        try:
            done = action()
        except Refusal as refusal:
            self.state.journal.rollback(point)
            self._note(refusal)
            return None
        self.state.journal.commit()
        return done

    def _note(self, refusal: Refusal) -> None:
        """A window with no room for the smallest chunk is full for everybody."""
        if refusal.name == "Liquidator_CapReached":
            market_id, _, room = (int(str(one)) for one in refusal.values)
            market = self.state.markets[market_id]
            assert market.newest is not None
            if room * market.newest.price // WAD < market.rules.min_position // 2:
                self._full.add(market_id)


def _halvings(base: int) -> Iterator[int]:
    """All of a size, half of it, a quarter, … with its sign."""
    for power in range(MAX_HALVINGS):
        if part := abs(base) >> power:
            yield part if base > 0 else -part
