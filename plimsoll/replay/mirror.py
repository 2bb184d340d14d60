"""The reference model's side of a replay: actions are carried out here first, with what a chain must answer to them."""

from __future__ import annotations

from dataclasses import replace

from plimsoll.core.orders import Order, OrderKind
from plimsoll.deploy.parameters import Parameters
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
    Withdraw,
)
from plimsoll.replay.expected import cancelled, delegate_set, of_execution, of_match, relayed
from plimsoll.replay.liquidations import absorb, close_out, take_over
from plimsoll.replay.modelled import Deployment, Modelled, Roles
from plimsoll.risk.aggregation import Last, Reading, Skipped, aggregate
from plimsoll.risk.delegates import Grant
from plimsoll.risk.fallback import Quoted
from plimsoll.risk.matching import MakerFill
from plimsoll.risk.matching import Match as Matched
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import OrderRecord
from plimsoll.sdk.signing import order_hash


class Mirror(Modelled):
    """The protocol in the reference model. What is done stands in the open block."""

    def __init__(self, parameters: Parameters, roles: Roles, at: Deployment, *, now: int) -> None:
        super().__init__(parameters, roles, at, now=now)
        self.fee_reserves: dict[bytes, int] = {}
        """By hash, WAD dollars: what a market order set aside for the taker fee; filled, its commitment keeps it."""
        self._before = now
        self._block = Block(now)
        self._touched: dict[int, None] = {}
        self._pays_gas = False

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
            case CloseOut(account):
                return self._liquidated(close_out(self, action), account)
            case TakeOver(account, _, _, to_account):
                return self._liquidated(take_over(self, action), account, to_account)
            case Absorb(account):
                return self._liquidated(absorb(self, action), account)
            case Deposit(account, amount):
                self.model.deposit(account, amount)
                return Applied(action, (self._moved("Deposited", account, amount),))
            case Withdraw(account, amount):
                owner = account >> 96
                self.model.withdraw(account, amount, owner, now=self.now, sender=owner)
                return Applied(action, (self._moved("Withdrawn", account, amount),))
            case Cancel(order, by):
                self.model.cancel(order, now=self.now, sender=order.account >> 96 if by is None else by)
                return Applied(action, (cancelled(order),))
            case CancelFor(order, fee):
                self.model.cancel_for(order, fee, order.account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (cancelled(order), relayed(order.account, fee)))
            case CancelAll(account):
                self.model.cancel_all(account, sender=account >> 96)
                return Applied(action, (self._all_cancelled(account),))
            case CancelAllFor(account, counter, fee):
                self.model.cancel_all_for(account, counter, fee, account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (self._all_cancelled(account), relayed(account, fee)))
            case SetDelegate(account, delegate, scope):
                self.model.set_delegate(account, delegate, scope, sender=account >> 96)
                return Applied(action, (delegate_set(account, delegate),))
            case SetDelegateFor(account, delegate, scope, salt, fee):
                grant = Grant(account, delegate, scope, salt, fee)
                self.model.set_delegate_for(grant, account >> 96, now=self.now, sender=self.relayer)
                return Applied(action, (delegate_set(account, delegate), relayed(account, fee)))
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
            expected.append(of_match(maker.order, taker.order, result))
        return Applied(action, tuple(expected), tuple(results))

    def _execute(self, action: Execute) -> Applied:
        sender = self.roles.executor.number if action.by is None else action.by
        outcomes = self.model.execute_batch(action.orders, now=self.now, sender=sender)
        expected = [
            one for order, outcome in zip(action.orders, outcomes, strict=True) for one in of_execution(order, outcome)
        ]
        return Applied(action, tuple(expected), outcomes)

    def _force(self, action: Force, order: Order, data: Quoted | None, bound: Quoted | None) -> Applied:
        owner = order.account >> 96
        outcome = self.model.execute_forced(order, data, now=self.now, sender=owner, bound=bound)
        self._touched[order.account] = None
        *traded, end = of_execution(order, outcome)
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

    def _liquidated(self, applied: Applied, *accounts: int) -> Applied:
        self._touched |= dict.fromkeys(accounts)
        self._pays_gas |= not isinstance(applied.action, TakeOver)
        return applied
