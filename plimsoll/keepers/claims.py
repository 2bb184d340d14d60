"""Who of one operator's keepers does which work, so that no two of them pay for it.

Work is claimed by lease, not won by racing: two keepers that simulate at the same block both find that it would go
through, and the slower one pays for a revert. The simulation that follows every claim is for the rest of the world,
whose keepers claim nothing here.

A claim is given back with the block in which its work was done. Who takes it next must have seen that block, or a node
that lags would let him do it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from plimsoll.keepers.store import Store

CLAIM_SECONDS = 60.0
"""Of an address: longer than a transaction is waited for."""
WORK_PATIENCES = 2.5
"""How long work is claimed, by what a transaction is waited for until it is sent again, which prolongs the claim. After
a crash the work waits so long, and other work doesn't."""
DONE_SECONDS = 600.0
"""How far behind a node may be, and still not be taken in."""


class Claims:
    """Claims of one keeper."""

    def __init__(self, store: Store, seconds: float = CLAIM_SECONDS) -> None:
        self._store = store
        self._seconds = seconds
        self._held: dict[str, int] = {}
        """What was taken and not given back, with the newest block that we had seen."""
        self._fresh: set[str] = set()
        """Of it, what was taken since the round began."""
        self._since = 0.0

    def take(self, names: Sequence[str], head: int) -> bool:
        """All of them or none. `head` is the newest block that we have seen. Raises StoreUnavailable."""
        taken: list[str] = []
        for name in names:
            if not self._store.lease(name, self._seconds):
                break
            taken.append(name)
            if self._is_done(name, head):
                break
        else:
            self._since = self._since if self._held else time.monotonic()
            self._held |= dict.fromkeys(names, head)
            self._fresh.update(names)
            return True
        for name in taken:
            self._store.release(name)
        return False

    def begin(self) -> None:
        """A round begins: of what was taken before it something may be under way still."""
        self._fresh.clear()

    def prolong(self) -> bool:
        """Right before something is sent; False where that took so long that somebody else took this round's work."""
        now = time.monotonic()
        if now - self._since < self._seconds / 3:
            return True
        self._since = now
        self._held = {
            name: head
            for name, head in self._held.items()
            if self._store.lease(name, self._seconds) and not self._is_done(name, head)
        }
        return self._fresh <= self._held.keys()

    def _is_done(self, name: str, head: int) -> bool:
        """By somebody, in a block after `head`."""
        return int(self._store.get(f"done:{name}") or 0) > head

    def give_back(self, names: Iterable[str], block: int) -> None:
        """The work is done, or refused, as of a block."""
        for name in names:
            self._held.pop(name, None)
            self._fresh.discard(name)
            self._store.put(f"done:{name}", str(block), DONE_SECONDS)
            self._store.release(name)


def claims_of(action: Any) -> tuple[str, ...]:
    """What an action needs to have claimed; nothing where it costs nothing."""
    return tuple(getattr(action, "claims", ()))
