"""A trade of an account against the pool, in the order of the specification's section 5."""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import WAD
from plimsoll.risk import margin
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.state import MAX_MARKETS_PER_ACCOUNT, State

MAX_EXECUTION_FEE_BPS = 100
"""Of what a reduction closes: else closing dust, again and again, would draw out a position's margin."""


class Trade(NamedTuple):
    """What happened: Δbase, fill price, Δquote, and what the account paid beside it."""

    size: int
    price: int
    quote: int
    fee: int
    surcharge: int
    execution_fee: int


def trade(
    state: State,
    now: int,
    keeper_account: int,
    account: int,
    market_id: int,
    size: int,
    acceptable: int,
    reduce_only: bool,
    execution_fee: int,
    release: int,
    record: Record,
) -> Trade:
    """Fill Δ = size at `record`; `release` of the account's reserved cash is set free. Raises Refusal PerpMarket_…."""
    market = require_market(state, account, market_id)
    if not size:
        raise Refusal("PerpMarket_ZeroSize")
    state.bring_up(market, now)
    before, _ = state.settle(market, account)
    if reduce_only:
        if not before or (before > 0) == (size > 0):
            raise Refusal("PerpMarket_NothingToReduce", account, market_id)
        size = max(size, -before) if before > 0 else min(size, -before)
    increases = not before or (before > 0) == (size > 0) or abs(size) > abs(before)
    if increases:
        require_open_to(account, market)
        require_opening(market, record, now)
        state.require_fresh(account, now, but=market_id)
        require_room(state, account, market)
    quote = market.fill_quote(size, record.price, record.confidence)
    if quote.price > acceptable if size > 0 else quote.price < acceptable:
        raise Refusal("PerpMarket_PriceNotAcceptable", quote.price, acceptable)
    equity = required = left = at = 0
    if not increases:
        equity, required = state.health(account, now, market_id, record)
        if equity <= 0:
            raise Refusal("PerpMarket_Bankrupt", account, equity)
        at = margin.health_price(before, record, True, market.rules)
        left = equity - loss(before, size, quote.amount, at)
        if left < 0:
            raise Refusal("PerpMarket_Bankrupt", account, left)
    fee = market.trading_fee(size, abs(quote.amount))
    skew = market.skew
    after, _ = state.fill(market, account, size, quote.amount)
    market.pool_quote -= quote.amount
    require_minimum(market, after, record.price)
    if increases:
        _require_limits(state, market, after, skew, record.price)
    surcharge = reward = 0
    if not increases:
        execution_fee = min(execution_fee, left, abs(quote.amount) * MAX_EXECUTION_FEE_BPS // 10_000)
        fee = min(fee, left - execution_fee)
        if equity < required:
            cost = chunk_cost(market, abs(before), abs(size), at, equity, required, equity - left, now)
            surcharge = min(max(0, cost - fee), left - execution_fee - fee)
            reward = min(keeper_reward(state, market, cost), surcharge)
    market.book_fee(fee)
    market.unswept_insurance += surcharge - reward
    state.changed_account(account).reserved -= release
    state.credit(account, -fee - surcharge - execution_fee)
    if increases:
        gain = size * record.price // WAD + quote.amount
        require_initial(state, account, now, market_id, record.price, gain)
    if abs(market.skew) > abs(skew):
        state.deleverage_due(market)
    state.credit(keeper_account, execution_fee + reward)
    return Trade(size, quote.price, quote.amount, fee, surcharge, execution_fee)


def require_market(state: State, account: int, market_id: int) -> Market:
    """The market, where it is listed and the account may hold it."""
    market = state.markets.get(market_id)
    if market is None:
        raise Refusal("PerpMarket_NotListed", market_id)
    require_own_market(account, market)
    return market


def require_own_market(account: int, market: Market) -> None:
    """An isolated account's market is its own."""
    isolated = account >> 64 & 0xFFFFFFFF
    if isolated not in (0, market.id):
        raise Refusal("PerpMarket_WrongMarket", account, market.id)


def require_open_to(account: int, market: Market) -> None:
    """The market is open to accounts of this kind."""
    if not account >> 64 & 0xFFFFFFFF and market.rules.params.isolated_only:
        raise Refusal("PerpMarket_IsolatedOnly", market.id)


def require_opening(market: Market, record: Record, now: int) -> None:
    """Risk may grow here at this record."""
    if record.state != OPEN or now < market.halt_until:
        raise Refusal("PerpMarket_OpeningHalted", market.id, record.state, market.halt_until)


def require_room(state: State, account: int, market: Market) -> None:
    """A market more is still within what an account may hold."""
    found = state.accounts.get(account)
    bits = found.markets if found else 0
    if not bits >> market.id - 1 & 1 and bits.bit_count() >= MAX_MARKETS_PER_ACCOUNT:
        raise Refusal("PerpMarket_TooManyMarkets", account)


def require_minimum(market: Market, base: int, price: int) -> None:
    """No position, or one of the minimum at least."""
    value = abs(base) * price // WAD
    minimum = market.rules.min_position
    if base and value < minimum:
        raise Refusal("PerpMarket_BelowMinimumPosition", value, minimum)


def require_initial(state: State, account: int, now: int, market_id: int, price: int, gain: int) -> None:
    """C ≥ Σ initial, the filled market's gain taken off."""
    free = state.free(account, now, market_id, price, gain)
    if free.available < free.required:
        raise Refusal("PerpMarket_InsufficientMargin", account, free.available, free.required)


def loss(base: int, size: int, quote: int, price: int) -> int:
    """E − E1 of a reduction: what the fill costs against `price`."""
    return base * price // WAD - (base + size) * price // WAD - quote


def chunk_cost(
    market: Market, held: int, size: int, price: int, equity: int, required: int, fill_loss: int, now: int
) -> int:
    """lc(x): the liquidation cost of closing |Δ| = size of `held`, at most what keeps the account as healthy."""
    cost = margin.liquidation_cost(market.rules, margin.notional(size, price))
    released = released_maintenance(market, held, size, price, now)
    return min(cost, max(0, equity * released // required - fill_loss))


def released_maintenance(market: Market, held: int, size: int, price: int, now: int) -> int:
    """R(x)."""
    whole = margin.maintenance(market, held, price, now)
    return whole - margin.maintenance(market, held - size, price, now)


def keeper_reward(state: State, market: Market, cost: int, gas_cost: int = 0) -> int:
    """clamp(keeperShare × cost, keeperMin + gas, keeperMax)."""
    params = state.liquidation_params
    least = market.rules.mm_keeper_min + gas_cost
    return min(max(cost * params.keeper_share_bps // 10_000, least), params.keeper_max)


def require_open_interest(state: State, market: Market, sign: int, price: int) -> None:
    """A side (sign ±1) within what the pool's capital at `price` allows."""
    capital = market.capital(state.cash_of(market.pool_account), price)
    open_interest = margin.notional(market.long if sign > 0 else market.short, price)
    limit = max(0, capital) * market.rules.params.open_interest_bps // 10_000
    if open_interest > limit:
        raise Refusal("PerpMarket_OpenInterestLimit", open_interest, limit)


def _require_limits(state: State, market: Market, after: int, skew_before: int, price: int) -> None:
    require_open_interest(state, market, after, price)
    size = abs(market.skew)
    if size <= abs(skew_before):
        return
    most = market.scale * market.rules.params.max_skew_bps
    if size * 10_000 > most:
        raise Refusal("PerpMarket_SkewLimit", size, most // 10_000)
    exposure = margin.notional(size, price)
    limit = market.exposure_limit(market.capital(state.cash_of(market.pool_account), price), price)
    if exposure > limit:
        raise Refusal("PerpMarket_ExposureLimit", exposure, limit)
