"""Deploy the protocol to a network, or go on with it: `ape run deploy --network optimism:devnet:node`.

Run it again after any interruption; what is there stays, and when all is there it says so. Exit code 2 and one line
where it refuses, before anything was sent.
"""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import Command, account_option, connected_chain, network_name, signer_of


@click.command(cls=Command)
@account_option
@click.option("--parameters", help="A network's name or a .toml file; the connected network's by default.")
@click.option(
    "--deployments", type=click.Path(path_type=Path), help="Folder of the manifests; deployments/ by default."
)
@click.option("--dry-run", is_flag=True, help="Check everything, list the steps, and send nothing.")
def cli(account: str | None, parameters: str | None, deployments: Path | None, dry_run: bool) -> int:
    """Deploy the protocol, or go on with it."""
    from plimsoll.deploy.apply import apply, prepare
    from plimsoll.deploy.manifest import FOLDER, manifest_path
    from plimsoll.deploy.parameters import load
    from plimsoll.devnet.environment import deploy_environment

    loaded = load(parameters or network_name())
    chain = connected_chain()
    signer = signer_of(chain, account, default="TEST::0" if loaded.development else None)
    path = manifest_path(loaded.network, deployments or FOLDER)
    if loaded.development and not dry_run:
        deploy_environment(chain, loaded, report=click.echo)
    if dry_run:
        plan, manifest = prepare(loaded, chain, signer, path)
        for line in plan.describe():
            click.echo(line)
        state = "complete" if manifest.is_complete else f"{len(manifest.contracts)} contracts are there"
        click.echo(f"{loaded.network}: {len(plan.describe())} steps; {state}; nothing was sent")
        return 0
    outcome = apply(loaded, chain, signer, path, report=click.echo)
    done = f"{outcome.sent} transactions, {outcome.manifest.gas_used:,} gas" if outcome.sent else "nothing was changed"
    click.echo(f"{loaded.network}: {done}; {path}")
    return 0
