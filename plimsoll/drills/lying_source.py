"""One source lies by any amount, in any direction, each in turn: the price stays within what the honest ones span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from plimsoll.core.units import BPS, WAD
from plimsoll.drills.notes import Notes, usd
from plimsoll.drills.sources import Recorded, Said
from plimsoll.drills.stage import BTC, ETH, PRICES, Stage, staged
from plimsoll.risk.aggregation import PROBATION
from plimsoll.risk.oracle import DOUBTFUL

SPREADS_BPS = (0, 4, 30, 49, 60)
"""How far the honest ones are apart; the last is more than a market's dispersion."""
SMALL_LIES_BPS = (10, 30, 49, 51, 100, 500, 1_000, 5_000, 9_999)
FACTORS = (2, 10, 1_000)
LARGEST = 2**223 - 1
"""What a beacon can carry."""
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


def lies(price: int) -> Iterator[int]:
    """Prices that aren't, WAD."""
    for bps in SMALL_LIES_BPS:
        yield from (price * (BPS + bps) // BPS, price * (BPS - bps) // BPS)
    for factor in FACTORS:
        yield from (price * factor, price // factor)
    yield from (1, 0, -1, -price, 2**96 - 1, 2**96, LARGEST, -(2**223))


def _lie_about_the_price(stage: Stage, market: str) -> None:
    """Every lie of every source, for honest ones that agree and that hardly do."""
    notes, price = stage.notes, PRICES[market]
    count = stage.sources.count(market)
    told = farthest = moved = 0
    refused: Counter[str] = Counter()
    victims: set[str] = set()
    for spread in SPREADS_BPS:
        honest = [price, *(price * (BPS * 100 + spread * 100 * place // (count - 2)) // (BPS * 100) for place in range(1, count - 1))]
        for liar in range(count):
            for lie in lies(price):
                words = [Said(one) for one in honest]
                words.insert(liar, Said(lie))
                done = stage.say({market: words}, seconds=1)[market]
                told += 1
                farthest = max(farthest, abs(lie - price) * 100 // price)
                if isinstance(done, Recorded):
                    moved += not min(honest) <= done.price <= max(honest)
                else:
                    refused[f"{spread} bps apart: {done}"] += 1
                victims |= set(stage.liquidatable())
    notes.figure(f"{market}: lies told", told)
    notes.figure(f"{market}: updates refused", dict(refused))
    notes.promise(f"{market}: the price stays within what the honest ones span", moved == 0, f"{moved} of {told} outside")
    close = stage.devnet.market(market).oracle.dispersion_bps
    stopped = sum(times for text, times in refused.items() if int(text.split(" ")[0]) <= close)
    notes.promise(f"{market}: honest sources that agree are recorded whatever the liar says", stopped == 0, f"{stopped} refused")
    notes.promise(f"{market}: nobody becomes liquidatable by a lie", not victims, sorted(victims))


def _lie_about_the_time(stage: Stage) -> None:
    """A time that is to come, an old one, and none: the price waits until the source is reported, then does without."""
    notes, market = stage.notes, ETH
    price, count = PRICES[market], stage.sources.count(market)
    rules = stage.devnet.market(market).oracle
    gaps: dict[str, int] = {}
    for what, word in (
        ("from the future", Said(price // 2, seconds_ago=-60)),
        ("too old", Said(price // 2, seconds_ago=rules.record_window + 1)),
        ("nothing", None),
    ):
        liar = len(gaps) % count
        words = [word if place == liar else Said(price) for place in range(count)]
        before = stage.newest(market).published_at
        refusal = stage.say({market: words}, seconds=1)[market]
        if not notes.promise(f"{what}: a source that isn't there is not left out at once", isinstance(refusal, str), refusal):
            continue
        stage.report_missing(market, liar, seconds=1)
        stage.wait(rules.silent_after - 1)
        done = stage.say({market: words}, seconds=1)[market]
        gaps[what] = stage.now - before
        held = isinstance(done, Recorded) and done.price == price and liar not in done.kept
        notes.promise(f"{what}: once reported, the others go on without it", held, done)
        stage.wait(PROBATION)
        stage.publish(PRICES)
    notes.figure(f"{market}: seconds between two records while one source said", gaps)


def _lie_as_a_bound(stage: Stage) -> None:
    """A push source that lies sets nothing and refuses nothing: opening halts, liquidation goes on."""
    notes, market = stage.notes, ETH
    price = PRICES[market]
    states = {}
    for lie in (price // 2, price * 97 // 100, price * 103 // 100, price * 2, price * 1_000, 0):
        words = [Said(price)] * stage.sources.count(market)
        done = stage.say({market: words}, pushes={market: lie})[market]
        held = isinstance(done, Recorded) and done.price == price and done.state <= DOUBTFUL
        notes.promise(f"a push source that says {usd(lie)} doesn't move {usd(price)} nor stop liquidations", held, done)
        states[usd(lie)] = "opening halts" if isinstance(done, Recorded) and done.state == DOUBTFUL else "no effect"
    notes.figure(f"{market}: a lying push source", states)
    stage.publish(PRICES)
