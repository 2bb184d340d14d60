"""The sequencer is down for an hour and comes back: first top-ups and exits, after a grace liquidations and opening."""

from __future__ import annotations

from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import SECONDS_PER_HOUR, WAD
from plimsoll.drills.notes import Notes, ratio, usd
from plimsoll.drills.stage import ETH, PRICES, Stage, bad_debt, staged
from plimsoll.drills.world import Said, shown
from plimsoll.replay.actions import CloseOut, Deposit, Place
from plimsoll.risk.aggregation import DOUBTFUL, DOWN, GRACE

OUTAGE_SECONDS = SECONDS_PER_HOUR
PRICES_AFTER = {market: price * 97 // 100 for market, price in PRICES.items()}
TRIGGER = PRICES[ETH] * 99 // 100
LONG = 10 * WAD
COMFORTABLE, TIGHT = 5_000, 1_020
HOLDERS = {"guarded": COMFORTABLE, "reducer": COMFORTABLE, "rescued": TIGHT, "late": TIGHT}
FLAT = {"opener": COMFORTABLE, "prophet": COMFORTABLE}
TOP_UP = 1_000
LAST_PRICE_SECONDS = 10
"""Of lagging blocks without a price: nobody runs a publisher in them at first."""
NOTICE_SECONDS = 60
"""From the last block before the outage until the feed learns of it, by the clock of L1."""
SEES_SECONDS = 20
"""From the first block after the outage until the feed learns that the sequencer is back."""


def play(notes: Notes) -> None:
    notes.parameters |= {
        "outage": f"{OUTAGE_SECONDS} s",
        "price before": usd(PRICES[ETH]),
        "price after": usd(PRICES_AFTER[ETH]),
    }
    with staged(notes, *HOLDERS, *FLAT) as stage:
        notes.parameters["grace"] = f"{stage.devnet.parameters.sequencer.grace} s"
        stage.deposit(HOLDERS | FLAT)
        stage.open(PRICES, *((name, ETH, LONG) for name in HOLDERS))
        stop = stage.order("guarded", ETH, -LONG, kind=OrderKind.STOP_LOSS, trigger=TRIGGER, reduce_only=True)
        late_order = stage.order("opener", ETH, LONG)
        stage.do(Place(stop))
        stage.publish(PRICES)
        stage.do(Place(late_order))
        stopped_at = stage.now
        # no block for an hour; then those that are missing are made, with the times that they should have had
        _before_the_notice(stage, late_order)
        stage.sequencer(down=True, since=stopped_at, seconds=NOTICE_SECONDS)
        _in_the_past(stage)
        stage.wait(stopped_at + OUTAGE_SECONDS - stage.now)
        _while_down(stage)
        back_at = stage.now + SEES_SECONDS
        stage.sequencer(down=False, since=back_at, seconds=SEES_SECONDS)
        _in_grace(stage, stop)
        stage.wait(back_at + stage.devnet.parameters.sequencer.grace - stage.now)
        _after_grace(stage)


def _before_the_notice(stage: Stage, late_order: Order) -> None:
    """Blocks of a past in which the feed had not noticed yet: whoever knows what came later sells at what was then."""
    notes = stage.notes
    order = stage.order("prophet", ETH, -LONG)
    stage.do(Place(order), seconds=LAST_PRICE_SECONDS)
    stage.publish(PRICES)
    late, opened = stage.execute(late_order, order)
    notes.promise("an order whose window had no price is void: no look-back", late.status == "void", late.status)
    notes.figure("an order in a block of the time before the feed noticed", opened.status)


def _in_the_past(stage: Stage) -> None:
    """Blocks of a past in which the feed knew."""
    notes = stage.notes
    words = dict.fromkeys(stage.world.names(ETH), Said(PRICES_AFTER[ETH], seconds_ago=-OUTAGE_SECONDS // 2))
    told = stage.say({ETH: words})[ETH]
    notes.promise("blocks that lag: a price of the present can't be recorded", isinstance(told, str), shown(told))
    (outcome,) = stage.trade(PRICES, stage.order("opener", ETH, -LONG))
    reason = outcome.reason.name if outcome.reason else ""
    notes.promise("blocks that lag: nobody opens at a past price", reason == "PerpMarket_OpeningHalted", reason)


def _while_down(stage: Stage) -> None:
    """Blocks are back, and the feed does not know it yet."""
    notes = stage.notes
    stage.publish(PRICES_AFTER)
    notes.promise("down: prices are recorded, and say so", stage.newest(ETH).state == DOWN, shown(stage.newest(ETH)))
    refusal = stage.attempt(CloseOut(stage.account("late"), stage.market_ids[ETH]))
    notes.promise("down: nobody is liquidated", refusal == "Liquidator_PriceUnusable", refusal)


def _in_grace(stage: Stage, stop: Order) -> None:
    """Who can help himself does, and nobody else may do anything to him."""
    notes = stage.notes
    stage.publish(PRICES_AFTER)
    notes.promise("grace: prices are recorded, and say so", stage.newest(ETH).state == GRACE, shown(stage.newest(ETH)))
    unhealthy = stage.liquidatable()
    notes.promise("grace: two accounts are below maintenance", unhealthy == ["rescued", "late"], unhealthy)
    notes.figure("health when prices are back", {name: ratio(stage.health(name).ratio) for name in unhealthy})
    for name in unhealthy:
        refusal = stage.attempt(CloseOut(stage.account(name), stage.market_ids[ETH]))
        notes.promise(f"grace: {name} is not liquidated", refusal == "Liquidator_PriceUnusable", refusal)
    refusal = stage.attempt(Deposit(stage.account("rescued"), TOP_UP * 10**6))
    notes.promise("grace: topping up works", not refusal and stage.liquidatable() == ["late"], stage.liquidatable())
    stage.publish(PRICES_AFTER)
    (stopped,) = stage.execute(stop)
    price = stopped.trade.price if stopped.trade else 0
    notes.promise(
        "grace: a stop from before the outage fills at a price after it",
        stopped.status == "filled" and price < TRIGGER and abs(price - PRICES_AFTER[ETH]) < PRICES_AFTER[ETH] // 1_000,
        f"{stopped.status} at {usd(price)}",
    )
    notes.figure("the stop", {"trigger": usd(TRIGGER), "filled at": usd(price)})
    leaving, opening = stage.order("reducer", ETH, -LONG // 2, reduce_only=True), stage.order("opener", ETH, LONG)
    left, opened = stage.trade(PRICES_AFTER, leaving, opening)
    notes.promise("grace: reducing works", left.status == "filled", left.status)
    reason = opened.reason.name if opened.reason else ""
    notes.promise("grace: nobody opens", reason == "PerpMarket_OpeningHalted", f"{opened.status} {reason}")


def _after_grace(stage: Stage) -> None:
    notes = stage.notes
    stage.publish(PRICES_AFTER)
    state = stage.newest(ETH).state
    notes.promise("after the grace the market liquidates", state <= DOUBTFUL, state)
    before = {name: stage.base(name, ETH) for name in HOLDERS}
    steps = stage.liquidate(PRICES_AFTER)
    hit = [name for name in HOLDERS if stage.base(name, ETH) != before[name]]
    notes.promise("after the grace who did nothing is liquidated, and nobody else", hit == ["late"], hit)
    notes.figure("close-outs after the grace", len(steps))
    notes.figure("late: base left of 10, cash", [usd(stage.base("late", ETH)), usd(stage.cash("late"))])
    notes.figure("bad debt, paid by the fund", usd(bad_debt(steps)))
    notes.figure("seconds until the pools' averages had followed and opening worked", stage.settle_down(PRICES_AFTER))
    stage.open(PRICES_AFTER, ("opener", ETH, LONG), ("prophet", ETH, LONG))
    notes.figure("what that order earned", usd(stage.cash("prophet") - COMFORTABLE * WAD))
    notes.promise("after the grace opening works", stage.base("opener", ETH) == LONG)
