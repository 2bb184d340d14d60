"""What a deployment looks like to one who trades on it: markets, accounts, orders and how they ended, history."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from plimsoll.chain.transactions import Block, Chain, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_PARENT, Order, OrderKind
from plimsoll.core.units import WAD, to_wad
from plimsoll.risk.refusals import Refusal
from plimsoll.sdk import events, fills
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.events import (
    ORDER_ENDS,
    AllCancelled,
    Happened,
    OrderExecuted,
    OrderFailed,
    OrderPlaced,
    OrderVoided,
    Traded,
    decode_all,
)
from plimsoll.sdk.fills import Fill
from plimsoll.sdk.history import Histories, OpenOrder, open_orders
from plimsoll.sdk.order_book import OrderBookClient, Placed
from plimsoll.sdk.quotes import Quote, quote_of
from plimsoll.sdk.refusals import in_words
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended: "filled", "failed", "void" or "cancelled"; the fill, or in words why there is none."""

    status: str
    record: Happened
    fill: Traded | None = None
    reason: str = ""


class Views(OrderBookClient):
    """One deployment as one trader sees it. Without a signer it takes accounts by their ids only."""

    def __init__(
        self,
        chain: Chain,
        addresses: Mapping[str, str] | Contracts,
        signer: Signer | None = None,
        *,
        markets: Mapping[str, int] | None = None,
    ) -> None:
        """`addresses` by contract name; `markets` gives ids to names. Raises UserError where a contract is missing."""
        contracts = addresses if isinstance(addresses, Contracts) else Contracts(chain, addresses)
        super().__init__(contracts, signer)
        self.names = dict(markets or {})
        self._histories = Histories(self.contracts)

    def account(self, *, isolated_market: Market | None = None, index: int = 0) -> int:
        """The id of one of the signer's accounts: cross, or isolated in one market."""
        market_id = 0 if isolated_market is None else self.market_id(isolated_market)
        return ids.pack(self.signer.address, market_id, index)

    # --- markets -------------------------------------------------------------------------------------------------

    def market_id(self, market: Market) -> int:
        """A market's id by its name ("ETH", "eth/usd") or number. Raises UserError."""
        if isinstance(market, int):
            return market
        return market_named(self.names, market)

    def market_name(self, market_id: int) -> str:
        """What people call a market."""
        return next((name for name, one in self.names.items() if one == market_id), f"market {market_id}")

    def markets(self, block: Block | None = None) -> dict[int, MarketSnapshot]:
        """All markets."""
        return read_markets(self.contracts, block or self.chain.block())

    def market(self, market: Market, block: Block | None = None) -> MarketSnapshot:
        """Raises UserError for a market that isn't listed."""
        market_id = self.market_id(market)
        if not 1 <= market_id <= market_count(self.contracts):
            raise UserError(f"market {market_id} is not listed")
        return read_markets(self.contracts, block or self.chain.block(), [market_id])[market_id]

    def quote(self, market: Market, size: Amount) -> Quote:
        """Fill price and fees of a market order of that size (negative to sell), at the newest price."""
        return self._quote(self._priced(self.market_id(market)), self._size(size))

    # --- accounts ------------------------------------------------------------------------------------------------

    def account_snapshot(self, account: int | None = None) -> AccountSnapshot:
        """An account at the newest block."""
        account = self._own(account)
        return read_accounts(self.contracts, self.chain.block(), [account])[account]

    def position(self, market: Market, account: int | None = None) -> PositionSnapshot | None:
        """None without one."""
        snapshot = self.market(market)
        base, quote, owed = self.contracts.market.call("position", self._own(account), snapshot.market_id)
        return PositionSnapshot(snapshot.market_id, base, quote, owed, snapshot.price) if base else None

    # --- orders --------------------------------------------------------------------------------------------------

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
        order = self.order_of(key) if isinstance(placed, bytes) else placed.order
        deadline = time.monotonic() + timeout_seconds
        while (end := self._end(key, order)) is None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"order 0x{key.hex()} is still open after {timeout_seconds:g} s; is an executor running?"
                )
            time.sleep(self.chain.poll_seconds)
        return self._outcome(end, order)

    # --- history -------------------------------------------------------------------------------------------------

    def history(
        self,
        kinds: Iterable[type[Happened]] = events.FILLS,
        *,
        account: int | None = None,
        from_block: int | None = None,
    ) -> list[Happened]:
        """Events of these kinds (`events.FILLS`, `.LIQUIDATIONS`, `.FUNDING` …) in order, of one account or of all."""
        return self._histories.of(kinds, account=account, from_block=from_block)

    def fills(self, account: int | None = None, *, from_block: int | None = None) -> list[Fill]:
        """An account's fills of all kinds with their fees, oldest first."""
        account = self._own(account)
        return fills.fills(self.history(fills.EVENTS, account=account, from_block=from_block), account)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _end(self, key: bytes, order: Order) -> Happened | None:
        """The event that ended an order; None while it is open."""
        book = self.contracts.order_book
        found: list[Happened] = [one for one in self._histories.past(book, None, [key]) if isinstance(one, ORDER_ENDS)]
        if not found and order.kind != OrderKind.MARKET:
            bumps = self._histories.past(book, AllCancelled.__name__, [order.account])
            found = [one for one in bumps if isinstance(one, AllCancelled) and one.counter > order.counter]
        return found[0] if found else None

    def _outcome(self, record: Happened, order: Order) -> Outcome:
        if isinstance(record, OrderExecuted):
            return Outcome("filled", record, self._fill_before(record))
        if isinstance(record, OrderFailed):
            return Outcome("failed", record, reason=in_words(self.chain.revert_of(record.reason)))
        if isinstance(record, OrderVoided):
            return Outcome("void", record, reason=self._why_void(order))
        return Outcome("cancelled", record)

    def _why_void(self, order: Order) -> str:
        if order.parent != NO_PARENT and not self.commitment(order.parent).is_filled:
            return "the order that it waited for ended without a fill"
        return "nothing was left to reduce" if order.reduce_only else "no price was recorded in time"

    def _fill_before(self, executed: OrderExecuted) -> Traded:
        """The fill that an execution stands for: the last one before it in its transaction."""
        receipt = self.chain.receipt(executed.tx_hash)
        found = [] if receipt is None else decode_all(self.contracts.market.events(receipt, "Traded"))
        return next(one for one in reversed(found) if isinstance(one, Traded) and one.log_index < executed.log_index)

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
