"""What a forecast asks of the ledger, out of the mirror: copies that it may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.index.mirror import Mirror
from plimsoll.risk.config import LiquidationParams
from plimsoll.risk.market import Market
from plimsoll.risk.state import State
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.words import markets_in

TREASURY = 3
"""Gets nothing from a liquidation; any owner does."""


class Counters(NamedTuple):
    """What the caps of a market count: WAD base moved since a time of publication, and absorbed in an hour."""

    moved_since: int
    moved: int
    hour: int
    absorbed: int


def read_counters(contracts: Contracts, block: int, market_ids: Collection[int]) -> dict[int, Counters]:
    """The only thing that a liquidation depends on and no event says."""
    calls = [contracts.liquidator.prepare("counters", one) for one in market_ids]
    return {
        one: Counters(*said) for one, said in zip(market_ids, contracts.chain.read(calls, block=block), strict=True)
    }


class MirrorBook:
    """A mirror for as long as it stays at its block."""

    def __init__(self, mirror: Mirror, counters: Mapping[int, Counters], *, pool: int, fund: int) -> None:
        """`pool` and `fund`: their addresses as ints."""
        self._monitor = mirror.monitor
        self._counters = counters
        self._pool, self._fund = pool, fund

    @property
    def markets(self) -> Mapping[int, Market]:
        return self._monitor.markets

    def held(self, account: int) -> Collection[int]:
        return markets_in(self._monitor.balance(account).markets)

    def state(self) -> State:
        state = State(18, self._pool, self._fund, TREASURY, LiquidationParams())
        for market in self.markets.values():
            state.markets[market.id] = self._copy(market)
            state.credit(market.pool_account, self._monitor.balance(market.pool_account).cash)
        state.credit(ids.pack(self._fund), self._monitor.balance(ids.pack(self._fund)).cash)
        return state

    def enter(self, state: State, account: int) -> None:
        balance = self._monitor.balance(account)
        entry = state.changed_account(account)
        entry.cash, entry.reserved, entry.markets = balance
        for market_id, held in self._monitor.positions(account):
            state.markets[market_id].positions[account] = held

    def _copy(self, market: Market) -> Market:
        copy = copied(market)
        if (found := self._counters.get(market.id)) is not None:
            copy.moved_since, copy.moved = found.moved_since, found.moved
            copy.absorbed_hour, copy.absorbed = found.hour, found.absorbed
        return copy


def copied(market: Market) -> Market:
    """The same without positions and past records."""
    copy = Market(market.id, market.scale, market.rules.params, market.order_params, market.pool_account, market.last)
    copy.restore(Market.image(market))
    return copy
