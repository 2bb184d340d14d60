"""The settlement token trades at 97 cents: accounts are in the token, prices in dollars; who gains, and what stops.

A pool that quotes the token shows everything three hundredths dearer, so it is off as a bound: opening halts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from plimsoll.core.units import WAD
from plimsoll.drills.notes import Figure, Notes, ratio, usd
from plimsoll.drills.stage import BTC, ETH, FOLLOW_SECONDS, PRICES, Stage, bad_debt, staged
from plimsoll.drills.world import Recorded, Said, shown
from plimsoll.replay.actions import CloseOut, Deposit, Place
from plimsoll.risk.oracle import DOUBTFUL, OPEN

CENTS = 97
DEEPER_CENTS = 85
"""So far off that the pool would refuse prices, were it not one bound of two."""
POOL = "uniswap"
RISEN = {market: price * 105 // 100 for market, price in PRICES.items()}
BASE = 10 * WAD
DOLLARS = {"long": 5_000, "short": 5_000, "tight": 1_020, "late": 5_000}
BARGAIN = 100_000
"""Dollars of tokens that somebody buys at 97 cents and brings."""
LIMIT_SECONDS = 600


def play(notes: Notes) -> None:
    notes.parameters |= {"token": f"{CENTS} cents", "prices": usd(PRICES[ETH]), "then": usd(RISEN[ETH])}
    with staged(notes, *DOLLARS, "arbitrageur") as stage:
        stage.deposit(DOLLARS)
        stage.open(PRICES, ("long", ETH, BASE), ("short", ETH, -BASE), ("tight", ETH, -BASE))
        _lose_the_peg(stage)
        _what_stops(stage)
        _bring_cheap_tokens(stage)
        _win_and_lose(stage)
        _fall_deeper(stage)
        waited = stage.settle_down(RISEN)
        notes.figure("seconds until opening worked, once the token was back at a dollar", waited)


def _publish(stage: Stage, prices: Mapping[str, int], cents: int = CENTS) -> dict[str, Recorded | str]:
    """Dollar prices from everyone but the pools, which quote the token."""
    said = {market: dict.fromkeys(stage.world.names(market), Said(price)) for market, price in prices.items()}
    bounds = {
        market: {name: price * 100 // cents if name == POOL else price for name in stage.world.bounds(market)}
        for market, price in prices.items()
    }
    return stage.say(said, bounds=bounds, seconds=FOLLOW_SECONDS)


def _lose_the_peg(stage: Stage) -> None:
    notes, start, before = stage.notes, stage.now, _wealth(stage)
    while stage.newest(ETH).state == OPEN and stage.now - start < LIMIT_SECONDS:
        _publish(stage, PRICES)
    newest = stage.newest(ETH)
    notes.promise("the pools' averages halt opening", newest.state == DOUBTFUL, shown(newest))
    notes.promise("the price is in dollars as before", newest.price == PRICES[ETH], usd(newest.price))
    drift = max(abs(one - before[name]) for name, one in _wealth(stage).items())
    notes.promise("nobody's claim in tokens moved with the token", drift < WAD, f"${usd(drift)} of funding at most")
    notes.figure("seconds from the loss of the peg until opening halted", stage.now - start)


def _what_stops(stage: Stage) -> None:
    notes = stage.notes
    notes.promise("nobody becomes liquidatable", not stage.liquidatable(), stage.liquidatable())
    opening, leaving = stage.order("late", ETH, BASE), stage.order("long", ETH, -BASE // 2, reduce_only=True)
    stage.do(Place(opening), Place(leaving))
    _publish_soon(stage, PRICES)
    opened, left = stage.execute(opening, leaving)
    reason = opened.reason.name if opened.reason else opened.status
    notes.promise("nobody opens", reason == "PerpMarket_OpeningHalted", reason)
    notes.promise("reducing works", left.status == "filled", left.status)
    notes.promise("withdrawing works", not stage.attempt(stage.withdrawal("late", 1_000)))


def _publish_soon(stage: Stage, prices: Mapping[str, int]) -> None:
    """Within the window of orders that were placed just now."""
    delay = stage.devnet.market(ETH).orders.settlement_delay
    said = {market: dict.fromkeys(stage.world.names(market), Said(price)) for market, price in prices.items()}
    stage.say(said, seconds=delay)


def _bring_cheap_tokens(stage: Stage) -> None:
    """Bought at 97 cents, taken as a dollar's claim, and given back as the same token."""
    account = stage.account("arbitrageur")
    stage.do(Deposit(account, BARGAIN * 10**6))
    stage.do(stage.withdrawal("arbitrageur", BARGAIN))
    held = stage.devnet.token.call("balanceOf", stage.keys["arbitrageur"].address)
    stage.notes.promise("tokens bought cheaply earn nothing by coming in and out", held == BARGAIN * 10**6, held)


def _win_and_lose(stage: Stage) -> None:
    """ETH rises by a twentieth while the token is off: what a long wins a short loses, in tokens."""
    notes, before = stage.notes, _wealth(stage)
    _publish(stage, RISEN)
    unhealthy = stage.liquidatable()
    notes.promise("the rise makes one short liquidatable, token or not", unhealthy == ["tight"], unhealthy)
    refusal = stage.attempt(CloseOut(stage.account("long"), stage.market_ids[ETH]))
    notes.promise("who is healthy stays so", refusal == "Liquidator_Healthy", refusal)
    notes.figure("health", {name: ratio(stage.health(name).ratio) for name in ("long", "short", "tight")})
    steps = stage.liquidate(RISEN, publish=partial(_publish_soon, stage))
    notes.promise("liquidation goes on", bool(steps) and not stage.liquidatable(), f"{len(steps)} steps")
    notes.figure("bad debt, paid by the fund", usd(bad_debt(steps)))
    after = _wealth(stage)
    moved: dict[str, Figure] = {
        name: {"tokens": usd(after[name] - before[name]), "worth": usd((after[name] - before[name]) * CENTS // 100)}
        for name in after
    }
    notes.figure("won and lost by a rise of 5%", moved)
    notes.figure(
        "held in tokens, and what the peg took",
        {name: {"tokens": usd(one), "lost": usd(one * (100 - CENTS) // 100)} for name, one in after.items()},
    )
    drift = abs(sum(after.values()) - sum(before.values()))
    notes.promise("what some won others lost, to the wei of dust", drift < 10**6, f"{drift} wei")
    hedge = BASE * (RISEN[ETH] - PRICES[ETH]) // WAD * (100 - CENTS) // 100
    notes.figure("left over in dollars to who holds 10 ETH and is short as much", usd(hedge))


def _fall_deeper(stage: Stage) -> None:
    """One bound that is far off refuses no price: a quorum of them would have to be."""
    start, told = stage.now, {}
    while stage.now - start < LIMIT_SECONDS:
        told = _publish(stage, RISEN, DEEPER_CENTS)
    notes = stage.notes
    for market in (ETH, BTC):
        done = told[market]
        held = isinstance(done, Recorded) and done.price == RISEN[market] and done.state == DOUBTFUL
        notes.promise(f"at {DEEPER_CENTS} cents {market} is still recorded", held, shown(done))


def _wealth(stage: Stage) -> dict[str, int]:
    """Equity of everyone at the index, WAD tokens: traders, the pool, the fund, and whoever is paid by them."""
    model, named = stage.mirror.model, {name: stage.equity(name) for name in stage.keys}
    own = stage.mirror.own_accounts()
    fund = model.state.fund_account
    rest = sum(model.equity(account, stage.now) for account in own if account != fund)
    fees = sum(market.unswept_insurance + market.unswept_treasury for market in stage.mirror.markets.values())
    return {**named, "fund": stage.fund(), "pool and keepers": rest + fees}
