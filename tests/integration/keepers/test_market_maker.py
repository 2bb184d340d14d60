"""The market maker and a matching engine as processes on a devnet: quotes that stand, are hit, move, and go."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.core.orders import TimeInForce
from plimsoll.core.units import WAD
from plimsoll.keepers.engine import EngineGone, HttpEngine, Standing
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.order_book import OrderBookClient
from plimsoll.sdk.orders import limit_order
from tests.integration.keepers.conftest import Bot, Stage, until

pytestmark = pytest.mark.node

ETH, MARKET = "ETH/USD", 1


class Fair:
    """A stage with prices, an engine, a maker's bot, and a look into the engine."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        stage.start("publisher", "provider")
        self.maker, self.taker = stage.client("alice"), stage.client("bob")
        self.maker.deposit(50_000)
        self.taker.deposit(50_000)
        self.book = self.run("book", "keeper", store=str(stage.folder / "book.db"), port=self.port)
        self.engine = HttpEngine(f"http://127.0.0.1:{self.port}", OrderBookClient(self.maker.contracts).domain)

    def run(self, job: str, account: str, **options: Any) -> Bot:
        devnet = self.stage.devnet
        given = {
            "job": job,
            "uri": devnet.node.url,
            "deployment": str(devnet.manifest_path),
            "key": devnet.signers[account].key,
            **options,
        }
        bot = Bot([sys.executable, "-m", "tests.integration.keepers.market", json.dumps(given)])
        self.stage.bots.append(bot)
        bot.wait_for("started")
        return bot

    def run_maker(self, **options: Any) -> Bot:
        return self.run("market-maker", "alice", engine=self.engine.url, **options)

    def quotes(self) -> dict[bool, Standing]:
        """By whether it is a bid; only where there are two. A book that has just started may not listen yet."""
        try:
            found = {one.left > 0: one for one in self.engine.standing(self.maker.account()) if one.left}
        except EngineGone:
            return {}
        return found if len(found) == 2 else {}

    def buy(self, size: int) -> None:
        """The taker buys at whatever the maker asks."""
        book = OrderBookClient(self.taker.contracts, self.stage.devnet.signers["bob"])
        index = self.stage.devnet.prices[ETH]
        order = limit_order(
            self.taker.account(),
            MARKET,
            size,
            index * 1_002 // 1_000 // (WAD // 100) * (WAD // 100),
            time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
            counter=book.counter_of(self.taker.account()),
        )
        self.engine.submit(book.signed(order))


def held(client: Plimsoll) -> int:
    found = client.position(ETH)
    return found.base if found else 0


@pytest.fixture
def fair(stage: Stage) -> Fair:
    return Fair(stage)


def until_quotes(fair: Fair, what: str, check: Callable[[dict[bool, Standing]], bool]) -> dict[bool, Standing]:
    found: dict[bool, Standing] = {}

    def look() -> bool:
        nonlocal found
        found = fair.quotes()
        return bool(found) and check(found)

    until(what, look)
    return found


def test_market_maker__from_quote_to_fill_to_stop__by_a_real_engine(fair: Fair) -> None:
    maker = fair.run_maker()
    first = until_quotes(fair, "two quotes stand", lambda _: True)
    fair.buy(WAD)
    until("the match is on the chain", lambda: held(fair.maker) == -WAD and held(fair.taker) == WAD)
    higher = first[True].order.acceptable_price
    until_quotes(fair, "short, it bids higher", lambda found: found[True].order.acceptable_price > higher)
    price = fair.stage.devnet.prices[ETH] * 1_004 // 1_000
    fair.stage.set_prices({ETH: price})
    until_quotes(fair, "the quotes follow", lambda found: found[False].order.acceptable_price >= price)
    assert maker.stop() == 0
    assert fair.engine.standing(fair.maker.account()) == []
    assert fair.book.stop() == 0


def test_market_maker__engine_killed__revokes_on_the_chain_and_goes_on_with_its_next(fair: Fair) -> None:
    maker = fair.run_maker(terms={"lifetime": 120})
    until_quotes(fair, "two quotes stand", lambda _: True)
    fair.book.kill()
    [line] = maker.wait_for("sent")
    assert line["do"] == "revoke"
    assert OrderBookClient(fair.maker.contracts).counter_of(fair.maker.account()) == 1
    fair.run("book", "keeper", store=str(fair.stage.folder / "book.db"), port=fair.port)
    until_quotes(fair, "it quotes again", lambda found: {one.order.counter for one in found.values()} == {1})
    assert maker.stop() == 0
