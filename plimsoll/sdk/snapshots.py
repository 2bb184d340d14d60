"""What markets and accounts look like at one block, read in two batches of view calls, and the same as the reference
model's state, so that quotes and forecasts are the protocol's own sums.

Everything is WAD and as of the block, accrual included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plimsoll.chain.transactions import Block, Call, Reverted
from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk.config import LiquidationParams, MarketParams, OrderParams
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import Record
from plimsoll.risk.state import State
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.words import Balance, Configuration, markets_in, unpack_balance, unpack_configuration, unpack_record

LENS_ACCOUNTS = 50
"""How many accounts the lens is asked for in one call."""


@dataclass(frozen=True, slots=True)
class Accumulators:
    """One side of a market: G and K (RAY) and its epoch."""

    g: int
    k: int
    epoch: int


@dataclass(frozen=True, slots=True)
class MarketSnapshot:
    """A market. `moved`: what liquidations moved, WAD base, in the window that began at `moved_since`, Unix seconds."""

    market_id: int
    time: int
    configuration: Configuration
    orders: OrderParams
    queue_next: int
    queue_head: int
    newest: Record | None
    long_side: Accumulators
    short_side: Accumulators
    long: int
    short: int
    pool_quote: int
    pool_cash: int
    rate: int
    accrued_at: int
    moved_since: int
    moved: int

    @property
    def params(self) -> MarketParams:
        return self.configuration.rules.params

    @property
    def scale(self) -> int:
        """S, WAD base."""
        return self.configuration.scale

    @property
    def skew(self) -> int:
        """Longs less shorts, WAD base."""
        return self.long - self.short

    @property
    def price(self) -> int:
        """The index price; 0 before the first record."""
        return self.newest.price if self.newest else 0

    @property
    def mark_price(self) -> int:
        return self.price * (self.scale + self.skew) // self.scale

    @property
    def pool_capital(self) -> int:
        """The pool's equity here at the index price."""
        return self.pool_cash + self.pool_quote - -(-self.skew * self.price // WAD)

    @property
    def exposure_limit(self) -> int:
        return self.model().exposure_limit(self.pool_capital, self.price)

    def age(self, now: int | None = None) -> int | None:
        """Seconds since the newest record's publication; None before the first."""
        return None if self.newest is None else (self.time if now is None else now) - self.newest.published_at

    def is_fresh(self, now: int | None = None) -> bool:
        """Whether the newest record is young enough to open and to liquidate at."""
        age = self.age(now)
        return age is not None and age <= self.params.max_price_age

    @property
    def has_pending_orders(self) -> bool:
        """Whether market orders wait in the queue."""
        return self.queue_head != self.queue_next

    def model(self, pool: int = 1) -> Market:
        """The reference model's market in this state; `pool` is the owner of the pool's accounts as an int."""
        market = Market(
            self.market_id, self.scale, self.params, self.orders, ids.pack(pool, self.market_id), self.accrued_at
        )
        market.rules = self.configuration.rules
        market.halt_until = self.configuration.halt_until
        market.newest = self.newest
        if self.newest is not None:
            market.records[self.newest.sequence] = self.newest
        market.long, market.short = self.long, self.short
        market.g_long, market.k_long, market.epoch_long = self.long_side.g, self.long_side.k, self.long_side.epoch
        market.g_short, market.k_short, market.epoch_short = self.short_side.g, self.short_side.k, self.short_side.epoch
        market.rate, market.pool_quote = self.rate, self.pool_quote
        market.moved_since, market.moved = self.moved_since, self.moved
        market.queue_next, market.queue_head = self.queue_next, self.queue_head
        return market


@dataclass(frozen=True, slots=True)
class PositionSnapshot:
    """A position, effective; `owed` is what settling it would take from cash; results at the index price."""

    market_id: int
    base: int
    quote: int
    owed: int
    price: int

    @property
    def notional(self) -> int:
        return -(-abs(self.base) * self.price // WAD)

    @property
    def entry_price(self) -> int:
        """What a unit was entered for, fees and funding aside."""
        return abs(self.quote) * WAD // abs(self.base)

    @property
    def unrealised(self) -> int:
        return self.base * self.price // WAD + self.quote - self.owed


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """An account. Equity and requirements at index prices; health is equity by maintenance at health prices.

    `health` is the largest int256 without requirement and debt, the smallest without requirement in debt.
    `withdrawable` in token units; None where a market's price is too old to say.
    """

    account: int
    cash: int
    reserved: int
    equity: int
    initial: int
    maintenance: int
    health: int
    withdrawable: int | None
    positions: tuple[PositionSnapshot, ...]

    @property
    def is_liquidatable(self) -> bool:
        return self.health < WAD

    @property
    def leverage(self) -> int:
        """Notional by equity; 0 without positions or equity."""
        notional = sum(position.notional for position in self.positions)
        return notional * WAD // self.equity if self.equity > 0 else 0

    def position(self, market_id: int) -> PositionSnapshot | None:
        return next((one for one in self.positions if one.market_id == market_id), None)


# --- reading -----------------------------------------------------------------------------------------------------


def market_count(contracts: Contracts) -> int:
    return int(contracts.market.call("marketCount"))


def read_markets(
    contracts: Contracts, block: Block, market_ids: Iterable[int] | None = None
) -> dict[int, MarketSnapshot]:
    """Markets at a block, all where none is named. Raises Reverted for one that isn't listed."""
    wanted = list(market_ids) if market_ids is not None else list(range(1, market_count(contracts) + 1))
    pool = int(contracts.addresses["LiquidityPool"], 16)
    calls: list[Call] = []
    for market_id in wanted:
        calls += [
            contracts.market.prepare("marketConfig", market_id),
            contracts.market.prepare("marketState", market_id),
            contracts.oracle.prepare("newest", market_id),
            contracts.order_book.prepare("queue", market_id),
            contracts.liquidator.prepare("counters", market_id),
            contracts.vault.prepare("cashOf", ids.pack(pool, market_id)),
        ]
    results = contracts.chain.read(calls, block=block.number)
    found = {}
    for place, market_id in enumerate(wanted):
        words, state, newest, (order_config, following, head), counters, pool_cash = results[place * 6 : place * 6 + 6]
        moved_since, moved, _, _ = counters
        found[market_id] = MarketSnapshot(
            market_id=market_id,
            time=block.timestamp,
            configuration=unpack_configuration(*words),
            orders=OrderParams(
                settlement_delay=order_config.settlementDelay,
                settlement_window=order_config.settlementWindow,
                execution_fee=order_config.executionFee,
                fee_reserve_bps=order_config.feeReserveBps,
                relay_fee=order_config.relayFee,
            ),
            queue_next=following,
            queue_head=head,
            newest=unpack_record(newest),
            long_side=Accumulators(state.longG, state.longK, state.longEpoch),
            short_side=Accumulators(state.shortG, state.shortK, state.shortEpoch),
            long=state.openLong,
            short=state.openShort,
            pool_quote=state.poolQuote,
            pool_cash=pool_cash,
            rate=state.rate,
            accrued_at=state.accruedAt,
            moved_since=moved_since,
            moved=moved,
        )
    return found


def read_balances(contracts: Contracts, block: Block, accounts: Sequence[int]) -> dict[int, Balance]:
    """The vault's slots of accounts."""
    calls = [contracts.vault.prepare("balanceOf", account) for account in accounts]
    return dict(zip(accounts, map(unpack_balance, contracts.chain.read(calls, block=block.number)), strict=True))


def read_health(contracts: Contracts, block: Block, accounts: Sequence[int]) -> dict[int, tuple[int, int]]:
    """(equity, maintenance) at health prices; accounts that can't be valued are left out."""
    calls = [contracts.market.prepare("healthOf", account) for account in accounts]
    results = contracts.chain.read(calls, block=block.number, raise_errors=False)
    return {
        account: (int(result[0]), int(result[1]))
        for account, result in zip(accounts, results, strict=True)
        if not isinstance(result, Exception)
    }


def read_accounts(contracts: Contracts, block: Block, accounts: Sequence[int]) -> dict[int, AccountSnapshot]:
    """Accounts at a block: by the lens where the deployment has one, else by the views of the rooms."""
    if not accounts:
        return {}
    return (_by_lens if contracts.lens else _by_views)(contracts, block, accounts)


def _by_lens(contracts: Contracts, block: Block, accounts: Sequence[int]) -> dict[int, AccountSnapshot]:
    assert contracts.lens is not None
    calls = [
        contracts.lens.prepare("accounts", list(accounts[start : start + LENS_ACCOUNTS]))
        for start in range(0, len(accounts), LENS_ACCOUNTS)
    ]
    return {
        one.account: AccountSnapshot(
            account=one.account,
            cash=one.cash,
            reserved=one.reserved,
            equity=one.equity,
            initial=one.initial,
            maintenance=one.maintenance,
            health=one.health,
            withdrawable=None if one.isStale else one.withdrawable,
            positions=tuple(
                PositionSnapshot(held.marketId, held.base, held.quote, held.owed, held.indexPrice)
                for held in one.positions
                if held.base
            ),
        )
        for part in contracts.chain.read(calls, block=block.number)
        for one in part
    }


def _by_views(contracts: Contracts, block: Block, accounts: Sequence[int]) -> dict[int, AccountSnapshot]:
    chain, vault, market = contracts.chain, contracts.vault, contracts.market
    balances = read_balances(contracts, block, accounts)
    holdings = [(account, market_id) for account in accounts for market_id in markets_in(balances[account].markets)]
    held_markets = sorted({market_id for _, market_id in holdings})
    sums = chain.read(
        [
            call
            for account in accounts
            for call in (
                market.prepare("equity", account),
                market.prepare("requirements", account),
                contracts.liquidator.prepare("health", account),
            )
        ],
        block=block.number,
    )
    leaving = chain.read(
        [vault.prepare("withdrawable", one) for one in accounts], block=block.number, raise_errors=False
    )
    positions = chain.read([market.prepare("position", *holding) for holding in holdings], block=block.number)
    words = chain.read([contracts.oracle.prepare("newest", one) for one in held_markets], block=block.number)
    prices = {one: word & 2**96 - 1 for one, word in zip(held_markets, words, strict=True)}
    found = {}
    for place, account in enumerate(accounts):
        equity, requirements, health = sums[3 * place : 3 * place + 3]
        if isinstance(leaving[place], Exception) and not isinstance(leaving[place], Reverted):
            raise leaving[place]
        found[account] = AccountSnapshot(
            account=account,
            cash=balances[account].cash,
            reserved=balances[account].reserved,
            equity=equity,
            initial=requirements[0],
            maintenance=requirements[1],
            health=health,
            withdrawable=None if isinstance(leaving[place], Exception) else leaving[place],
            positions=tuple(
                PositionSnapshot(market_id, base, quote, owed, prices[market_id])
                for (holder, market_id), (base, quote, owed) in zip(holdings, positions, strict=True)
                if holder == account and base
            ),
        )
    return found


# --- the model ---------------------------------------------------------------------------------------------------


def model_state(
    markets: Iterable[MarketSnapshot], accounts: Iterable[AccountSnapshot], *, pool: int = 1, fund: int = 2
) -> State:
    """The reference model's state with these markets and accounts and nothing else, everything settled.

    What it forecasts for an account depends on nothing that is left out, but for the fund's cash (taken as zero).
    """
    state = State(18, pool, fund, 3, LiquidationParams())
    for snapshot in markets:
        market = snapshot.model(pool)
        state.markets[market.id] = market
        state.credit(market.pool_account, snapshot.pool_cash)
    for account in accounts:
        entry = state.changed_account(account.account)
        state.credit(account.account, account.cash - sum(position.owed for position in account.positions))
        entry.reserved = account.reserved
        for held in account.positions:
            _add_position(state, account.account, held)
    return state


def _add_position(state: State, account: int, held: PositionSnapshot) -> None:
    """A position that is settled as of the market's state; open interest has it already."""
    market = state.markets[held.market_id]
    long, short = market.long, market.short
    state.fill(market, account, held.base, held.quote)
    market.long, market.short = long, short
