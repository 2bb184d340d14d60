"""Compare a deployment with its parameters file: `ape run verify --network optimism:devnet:node`.

Code, wiring, every parameter and every role, and on live networks what isn't the protocol's: token, feeds, vendors, the
rollup's bridge. Exit code 1 with the differences named where there are any.
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
@click.option("--external", is_flag=True, help="Only what must exist before a deployment, which need not be there.")
@click.option("--l1", metavar="URL", help="A node of L1, to look at the rollup's contracts there too.")
def cli(
    parameters: str | None, deployments: Path | None, only_differences: bool, external: bool, l1: str | None
) -> int:
    """Compare a deployment with its parameters file."""
    from plimsoll.chain.transactions import Chain
    from plimsoll.deploy.external import external_rows
    from plimsoll.deploy.manifest import FOLDER, manifest_path, require
    from plimsoll.deploy.parameters import load
    from plimsoll.deploy.verify import Verification, verify

    loaded = load(parameters or network_name(), blanks=external)
    chain, l1_chain = connected_chain(), Chain(l1) if l1 else None
    if external:
        found = Verification(external_rows(loaded, chain, l1_chain), [f"blank: {one}" for one in loaded.blanks])
    else:
        manifest = require(manifest_path(loaded.network, deployments or FOLDER))
        found = verify(loaded, chain, manifest, l1_chain)
    for line in found.table(only_differences=only_differences):
        click.echo(line)
    for note in found.notes:
        click.echo(f"note  {note}")
    click.echo(f"{loaded.network}: {found.summary()}")
    return 0 if found.ok else 1
