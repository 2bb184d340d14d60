"""Settlement: matches become `matchBatch` transactions, one a taker, several on their way at once.

Everything is simulated first. A maker that would fail is dropped from the book with the reason, its match is undone,
and the taker goes on to the next maker; so until a simulation is clean. What fails on the chain all the same is treated
alike.

A transaction is written down, signed, before it is sent. After a crash its outcome is looked up, and if it has none the
same bytes are sent again: a nonce is used once, so that no match can happen twice.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from plimsoll.book.engine import Engine, Work
from plimsoll.book.facts import Facts
from plimsoll.book.faults import NOTHING, Fault, arranged, fault_of
from plimsoll.book.records import BookOrder, Match, MatchState, Sent
from plimsoll.chain.transactions import Reverted
from plimsoll.core.units import WAD
from plimsoll.sdk.refusals import in_words

TAKERS = 16
"""Transactions on their way at once."""
RESEND_SECONDS = 10.0
ATTEMPTS = 3
"""Transactions of a taker that may revert though their simulations were clean, before he is let go."""
MATCH_SECONDS = 60
"""How long a match waits for a market to open again, before its taker is let go."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a call would do now: revert, or skip some makers (by match id)."""

    reverts: Reverted | None = None
    skips: Mapping[int, Reverted] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return self.reverts is None and not self.skips


@dataclass(frozen=True, slots=True)
class Mined:
    """What a transaction did: it reverted, or each maker was matched with so much, or skipped; in order."""

    reverted: Reverted | None = None
    makers: tuple[tuple[bytes, int | Reverted], ...] = ()


class Gone:
    """A transaction that can never be mined any more: its nonce went to another."""


class Matcher(Protocol):
    """The way to the contracts; every method blocks. Raises RpcUnavailable and the like where there is none."""

    def simulate(self, works: Sequence[Work]) -> list[Simulated]:
        """As if they were sent one after the other now."""
        ...

    def sign(self, works: Sequence[Work]) -> list[Sent]:
        """Transactions in consecutive nonces; nothing is sent."""
        ...

    def send(self, sent: Sequence[Sent]) -> None:
        """Send what was signed; again does no harm."""
        ...

    def outcome(self, sent: Sent) -> Mined | Gone | None:
        """None while it may still be mined."""
        ...

    def abandon(self) -> None:
        """What was signed last is not sent: its nonces are free."""
        ...


Log = Callable[..., None]


class Settler:
    """Runs on the engine's thread; what blocks, runs beside it."""

    def __init__(
        self,
        engine: Engine,
        matcher: Matcher,
        flush: Callable[[], Awaitable[None]],
        *,
        log: Log = lambda *_, **__: None,
        refresh: Callable[[Iterable[int]], Awaitable[None]] | None = None,
    ) -> None:
        """`flush` returns once all changes so far are on the disk; `refresh` reads accounts anew."""
        self.engine = engine
        self.matcher = matcher
        self.flush = flush
        self.log = log
        self.refresh = refresh
        self._waiting: dict[int, int] = {}
        """Markets that take no matches now, and since which block."""
        self._reverted: dict[bytes, int] = {}
        """How many transactions of a taker have."""
        self._crumbs: dict[bytes, int] = {}
        self._sent_at = -math.inf

    @property
    def facts(self) -> Facts:
        return self.engine.facts

    async def round(self) -> bool:
        """Find out what is under way, or send what is next. Whether anything was done.

        Raises UserError, RpcError, Reverted where the node is of no help; the next round goes on from there.
        """
        if self.engine.sent:
            return await self.resolve()
        works = await self._clean()
        if not works:
            return False
        signed = await asyncio.to_thread(self.matcher.sign, works)
        try:
            for work, sent in zip(works, signed, strict=True):
                self.engine.mark_sent(work, sent)
            await self.flush()
        except BaseException:
            self.matcher.abandon()
            raise
        await self._send(signed)
        return True

    async def resolve(self) -> bool:
        """Look for the outcomes of what was sent. What has none is sent again, after a start and now and then.

        Whether anything was done.
        """
        found = False
        for sent in list(self.engine.sent.values()):
            outcome = await asyncio.to_thread(self.matcher.outcome, sent)
            if outcome is None:
                continue
            found = True
            await self._conclude(sent, outcome)
        await self.flush()
        if self.engine.sent and time.monotonic() - self._sent_at > RESEND_SECONDS:
            await self._send(list(self.engine.sent.values()))
            found = True
        return found

    async def _send(self, sent: Sequence[Sent]) -> None:
        self._sent_at = time.monotonic()
        await asyncio.to_thread(self.matcher.send, sent)

    # --- before sending ----------------------------------------------------------------------------------------------

    async def _clean(self) -> list[Work]:
        """The next matches, all of which would happen if they were sent now."""
        while True:
            self._waiting = {one: since for one, since in self._waiting.items() if self.facts.block <= since}
            works = [self._arranged(work) for work in self.engine.work(TAKERS, self._waiting)]
            if not works:
                return []
            results = await asyncio.to_thread(self.matcher.simulate, works)
            if all(result.is_clean for result in results):
                return works
            await self._refresh(works)
            for work, result in zip(works, results, strict=True):
                if result.reverts is not None:
                    self._drop_taker(work, work.matches, result.reverts)
                for match in work.matches:
                    if match.id in result.skips and match.state == MatchState.PENDING:
                        self._refuse(work, match, result.skips[match.id])
            await self.flush()

    def _arranged(self, work: Work) -> Work:
        """In an order in which nothing is too small on the way."""
        market_id = work.taker.order.market_id
        market = self.facts.markets[market_id]
        held = self.facts.accounts.get(work.taker.order.account, NOTHING).base(market_id)
        smallest = -(-market.model.rules.min_position * WAD // market.price) if market.price else 0
        parts = arranged(work.taker, list(zip(work.matches, work.makers, strict=True)), held, smallest)
        return replace(work, matches=tuple(match for match, _ in parts), makers=tuple(maker for _, maker in parts))

    async def _refresh(self, works: Iterable[Work]) -> None:
        """Faults are judged by positions as they are."""
        if self.refresh is not None:
            await self.refresh({one.order.account for work in works for one in (work.taker, *work.makers)})

    def _refuse(self, work: Work, match: Match, reason: Reverted) -> None:
        """One match can't be: put out who is at fault."""
        maker, words = self.engine.orders[match.maker], in_words(reason)
        fault = fault_of(reason, match, maker, work.taker, self.facts)
        self.log("refused", taker=work.taker.hash, maker=maker.hash, fault=fault.value, reason=reason.reason)
        if fault is Fault.MAKER:
            self.engine.drop_maker(match, words)
        elif fault is Fault.TAKER:
            self.engine.drop_taker(work.taker, [match], words)
        elif fault is Fault.DUST:
            self.engine.drop_dust(match, words)
        elif fault is Fault.CRUMB:
            self._begin_again(work, match, words)
        elif match.at + MATCH_SECONDS * 1_000 < self.engine.clock():
            self.engine.drop_taker(work.taker, work.matches, f"not settled within {MATCH_SECONDS} s: {words}")
        else:
            self._waiting[match.market_id] = self.facts.block

    def _begin_again(self, work: Work, match: Match, words: str) -> None:
        """A few times; what may be left of a crumb then isn't worth more."""
        tries = self._crumbs[work.taker.hash] = self._crumbs.get(work.taker.hash, 0) + 1
        if tries < ATTEMPTS:
            self.engine.retake(match)
        else:
            del self._crumbs[work.taker.hash]
            self.engine.drop_taker(work.taker, [match], words)

    def _drop_taker(self, work: Work, matches: Sequence[Match], reason: Reverted) -> None:
        self.log("refused", taker=work.taker.hash, fault=Fault.TAKER.value, reason=reason.reason)
        self.engine.drop_taker(work.taker, matches, in_words(reason))

    # --- after sending -----------------------------------------------------------------------------------------------

    async def _conclude(self, sent: Sent, outcome: Mined | Gone) -> None:
        """What became of a transaction, all of it in one commit."""
        matches = self.engine.pending.sent(sent.tx_hash)
        taker = self.engine.orders[sent.taker]
        work = Work(taker, tuple(matches), tuple(self.engine.orders[match.maker] for match in matches))
        await self._refresh([work])
        if isinstance(outcome, Gone) or outcome.reverted is not None:
            reason = "replaced" if isinstance(outcome, Gone) else outcome.reverted
            self.log("not settled", tx=sent.tx_hash, taker=taker.hash, reason=str(reason))
            self.engine.finish(sent.tx_hash)
            self._count_revert(taker, matches)
            return
        self._reverted.pop(taker.hash, None)
        self._crumbs.pop(taker.hash, None)
        settled, refused = _assigned(matches, outcome.makers)
        self.engine.settled(sent.tx_hash, settled)
        self.engine.end_at_once(taker)
        for match, reverted in refused:
            self._refuse(work, match, reverted)
        self.engine.finish(sent.tx_hash)
        self.log("settled", tx=sent.tx_hash, taker=taker.hash, matches=len(settled), refused=len(refused))

    def _count_revert(self, taker: BookOrder, matches: Sequence[Match]) -> None:
        """Simulated again, which says why; unless it never does."""
        self._reverted[taker.hash] = self._reverted.get(taker.hash, 0) + 1
        if self._reverted[taker.hash] >= ATTEMPTS:
            del self._reverted[taker.hash]
            self.engine.drop_taker(taker, matches, f"its transaction reverted {ATTEMPTS} times")


def _assigned(
    matches: Iterable[Match], makers: Iterable[tuple[bytes, int | Reverted]]
) -> tuple[list[Match], list[tuple[Match, Reverted]]]:
    """Which match each outcome is of: those of one maker in their order."""
    by_maker: dict[bytes, list[Match]] = {}
    for match in matches:
        by_maker.setdefault(match.maker, []).append(match)
    settled: list[Match] = []
    refused: list[tuple[Match, Reverted]] = []
    for maker, outcome in makers:
        match = by_maker[maker].pop(0)
        if isinstance(outcome, Reverted):
            refused.append((match, outcome))
        else:
            settled.append(match)
    return settled, refused


def shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A log line's fields, hashes as text."""
    return {name: "0x" + value.hex() if isinstance(value, bytes) else value for name, value in fields.items()}
