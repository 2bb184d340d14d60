"""An engine, its settlement and the model as its chain; with a file, it can crash and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from plimsoll.book.engine import Engine
from plimsoll.book.records import BookOrder
from plimsoll.book.settle import Settler
from plimsoll.book.store import Store
from plimsoll.core.units import WAD
from plimsoll.risk.protocol import Protocol
from tests.python.book.setting import Desk, ModelChain, account_of, facts_of, learn, market
from tests.python.risk.setting import ETH, PRICE, set_price

A, B, C, D, TAKER = 1, 2, 3, 4, 9
TRADERS = (A, B, C, D, TAKER)


class Stage(Desk):
    """A desk whose matches are settled on the model."""

    def __init__(self, protocol: Protocol, traders: Iterable[int]) -> None:
        self.traders = list(traders)
        super().__init__(facts_of(protocol, self.traders))
        self.protocol = protocol
        self.chain = ModelChain(protocol, self.facts)
        self.log: list[str] = []
        self.settler = self.new_settler()

    def new_settler(self) -> Settler:
        return Settler(self.engine, self.chain, self.flush, log=self.say, refresh=self.refresh)

    def say(self, event: str, **_: object) -> None:
        self.log.append(event)

    async def flush(self) -> None:
        self.engine.release(self.engine.drain().orders)

    async def refresh(self, accounts: Iterable[int]) -> None:
        learn(self.facts, self.protocol, accounts)

    def learn(self) -> None:
        learn(self.facts, self.protocol, map(account_of, self.traders))

    def round(self) -> bool:
        return asyncio.run(self.settler.round())

    def settle(self) -> None:
        """Until nothing is left to be done."""
        while self.round():
            self.learn()

    def pass_time(self, seconds: int, price: int | None = PRICE) -> None:
        self.facts.now += seconds
        self.facts.block += 1
        if price is not None:
            set_price(self.protocol, price, self.facts.now)
        self.learn()

    def base(self, number: int) -> int:
        """Whole units that a trader holds."""
        return self.protocol.position(account_of(number), ETH, self.facts.now)[0] // WAD

    def take_cash(self, number: int) -> None:
        """All that can leave an account; the desk learns of it only when it asks."""
        account = account_of(number)
        owner = account >> 96
        amount = self.protocol.withdrawable(account, self.facts.now)
        self.protocol.withdraw(account, amount, owner, now=self.facts.now, sender=owner)


class Durable(Stage):
    """A stage whose engine writes to a file, and can lose everything else."""

    def __init__(self, path: Path) -> None:
        super().__init__(market(TRADERS), TRADERS)
        self.path = path
        self.start()

    def start(self) -> None:
        self.store = Store(self.path, "test")
        self.engine = Engine(
            self.facts, self.store.load(), is_taken=self.store.has, clock=lambda: self.facts.now * 1_000
        )
        self.settler = self.new_settler()

    def restart(self) -> None:
        """All that was not committed is gone."""
        self.store.close()
        self.start()

    async def flush(self) -> None:
        drained = self.engine.drain()
        self.store.commit(drained.batch.rows())
        self.engine.release(drained.orders)

    def commit(self) -> None:
        asyncio.run(self.flush())

    def order(self, one: BookOrder) -> BookOrder:
        """As it is now, from the memory or the file."""
        found = self.engine.orders.get(one.hash) or self.store.order(one.hash)
        assert found is not None
        return found
