"""The two share vaults, of the liquidity pool and of the insurance fund: prices of shares and delayed requests."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk import margin
from plimsoll.risk.config import RequestParams
from plimsoll.risk.journal import Recorded
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import State

VIRTUAL_SHARES = 10**6
DEPOSIT, REDEEM = 0, 1


class Request(NamedTuple):
    """A pending entry (amount in token units) or exit (amount in shares); executed from maturity to deadline."""

    kind: int
    amount: int
    controller: int
    owner: int
    maturity: int
    deadline: int


class Executed(NamedTuple):
    """How a request ended: what was given (shares for a deposit, token units for an exit), or that it lapsed."""

    lapsed: bool
    given: int


class RequestVault(Recorded):
    """Shares over ledger accounts. `address` is the vault's own, which holds shares and cash in escrow."""

    __slots__ = ("address", "balances", "escrow", "next_id", "params", "requests", "state", "supply")
    FIELDS: ClassVar[tuple[str, ...]] = ("supply", "next_id")

    def __init__(self, state: State, address: int, params: RequestParams) -> None:
        super().__init__()
        self.state = state
        self.address = address
        self.params = params
        self.escrow = ids.pack(address, index=1)
        self.balances: dict[int, int] = {}
        self.requests: dict[int, Request] = {}
        self.supply = 0
        self.next_id = 1

    # ---------------------------------------------------------------------------------------------------- conversion

    def total_assets(self, now: int) -> int:
        """Token units behind the shares."""
        raise NotImplementedError

    def to_shares(self, assets: int, now: int) -> int:
        return assets * (self.supply + VIRTUAL_SHARES) // (self.total_assets(now) + 1)

    def to_assets(self, shares: int, now: int) -> int:
        return shares * (self.total_assets(now) + 1) // (self.supply + VIRTUAL_SHARES)

    # ------------------------------------------------------------------------------------------------------ requests

    def request_deposit(self, now: int, sender: int, assets: int, controller: int, owner: int) -> int:
        """Cash of the owner's cross account 0 goes into escrow. Returns the request's id."""
        self._require_may_ask(sender, assets, controller, owner)
        account = ids.pack(owner)
        available = self.state.withdrawable(account, now)
        if available < assets:
            raise Refusal("RequestVault_InsufficientMargin", available, assets)
        self.state.credit(account, -assets * self.state.unit)
        self.state.credit(self.escrow, assets * self.state.unit)
        return self._add(now, DEPOSIT, assets, controller, owner)

    def request_redeem(self, now: int, sender: int, shares: int, controller: int, owner: int) -> int:
        """Shares go into escrow at the vault and still count. Returns the request's id."""
        self._require_may_ask(sender, shares, controller, owner)
        held = self.balances.get(owner, 0)
        if held < shares:
            raise Refusal("ERC20InsufficientBalance", owner, held, shares)
        self._move(owner, self.address, shares)
        return self._add(now, REDEEM, shares, controller, owner)

    def execute(self, now: int, request_id: int) -> Executed:
        """Carry a matured request out, or give back what a lapsed one put in escrow."""
        request = self.requests.get(request_id)
        if request is None:
            raise Refusal("RequestVault_Unknown", request_id)
        state = self.state
        state.journal.drop(self.requests, request_id)
        if now > request.deadline:
            if request.kind == DEPOSIT:
                self._release(ids.pack(request.owner), request.amount)
            else:
                self._move(self.address, request.owner, request.amount)
            return Executed(True, request.amount)
        if now < request.maturity:
            raise Refusal("RequestVault_NotMature", request.maturity)
        self._prepare(now, request.maturity)
        if request.kind == DEPOSIT:
            shares = self.to_shares(request.amount, now)
            if not shares:
                raise Refusal("RequestVault_ZeroAmount")
            state.credit(self.escrow, -request.amount * state.unit)
            self._enter(request.amount * state.unit)
            self._mint(request.controller, shares)
            return Executed(False, shares)
        assets = self.to_assets(request.amount, now)
        self._burn(request.amount)
        self._leave(assets * state.unit)
        state.credit(ids.pack(request.controller), assets * state.unit)
        self._require_limits()
        return Executed(False, assets)

    # ---------------------------------------------------------------------------------------- what the vaults differ in

    def _prepare(self, now: int, maturity: int) -> None:
        """Refuse a share price that may not be used for a request of that maturity; bring the ledger up to date."""

    def _enter(self, value: int) -> None:
        raise NotImplementedError

    def _leave(self, value: int) -> None:
        raise NotImplementedError

    def _require_limits(self) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------- the parts

    def _require_may_ask(self, sender: int, amount: int, controller: int, owner: int) -> None:
        if sender != owner:
            raise Refusal("RequestVault_NotOwner", owner, sender)
        if not amount:
            raise Refusal("RequestVault_ZeroAmount")
        if not controller or self.state.is_protocol_account(ids.pack(controller)):
            raise Refusal("RequestVault_InvalidController", controller)

    def _add(self, now: int, kind: int, amount: int, controller: int, owner: int) -> int:
        params = self.params
        maturity = now + (params.deposit_delay if kind == DEPOSIT else params.redeem_cooldown)
        request = Request(kind, amount, controller, owner, maturity, maturity + params.execution_window)
        request_id = self.next_id
        self.state.journal.save(self)
        self.next_id += 1
        self.state.journal.put(self.requests, request_id, request)
        return request_id

    def _release(self, account: int, assets: int) -> None:
        self.state.credit(self.escrow, -assets * self.state.unit)
        self.state.credit(account, assets * self.state.unit)

    def _move(self, holder: int, to: int, shares: int) -> None:
        put = self.state.journal.put
        put(self.balances, holder, self.balances.get(holder, 0) - shares)
        put(self.balances, to, self.balances.get(to, 0) + shares)

    def _mint(self, to: int, shares: int) -> None:
        self.state.journal.save(self)
        self.supply += shares
        self.state.journal.put(self.balances, to, self.balances.get(to, 0) + shares)

    def _burn(self, shares: int) -> None:
        self.state.journal.save(self)
        self.supply -= shares
        self.state.journal.put(self.balances, self.address, self.balances[self.address] - shares)


class LiquidityPool(RequestVault):
    """Shares over the pool's account in every market."""

    __slots__ = ()

    def market_equity(self, market: Market, now: int) -> int:
        """e_m: the pool's equity in a market at the price at which its position could be unwound."""
        cash = self.state.cash_of(market.pool_account)
        due = market.pending(cash, now)
        value = cash + market.pool_quote + (due.pool_quote if due else 0)
        skew = market.skew
        if not skew:
            return value
        assert market.newest is not None, "skew in a market without a price"
        scaled = market.newest.price * (2 * market.scale + skew)
        twice = 2 * market.scale
        unwinding = -(-scaled // twice) if skew > 0 else scaled // twice
        return value + -skew * unwinding // WAD

    def total_assets(self, now: int) -> int:
        return sum(max(0, self.market_equity(m, now)) for m in self.state.markets.values()) // self.state.unit

    def _prepare(self, now: int, maturity: int) -> None:
        for market in self.state.markets.values():
            newest = market.newest
            if market.skew:
                assert newest is not None, "skew in a market without a price"
                if newest.published_at < maturity or not market.is_fresh(now) or newest.state != OPEN:
                    raise Refusal("RequestVault_PriceUnusable", market.id, newest.published_at, newest.state)
            self.state.bring_up(market, now)

    def _enter(self, value: int) -> None:
        weights = [(m, self.params.weights_bps.get(m.id, 0)) for m in self.state.markets.values()]
        weighted = [(m, w) for m, w in weights if w]
        for market, _ in weighted:
            equity = self.market_equity(market, market.last)
            if equity < -WAD:
                raise Refusal("LiquidityPool_Insolvent", market.id, equity)
        self._split(value, weighted, 10_000)

    def _leave(self, value: int) -> None:
        equities = [(m, self.market_equity(m, m.last)) for m in self.state.markets.values()]
        positive = [(m, e) for m, e in equities if e > 0]
        self._split(-value, positive, sum(e for _, e in positive))

    def _split(self, value: int, weights: list[tuple[Market, int]], total: int) -> None:
        """Credit ⌊|value| × w / total⌋ each, the last market the remainder; debit where value is negative."""
        size, sign = (value, 1) if value >= 0 else (-value, -1)
        left = size
        for index, (market, weight) in enumerate(weights):
            share = left if index == len(weights) - 1 else size * weight // total
            self.state.credit(market.pool_account, sign * share)
            left -= share
        assert not left, "no market to take the capital"

    def _require_limits(self) -> None:
        for market in self.state.markets.values():
            if market.skew:
                assert market.newest is not None, "skew in a market without a price"
                price = market.newest.price
                capital = market.capital(self.state.cash_of(market.pool_account), price)
                exposure = margin.notional(abs(market.skew), price)
                limit = market.exposure_limit(capital, price)
                if exposure > max(limit, WAD):
                    raise Refusal("RequestVault_OpeningLimit", market.id, exposure, limit)


class InsuranceFund(RequestVault):
    """Shares over the fund's cash."""

    __slots__ = ()

    def total_assets(self, now: int) -> int:
        return max(0, self.state.cash_of(self.state.fund_account)) // self.state.unit

    def _prepare(self, now: int, maturity: int) -> None:
        """Fees that wait in the markets belong to those who are in now."""
        for market in self.state.markets.values():
            if market.unswept_insurance:
                self.state.sweep(market)

    def _enter(self, value: int) -> None:
        self.state.credit(self.state.fund_account, value)

    def _leave(self, value: int) -> None:
        self.state.credit(self.state.fund_account, -value)

    def _require_limits(self) -> None:
        pass
