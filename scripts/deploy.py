"""Deploy the protocol to a network, or go on with it: `ape run deploy --network optimism:devnet:node`.

Run it again after any interruption; what is there stays, and when all is there it says so. Exit code 2 and one line
where it refuses, before anything was sent. A dry run needs no key, and sends nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts._command import Command, account_option, connected_chain, network_name, signer_of

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer
    from plimsoll.deploy.parameters import Parameters

ANYONE = "0x000000000000000000000000000000000000dEaD"
"""Stands for a deployer who isn't named; the addresses that a dry run shows are then made up."""


@click.command(cls=Command)
@account_option
@click.option("--parameters", help="A network's name or a .toml file; the connected network's by default.")
@click.option(
    "--deployments", type=click.Path(path_type=Path), help="Folder of the manifests; deployments/ by default."
)
@click.option("--dry-run", is_flag=True, help="Check everything, list the steps, and send nothing.")
@click.option("--deployer", metavar="ADDRESS", help="Of a dry run without a key: who would deploy.")
def cli(
    account: str | None, parameters: str | None, deployments: Path | None, dry_run: bool, deployer: str | None
) -> int:
    """Deploy the protocol, or go on with it."""
    from plimsoll.core.errors import UserError
    from plimsoll.deploy.apply import apply
    from plimsoll.deploy.manifest import FOLDER, manifest_path
    from plimsoll.deploy.parameters import load
    from plimsoll.devnet.environment import deploy_environment

    if deployer and (account or not dry_run):
        raise UserError("--deployer is for a dry run without --account")
    loaded = load(parameters or network_name(), blanks=dry_run)
    chain = connected_chain()
    path = manifest_path(loaded.network, deployments or FOLDER)
    default = "TEST::0" if loaded.development else None
    if dry_run:
        return _dry_run(loaded, chain, _looked_at(chain, account or default, deployer), path)
    signer = signer_of(chain, account, default=default)
    if loaded.development:
        deploy_environment(chain, loaded, report=click.echo)
    outcome = apply(loaded, chain, signer, path, report=click.echo)
    done = f"{outcome.sent} transactions, {outcome.manifest.gas_used:,} gas" if outcome.sent else "nothing was changed"
    click.echo(f"{loaded.network}: {done}; {path}")
    return 0


def _looked_at(chain: Chain, account: str | None, deployer: str | None) -> Signer | None:
    """Whose deployment is looked at; None where nobody is named."""
    from plimsoll.chain.transactions import Signer
    from plimsoll.chain.watching import WatchedWallet
    from plimsoll.core.ids import parse_address

    if deployer:
        parse_address(deployer)
        return Signer(chain, WatchedWallet(deployer))
    return signer_of(chain, account) if account else None


def _dry_run(loaded: Parameters, chain: Chain, signer: Signer | None, path: Path) -> int:
    """Exit code 1 where the file has blanks, or something that must exist doesn't or is something else."""
    from plimsoll.deploy.apply import prepare
    from plimsoll.deploy.external import external_rows
    from plimsoll.deploy.plan import make_plan
    from plimsoll.deploy.rows import summary, table

    rows = external_rows(loaded, chain)
    for line in table(rows):
        click.echo(line)
    for blank in loaded.blanks:
        click.echo(f"blank {blank}")
    is_ready = not loaded.blanks and all(row.ok for row in rows)
    state = "no deployer was named, so the addresses are made up" if signer is None else "not ready"
    if signer is not None and is_ready:
        plan, manifest = prepare(loaded, chain, signer, path)
        state = "complete" if manifest.is_complete else f"{len(manifest.contracts)} contracts are there"
    else:
        who, nonce = (ANYONE, 0) if signer is None else (signer.address, chain.nonce(signer.address, "latest"))
        plan = make_plan(loaded, who, nonce, chain)
    for line in plan.describe():
        click.echo(line)
    click.echo(f"{loaded.network}: {summary(rows)}; {len(loaded.blanks)} values are blank")
    click.echo(f"{loaded.network}: {len(plan.describe())} steps; {state}; nothing was sent")
    return 0 if is_ready else 1
