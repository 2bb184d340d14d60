"""A trader's view of one deployment: money in and out, orders, and what the account and the markets look like.

```python
trader = Plimsoll(chain, addresses, signer, markets={"ETH": 1})
trader.deposit("10_000")
print(trader.quote("ETH", "2.5").fill_price)
placed = trader.place_market("ETH", "2.5", slippage_bps=30)
print(trader.wait_for(placed))
```

Sizes, prices and dollars come in as str, int or Decimal (what a person writes) and are WAD integers from there on.
Whatever is wrong is a UserError of one line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal

from plimsoll.chain.transactions import Block, Chain, Receipt, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS, WAD, format_usd, to_units, to_wad
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk import events
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    ORDER_ENDS,
    Happened,
    OrderExecuted,
    OrderFailed,
    OrderPlaced,
    OrderVoided,
    Traded,
    decode_all,
)
from plimsoll.sdk.history import Histories, OpenOrder, open_orders
from plimsoll.sdk.orders import Order, limit_order, market_order
from plimsoll.sdk.refusals import in_words, refusals_as_user_errors
from plimsoll.sdk.snapshots import (
    AccountSnapshot,
    MarketSnapshot,
    PositionSnapshot,
    market_count,
    read_accounts,
    read_markets,
)

Amount = str | int | Decimal
Market = str | int

DEFAULT_SLIPPAGE_BPS = 50
ALL = "all"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a fill of `base` against the pool would be now. `amount` goes to the account's quote: negative for a buy."""

    market_id: int
    base: int
    index_price: int
    fill_price: int
    amount: int
    fee: int
    execution_fee: int
    fee_reserve: int

    @property
    def impact_bps(self) -> int:
        """How much worse than the index the fill price is, rounded toward zero."""
        worse = self.fill_price - self.index_price if self.base > 0 else self.index_price - self.fill_price
        return int(Decimal(worse * BPS) / self.index_price)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was placed. `settle_from` is T, Unix seconds; `sequence` 0 for one that waits for its price."""

    order: Order
    hash: bytes
    settle_from: int
    sequence: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended: "filled", "failed", "void" or "cancelled"; the fill, or in words why there is none."""

    status: str
    record: Happened
    fill: Traded | None = None
    reason: str = ""


class Plimsoll:
    """One deployment as one trader uses it. Without a signer it only reads."""

    def __init__(
        self,
        chain: Chain,
        addresses: Mapping[str, str] | Contracts,
        signer: Signer | None = None,
        *,
        markets: Mapping[str, int] | None = None,
    ) -> None:
        """`addresses` by contract name; `markets` gives ids to names. Raises UserError where a contract is missing."""
        self.chain = chain
        self.contracts = addresses if isinstance(addresses, Contracts) else Contracts(chain, addresses)
        self.names = dict(markets or {})
        self._signer = signer
        self._histories = Histories(self.contracts)

    @property
    def signer(self) -> Signer:
        """Raises UserError where there is none."""
        if self._signer is None:
            raise UserError("no key: this needs a signer")
        return self._signer

    def account(self, *, isolated_market: Market | None = None, index: int = 0) -> int:
        """The id of one of the signer's accounts: cross, or isolated in one market."""
        market_id = 0 if isolated_market is None else self.market_id(isolated_market)
        return ids.pack(self.signer.address, market_id, index)

    def market_id(self, market: Market) -> int:
        """A market's id by its name ("ETH", "eth/usd") or number. Raises UserError."""
        if isinstance(market, int):
            return market
        return market_named(self.names, market)

    def market_name(self, market_id: int) -> str:
        """What people call a market."""
        return next((name for name, one in self.names.items() if one == market_id), f"market {market_id}")

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

    def withdraw(self, dollars: Amount, account: int | None = None, to: str | None = None) -> Receipt:
        """Tokens out of an account to an address, by default the signer's own; "all" takes what can leave."""
        account = self._own(account)
        amount = self._leaving(dollars, account, "withdraw")
        with self._refusals("withdraw"):
            return self.contracts.vault.transact(self.signer, "withdraw", account, amount, to or self.signer.address)

    def transfer(self, from_account: int, to_account: int, dollars: Amount) -> Receipt:
        """Cash between two accounts of the signer; "all" takes what can leave."""
        amount = self._leaving(dollars, from_account, "transfer")
        with self._refusals("transfer"):
            return self.contracts.vault.transact(self.signer, "transfer", from_account, to_account, amount)

    # --- orders --------------------------------------------------------------------------------------------------

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
        """A market order of `size` (negative to sell). It settles at the first price after the settlement delay.

        The acceptable price is, where not given, `slippage_bps` worse than the quote now. Raises UserError for a market
        whose price is too old to open at.
        """
        market_id, base = self.market_id(market), self._size(size)
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
        order = market_order(
            self._own(account), market_id, base, acceptable_price=limit, reduce_only=reduce_only, salt=salt
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
        """An order that waits until `size` (negative to sell) fills at `price` or better."""
        order = limit_order(
            self._own(account),
            self.market_id(market),
            self._size(size),
            to_wad(price, what="price"),
            reduce_only=reduce_only,
            expiry=expiry,
            salt=salt,
        )
        return self.place(order)

    def close(self, market: Market, *, account: int | None = None, slippage_bps: int = DEFAULT_SLIPPAGE_BPS) -> Placed:
        """A reduce-only market order for all of a position. Raises UserError where there is none."""
        market_id, account = self.market_id(market), self._own(account)
        held = self.position(market_id, account)
        if held is None:
            raise UserError(f"{self.market_name(market_id)}: the account has no position to close")
        limit = worse_by(self._quote(self._priced(market_id), -held.base).fill_price, -held.base, slippage_bps)
        return self.place(market_order(account, market_id, -held.base, acceptable_price=limit, reduce_only=True))

    def place(self, order: Order) -> Placed:
        """Place an order as it is."""
        with self._refusals("order"):
            receipt = self.contracts.order_book.transact(self.signer, "place", order)
        event = self.contracts.order_book.event(receipt, "OrderPlaced")
        return Placed(order, event["hash"], event["settleFrom"], event["sequence"], receipt)

    def cancel(self, order: Order | bytes) -> Receipt:
        """Take an order back, given whole or by its hash. Raises UserError for market orders in the queue."""
        if isinstance(order, bytes):
            order = self.order_of(order)
        with self._refusals("cancel"):
            return self.contracts.order_book.transact(self.signer, "cancel", order)

    def order_of(self, hash_: bytes) -> Order:
        """An order by its hash, from its event. Raises UserError where none was placed."""
        found = self._histories.past(self.contracts.order_book, "OrderPlaced", [hash_])
        for record in found:
            if isinstance(record, OrderPlaced):
                return record.order
        raise UserError(f"order 0x{hash_.hex()}: none was placed with that hash")

    def open_orders(self, account: int | None = None) -> list[OpenOrder]:
        """Orders of an account that are not settled yet, oldest first; of every account with 0."""
        wanted = self._own(account) if account != 0 else None
        return open_orders(self._histories.orders(wanted))

    def wait_for(self, placed: Placed | bytes, timeout_seconds: float = 30.0) -> Outcome:
        """How an order ended. Raises UserError when it hasn't in time."""
        key = placed if isinstance(placed, bytes) else placed.hash
        deadline = time.monotonic() + timeout_seconds
        while True:
            for record in self._histories.past(self.contracts.order_book, None, [key]):
                if isinstance(record, ORDER_ENDS):
                    return self._outcome(record)
            if time.monotonic() > deadline:
                raise UserError(
                    f"order 0x{key.hex()} is still open after {timeout_seconds:g} s; is an executor running?"
                )
            time.sleep(self.chain.poll_seconds)

    # --- reading -------------------------------------------------------------------------------------------------

    def markets(self, block: Block | None = None) -> dict[int, MarketSnapshot]:
        """All markets."""
        return read_markets(self.contracts, block or self.chain.block())

    def market(self, market: Market, block: Block | None = None) -> MarketSnapshot:
        """Raises UserError for a market that isn't listed."""
        market_id = self.market_id(market)
        if not 1 <= market_id <= market_count(self.contracts):
            raise UserError(f"market {market_id} is not listed")
        return read_markets(self.contracts, block or self.chain.block(), [market_id])[market_id]

    def account_snapshot(self, account: int | None = None) -> AccountSnapshot:
        """An account at the newest block."""
        account = self._own(account)
        return read_accounts(self.contracts, self.chain.block(), [account])[account]

    def position(self, market: Market, account: int | None = None) -> PositionSnapshot | None:
        """None without one."""
        snapshot = self.market(market)
        base, quote, owed = self.contracts.market.call("position", self._own(account), snapshot.market_id)
        return PositionSnapshot(snapshot.market_id, base, quote, owed, snapshot.price) if base else None

    def quote(self, market: Market, size: Amount) -> Quote:
        """Fill price and fees of a market order of that size (negative to sell), at the newest price."""
        return self._quote(self._priced(self.market_id(market)), self._size(size))

    def history(
        self,
        kinds: Iterable[type[Happened]] = events.FILLS,
        *,
        account: int | None = None,
        from_block: int | None = None,
    ) -> list[Happened]:
        """Events of these kinds (`events.FILLS`, `.LIQUIDATIONS`, `.FUNDING` …) in order, of one account or of all."""
        return self._histories.of(kinds, account=account, from_block=from_block)

    def _outcome(self, record: Happened) -> Outcome:
        if isinstance(record, OrderExecuted):
            return Outcome("filled", record, self._fill_before(record))
        if isinstance(record, OrderFailed):
            return Outcome("failed", record, reason=in_words(self.chain.revert_of(record.reason)))
        if isinstance(record, OrderVoided):
            return Outcome("void", record, reason="no price was recorded in time")
        return Outcome("cancelled", record)

    def _fill_before(self, executed: OrderExecuted) -> Traded:
        """The fill that an execution stands for: the last one before it in its transaction."""
        receipt = self.chain.receipt(executed.tx_hash)
        fills = [] if receipt is None else decode_all(self.contracts.market.events(receipt, "Traded"))
        return next(one for one in reversed(fills) if isinstance(one, Traded) and one.log_index < executed.log_index)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _own(self, account: int | None) -> int:
        return self.account() if account is None else account

    def _size(self, size: Amount) -> int:
        base = to_wad(size, what="size")
        if not base:
            raise UserError("size: it is zero")
        return base

    def _priced(self, market_id: int) -> MarketSnapshot:
        snapshot = self.market(market_id)
        if snapshot.newest is None:
            raise UserError(f"{self.market_name(market_id)}: it has no price yet; a publisher must record one first")
        return snapshot

    def _quote(self, snapshot: MarketSnapshot, base: int) -> Quote:
        try:
            return quote_of(snapshot, base)
        except Refusal:
            raise UserError(
                f"{self.market_name(snapshot.market_id)}: no price for a fill of that size; the scale is "
                f"{snapshot.scale // WAD:,}"
            ) from None

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

    def _refusals(self, what: str) -> AbstractContextManager[None]:
        return refusals_as_user_errors(what, token_decimals=self.contracts.token_decimals)


def market_named(markets: Mapping[str, int], name: str) -> int:
    """A market's id by its name ("ETH/USD", or "ETH" where that is clear) or number. Raises UserError."""
    wanted = name.strip().upper()
    if wanted.isdigit():
        return int(wanted)
    for whole in (True, False):
        found = {
            one for known, one in markets.items() if wanted == (known if whole else known.partition("/")[0]).upper()
        }
        if len(found) == 1:
            return found.pop()
    raise UserError(f"market {name!r} is not known; there are: {', '.join(sorted(markets)) or 'none with a name'}")


def quote_of(snapshot: MarketSnapshot, base: int) -> Quote:
    """The reference model's fill of `base` at a market's newest price. Raises Refusal PerpMarket_PriceOutOfRange."""
    market, newest = snapshot.model(), snapshot.newest
    if newest is None:
        raise Refusal("OrderBook_NoPrice", snapshot.market_id)
    fill = market.fill_quote(base, newest.price, newest.confidence)
    value = -(-abs(base) * newest.price // WAD)
    return Quote(
        market_id=snapshot.market_id,
        base=base,
        index_price=newest.price,
        fill_price=fill.price,
        amount=fill.amount,
        fee=market.trading_fee(base, abs(fill.amount)),
        execution_fee=snapshot.orders.execution_fee,
        fee_reserve=-(-value * snapshot.orders.fee_reserve_bps // BPS),
    )


def worse_by(price: int, base: int, bps: int) -> int:
    """A price `bps` worse for a fill of `base`: higher for a buy (rounded up), lower for a sell (rounded down)."""
    if base > 0:
        return -(-price * (BPS + bps) // BPS)
    return price * max(0, BPS - bps) // BPS
