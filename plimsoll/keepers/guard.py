"""What stands between a keeper's decisions and its transactions: the breaker, one sender an address, and claims."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any, TypeVar

from plimsoll.chain.sending import CarefulSigner, Limits
from plimsoll.chain.transactions import Block, Signer
from plimsoll.keepers.checks import Checks
from plimsoll.keepers.claims import CLAIM_SECONDS, WORK_PATIENCES, Claims, claims_of
from plimsoll.keepers.holders import is_gone
from plimsoll.keepers.ledger import Broken
from plimsoll.keepers.store import Store, StoreUnavailable

A = TypeVar("A")

TRIPPED = "tripped"
"""The note that stops every keeper of a deployment: why, and when."""
BEAT = "beat:"
BEAT_SECONDS = 2.0
FORGET_BEAT_SECONDS = 3_600.0


class Halted(Exception):
    """The breaker is open: nothing is sent until a person resets it."""


class Guard:
    """One keeper's. Where there is no store, nobody else is asked, and the breaker stops this keeper alone."""

    def __init__(self, job: str, store: Store | None, signer: Signer | None, checks: Checks | None = None) -> None:
        self.job = job
        self.store = store
        self.signer = signer
        self.checks = checks
        self.halted = ""
        """Why, once the breaker is open."""
        self.is_standby = False
        """Whether somebody else sends from our address."""
        self.store_is_up = True
        self._claims = None if store is None else Claims(store, _claim_seconds(signer))
        self._beat_at = float("-inf")
        self._worker = f"{socket.gethostname()}:{os.getpid()}"
        if isinstance(signer, CarefulSigner):
            signer.fence = self._prolong

    # --- before a round ---

    def watch(self, block: Block) -> None:
        """Raises Halted while the breaker is open, StoreUnavailable, and what `Checks.look` raises of its nodes."""
        if self._claims is not None:
            self._claims.begin()
        if self.halted:
            raise Halted(self.halted)
        if self.store is not None and (note := self._ask(lambda store: store.get(TRIPPED))):
            self.halted = str(json.loads(note)["why"])
            raise Halted(self.halted)
        if self.checks is not None:
            try:
                self.checks.look(block)
            except Broken as error:
                raise self.trip(str(error)) from None

    def trip(self, why: str) -> Halted:
        """Open the breaker, for everybody. Returns what to raise. Raises StoreUnavailable."""
        self.halted = why
        if self.store is not None:
            note = json.dumps({"why": why, "by": self.job, "at": round(time.time())})
            self._ask(lambda store: store.put(TRIPPED, note))
        return Halted(why)

    def may_send(self) -> bool:
        """Whether our address is ours alone. Raises StoreUnavailable.

        It is as soon as the process that had it is seen to be gone: what that sent stands in the journal. Its work
        stays claimed meanwhile, for others don't read that.
        """
        if self.store is None or self.signer is None:
            return True
        self.is_standby = not self._ask(self._take_address)
        return not self.is_standby

    # --- around its actions ---

    def claimed(self, actions: Sequence[A], block: Block) -> list[A]:
        """Those that nobody else has in hand. Raises StoreUnavailable."""
        claims = self._claims
        if claims is None:
            return list(actions)
        return [one for one in actions if self._ask(lambda _, one=one: claims.take(_work(one), block.number))]

    def give_back(self, actions: Sequence[Any], block: int) -> None:
        """Done with them, as of a block."""
        claims = self._claims
        if claims is not None:
            for one in actions:
                self._ask(lambda _, one=one: claims.give_back(_work(one), block))

    def leave(self) -> None:
        """At the end: let another take over from our address at once."""
        if self.store is not None and self.signer is not None:
            try:
                self.store.release(self._sender)
                self.store.put(self._beat, None)
            except StoreUnavailable:
                pass  # the lease ends by itself

    # --- being seen ---

    def beat(self, **fields: Any) -> None:
        """Say that we are alive, every few seconds, for `ape run keeper status`."""
        now = time.monotonic()
        if self.store is None or now - self._beat_at < BEAT_SECONDS:
            return
        self._beat_at = now
        address = self.signer.address if self.signer is not None else ""
        said = {"job": self.job, "worker": self._worker, "address": address, "standby": self.is_standby} | fields

        def write(store: Store) -> None:
            text = json.dumps({**said, "at": store.now()}, default=str)
            store.put(self._beat, text, FORGET_BEAT_SECONDS)

        self._ask(write)

    # --- parts ---

    @property
    def _beat(self) -> str:
        return f"{BEAT}{self.job}:{self._worker}"

    @property
    def _sender(self) -> str:
        assert self.signer is not None
        return f"sender:{self.signer.address.lower()}"

    def _take_address(self, store: Store) -> bool:
        if store.lease(self._sender, CLAIM_SECONDS):
            return True
        if not is_gone(holder := store.holder(self._sender)):
            return False
        store.release(self._sender, holder)
        return store.lease(self._sender, CLAIM_SECONDS)

    def _prolong(self) -> None:
        """Right before something is sent."""
        if not self.may_send():
            raise StoreUnavailable("another process sends from our address by now; nothing was sent")
        claims = self._claims
        if claims is not None and not self._ask(lambda _: claims.prolong()):
            raise StoreUnavailable("another keeper has our work in hand by now; nothing was sent")

    def _ask(self, ask: Any) -> Any:
        assert self.store is not None
        try:
            answer = ask(self.store)
        except StoreUnavailable:
            self.store_is_up = False
            raise
        self.store_is_up = True
        return answer


def _claim_seconds(signer: Signer | None) -> float:
    """How long work is claimed: until a transaction for it was sent again, which prolongs the claim."""
    limits = signer.limits if isinstance(signer, CarefulSigner) else Limits()
    return limits.patience_seconds * WORK_PATIENCES


def _work(action: Any) -> list[str]:
    return [f"work:{name}" for name in claims_of(action)]
