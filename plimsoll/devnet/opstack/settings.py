"""How the devnet's rollup is set up: its portal, its waiting times, and who runs it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from eth_utils import keccak

from plimsoll.core.errors import UserError
from plimsoll.core.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

L1_CHAIN_ID = 900
CLOCK_EXTENSION_SECONDS = 3 * SECONDS_PER_HOUR

Portal = Literal["games", "oracle"]


@dataclass(frozen=True, kw_only=True)
class OpStackSettings:
    """Seconds are L1's, and those of OP Mainnet by default.

    `portal` "games" deploys OptimismPortal2, whose outputs are claims of dispute games; "oracle" the older
    OptimismPortal, whose outputs the proposer writes into L2OutputOracle.
    """

    portal: Portal = "games"
    proof_maturity_seconds: int = 7 * SECONDS_PER_DAY
    """From the proof of a withdrawal to its finalisation, with either portal."""
    game_clock_seconds: int = 302_400
    """After so long a claim that nobody challenged can be resolved."""
    air_gap_seconds: int = 302_400
    """From the resolution of a game to the finalisation of a withdrawal that was proven against it."""
    output_interval: int = 10
    """L2 blocks between two outputs of the oracle."""
    sequencing_window_seconds: int = 12 * SECONDS_PER_HOUR
    """After so long deposits enter L2 without the sequencer (OP Mainnet counts 3,600 L1 blocks)."""

    def __post_init__(self) -> None:
        if self.portal not in ("games", "oracle"):
            raise UserError(f"portal {self.portal!r} is neither games nor oracle")
        for name in ("proof_maturity_seconds", "game_clock_seconds", "air_gap_seconds", "sequencing_window_seconds"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} {getattr(self, name)} is negative")
        if self.game_clock_seconds < 1 or self.output_interval < 1:
            raise UserError("game_clock_seconds and output_interval must be at least 1")


@cache
def role_key(role: str) -> str:
    """Private key (0x…) of "owner" (owns the L1 system and guards it), "proposer" or "batcher". Public: for tests."""
    return "0x" + bytes(keccak(text=f"plimsoll devnet rollup {role}")).hex()
