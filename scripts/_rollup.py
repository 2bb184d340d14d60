"""What the commands share that reach L1: its node, the client, the account, and a signer on each side."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from scripts._command import network_name
from scripts._trading import COMMON, opened, with_options

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer
    from plimsoll.sdk.client import Plimsoll
    from plimsoll.sdk.rollup.layers import Rollup

DEVNET_L1 = "http://127.0.0.1:8900"
L1_URL = click.option(
    "--l1-url", envvar="PLIMSOLL_L1", metavar="URL", help="A node of L1 (or PLIMSOLL_L1); the devnet's own there."
)


class Sides:
    """The client, one account, the rollup around them, and signers; without a key only looking is possible."""

    def __init__(self, client: Plimsoll, account: int, rollup: Rollup) -> None:
        self.client, self.account, self.rollup = client, account, rollup

    @property
    def on_l1(self) -> Signer:
        """The signer, on L1. Raises UserError where there is none."""
        from plimsoll.chain.transactions import Signer

        signer = self.client.signer
        return Signer(self.rollup.l1, signer.wallet, name=signer.name)


def l1_chain(url: str | None) -> Chain:
    """A node of L1. Raises UserError where none is named, or nobody answers."""
    from plimsoll.chain.rpc import NO_RETRY, RpcClient
    from plimsoll.chain.transactions import Chain
    from plimsoll.core.errors import UserError

    if url is None and network_name() != "devnet":
        raise UserError("which node of L1? Name one by --l1-url URL, or in PLIMSOLL_L1")
    url = url or DEVNET_L1
    with RpcClient(url, timeout_seconds=20, retry=NO_RETRY) as rpc:
        rpc.call("eth_chainId")
    return Chain(url)


def both_sides(command: Callable[..., int]) -> Callable[..., int]:
    """What every such command has: the trader's options and L1's node, made into `Sides`, which comes first."""

    @functools.wraps(command)
    def run(l1_url: str | None, **given: Any) -> int:
        from plimsoll.sdk.rollup.layers import Rollup

        client, account = opened(given, needs_signer=False)
        return command(Sides(client, account, Rollup(client.contracts, l1_chain(l1_url))), **given)

    return with_options((*COMMON, L1_URL), run)
