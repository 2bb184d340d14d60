"""The trader's orders: each kind as a command that places it, and one under `sign` that prints it signed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scripts._trading import (
    ACCEPTABLE,
    EXPIRY,
    REDUCE_ONLY,
    SIZE,
    SLIPPAGE,
    orders,
    signed_size,
    time_of,
)

if TYPE_CHECKING:
    from plimsoll.core.orders import Order
    from plimsoll.sdk.client import Plimsoll

SIDE = click.argument("side", type=click.Choice(["buy", "sell"]))
MARKET = click.argument("market")
POSITION_SIZE = click.argument("size")
PRICE = click.argument("price")
IN_FORCE = click.option(
    "--in-force",
    type=click.Choice(["good-till-time", "post-only", "immediate-or-cancel", "fill-or-kill"]),
    default="good-till-time",
    show_default=True,
    help="Of an order that is signed to be matched.",
)


def _market(side: str) -> None:
    text = f"a market order to {side} SIZE of MARKET"

    @orders(side, MARKET, POSITION_SIZE, ACCEPTABLE, SLIPPAGE, REDUCE_ONLY, EXPIRY, text=text)
    def build(
        client: Plimsoll,
        account: int,
        market: str,
        size: str,
        acceptable: str | None,
        slippage_bps: int,
        reduce_only: bool,
        expiry: str | None,
    ) -> Sequence[Order]:
        order = client.market_order(
            market,
            signed_size(size, side),
            account=account,
            acceptable_price=acceptable,
            slippage_bps=slippage_bps,
            reduce_only=reduce_only,
            expiry=time_of(client, expiry, "expiry"),
        )
        return [order]


_market("buy")
_market("sell")


@orders(
    "limit",
    SIDE,
    MARKET,
    POSITION_SIZE,
    PRICE,
    EXPIRY,
    REDUCE_ONLY,
    IN_FORCE,
    text="an order for SIZE of MARKET that waits for PRICE or better",
)
def limit(
    client: Plimsoll,
    account: int,
    side: str,
    market: str,
    size: str,
    price: str,
    expiry: str | None,
    reduce_only: bool,
    in_force: str,
) -> Sequence[Order]:
    from plimsoll.core.orders import TimeInForce

    order = client.limit_order(
        market,
        signed_size(size, side),
        price,
        account=account,
        reduce_only=reduce_only,
        time_in_force=TimeInForce[in_force.replace("-", "_").upper()],
        expiry=time_of(client, expiry, "expiry"),
    )
    return [order]


@orders("close", MARKET, SLIPPAGE, EXPIRY, text="a market order that closes all of the position in MARKET")
def close(client: Plimsoll, account: int, market: str, slippage_bps: int, expiry: str | None) -> Sequence[Order]:
    until = time_of(client, expiry, "expiry")
    return [client.closing_order(market, account=account, slippage_bps=slippage_bps, expiry=until)]


@orders(
    "stop-loss",
    MARKET,
    PRICE,
    SIZE,
    ACCEPTABLE,
    EXPIRY,
    text="an order that closes the position in MARKET once the index is at PRICE or worse, by default at any price",
)
def stop_loss(
    client: Plimsoll,
    account: int,
    market: str,
    price: str,
    size: str | None,
    acceptable: str | None,
    expiry: str | None,
) -> Sequence[Order]:
    until = time_of(client, expiry, "expiry")
    return [client.stop_loss_order(market, price, size, account=account, acceptable_price=acceptable, expiry=until)]


@orders(
    "take-profit",
    MARKET,
    PRICE,
    SIZE,
    ACCEPTABLE,
    SLIPPAGE,
    EXPIRY,
    text="an order that closes the position in MARKET once the index is at PRICE or better",
)
def take_profit(
    client: Plimsoll,
    account: int,
    market: str,
    price: str,
    size: str | None,
    acceptable: str | None,
    slippage_bps: int,
    expiry: str | None,
) -> Sequence[Order]:
    order = client.take_profit_order(
        market,
        price,
        size,
        account=account,
        acceptable_price=acceptable,
        slippage_bps=slippage_bps,
        expiry=time_of(client, expiry, "expiry"),
    )
    return [order]


@orders(
    "bracket",
    SIDE,
    MARKET,
    POSITION_SIZE,
    click.option("--stop", required=True, metavar="PRICE", help="Of the stop-loss."),
    click.option("--profit", required=True, metavar="PRICE", help="Of the take-profit."),
    click.option("--price", help="Enter by a limit order at this price; at the market by default."),
    click.option("--entry-expiry", metavar="TIME", help="Of the entry; --expiry is of the exits."),
    SLIPPAGE,
    EXPIRY,
    text="an entry for SIZE of MARKET with a stop-loss and a take-profit, of which one ends the other",
)
def bracket(
    client: Plimsoll,
    account: int,
    side: str,
    market: str,
    size: str,
    stop: str,
    profit: str,
    price: str | None,
    entry_expiry: str | None,
    slippage_bps: int,
    expiry: str | None,
) -> Sequence[Order]:
    return client.bracket(
        market,
        signed_size(size, side),
        stop,
        profit,
        price=price,
        account=account,
        slippage_bps=slippage_bps,
        entry_expiry=time_of(client, entry_expiry, "entry expiry"),
        expiry=time_of(client, expiry, "expiry"),
    )


@orders(
    "ladder",
    MARKET,
    click.argument("first"),
    click.argument("last"),
    click.argument("steps", type=int),
    SIZE,
    EXPIRY,
    text="STEPS take-profits that close the position in MARKET evenly at prices from FIRST to LAST",
)
def ladder(
    client: Plimsoll,
    account: int,
    market: str,
    first: str,
    last: str,
    steps: int,
    size: str | None,
    expiry: str | None,
) -> Sequence[Order]:
    until = time_of(client, expiry, "expiry")
    return client.ladder(market, first, last, steps, size, account=account, expiry=until)
