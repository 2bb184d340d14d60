"""What the trader's commands share: the client and the account, and orders that are either placed or signed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from scripts._command import Command, account_option, connected_chain, deployment_options, signer_of

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer
    from plimsoll.core.orders import Order
    from plimsoll.sdk.client import Plimsoll

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Build = Callable[..., "Iterable[Order]"]
"""A client, an account and a command's own arguments to the orders that they ask for."""

COMMON: Sequence[Decorator] = (
    account_option,
    click.option("--key-env", metavar="NAME", help="Environment variable with the private key."),
    deployment_options,
    click.option("--isolated", metavar="MARKET", help="The isolated account of a market instead of the cross account."),
    click.option("--index", type=int, default=0, show_default=True, help="Which of the owner's accounts of that kind."),
    click.option("--for", "on_behalf", metavar="ID", help="Somebody's account, who made the signer his delegate."),
)
REDUCE_ONLY = click.option("--reduce-only", is_flag=True, help="Only close, at most all of the position.")
SLIPPAGE = click.option("--slippage-bps", type=click.IntRange(0), default=50, show_default=True, help="Off the quote.")
SIZE = click.option("--size", help="How much to close; all of the position by default.")
ACCEPTABLE = click.option("--acceptable", metavar="PRICE", help="The worst price to fill at.")
EXPIRY = click.option("--expiry", metavar="TIME", help="Unix seconds, or from now 10m, 12h, 7d; none by default.")
WAIT = click.option("--wait", type=float, default=0, metavar="SECONDS", help="Wait so long until it is settled.")


@click.group()
def cli() -> None:
    """Move money, place and sign orders, name delegates, look at accounts and markets."""


@cli.group()
def sign() -> None:
    """Print an order signed, as JSON, and send nothing: for `relay`, or a matching engine."""


def trading(command: Callable[..., int]) -> Callable[..., int]:
    """What every command has: the common options, made into a client and an account, which come first."""

    @functools.wraps(command)
    def run(**given: Any) -> int:
        return command(*opened(given), **given)

    return with_options(COMMON, run)


def opened(given: dict[str, Any], *, needs_signer: bool = True) -> tuple[Plimsoll, int]:
    """The client and the account that the options of `COMMON` name, which are taken out of what was given.

    Raises UserError where there is no signer although one is needed, or nothing says whose account it is.
    """
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import parse_account
    from plimsoll.sdk.client import Plimsoll
    from plimsoll.sdk.deployments import choose

    file, folder, on_behalf = given.pop("deployment"), given.pop("deployments"), given.pop("on_behalf")
    account, key_env = given.pop("account"), given.pop("key_env")
    which = {"isolated_market": given.pop("isolated"), "index": given.pop("index")}
    chain = connected_chain()
    found = choose(chain, file, folder)
    is_named = account is not None or key_env is not None
    signer = _signer(chain, account, key_env) if is_named or needs_signer else None
    client = Plimsoll(chain, found.on(chain), signer, markets=found.markets)
    if on_behalf is not None:
        return client, parse_account(on_behalf)
    if signer is None:
        raise UserError("whose account? Name a signer by --account, or the account's id by --for")
    return client, client.account(**which)


def orders(name: str, *parameters: Decorator, text: str) -> Callable[[Build], Build]:
    """Two commands of a function that builds orders: `trade NAME` places them, `trade sign NAME` prints them signed."""

    def register(build: Build) -> Build:
        def placing(client: Plimsoll, account: int, wait: float, **own: Any) -> int:
            return _place(client, list(build(client, account, **own)), wait)

        def signing(client: Plimsoll, account: int, **own: Any) -> int:
            return _print_signed(client, list(build(client, account, **own)))

        cli.command(name, cls=Command, help=f"Place {text}.")(trading(with_options([*parameters, WAIT], placing)))
        sign.command(name, cls=Command, help=f"Sign {text}.")(trading(with_options(parameters, signing)))
        return build

    return register


def time_of(client: Plimsoll, text: str | None, what: str) -> int:
    """What `EXPIRY` and its like say, in Unix seconds; 0 for nothing."""
    from plimsoll.sdk.times import moment

    return 0 if text is None else moment(text, client.chain.block().timestamp, what=what)


def signed_size(size: str, side: str) -> str:
    """A size with the sign of its side."""
    from plimsoll.core.errors import UserError

    if size.strip().startswith(("-", "+")):
        raise UserError(f"size {size} has a sign; buy and sell say which way")
    return size if side == "buy" else f"-{size}"


def hash_of(text: str) -> bytes:
    """An order's hash as people write it."""
    from plimsoll.core.errors import UserError

    try:
        key = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(f"hash {text!r} is not 0x and 64 hexadecimal digits")
    return key


def say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _place(client: Plimsoll, wanted: Sequence[Order], wait: float) -> int:
    """All in one transaction. Exit code 1 where the first was waited for and is not filled."""
    from plimsoll.sdk.shown import outcome_line, placed_lines

    placed = [client.place(wanted[0])] if len(wanted) == 1 else client.place_together(wanted)
    for one in placed:
        say(placed_lines(client, one))
    if not wait:
        return 0
    outcome = client.wait_for(placed[0], wait)
    click.echo(outcome_line(outcome))
    return 0 if outcome.fill is not None else 1


def _print_signed(client: Plimsoll, wanted: Sequence[Order]) -> int:
    """One JSON document: a signed order, or a list of several."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.orders import OrderKind
    from plimsoll.sdk.signed import signed_to_json

    if any(order.kind == OrderKind.MARKET and not order.expiry for order in wanted):
        raise UserError(
            "sign: a market order that others place needs an expiry (--expiry, of a bracket --entry-expiry)"
        )
    found = [signed_to_json(client.signed(order), client.domain) for order in wanted]
    click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    return 0


def with_options(decorators: Iterable[Decorator], command: Callable[..., int]) -> Callable[..., int]:
    for decorate in reversed(list(decorators)):
        command = decorate(command)
    return command


def _signer(chain: Chain, account: str | None, key_env: str | None) -> Signer:
    from plimsoll.chain.transactions import Signer
    from plimsoll.keepers.entry import key_from_environment

    return signer_of(chain, account) if key_env is None else Signer(chain, key_from_environment(key_env))
