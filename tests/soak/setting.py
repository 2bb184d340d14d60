"""What a soak is of: how long, how many, how fast, and from which seed everything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from plimsoll.core.errors import UserError

BLOCK_SECONDS = 2
"""A rollup's."""
PATIENCE_SECONDS = 8
MINUTE = 60 // BLOCK_SECONDS
"""Blocks of one."""


@dataclass(frozen=True, slots=True)
class Setting:
    """`minutes` of the chain's time; `speed` seconds of the chain pass in one of the machine's.

    Keepers wait by the machine's clock for nodes, leases and transactions: the faster the chain, the longer all of it
    takes in blocks.
    """

    seed: int = 1
    minutes: int = 120
    accounts: int = 1_000
    speed: int = 4

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("minutes", self.minutes, 5, 1_440),
            ("accounts", self.accounts, 20, 5_000),
            ("speed", self.speed, 1, 8),
        ):
            if not low <= value <= high:
                raise UserError(f"soak: {name} {value} does not lie between {low} and {high}")

    @property
    def blocks(self) -> int:
        return self.minutes * MINUTE

    @property
    def block_wait(self) -> float:
        """Of the machine's seconds between blocks."""
        return BLOCK_SECONDS / self.speed

    @property
    def patience(self) -> int:
        """The keepers', of the machine's seconds: by the chain's as long as they have it by default, about."""
        return max(1, PATIENCE_SECONDS // self.speed)
