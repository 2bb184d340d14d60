"""One source lies by any amount, in any direction, each in turn: the price stays within what the honest ones span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import cycle

from plimsoll.core.units import BPS, WAD
from plimsoll.drills.notes import Figure, Notes, usd
from plimsoll.drills.stage import BTC, ETH, PRICES, Stage, staged
from plimsoll.drills.world import Recorded, Said, shown
from plimsoll.risk.aggregation import PROBATION
from plimsoll.risk.oracle import DOUBTFUL

SPREADS_BPS = (0, 4, 30, 49, 60)
"""How far the honest ones are apart; the last is more than a market's dispersion."""
SMALL_LIES_BPS = (10, 30, 49, 51, 100, 500, 1_000, 5_000, 9_999)
FACTORS = (2, 10, 1_000)
LARGEST_BITS = {"api3": 223, "datastreams": 191}
"""Of what a vendor's signed price can carry, and as much below zero."""
PUSH = "chainlink"
EDGE = {"edge long": 10 * WAD, "edge short": -10 * WAD}
EDGE_DOLLARS = 1_020
"""A long and a short so close to liquidation that 1.6% against them would do."""


def play(notes: Notes) -> None:
    with staged(notes, *EDGE) as stage:
        stage.deposit(dict.fromkeys(EDGE, EDGE_DOLLARS))
        stage.open(PRICES, *((name, ETH, base) for name, base in EDGE.items()))
        for market in (ETH, BTC):
            _lie_about_the_price(stage, market)
        _lie_about_the_time(stage)
        _lie_as_a_bound(stage)


def lies(price: int, largest: int) -> Iterator[int]:
    """Prices that aren't, WAD; up to the largest that a source can say."""
    for bps in SMALL_LIES_BPS:
        yield from (price * (BPS + bps) // BPS, price * (BPS - bps) // BPS)
    for factor in FACTORS:
        yield from (price * factor, price // factor)
    yield from (1, 0, -1, -price, 2**96 - 1, 2**96, largest, -largest)


def _lie_about_the_price(stage: Stage, market: str) -> None:
    """Every lie of every source, for honest ones that agree and that hardly do."""
    notes, price, names = stage.notes, PRICES[market], stage.world.names(market)
    told = outside = 0
    refused: Counter[str] = Counter()
    victims: set[str] = set()
    for spread in SPREADS_BPS:
        for liar in names:
            honest = _apart(price, spread, [name for name in names if name != liar])
            prices = [one.price for one in honest.values()]
            for lie in lies(price, 2 ** LARGEST_BITS[liar.partition("-")[0]] - 1):
                done = stage.say({market: {**honest, liar: Said(lie)}}, seconds=1)[market]
                told += 1
                if isinstance(done, Recorded):
                    outside += not min(prices) <= done.price <= max(prices)
                else:
                    refused[f"{spread} bps apart: {done}"] += 1
                victims |= set(stage.liquidatable())
    close = stage.devnet.market(market).oracle.dispersion_bps
    stopped = sum(times for text, times in refused.items() if int(text.split(" ")[0]) <= close)
    notes.figure(f"{market}: lies told", told)
    notes.figure(f"{market}: refused, while the honest ones are", dict(refused))
    within = f"{market}: the price stays within what the honest ones span"
    notes.promise(within, not outside, f"{outside} of {told} outside")
    recorded = f"{market}: honest ones that agree are recorded whatever the liar says"
    notes.promise(recorded, not stopped, f"{stopped} refused")
    notes.promise(f"{market}: nobody becomes liquidatable by a lie", not victims, sorted(victims))


def _apart(price: int, spread: int, names: list[str]) -> dict[str, Said]:
    """Honest sources, the last so many bps above the first."""
    gaps = max(1, len(names) - 1)
    return {name: Said(price + price * spread * place // (gaps * BPS)) for place, name in enumerate(names)}


def _lie_about_the_time(stage: Stage) -> None:
    """A time that is to come, an old one, and none: the price waits until the source is reported, then does without."""
    notes, market = stage.notes, ETH
    price, names = PRICES[market], stage.world.names(market)
    rules = stage.devnet.market(market).oracle
    gaps: dict[str, Figure] = {}
    stage.publish(PRICES)
    kinds = {"from the future": -60, "too old": rules.record_window + 1, "nothing": None}
    for liar, (what, ago) in zip(cycle(names), kinds.items(), strict=False):
        words = {name: Said(price) for name in names if name != liar}
        if ago is not None:
            words[liar] = Said(price // 2, ago)
        before = stage.newest(market).published_at
        refusal = stage.say({market: words}, seconds=1)[market]
        notes.promise(f"{what}: {liar} is not left out at once", isinstance(refusal, str), shown(refusal))
        stage.report_missing(market, liar, seconds=1)
        stage.wait(rules.silent_after - 1)
        done = stage.say({market: words}, seconds=1)[market]
        gaps[what] = stage.now - before
        held = isinstance(done, Recorded) and done.price == price and liar not in done.kept
        notes.promise(f"{what}: once reported, the others go on without it", held, shown(done))
        stage.wait(PROBATION)
        stage.publish(PRICES)
    notes.figure(f"{market}: seconds between two records while one source said", gaps)


def _lie_as_a_bound(stage: Stage) -> None:
    """A push source that lies sets nothing and refuses nothing: opening halts, liquidation goes on."""
    notes, market = stage.notes, ETH
    price, effects = PRICES[market], Counter[str]()
    for lie in (price // 2, price * 97 // 100, price * 103 // 100, price * 2, price * 1_000, 0):
        words = dict.fromkeys(stage.world.names(market), Said(price))
        done = stage.say({market: words}, bounds={market: {PUSH: lie}})[market]
        held = isinstance(done, Recorded) and done.price == price and done.state <= DOUBTFUL
        notes.promise(f"{PUSH} says {usd(lie)}: the price stays, and accounts can be liquidated", held, shown(done))
        effects["opening halts" if isinstance(done, Recorded) and done.state == DOUBTFUL else "none"] += 1
    notes.figure(f"{market}: effects of {PUSH}'s lies", dict(effects))
    stage.publish(PRICES)
