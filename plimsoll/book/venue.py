"""The engine with its disk, its listeners and its eyes on the chain: what the API calls.

Whatever is answered is on the disk. Runs on one event loop; what blocks runs in threads beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from plimsoll.book.admission import Signed, is_known, require_terms, signed
from plimsoll.book.committer import Committer
from plimsoll.book.engine import Engine
from plimsoll.book.facts import Facts
from plimsoll.book.feed import Feed
from plimsoll.book.records import BookOrder, Match
from plimsoll.book.refused import FORBIDDEN, NOT_FOUND, UNAVAILABLE, Refused
from plimsoll.book.shown import market_shown
from plimsoll.book.store import Store
from plimsoll.book.watch import Learned
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.sdk.signed import SignedOrder
from plimsoll.sdk.signing import Cancel, recover

SILENT_SECONDS = 30
"""Without a new block for so long the book takes no orders: its facts are old."""
SLOW_SECONDS = 30
"""A match that waits for longer is something to look at."""


class Eyes(Protocol):
    """What is asked of the chain beside its blocks; both block."""

    def learn(self, several: Sequence[Signed], facts: Facts) -> Learned:
        """What it takes to judge these orders."""
        ...

    def is_owners_word(self, account: int, message: Cancel, signature: bytes) -> bool:
        """Whether the account's owner, a wallet, calls a signature its own."""
        ...


class Venue:
    """One book's public face."""

    def __init__(
        self, engine: Engine, store: Store, eyes: Eyes, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self.store = store
        self.eyes = eyes
        self.feed = Feed(engine)
        self.committer = Committer(engine, store, self.feed.prepared)
        self.troubles: dict[str, str] = {}
        """What doesn't get on, and why, in words."""
        self._clock = clock
        self._seen_at = clock()

    @property
    def facts(self) -> Facts:
        return self.engine.facts

    def saw_block(self) -> None:
        """The facts are of a new block."""
        self._seen_at = self._clock()

    # --- orders ------------------------------------------------------------------------------------------------------

    async def submit(self, given: Sequence[SignedOrder]) -> list[BookOrder | Refused]:
        """Accept and match orders in turn; each is on the disk when this returns. Raises Refused where none can be."""
        self._require_working()
        prepared = [self._prepared(one) for one in given]
        await self._learn([one for one in prepared if isinstance(one, Signed)])
        results = [one if isinstance(one, Refused) else self._submit(one) for one in prepared]
        await self._flush()
        return results

    async def cancel(self, hash_: bytes, signature: bytes, relay_fee: int) -> BookOrder:
        """Take back what is left of an order, on the word of the account's owner or of its signer. Raises Refused."""
        self._require_working()
        order = self._find(hash_)
        message = Cancel(hash_, relay_fee)
        found = recover(message, self.facts.domain, signature)
        signer = None if found is None else int(found, 16)
        if signer not in (order.owner, order.signer):
            asked = self._ask(self.eyes.is_owners_word, order.order.account, message, signature)
            if not await asked:
                text = "is not over Cancel(orderHash, relayFee) by the account's owner or by who signed the order"
                raise Refused(FORBIDDEN, "bad_signature", text, "signature")
        result = self.engine.cancel(hash_)
        await self._flush()
        return result

    def _prepared(self, given: SignedOrder) -> Signed | Refused:
        try:
            require_terms(given.order)
            return signed(given.order, given.signature, self.facts.domain)
        except Refused as refused:
            return refused

    def _submit(self, one: Signed) -> BookOrder | Refused:
        try:
            if not is_known(one, self.facts):
                raise Refused(UNAVAILABLE, "try_again", "the account could not be read in time; try again")
            return self.engine.submit(one)
        except Refused as refused:
            return refused

    async def _learn(self, several: Sequence[Signed]) -> None:
        """Of accounts whose owner signed, or where the owner may be a wallet or the signer a delegate."""
        unknown = [one for one in several if not is_known(one, self.facts)]
        if unknown:
            learned: Learned = await self._ask(self.eyes.learn, unknown, self.facts)
            learned.apply(self.facts)

    async def _ask(self, question: Callable[..., Any], *args: Any) -> Any:
        try:
            return await asyncio.to_thread(question, *args)
        except (RpcError, Reverted, UserError) as error:
            raise Refused(UNAVAILABLE, "node_unavailable", f"the node can't be asked: {error}; try again") from None

    async def _flush(self) -> None:
        try:
            await self.committer.flush()
        except UserError as error:
            raise Refused(UNAVAILABLE, "disk", str(error)) from None

    def _require_working(self) -> None:
        if self.committer.trouble is not None:
            raise Refused(UNAVAILABLE, "disk", str(self.committer.trouble))
        if self._clock() - self._seen_at > SILENT_SECONDS:
            raise Refused(UNAVAILABLE, "no_blocks", f"no block was seen for {SILENT_SECONDS} s; try again")

    # --- reading -----------------------------------------------------------------------------------------------------

    def _find(self, hash_: bytes) -> BookOrder:
        found = self.engine.orders.get(hash_) or self.store.order(hash_)
        if found is None:
            raise Refused(NOT_FOUND, "unknown_order", "no order with that hash was accepted")
        return found

    async def order(self, hash_: bytes) -> BookOrder:
        """An order, live or not, as it is on the disk. Raises Refused."""
        await self._flush()
        return self._find(hash_)

    async def orders_of(self, account: int) -> list[BookOrder]:
        """An account's live orders, oldest first."""
        await self._flush()
        return self.engine.orders_of(account)

    def trades(self, market_id: int, limit: int, before: int | None) -> list[Match]:
        """The newest first. Raises Refused for a market without a book."""
        self._require_market(market_id)
        return self.store.trades(market_id, limit, before)

    def depth(self, market_id: int, levels: int) -> dict[str, Any]:
        """Raises Refused for a market without a book."""
        self._require_market(market_id)
        return self.feed.depth(market_id).shown(market_id, levels)

    def markets(self) -> list[dict[str, Any]]:
        return [market_shown(market_id, market, self.facts.now) for market_id, market in self.facts.markets.items()]

    def _require_market(self, market_id: int) -> None:
        if market_id not in self.facts.markets:
            raise Refused(NOT_FOUND, "unknown_market", f"there is no book of market {market_id}", "market")

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether it takes orders, and what there is to know."""
        oldest = min((work.matches[0].at for work in self.engine.work(1)), default=None)
        waits = 0 if oldest is None else max(0, self.engine.clock() - oldest) // 1_000
        silent = int(self._clock() - self._seen_at)
        problems = [f"{what}: {why}" for what, why in self.troubles.items()]
        problems += [
            problem
            for problem, is_so in (
                (str(self.committer.trouble), self.committer.trouble is not None),
                (f"no block for {silent} s", silent > SILENT_SECONDS),
                (f"a match waits for {waits} s", waits > SLOW_SECONDS),
            )
            if is_so
        ]
        works = self.committer.trouble is None and silent <= SILENT_SECONDS
        return works, {
            "status": "ok" if not problems else "degraded" if works else "down",
            "problems": problems,
            "block": self.facts.block,
            "blockTime": self.facts.now,
            "secondsSinceBlock": silent,
            "liveOrders": len(self.engine.orders),
            "pendingMatches": len(self.engine.pending),
            "transactionsUnderWay": len(self.engine.sent),
            "subscribers": len(self.feed),
        }
