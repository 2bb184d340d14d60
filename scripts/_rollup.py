"""What the commands share that reach L1: its node, the client, the account, and a signer on each side."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts._command import connected_chain, network_name, signer_of
from scripts._trading import COMMON, with_options

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

    def __init__(self, client: Plimsoll, account: int, rollup: Rollup, signer: Signer | None) -> None:
        self.client, self.account, self.rollup = client, account, rollup
        self._signer = signer

    @property
    def on_l1(self) -> Signer:
        """The signer, on L1. Raises UserError where there is none."""
        from plimsoll.chain.transactions import Signer
        from plimsoll.core.errors import UserError

        if self._signer is None:
            raise UserError("no account was named; use --account ALIAS (ape accounts list shows yours)")
        return Signer(self.rollup.l1, self._signer.wallet, name=self._signer.name)


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
    def run(
        account: str | None,
        key_env: str | None,
        deployment: Path | None,
        deployments: Path | None,
        isolated: str | None,
        index: int,
        on_behalf: str | None,
        l1_url: str | None,
        **own: Any,
    ) -> int:
        from plimsoll.core.errors import UserError
        from plimsoll.core.ids import parse_account
        from plimsoll.sdk.client import Plimsoll
        from plimsoll.sdk.deployments import FOLDER, find, load
        from plimsoll.sdk.rollup.layers import Rollup

        chain = connected_chain()
        found = load(deployment) if deployment else find(chain, deployments or FOLDER)
        contracts = found.on(chain)
        signer = _signer(chain, account, key_env)
        client = Plimsoll(chain, contracts, signer, markets=found.markets)
        if on_behalf is None and signer is None:
            raise UserError("whose account? Name a signer by --account, or the account's id by --for")
        whose = parse_account(on_behalf) if on_behalf else client.account(isolated_market=isolated, index=index)
        return command(Sides(client, whose, Rollup(contracts, l1_chain(l1_url)), signer), **own)

    return with_options((*COMMON, L1_URL), run)


def _signer(chain: Chain, account: str | None, key_env: str | None) -> Signer | None:
    from plimsoll.chain.transactions import Signer
    from plimsoll.keepers.entry import key_from_environment

    if key_env is not None:
        return Signer(chain, key_from_environment(key_env))
    return None if account is None else signer_of(chain, account)
