"""The ledger: accounts, markets, tokens; and the moves every entry point is made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar, NamedTuple

from plimsoll.core import ids
from plimsoll.core.orders import Scope
from plimsoll.core.units import WAD
from plimsoll.risk import margin, position
from plimsoll.risk.config import LiquidationParams
from plimsoll.risk.journal import Journal, Recorded
from plimsoll.risk.market import Deleveraging, Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.position import Position, effective
from plimsoll.risk.refusals import Refusal

MAX_MARKETS_PER_ACCOUNT = 8
MAX_HEALTH = 2**255 - 1
MIN_HEALTH = -(2**255)


class Account(Recorded):
    """One slot of the vault: cash and reserved cash, WAD dollars; bit m − 1 of `markets` for a position in market m."""

    __slots__ = ("cash", "markets", "reserved")
    FIELDS: ClassVar[tuple[str, ...]] = ("cash", "reserved", "markets")

    def __init__(self) -> None:
        super().__init__()
        self.cash = 0
        self.reserved = 0
        self.markets = 0


class Totals(Recorded):
    """Tokens held and the running sum of all cash."""

    __slots__ = ("cash", "tokens")
    FIELDS: ClassVar[tuple[str, ...]] = ("tokens", "cash")

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.cash = 0


class OrderRecord(NamedTuple):
    """What the book keeps of an order, for ever. Dollars are WAD; matched: WAD base, of a signed one."""

    status: int
    not_before: int = 0
    sequence: int = 0
    reserved: int = 0
    execution_fee: int = 0
    matched: int = 0


class Delegation(NamedTuple):
    """A scope, and the whole dollars used of its budget on the last day of use."""

    scope: Scope
    day: int = 0
    used: int = 0


class Free(NamedTuple):
    """What an account has toward initial margin (gains count as zero) and what it needs."""

    available: int
    required: int


class State:
    """Everything but the request vaults. `owner` ids are addresses as ints."""

    def __init__(
        self,
        token_decimals: int,
        pool: int,
        fund: int,
        treasury: int,
        liquidation: LiquidationParams,
    ) -> None:
        self.journal = Journal()
        self.unit: int = 10 ** (18 - token_decimals)
        self.pool, self.fund, self.treasury = pool, fund, treasury
        self.fund_account = ids.pack(fund)
        self.treasury_account = ids.pack(treasury)
        self.liquidation_params = liquidation
        self.accounts: dict[int, Account] = {}
        self.markets: dict[int, Market] = {}
        self.orders: dict[Hashable, OrderRecord] = {}
        self.counters: dict[int, int] = {}
        self.delegations: dict[tuple[int, int], Delegation] = {}
        self.totals = Totals()

    # ------------------------------------------------------------------------------------------------------ accounts

    def cash_of(self, account: int) -> int:
        found = self.accounts.get(account)
        return found.cash if found else 0

    def changed_account(self, account: int) -> Account:
        """The account, saved and made where it is new."""
        found = self.accounts.get(account)
        if found is None:
            found = Account()
            self.journal.put(self.accounts, account, found)
        self.journal.save(found)
        return found

    def credit(self, account: int, amount: int) -> None:
        """cash += amount, of either sign."""
        if amount:
            self.changed_account(account).cash += amount
            self.journal.save(self.totals)
            self.totals.cash += amount

    def sweep(self, market: Market) -> tuple[int, int]:
        """The market's unswept fees go to fund and treasury. Returns both."""
        self.journal.save(market)
        insurance, treasury = market.unswept_insurance, market.unswept_treasury
        market.unswept_insurance = market.unswept_treasury = 0
        self.credit(self.fund_account, insurance)
        self.credit(self.treasury_account, treasury)
        return insurance, treasury

    def is_protocol_account(self, account: int) -> bool:
        return account >> 96 in (self.pool, self.fund, self.treasury)

    def markets_of(self, account: int) -> Iterator[Market]:
        """The markets of the account's bitmap, ascending."""
        found = self.accounts.get(account)
        bits = found.markets if found else 0
        while bits:
            lowest = bits & -bits
            yield self.markets[lowest.bit_length()]
            bits ^= lowest

    # ----------------------------------------------------------------------------------------------------- positions

    def accrue(self, market: Market, now: int) -> None:
        self.journal.save(market)
        market.accrue(self.cash_of(market.pool_account), now)

    def bring_up(self, market: Market, now: int) -> Deleveraging | None:
        """Accrue, and deleverage what is due. Returns what was."""
        self.accrue(market, now)
        return self.deleverage_due(market)

    def deleverage_due(self, market: Market) -> Deleveraging | None:
        """After an accrual: close what is due of the side opposite the pool."""
        sign, fraction, price = market.due(self.cash_of(market.pool_account))
        return market.deleverage(sign, fraction, price) if fraction else None

    def settle(self, market: Market, account: int) -> tuple[int, int]:
        """Pay what the position owes, after an accrual: (base, quote)."""
        found = market.positions.get(account)
        if found is None or not found.base:
            return 0, 0
        side = market.side(found.base)
        base, quote, owed = effective(found, side)
        market.debit_bound += 3
        if (found.k, found.epoch) != (side.k, side.epoch):
            market.add_ownerless(found.base, 1)
        self._store(market, account, found, base, quote)
        self.credit(account, -owed)
        return base, quote

    def fill(self, market: Market, account: int, size: int, size_quote: int) -> tuple[int, int]:
        """Δbase and Δquote into a settled position; open interest and cash follow. Returns the new (base, quote)."""
        found = market.positions.get(account)
        if found is None:
            found = Position()
            self.journal.put(market.positions, account, found)
        before = found.base
        base, quote, released = position.fill(before, found.quote, size, size_quote)
        market.long += max(base, 0) - max(before, 0)
        market.short += max(-base, 0) - max(-before, 0)
        self._store(market, account, found, base, quote)
        self.credit(account, released)
        return base, quote

    def _store(self, market: Market, account: int, found: Position, base: int, quote: int) -> None:
        self.journal.save(found)
        old = found.base
        market.stored_quote += quote - found.quote
        if old > 0:
            market.stored_long -= old
            market.stored_long_g -= old * found.g
        elif old:
            market.stored_short += old
            market.stored_short_g -= old * found.g
        if base:
            found.g, found.k, found.epoch, _ = market.side(base)
            if base > 0:
                market.stored_long += base
                market.stored_long_g += base * found.g
            else:
                market.stored_short -= base
                market.stored_short_g += base * found.g
        else:
            found.g = found.k = found.epoch = 0
        found.base, found.quote = base, quote
        if (old != 0) != (base != 0):
            market.count += 1 if base else -1
            holder = self.changed_account(account)
            holder.markets ^= 1 << market.id - 1

    # ----------------------------------------------------------------------------------------------------- valuation

    def view(self, market: Market, account: int, now: int) -> tuple[int, int, int]:
        """(base, quote, owed) as of `now`, changing nothing."""
        found = market.positions.get(account)
        if found is None or not found.base:
            return 0, 0, 0
        due = None if market.last == now else market.pending(self.cash_of(market.pool_account), now)
        return effective(found, market.side(found.base, due))

    def valued(self, account: int, now: int) -> Iterator[tuple[Market, Record, int, int]]:
        """(market, newest record, base, quote − owed) of each of the account's markets."""
        for market in self.markets_of(account):
            base, quote, owed = self.view(market, account, now)
            assert market.newest is not None, "a position in a market without a price"
            yield market, market.newest, base, quote - owed

    def equity(self, account: int, now: int) -> int:
        """E at plain newest prices."""
        values = (base * newest.price // WAD + value for _, newest, base, value in self.valued(account, now))
        return self.cash_of(account) + sum(values)

    def health(self, account: int, now: int, market_id: int = 0, record: Record | None = None) -> tuple[int, int]:
        """(E, M) at health prices; `record` stands for the newest in `market_id` and counts as fresh."""
        equity = self.cash_of(account)
        required = 0
        for market, newest, base, value in self.valued(account, now):
            if market.id == market_id and record is not None:
                price = margin.health_price(base, record, True, market.rules)
            else:
                price = margin.health_price(base, newest, market.is_fresh(now), market.rules)
            equity += base * price // WAD + value
            required += margin.maintenance(market, abs(base), price, now)
        return equity, required

    def require_fresh(self, account: int, now: int, but: int = 0) -> None:
        """Every market where the account has a base, but one, has a fresh price. Raises PerpMarket_StalePrice."""
        for market in self.markets_of(account):
            if market.id != but and not market.is_fresh(now) and self.view(market, account, now)[0]:
                published_at = market.newest.published_at if market.newest else 0
                raise Refusal("PerpMarket_StalePrice", market.id, published_at)

    def free(self, account: int, now: int, market_id: int = 0, price: int = 0, gain: int = 0) -> Free:
        """C and Σ initial at plain newest prices, with `market_id` at `price` and its result less max(0, gain)."""
        found = self.accounts.get(account)
        if found is None:
            return Free(0, 0)
        available = found.cash - found.reserved
        required = 0
        for market, newest, base, value in self.valued(account, now):
            at = newest.price
            if market.id == market_id:
                at = price
                value -= max(0, gain)
            available += min(0, base * at // WAD + value)
            required += margin.initial(market, abs(base), at)
        return Free(available, required)

    def withdrawable(self, account: int, now: int) -> int:
        """Token units that can leave. Raises PerpMarket_StalePrice where a position's price is not fresh."""
        self.require_fresh(account, now)
        free = self.free(account, now)
        return max(0, free.available - free.required) // self.unit
