"""What each kind of transaction costs here, L1 data apart: `ape run fees --network optimism:devnet:node`.

Prices are the rollup's own where it has a GasPriceOracle; each can be given instead, and must be on a bare node.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts._command import Command, connected_chain, deployment_options

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain
    from plimsoll.sdk.client import Plimsoll
    from plimsoll.sdk.fees.fjord import L1Prices
    from plimsoll.sdk.fees.oracle import FeeOracle

TAKER_BPS = 6
EXECUTION_FEE = "0.50"
"""What the example trade is reckoned with where nothing is deployed: the template's figures."""


@click.command(cls=Command)
@click.option("--l1-base-fee", metavar="GWEI", help="Instead of the chain's: price of a unit of L1 gas.")
@click.option("--blob-base-fee", metavar="GWEI", help="Instead of the chain's: price of a unit of blob gas.")
@click.option("--base-fee-scalar", type=click.IntRange(0), help="Instead of the chain's, in millionths.")
@click.option("--blob-base-fee-scalar", type=click.IntRange(0), help="Instead of the chain's, in millionths.")
@click.option("--l2-gas-price", metavar="GWEI", help="Instead of the chain's base fee and tip.")
@click.option("--eth-price", metavar="DOLLARS", help="Instead of the index price of ETH/USD here.")
@click.option("--notional", default="10_000", show_default=True, metavar="DOLLARS", help="Of the example trade.")
@click.option("--compact", is_flag=True, help="Also what a compact encoding of the call data would save.")
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="All integers, as JSON.")
def cli(
    l1_base_fee: str | None,
    blob_base_fee: str | None,
    base_fee_scalar: int | None,
    blob_base_fee_scalar: int | None,
    l2_gas_price: str | None,
    eth_price: str | None,
    notional: str,
    compact: bool,
    deployment: Path | None,
    deployments: Path | None,
    as_json: bool,
) -> int:
    """Show bytes, compressed size, L1 data fee and L2 fee of each kind of transaction."""
    from plimsoll.core.units import to_wad
    from plimsoll.sdk.fees import report
    from plimsoll.sdk.fees.flows import flows
    from plimsoll.sdk.fees.oracle import FeeOracle

    chain = connected_chain()
    client = _client(chain, deployment, deployments)
    oracle = FeeOracle(chain)
    given = (
        _wei(l1_base_fee, "l1-base-fee"),
        _wei(blob_base_fee, "blob-base-fee"),
        base_fee_scalar,
        blob_base_fee_scalar,
    )
    wei = _wei(l2_gas_price, "l2-gas-price")
    prices = report.Prices(
        _l1_prices(oracle, given),
        chain.block().base_fee + chain.fees()[1] if wei is None else wei,
        _eth_price(client) if eth_price is None else to_wad(eth_price, what="eth-price"),
    )
    asked = oracle.is_there and all(one is None for one in given)
    made = flows()
    costs = [report.cost_of(flow, prices, oracle.fee(flow.unsigned) if asked else None) for flow in made]
    if as_json:
        click.echo(json.dumps(report.costs_json(costs, prices), indent=2))
        return 0
    lines = [*report.price_lines(prices), *report.cost_lines(costs, prices)]
    if compact:
        lines += ["", *report.saving_lines([report.saving_of(flow, prices) for flow in made], prices)]
    if prices.eth_price is not None:
        taker, fee = _terms(client)
        lines += ["", report.trade_line(report.trade_of(costs, prices, to_wad(notional, what="notional"), taker, fee))]
    for line in lines:
        click.echo(line)
    return 0


def _l1_prices(oracle: FeeOracle, given: tuple[int | None, ...]) -> L1Prices:
    """The chain's, where not all are given; what is given counts."""
    from plimsoll.core.errors import UserError
    from plimsoll.sdk.fees.fjord import L1Prices

    names = ("base_fee", "blob_base_fee", "base_fee_scalar", "blob_base_fee_scalar")
    if all(one is not None for one in given):
        return L1Prices(*(one or 0 for one in given))
    if not oracle.is_there:
        missing = [f"--{name.replace('_', '-')}" for name, one in zip(names, given, strict=True) if one is None]
        missing = ["--l1-base-fee" if one == "--base-fee" else one for one in missing]
        raise UserError(f"{oracle.chain.uri}: no GasPriceOracle to ask what L1 data costs; give {', '.join(missing)}")
    found = oracle.prices()
    return L1Prices(*(getattr(found, name) if one is None else one for name, one in zip(names, given, strict=True)))


def _client(chain: Chain, deployment: Path | None, deployments: Path | None) -> Plimsoll | None:
    """None where nothing is deployed there as far as is known: nothing of it is needed."""
    from plimsoll.core.errors import UserError
    from plimsoll.sdk.client import Plimsoll
    from plimsoll.sdk.deployments import choose

    try:
        found = choose(chain, deployment, deployments)
        return Plimsoll(chain, found.on(chain), markets=found.markets)
    except UserError:
        if deployment:
            raise
        return None


def _eth_price(client: Plimsoll | None) -> int | None:
    if client is None or "ETH/USD" not in client.names:
        return None
    return client.market("ETH").price or None


def _terms(client: Plimsoll | None) -> tuple[int, int]:
    """Taker fee in basis points and execution fee in WAD dollars."""
    from plimsoll.core.units import to_wad

    if client is None or "ETH/USD" not in client.names:
        return TAKER_BPS, to_wad(EXECUTION_FEE)
    market = client.market("ETH")
    return market.params.taker_bps, market.orders.execution_fee


def _wei(gwei: str | None, what: str) -> int | None:
    from plimsoll.core.errors import UserError
    from plimsoll.core.units import to_units

    if gwei is None:
        return None
    found = to_units(gwei, 9, what=what)
    if found < 0:
        raise UserError(f"{what}: {Decimal(gwei)} gwei is less than nothing")
    return found
