"""A trader's hands on one deployment: money in and out, orders of all kinds, their compositions, delegates.

```python
trader = Plimsoll(chain, addresses, signer, markets={"ETH": 1})
trader.deposit("10_000")
print(trader.quote("ETH", "2.5").fill_price)
placed = trader.place_market("ETH", "2.5", slippage_bps=30)
print(trader.wait_for(placed))
trader.place(trader.stop_loss_order("ETH", "2_900"))
```

Sizes, prices and dollars come in as str, int or Decimal (what a person writes) and are WAD integers from there on.
Whatever is wrong is a UserError of one line. Exits without a size are for all of the position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from plimsoll.chain.transactions import Receipt
from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD, format_usd, to_units, to_wad
from plimsoll.sdk.compositions import Bracket, bracket, ladder
from plimsoll.sdk.delegates import scope_of
from plimsoll.sdk.order_book import OrderStatus, Placed
from plimsoll.sdk.orders import limit_order, market_order, stop_loss_order, take_profit_order
from plimsoll.sdk.quotes import worse_by
from plimsoll.sdk.shutdown import settle_all
from plimsoll.sdk.snapshots import MarketSnapshot, PositionSnapshot
from plimsoll.sdk.views import Amount, Market, Views

DEFAULT_SLIPPAGE_BPS = 50
ALL = "all"


class Plimsoll(Views):
    """One deployment as one trader uses it. Without a signer it only reads."""

    # --- money ---------------------------------------------------------------------------------------------------

    def deposit(self, dollars: Amount, account: int | None = None) -> Receipt:
        """Tokens of the signer into an account, by default his cross account; approves the vault where it must."""
        signer, vault, token = self.signer, self.contracts.vault, self.contracts.token
        amount = self._tokens(dollars, "deposit")
        balance = int(token.call("balanceOf", signer.address))
        if balance < amount:
            raise UserError(
                f"deposit: {signer.address} has {self._shown(balance)} tokens, fewer than {self._shown(amount)}"
            )
        with self._refusals("deposit"):
            if int(token.call("allowance", signer.address, vault.address)) < amount:
                token.transact(signer, "approve", vault.address, amount)
            return vault.transact(signer, "deposit", self._own(account), amount)

    def withdraw(
        self, dollars: Amount, account: int | None = None, to: str | None = None, *, to_l1: bool = False
    ) -> Receipt:
        """Tokens out of an account to an address, by default the signer's own; "all" takes what can leave.

        What a closed market left in the account is settled first. With `to_l1` the address is one on L1, paid there
        once the withdrawal is proven and final (`plimsoll.sdk.rollup.withdrawals`).
        """
        account = self._own(account)
        settle_all(self.contracts, self.signer, account)
        amount = self._leaving(dollars, account, "withdraw")
        door = self.contracts.of("L2Gateway") if to_l1 else self.contracts.vault
        with self._refusals("withdraw"):
            return door.transact(self.signer, "withdraw", account, amount, to or self.signer.address)

    def transfer(self, from_account: int, to_account: int, dollars: Amount) -> Receipt:
        """Cash between two accounts of the signer; "all" takes what can leave. Settles first, as `withdraw` does."""
        settle_all(self.contracts, self.signer, from_account)
        amount = self._leaving(dollars, from_account, "transfer")
        with self._refusals("transfer"):
            return self.contracts.vault.transact(self.signer, "transfer", from_account, to_account, amount)

    # --- orders --------------------------------------------------------------------------------------------------

    def market_order(
        self,
        market: Market,
        size: Amount,
        *,
        account: int | None = None,
        acceptable_price: Amount | None = None,
        slippage_bps: int = DEFAULT_SLIPPAGE_BPS,
        reduce_only: bool = False,
        expiry: int = 0,
        salt: int | None = None,
    ) -> Order:
        """A market order of `size` (negative to sell), not placed; one to be signed needs an `expiry` (Unix seconds).

        The acceptable price is, where not given, `slippage_bps` worse than the quote now. Raises UserError for a market
        whose price is too old to open at.
        """
        account, market_id, base = self._own(account), self.market_id(market), self._size(size)
        snapshot = self._priced(market_id)
        if not reduce_only and not snapshot.is_fresh():
            raise UserError(
                f"{self.market_name(market_id)}: the newest price is {snapshot.age()} s old; nothing opens until a "
                "publisher records one"
            )
        if acceptable_price is None:
            limit = worse_by(self._quote(snapshot, base).fill_price, base, slippage_bps)
        else:
            limit = to_wad(acceptable_price, what="acceptable price")
        return market_order(
            account,
            market_id,
            base,
            acceptable_price=limit,
            reduce_only=reduce_only,
            expiry=expiry,
            counter=self.counter_of(account),
            salt=salt,
        )

    def limit_order(
        self,
        market: Market,
        size: Amount,
        price: Amount,
        *,
        account: int | None = None,
        reduce_only: bool = False,
        time_in_force: TimeInForce = TimeInForce.GOOD_TILL_TIME,
        expiry: int = 0,
        salt: int | None = None,
    ) -> Order:
        """An order, not placed, that waits until `size` (negative to sell) fills at `price` or better.

        Any other `time_in_force` than good till time is for orders that are signed to be matched.
        """
        account = self._own(account)
        return limit_order(
            account,
            self.market_id(market),
            self._size(size),
            to_wad(price, what="price"),
            reduce_only=reduce_only,
            time_in_force=time_in_force,
            expiry=expiry,
            counter=self.counter_of(account),
            salt=salt,
        )

    def stop_loss_order(
        self,
        market: Market,
        trigger_price: Amount,
        size: Amount | None = None,
        *,
        account: int | None = None,
        acceptable_price: Amount | None = None,
        expiry: int = 0,
        salt: int | None = None,
    ) -> Order:
        """A stop-loss for a position, not placed; at any price where no acceptable one is given.

        Raises UserError where there is no position, or the stop would be due at once.
        """
        account, market_id = self._own(account), self.market_id(market)
        order = stop_loss_order(
            account,
            market_id,
            _exit_size(self._held(market_id, account), size),
            to_wad(trigger_price, what="trigger price"),
            acceptable_price=_optional(acceptable_price, "acceptable price"),
            expiry=expiry,
            counter=self.counter_of(account),
            salt=salt,
        )
        self._require_not_due(order)
        return order

    def take_profit_order(
        self,
        market: Market,
        trigger_price: Amount,
        size: Amount | None = None,
        *,
        account: int | None = None,
        acceptable_price: Amount | None = None,
        slippage_bps: int = DEFAULT_SLIPPAGE_BPS,
        expiry: int = 0,
        salt: int | None = None,
    ) -> Order:
        """A take-profit for a position, not placed; `slippage_bps` worse than its trigger where no price is given.

        Raises UserError where there is no position, or it would be due at once.
        """
        account, market_id = self._own(account), self.market_id(market)
        base, trigger = _exit_size(self._held(market_id, account), size), to_wad(trigger_price, what="trigger price")
        acceptable = _optional(acceptable_price, "acceptable price")
        order = take_profit_order(
            account,
            market_id,
            base,
            trigger,
            acceptable_price=worse_by(trigger, base, slippage_bps) if acceptable is None else acceptable,
            expiry=expiry,
            counter=self.counter_of(account),
            salt=salt,
        )
        self._require_not_due(order)
        return order

    def place_market(
        self,
        market: Market,
        size: Amount,
        *,
        account: int | None = None,
        acceptable_price: Amount | None = None,
        slippage_bps: int = DEFAULT_SLIPPAGE_BPS,
        reduce_only: bool = False,
        salt: int | None = None,
    ) -> Placed:
        """Place `market_order`: it settles at the first price after the settlement delay."""
        order = self.market_order(
            market,
            size,
            account=account,
            acceptable_price=acceptable_price,
            slippage_bps=slippage_bps,
            reduce_only=reduce_only,
            salt=salt,
        )
        return self.place(order)

    def place_limit(
        self,
        market: Market,
        size: Amount,
        price: Amount,
        *,
        account: int | None = None,
        reduce_only: bool = False,
        expiry: int = 0,
        salt: int | None = None,
    ) -> Placed:
        """Place `limit_order`."""
        order = self.limit_order(
            market, size, price, account=account, reduce_only=reduce_only, expiry=expiry, salt=salt
        )
        return self.place(order)

    def closing_order(
        self,
        market: Market,
        *,
        account: int | None = None,
        slippage_bps: int = DEFAULT_SLIPPAGE_BPS,
        expiry: int = 0,
    ) -> Order:
        """A reduce-only market order for all of a position, not placed. Raises UserError where there is none."""
        account, market_id = self._own(account), self.market_id(market)
        base = -self._held(market_id, account).base
        limit = worse_by(self._quote(self._priced(market_id), base).fill_price, base, slippage_bps)
        return market_order(
            account,
            market_id,
            base,
            acceptable_price=limit,
            reduce_only=True,
            expiry=expiry,
            counter=self.counter_of(account),
        )

    def close(self, market: Market, *, account: int | None = None, slippage_bps: int = DEFAULT_SLIPPAGE_BPS) -> Placed:
        """Place `closing_order`."""
        return self.place(self.closing_order(market, account=account, slippage_bps=slippage_bps))

    def cancel(self, order: Order | bytes) -> Receipt:
        """Take an order back, given whole or by its hash. Raises UserError for market orders in the queue."""
        return super().cancel(self.order_of(order) if isinstance(order, bytes) else order)

    def force(self, order: Order | bytes, payloads: Sequence[bytes] = ()) -> Receipt:
        """Settle a reduce-only order that waits where nobody records prices, at the price of the push sources, or at
        signed `payloads`, one for each pull source of the market (empty for what it holds). Half a percent against it.
        """
        order = self.order_of(order) if isinstance(order, bytes) else order
        book = self.contracts.order_book
        with self._refusals("force"):
            if self.commitment(order).status == OrderStatus.QUEUED:
                book.transact(self.signer, "execute", tuple(order), [])
            return book.transact(self.signer, "executeForced", tuple(order), list(payloads))

    # --- compositions --------------------------------------------------------------------------------------------

    def bracket(
        self,
        market: Market,
        size: Amount,
        stop_price: Amount,
        profit_price: Amount,
        *,
        price: Amount | None = None,
        account: int | None = None,
        slippage_bps: int = DEFAULT_SLIPPAGE_BPS,
        entry_expiry: int = 0,
        expiry: int = 0,
    ) -> Bracket:
        """An entry of `size` (negative to sell) with its stop-loss and take-profit, not placed.

        The entry is a limit order where a `price` is given, else a market order. `expiry` is the exits'. Raises
        UserError where an exit would be due at once.
        """
        if price is None:
            entry = self.market_order(market, size, account=account, slippage_bps=slippage_bps, expiry=entry_expiry)
        else:
            entry = self.limit_order(market, size, price, account=account, expiry=entry_expiry)
        profit = to_wad(profit_price, what="take-profit")
        found = bracket(
            entry,
            to_wad(stop_price, what="stop-loss"),
            profit,
            profit_acceptable=worse_by(profit, -entry.base, slippage_bps),
            expiry=expiry,
        )
        if price is None:
            for exit_order in (found.stop_loss, found.take_profit):
                self._require_not_due(exit_order)
        return found

    def ladder(
        self,
        market: Market,
        first_price: Amount,
        last_price: Amount,
        steps: int,
        size: Amount | None = None,
        *,
        account: int | None = None,
        expiry: int = 0,
    ) -> list[Order]:
        """Take-profits for a position at `steps` prices from the first to the last, not placed.

        Raises UserError where there is no position, one would be due at once, or one would leave less than the market's
        minimum position.
        """
        account, market_id = self._own(account), self.market_id(market)
        held = self._held(market_id, account)
        found = ladder(
            account,
            market_id,
            _exit_size(held, size),
            to_wad(first_price, what="first price"),
            to_wad(last_price, what="last price"),
            steps,
            expiry=expiry,
            counter=self.counter_of(account),
        )
        snapshot, left = self._priced(market_id), abs(held.base)
        least = snapshot.configuration.rules.min_position
        for order in found:
            self._require_not_due(order, snapshot)
            left = max(0, left - abs(order.base))
            worth = left * order.trigger_price // WAD
            if left and worth < least:
                raise UserError(
                    f"ladder: the exit at {format_usd(order.trigger_price)} would leave a position of "
                    f"{format_usd(worth)}; the market's minimum is {format_usd(least)}"
                )
        return found

    # --- delegates -----------------------------------------------------------------------------------------------

    def delegate(
        self,
        delegate: str,
        markets: Iterable[Market],
        until: int,
        daily_budget: Amount,
        *,
        account: int | None = None,
        may_match: bool = False,
        may_take_over: bool = False,
    ) -> Receipt:
        """Let an address trade in these markets until that second (Unix), for so many whole dollars a day (UTC)."""
        scope = scope_of(
            [self.market_id(market) for market in markets],
            until,
            to_units(daily_budget, 0, what="daily budget"),
            may_match=may_match,
            may_take_over=may_take_over,
        )
        return self.set_delegate(delegate, scope, account)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _held(self, market_id: int, account: int) -> PositionSnapshot:
        held = self.position(market_id, account)
        if held is None:
            raise UserError(f"{self.market_name(market_id)}: the account has no position to close")
        return held

    def _require_not_due(self, order: Order, snapshot: MarketSnapshot | None = None) -> None:
        """Raises UserError where the newest price triggers the order already."""
        price = (snapshot or self._priced(order.market_id)).price
        wants_higher = order.is_buy == (order.kind == OrderKind.STOP_LOSS)
        if price >= order.trigger_price if wants_higher else price <= order.trigger_price:
            raise UserError(
                f"{self.market_name(order.market_id)}: the index is {format_usd(price)}, and the order would be due at "
                f"{format_usd(order.trigger_price)} at once; choose another price, or close the position"
            )

    def _tokens(self, dollars: Amount, what: str) -> int:
        amount = to_units(dollars, self.contracts.token_decimals, what=what)
        if amount <= 0:
            raise UserError(f"{what}: {dollars} is not more than zero")
        return amount

    def _leaving(self, dollars: Amount, account: int, what: str) -> int:
        if dollars != ALL:
            return self._tokens(dollars, what)
        with self._refusals(what):
            amount = int(self.contracts.vault.call("withdrawable", account))
        if not amount:
            raise UserError(f"{what}: nothing can leave the account now")
        return amount

    def _shown(self, amount: int) -> str:
        return format_usd(amount * self.contracts.token_unit).replace("$", "")


def _optional(price: Amount | None, what: str) -> int | None:
    return None if price is None else to_wad(price, what=what)


def _exit_size(held: PositionSnapshot, size: Amount | None) -> int:
    """What closes a position, or `size` of it: signed as the order is."""
    if size is None or size == ALL:
        return -held.base
    base = to_wad(size, what="size")
    if base <= 0:
        raise UserError(f"size: {size} is not more than zero; an exit's side is the other of the position's")
    return -base if held.base > 0 else base
