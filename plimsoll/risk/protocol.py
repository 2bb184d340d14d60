"""The whole protocol: state, entry points, views.

An entry point takes `now` (Unix seconds, never decreasing), `sender` (an address as an int) where it matters, and
`gas` (what it costs a keeper) where it matters. It either happens whole or raises `Refusal` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

from plimsoll.core import ids
from plimsoll.core.orders import NO_SCOPE, Order, Scope
from plimsoll.core.units import WAD
from plimsoll.risk import (
    commitments,
    delegates,
    execution,
    fallback,
    liquidation,
    matching,
    orders,
    shutdown,
    sums,
)
from plimsoll.risk.config import FREE, Gas, LiquidationParams, MarketParams, OrderParams, RequestParams
from plimsoll.risk.delegates import Grant, GrantHash
from plimsoll.risk.execution import Outcome
from plimsoll.risk.fallback import Quoted
from plimsoll.risk.funding import rate_after
from plimsoll.risk.liquidation import Absorption, CloseOut, TakeOver
from plimsoll.risk.margin import initial, maintenance
from plimsoll.risk.market import Deleveraging, Market
from plimsoll.risk.matching import MakerFill, Match, Signed
from plimsoll.risk.oracle import HELD_RECORDS, OPEN, Record, settlement_record
from plimsoll.risk.orders import OrderHash
from plimsoll.risk.pool import Executed, InsuranceFund, LiquidityPool, RequestVault
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MAX_HEALTH, MIN_HEALTH, Delegation, OrderRecord, State
from plimsoll.risk.trade import Trade, trade

MAX_MARKETS = 16

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Protocol:
    """One deployment. Addresses of pool, fund, treasury and vault are ints; `order_hash`, `grant_hash` give keys."""

    def __init__(
        self,
        *,
        token_decimals: int = 6,
        pool: int = 0xA001,
        fund: int = 0xA002,
        treasury: int = 0xA003,
        vault: int = 0xA004,
        liquidation_params: LiquidationParams | None = None,
        pool_params: RequestParams | None = None,
        fund_params: RequestParams | None = None,
        order_hash: OrderHash | None = None,
        grant_hash: GrantHash | None = None,
    ) -> None:
        self.state = State(
            token_decimals,
            pool,
            fund,
            treasury,
            liquidation_params or LiquidationParams(),
        )
        self.vault = vault
        self.pool = LiquidityPool(self.state, pool, pool_params or RequestParams())
        self.fund = InsuranceFund(self.state, fund, fund_params or RequestParams())
        self.order_hash: OrderHash = order_hash or (lambda order: order)
        self.grant_hash: GrantHash = grant_hash or (lambda grant: grant)

    def simulated(self) -> AbstractContextManager[None]:
        """`with protocol.simulated():` what is called inside is undone at the end."""
        return self.state.journal.discarded()

    # --------------------------------------------------------------------------------------------------------- vault

    def deposit(self, account: int, amount: int) -> None:
        """Token units from anyone into an account that is not the protocol's."""
        if not amount:
            raise Refusal("MarginVault_ZeroAmount")
        if not account >> 96 or self.state.is_protocol_account(account):
            raise Refusal("MarginVault_InvalidAccount", account)
        self._atomic(self._move_tokens, account, amount)

    def withdraw(self, account: int, amount: int, to: int, *, now: int, sender: int) -> None:
        """Token units out of an account."""
        if not amount:
            raise Refusal("MarginVault_ZeroAmount")
        self._require_owner(account, sender)
        if to in (0, self.vault):
            raise Refusal("MarginVault_InvalidRecipient", to)
        self._require_withdrawable(account, amount, now)
        self._atomic(self._move_tokens, account, -amount)

    def transfer(self, from_account: int, to_account: int, amount: int, *, now: int, sender: int) -> None:
        """Token units between two accounts of one owner."""
        if not amount:
            raise Refusal("MarginVault_ZeroAmount")
        self._require_owner(from_account, sender)
        if from_account >> 96 != to_account >> 96:
            raise Refusal("MarginVault_DifferentOwners", from_account, to_account)
        if self.state.is_protocol_account(to_account):
            raise Refusal("MarginVault_InvalidAccount", to_account)
        self._require_withdrawable(from_account, amount, now)
        self._atomic(self._move_cash, from_account, to_account, amount * self.state.unit)

    # -------------------------------------------------------------------------------------------------------- prices

    def record_price(self, market_id: int, price: int, confidence: int, published_at: int, state: int = OPEN) -> bool:
        """A price the aggregator accepted. False, and nothing done, where it is not newer than the last."""
        market = self.state.markets[market_id]
        newest = market.newest
        if newest is not None and published_at <= newest.published_at:
            return False
        self._atomic(self._record, market, price, confidence, published_at, state)
        return True

    # -------------------------------------------------------------------------------------------------------- orders

    def place(self, order: Order, *, now: int, sender: int) -> OrderRecord:
        return self._atomic(orders.place, self.state, now, sender, order, self.order_hash(order))

    def place_for(self, order: Order, signer: int | None, *, now: int, sender: int) -> OrderRecord:
        """`signer` in the place of a signature, here and below: who it recovers to, None for nobody."""
        return self._atomic(orders.place_for, self.state, now, sender, order, self.order_hash(order), signer)

    def cancel(self, order: Order, *, now: int, sender: int) -> None:
        self._atomic(orders.cancel, self.state, now, sender, order, self.order_hash(order))

    def cancel_for(self, order: Order, relay_fee: int, signer: int | None, *, now: int, sender: int) -> None:
        self._atomic(orders.cancel_for, self.state, now, sender, order, self.order_hash(order), relay_fee, signer)

    def cancel_all(self, account: int, *, sender: int) -> None:
        self._atomic(commitments.cancel_all, self.state, sender, account)

    def cancel_all_for(
        self, account: int, counter: int, relay_fee: int, signer: int | None, *, now: int, sender: int
    ) -> None:
        self._atomic(commitments.cancel_all_for, self.state, now, sender, account, counter, relay_fee, signer)

    def execute(self, order: Order, *, now: int, sender: int) -> Outcome:
        """Settle an order; its failure for a listed reason is an Outcome, not a Refusal."""
        return self._atomic(execution.execute, self.state, now, sender, order, self.order_hash(order))

    def execute_batch(self, batch: Sequence[Order], *, now: int, sender: int) -> list[Outcome]:
        """Several orders one after another; what can't be executed now is skipped and nothing happens to it."""
        outcomes: list[Outcome] = []
        for order in batch:
            try:
                outcomes.append(self.execute(order, now=now, sender=sender))
            except Refusal as reason:
                outcomes.append(Outcome("skipped", reason=reason))
        return outcomes

    def execute_forced(
        self, order: Order, data: Quoted | None, *, now: int, sender: int, bound: Quoted | None = None
    ) -> Outcome:
        """Settle a reduce-only order that waits without a record: at signed `data`, or at the push sources' `bound`."""
        key = self.order_hash(order)
        return self._atomic(fallback.execute_forced, self.state, now, sender, order, key, data, bound)

    # ------------------------------------------------------------------------------------------------------ matching

    def match_orders(
        self,
        maker: Order,
        maker_signer: int | None,
        taker: Order,
        taker_signer: int | None,
        base: int,
        *,
        now: int,
        sender: int,
    ) -> Match:
        """Fill `base` (unsigned WAD) of two signed limit orders against each other, at the maker's price."""
        return self._atomic(
            matching.match_orders,
            self.state,
            now,
            sender,
            self._signed(maker, maker_signer),
            self._signed(taker, taker_signer),
            base,
        )

    def match_batch(
        self, taker: Order, taker_signer: int | None, makers: Sequence[MakerFill], *, now: int, sender: int
    ) -> list[Match | Refusal]:
        """One taker against several makers; a maker that is refused is skipped and nothing happens to it."""
        fills = [(self._signed(maker.order, maker.signer), maker.base) for maker in makers]
        return self._atomic(matching.match_batch, self.state, now, sender, self._signed(taker, taker_signer), fills)

    # ----------------------------------------------------------------------------------------------------- delegates

    def set_delegate(self, account: int, delegate: int, scope: Scope, *, sender: int) -> None:
        self._atomic(delegates.set_delegate, self.state, sender, account, delegate, scope)

    def set_delegate_for(self, grant: Grant, signer: int | None, *, now: int, sender: int) -> None:
        self._atomic(delegates.set_delegate_for, self.state, now, sender, grant, self.grant_hash(grant), signer)

    def counter_of(self, account: int) -> int:
        """The counter that an account's new orders must carry."""
        return self.state.counters.get(account, 0)

    def delegation(self, account: int, delegate: int, now: int) -> tuple[Scope, int]:
        """The scope as set, also after its end, and the whole dollars used today."""
        found = self.state.delegations.get((account, delegate)) or Delegation(NO_SCOPE)
        return found.scope, delegates.used_today(found, now)

    # --------------------------------------------------------------------------------------------- against the pool

    def trade(
        self,
        account: int,
        market_id: int,
        size: int,
        *,
        now: int,
        sender: int,
        acceptable: int | None = None,
        reduce_only: bool = False,
        execution_fee: int = 0,
        record: Record | None = None,
    ) -> Trade:
        """What the order book asks the market for: a trade against the pool at `record` or the newest."""
        market = self.state.markets.get(market_id)
        at = record or (market.newest if market else None) or Record(0, 0, 0, OPEN, 0)
        limit = acceptable if acceptable is not None else 2**256 if size > 0 else 0
        return self._atomic(
            trade, self.state, now, ids.pack(sender), account, market_id, size, limit, reduce_only, execution_fee, 0, at
        )

    # --------------------------------------------------------------------------------------------------- liquidation

    def liquidate(self, account: int, market_id: int, *, now: int, sender: int, gas: Gas = FREE) -> CloseOut:
        return self._atomic(liquidation.liquidate, self.state, now, sender, account, market_id, gas)

    def take_over(self, account: int, market_id: int, base: int, to_account: int, *, now: int, sender: int) -> TakeOver:
        return self._atomic(liquidation.take_over, self.state, now, sender, account, market_id, base, to_account)

    def absorb(self, account: int, *, now: int, sender: int, gas: Gas = FREE) -> Absorption:
        return self._atomic(liquidation.absorb, self.state, now, sender, account, gas)

    def deleverage(self, market_id: int, *, now: int) -> Deleveraging:
        """Close what is due of the side opposite the pool; anyone may ask."""
        return self._atomic(liquidation.deleverage, self.state, now, market_id)

    def accrue(self, market_id: int, *, now: int) -> Deleveraging | None:
        """Bring a market up to now, with the deleveraging that is due; anyone may ask."""
        return self._atomic(self.state.bring_up, self.state.markets[market_id], now)

    def settle(self, account: int, market_id: int, *, now: int) -> int:
        """Pay what a position without a base owes; anyone may ask. Returns the cash that the account got."""
        return self._atomic(shutdown.settle, self.state, now, account, market_id)

    def declare_dead(self, market_id: int, *, now: int) -> None:
        """Anyone may, of a market that has had no record for ten minutes."""
        self._atomic(shutdown.declare_dead, self.state, now, market_id)

    def confirm_dead(self, market_id: int, *, now: int, sequencer: int = OPEN) -> None:
        self._atomic(shutdown.confirm_dead, self.state, now, market_id, sequencer)

    def close_dead(self, market_id: int, *, now: int, sequencer: int = OPEN) -> None:
        """Close every position of a market at its last price."""
        self._atomic(shutdown.close_dead, self.state, now, market_id, sequencer)

    def deleverage_event(self, market_id: int, sign: int, fraction: int, price: int, *, now: int) -> Deleveraging:
        """Inject a deleveraging of one side (sign ±1) by `fraction` (WAD), after the one that is due."""

        def run() -> Deleveraging:
            market = self.state.markets[market_id]
            self.state.bring_up(market, now)
            return market.deleverage(sign, fraction, price)

        return self._atomic(run)

    # ---------------------------------------------------------------------------------------------------- governance

    def list_market(
        self,
        scale: int,
        params: MarketParams,
        *,
        now: int,
        orders: OrderParams | None = None,
        market_id: int | None = None,
    ) -> int:
        """A new market with S = scale. Returns its id, the next one where none is given."""
        highest = max(self.state.markets, default=0)
        market_id = market_id or highest + 1
        if not highest < market_id <= MAX_MARKETS:
            raise ValueError(f"market {market_id} can't be listed: ids ascend from {highest + 1} to {MAX_MARKETS}")
        pool_account = ids.pack(self.state.pool, market_id)
        market = Market(market_id, scale, params, orders or OrderParams(), pool_account, now)
        self._atomic(self.state.journal.put, self.state.markets, market_id, market)
        return market_id

    def set_params(self, market_id: int, params: MarketParams, *, now: int) -> None:
        """Accrues at the old parameters; of maintenance only mmFraction rises, over the ramp."""

        def run() -> None:
            market = self.state.markets[market_id]
            self.state.bring_up(market, now)
            market.rules = market.rules.changed(params, now)
            limit = params.max_funding_rate
            market.rate = max(-limit, min(market.rate, limit))

        self._atomic(run)

    def set_order_params(self, market_id: int, params: OrderParams) -> None:
        def run() -> None:
            market = self.state.markets[market_id]
            self.state.journal.save(market)
            market.order_params = params

        self._atomic(run)

    def halt_opening(self, market_id: int, until: int) -> None:
        def run() -> None:
            market = self.state.markets[market_id]
            self.state.journal.save(market)
            market.halt_until = until

        self._atomic(run)

    def sweep(self, market_id: int) -> tuple[int, int]:
        """Fees not swept go to fund and treasury. Returns both."""
        return self._atomic(self.state.sweep, self.state.markets[market_id])

    # -------------------------------------------------------------------------------------------------- share vaults

    def request_deposit(
        self, vault: RequestVault, assets: int, controller: int, owner: int, *, now: int, sender: int
    ) -> int:
        """Ask to enter `protocol.pool` or `protocol.fund`."""
        return self._atomic(vault.request_deposit, now, sender, assets, controller, owner)

    def request_redeem(
        self, vault: RequestVault, shares: int, controller: int, owner: int, *, now: int, sender: int
    ) -> int:
        """Ask to leave."""
        return self._atomic(vault.request_redeem, now, sender, shares, controller, owner)

    def execute_request(self, vault: RequestVault, request_id: int, *, now: int) -> Executed:
        return self._atomic(vault.execute, now, request_id)

    # --------------------------------------------------------------------------------------------------------- views

    def cash_of(self, account: int) -> int:
        return self.state.cash_of(account)

    def reserved_of(self, account: int) -> int:
        found = self.state.accounts.get(account)
        return found.reserved if found else 0

    def markets_bitmap(self, account: int) -> int:
        found = self.state.accounts.get(account)
        return found.markets if found else 0

    def position(self, account: int, market_id: int, now: int) -> tuple[int, int, int]:
        """(base, quote, owed) as of now; of the pool's account in the market too."""
        market = self.state.markets[market_id]
        if account == market.pool_account:
            due = market.pending(self.state.cash_of(account), now)
            return -market.skew, market.pool_quote + (due.pool_quote if due else 0), 0
        return self.state.view(market, account, now)

    def equity(self, account: int, now: int) -> int:
        """E at plain newest prices; of a pool's account too."""
        for market in self.state.markets.values():
            if account == market.pool_account:
                return self.pool_capital(market.id, now)
        return self.state.equity(account, now)

    def requirements(self, account: int, now: int) -> tuple[int, int]:
        """(initial, maintenance) at plain newest prices."""
        needed = kept = 0
        for market, newest, base, _ in self.state.valued(account, now):
            needed += initial(market, abs(base), newest.price)
            kept += maintenance(market, abs(base), newest.price, now)
        return needed, kept

    def health(self, account: int, now: int) -> int:
        """h, WAD."""
        equity, required = self.state.health(account, now)
        if not required:
            return MAX_HEALTH if equity >= 0 else MIN_HEALTH
        return equity * WAD // required

    def is_liquidatable(self, account: int, now: int) -> bool:
        equity, required = self.state.health(account, now)
        return equity < required

    def is_bankrupt(self, account: int, now: int) -> bool:
        equity, _ = self.state.health(account, now)
        return equity <= 0 and self.markets_bitmap(account) != 0

    def withdrawable(self, account: int, now: int) -> int:
        """Token units. Raises PerpMarket_StalePrice."""
        return self.state.withdrawable(account, now)

    def fill_price(self, market_id: int, size: int) -> int:
        market = self.state.markets[market_id]
        newest = self._newest(market)
        return market.fill_quote(size, newest.price, newest.confidence).price

    def mark_price(self, market_id: int) -> int:
        market = self.state.markets[market_id]
        return market.mark_price(self._newest(market).price)

    def funding_rate(self, market_id: int, now: int) -> int:
        """WAD a day, as of now."""
        market = self.state.markets[market_id]
        if market.newest is None or now == market.last:
            return market.rate
        return rate_after(market.rules.params, market.scale, market.skew, market.rate, now - market.last)[0]

    def open_interest(self, market_id: int) -> tuple[int, int]:
        market = self.state.markets[market_id]
        return market.long, market.short

    def skew(self, market_id: int) -> int:
        return self.state.markets[market_id].skew

    def pool_capital(self, market_id: int, now: int) -> int:
        """The pool's equity in a market at the newest price, accrued to now."""
        market = self.state.markets[market_id]
        cash = self.state.cash_of(market.pool_account)
        due = market.pending(cash, now)
        price = market.newest.price if market.newest else 0
        return market.capital(cash, price) + (due.pool_quote if due else 0)

    def settlement(self, market_id: int, not_before: int) -> Record | None:
        """The record at which an order with this T settles."""
        market = self.state.markets[market_id]
        return settlement_record(market.records, market.newest, not_before)

    def check_sums(self, now: int) -> sums.Sums:
        """Σ over every account and position. Raises AssertionError with the figures."""
        return sums.check_sums(self.state, now)

    def check_sums_quickly(self, now: int) -> sums.Sums:
        """The same from running sums; cheap enough for after every call."""
        return sums.check_sums_quickly(self.state, now)

    # ------------------------------------------------------------------------------------------------------ the parts

    def _atomic(self, action: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        journal = self.state.journal
        point = journal.begin()
        try:
            result = action(*args, **kwargs)
        except BaseException:
            journal.rollback(point)
            raise
        journal.commit()
        return result

    def _signed(self, order: Order, signer: int | None) -> Signed:
        return Signed(order, self.order_hash(order), signer)

    def _require_owner(self, account: int, sender: int) -> None:
        if account >> 96 != sender:
            raise Refusal("MarginVault_NotOwner", account, sender)

    def _require_withdrawable(self, account: int, amount: int, now: int) -> None:
        available = self.state.withdrawable(account, now)
        if available < amount:
            raise Refusal("MarginVault_InsufficientMargin", available, amount)

    def _move_tokens(self, account: int, amount: int) -> None:
        state = self.state
        state.journal.save(state.totals)
        state.totals.tokens += amount
        state.credit(account, amount * state.unit)

    def _move_cash(self, from_account: int, to_account: int, amount: int) -> None:
        self.state.credit(from_account, -amount)
        self.state.credit(to_account, amount)

    def _record(self, market: Market, price: int, confidence: int, published_at: int, state: int) -> None:
        journal = self.state.journal
        sequence = market.newest.sequence + 1 if market.newest else 1
        record = Record(price, confidence, published_at, state, sequence)
        journal.save(market)
        market.newest = record
        journal.put(market.records, sequence, record)
        if sequence > HELD_RECORDS:
            journal.drop(market.records, sequence - HELD_RECORDS)

    def _newest(self, market: Market) -> Record:
        if market.newest is None:
            raise ValueError(f"market {market.id} has no price")
        return market.newest
