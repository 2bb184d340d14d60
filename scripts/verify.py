"""Compare a deployment with its parameters file: `ape run verify --network optimism:devnet:node`.

Code, wiring, every parameter and every role. Exit code 1 with the differences named where there are any.
"""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import Command, connected_chain, network_name


@click.command(cls=Command)
@click.option("--parameters", help="A network's name or a .toml file; the connected network's by default.")
@click.option(
    "--deployments", type=click.Path(path_type=Path), help="Folder of the manifests; deployments/ by default."
)
@click.option("--only-differences", is_flag=True, help="Leave out what is as it should be.")
def cli(parameters: str | None, deployments: Path | None, only_differences: bool) -> int:
    """Compare a deployment with its parameters file."""
    from plimsoll.deploy.manifest import FOLDER, manifest_path, require
    from plimsoll.deploy.parameters import load
    from plimsoll.deploy.verify import verify

    loaded = load(parameters or network_name())
    manifest = require(manifest_path(loaded.network, deployments or FOLDER))
    found = verify(loaded, connected_chain(), manifest)
    for line in found.table(only_differences=only_differences):
        click.echo(line)
    for note in found.notes:
        click.echo(f"note  {note}")
    click.echo(f"{loaded.network}: {found.summary()}")
    return 0 if found.ok else 1
