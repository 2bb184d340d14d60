"""The ledger as events tell it: each says what results, so a state that is right before one is right after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from plimsoll.core.units import WAD
from plimsoll.risk.market import Declaration, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, SideState
from plimsoll.risk.shutdown import HALTED
from plimsoll.risk.state import State
from plimsoll.sdk.events import (
    Accrued,
    ClosedAgainstSide,
    ConfirmedDead,
    Deleveraged,
    Deposited,
    FeesSwept,
    Filled,
    GasMarketChanged,
    Happened,
    Liquidated,
    MarketClosed,
    OrdersMatched,
    PoolCharged,
    PositionAbsorbed,
    Posted,
    PriceRecorded,
    Settled,
    SideCharged,
    TakenOver,
    Traded,
    Transferred,
    Withdrawn,
)


class Told:
    """A state that events are applied to, all of one block in their order.

    `unsure` are the markets of which it isn't known any more what fees wait: a reduction of an unhealthy account puts
    in more than its event says.
    """

    def __init__(self, state: State, now: int) -> None:
        self.state = state
        self.now = now
        self.unsure: set[int] = set()
        self._before_cut: dict[int, tuple[int, SideState]] = {}

    def tell_all(self, records: Iterable[Happened]) -> None:
        for record in records:
            self.tell(record)

    def tell(self, record: Happened) -> None:
        """What an event changed. Those that change nothing that is kept here are ignored."""
        if self._tell_of_cash(record) or self._tell_of_liquidation(record):
            return
        match record:
            case Accrued(market_id=market_id):
                market = self.state.markets[market_id]
                market.rate, market.g_long, market.g_short = record.rate, record.long_g, record.short_g
                market.pool_quote, market.last = record.pool_quote, self.now
            case Traded(market_id=market_id):
                market = self._hold(record)
                market.pool_quote -= record.quote
                market.book_fee(record.fee)
                self.unsure.add(market_id)
            case Filled(market_id=market_id):
                market = self._hold(record)
                if record.counter == market.pool_account:
                    market.pool_quote -= record.quote
            case OrdersMatched(market_id=market_id):
                self.state.markets[market_id].book_fee(record.maker_fee + record.taker_fee)
            case Deleveraged(market_id=market_id):
                self._deleverage(record)
            case FeesSwept(market_id=market_id):
                market = self.state.markets[market_id]
                market.unswept_insurance = market.unswept_treasury = 0
                self.unsure.discard(market_id)
            case PoolCharged(market_id=market_id):
                self.state.markets[market_id].pool_quote = record.pool_quote
            case SideCharged(market_id=market_id):
                market = self.state.markets[market_id]
                market.charge_side(1 if record.is_long else -1, record.amount)
            case ConfirmedDead(market_id=market_id):
                self.state.markets[market_id].declaration = Declaration(self.now, self.now, record.sequence)
            case MarketClosed(market_id=market_id):
                market = self.state.markets[market_id]
                market.rate, market.declaration, market.halt_until = 0, None, HALTED
            case Settled(market_id=market_id):
                self._put(self.state.markets[market_id], record.account, 0, 0)
            case PriceRecorded(market_id=market_id):
                newest = Record(record.price, record.confidence, record.published_at, record.state, record.sequence)
                self.state.markets[market_id].newest = newest

    def _tell_of_cash(self, record: Happened) -> bool:
        state = self.state
        match record:
            case Posted(account=account):
                entry = state.changed_account(account)
                entry.cash, entry.reserved, entry.markets = record.unpacked
            case Deposited(account=account) | Withdrawn(account=account):
                state.changed_account(account).cash = record.cash
            case Transferred():
                state.changed_account(record.from_).cash -= record.amount * state.unit
                state.changed_account(record.to).cash += record.amount * state.unit
            case _:
                return False
        return True

    def _tell_of_liquidation(self, record: Happened) -> bool:
        match record:
            case Liquidated(market_id=market_id):
                self.state.markets[market_id].count_moved(record.published_at, abs(record.base))
            case TakenOver(market_id=market_id):
                self.state.markets[market_id].book_fee(record.fee)
            case PositionAbsorbed(market_id=market_id):
                market = self.state.markets[market_id]
                grown = abs(market.skew) - abs(market.skew - record.base)
                if grown > 0:
                    market.count_moved(record.published_at, grown)
                    market.count_absorbed(self.now, grown)
            case ClosedAgainstSide(market_id=market_id):
                self._close_against_side(record)
            case GasMarketChanged(market_id=market_id):
                self.state.liquidation_params = replace(self.state.liquidation_params, gas_market=market_id)
            case _:
                return False
        return True

    def _hold(self, record: Traded | Filled) -> Market:
        """A position as a fill left it, and the open interest with it. Returns the market."""
        market = self.state.markets[record.market_id]
        sign, side = self._before_cut.pop(market.id, (0, None)) if isinstance(record, Traded) else (0, None)
        is_before = side is not None and (record.new_base > 0) == (sign > 0)
        self._put(market, record.account, record.new_base, record.new_quote, side if is_before else None)
        before, after = record.new_base - record.base, record.new_base
        market.long += max(after, 0) - max(before, 0)
        market.short += max(-after, 0) - max(-before, 0)
        return market

    def _put(self, market: Market, account: int, base: int, quote: int, side: SideState | None = None) -> None:
        held = market.positions.setdefault(account, Position())
        held.base = held.quote = held.g = held.k = held.epoch = 0
        if base:
            held.base, held.quote = base, quote
            held.g, held.k, held.epoch, _ = side or market.side(base)

    def _deleverage(self, record: Deleveraged) -> None:
        """A trade that makes something due is told of after it, but its position was stored as of before.

        That it is such a one shows in what was cut, which is a part of the open interest after the trade.
        """
        market = self.state.markets[record.market_id]
        sign = 1 if record.is_long else -1
        side = market.side(sign)
        long, short = market.long, market.short
        if record.cut != (long if record.is_long else short) * record.fraction // WAD:
            self._before_cut[market.id] = (sign, side)
        market.close_side(sign, record.fraction, record.price)
        market.long, market.short = long, short
        self._cut(market, sign, record.cut)
        market.pool_quote -= sign * record.flow

    def _close_against_side(self, record: ClosedAgainstSide) -> None:
        """The account's own part is a Filled before it."""
        market = self.state.markets[record.market_id]
        market.close_side(1 if record.base > 0 else -1, record.fraction, record.zero_price)

    @staticmethod
    def _cut(market: Market, sign: int, size: int) -> None:
        if sign > 0:
            market.long -= size
        else:
            market.short -= size
