"""Close-out, take-over, backstop, and the debt that is left: the specification's section 6."""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core import ids
from plimsoll.core.units import WAD
from plimsoll.risk import exchange, margin
from plimsoll.risk.config import FREE, Gas
from plimsoll.risk.delegates import use_for_take_over
from plimsoll.risk.market import Deleveraging, Market
from plimsoll.risk.oracle import DOUBTFUL, Record
from plimsoll.risk.refusals import Refusal
from plimsoll.risk.shutdown import is_closing
from plimsoll.risk.state import State
from plimsoll.risk.trade import chunk_cost, keeper_reward, loss, released_maintenance

LIQUIDATE_GAS = 65_000
ABSORB_GAS = 20_000
ABSORB_GAS_A_POSITION = 65_000
TRANSACTION_GAS, TRANSACTION_BYTES = 60_000, 100
"""Of the transaction itself, paid for once in it."""
GAS_COST_MAX = 25 * WAD


class CloseOut(NamedTuple):
    """|Δ| closed, fill price, and the split of the cost; debt is what the account was short of at the end."""

    size: int
    price: int
    cost: int
    reward: int
    top_up: int
    debt: int
    by_side: int = 0
    """Of the debt, what the side opposite was charged."""


class TakeOver(NamedTuple):
    """|Δ| taken, dollars paid (long) or received (short) by the taker, the discount in them, and the taker's fee."""

    size: int
    amount: int
    discount: int
    fee: int


class AgainstSide(NamedTuple):
    """A part of a position closed against the other side: the account's Δbase, and the dollars that changed hands."""

    market_id: int
    base: int
    flow: int
    zero_price: int
    fraction: int


class Lost(NamedTuple):
    """What an account had in a market, settled, before it was closed: its loss at the index (at least 0), its base."""

    market: Market
    weight: int
    base: int


class Absorption(NamedTuple):
    """Positions closed, the caller's reward, the debt, the fund's part of it, what passed the caps, equity before."""

    positions: int
    reward: int
    debt: int
    from_fund: int
    against_sides: tuple[AgainstSide, ...] = ()
    equity: int = 0
    by_sides: int = 0
    """Of the debt, what the sides opposite were charged."""


def liquidate(state: State, now: int, sender: int, account: int, market_id: int, gas: Gas = FREE) -> CloseOut:
    """Close a chunk against the pool."""
    market, record = _usable(state, now, market_id)
    state.bring_up(market, now)
    base, _ = state.settle(market, account)
    if not base:
        raise Refusal("Liquidator_NoPosition", account, market_id)
    equity, required = _require_unhealthy(state, now, account)
    price = margin.health_price(base, record, True, market.rules)
    size = _chunk(state, market, record, base, price, equity, required, now)
    quote = market.fill_quote(-size if base > 0 else size, record.price, record.confidence)
    fill_loss = loss(base, -size if base > 0 else size, quote.amount, price)
    cost = chunk_cost(market, abs(base), size, price, equity, required, fill_loss, now)
    state.fill(market, account, -size if base > 0 else size, quote.amount)
    market.pool_quote -= quote.amount
    spent = gas_cost(state, LIQUIDATE_GAS, gas)
    reward = keeper_reward(state, market, cost, spent)
    top_up = 0
    if reward > cost:
        top_up = min(reward - cost, spent * 11 // 10, max(0, state.cash_of(state.fund_account)))
        reward = cost + top_up
    state.credit(account, -cost)
    state.credit(state.fund_account, cost - reward)
    state.credit(ids.pack(sender), reward)
    debt = by_side = 0
    if not state.changed_account(account).markets:
        debt, _, by_side = _settle_debt(state, account, [Lost(market, 1, base)])
    market.count_moved(record.published_at, size)
    return CloseOut(size, quote.price, cost, reward, top_up, debt, by_side)


def take_over(
    state: State, now: int, sender: int, account: int, market_id: int, base: int, to_account: int
) -> TakeOver:
    """Move a part of the position, with its sign, into an account for which the caller may."""
    if to_account == account:
        raise Refusal("Liquidator_SameAccount", account)
    use_for_take_over(state, now, to_account, sender, market_id, abs(base))
    market, record = _usable(state, now, market_id)
    state.bring_up(market, now)
    held, _ = state.settle(market, account)
    if not held:
        raise Refusal("Liquidator_NoPosition", account, market_id)
    equity, required = _require_unhealthy(state, now, account)
    if not base or (base > 0) != (held > 0):
        raise Refusal("Liquidator_WrongSize", base, held)
    size = min(abs(base), abs(held))
    base = size if held > 0 else -size
    price = margin.health_price(held, record, True, market.rules)
    params = market.rules.params
    rest = abs(held) - size
    if rest and rest < _minimum_base(market, price):
        raise Refusal("Liquidator_BelowMinimumPosition", rest * price // WAD, market.rules.min_position)
    value = -(-size * price // WAD) if base > 0 else size * price // WAD
    discount = min(
        (required - equity) * value * state.liquidation_params.max_discount_bps // (required * 10_000),
        equity * released_maintenance(market, abs(held), size, price, now) // required,
    )
    amount = value - discount if base > 0 else value + discount
    fee = -(-amount * params.taker_bps // 10_000)
    size_quote = -amount if base > 0 else amount
    to = exchange.Side(to_account, base, size_quote, fee)
    exchange.hand_over(state, now, market_id, to, exchange.Side(account, -base, -size_quote))
    return TakeOver(size, amount, discount, fee)


def deleverage(state: State, now: int, market_id: int) -> Deleveraging:
    """Close what is due of the side opposite the pool."""
    market = state.markets.get(market_id)
    if market is None:
        raise Refusal("PerpMarket_NotListed", market_id)
    done = state.bring_up(market, now)
    if done is None:
        raise Refusal("Liquidator_NothingDue", market_id)
    return done


def absorb(state: State, now: int, sender: int, account: int, gas: Gas = FREE) -> Absorption:
    """Close everything of a bankrupt account: with the pool, and what passes the caps with the other side."""
    markets = list(state.markets_of(account))
    for market in markets:
        state.bring_up(market, now)
    equity = _require_bankrupt(state, now, account, markets)
    lost: list[Lost] = []
    against_sides: list[AgainstSide] = []
    for market in markets:
        record = market.newest
        assert record is not None, "a position in a market without a price"
        shortfall = max(0, -state.equity(account, now))
        base, quote = state.settle(market, account)
        loss_here = max(0, -(base * record.price // WAD + quote))
        lost.append(Lost(market, loss_here, base))
        if base:
            against_sides += _absorb_position(state, now, account, market, record, base, min(shortfall, loss_here))
    reward = _absorb_reward(state, len(markets), gas)
    state.credit(state.fund_account, -reward)
    state.credit(ids.pack(sender), reward)
    debt, from_fund, by_sides = _settle_debt(state, account, lost)
    return Absorption(len(markets), reward, debt, from_fund, tuple(against_sides), equity, by_sides)


# ---------------------------------------------------------------------------------------------------------- the parts


def _absorb_position(
    state: State, now: int, account: int, market: Market, record: Record, base: int, deficit: int
) -> list[AgainstSide]:
    """To the pool as far as the caps go, the rest against the other side at the price that covers the deficit."""
    before = abs(market.skew)
    grown = max(0, abs(market.skew - base) - before)
    by_window = _window_cap(state, market) - market.moved_in(record.published_at)
    by_hour = market.scale * state.liquidation_params.absorb_cap_bps // 10_000 - market.absorbed_in(now)
    excess = max(0, grown - max(0, min(by_window, by_hour)))
    excess = min(excess, market.short if base > 0 else market.long)
    sign = 1 if base > 0 else -1
    size = -base + sign * excess
    if size:
        filled = market.fill_quote(size, record.price, record.confidence)
        state.fill(market, account, size, filled.amount)
        market.pool_quote -= filled.amount
    if grown - excess:
        market.count_moved(record.published_at, grown - excess)
        market.count_absorbed(now, grown - excess)
    if not excess:
        return []
    price = record.price + sign * min(record.price, -(-deficit * WAD // abs(base)))
    fraction = min(WAD, -(-excess * WAD // (market.short if base > 0 else market.long)))
    flow = market.close_side(-sign, fraction, price).flow
    state.fill(market, account, -sign * excess, sign * flow)
    return [AgainstSide(market.id, -sign * excess, flow, price, fraction)]


def _require_bankrupt(state: State, now: int, account: int, markets: list[Market]) -> int:
    """At health prices; where a market closes, and the others are usable, at plain ones too. One of them is usable.

    A market in which nobody has anything needs no price, and lends none to the others. Returns the equity that says so.
    """
    counting = [one for one in markets if _is_usable(one, now) or one.long + one.short]
    unusable = [one for one in counting if not _is_usable(one, now) and not is_closing(one)]
    closing = any(not _is_usable(one, now) and is_closing(one) for one in counting)
    equity = state.equity(account, now) if closing and not unusable else 1
    if equity > 0:
        equity, _ = state.health(account, now)
    if equity > 0 or not markets:
        raise Refusal("Liquidator_NotBankrupt", account, equity)
    if unusable and len(unusable) == len(counting):
        first = unusable[0].newest
        assert first is not None, "a position in a market without a price"
        raise Refusal("Liquidator_PriceUnusable", unusable[0].id, first.published_at, first.state)
    return equity


def _is_usable(market: Market, now: int) -> bool:
    return market.newest is not None and market.is_fresh(now) and market.newest.state <= DOUBTFUL


def _usable(state: State, now: int, market_id: int) -> tuple[Market, Record]:
    """The market and its newest record, where liquidating at it is allowed."""
    market = state.markets.get(market_id)
    if market is None or market.newest is None:
        raise Refusal("Liquidator_PriceUnusable", market_id, 0, 0)
    if not _is_usable(market, now):
        raise Refusal("Liquidator_PriceUnusable", market_id, market.newest.published_at, market.newest.state)
    return market, market.newest


def _require_unhealthy(state: State, now: int, account: int) -> tuple[int, int]:
    equity, required = state.health(account, now)
    if equity >= required:
        raise Refusal("Liquidator_Healthy", account, equity, required)
    if equity <= 0:
        raise Refusal("Liquidator_Bankrupt", account, equity)
    return equity, required


def _minimum_base(market: Market, price: int) -> int:
    return -(-market.rules.min_position * WAD // price)


def _chunk(
    state: State, market: Market, record: Record, base: int, price: int, equity: int, required: int, now: int
) -> int:
    """How much of |base| to close: what brings health to target, within the minimum position and the record's cap."""
    held = abs(base)
    rules = market.rules
    sign = 1 if base > 0 else -1

    def fill_loss(size: int) -> int:
        quote = market.fill_quote(-sign * size, record.price, record.confidence)
        return loss(base, -sign * size, quote.amount, price)

    target = state.liquidation_params.target_health_bps
    wanted = -(-target * required // 10_000) - equity
    value = margin.notional(held, price)
    divisor = (
        target * margin.maintenance(market, held, price, now) * 10**14 // value
        - rules.mm_penalty_bps * 10**14
        + -max(0, fill_loss(held)) * WAD // value
    )
    minimum = _minimum_base(market, price)
    size = held
    if divisor > 0:
        wanted_value = -(-wanted * WAD // divisor)
        size = -(-wanted_value * WAD // price)
    size = max(size, minimum)
    if size >= held or held - size < minimum:
        size = held
    if size < held:
        lost = fill_loss(size)
        cost = chunk_cost(market, held, size, price, equity, required, lost, now)
        if equity - lost - cost < required - released_maintenance(market, held, size, price, now):
            size = held
    cap = max(_window_cap(state, market), 2 * minimum)
    room = max(0, cap - market.moved_in(record.published_at))
    if size > room:
        size = min(room, held - minimum)
        if size < minimum:
            raise Refusal("Liquidator_CapReached", market.id, market.moved_since + market.cap_seconds + 1, room)
    return size


def _window_cap(state: State, market: Market) -> int:
    """What close-outs and absorptions may move the skew by within a window."""
    fees = market.rules.params.maker_bps + market.rules.params.taker_bps
    return market.scale * fees * state.liquidation_params.window_cap_percent // (10_000 * 100)


def gas_cost(state: State, used: int, gas: Gas) -> int:
    """What a call costs its keeper at least, WAD dollars; 0 where no market prices it."""
    market = state.markets.get(state.liquidation_params.gas_market)
    if market is None or market.newest is None:
        return 0
    wei = used * gas.base_fee
    if gas.is_first:
        wei += TRANSACTION_GAS * gas.base_fee + TRANSACTION_BYTES * gas.fee_per_byte
    return min(GAS_COST_MAX, wei * market.newest.price // WAD)


def asks_for_gas(state: State, market: Market, cost: int) -> bool:
    """Whether a close-out that cost so much was paid for gas: not where the keeper's share is more than that can be."""
    return keeper_reward(state, market, cost) < market.rules.mm_keeper_min + GAS_COST_MAX


def _absorb_reward(state: State, positions: int, gas: Gas) -> int:
    """The caller's gas and a tenth more, as far as the fund goes."""
    cost = gas_cost(state, ABSORB_GAS + ABSORB_GAS_A_POSITION * positions, gas) * 11 // 10
    return min(cost, max(0, state.cash_of(state.fund_account)))


def _settle_debt(state: State, account: int, lost: list[Lost]) -> tuple[int, int, int]:
    """Negative cash goes to the fund, then to the pool in these markets by weight, and to the sides opposite.

    Returns (debt, the fund's part, the sides' part).
    """
    debt = -state.cash_of(account)
    if debt <= 0:
        return 0, 0, 0
    from_fund = min(debt, max(0, state.cash_of(state.fund_account)))
    state.credit(state.fund_account, -from_fund)
    rest = debt - from_fund if lost else 0
    total = sum(one.weight for one in lost)
    left, by_sides = rest, 0
    for market, weight, base in lost:
        share = left if market is lost[-1].market else rest * (weight if total else 1) // (total or len(lost))
        left -= share
        if share:
            by_sides += market.charge_debt(state.cash_of(market.pool_account), share, base)
    state.credit(account, from_fund + rest)
    return debt, from_fund, by_sides
