"""The accounts of a study: a seeded population, brought to the open interest that the setting names."""

from __future__ import annotations

from typing import NamedTuple

from plimsoll.core.units import BPS, SECONDS_PER_MINUTE, WAD
from plimsoll.risk.scenario.population import PopulationParameters, build_population
from plimsoll.risk.study.crash import BEFORE, Crash
from plimsoll.risk.study.setting import Setting

_HEADROOM_BPS = 10


class Entry(NamedTuple):
    """Someone who opens a position at a time (Unix seconds): dollars of either sign, and his collateral; WAD."""

    at: int
    dollars: int
    collateral: int


def crowd(setting: Setting, crash: Crash) -> list[Entry]:
    """By time of entry, all within the hour before the worst one. Longs and shorts add up to what the setting says."""
    parameters = PopulationParameters(
        accounts=setting.accounts, market_weights={crash.market: WAD}, cross_share=WAD, two_market_share=0
    )
    plans = build_population(parameters, crash_minute=BEFORE // SECONDS_PER_MINUTE, seed=setting.seed)
    legs = [plan.legs[0] for plan in plans]
    wanted = {1: setting.long_usd, -1: setting.short_usd}
    planned = {sign: sum(leg.notional_usd for leg in legs if leg.sign == sign) for sign in wanted}
    entries = []
    for leg in legs:
        dollars = leg.notional_usd * wanted[leg.sign] * setting.open_interest_percent // (planned[leg.sign] * 100)
        collateral = dollars * WAD // leg.leverage + dollars * _HEADROOM_BPS // BPS
        at = crash.start + min(leg.entry_minute * SECONDS_PER_MINUTE, crash.worst - crash.start)
        entries.append(Entry(at, leg.sign * dollars, collateral))
    return sorted(entries)
