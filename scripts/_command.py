"""What the `ape run` commands share: a connected chain, a signer, and errors of one line with exit code 2.

ape reads every script before it runs one, so scripts import what they need when they are called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from ape.cli import ConnectedProviderCommand

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer

ROOT = str(Path(__file__).resolve().parents[1])


class Command(ConnectedProviderCommand):
    """A command that is connected to a network (--network). A mistake is one line on stderr and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            if getattr(error.param, "name", None) != "network":
                raise
            first = error.message.splitlines()[0].removesuffix(" Options:")  # ape lists all that it knows after it
            click.echo(f"error: --network: {first} (ape networks list shows them)", err=True)
            ctx.exit(2)

    def invoke(self, ctx: click.Context) -> Any:
        sys.path.insert(0, ROOT)  # ape starts from its own folder, and the package need not be installed
        from plimsoll.chain.build import build_environment

        os.environ.update(build_environment())  # where ape finds anvil and the compiler without make
        from ape.exceptions import ApeException
        from ape.logging import LogLevel, logger

        from plimsoll.core.errors import UserError, run_command

        logger.set_level(LogLevel.WARNING)  # that it connects is no news

        def call() -> int:
            _require_node(ctx.params.get("network"))
            try:
                return int(super(Command, self).invoke(ctx) or 0)
            except ApeException as error:  # no node, no such account, a wrong passphrase
                raise UserError(str(error)) from None

        ctx.exit(run_command(call))


class OwnNetworkCommand(click.Command):
    """A command that starts whatever network it needs. A mistake is one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        sys.path.insert(0, ROOT)
        from plimsoll.chain.build import build_environment

        os.environ.update(build_environment())
        from plimsoll.core.errors import run_command

        ctx.exit(run_command(lambda: int(super(OwnNetworkCommand, self).invoke(ctx) or 0)))


def _require_node(provider: Any) -> None:
    """Raises UserError where nobody answers at the provider's address; ape itself would end in a traceback."""
    from plimsoll.chain.rpc import NO_RETRY, RpcClient

    uri = getattr(provider, "http_uri", None)
    if isinstance(uri, str) and provider.network.name != "local":  # a local one is started by ape
        with RpcClient(uri, timeout_seconds=20, retry=NO_RETRY) as rpc:
            rpc.call("eth_chainId")


def deployment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`deployment` and `deployments`, for `plimsoll.sdk.deployments.choose`."""
    for option in (
        click.option("--deployments", type=click.Path(path_type=Path), help="Folder to look for it in."),
        click.option(
            "--deployment", type=click.Path(path_type=Path), help="The deployment's file, not the chain id's."
        ),
    ):
        command = option(command)
    return command


account_option = click.option("--account", help="An ape account's alias, or TEST::n on a development network.")
"""The name of the account that signs; see `signer_of`."""


def connected_chain() -> Chain:
    """The chain that the command is connected to."""
    from ape import networks

    from plimsoll.chain.ape_account import chain_of

    return chain_of(networks.provider)


def network_name() -> str:
    """As parameters and manifests call it: "devnet", "local", or ecosystem-network such as "optimism-mainnet"."""
    from ape import networks

    name = networks.provider.network.name.removesuffix("-fork")
    if networks.provider.chain_id == 901:
        return "devnet"  # also behind another port, where ape calls it "custom"
    return name if name in ("devnet", "local") else f"{networks.provider.network.ecosystem.name}-{name}"


def signer_of(chain: Chain, alias: str | None, *, default: str | None = None) -> Signer:
    """A signer of an ape account. Raises UserError where there is no such account."""
    from ape import accounts

    from plimsoll.chain.ape_account import signer_from
    from plimsoll.core.errors import UserError

    alias = alias or default
    if alias is None:
        raise UserError("no account was named; use --account ALIAS (ape accounts list shows yours)")
    if alias.upper().startswith("TEST::"):
        place = alias[6:]
        if not place.isdigit() or int(place) >= len(accounts.test_accounts):
            raise UserError(f"no account {alias}; there are TEST::0 to TEST::{len(accounts.test_accounts) - 1}")
        return signer_from(chain, accounts.test_accounts[int(place)], name=alias)
    if alias not in accounts.aliases:
        raise UserError(f"no account {alias}; make it with: ape accounts generate {alias} (or import {alias})")
    return signer_from(chain, accounts.load(alias), name=alias)


def signing_keys(beacons: tuple[str, ...], streams: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Keys of beacons and of streams; the devnet's own where none are named there."""
    from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
    from plimsoll.keepers.entry import keys_from_environment

    if network_name() == "devnet" and not beacons and not streams:
        return list(publisher_keys()), list(stream_keys()[:STREAM_QUORUM])
    return keys_from_environment(beacons), keys_from_environment(streams)
