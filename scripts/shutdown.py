"""The end of a market without prices: `ape run shutdown status ETH --network optimism:devnet:node`.

Anyone may make each step: `declare` after ten minutes without a price, `confirm` six hours later, `close` an hour after
that. A price that is recorded in between ends it. Exit code 2 and one line for a step that can't be made now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts._command import Command
from scripts._trading import trading

if TYPE_CHECKING:
    from plimsoll.sdk.client import Plimsoll


@click.group()
def cli() -> None:
    """Declare a market dead, wait, close it at its last price, settle what is left in it."""


@cli.command(cls=Command)
@trading
@click.argument("market")
def status(client: Plimsoll, account: int, market: str) -> int:
    """Where MARKET stands, and when its next step can be made."""
    from plimsoll.sdk.shutdown import read_standing
    from plimsoll.sdk.times import date

    found = read_standing(client.contracts, client.market_id(market))
    click.echo(f"last price   {date(found.last_price_at)}")
    if found.declared_at:
        click.echo(f"declared     {date(found.declared_at)}")
    if found.confirmed_at:
        click.echo(f"confirmed    {date(found.confirmed_at)}")
    left = found.opens_at - client.chain.block().timestamp
    when = "now" if left <= 0 else f"from {date(found.opens_at)} on, in {left} s, if no price comes"
    click.echo(f"next         {found.next_step}, {when}")
    return 0


def _step(name: str, text: str) -> None:
    @cli.command(name, cls=Command, help=text)
    @trading
    @click.argument("market")
    def run(client: Plimsoll, account: int, market: str) -> int:
        from plimsoll.sdk.shutdown import take_step

        take_step(client.contracts, client.signer, client.market_id(market), name)
        click.echo(f"{name:<12} {market}: done")
        return 0


_step("declare", "Say that MARKET has had no price for ten minutes.")
_step("confirm", "Six hours later: open the last hour, in which bankrupt accounts are absorbed at the last price.")
_step("close", "An hour later: close every position of MARKET at its last price.")


@cli.command(cls=Command)
@trading
def settle(client: Plimsoll, account: int) -> int:
    """Turn what a closed market left in the account into cash; `trade withdraw` does it too."""
    from plimsoll.sdk.shutdown import settle_all

    found = settle_all(client.contracts, client.signer, account)
    names = ", ".join(map(client.market_name, found))
    click.echo(f"settled      {names or 'nothing: no closed market holds anything of the account'}")
    return 0
