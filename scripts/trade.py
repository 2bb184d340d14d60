"""Trade: `ape run trade buy ETH 2.5 --network optimism:devnet:node --account TEST::6`.

Sizes are in the market's asset, prices and amounts in dollars. Exit code 2 and one line for whatever can't be done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts._command import Command, account_option, connected_chain, signer_of

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer
    from plimsoll.sdk.client import Plimsoll
    from plimsoll.sdk.order_book import Placed

COMMON = (
    account_option,
    click.option("--key-env", metavar="NAME", help="Environment variable with the private key."),
    click.option("--deployment", type=click.Path(path_type=Path), help="The deployment's file, not the chain id's."),
    click.option("--deployments", type=click.Path(path_type=Path), help="Folder to look for it in."),
    click.option("--isolated", metavar="MARKET", help="The isolated account of a market instead of the cross account."),
    click.option("--index", type=int, default=0, show_default=True, help="Which of the owner's accounts of that kind."),
)
REDUCE_ONLY = click.option("--reduce-only", is_flag=True, help="Only close, at most all of the position.")
SLIPPAGE = click.option("--slippage-bps", type=click.IntRange(0), default=50, show_default=True, help="Off the quote.")
WAIT = click.option("--wait", type=float, default=0, metavar="SECONDS", help="Wait so long until it is settled.")


def trading(command: Callable[..., int]) -> Callable[..., int]:
    """What every command has: the common options, made into a client and an account, which come first."""

    @functools.wraps(command)
    def run(
        account: str | None,
        key_env: str | None,
        deployment: Path | None,
        deployments: Path | None,
        isolated: str | None,
        index: int,
        **own: Any,
    ) -> int:
        from plimsoll.sdk.client import Plimsoll
        from plimsoll.sdk.deployments import FOLDER, find, load

        chain = connected_chain()
        found = load(deployment) if deployment else find(chain, deployments or FOLDER)
        client = Plimsoll(chain, found.on(chain), _signer(chain, account, key_env), markets=found.markets)
        return command(client, client.account(isolated_market=isolated, index=index), **own)

    for option in reversed(COMMON):
        run = option(run)
    return run


def _signer(chain: Chain, account: str | None, key_env: str | None) -> Signer:
    from plimsoll.chain.transactions import Signer
    from plimsoll.keepers.entry import key_from_environment

    return signer_of(chain, account) if key_env is None else Signer(chain, key_from_environment(key_env))


@click.group()
def cli() -> None:
    """Move money, place orders, look at accounts and markets."""


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
@click.option("--to", help="An address, by default the account's owner.")
def withdraw(client: Plimsoll, account: int, dollars: str, to: str | None) -> int:
    """Take DOLLARS, or "all" that can leave, out of the account."""
    client.withdraw(dollars, account, to)
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


def _market_command(name: str, sign: str, text: str) -> None:
    @cli.command(name, cls=Command, help=text)
    @trading
    @click.argument("market")
    @click.argument("size")
    @click.option("--acceptable", metavar="PRICE", help="The worst price; the quote less slippage by default.")
    @SLIPPAGE
    @REDUCE_ONLY
    @WAIT
    def place(
        client: Plimsoll,
        account: int,
        market: str,
        size: str,
        acceptable: str | None,
        slippage_bps: int,
        reduce_only: bool,
        wait: float,
    ) -> int:
        placed = client.place_market(
            market,
            _signed(size, sign),
            account=account,
            acceptable_price=acceptable,
            slippage_bps=slippage_bps,
            reduce_only=reduce_only,
        )
        return _placed(client, placed, wait)


_market_command("buy", "", "Place a market order to buy SIZE of MARKET.")
_market_command("sell", "-", "Place a market order to sell SIZE of MARKET.")


@cli.command(cls=Command)
@trading
@click.argument("side", type=click.Choice(["buy", "sell"]))
@click.argument("market")
@click.argument("size")
@click.argument("price")
@click.option("--expiry", type=int, default=0, help="Unix seconds; none by default.")
@REDUCE_ONLY
@WAIT
def limit(
    client: Plimsoll,
    account: int,
    side: str,
    market: str,
    size: str,
    price: str,
    expiry: int,
    reduce_only: bool,
    wait: float,
) -> int:
    """Place an order for SIZE of MARKET that waits for PRICE or better."""
    base = _signed(size, "" if side == "buy" else "-")
    placed = client.place_limit(market, base, price, account=account, reduce_only=reduce_only, expiry=expiry)
    return _placed(client, placed, wait)


@cli.command(cls=Command)
@trading
@click.argument("market")
@SLIPPAGE
@WAIT
def close(client: Plimsoll, account: int, market: str, slippage_bps: int, wait: float) -> int:
    """Close all of the position in MARKET."""
    return _placed(client, client.close(market, account=account, slippage_bps=slippage_bps), wait)


@cli.command(cls=Command)
@trading
@click.argument("order_hash", metavar="HASH")
def cancel(client: Plimsoll, account: int, order_hash: str) -> int:
    """Take back the order with this HASH, which waits for its price."""
    from plimsoll.core.errors import UserError

    try:
        key = bytes.fromhex(order_hash.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(f"hash {order_hash!r} is not 0x and 64 hexadecimal digits")
    client.cancel(key)
    click.echo(f"cancelled    0x{key.hex()}")
    return 0


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
    _say(open_order_line(client, order) for order in client.open_orders(account))
    for market in client.markets().values():
        _say(market_lines(client, market))
    return 0


def _account(client: Plimsoll, account: int) -> int:
    from plimsoll.sdk.shown import account_lines

    _say(account_lines(client, client.account_snapshot(account)))
    return 0


def _placed(client: Plimsoll, placed: Placed, wait: float) -> int:
    """Exit code 1 where it was waited for and is not filled."""
    from plimsoll.sdk.shown import outcome_line, placed_lines

    _say(placed_lines(client, placed))
    if not wait:
        return 0
    outcome = client.wait_for(placed, wait)
    click.echo(outcome_line(outcome))
    return 0 if outcome.fill is not None else 1


def _signed(size: str, sign: str) -> str:
    from plimsoll.core.errors import UserError

    if size.strip().startswith(("-", "+")):
        raise UserError(f"size {size} has a sign; buy and sell say which way")
    return sign + size


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
