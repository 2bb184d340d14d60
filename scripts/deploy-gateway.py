"""Deploy L1's side of a deployment, or check it: `ape run deploy-gateway --network optimism:mainnet:node --l1-url …`.

Exit code 2 and one line where it refuses, before anything is sent.
"""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import Command, account_option, connected_chain, deployment_options, signer_of
from scripts._rollup import L1_URL, l1_chain


@click.command(cls=Command)
@account_option
@L1_URL
@deployment_options
def cli(account: str | None, l1_url: str | None, deployment: Path | None, deployments: Path | None) -> int:
    """Create the gateway on L1 whose address the deployment on L2 has."""
    from plimsoll.chain.transactions import Signer
    from plimsoll.deploy.l1_gateway import deploy_l1_gateway
    from plimsoll.sdk.deployments import choose

    chain = connected_chain()
    contracts = choose(chain, deployment, deployments).on(chain)
    l1 = l1_chain(l1_url)
    signer = Signer(l1, signer_of(chain, account).wallet)
    gateway = contracts.of("L2Gateway")
    receipt = deploy_l1_gateway(l1, signer, gateway, contracts.token.address)
    address = gateway.call("l1Gateway")
    done = "is there, and fits" if receipt is None else f"created, {receipt.gas_used:,} gas"
    click.echo(f"L1Gateway    {address} on chain {l1.chain_id}: {done}")
    return 0
