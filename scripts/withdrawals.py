"""Withdrawals to L1, where each stands, and the next step: `ape run withdrawals --network … --account … [--all]`.

Anyone can take any step of anybody's withdrawal. Nothing is kept but on the two chains. Exit code 0, or 2 and one line.
"""

from __future__ import annotations

import click

from scripts._command import Command
from scripts._rollup import Sides, both_sides


@click.command(cls=Command)
@both_sides
@click.option("--tx", "tx_hash", metavar="HASH", help="Only those of this L2 transaction, whoever's.")
@click.option("--prove", is_flag=True, help="Prove what can be proven.")
@click.option("--finalise", is_flag=True, help="Finalise what can be, and resolve the games that it needs.")
@click.option("--all", "everything", is_flag=True, help="Take every step that can be taken now.")
def cli(sides: Sides, tx_hash: str | None, prove: bool, finalise: bool, everything: bool) -> int:
    """List the owner's withdrawals to L1: where each stands, what comes next, and when."""
    from plimsoll.core.ids import owner_of
    from plimsoll.sdk.rollup.shown import followed_lines
    from plimsoll.sdk.rollup.stages import Stage
    from plimsoll.sdk.rollup.withdrawals import Withdrawals

    withdrawals = Withdrawals(sides.rollup)
    wanted: set[Stage] = set()
    if prove or everything:
        wanted |= {Stage.PROVABLE}
    if finalise or everything:
        wanted |= {Stage.RESOLVABLE, Stage.FINAL, Stage.FAILED}
    found = withdrawals.of_transaction(tx_hash) if tx_hash else withdrawals.of_owner(owner_of(sides.account))
    if not found:
        click.echo("no withdrawals to L1")
    for one in withdrawals.followed(found):
        if one.standing.stage in wanted:
            for receipt in withdrawals.take_step(one.started.withdrawal, sides.on_l1):
                click.echo(f"{one.standing.stage.step:<12} {receipt.tx_hash}, {receipt.gas_used:,} gas on L1")
            (one,) = withdrawals.followed([one.started])
        for line in followed_lines(one, sides.client.contracts.token_decimals):
            click.echo(line)
    return 0
