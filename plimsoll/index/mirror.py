"""The ledger from events alone: every account's cash, reservations and positions, every market's accumulators.

The contracts' events say what results of an account and a position; what they don't say of a market follows from the
reference model, which is told of each event and must come to the same numbers: funding and fees of an accrual, what a
deleveraging cut and paid, what a position is after a fill, which fees were swept. Where one differs, the events are
not those of these contracts, or some are missing: `MirrorBroken`, and nothing more is to be believed or acted on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, NamedTuple

from plimsoll.core import ids
from plimsoll.health.accounts import Balance
from plimsoll.health.monitor import Monitor
from plimsoll.risk import position as positions
from plimsoll.risk.config import MarketRules, OrderParams
from plimsoll.risk.market import LONG, SHORT, Declaration, Deleveraging, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, effective
from plimsoll.risk.shutdown import HALTED
from plimsoll.sdk.events import (
    Accrued,
    ClosedAgainstSide,
    ConfirmedDead,
    DeclaredDead,
    Deleveraged,
    Deposited,
    FeesSwept,
    Filled,
    Happened,
    MarketClosed,
    MarketListed,
    OpeningHalted,
    OrdersMatched,
    ParamsChanged,
    PoolCharged,
    Posted,
    PriceRecorded,
    Settled,
    SideCharged,
    TakenOver,
    Traded,
    Transferred,
    Withdrawn,
)

UNDO_BLOCKS = 256
"""Blocks with events that can be taken back; for more the mirror is built anew from the index."""


class MirrorBroken(Exception):
    """An event doesn't follow from those before it."""


class Settlement(NamedTuple):
    """What a position owed when it was touched, WAD dollars, negative where it got something."""

    block: int
    log_index: int
    account: int
    market_id: int
    owed: int


class Mirror:
    """As of the last block that was applied. `monitor` says who may be liquidated at a time."""

    def __init__(self, *, pool: int, fund: int, token_unit: int) -> None:
        """`pool` and `fund`: their addresses as ints; `token_unit`: WAD dollars of one unit of the token."""
        self.monitor = Monitor(protocol=(pool, fund))
        self._pool = pool
        self._unit = token_unit
        self._scales: dict[int, int] = {}
        self._newest: dict[int, Record] = {}
        self._undo: deque[tuple[int, list[Callable[[], object]]]] = deque(maxlen=UNDO_BLOCKS)
        self._oldest = 0
        self._forget()

    @property
    def markets(self) -> dict[int, Market]:
        return self.monitor.markets

    def apply(self, block: int, time: int, records: Iterable[Happened]) -> list[Settlement]:
        """A block's events, in order; `time` is its own. Blocks come in order, each once. Raises MirrorBroken.

        After a MirrorBroken the mirror is as before the block.
        """
        if len(self._undo) == UNDO_BLOCKS:
            self._oldest = self._undo[0][0]
        self._undo.append((block, []))
        self._time = time
        found: list[Settlement] = []
        try:
            for _, group in groupby(records, key=lambda one: one.tx_hash):
                self._forget()
                for record in group:
                    settlement = self._apply(record)
                    if settlement is not None:
                        found.append(settlement)
                if self._deferred:
                    raise MirrorBroken(f"block {block}: a deleveraging that was not due and followed no trade")
        except BaseException:
            self.rollback(block - 1)
            raise
        return found

    def rollback(self, block: int) -> bool:
        """Take back every later block. False, and nothing is done, where that is too long ago."""
        if block < self._oldest:
            return False
        while self._undo and self._undo[-1][0] > block:
            for undo in reversed(self._undo.pop()[1]):
                undo()
        return True

    def _forget(self) -> None:
        """What is only of use within one transaction."""
        self._posted = 0
        self._deferred: list[Deleveraged] = []
        self._touched: set[int] = set()

    # --------------------------------------------------------------------------------------------------------- events

    def _apply(self, record: Happened) -> Settlement | None:
        match record:
            case Posted():
                self._set_balance(record.account, Balance(*record.unpacked))
                return None
            case Deposited() | Withdrawn():
                self._set_balance(record.account, self.monitor.balance(record.account)._replace(cash=record.cash))
            case Transferred():
                self._add_cash(record.from_, -record.amount * self._unit)
                self._add_cash(record.to, record.amount * self._unit)
            case PriceRecorded():
                self._record(record)
            case MarketListed():
                self._remember(self._scales, record.market_id)
                self._scales[record.market_id] = record.scale
            case ParamsChanged():
                self._configure(record)
            case _:
                return self._apply_to_market(record)
        self._posted = 0
        return None

    def _apply_to_market(self, record: Happened) -> Settlement | None:
        settlement = None
        match record:
            case Accrued():
                self._accrue(record)
            case Traded():
                settlement = self._trade(record)
            case Filled():
                settlement = self._fill(record)[0]
                if record.counter == self._market(record.market_id).pool_account:
                    self._market(record.market_id).pool_quote -= record.quote
            case OrdersMatched():
                self._market(record.market_id).book_fee(record.maker_fee + record.taker_fee)
            case TakenOver():
                self._market(record.market_id).book_fee(record.fee)
            case Deleveraged():
                self._deleverage(record)
            case ClosedAgainstSide():
                sign = LONG if record.base > 0 else SHORT
                done = self._market(record.market_id).close_side(sign, record.fraction, record.zero_price)
                _require(record, "flow", record.flow, done.flow)
            case FeesSwept():
                market = self._market(record.market_id)
                waited = market.unswept_insurance, market.unswept_treasury
                _require(record, "fees", (record.insurance, record.treasury), waited)
                market.unswept_insurance = market.unswept_treasury = 0
            case PoolCharged():
                market = self._market(record.market_id)
                market.pool_quote -= record.amount
                _require(record, "pool's quote", record.pool_quote, market.pool_quote)
            case SideCharged():
                self._charge_side(record)
            case OpeningHalted():
                self._market(record.market_id).halt_until = record.until
            case Settled():
                settlement = self._settle(record)
            case DeclaredDead():
                self._market(record.market_id).declaration = Declaration(self._time, 0, record.sequence)
            case ConfirmedDead():
                market = self._market(record.market_id)
                market.declaration = market.declaration and market.declaration._replace(confirmed_at=self._time)
            case MarketClosed():
                self._close_market(record)
        self._posted = 0
        return settlement

    # ---------------------------------------------------------------------------------------------------------- vault

    def _set_balance(self, account: int, balance: Balance) -> None:
        last = self.monitor.balance(account)
        self._undo[-1][1].append(lambda: self.monitor.set_balance(account, last))
        self.monitor.set_balance(account, balance)
        self._posted += balance.cash - last.cash

    def _add_cash(self, account: int, amount: int) -> None:
        last = self.monitor.balance(account)
        self._set_balance(account, last._replace(cash=last.cash + amount))

    # --------------------------------------------------------------------------------------------------------- market

    def _market(self, market_id: int) -> Market:
        """A market that is about to change."""
        market = self.markets.get(market_id)
        if market is None:
            raise MirrorBroken(f"an event of market {market_id}, which was never listed")
        if market_id not in self._touched:
            self._touched.add(market_id)
            image = Market.image(market)
            self._undo[-1][1].append(lambda: market.restore(image))
        return market

    def _configure(self, record: ParamsChanged) -> None:
        market_id, params = record.market_id, record.params
        if market_id in self.markets:
            market = self._market(market_id)
            market.rules = market.rules.changed(params, self._time)
            market.last = self._time
            market.rate = max(-params.max_funding_rate, min(market.rate, params.max_funding_rate))
            return
        if market_id not in self._scales:
            raise MirrorBroken(f"parameters of market {market_id}, which was never listed")
        pool = ids.pack(self._pool, market_id)
        market = Market(market_id, self._scales[market_id], params, OrderParams(), pool, self._time)
        market.rules = MarketRules.first(params, self._time)
        market.newest = self._newest.get(market_id)
        self.markets[market_id] = market
        self._undo[-1][1].append(lambda: self.markets.pop(market_id))

    def _record(self, record: PriceRecorded) -> None:
        market_id = record.market_id
        self._remember(self._newest, market_id)
        newest = Record(record.price, record.confidence, record.published_at, record.state, record.sequence)
        self._newest[market_id] = newest
        if market_id in self.markets:
            self._market(market_id).newest = newest

    def _remember(self, container: dict[int, Any], key: int) -> None:
        if key in container:
            last = container[key]
            self._undo[-1][1].append(lambda: container.__setitem__(key, last))
        else:
            self._undo[-1][1].append(lambda: container.pop(key))

    def _accrue(self, record: Accrued) -> None:
        market = self._market(record.market_id)
        market.accrue(self.monitor.balance(market.pool_account).cash, self._time)
        said = record.rate, record.long_g, record.short_g, record.pool_quote
        _require(record, "accrual", said, (market.rate, market.g_long, market.g_short, market.pool_quote))

    def _deleverage(self, record: Deleveraged) -> None:
        """At once where it was due; else it is the end of a trade, whose own event comes after it."""
        market = self._market(record.market_id)
        due = market.due(self.monitor.balance(market.pool_account).cash)
        if due == (LONG if record.is_long else SHORT, record.fraction, record.price):
            self._close(market, record)
        else:
            self._deferred.append(record)

    def _close(self, market: Market, record: Deleveraged) -> None:
        done = market.deleverage(LONG if record.is_long else SHORT, record.fraction, record.price)
        expected = Deleveraging(done.sign, record.fraction, record.price, record.cut, record.flow)
        _require(record, "deleveraging", expected, done)

    def _charge_side(self, record: SideCharged) -> None:
        market = self._market(record.market_id)
        if not (market.long if record.is_long else market.short):
            raise MirrorBroken(f"{_place(record)}: nobody is on the side that is charged")
        market.charge_side(LONG if record.is_long else SHORT, record.amount)
        follows = market.g_long if record.is_long else market.g_short, market.pool_quote
        _require(record, "charge", (record.g, record.pool_quote), follows)

    def _close_market(self, record: MarketClosed) -> None:
        """Both sides, whose events came before."""
        market = self._market(record.market_id)
        for one in self._deferred:
            self._close(market, one)
        self._deferred.clear()
        _require(record, "open interest", (0, 0), (market.long, market.short))
        market.rate, market.halt_until, market.declaration = 0, HALTED, None

    # ---------------------------------------------------------------------------------------------------------- fills

    def _settle(self, record: Settled) -> Settlement | None:
        market, account = self._market(record.market_id), record.account
        held = self.monitor.position(account, market.id) or Position()
        base, _, owed = effective(held, market.side(held.base))
        _require(record, "base and cash", (0, record.cash), (base, -owed))
        self._set_position(market, account, held, Position())
        return _settlement(record, owed)

    def _trade(self, record: Traded) -> Settlement | None:
        """A fill against the pool. What the account paid beyond fee and execution is the fund's share of a surcharge:
        all that was posted adds up to it."""
        posted = self._posted
        settlement, owed, released = self._fill(record)
        market = self._market(record.market_id)
        market.pool_quote -= record.quote
        market.book_fee(record.fee)
        surcharge = released - owed - record.fee - posted
        if surcharge < 0:
            raise MirrorBroken(f"{_place(record)}: postings are {-surcharge} wei more than was paid")
        market.unswept_insurance += surcharge
        for one in self._deferred:
            self._close(market, one)
        self._deferred.clear()
        return settlement

    def _fill(self, record: Traded | Filled) -> tuple[Settlement | None, int, int]:
        """(settlement where something was owed, owed, released)."""
        market, account = self._market(record.market_id), record.account
        held = self.monitor.position(account, market.id) or Position()
        settled, settled_quote, owed = effective(held, market.side(held.base))
        base, quote, released = positions.fill(settled, settled_quote, record.base, record.quote)
        _require(record, "position", (record.new_base, record.new_quote), (base, quote))
        market.long += max(base, 0) - max(settled, 0)
        market.short += max(-base, 0) - max(-settled, 0)
        self._set_position(market, account, held, _stored(market, base, quote))
        return _settlement(record, owed), owed, released

    def _set_position(self, market: Market, account: int, last: Position, held: Position) -> None:
        self._undo[-1][1].append(lambda: self.monitor.set_position(account, market.id, last))
        self.monitor.set_position(account, market.id, held)


def _settlement(record: Traded | Filled | Settled, owed: int) -> Settlement | None:
    """None where nothing was owed."""
    if not owed:
        return None
    return Settlement(record.block_number, record.log_index, record.account, record.market_id, owed)


def _stored(market: Market, base: int, quote: int) -> Position:
    """A position that was touched now."""
    held = Position()
    held.base, held.quote = base, quote
    if base:
        held.g, held.k, held.epoch, _ = market.side(base)
    return held


def _require(record: Happened, what: str, said: object, follows: object) -> None:
    if said != follows:
        raise MirrorBroken(f"{_place(record)}: the {what} is {said} and should be {follows}")


def _place(record: Happened) -> str:
    return f"block {record.block_number}, event {record.log_index}, {type(record).__name__}"
