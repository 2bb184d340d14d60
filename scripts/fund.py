"""The insurance fund's ledger, rebuilt from events: `ape run fund --network optimism:devnet:node`.

Every inflow and payout; the sum must be the fund's balance to the wei. Exit code 1, and a loud line, where it isn't.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click

from scripts._command import Command, connected_chain, deployment_options


@click.command(cls=Command)
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="All entries and sums, as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="All entries, one a line.")
def cli(deployment: Path | None, deployments: Path | None, as_json: bool, as_csv: bool) -> int:
    """Rebuild the insurance fund's ledger from events and compare it with the fund's balance."""
    from plimsoll.core.errors import UserError
    from plimsoll.sdk.deployments import choose
    from plimsoll.sdk.fund import CSV_HEADER, ledger_json, ledger_lines, ledger_rows, read_ledger

    if as_json and as_csv:
        raise UserError("--json and --csv: give one of them")
    chain = connected_chain()
    found = choose(chain, deployment, deployments)
    ledger = read_ledger(found.on(chain))
    lines = list(ledger_lines(ledger))
    if as_csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(CSV_HEADER)
        rows.writerows(ledger_rows(ledger))
    elif as_json:
        click.echo(json.dumps(ledger_json(ledger), indent=2))
    else:
        for line in lines:
            click.echo(line)
    if as_csv or as_json:
        for line in lines:
            if line.startswith("WRONG"):
                click.echo(line, err=True)
    return 0 if ledger.is_right else 1
