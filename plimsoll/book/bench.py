"""How fast the book is, on one core: `make bench-book`. The last line is JSON, for programs.

inserts_per_second: orders from JSON text to the disk: checked, signatures recovered, margin judged, resting in the
book, a commit for every `GROUP` of them. match_ms_at_10000: from a signed order in hand, which crosses, to its match in
memory, in a book of 10,000; the mean. trigger_ms_10000: what a price update makes due among 10,000 waiting orders, by
the executor's index; null where that isn't there.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from plimsoll.book import admission
from plimsoll.book.admission import signed
from plimsoll.book.engine import Engine
from plimsoll.book.facts import AccountFacts, Facts, MarketFacts, Terms
from plimsoll.book.records import BookOrder
from plimsoll.book.store import Store
from plimsoll.book.venue import Venue
from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.risk.config import MarketParams, OrderParams
from plimsoll.risk.market import Market
from plimsoll.risk.oracle import OPEN, Record
from plimsoll.sdk.signed import SignedOrder, signed_from_json, signed_to_json
from plimsoll.sdk.signing import Domain, sign

RESTING = 10_000
INSERTS = 20_000
MATCHES = 2_000
GROUP = 200
TRADERS = 100
MARKET, NOW, INDEX = 1, 1_700_000_000, 1_000 * WAD
CENT = WAD // 100
DOMAIN = Domain(901, "0x" + "11" * 20)


class _Blind:
    """There is no chain to ask."""

    def learn(self, *_: Any) -> Any:
        raise AssertionError("all accounts are known")

    is_owners_word = learn


def facts(traders: Sequence[LocalAccount]) -> Facts:
    """A market at $1,000, and traders with all the money that they need."""
    model = Market(MARKET, 10**6 * WAD, MarketParams(), OrderParams(), ids.pack(1, MARKET), NOW)
    model.newest = Record(INDEX, 0, NOW, OPEN, 1)
    found = Facts(DOMAIN, NOW, 1)
    found.markets[MARKET] = MarketFacts(model, 10**10 * WAD, Terms(CENT, WAD // 10_000, 1_000 * WAD))
    for one in traders:
        found.accounts[ids.pack(one.address)] = AccountFacts(10**9 * WAD, read_at=NOW)
    return found


def orders(
    source: random.Random, traders: Sequence[LocalAccount], count: int, *, crossing: bool = False
) -> list[SignedOrder]:
    """Signed orders within 2% of the index, none of which crosses another; or each of which takes a unit or two."""
    found = []
    for number in range(count):
        trader, is_buy = traders[number % len(traders)], source.random() < 0.5
        size = (
            source.randrange(WAD, 2 * WAD, WAD // 10_000) if crossing else source.randrange(2 * WAD, 9 * WAD, WAD // 10)
        )
        away = -240 if crossing else source.randrange(1, 2_000)
        order = Order(
            ids.pack(trader.address),
            MARKET,
            OrderKind.LIMIT,
            size if is_buy else -size,
            INDEX + (-away if is_buy else away) * CENT,
            salt=source.getrandbits(127),
        )
        found.append(SignedOrder(order, sign(order, DOMAIN, trader)))
    return found


def bench_inserts(venue: Venue, texts: Sequence[str]) -> float:
    """Orders a second, from JSON text to the disk."""

    async def insert() -> None:
        for start in range(0, len(texts), GROUP):
            group = [signed_from_json(json.loads(text), DOMAIN) for text in texts[start : start + GROUP]]
            results = await venue.submit(group)
            assert all(isinstance(one, BookOrder) for one in results), results

    started = time.perf_counter()
    asyncio.run(insert())
    return len(texts) / (time.perf_counter() - started)


def bench_matches(engine: Engine, takers: Sequence[SignedOrder]) -> list[float]:
    """Milliseconds of each, in a book that stays as large as it is."""
    found = []
    for order, signature in takers:
        started = time.perf_counter()
        taken = engine.submit(signed(order, signature, DOMAIN))
        found.append((time.perf_counter() - started) * 1_000)
        assert taken.pending, taken
        _undo(engine, taken)
    return found


def _undo(engine: Engine, taker: BookOrder) -> None:
    """Put the makers back, so that the next one meets the same book."""
    (work,) = engine.work(1)
    engine.drop_taker(taker, work.matches, "")
    engine.release(engine.drain().orders)


def bench_triggers() -> float | None:
    """Milliseconds an update; None without the executor's index."""
    try:
        bench = importlib.import_module("plimsoll.keepers.triggers_bench")
    except ModuleNotFoundError:
        return None
    milliseconds: float = bench.bench_triggers(10_000)
    return milliseconds


def main() -> int:
    source = random.Random(1)
    traders, takers = ([Account.from_key(source.randbytes(32)) for _ in range(TRADERS)] for _ in range(2))
    admission.MAX_OPEN_ORDERS = INSERTS + RESTING
    with tempfile.TemporaryDirectory() as folder:
        known = facts(traders)
        store = Store(Path(folder) / "book.sqlite", "bench")
        venue = Venue(Engine(known, is_taken=store.has), store, _Blind())
        print(f"signing {INSERTS + RESTING + MATCHES:,} orders of {TRADERS} traders", flush=True)
        texts = [json.dumps(signed_to_json(one, DOMAIN)) for one in orders(source, traders, INSERTS)]
        inserts = bench_inserts(venue, texts)
        print(f"inserts: {inserts:,.0f} a second, each on the disk, {venue.committer.commits} commits", flush=True)
        store.close()

    engine = Engine(facts([*traders, *takers]))
    for order, signature in orders(source, traders, RESTING):
        engine.submit(signed(order, signature, DOMAIN))
    engine.release(engine.drain().orders)
    resting = len(engine.book(MARKET))
    found = sorted(bench_matches(engine, orders(source, takers, MATCHES, crossing=True)))
    assert (resting, len(engine.book(MARKET))) == (RESTING, RESTING)
    mean, median, slow = sum(found) / len(found), found[len(found) // 2], found[len(found) * 99 // 100]
    print(f"matches at {RESTING:,}: {mean:.3f} ms, half below {median:.3f}, 99% below {slow:.3f}", flush=True)
    triggers = bench_triggers()
    print("triggers: " + ("not there" if triggers is None else f"{triggers:.3f} ms a price update"), flush=True)
    print(
        json.dumps(
            {
                "inserts_per_second": round(inserts),
                "match_ms_at_10000": round(mean, 4),
                "trigger_ms_10000": None if triggers is None else round(triggers, 4),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
