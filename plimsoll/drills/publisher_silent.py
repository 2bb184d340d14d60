"""Nobody publishes a price for ten minutes: who can do what meanwhile, and what happens with the first price after."""

from __future__ import annotations

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.drills.notes import Notes, ratio, usd
from plimsoll.drills.stage import ETH, PRICES, Stage, bad_debt, staged
from plimsoll.replay.actions import CloseOut, Deposit, ExecuteRequest, Match, Place, RequestEntry, SignedOrder
from plimsoll.risk.fallback import FALLBACK_DELAY, FORCED_WINDOW

SILENT_SECONDS = 600
PRICE_AFTER = {market: price * 92 // 100 for market, price in PRICES.items()}
PRICE_BETWEEN = PRICES[ETH] * 98 // 100
"""What the market is at when nobody records it."""
TRIGGER = PRICES[ETH] * 95 // 100
LONG = 10 * WAD
"""Of everyone who holds something: $20,000."""
COMFORTABLE, TIGHT = 5_000, 1_020
"""Dollars that are plenty for it, and hardly enough to open it."""
HOLDERS = dict.fromkeys(("reducer", "guarded", "asker", "pusher"), COMFORTABLE) | {"tight": TIGHT, "rescued": TIGHT}
FLAT = {"opener": COMFORTABLE, "leaver": COMFORTABLE}
TOP_UP = 2_500


def play(notes: Notes) -> None:
    notes.parameters |= {"silence": f"{SILENT_SECONDS} s"}
    notes.parameters |= {"price before": usd(PRICES[ETH]), "price after": usd(PRICE_AFTER[ETH])}
    with staged(notes, *HOLDERS, *FLAT) as stage:
        stage.deposit(HOLDERS | FLAT)
        stage.open(PRICES, *((name, ETH, LONG) for name in HOLDERS))
        stop = stage.order("guarded", ETH, -LONG, kind=OrderKind.STOP_LOSS, trigger=TRIGGER, reduce_only=True)
        stage.do(Place(stop))
        stage.publish(PRICES)
        silent_from = stage.now
        asking, pushing = (stage.order(name, ETH, -LONG, reduce_only=True) for name in ("asker", "pusher"))
        leaving = _try_everything(stage, stop, asking, pushing)
        _leave_without_a_publisher(stage, stop, asking, pushing)
        stage.wait(silent_from + SILENT_SECONDS - stage.now)
        _recover(stage, stop, leaving)


def _try_everything(stage: Stage, stop: Order, *exits: Order) -> Order:
    """While there is no price. Returns the reducer's order, which waits as the exits do."""
    notes, could = stage.notes, {}
    rules = stage.mirror.markets[stage.market_ids[ETH]].rules.params
    stage.wait(rules.max_price_age + 1)

    def note(what: str, expected: str, found: str) -> None:
        could[what] = found or "done"
        notes.promise(f"silent: {what}: {expected or 'done'}", found == expected, found or "done")

    opening = stage.order("opener", ETH, LONG)
    leaving = stage.order("reducer", ETH, -LONG, reduce_only=True)
    cash = stage.cash("opener")
    stage.do(Place(opening), Place(leaving), *(Place(order) for order in exits))
    note("deposit", "", stage.attempt(Deposit(stage.account("rescued"), TOP_UP * 10**6)))
    note("withdraw without a position", "", stage.attempt(stage.withdrawal("leaver", COMFORTABLE)))
    note("withdraw with a position", "PerpMarket_StalePrice", stage.attempt(stage.withdrawal("reducer", 100)))
    liquidation = CloseOut(stage.account("tight"), stage.market_ids[ETH])
    note("liquidate", "Liquidator_PriceUnusable", stage.attempt(liquidation))
    note("match two signed orders", "PerpMarket_StalePrice", stage.attempt(_match(stage)))
    note("enter the pool", "RequestVault_PriceUnusable", _enter_pool(stage))
    stage.wait(3 * stage.devnet.market(ETH).orders.settlement_window)
    opened, left, *_, stopped = stage.execute(opening, leaving, *exits, stop)
    note("open by a market order", "void", opened.status)
    paid = cash - stage.cash("opener")
    fee = stage.devnet.market(ETH).orders.execution_fee
    notes.promise("silent: a void order costs its execution fee and nothing else", paid == fee, usd(paid))
    note("reduce by a market order", "waiting", left.status)
    note("stop-loss", "skipped", stopped.status)
    notes.figure("while there was no price", could)
    return leaving


def _leave_without_a_publisher(stage: Stage, stop: Order, asking: Order, pushing: Order) -> None:
    """The ways out that need no keeper: data that its owner asks the signers for, and the push sources."""
    notes = stage.notes
    stage.wait(FALLBACK_DELAY)
    refusal = stage.attempt(stage.forced(stop, PRICE_BETWEEN))
    notes.promise("silent: a stop that isn't triggered is not forced", refusal == "OrderBook_NotTriggered", refusal)
    refusal = stage.attempt(stage.forced(asking, PRICE_BETWEEN))
    notes.promise("silent: an exit at data that its owner asks the signers for", not refusal, refusal)
    stage.wait(FORCED_WINDOW)
    stage.say({}, bounds={ETH: {"chainlink": PRICE_BETWEEN}})
    refusal = stage.attempt(stage.forced(pushing))
    notes.promise("silent: an exit at the push source", not refusal, refusal)
    gone = [name for name in ("asker", "pusher") if not stage.base(name, ETH)]
    notes.promise("silent: both are out", len(gone) == 2, gone)
    cost = {name: COMFORTABLE * WAD - (PRICES[ETH] - PRICE_BETWEEN) * LONG // WAD - stage.cash(name) for name in gone}
    notes.figure(f"exits at {usd(PRICE_BETWEEN)} cost, fees of opening included", {one: usd(cost[one]) for one in gone})


def _match(stage: Stage) -> Match:
    """Two who agree at the last price."""
    sell = stage.order("leaver", ETH, -LONG, kind=OrderKind.LIMIT, limit=PRICES[ETH])
    buy = stage.order("opener", ETH, LONG, kind=OrderKind.LIMIT, limit=PRICES[ETH])
    maker, taker = (SignedOrder(order, order.account >> 96) for order in (sell, buy))
    return Match(taker, ((maker, LONG),))


def _enter_pool(stage: Stage) -> str:
    provider = stage.roles.provider.number
    stage.do(Deposit(ids.pack(provider), 10**6), RequestEntry("pool", provider, 10**6))
    stage.wait(stage.mirror.model.pool.params.deposit_delay)
    return stage.attempt(ExecuteRequest("pool", 2))


def _recover(stage: Stage, stop: Order, leaving: Order) -> None:
    """The first price after: exits first, the unhealthy next, and everything is as before."""
    notes = stage.notes
    stage.publish(PRICE_AFTER)
    first = stage.now
    unhealthy = stage.liquidatable()
    notes.promise("after: only who didn't top up is liquidatable", unhealthy == ["tight"], unhealthy)
    notes.figure("health of tight and of rescued", [ratio(stage.health(one).ratio) for one in ("tight", "rescued")])
    done = stage.execute(stop, leaving)
    fills = [one.trade.price for one in done if one.trade is not None]
    statuses = [one.status for one in done]
    notes.promise("after: the stop and the waiting order fill at the first price", len(fills) == len(done), statuses)
    notes.figure("fills of stop and waiting order", [usd(price) for price in fills])
    steps = stage.liquidate(PRICE_AFTER)
    notes.promise("after: the liquidator closes out", bool(steps) and not stage.liquidatable(), f"{len(steps)} steps")
    notes.figure("close-outs", len(steps))
    notes.figure("seconds from the first price until exits and close-outs were done", stage.now - first)
    stage.settle_down(PRICE_AFTER)
    stage.open(PRICE_AFTER, ("opener", ETH, LONG))
    stage.do(stage.withdrawal("rescued", 100), ExecuteRequest("pool", 2))
    notes.promise("after: opening, withdrawing and entering the pool work again", True)
    notes.figure("seconds until the pools' averages had followed and opening worked", stage.now - first)
    notes.figure("bad debt, paid by the fund", usd(bad_debt(steps)))
