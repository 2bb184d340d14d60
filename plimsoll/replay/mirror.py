"""The reference model's side of a replay: actions are carried out here first, with what a chain must answer to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from plimsoll.chain.abi import checksum
from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, Scope
from plimsoll.core.units import WAD
from plimsoll.deploy.parameters import Market as ListedMarket
from plimsoll.deploy.parameters import Parameters, Shares
from plimsoll.replay.actions import (
    Absorb,
    Action,
    Applied,
    Block,
    Cancel,
    CancelAll,
    CancelAllFor,
    CancelFor,
    CloseOut,
    Deposit,
    Execute,
    ExecuteRequest,
    Expected,
    Force,
    Match,
    Place,
    PlaceFor,
    Record,
    RequestEntry,
    RequestExit,
    SetDelegate,
    SetDelegateFor,
    Settle,
    ShutDown,
    ShutDownStep,
    Sweep,
    TakeOver,
    Together,
    VaultName,
    Withdraw,
)
from plimsoll.replay.keys import Key
from plimsoll.risk import margin
from plimsoll.risk.aggregation import Last, Reading, Skipped, aggregate
from plimsoll.risk.config import Gas, LiquidationParams, RequestParams
from plimsoll.risk.delegates import Grant
from plimsoll.risk.execution import Outcome
from plimsoll.risk.fallback import Quoted
from plimsoll.risk.market import Market
from plimsoll.risk.matching import MakerFill
from plimsoll.risk.matching import Match as Matched
from plimsoll.risk.pool import VIRTUAL_SHARES, RequestVault
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH, OrderRecord
from plimsoll.sdk.signing import Delegation, order_hash, struct_hash

TOKEN_DECIMALS = 6
BASEFEE = 10**6
"""Wei; what a rollup's blocks cost in quiet times. Liquidations are paid for gas at it."""
GAS = Gas(BASEFEE)


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
            order_hash=order_hash,
            grant_hash=lambda grant: struct_hash(delegation_of(*grant)),
        )
        for market in parameters.markets:
            self.model.list_market(market.scale, market.params, now=now, orders=market.orders, market_id=market.id)
        self.fee_reserves: dict[bytes, int] = {}
        """By hash, WAD dollars: what a market order set aside for the taker fee; filled, its commitment keeps it."""
        self.now = self._before = now
        self._block = Block(now)
        self._touched: dict[int, None] = {}
        self._pays_gas = False
        self.gas = GAS
        """What gas costs whoever liquidates."""

    # --- blocks ------------------------------------------------------------------------------------------------------

    def begin(self, ts: int) -> None:
        """Open the block of that time, later than the last one's."""
        if ts <= self.now:
            raise ValueError(f"a block at {ts} after one at {self.now}")
        self._before, self.now = self.now, ts
        self._block, self._touched, self._pays_gas = Block(ts), {}, False

    def end(self) -> Block:
        """Close the block. One in which nothing happened never was: time stays what it was before."""
        if not self._block.applied:
            self.now = self._before
        return replace(self._block, touched=tuple(self._touched), basefee=self.gas.base_fee if self._pays_gas else None)

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

    def refuse(self, action: Action) -> Refusal:
        """Try what the rules must refuse; it stands in the block, for a chain to refuse by the same name.

        Raises ValueError where the model allows it.
        """
        try:
            with self.model.simulated():
                self._apply(action)
        except Refusal as refusal:
            self._block.applied.append(Applied(action, refusal=refusal.name))
            return refusal
        raise ValueError(f"{action} was to be refused, and the model allows it")

    # --- reading -----------------------------------------------------------------------------------------------------

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

    # --- carrying out ------------------------------------------------------------------------------------------------

    def _apply(self, action: Action) -> Applied:
        match action:
            case Record():
                return self._record(action)
            case Place(order, by):
                sender = order.account >> 96 if by is None else by
                return self._placed(action, order, self.model.place(order, now=self.now, sender=sender))
            case PlaceFor(order, signer):
                return self._place_for(action, order, signer)
            case Together():
                return self._together(action)
            case Match():
                return self._match(action)
            case Execute():
                return self._execute(action)
            case Force(order, data, _, bound):
                return self._force(action, order, data, bound)
            case ShutDown(market_id, step):
                return self._shut_down(action, market_id, step)
            case Settle(account, market_id):
                cash = self.model.settle(account, market_id, now=self.now)
                self._touched[account] = None
                return Applied(action, (Expected("Settled", {"account": account, "cash": cash}),), cash)
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
            case Cancel(order, by):
                self.model.cancel(order, now=self.now, sender=order.account >> 96 if by is None else by)
                return Applied(action, (_cancelled(order),))
            case CancelFor(order, fee):
                self.model.cancel_for(order, fee, order.account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (_cancelled(order), _relayed(order.account, fee)))
            case CancelAll(account):
                self.model.cancel_all(account, sender=account >> 96)
                return Applied(action, (self._all_cancelled(account),))
            case CancelAllFor(account, counter, fee):
                self.model.cancel_all_for(account, counter, fee, account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (self._all_cancelled(account), _relayed(account, fee)))
            case SetDelegate(account, delegate, scope):
                self.model.set_delegate(account, delegate, scope, sender=account >> 96)
                return Applied(action, (_delegate_set(account, delegate),))
            case SetDelegateFor(account, delegate, scope, salt, fee):
                grant = Grant(account, delegate, scope, salt, fee)
                self.model.set_delegate_for(grant, account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (_delegate_set(account, delegate), _relayed(account, fee)))
            case Sweep(market_id):
                return Applied(action, result=self.model.sweep(market_id))
            case RequestEntry(name, owner, assets):
                vault = self.vault(name)
                number = self.model.request_deposit(vault, assets, owner, owner, now=self.now, sender=owner)
                return Applied(action, result=number)
            case RequestExit(name, owner, shares):
                vault = self.vault(name)
                number = self.model.request_redeem(vault, shares, owner, owner, now=self.now, sender=owner)
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

    @property
    def relayer(self) -> int:
        """The address of who brings signatures."""
        return self.roles.relayer.number

    def _all_cancelled(self, account: int) -> Expected:
        return Expected("AllCancelled", {"account": account, "counter": self.model.counter_of(account)})

    def _place_for(self, action: PlaceFor, order: Order, signer: int) -> Applied:
        placed = self.model.place_for(order, signer, now=self.now, sender=self.relayer)
        return self._placed(action, order, placed)

    def _placed(self, action: Place | PlaceFor, order: Order, record: OrderRecord) -> Applied:
        fee_reserve = record.reserved - record.execution_fee if record.reserved else 0
        hash_ = order_hash(order)
        if order.kind == OrderKind.MARKET:
            self.fee_reserves[hash_] = fee_reserve
        values = {
            "hash": hash_,
            "account": order.account,
            "settle_from": record.not_before,
            "sequence": record.sequence,
            "execution_fee": record.execution_fee,
            "fee_reserve": fee_reserve,
        }
        return Applied(action, (Expected("OrderPlaced", values),), record)

    def _together(self, action: Together) -> Applied:
        """All of the calls or none."""
        journal = self.model.state.journal
        point = journal.begin()
        try:
            done = [self._apply(call) for call in action.calls]
        except BaseException:
            journal.rollback(point)
            raise
        journal.commit()
        return Applied(action, tuple(one for applied in done for one in applied.expected), tuple(done))

    def _match(self, action: Match) -> Applied:
        """One maker alone, or several of whom some may be skipped. The result: Match or Refusal by maker."""
        taker, sender = action.taker, self.roles.executor.number
        results: list[Matched | Refusal]
        if len(action.makers) == 1:
            [(maker, base)] = action.makers
            done = self.model.match_orders(
                maker.order, maker.signer, taker.order, taker.signer, base, now=self.now, sender=sender
            )
            results = [done]
        else:
            fills = [MakerFill(maker.order, maker.signer, base) for maker, base in action.makers]
            results = self.model.match_batch(taker.order, taker.signer, fills, now=self.now, sender=sender)
        self._touched[taker.order.account] = None
        expected = []
        for (maker, _), result in zip(action.makers, results, strict=True):
            self._touched[maker.order.account] = None
            expected.append(_expected_of_match(maker.order, taker.order, result))
        return Applied(action, tuple(expected), tuple(results))

    def _execute(self, action: Execute) -> Applied:
        sender = self.roles.executor.number if action.by is None else action.by
        outcomes = self.model.execute_batch(action.orders, now=self.now, sender=sender)
        expected = [
            one for order, outcome in zip(action.orders, outcomes, strict=True) for one in _expected_of(order, outcome)
        ]
        return Applied(action, tuple(expected), outcomes)

    def _force(self, action: Force, order: Order, data: Quoted | None, bound: Quoted | None) -> Applied:
        owner = order.account >> 96
        outcome = self.model.execute_forced(order, data, now=self.now, sender=owner, bound=bound)
        self._touched[order.account] = None
        *traded, end = _expected_of(order, outcome)
        if outcome.trade is not None:
            end = Expected("OrderForced", end.values)
        return Applied(action, (*traded, end), outcome)

    def _shut_down(self, action: ShutDown, market_id: int, step: ShutDownStep) -> Applied:
        values = {"market_id": market_id}
        match step:
            case "declareDead":
                self.model.declare_dead(market_id, now=self.now)
                return Applied(action, (Expected("DeclaredDead", values),))
            case "confirmDead":
                self.model.confirm_dead(market_id, now=self.now)
                return Applied(action, (Expected("ConfirmedDead", values),))
            case "closeDead":
                self.model.close_dead(market_id, now=self.now)
                return Applied(action, (Expected("MarketClosed", values | {"price": self.price(market_id)}),))

    def _close_out(self, action: CloseOut) -> Applied:
        account, market_id = action.account, action.market_id
        health, held = self.health(account), self.base_of(account, market_id)
        self._pays_gas = True
        done = self.model.liquidate(account, market_id, now=self.now, sender=self.roles.liquidator.number, gas=self.gas)
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
        liquidator = self.roles.liquidator.number
        with self.model.simulated():
            done = self.model.absorb(account, now=self.now, sender=liquidator, gas=self.gas)
        aside = {one.market_id: one.base for one in done.against_sides}
        quotes = []
        with self.model.simulated():  # one after the other: each moves its own market only
            for market in self.model.state.markets_of(account):
                self.model.state.bring_up(market, self.now)
            held = [
                (market, self.base_of(account, market.id) + aside.get(market.id, 0))
                for market in self.model.state.markets_of(account)
            ]
            for market, base in held:
                assert market.newest is not None, "a position in a market without a price"
                newest = market.newest
                quotes.append(market.fill_quote(-base, newest.price, newest.confidence))
        self.model.absorb(account, now=self.now, sender=liquidator, gas=self.gas)
        expected = [
            Expected("PositionAbsorbed", {"account": account, "market_id": market.id, "base": -base, "quote": q.amount})
            for (market, base), q in zip(held, quotes, strict=True)
        ]
        values = {"account": account, "equity": done.equity, "reward": done.reward}
        expected.append(Expected("Absorbed", values))
        if done.debt:
            values = {"account": account, "debt": done.debt, "by_fund": done.from_fund}
            expected.append(Expected("DebtCovered", values))
        self._touched[account] = None
        self._pays_gas = True
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


def delegation_of(account: int, delegate: int, scope: Scope, salt: int, relay_fee: int) -> Delegation:
    """What an owner signs to set a scope."""
    return Delegation(account, checksum(delegate.to_bytes(20, "big")), scope, salt, relay_fee)


def _cancelled(order: Order) -> Expected:
    return Expected("OrderCancelled", {"hash": order_hash(order), "account": order.account})


def _relayed(account: int, fee: int) -> Expected:
    return Expected("Relayed", {"account": account, "fee": fee})


def _delegate_set(account: int, delegate: int) -> Expected:
    return Expected("DelegateSet", {"account": account, "delegate": checksum(delegate.to_bytes(20, "big"))})


def _expected_of_match(maker: Order, taker: Order, result: Matched | Refusal) -> Expected:
    if isinstance(result, Refusal):
        return Expected("MatchSkipped", {"maker_hash": order_hash(maker)})
    values = {
        "maker_hash": order_hash(maker),
        "taker_hash": order_hash(taker),
        "market_id": taker.market_id,
        "maker_account": maker.account,
        "taker_account": taker.account,
    }
    return Expected("OrdersMatched", values | result._asdict())


def _expected_of(order: Order, outcome: Outcome) -> Iterator[Expected]:
    """The events of an order's execution."""
    if (done := outcome.trade) is not None:
        values = {"account": order.account, "market_id": order.market_id, "base": done.size, "quote": done.quote}
        yield Expected("Traded", values | {"fill_price": done.price, "fee": done.fee})
    ends: dict[str, object] = {"hash": order_hash(order)}
    if outcome.status != "skipped":
        ends["account"] = order.account
    yield Expected(_ENDS[outcome.status], ends)


def _delays(shares: Shares) -> RequestParams:
    return RequestParams(shares.deposit_delay, shares.redeem_cooldown, shares.execution_window)
