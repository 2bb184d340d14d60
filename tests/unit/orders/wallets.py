"""Wallets that answer ERC-1271 in every way: honest ones, and those that their counterpart has to survive."""

from __future__ import annotations

from tests.support.core import Core, account_id, actor
from tests.unit.audit.hostile import assemble

MAGIC = 0x1626BA7E << 224
"""What `isValidSignature` answers where the signature is the wallet's: its own selector, in the high bytes."""

_RETURN = "PUSH0 MSTORE $32 PUSH0 RETURN"

ANSWERS: dict[str, bytes] = {
    "yes": assemble(f"$magic {_RETURN}", magic=MAGIC),
    "no": assemble(f"$no {_RETURN}", no=0xFFFFFFFF << 224),
    "zero": assemble(f"PUSH0 {_RETURN}"),
    "true": assemble(f"$1 {_RETURN}"),
    "magic in the low bytes": assemble(f"$low {_RETURN}", low=MAGIC >> 224),
    "magic and a bit more": assemble(f"$more {_RETURN}", more=MAGIC | 1),
    "magic in four bytes": assemble("$magic PUSH0 MSTORE $4 PUSH0 RETURN", magic=MAGIC),
    "magic in 31 bytes": assemble("$magic PUSH0 MSTORE $31 PUSH0 RETURN", magic=MAGIC),
    "magic in a revert": assemble("$magic PUSH0 MSTORE $32 PUSH0 REVERT", magic=MAGIC),
    "nothing": assemble("STOP"),
    "a revert": assemble("PUSH0 PUSH0 REVERT"),
    "writes": assemble(f"$1 PUSH0 SSTORE $magic {_RETURN}", magic=MAGIC),
}
HOSTILE = [answer for answer in ANSWERS if answer != "yes"]
BURNS_GAS = assemble("again: $1 @again JUMPI")
BOMB = assemble("$size PUSH0 RETURN", size=150_000)
"""Answers with as much memory as its gas pays for, for the caller to copy."""


def approves(digest: bytes) -> bytes:
    """A wallet that says yes to one digest, and nothing to others."""
    return assemble(
        f"$4 CALLDATALOAD $digest EQ @yes JUMPI STOP yes: $magic {_RETURN}",
        digest=int.from_bytes(digest, "big"),
        magic=MAGIC,
    )


def wallet(core: Core, code: bytes, dollars: int = 100_000, name: str = "wallet") -> int:
    """An account whose owner is a contract of that code."""
    owner = actor(name)
    account = core.track(account_id(owner))
    core.fund_account(account, dollars)
    core.evm.set_code(owner, code)
    return account
