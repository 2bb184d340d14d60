"""A devnet with prices, the book as a process, and traders who talk to it over HTTP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from plimsoll.core.orders import Order, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.orders import limit_order
from plimsoll.sdk.signed import SignedOrder, signed_to_json
from tests.integration.keepers.conftest import Bot, Stage, door, stage, until

__all__ = ["door", "stage"]

ETH = 1
CENT = WAD // 100
GTT = TimeInForce.GOOD_TILL_TIME


class Venue:
    """The book's process and a client of it; killed and started again, it is at another port."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.uri = stage.devnet.node.url
        self.start()

    def start(self, account: str = "keeper") -> None:
        devnet = self.stage.devnet
        given = {
            "uri": self.uri,
            "deployment": str(devnet.manifest_path),
            "store": str(self.stage.folder / "book.sqlite"),
            "key": devnet.signers[account].key,
        }
        self.bot = Bot([sys.executable, "-m", "tests.integration.book.process", json.dumps(given)])
        self.stage.bots.append(self.bot)
        (started,) = self.bot.wait_for("started")
        self.http = httpx.Client(base_url=started["url"])
        until("a fresh price", lambda: all(one["isFresh"] for one in self.get("/markets")["markets"]))

    def kill(self) -> None:
        self.http.close()
        self.bot.kill()

    def price(self, cents: int = 0) -> int:
        """So many cents above the index, in whole cents."""
        index = self.stage.devnet.prices["ETH/USD"]
        return index // CENT * CENT + cents * CENT

    def order(self, trader: Plimsoll, size: int, cents: int, time_in_force: TimeInForce = GTT) -> Order:
        return limit_order(
            trader.account(),
            ETH,
            size * WAD,
            self.price(cents),
            time_in_force=time_in_force,
            counter=trader.counter_of(),
        )

    def submit(self, trader: Plimsoll, size: int, cents: int, **fields: Any) -> dict[str, Any]:
        """A signed order; its JSON, or the refusal's."""
        return self.post(trader.signed(self.order(trader, size, cents, **fields)), trader)

    def post(self, signed: SignedOrder, trader: Plimsoll) -> dict[str, Any]:
        """Again while the book says that it is to be tried again: a busy machine's publisher may be late."""
        found: dict[str, Any] = until("an answer", lambda: self.post_once(signed, trader))
        return found

    def post_once(self, signed: SignedOrder, trader: Plimsoll) -> dict[str, Any] | None:
        """None where it is to be tried again."""
        answer = self.http.post("/orders", json=signed_to_json(signed, trader.domain))
        found: dict[str, Any] = answer.json()
        return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else found

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(path).json()
        return answer

    def wait_for(self, hash_: str, **wanted: Any) -> dict[str, Any]:
        """Until an order is as wanted."""
        found: dict[str, Any] = {}

        def check() -> bool:
            found.update(self.get(f"/orders/{hash_}"))
            return all(found[name] == value for name, value in wanted.items())

        try:
            until(f"{wanted}", check)
        except AssertionError:
            raise AssertionError(f"never {wanted}, but {found}; {self.bot.lines}") from None
        return found


@pytest.fixture
def venue(stage: Stage) -> Iterator[Venue]:
    stage.start("publisher", "deployer")
    venue = Venue(stage)
    yield venue
    venue.kill()


@pytest.fixture
def traders(stage: Stage) -> dict[str, Plimsoll]:
    """With $100,000 each."""
    found = {}
    for name in ("alice", "bob", "carol"):
        stage.devnet.mint(stage.devnet.signers[name].address, 100_000)
        found[name] = stage.client(name)
        found[name].deposit("100000")
    return found
