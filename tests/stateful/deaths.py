"""Handlers for markets without prices: forced exits, and the shutdown of a market."""

from __future__ import annotations

from functools import partial
from typing import Any

from eth_abi import encode

from plimsoll.risk.commitments import WAITING
from plimsoll.risk.fallback import FALLBACK_DELAY, FORCED_WINDOW, Quoted
from plimsoll.risk.oracle import GRACE, OPEN
from plimsoll.risk.shutdown import CLOSING_SECONDS, DEAD_ORACLE_SECONDS, DECLARE_SECONDS
from plimsoll.sdk.signing import order_hash
from tests.stateful import debts
from tests.stateful.choices import Choices
from tests.stateful.orders import some_order
from tests.stateful.people import TRADERS, actor, address, main
from tests.stateful.world import MARKETS, World
from tests.support.core import RISK


def execute_forced(w: World, c: Choices) -> None:
    """Mostly of a market that is silent by then."""
    order = some_order(w, c, WAITING)
    if order is None or not (order.reduce_only or c.chance(5)):
        return
    by_data = c.chance(60)
    if c.chance(70):
        w.evm.advance((FALLBACK_DELAY if by_data else FORCED_WINDOW) + c.integer(0, 3))
    keeper = c.pick(TRADERS)
    price = w.prices[order.market_id] * (10_000 + c.integer(-900, 900)) // 10_000
    if order.trigger_price and c.chance(50):
        price = order.trigger_price + c.integer(-1, 1)
    quoted = Quoted(price, price * c.integer(0, 40) // 10_000, w.now - c.pick((0, 0, 1, 5, 59, 120, 121, 300, -1)))
    if not by_data:
        w.core.oracle.setBound(order.market_id, *quoted)
    w.call(
        "executeForced",
        lambda: w.model.execute_forced(
            order,
            quoted if by_data else None,
            now=w.now,
            sender=address(keeper),
            bound=quoted,
        ),
        actor(keeper),
        w.core.order_book.executeForced,
        tuple(order),
        [encode(["uint256"] * 3, quoted)] if by_data else [],
        touches=(order.account, main(keeper), w.core.fund_main),
        orders=(order_hash(order),),
    )


def declare_dead(w: World, c: Choices) -> None:
    market = c.pick(MARKETS)
    if c.chance(30):
        w.evm.advance(DECLARE_SECONDS + c.integer(-1, 1))
    w.call(
        "declareDead",
        lambda: w.model.declare_dead(market, now=w.now),
        actor(c.pick(TRADERS)),
        w.core.liquidator.declareDead,
        market,
    )


def shut_down(w: World, c: Choices) -> None:
    """Declares, confirms, absorbs, closes; now and then a price comes in between, or the sequencer is just back."""
    market = c.pick(MARKETS)
    w.evm.advance(DECLARE_SECONDS + 20)
    if c.chance(20):
        declare_dead(w, c)
    calls: tuple[tuple[str, Any, int, int], ...] = (
        ("declareDead", w.model.declare_dead, 0, DEAD_ORACLE_SECONDS),
        ("confirmDead", w.model.confirm_dead, 1, CLOSING_SECONDS),
        ("closeDead", w.model.close_dead, 1, 0),
    )
    for name, predict, has_sequencer, seconds in calls:
        state = GRACE if has_sequencer and c.chance(10) else OPEN
        w.core.oracle.setSequencerState(state)
        terms = {"sequencer": state} if has_sequencer else {}
        w.call(
            name,
            partial(predict, market, now=w.now, **terms),
            actor(c.pick(TRADERS)),
            getattr(w.core.liquidator, name),
            market,
        )
        w.core.oracle.setSequencerState(OPEN)
        if name == "confirmDead":
            absorb_all(w, c)
            if c.chance(50):
                debts.drown(w, c)
        w.evm.advance(max(0, seconds + (c.integer(-1, 1) if c.chance(20) else 1)))
        newest = w.model.state.markets[market].newest
        if c.chance(5) and (newest is None or newest.published_at < w.now):
            w.prices[market] += 1
            w.core.oracle.record(market, w.prices[market], 0, w.now, OPEN)
            w.model.record_price(market, w.prices[market], 0, w.now)
    absorb_all(w, c)
    for account in w.accounts:
        if c.chance(60):
            _settle(w, c, account, market)


def absorb_all(w: World, c: Choices) -> None:
    """Whoever is worth nothing, absorbed where that can be done."""
    for account in w.accounts:
        if not w.model.markets_bitmap(account) or w.model.equity(account, w.now) > 0:
            continue
        debts.absorb(w, account, c.pick(TRADERS))


def settle(w: World, c: Choices) -> None:
    _settle(w, c, c.pick(w.accounts), c.pick(MARKETS))


def _settle(w: World, c: Choices, account: int, market: int) -> None:
    w.call(
        "settle",
        lambda: w.model.settle(account, market, now=w.now),
        actor(c.pick(TRADERS)),
        w.core.market.settle,
        account,
        market,
        touches=(account,),
    )


def resume(w: World, c: Choices) -> None:
    """What governance does after a shutdown."""
    for market in MARKETS:
        held = w.model.state.markets[market]
        if held.halt_until <= w.now:
            continue
        w.call(
            "resumeOpening",
            partial(w.model.halt_opening, market, 0),
            RISK,
            w.core.configurator.resumeOpening,
            market,
        )
