"""The reference model's side of a replay: actions are carried out here first, with what a chain must answer to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from plimsoll.core import ids
from plimsoll.core.orders import Order
from plimsoll.core.units import WAD
from plimsoll.deploy.parameters import Market as ListedMarket
from plimsoll.deploy.parameters import Parameters, Shares
from plimsoll.replay.actions import (
    Absorb,
    Action,
    Applied,
    Block,
    Cancel,
    CloseOut,
    Deposit,
    Execute,
    ExecuteRequest,
    Expected,
    Place,
    Record,
    RequestEntry,
    Sweep,
    TakeOver,
    VaultName,
    Withdraw,
)
from plimsoll.replay.keys import Key
from plimsoll.risk import margin
from plimsoll.risk.aggregation import Last, Reading, Skipped, aggregate
from plimsoll.risk.config import LiquidationParams, RequestParams
from plimsoll.risk.execution import Outcome
from plimsoll.risk.market import Market
from plimsoll.risk.pool import VIRTUAL_SHARES, RequestVault
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH

TOKEN_DECIMALS = 6
BASEFEE = 10**6
"""Wei; what a rollup's blocks cost in quiet times. Absorptions refund gas at it."""


_ENDS = {
    "filled": "OrderExecuted",
    "failed": "OrderFailed",
    "void": "OrderVoided",
    "waiting": "OrderLeftQueue",
    "skipped": "OrderSkipped",
}


@dataclass(frozen=True, slots=True)
class Roles:
    """Who takes part, traders aside."""

    publisher: Key
    executor: Key
    liquidator: Key
    provider: Key

    @classmethod
    def named(cls) -> Roles:
        return cls(*(Key.named(name) for name in ("publisher", "executor", "liquidator", "provider")))


@dataclass(frozen=True, slots=True)
class Deployment:
    """Addresses that ledger accounts are made of, as ints. The defaults stand for a deployment that isn't there."""

    vault: int = 0xA004
    pool: int = 0xA001
    fund: int = 0xA002
    treasury: int = 0xA003


@dataclass(frozen=True, slots=True)
class Step:
    """One position closed, taken over or absorbed; `health` is the account's before, `debt` what it left unpaid."""

    account: int
    market_id: int
    base: int
    price: int
    notional: int
    health: int
    penalty: int = 0
    keeper: int = 0
    insurance: int = 0
    debt: int = 0


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


class Mirror:
    """The protocol in the reference model. What is done stands in the open block."""

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
        )
        for market in parameters.markets:
            self.model.list_market(market.scale, market.params, now=now, orders=market.orders, market_id=market.id)
        self.now = self._before = now
        self._block = Block(now)
        self._touched: dict[int, None] = {}
        self._absorbs = False

    # --- blocks ------------------------------------------------------------------------------------------------------

    def begin(self, ts: int) -> None:
        """Open the block of that time, later than the last one's."""
        if ts <= self.now:
            raise ValueError(f"a block at {ts} after one at {self.now}")
        self._before, self.now = self.now, ts
        self._block, self._touched, self._absorbs = Block(ts), {}, False

    def end(self) -> Block:
        """Close the block. One in which nothing happened never was: time stays what it was before."""
        if not self._block.applied:
            self.now = self._before
        return replace(self._block, touched=tuple(self._touched), basefee=BASEFEE if self._absorbs else None)

    def do(self, action: Action) -> Applied:
        """Carry an action out in the open block. Raises Refusal, and nothing happened."""
        applied = self._apply(action)
        self._block.applied.append(applied)
        return applied

    def attempt(self, action: Action) -> Applied | Refusal:
        """As `do`, but a refusal is returned."""
        try:
            return self.do(action)
        except Refusal as refusal:
            return refusal

    # --- reading -----------------------------------------------------------------------------------------------------

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

    # --- carrying out ------------------------------------------------------------------------------------------------

    def _apply(self, action: Action) -> Applied:
        match action:
            case Record():
                return self._record(action)
            case Place(order):
                return self._place(action, order)
            case Execute(orders):
                return self._execute(action, orders)
            case CloseOut():
                return self._close_out(action)
            case TakeOver():
                return self._take_over(action)
            case Absorb():
                return self._absorb(action)
            case Deposit(account, amount):
                self.model.deposit(account, amount)
                return Applied(action, (self._moved("Deposited", account, amount),))
            case Withdraw(account, amount):
                owner = account >> 96
                self.model.withdraw(account, amount, owner, now=self.now, sender=owner)
                return Applied(action, (self._moved("Withdrawn", account, amount),))
            case Cancel(order):
                self.model.cancel(order, now=self.now, sender=order.account >> 96)
                return Applied(action, (Expected("OrderCancelled", {"account": order.account}),))
            case Sweep(market_id):
                return Applied(action, result=self.model.sweep(market_id))
            case RequestEntry(name, owner, assets):
                vault = self.vault(name)
                number = self.model.request_deposit(vault, assets, owner, owner, now=self.now, sender=owner)
                return Applied(action, result=number)
            case ExecuteRequest(name, request_id):
                done = self.model.execute_request(self.vault(name), request_id, now=self.now)
                return Applied(action, result=done)

    def _moved(self, event: str, account: int, amount: int) -> Expected:
        return Expected(event, {"account": account, "amount": amount, "cash": self.model.cash_of(account)})

    def _record(self, action: Record) -> Applied:
        """All markets or none. Raises Refusal, also where a market has nothing new."""
        accepted = []
        for market_id, prices in action.readings.items():
            newest = self.markets[market_id].newest
            last = Last(newest.price, newest.published_at) if newest else Last()
            pull = [Reading(price, 0, self.now) for price in prices]
            found = aggregate(self.listed[market_id].oracle, market_id, pull, (), last, {}, self.now)
            if isinstance(found, Skipped):
                raise Refusal("Oracle_NotNewer", market_id, found.source, found.published_at)
            accepted.append((market_id, found))
        expected = []
        for market_id, record in accepted:
            self.model.record_price(market_id, record.price, record.confidence, record.published_at, record.state)
            newest = self.markets[market_id].newest
            assert newest is not None, "it was just recorded"
            expected.append(Expected("PriceRecorded", {"market_id": market_id, **newest._asdict()}))
        return Applied(action, tuple(expected))

    def _place(self, action: Place, order: Order) -> Applied:
        placed = self.model.place(order, now=self.now, sender=order.account >> 96)
        values = {
            "account": order.account,
            "settle_from": placed.not_before,
            "sequence": placed.sequence,
            "execution_fee": placed.execution_fee,
            "fee_reserve": placed.reserved - placed.execution_fee if placed.reserved else 0,
        }
        return Applied(action, (Expected("OrderPlaced", values),), placed)

    def _execute(self, action: Execute, orders: Sequence[Order]) -> Applied:
        outcomes = self.model.execute_batch(orders, now=self.now, sender=self.roles.executor.number)
        expected = [
            one for order, outcome in zip(orders, outcomes, strict=True) for one in _expected_of(order, outcome)
        ]
        return Applied(action, tuple(expected), outcomes)

    def _close_out(self, action: CloseOut) -> Applied:
        account, market_id = action.account, action.market_id
        health, held = self.health(account), self.base_of(account, market_id)
        done = self.model.liquidate(account, market_id, now=self.now, sender=self.roles.liquidator.number)
        base = -done.size if held > 0 else done.size
        values = {
            "account": account,
            "market_id": market_id,
            "base": base,
            "equity": health.equity,
            "maintenance": health.maintenance,
            "cost": done.cost,
            "reward": done.reward,
            "top_up": done.top_up,
        }
        expected = [Expected("Liquidated", values)]
        if done.debt:
            expected.append(Expected("DebtCovered", {"account": account, "debt": done.debt}))
        self._touched[account] = None
        step = Step(
            account,
            market_id,
            base,
            done.price,
            margin.notional(done.size, done.price),
            health.ratio,
            done.cost,
            done.reward,
            done.cost - done.reward - done.debt,
            done.debt,
        )
        return Applied(action, tuple(expected), (step,))

    def _take_over(self, action: TakeOver) -> Applied:
        health = self.health(action.account)
        done = self.model.take_over(
            action.account,
            action.market_id,
            action.base,
            action.to_account,
            now=self.now,
            sender=self.roles.liquidator.number,
        )
        values = {
            "account": action.account,
            "market_id": action.market_id,
            "to_account": action.to_account,
            "base": action.base,
            "equity": health.equity,
            "maintenance": health.maintenance,
            "discount": done.discount,
            "fee": done.fee,
        }
        self._touched |= {action.account: None, action.to_account: None}
        step = Step(
            action.account,
            action.market_id,
            -action.base,
            done.amount * WAD // done.size,
            done.amount,
            health.ratio,
            penalty=done.discount,
            keeper=done.discount - done.fee,
        )
        return Applied(action, (Expected("TakenOver", values),), (step,))

    def _absorb(self, action: Absorb) -> Applied:
        account = action.account
        health = self.health(account)
        held = [(market, self.base_of(account, market.id)) for market in self.model.state.markets_of(account)]
        quotes = []
        with self.model.simulated():  # one after the other: each moves its own market only
            for market, base in held:
                assert market.newest is not None, "a position in a market without a price"
                self.model.state.accrue(market, self.now)
                newest = market.newest
                quotes.append(market.fill_quote(-base, newest.price, newest.confidence))
        liquidator = self.roles.liquidator.number
        done = self.model.absorb(account, now=self.now, sender=liquidator, basefee=BASEFEE)
        expected = [
            Expected("PositionAbsorbed", {"account": account, "market_id": market.id, "base": -base, "quote": q.amount})
            for (market, base), q in zip(held, quotes, strict=True)
        ]
        values = {"account": account, "equity": health.equity, "reward": done.reward}
        expected.append(Expected("Absorbed", values))
        if done.debt:
            values = {"account": account, "debt": done.debt, "by_fund": done.from_fund}
            expected.append(Expected("DebtCovered", values))
        self._touched[account] = None
        self._absorbs = True
        steps = [
            Step(
                account,
                market.id,
                -base,
                quote.price,
                abs(quote.amount),
                health.ratio,
                keeper=0 if place else done.reward,
                insurance=0 if place else -done.from_fund - done.reward,
                debt=0 if place else done.debt,
            )
            for place, ((market, base), quote) in enumerate(zip(held, quotes, strict=True))
        ]
        return Applied(action, tuple(expected), tuple(steps))


def accounts_of(roles: Roles) -> tuple[int, ...]:
    """The ledger accounts of those who are paid."""
    return tuple(ids.pack(key.number) for key in (roles.publisher, roles.executor, roles.liquidator, roles.provider))


def _expected_of(order: Order, outcome: Outcome) -> Iterator[Expected]:
    """The events of an order's execution."""
    if (done := outcome.trade) is not None:
        values = {"account": order.account, "market_id": order.market_id, "base": done.size, "quote": done.quote}
        yield Expected("Traded", values | {"fill_price": done.price, "fee": done.fee})
    yield Expected(_ENDS[outcome.status], {} if outcome.status == "skipped" else {"account": order.account})


def _delays(shares: Shares) -> RequestParams:
    return RequestParams(shares.deposit_delay, shares.redeem_cooldown, shares.execution_window)
