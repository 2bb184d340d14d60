"""13 March 2020: one venue prints 323 at a market of 117. It is one of three sources; no short is liquidated by it."""

from __future__ import annotations

from plimsoll.core.units import WAD
from plimsoll.drills.notes import Notes, usd
from plimsoll.drills.stage import BTC, ETH, Stage, staged
from plimsoll.drills.venues import MARKET, bars_of, compare, play_on_devnet
from plimsoll.drills.world import Recorded, Said
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.bar import Bar
from plimsoll.risk.scenario.population import PopulationParameters
from plimsoll.risk.scenario.scenario import KeeperBehaviour, PriceHistory, Scenario

SPOT = "eth_usdt_binance_spot_5m_2020-03.csv"
PERPETUAL = "eth_usdt_binance_perp_1m_2020-03-13_0143-0255.csv"
ACCOUNTS = 60
SHORTS = WAD * 85 // 100
"""Of all positions."""
KEEPERS = KeeperBehaviour(points_per_bar=4)
"""Every corner of a bar reaches the oracle, its high above all."""
SIZE, DOLLARS = 100 * WAD, 5_450
"""A short of 100 ETH at 109, and the collateral of half of that."""


def play(notes: Notes) -> None:
    perpetual = bars_of(PERPETUAL)
    first, last = perpetual[0].ts, perpetual[-1].ts
    spot = tuple(bar for bar in bars_of(SPOT) if first <= bar.ts and bar.ts + 300 <= last + 60)
    history = PriceHistory(f"Binance spot, {prices.describe_span({MARKET: spot})}", {MARKET: spot})
    inside = tuple(bar for bar in perpetual if spot[0].ts <= bar.ts < spot[-1].ts + 300)
    third = PriceHistory("perpetual", {MARKET: inside})
    population = PopulationParameters(accounts=ACCOUNTS, long_share=WAD - SHORTS, market_weights={MARKET: WAD})
    scenario = Scenario(name="a print of 323", population=population, keepers=KEEPERS)
    printed = max(inside, key=lambda bar: bar.high)
    notes.parameters |= {
        "prices": history.source,
        "accounts": ACCOUNTS,
        "the print": f"{prices.utc(printed.ts)}: high {usd(printed.high)}, close {usd(printed.close)}",
    }
    said = {tick.ts: tick.prices[MARKET] for tick in third.ticks(KEEPERS)}
    with_it = play_on_devnet(notes, "with the print", scenario, history, said)
    without = play_on_devnet(notes, "spot alone", scenario, history, {})
    compare(notes, with_it, without)
    during = sorted(
        name
        for name, one in with_it.liquidated().items()
        if printed.ts <= one.since < printed.ts + 60 and not one.was_long
    )
    notes.promise("no short is liquidated in the minute of the print", not during, during)

    _by_two_of_three(notes, printed)


def _by_two_of_three(notes: Notes, printed: Bar) -> None:
    """Beyond what is assumed: a majority prints it. The move limit stands in the way."""
    before = {ETH: printed.open, BTC: 5_000 * WAD}
    with staged(notes, "short", prices=before, start=printed.ts) as stage:
        stage.deposit({"short": DOLLARS})
        stage.open(before, ("short", ETH, -SIZE))
        with stage.mirror.model.simulated():
            newest = stage.newest(ETH)
            stage.mirror.model.record_price(stage.market_ids[ETH], printed.high, 0, newest.published_at + 1)
            notes.figure("a short at half its value, had the print been the price: equity", usd(stage.equity("short")))
        _print(stage, printed)


def _print(stage: Stage, printed: Bar) -> None:
    honest, *others = stage.world.names(ETH)
    words = {honest: Said(printed.open), **dict.fromkeys(others, Said(printed.high))}
    done = stage.say({ETH: words})[ETH]
    found = usd(done.price) if isinstance(done, Recorded) else done
    stage.notes.promise("printed by all but one: refused by the move limit", found == "Oracle_MoveTooLarge", found)
    stage.notes.promise("and the short is not liquidatable", not stage.liquidatable(), stage.liquidatable())
