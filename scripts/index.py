"""Follow the chain into an index: `ape run index --network optimism:devnet:node`. Ctrl-C stops it; it resumes.

The index is a DuckDB file unless --database gives a postgresql:// address. It ends with an error where events don't
follow from each other: then contracts and model are not the same, or the node left something out, and nothing that the
index says is to be acted on.
"""

from __future__ import annotations

from pathlib import Path

import click

from scripts._command import Command, connected_chain, deployment_options


@click.command(cls=Command)
@deployment_options
@click.option("--database", envvar="PLIMSOLL_INDEX", help="A DuckDB file, or a postgresql:// address.")
@click.option("--once", is_flag=True, help="Read what there is, and end.")
@click.option("--poll", default=1.0, help="Seconds between looks at the chain.", show_default=True)
def cli(deployment: Path | None, deployments: Path | None, database: str | None, once: bool, poll: float) -> int:
    """Read the deployment's events into an index, and follow the chain."""
    from plimsoll.index.commands import follow, opened
    from plimsoll.sdk.deployments import choose

    chain = connected_chain()
    found = choose(chain, deployment, deployments)
    with opened(found.on(chain), database) as index:
        return follow(index, click.echo, once=once, poll=poll)
