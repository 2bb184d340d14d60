"""Trade: `ape run trade buy ETH 2.5 --network optimism:devnet:node --account TEST::6`.

Sizes are in the market's asset, prices and amounts in dollars. Exit code 2 and one line for whatever can't be done.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import click

import scripts._l1
import scripts._orders  # noqa: F401  (their commands)
from scripts._command import Command
from scripts._trading import cli, hash_of, say, time_of, trading

if TYPE_CHECKING:
    from plimsoll.sdk.client import Plimsoll

__all__ = ["cli"]

# --- money -------------------------------------------------------------------------------------------------------


@cli.command(cls=Command)
@trading
@click.argument("dollars")
def deposit(client: Plimsoll, account: int, dollars: str) -> int:
    """Bring tokens into the account."""
    client.deposit(dollars, account)
    return _account(client, account)


@cli.command(cls=Command)
@trading
@click.argument("dollars")
@click.option("--to", help="An address, by default the signer's.")
@click.option("--l1", "to_l1", is_flag=True, help="Pay it on L1; `ape run withdrawals` follows it to the end.")
def withdraw(client: Plimsoll, account: int, dollars: str, to: str | None, to_l1: bool) -> int:
    """Take DOLLARS, or "all" that can leave, out of the account."""
    client.withdraw(dollars, account, to, to_l1=to_l1)
    return _account(client, account)


@cli.command(cls=Command)
@trading
@click.argument("to_account", metavar="ACCOUNT")
@click.argument("dollars")
def transfer(client: Plimsoll, account: int, to_account: str, dollars: str) -> int:
    """Move cash to another ACCOUNT (its id) of the same owner."""
    from plimsoll.core.ids import parse_account

    client.transfer(account, parse_account(to_account), dollars)
    return _account(client, account)


# --- orders that there are ---------------------------------------------------------------------------------------


@cli.command(cls=Command)
@trading
@click.argument("order_hash", metavar="HASH")
def cancel(client: Plimsoll, account: int, order_hash: str) -> int:
    """Take back the order with this HASH, which waits for its price."""
    key = hash_of(order_hash)
    client.cancel(key)
    click.echo(f"cancelled    0x{key.hex()}")
    return 0


@cli.command(cls=Command)
@trading
@click.argument("order_hash", metavar="HASH")
def force(client: Plimsoll, account: int, order_hash: str) -> int:
    """Settle your reduce-only order with this HASH where nobody records prices any more.

    At the price of the push sources, half a percent and what they may be off against you; two minutes after the last
    price, and one after the order's time.
    """
    client.force(hash_of(order_hash))
    return _account(client, account)


@cli.command("cancel-all", cls=Command)
@trading
def cancel_all(client: Plimsoll, account: int) -> int:
    """Take back all orders of the account, placed or only signed, but market orders in the queue."""
    client.cancel_all(account)
    click.echo(f"cancelled    all that was not made under counter {client.counter_of(account)}")
    return 0


@cli.command(cls=Command)
@trading
@click.argument("file", type=click.File())
def relay(client: Plimsoll, account: int, file: IO[str]) -> int:
    """Place what is signed in FILE (- for standard input): you pay the gas, and get the market's relay fee.

    Limit orders can't be placed so; signed they are for matching.
    """
    import json

    from plimsoll.core.errors import UserError
    from plimsoll.sdk.shown import placed_lines
    from plimsoll.sdk.signed import signed_from_json

    try:
        data = json.load(file)
    except ValueError:
        raise UserError(f"{file.name}: no JSON") from None
    several = [signed_from_json(one, client.domain) for one in (data if isinstance(data, list) else [data])]
    for placed in [client.place_for(several[0])] if len(several) == 1 else client.place_for_together(several):
        say(placed_lines(client, placed))
    return 0


# --- delegates ---------------------------------------------------------------------------------------------------


@cli.command(cls=Command)
@trading
@click.argument("address")
@click.option("--market", "markets", multiple=True, help="Where it may trade; may be given several times.")
@click.option("--until", metavar="TIME", help="Unix seconds, or from now 12h, 7d.")
@click.option("--budget", metavar="DOLLARS", help="Notional a day (UTC), in whole dollars.")
@click.option("--may-match", is_flag=True, help="Also sign orders that are matched with others'.")
@click.option("--may-take-over", is_flag=True, help="Also take positions over from liquidated accounts.")
@click.option("--end", is_flag=True, help="From now on it may do nothing.")
def delegate(
    client: Plimsoll,
    account: int,
    address: str,
    markets: tuple[str, ...],
    until: str | None,
    budget: str | None,
    may_match: bool,
    may_take_over: bool,
    end: bool,
) -> int:
    """Let ADDRESS trade for the account within limits, never withdraw. Without options, show what it may do."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import parse_address
    from plimsoll.sdk.shown import delegate_lines

    parse_address(address)
    if end:
        client.end_delegation(address, account)
    elif markets or until or budget:
        if not (markets and until and budget):
            raise UserError("delegate: --market, --until and --budget go together")
        client.delegate(
            address,
            markets,
            time_of(client, until, "until"),
            budget,
            account=account,
            may_match=may_match,
            may_take_over=may_take_over,
        )
    say(delegate_lines(client, address, client.delegation(address, account), client.chain.block().timestamp))
    return 0


# --- looking -----------------------------------------------------------------------------------------------------


@cli.command(cls=Command)
@trading
@click.argument("market")
@click.argument("size")
def quote(client: Plimsoll, account: int, market: str, size: str) -> int:
    """What SIZE of MARKET would cost now; negative to sell (put -- before it)."""
    from plimsoll.sdk.shown import quote_line

    click.echo(quote_line(client, client.quote(market, size)))
    return 0


@cli.command(cls=Command)
@trading
def show(client: Plimsoll, account: int) -> int:
    """The account, its open orders, and the markets."""
    from plimsoll.sdk.shown import market_lines, open_order_line

    _account(client, account)
    say(open_order_line(client, order) for order in client.open_orders(account))
    for market in client.markets().values():
        say(market_lines(client, market))
    return 0


@cli.command(cls=Command)
@trading
def history(client: Plimsoll, account: int) -> int:
    """Every fill of the account with its fees: by orders, in matches, by liquidators."""
    from plimsoll.sdk.shown import fill_line

    say(fill_line(client, fill) for fill in client.fills(account))
    return 0


def _account(client: Plimsoll, account: int) -> int:
    from plimsoll.sdk.shown import account_lines

    say(account_lines(client, client.account_snapshot(account)))
    return 0
