"""The engine: books, orders and matches of all markets in memory, and the changes that have to be written down.

Single-threaded and without a clock, a disk or a node of its own. A match counts at once, and is settled later: what the
chain refuses is undone, with who was at fault put out of the book and everybody else put back where he was.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from plimsoll.book.admission import LEAD_SECONDS, Signed, admit
from plimsoll.book.book import Book, End, Level, Limits
from plimsoll.book.facts import Facts
from plimsoll.book.margin import Open
from plimsoll.book.pending import Pending
from plimsoll.book.records import FINAL, BookOrder, Match, MatchState, Sent
from plimsoll.book.refused import CONFLICT, NOT_FOUND, Refused
from plimsoll.book.store import Batch, Kept
from plimsoll.core.orders import TimeInForce

MAX_FILLS = 40
"""Makers in one transaction, and so most fills of an order that must be settled in one."""


@dataclass(frozen=True, slots=True)
class Work:
    """Matches of one taker, to be settled in one call."""

    taker: BookOrder
    matches: tuple[Match, ...]
    makers: tuple[BookOrder, ...]


@dataclass(slots=True)
class Drained:
    """What changed since the last time: what to write, and what to tell once it is written."""

    batch: Batch
    orders: list[BookOrder]
    matches: list[Match]
    depth: dict[int, tuple[list[Level], list[Level]]] = field(default_factory=dict)
    """By market: levels of bids and asks that changed."""


class Engine:
    """All books. Every public method leaves it consistent, and its changes in the next `drain`."""

    def __init__(
        self,
        facts: Facts,
        kept: Kept | None = None,
        *,
        is_taken: Callable[[bytes], bool] = lambda _: False,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Goes on from what was `kept`. `is_taken` says whether a hash was accepted before; `clock`: Unix ms."""
        self.facts = facts
        self.open = Open()
        self.orders: dict[bytes, BookOrder] = {}
        """Everything that is live, and what ended since the last commit."""
        self.sent: dict[str, Sent] = {}
        """Transactions whose outcome isn't known."""
        self._books: dict[int, Book] = {}
        self._by_account: dict[int, dict[bytes, None]] = {}
        self.pending = Pending()
        self._expiries: list[tuple[int, bytes]] = []
        self._is_taken = is_taken
        self.clock = clock
        self._sequence = self._match_id = 0
        self._accepted: dict[bytes, BookOrder] = {}
        self._changed: dict[bytes, BookOrder] = {}
        self._changed_matches: dict[int, Match] = {}
        self._new_sent: list[Sent] = []
        self._done: list[str] = []
        if kept is not None:
            self._restore(kept)

    # --- orders ------------------------------------------------------------------------------------------------------

    def book(self, market_id: int) -> Book:
        """A market's, made where there is none."""
        found = self._books.get(market_id)
        if found is None:
            found = self._books[market_id] = Book()
        return found

    @property
    def markets(self) -> list[int]:
        """Those that have a book."""
        return list(self._books)

    def submit(self, one: Signed) -> BookOrder:
        """Accept an order and match it. Its account must be known to the facts. Raises Refused."""
        if one.hash in self.orders or self._is_taken(one.hash):
            raise Refused(CONFLICT, "already_known", "this order was accepted before", "order")
        signer = admit(one, self.facts, self.open)
        self._sequence += 1
        done = self.facts.matched.get(one.hash, 0)
        order = BookOrder(one.hash, one.order, one.signature, signer, self._sequence, self.clock(), 0, filled=done)
        self.orders[one.hash] = self._accepted[one.hash] = order
        self._by_account.setdefault(one.order.account, {})[one.hash] = None
        if one.order.expiry:
            heapq.heappush(self._expiries, (one.order.expiry, one.hash))
        self._take(order, order.size - done)
        return order

    def cancel(self, hash_: bytes) -> BookOrder:
        """Take back what can still be matched of an order; what is matched stands. Raises Refused."""
        order = self.orders.get(hash_)
        if order is None or not order.left:
            if order is not None or self._is_taken(hash_):
                raise Refused(CONFLICT, "nothing_left", "nothing of the order is left to be cancelled")
            raise Refused(NOT_FOUND, "unknown_order", "no order with that hash was accepted")
        self._end(order, End.CANCELLED)
        return order

    def orders_of(self, account: int) -> list[BookOrder]:
        """Live ones, oldest first."""
        return [self.orders[one] for one in self._by_account.get(account, {}) if self.orders[one].is_live]

    # --- news of the chain -------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Put out what could not be matched in time any more."""
        while self._expiries and self._expiries[0][0] < self.facts.now + LEAD_SECONDS:
            _, hash_ = heapq.heappop(self._expiries)
            if (order := self.orders.get(hash_)) is not None and order.left:
                self._end(order, End.EXPIRED)

    def end_on_chain(self, hash_: bytes, reason: str) -> None:
        """The contracts will not match this hash again."""
        if (order := self.orders.get(hash_)) is not None and order.end not in FINAL:
            self._end(order, End.ENDED_ON_CHAIN, reason)

    def change_counter(self, account: int, counter: int) -> None:
        """Orders under another counter are dead."""
        for order in self.orders_of(account):
            if order.order.counter != counter and order.end not in FINAL:
                self._end(order, End.ENDED_ON_CHAIN, f"the account's counter is {counter}")

    def reconcile(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Take over what the chain has matched of orders without us. Returns those that can't be judged yet.

        Those are in a transaction that may be the one that did it.
        """
        under_way = self.pending.hashes_sent()
        later = []
        for hash_ in hashes:
            order = self.orders.get(hash_)
            if hash_ in under_way:
                later.append(hash_)
            elif order is not None and (more := self.facts.matched.get(hash_, 0) - order.filled) > 0:
                left = max(0, order.left - more)
                self._leave_book(order)
                self._set(order, left, order.pending, order.filled + more)
                if left:
                    self.book(order.order.market_id).insert(order.resting(left))
        return later

    # --- settlement --------------------------------------------------------------------------------------------------

    def work(self, takers: int, waiting: Container[int] = ()) -> list[Work]:
        """What is to be settled next, the oldest match first; of at most so many takers, in no market that waits.

        In all it is no more than one taker's largest call, so that it fits into a block.
        """
        found: list[Work] = []
        room = MAX_FILLS + 1
        for hash_, matches in self.pending.takers():
            if self.orders[hash_].order.market_id in waiting:
                continue
            chosen = matches[:MAX_FILLS]
            room -= len(chosen) + 1
            if len(found) == takers or room < 0:
                break
            found.append(Work(self.orders[hash_], chosen, tuple(self.orders[match.maker] for match in chosen)))
        return found

    def drop_maker(self, match: Match, reason: str) -> None:
        """The maker's match would be refused, or was: he is out, and his takers go on to the next."""
        maker = self.orders[match.maker]
        self._end(maker, End.REFUSED, reason)
        freed: dict[bytes, int] = {}
        for one in [match, *self.pending.of_maker(match.maker)]:
            if one.state != MatchState.UNDONE and (one is match or one.state == MatchState.PENDING):
                freed[one.taker] = freed.get(one.taker, 0) + self._undo(one)
        for taker, base in freed.items():
            self._retake(self.orders[taker], base)
        self._uncross(match.market_id)

    def drop_dust(self, match: Match, reason: str) -> None:
        """What the maker had left is too little to be matched: it goes, and the taker goes on without it."""
        self._end(self.orders[match.maker], End.REFUSED, reason)
        self._retake(self.orders[match.taker], self._undo(match))
        self._uncross(match.market_id)

    def drop_taker(self, taker: BookOrder, matches: Iterable[Match], reason: str) -> None:
        """The taker is at fault for these: his rest ends, and their makers are put back. His other matches stand."""
        self._end(taker, End.REFUSED, reason)
        for match in matches:
            if match.state != MatchState.UNDONE:
                self._undo(match)
        self._uncross(taker.order.market_id)

    def retake(self, match: Match) -> None:
        """Nobody's fault, but the two don't go together like this: the taker begins again at the best price."""
        taker = self.orders[match.taker]
        self._retake(taker, self._undo(match))
        self._uncross(match.market_id)

    def mark_sent(self, work: Work, sent: Sent) -> None:
        """A transaction with these matches is signed. It may be sent once this is written."""
        self.sent[sent.tx_hash] = sent
        self._new_sent.append(sent)
        self.pending.send(sent.tx_hash, work.matches)
        for match in work.matches:
            self._put(match, MatchState.SENT, sent.tx_hash)

    def settled(self, tx_hash: str, matches: Iterable[Match]) -> None:
        """These matches of a transaction happened."""
        for match in matches:
            self._put(match, MatchState.SETTLED, tx_hash)
            for order in (self.orders[match.maker], self.orders[match.taker]):
                self._set(order, order.left, order.pending - match.base, order.filled + match.base)

    def finish(self, tx_hash: str) -> None:
        """All of a transaction is accounted for; what wasn't settled or undone is to be settled again."""
        del self.sent[tx_hash]
        self._done.append(tx_hash)
        for match in self.pending.finish(tx_hash):
            if match.state == MatchState.SENT:
                self._put(match, MatchState.PENDING, "")
                self.pending.add(match)

    def end_at_once(self, taker: BookOrder) -> None:
        """The contracts ended the rest of an immediate-or-cancel order with its first transaction."""
        is_over = taker.end in FINAL or taker.filled == taker.size
        if taker.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL and not is_over:
            self._end(taker, End.ENDED_ON_CHAIN, "immediate or cancel")

    # --- changes -----------------------------------------------------------------------------------------------------

    def drain(self) -> Drained:
        """Changes since the last call. Orders that ended are forgotten here; the store has them."""
        orders = [*self._accepted.values(), *self._changed.values()]
        batch = Batch(
            accepted=list(self._accepted.values()),
            changed=list(self._changed.values()),
            matches=list(self._changed_matches.values()),
            sent=self._new_sent,
            done=self._done,
        )
        drained = Drained(batch, orders, batch.matches)
        for market_id, book in self._books.items():
            bids, asks = book.changed_levels()
            if bids or asks:
                drained.depth[market_id] = bids, asks
        self._accepted, self._changed, self._changed_matches, self._new_sent, self._done = {}, {}, {}, [], []
        return drained

    def release(self, orders: Iterable[BookOrder]) -> None:
        """Let go of orders that ended and are written down."""
        for order in orders:
            if not order.is_live and order.hash not in self._changed and order.hash in self.orders:
                del self.orders[order.hash]
                mine = self._by_account[order.order.account]
                del mine[order.hash]
                if not mine:
                    del self._by_account[order.order.account]

    # --- parts -------------------------------------------------------------------------------------------------------

    def _take(self, order: BookOrder, left: int) -> None:
        """Match so much of an order that is in no book; its rest rests or ends as its time in force says."""
        market = self.facts.markets[order.order.market_id]
        fills_left = MAX_FILLS - len(self.pending.of_taker(order.hash))
        limits = Limits(self.facts.now + LEAD_SECONDS, market.band, fills_left)
        result = self.book(order.order.market_id).match(order.resting(left), order.time_in_force, limits)
        for hash_, end in result.removed:
            self._end(self.orders[hash_], end)
        order.end, order.reason = result.end, ""
        self._set(order, 0 if result.end else result.left, order.pending + left - result.left, order.filled)
        for hash_, base, price in result.fills:
            maker = self.orders[hash_]
            self._set(maker, maker.left - base, maker.pending + base, maker.filled)
            self._add_match(order, hash_, base, price)

    def _add_match(self, taker: BookOrder, maker: bytes, base: int, price: int) -> None:
        """One more, or more of one that waits."""
        if (waiting := self.pending.between(maker, taker.hash)) is not None:
            waiting.base += base
            self._changed_matches[waiting.id] = waiting
            return
        self._match_id += 1
        market_id, is_buy = taker.order.market_id, taker.order.is_buy
        match = Match(self._match_id, market_id, maker, taker.hash, is_buy, base, price, self.clock())
        self._changed_matches[match.id] = match
        self.pending.add(match)

    def _retake(self, taker: BookOrder, base: int) -> None:
        """`base` of a taker's matches was undone: on to the next makers, in its own old place in time."""
        if taker.time_in_force == TimeInForce.FILL_OR_KILL and base:
            base += sum(self._undo(match) for match in self.pending.of_taker(taker.hash))
        if base:
            self._take_again(taker, taker.left + base)

    def _uncross(self, market_id: int) -> None:
        """What was put back may cross what came meanwhile: the newer one of two takes."""
        book = self.book(market_id)
        while book.is_crossed:
            best = [one for one in (book.best(True), book.best(False)) if one is not None]
            newer = self.orders[max(best, key=lambda one: one.sequence).hash]
            if newer.time_in_force == TimeInForce.POST_ONLY:
                self._end(newer, End.WOULD_TAKE)
            else:
                self._take_again(newer, newer.left)

    def _take_again(self, order: BookOrder, left: int) -> None:
        """As if it came now, but for its place in time."""
        self._leave_book(order)
        self._set(order, 0, order.pending, order.filled)
        self._take(order, left)

    def _undo(self, match: Match) -> int:
        """The match never happens. The maker is put back; returns what the taker may take elsewhere."""
        maker, taker = self.orders[match.maker], self.orders[match.taker]
        self.pending.discard(match)
        self._put(match, MatchState.UNDONE, match.tx_hash)
        if maker.end is not None:
            self._set(maker, maker.left, maker.pending - match.base, maker.filled)
        else:
            self._leave_book(maker)
            self._set(maker, maker.left + match.base, maker.pending - match.base, maker.filled)
            self.book(match.market_id).insert(maker.resting(maker.left))
        self._set(taker, taker.left, taker.pending - match.base, taker.filled)
        return 0 if taker.end in FINAL else match.base

    def _end(self, order: BookOrder, end: End, reason: str = "") -> None:
        """Nothing more of it is matched."""
        self._leave_book(order)
        order.end, order.reason = end, reason
        self._set(order, 0, order.pending, order.filled)

    def _leave_book(self, order: BookOrder) -> None:
        self.book(order.order.market_id).remove(order.hash)

    def _set(self, order: BookOrder, left: int, pending: int, filled: int) -> None:
        """An order's sizes, and with them what its account has open."""
        account, market_id, is_buy = order.order.account, order.order.market_id, order.order.is_buy
        before, after = order.left + order.pending, left + pending
        if before != after:
            side = self.open.side(account, market_id, is_buy)
            side = side.plus(after - before, order.order.acceptable_price, order.order.reduce_only)
            self.open.change(account, market_id, is_buy, side)
            if not before or not after:
                self.open.add_count(account, 1 if after else -1)
        order.left, order.pending, order.filled = left, pending, filled
        if order.hash not in self._accepted:
            self._changed[order.hash] = order

    def _put(self, match: Match, state: MatchState, tx_hash: str) -> None:
        match.state, match.tx_hash = state, tx_hash
        self._changed_matches[match.id] = match

    def _restore(self, kept: Kept) -> None:
        self._sequence, self._match_id = kept.sequence, kept.match_id
        for order in kept.orders:
            self.orders[order.hash] = order
            account, market_id = order.order.account, order.order.market_id
            self._by_account.setdefault(account, {})[order.hash] = None
            side = self.open.side(account, market_id, order.order.is_buy)
            size = order.left + order.pending
            side = side.plus(size, order.order.acceptable_price, order.order.reduce_only)
            self.open.change(account, market_id, order.order.is_buy, side)
            self.open.add_count(account, 1)
            if order.left:
                self.book(market_id).insert(order.resting(order.left))
                if order.order.expiry:
                    heapq.heappush(self._expiries, (order.order.expiry, order.hash))
        for match in kept.matches:
            if match.state == MatchState.PENDING:
                self.pending.add(match)
        for sent in kept.sent:
            self.sent[sent.tx_hash] = sent
            self.pending.send(sent.tx_hash, [match for match in kept.matches if match.tx_hash == sent.tx_hash])
        for book in self._books.values():
            book.changed_levels()
