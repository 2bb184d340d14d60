"""Play a fault drill on a devnet of its own: `ape run drill lying-source`; no network needs to be named.

Prints its figures and whether each promise held, and writes reports/drills/NAME.json. Exit code 0 where it passed or
was skipped for want of real prices, 1 where a promise was broken.
"""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import OwnNetworkCommand


@click.command(cls=OwnNetworkCommand)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report.")
def cli(name: str, out: Path | None) -> int:
    """Play the drill NAME; a wrong one lists them."""
    from plimsoll.chain.build import BuildError, ensure_built
    from plimsoll.core.errors import UserError
    from plimsoll.drills.run import OUT, drill, lines_of

    try:
        ensure_built()
    except BuildError as error:
        raise UserError(f"the contracts do not compile: {error}") from None
    report = drill(name, out or OUT)
    for line in lines_of(report):
        click.echo(line)
    return 1 if report.passed is False else 0
