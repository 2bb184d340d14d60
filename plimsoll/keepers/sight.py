"""What can be seen of a keeper from outside: how far it is, how long a round takes, what is due, what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plimsoll.chain.transactions import Block


@dataclass(slots=True)
class Sight:
    """Kept by the loop, read by metrics, health and status."""

    rounds: int = 0
    due: int = 0
    """Actions that the last round found."""
    block: int = 0
    block_time: int = 0
    """Of that block, Unix seconds."""
    seen_at: float = 0.0
    """When a round last began, by the machine's clock."""
    began: float = field(default_factory=time.monotonic)
    """The same by a clock that nobody sets."""
    trouble: str = ""
    """"" while all is well; what it is else."""
    took: Callable[[float], None] = field(default=lambda seconds: None)
    """Told how many seconds each round took."""

    def saw(self, block: Block) -> None:
        self.block, self.block_time = block.number, block.timestamp
        self.seen_at, self.began = time.time(), time.monotonic()

    def shown(self) -> dict[str, Any]:
        return {"block": self.block, "block_time": self.block_time, "due": self.due, "trouble": self.trouble}
