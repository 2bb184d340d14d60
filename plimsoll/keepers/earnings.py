"""What a keeper earned and what it paid for gas, since it started, in dollars.

Rewards come from the lines of its log that tell of its own transactions' events; gas is valued at the price of ether at
which it was spent, or the first that is known after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from plimsoll.core.units import WAD, from_wad, to_wad

REWARDED = {"executor": ("executed",), "liquidator": ("closed out", "absorbed", "taken over")}
"""Events of the log whose `reward` was paid, by job."""
_PAID = frozenset(event for events in REWARDED.values() for event in events)


class Earnings:
    """Of one process."""

    def __init__(self) -> None:
        self.rewards: Counter[str] = Counter()
        """WAD dollars by the log's event."""
        self.gas = 0
        """WAD dollars."""
        self._valued = 0
        """Wei of fees that are in `gas`."""

    def heard(self, event: str, fields: Mapping[str, Any]) -> None:
        """A line of the log; what others say of a reward is a forecast."""
        if event in _PAID and (reward := to_wad(fields.get("reward", "0"), what="reward")) > 0:
            self.rewards[event] += reward

    def spent(self, fees: int, eth_price: int | None) -> None:
        """`fees`: wei paid since the start; `eth_price` in WAD dollars, None while it isn't known."""
        if eth_price is not None:
            self.gas += (fees - self._valued) * eth_price // WAD
            self._valued = fees

    def shown(self) -> dict[str, Any]:
        """Both in all, dollars as exact text."""
        return {"earned": f"{from_wad(self.rewards.total()):f}", "gas": f"{from_wad(self.gas):f}"}
