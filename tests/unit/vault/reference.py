"""What the vault stores and what it emits, written from the specification."""

from __future__ import annotations

from tests.support.core import Core

MAX_CASH = 2**127 - 1
MAX_RESERVED = 2**96 - 1


def packed(cash: int, reserved: int = 0, markets: int = 0) -> int:
    """An account's slot: markets (16) | reserved (96) | cash (128, signed)."""
    return markets << 224 | reserved << 128 | cash % 2**128


def approved(core: Core, owner: str, amount: int) -> None:
    """Mint tokens to an owner, who lets the vault take them."""
    core.token.mint(owner, amount)
    core.token.approve(core.vault, amount, sender=owner)
