"""A monitor beside the reference model's state, told of what changed only."""

from __future__ import annotations

from plimsoll.health.accounts import Balance
from plimsoll.health.monitor import Monitor
from plimsoll.risk.position import Position
from plimsoll.risk.state import Account, State


class Mirrored:
    """`update` tells of every slot that isn't what it was; `check` compares who is unhealthy, and how."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.monitor = Monitor(state.markets, protocol=(state.pool, state.fund, state.treasury))
        self._balances: dict[int, tuple[int, ...]] = {}
        self._positions: dict[tuple[int, int], tuple[int, ...]] = {}

    def update(self) -> None:
        for account, slot in self.state.accounts.items():
            image = Account.image(slot)
            if self._balances.get(account) != image:
                self._balances[account] = image
                self.monitor.set_balance(account, Balance(*image))
        for market in self.state.markets.values():
            for account, held in market.positions.items():
                image = Position.image(held)
                if self._positions.get((account, market.id)) != image:
                    self._positions[account, market.id] = image
                    self.monitor.set_position(account, market.id, held)

    def check(self, now: int) -> int:
        """How many are unhealthy."""
        exact = {
            account: self.state.health(account, now)
            for account in self.state.accounts
            if not self.state.is_protocol_account(account)
        }
        expected = {account: sums for account, sums in exact.items() if sums[0] < sums[1]}
        found = {one.account: (one.equity, one.maintenance) for one in self.monitor.unhealthy(now)}
        assert found == expected
        assert set(self.monitor.liquidatable(now)) == set(expected)
        return len(expected)
