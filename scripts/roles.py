"""Who may do what on a deployment, after which delay, and what is scheduled: `ape run roles --network …`."""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import Command, connected_chain, network_name


@click.command(cls=Command)
@click.option(
    "--deployments", type=click.Path(path_type=Path), help="Folder of the manifests; deployments/ by default."
)
def cli(deployments: Path | None) -> int:
    """List every role, its holders and delays, and what is scheduled."""
    from plimsoll.deploy.manifest import FOLDER, manifest_path, require
    from plimsoll.deploy.roles import describe_roles

    manifest = require(manifest_path(network_name(), deployments or FOLDER))
    for line in describe_roles(connected_chain(), manifest):
        click.echo(line)
    return 0
