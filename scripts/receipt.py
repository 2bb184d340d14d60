"""Check a liquidation from its transaction alone: `ape run receipt TX --network optimism:devnet:node`.

Every figure is recomputed with the reference model from the state before, and compared with what the events say and
the accounts got. Exit code 0 where all is right, 1 where something is wrong, 2 where it can't be checked.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from scripts._command import Command, connected_chain, deployment_options


@click.command(cls=Command)
@click.argument("transaction")
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="All integers, as JSON.")
def cli(transaction: str, deployment: Path | None, deployments: Path | None, as_json: bool) -> int:
    """Recompute every figure of the liquidations in TRANSACTION and say whether they were right."""
    from plimsoll.sdk.deployments import choose
    from plimsoll.sdk.receipts import receipt_json, receipt_lines, receipt_of

    chain = connected_chain()
    found = choose(chain, deployment, deployments)
    receipt = receipt_of(found.on(chain), transaction)
    if as_json:
        click.echo(json.dumps(receipt_json(receipt), indent=2))
    else:
        names = {market_id: name for name, market_id in found.markets.items()}
        for line in receipt_lines(receipt, lambda one: names.get(one, f"market {one}")):
            click.echo(line)
    if not receipt.is_decided:
        return 2
    return 0 if receipt.is_right else 1
