"""The protocol of a scenario in the reference model, as it can be read at any moment; and who takes part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from plimsoll.chain.abi import checksum
from plimsoll.core import ids
from plimsoll.core.orders import Scope
from plimsoll.core.units import WAD
from plimsoll.deploy.parameters import Market as ListedMarket
from plimsoll.deploy.parameters import Parameters, Shares
from plimsoll.replay.actions import VaultName
from plimsoll.replay.keys import Key
from plimsoll.risk import margin
from plimsoll.risk.config import Gas, LiquidationParams, RequestParams
from plimsoll.risk.market import Market
from plimsoll.risk.pool import VIRTUAL_SHARES, RequestVault
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH
from plimsoll.sdk.signing import Delegation, order_hash, struct_hash

TOKEN_DECIMALS = 6
BASEFEE = 10**6
"""Wei; what a rollup's blocks cost in quiet times. Liquidations are paid for gas at it."""
GAS = Gas(BASEFEE)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who takes part, traders aside."""

    publisher: Key
    executor: Key
    liquidator: Key
    provider: Key
    relayer: Key

    @classmethod
    def named(cls) -> Roles:
        return cls(*(Key.named(name) for name in ("publisher", "executor", "liquidator", "provider", "relayer")))


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses that ledger accounts are made of, as ints. The defaults stand for a deployment that isn't there."""

    vault: int = 0xA004
    pool: int = 0xA001
    fund: int = 0xA002
    treasury: int = 0xA003


@dataclass(frozen=True, slots=True)
class Health:
    """Equity and maintenance of an account at health prices, and the notional of its positions."""

    equity: int
    maintenance: int
    notional: int

    @property
    def ratio(self) -> int:
        if not self.maintenance:
            return MAX_HEALTH if self.equity >= 0 else MIN_HEALTH
        return self.equity * WAD // self.maintenance


class Modelled:
    """The model with the scenario's markets and vaults; `now` is its present, Unix seconds."""

    def __init__(self, parameters: Parameters, roles: Roles, at: Deployment, *, now: int) -> None:
        self.parameters = parameters
        self.roles = roles
        self.listed: dict[int, ListedMarket] = {market.id: market for market in parameters.markets}
        self.model = Protocol(
            token_decimals=TOKEN_DECIMALS,
            pool=at.pool,
            fund=at.fund,
            treasury=at.treasury,
            vault=at.vault,
            liquidation_params=LiquidationParams(gas_market=parameters.gas_market),
            pool_params=replace(
                _delays(parameters.pool), weights_bps={market.id: market.weight_bps for market in parameters.markets}
            ),
            fund_params=_delays(parameters.fund),
            order_hash=order_hash,
            grant_hash=lambda grant: struct_hash(delegation_of(*grant)),
        )
        for market in parameters.markets:
            self.model.list_market(market.scale, market.params, now=now, orders=market.orders, market_id=market.id)
        self.now = now
        self.gas = GAS
        """What gas costs whoever liquidates."""

    def own_accounts(self) -> list[int]:
        """Accounts of the protocol and of those who are paid."""
        state, keys = self.model.state, self.roles
        pools = [market.pool_account for market in state.markets.values()]
        paid = (keys.executor, keys.liquidator, keys.provider, keys.relayer)
        escrows = [self.model.pool.escrow, self.model.fund.escrow]
        return [state.fund_account, state.treasury_account, *pools, *escrows, *(ids.pack(key.number) for key in paid)]

    @property
    def markets(self) -> dict[int, Market]:
        return self.model.state.markets

    @contextmanager
    def accrued(self) -> Iterator[None]:
        """Inside, every market is brought to the present, so that many valuations need not do it each."""
        with self.model.simulated():
            for market in self.markets.values():
                self.model.state.accrue(market, self.now)
            yield

    def health(self, account: int) -> Health:
        """Of an account at health prices."""
        equity, maintenance = self.model.state.health(account, self.now)
        notional = 0
        for market in self.model.state.markets_of(account):
            assert market.newest is not None, "a position in a market without a price"
            notional += margin.notional(abs(market.positions[account].base), market.newest.price)
        return Health(equity, maintenance, notional)

    def base_of(self, account: int, market_id: int) -> int:
        """The size of a position, WAD; 0 without one."""
        return self.model.position(account, market_id, self.now)[0]

    def price(self, market_id: int) -> int:
        """The newest recorded price, 0 without one."""
        newest = self.markets[market_id].newest
        return newest.price if newest else 0

    def vault(self, name: VaultName) -> RequestVault:
        return self.model.pool if name == "pool" else self.model.fund

    def share_price(self, name: VaultName) -> int:
        """WAD dollars of a whole share, in the finest steps that the ledger has."""
        vault = self.vault(name)
        whole = VIRTUAL_SHARES * 10**TOKEN_DECIMALS
        assets = vault.total_assets(self.now) + 1
        price: int = assets * self.model.state.unit * whole // (vault.supply + VIRTUAL_SHARES)
        return price


def delegation_of(account: int, delegate: int, scope: Scope, salt: int, relay_fee: int) -> Delegation:
    """What an owner signs to set a scope."""
    return Delegation(account, checksum(delegate.to_bytes(20, "big")), scope, salt, relay_fee)


def _delays(shares: Shares) -> RequestParams:
    return RequestParams(shares.deposit_delay, shares.redeem_cooldown, shares.execution_window)
