"""A signer that sees its transactions through: written down before they are sent, replaced when they are stuck.

A nonce is mined once, whatever was signed for it. So nothing here can be paid twice: after a crash, a lost answer or a
reorganisation every nonce that may be in somebody's pool is taken again by the same deed at a higher fee, or by an
empty transaction where the deed would be refused by now. Only when none is left, the next deed gets a new nonce.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from plimsoll.chain.endpoints import RpcPool
from plimsoll.chain.journal import Entry, Journal, MemoryJournal
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Call, Chain, Receipt, Reverted, SignedCall, Signer, Wallet
from plimsoll.core.errors import UserError

Tell = Callable[..., None]
"""An event's name and its fields, for a log."""

CANCEL_GAS = 21_000
_MOST_CANCELLED = 64
ALL_GAS_PERCENT = 95
"""Of its limit a transaction used that ran out of gas in a call: what that left over is a 64th at most."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a transaction may cost, and how long it is waited for. Fees in wei of a unit of gas."""

    max_gas: int = 16_000_000
    """Of one transaction; networks cap it at 2^24."""
    max_fee: int | None = None
    """The most that is ever offered, replacements included; None for no ceiling."""
    patience_seconds: float = 8.0
    """Without being mined, before it is sent again or replaced."""
    give_up_seconds: float = 45.0
    """Without any of ours being mined, after which the caller hears of it; what was sent stays written down, and is
    settled later."""
    bump_percent: int = 15
    """Nodes take a replacement from 10 % more on."""

    def __post_init__(self) -> None:
        if self.bump_percent < 10:
            raise UserError(f"a replacement at {self.bump_percent} % more is refused by nodes; at least 10 % it takes")


@dataclass(slots=True)
class Account:
    """What became of an address's transactions since the start: counts by outcome, and fees in wei."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """mined, reverted, replaced, repeated (sent again), cancelled."""
    fees: int = 0
    """A rollup's L1 data fee included, where its node says it."""
    pending: int = 0


class CarefulSigner(Signer):
    """A Signer with limits and a journal. One process at a time may send from its address."""

    def __init__(
        self,
        chain: Chain,
        wallet: Wallet | str | bytes | int,
        *,
        name: str = "",
        limits: Limits | None = None,
        journal: Journal | None = None,
        tell: Tell = lambda event, **fields: None,
    ) -> None:
        super().__init__(chain, wallet, name=name)
        self.limits = limits or Limits()
        self.journal: Journal = journal or MemoryJournal()
        self.tell = tell
        self.fence: Callable[[], None] = lambda: None
        """Called right before anything is sent; raises where it must not be."""
        self.account = Account()
        self._unknown_since = 0.0
        self._flight: list[Entry] = []
        """What was sent and isn't known to be mined, by ascending nonces."""
        self._behind: list[Entry] = []
        """What was sent with it and is mined: where blocks are exchanged it has to be sent again."""
        self._arrived: dict[int, Receipt] = {}
        """Mined, and not told to anybody yet."""
        self._moved = self._tried = 0.0
        """When one of them was mined last, and when the first of them was hurried last."""

    # --- sending ---

    def _send(self, call: Call) -> Receipt:
        return self.send_many([call])[0]

    def send_many(self, calls: Iterable[Call], *, check: bool = False) -> list[Receipt]:
        """As `Signer.send_many`; each is written down before it is sent, and seen through.

        Raises UserError above a ceiling (nothing was sent), RpcUnavailable where they aren't mined in time.
        """
        with self._lock:
            receipts = self._awaited(self.dispatch(calls))
        for receipt in receipts:
            if check and not receipt.ok:
                raise self.chain.why(receipt)
        return receipts

    def dispatch(self, calls: Iterable[Call]) -> list[int]:
        """Write down and send, behind what is under way already, and don't wait: `landed` tells what became of them.

        Returns their nonces. Raises UserError above a ceiling (nothing was sent), RpcUnavailable.
        """
        wanted = list(calls)
        if not wanted:
            return []
        with self._lock:
            self.fence()
            entries = self._entries(wanted)
            if not self._flight:
                self._moved = self._tried = time.monotonic()
            self._take_off([*self._flight, *entries])
            for one in entries:
                self._arrived.pop(one.nonce, None)  # mined once, and reorganised away since
            try:
                self._broadcast(entries)
            except (RpcError, UserError) as error:
                self._forget_refused(error)
                raise
        return [one.nonce for one in entries]

    def landed(self) -> dict[int, Receipt]:
        """Receipts by nonce of what was mined since the last time; the first that is not, if it is late, is hurried.

        A nonce behind others waits for its turn: only the first can be stuck. Raises UserError where somebody else
        used our nonce, RpcUnavailable where nothing was mined for too long.
        """
        with self._lock:
            self._look_after()
            if self._flight:
                self._mended()
            found, self._arrived = self._arrived, {}
            return found

    def settle(self) -> bool:
        """See to whatever of this address is still under way; True once there is nothing.

        What the journal has is repeated or replaced, and cancelled where it would be refused by now. What only the
        node's pool knows is left alone for a while and cancelled then.
        """
        with self._lock:
            self.forget_nonce()
            mined, pending = self._nonces()
            entries, self._flight = self.journal.load(), []
            self._look_up(entries, self._arrived)  # whoever sent them in this process hears of them by `landed`
            entries = [one for one in entries if one.nonce >= mined]
            if entries:
                self._resume(self._filled(entries, mined))
            elif pending > mined:
                return self._clear_pool(mined, pending)
            else:
                self.journal.save([])
            self._unknown_since, self.account.pending = 0.0, 0
            return True

    def is_clear(self) -> bool:
        """Whether nothing is under way but what we know of: not after a reorganisation, for example."""
        with self._lock:
            mined, pending = self._mended()
            first = self._flight[0].nonce if self._flight else self.nonce
            return first <= mined <= pending == self.nonce

    # --- parts ---

    def _forget_refused(self, error: Exception) -> None:
        """A node refused to take them: where its pool has none of them, none can be mined later."""
        self.forget_nonce()
        if not isinstance(error, RpcUnavailable):
            mined, pending = self._nonces()
            if mined == pending:
                self._take_off([])

    def _entries(self, calls: Sequence[Call]) -> list[Entry]:
        """Signed in consecutive nonces. Raises UserError above a ceiling."""
        limits = [self._gas(call) for call in calls]
        for call, gas in zip(calls, limits, strict=True):
            if gas > self.limits.max_gas:
                what = call.label or "a transaction"
                raise UserError(f"{what} would take {gas} gas, more than the ceiling of {self.limits.max_gas}")
        max_fee, tip = self._capped(*self.chain.fees(), "a transaction")
        first = self.nonce
        self._nonce = first + len(calls)
        return [
            self._signed(Entry(first + place, _to(call), "0x" + call.data.hex(), call.value, gas, max_fee, tip))
            for place, (call, gas) in enumerate(zip(calls, limits, strict=True))
        ]

    def _capped(self, max_fee: int, tip: int, what: str) -> tuple[int, int]:
        """Within the ceiling. Raises UserError where even the base fee is above it."""
        ceiling = self.limits.max_fee
        if ceiling is None or max_fee <= ceiling:
            return max_fee, tip
        if (max_fee - tip) // 2 > ceiling:
            base = (max_fee - tip) // 2
            raise UserError(f"the base fee is {base} wei, above the ceiling of {ceiling}: {what} waits until it falls")
        return ceiling, min(tip, ceiling)

    def _signed(self, entry: Entry) -> Entry:
        """With the hash of this version."""
        return replace(entry, hashes=(*entry.hashes, self._raw(entry).tx_hash))

    def _raw(self, entry: Entry) -> SignedCall:
        raw = self._sign(entry.call(), entry.nonce, entry.gas, entry.max_fee, entry.tip)
        return SignedCall.of(raw, entry.nonce)

    def _broadcast(self, entries: Sequence[Entry]) -> None:
        self.fence()
        self.broadcast([self._raw(one) for one in entries])

    def _take_off(self, entries: Sequence[Entry]) -> None:
        """From now on these are under way; written down first."""
        self.journal.save(entries)
        if not self._flight:
            self._behind = []
        self._flight = list(entries)
        self.account.pending = len(entries)

    def _awaited(self, nonces: Sequence[int]) -> list[Receipt]:
        """Receipts in the order of the nonces, whichever version of each was mined."""
        self._await(nonces)
        return [self._arrived.pop(nonce) for nonce in nonces]

    def _await(self, nonces: Sequence[int]) -> None:
        """Until all of them are mined."""
        self._look_after()
        while not all(nonce in self._arrived for nonce in nonces):
            time.sleep(self.chain.poll_seconds)
            self._look_after()

    def _look_after(self) -> None:
        """Find what of the flight was mined, and hurry its head where it is late."""
        found: dict[int, Receipt] = {}
        self._look_up(self._flight, found)
        for receipt in found.values():
            self.account.outcomes["mined" if receipt.ok else "reverted"] += 1
            self.account.fees += receipt.fee + int(receipt.raw.get("l1Fee") or "0x0", 16)
        if isinstance(self.chain.rpc, RpcPool) and any(_ran_out(one, found) for one in self._flight):
            self.chain.rpc.distrust_adviser()
        self._arrived |= found
        now = time.monotonic()
        if found:
            self._moved = self._tried = now
            self._behind += [one for one in self._flight if one.nonce in found]
            self._take_off([one for one in self._flight if one.nonce not in found])
        if not self._flight:
            return
        if now - self._moved > self.limits.give_up_seconds:
            self.forget_nonce()
            raise RpcUnavailable(f"{self.chain.uri}: {len(self._flight)} of our transactions are not mined yet")
        if now - self._tried > self.limits.patience_seconds:
            self._tried = now
            mined = self._refuse_stolen(self._flight[0])
            if mined < self._flight[0].nonce:
                self._reopen(mined)
            self._hurry()

    def _reopen(self, mined: int) -> None:
        """Blocks were exchanged, and what had been mined before the flight is open again: it is of the flight again.

        Raises RpcUnavailable where that was sent before the flight began: `settle` fills such a gap.
        """
        again = [one for one in self._behind if one.nonce >= mined]
        if not again or again[0].nonce != mined:
            self.forget_nonce()
            raise RpcUnavailable(f"{self.chain.uri}: nonce {mined} of {self.address} is open again")
        for one in again:
            self._arrived.pop(one.nonce, None)
        self._behind = [one for one in self._behind if one.nonce < mined]
        self._take_off([*again, *self._flight])

    def _look_up(self, entries: Sequence[Entry], found: dict[int, Receipt]) -> None:
        wanted = [(one.nonce, tx_hash) for one in entries for tx_hash in one.hashes]
        answers = self.chain.rpc.batch([("eth_getTransactionReceipt", [tx_hash]) for _, tx_hash in wanted])
        for (nonce, _), raw in zip(wanted, answers, strict=True):
            if raw is not None:
                found[nonce] = Receipt.from_json(raw)

    def _refuse_stolen(self, first: Entry) -> int:
        """The next nonce to be mined. Raises UserError where somebody else's transaction took that of the first: two
        processes share the key.
        """
        mined = self.chain.nonce(self.address, "latest")
        if mined > first.nonce:
            found: dict[int, Receipt] = {}
            self._look_up([first], found)  # it may have been mined since the last look
            if not found:
                self._take_off([])
                self.forget_nonce()
                raise UserError(f"nonce {first.nonce} of {self.address} was used by another sender; give each its key")
        return mined

    def _hurry(self) -> None:
        """What a node lost is sent again as it was. The first of all, and whatever offers less than blocks cost by
        now, is replaced at a higher fee; what stands behind them only waits.
        """
        before = self._flight
        known = self.chain.rpc.batch([("eth_getTransactionByHash", [one.hashes[-1]]) for one in before])
        lost = {one.nonce for one, raw in zip(before, known, strict=True) if raw is None}
        base_fee = self.chain.block().base_fee
        stuck = ({before[0].nonce} - lost) | {one.nonce for one in before if one.max_fee < base_fee}
        self._take_off([self._bumped(one) if one.nonce in stuck else one for one in before])
        for one, last in zip(self._flight, before, strict=True):
            if one.nonce in stuck | lost:
                self._resend(one, "repeated" if one == last else "replaced")

    def _bumped(self, entry: Entry) -> Entry:
        """A version that replaces it; the same where the ceiling leaves no room."""
        fresh_fee, fresh_tip = self.chain.fees(fresh=True)
        percent = 100 + self.limits.bump_percent
        least_fee, least_tip = entry.max_fee * percent // 100 + 1, entry.tip * percent // 100 + 1
        max_fee, tip = max(fresh_fee, least_fee), max(fresh_tip, least_tip)
        ceiling = self.limits.max_fee
        if ceiling is not None and max_fee > ceiling:
            if least_fee > ceiling:
                self.tell("fee ceiling", nonce=entry.nonce, max_fee=entry.max_fee, ceiling=ceiling)
                return entry
            max_fee, tip = ceiling, min(tip, ceiling)
        return self._signed(replace(entry, max_fee=max_fee, tip=min(tip, max_fee)))

    def _resend(self, entry: Entry, outcome: str) -> None:
        self.account.outcomes["cancelled" if entry.is_cancel and outcome == "replaced" else outcome] += 1
        self.tell(outcome, nonce=entry.nonce, tx=entry.hashes[-1], max_fee=entry.max_fee)
        try:
            self._broadcast([entry])
        except RpcError as error:  # underpriced by what the pool has: the next version offers more
            self.tell("refused by the pool", nonce=entry.nonce, reason=error.message)

    # --- after trouble ---

    def _nonces(self) -> tuple[int, int]:
        mined, pending = (
            int(one, 16)
            for one in self.chain.rpc.batch(
                [("eth_getTransactionCount", [self.address, block]) for block in ("latest", "pending")]
            )
        )
        return mined, pending

    def _mended(self) -> tuple[int, int]:
        """`_nonces`, once what a node lost from the middle was sent again: what stands behind it waits for it."""
        mined, pending = self._nonces()
        for one in self._flight:
            if one.nonce == pending:
                self._resend(one, "repeated")
                mined, pending = self._nonces()
        return mined, pending

    def _filled(self, entries: Sequence[Entry], mined: int) -> list[Entry]:
        """With a cancellation for every nonce between, which would hold up the others for ever."""
        by_nonce = {one.nonce: one for one in entries}
        last = max(by_nonce)
        return [by_nonce.get(nonce) or self._cancel(nonce) for nonce in range(mined, last + 1)]

    def _cancel(self, nonce: int, instead_of: Entry | None = None) -> Entry:
        """An empty transaction to ourselves; not signed yet."""
        max_fee, tip = self.chain.fees()
        hashes: tuple[str, ...] = ()
        if instead_of is not None:
            max_fee, tip, hashes = instead_of.max_fee, instead_of.tip, instead_of.hashes
        return Entry(nonce, self.address, "0x", 0, CANCEL_GAS, max_fee, tip, hashes, is_cancel=True)

    def _resume(self, entries: Sequence[Entry]) -> None:
        """Each again as it was, or empty where the chain would refuse it now; until all are mined."""
        self.tell("resumed", nonces=[one.nonce for one in entries])
        ready = []
        for one in entries:
            if not one.hashes:
                ready.append(self._signed(one))
            elif not one.is_cancel and not self._would_succeed(one):
                ready.append(self._bumped(self._cancel(one.nonce, one)))
            else:
                ready.append(one)
        self._see_through(
            ready, [one.is_cancel and not before.is_cancel for one, before in zip(ready, entries, strict=True)]
        )

    def _see_through(self, entries: Sequence[Entry], is_replaced: Sequence[bool]) -> None:
        """Send these again, and wait until they are mined."""
        self._moved = self._tried = time.monotonic()
        self._take_off(entries)
        for one in entries:
            self._arrived.pop(one.nonce, None)
        for one, replaced in zip(entries, is_replaced, strict=True):
            self._resend(one, "replaced" if replaced else "repeated")
        self._await([one.nonce for one in entries])

    def _would_succeed(self, entry: Entry) -> bool:
        try:
            data = bytes.fromhex(entry.data[2:])
            self.chain.call(entry.to, data, sender=self.address, value=entry.value, gas=entry.gas)
        except Reverted:
            return False
        return True

    def _clear_pool(self, mined: int, pending: int) -> bool:
        """Transactions that nobody wrote down: given the time to be mined, then replaced by nothing."""
        now = time.monotonic()
        if not self._unknown_since:
            self._unknown_since = now
        self.account.pending = pending - mined
        if now - self._unknown_since <= self.limits.patience_seconds:
            return False
        max_fee, tip = self.chain.fees(fresh=True)
        cancels = [
            self._bumped(replace(self._cancel(nonce), max_fee=2 * max_fee, tip=2 * tip + 1))
            for nonce in range(mined, min(pending, mined + _MOST_CANCELLED))
        ]
        self._see_through(cancels, [True] * len(cancels))
        self._unknown_since = 0.0
        return False


def _ran_out(entry: Entry, found: Mapping[int, Receipt]) -> bool:
    """Whether it is among them, and failed because whoever estimated it named too little gas."""
    receipt = found.get(entry.nonce)
    return receipt is not None and not receipt.ok and receipt.gas_used * 100 >= entry.gas * ALL_GAS_PERCENT


def _to(call: Call) -> str:
    if call.to is None:
        raise UserError("a keeper creates no contracts")
    return call.to
