"""19 May 2021: the perpetual closes 23.8% below spot. It is one of three sources; nobody is liquidated by it."""

from __future__ import annotations

from plimsoll.core.units import WAD
from plimsoll.deploy import parameters
from plimsoll.devnet.boot import PARAMETERS
from plimsoll.drills.notes import Notes, usd
from plimsoll.drills.venues import MARKET, Venues, bars_of, compare, play_on_devnet
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.bar import CRASH_CENTRE
from plimsoll.risk.scenario.population import PopulationParameters
from plimsoll.risk.scenario.scenario import PriceHistory, Scenario

SPOT = {"ETH": "eth_usdt_binance_spot_1m_2021-05.csv", "BTC": "btc_usdt_binance_spot_1m_2021-05.csv"}
PERPETUAL = "eth_usdt_binance_perp_1m_2021-05.csv"
HOURS = 2
ACCOUNTS = 80
LEVERAGE = 5 * WAD
"""At most: more are hit by spot itself, in an hour that took 30% from it."""


def play(notes: Notes) -> None:
    spot = {name: bars_of(file) for name, file in SPOT.items()}
    cut = prices.align(
        {name: prices.window(bars, CRASH_CENTRE, HOURS) for name, bars in (spot | {"perp": bars_of(PERPETUAL)}).items()}
    )
    perpetual = PriceHistory("perpetual", {MARKET: cut.pop("perp")})
    history = PriceHistory(f"Binance spot, {prices.describe_span(cut)}", cut)
    scenario = Scenario(
        name="spot and perpetual", population=PopulationParameters(accounts=ACCOUNTS, leverage_max=LEVERAGE)
    )
    third = {tick.ts: tick.prices[MARKET] for tick in perpetual.ticks(scenario.keepers)}
    pairs = list(zip(history.markets[MARKET], perpetual.markets[MARKET], strict=True))
    here, there = max(pairs, key=lambda pair: (pair[0].close - pair[1].close) * WAD // pair[0].close)
    change = prices.format_change((there.close - here.close) * WAD // here.close)
    notes.parameters |= {
        "prices": history.source,
        "accounts": ACCOUNTS,
        "worst close": f"{prices.utc(here.ts)}: spot {usd(here.close)}, perpetual {usd(there.close)} ({change})",
    }
    with_it = play_on_devnet(notes, "with the perpetual", scenario, history, third)
    without = play_on_devnet(notes, "spot alone", scenario, history, {})
    compare(notes, with_it, without)
    spared = without.liquidated()
    alone = PriceHistory("the perpetual alone", {**history.markets, **perpetual.markets})
    by_it = Venues.alone(scenario, alone, parameters.load(PARAMETERS)).liquidated()
    notes.figure("had the perpetual been the price (model), liquidated", len(by_it))
    notes.figure("of them not by spot", len(by_it.keys() - spared.keys()))
