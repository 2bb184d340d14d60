"""States of nodes: snapshots within a node's life, and dumps that outlive it.

A dump has all blocks but the newest state only: what was true at an older block can't be asked any more once loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

Snapshot = tuple[str, ...]
"""Of several chains, in their order."""


def take_snapshot(chains: Iterable[Chain]) -> Snapshot:
    """For `restore_snapshot` with the same chains."""
    return tuple(str(chain.rpc.call("evm_snapshot")) for chain in chains)


def restore_snapshot(chains: Iterable[Chain], snapshot: Snapshot) -> None:
    """Back to a snapshot, which is used up by it."""
    for chain, one in zip(chains, snapshot, strict=True):
        chain.rpc.call("evm_revert", one)


def dump(chain: Chain, path: Path) -> None:
    """Write a node's state into a file."""
    path.write_text(chain.rpc.call("anvil_dumpState", False))


def load(chain: Chain, path: Path) -> None:
    """Read it into a fresh node of the same chain id. Its clock goes on at the newest block's time.

    Raises UserError where there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no dumped state; dump one first")
    chain.rpc.call("anvil_loadState", path.read_text())
    chain.rpc.call("evm_setTime", chain.block().timestamp)


def is_forgotten(error: RpcError) -> bool:
    """Whether a node refused because it has no state of that block any more: the block is older than its dump."""
    return "BlockOutOfRange" in error.message
