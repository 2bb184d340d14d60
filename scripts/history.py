"""What happened, out of the index: `ape run history fills 0x… --network optimism:devnet:node`.

The index is read on to the newest block first. ACCOUNT is an account's id, or an address for its first cross account.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import click

from scripts._command import Command, connected_chain, deployment_options


@click.command(cls=Command)
@click.argument("what", type=click.Choice(["fills", "funding", "liquidations", "rates", "fund"]))
@click.argument("account", required=False)
@click.option("--market", help="Of `rates`: whose, such as ETH.")
@deployment_options
@click.option("--database", envvar="PLIMSOLL_INDEX", help="A DuckDB file, or a postgresql:// address.")
@click.option("--json", "as_json", is_flag=True, help="All integers, as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="All integers, one entry a line.")
def cli(
    what: str,
    account: str | None,
    market: str | None,
    deployment: Path | None,
    deployments: Path | None,
    database: str | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Show WHAT happened: fills and funding of an account, liquidations, a market's rates, the fund's ledger."""
    from plimsoll.core.errors import UserError
    from plimsoll.index.commands import entries, fund_lines, opened
    from plimsoll.index.shown import entry_fields, lines, table
    from plimsoll.sdk.deployments import choose

    if as_json and as_csv:
        raise UserError("--json and --csv: give one of them")
    chain = connected_chain()
    found = choose(chain, deployment, deployments)
    with opened(found.on(chain), database) as index:
        index.update()
        if what == "fund":
            shown, is_right = fund_lines(index)
            click.echo("\n".join(shown))
            return 0 if is_right else 1
        rows = entries(index, what, account, market, found.markets)
        if as_json:
            click.echo(json.dumps([entry_fields(row) for row in rows], indent=2))
        elif as_csv:
            csv.writer(sys.stdout, lineterminator="\n").writerows(table(rows))
        else:
            names = {market_id: name for name, market_id in found.markets.items()}
            for line in lines(rows, names):
                click.echo(line)
    return 0
