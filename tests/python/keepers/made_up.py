"""Markets, accounts and orders made up for the pure tests of the keepers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from plimsoll.core.orders import NO_PARENT, Order
from plimsoll.core.units import WAD
from plimsoll.risk.config import MarketParams, MarketRules, OrderParams
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.risk.state import MAX_HEALTH
from plimsoll.sdk.history import OpenOrder
from plimsoll.sdk.orders import limit_order, market_order, stop_loss_order, take_profit_order
from plimsoll.sdk.signing import order_hash
from plimsoll.sdk.snapshots import AccountSnapshot, Accumulators, MarketSnapshot, PositionSnapshot, model_state
from plimsoll.sdk.words import Configuration

NOW = 1_700_000_000
PRICE = 3_000 * WAD
ETH, BTC = 1, 2
RAY = 10**27
TRADER = 0xAAAA << 96


def market(
    market_id: int = ETH,
    *,
    price: int | None = PRICE,
    age: int = 0,
    state: int = OPEN,
    sequence: int = 5,
    long: int = 0,
    short: int = 0,
    head: int = 1,
    following: int = 1,
    scale: int = 333_333 * WAD,
    params: MarketParams | None = None,
    moved: int = 0,
    moved_since: int = 0,
    pool_cash: int = 20_000_000 * WAD,
) -> MarketSnapshot:
    """A market at NOW, its newest price `age` seconds old."""
    newest = None if price is None else Record(price, 0, NOW - age, state, sequence)
    skew_value = (long - short) * (price or 0) // WAD
    return MarketSnapshot(
        market_id=market_id,
        time=NOW,
        configuration=Configuration(MarketRules.first(params or MarketParams(), NOW - 10**6), scale, 0),
        orders=OrderParams(settlement_delay=2, settlement_window=3, execution_fee=WAD // 2),
        queue_next=following,
        queue_head=head,
        newest=newest,
        long_side=Accumulators(0, RAY, 0),
        short_side=Accumulators(0, RAY, 0),
        long=long,
        short=short,
        pool_quote=skew_value,
        pool_cash=pool_cash,
        rate=0,
        accrued_at=NOW,
        moved_since=moved_since,
        moved=moved,
    )


def position(base: int, entry: int, *, market_id: int = ETH, price: int = PRICE) -> PositionSnapshot:
    """`base` WAD entered at `entry` WAD dollars."""
    return PositionSnapshot(market_id, base, -base * entry // WAD, 0, price)


def account(
    cash: int, positions: Iterable[PositionSnapshot], markets: Iterable[MarketSnapshot], *, number: int = TRADER
) -> AccountSnapshot:
    """An account with the health that the model sees. `cash` in WAD dollars."""
    held = tuple(positions)
    made = AccountSnapshot(number, cash, 0, 0, 0, 0, MAX_HEALTH, None, held)
    equity, maintenance = model_state(markets, [made]).health(number, NOW)
    return replace(made, equity=equity, maintenance=maintenance, health=equity * WAD // maintenance)


def queued(
    sequence: int,
    *,
    settle_from: int = NOW,
    market_id: int = ETH,
    base: int = WAD,
    reduce_only: bool = False,
    account: int = TRADER,
) -> OpenOrder:
    """A market order of the queue."""
    return _open(market_order(account, market_id, base, reduce_only=reduce_only, salt=sequence), settle_from, sequence)


def waiting(
    base: int,
    price: int,
    *,
    settle_from: int = NOW - 100,
    expiry: int = 0,
    reduce_only: bool = False,
    market_id: int = ETH,
    salt: int = 1,
) -> OpenOrder:
    """A limit order."""
    order = limit_order(TRADER, market_id, base, price, expiry=expiry, reduce_only=reduce_only, salt=salt)
    return _open(order, settle_from, 0)


def stop(
    base: int, trigger: int, *, acceptable: int | None = None, parent: bytes = NO_PARENT, account: int = TRADER
) -> OpenOrder:
    """A stop-loss that only reduces."""
    order = stop_loss_order(account, ETH, base, trigger, acceptable_price=acceptable, parent=parent, salt=trigger)
    return _open(order, NOW - 100, 0)


def profit(
    base: int, trigger: int, *, acceptable: int | None = None, parent: bytes = NO_PARENT, account: int = TRADER
) -> OpenOrder:
    """A take-profit that only reduces."""
    order = take_profit_order(account, ETH, base, trigger, acceptable_price=acceptable, parent=parent, salt=trigger)
    return _open(order, NOW - 100, 0)


def left_queue(base: int, price: int, *, expiry: int = 0) -> OpenOrder:
    """A reduce-only market order that missed its record."""
    order = market_order(TRADER, ETH, base, acceptable_price=price, reduce_only=True, expiry=expiry, salt=1)
    return _open(order, NOW - 100, 0)


def _open(order: Order, settle_from: int, sequence: int) -> OpenOrder:
    return OpenOrder(order_hash(order), order, settle_from, sequence, WAD // 2)
