"""What leaving would take: the command of scripts/exit-plan.py, which ape calls by its file's name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts._command import Command, connected_chain, deployment_options, network_name

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain
    from plimsoll.deploy.parameters import Rollup
    from plimsoll.sdk.contracts import Contracts
    from plimsoll.sdk.exit_plan.plan import Leaving
    from plimsoll.sdk.exit_plan.rules import Rules
    from plimsoll.sdk.exit_plan.volatility import Volatility

DEFAULT_PROFILE = "op-mainnet"
"""Of a chain that no profile is for, such as a devnet."""
ISSUED_HERE = (
    "the settlement token is made here by its issuer and is not the rollup's bridge's: it leaves by the issuer's own "
    "way or a fast bridge; the plan is of a token that the bridge brought"
)


@click.command("exit-plan", cls=Command)
@click.argument("account")
@click.option("--l1", metavar="URL", help="A node of L1, to ask the rollup's portal and what gas costs there.")
@click.option("--portal", metavar="ADDRESS", help="The rollup's portal on L1; by default the network's parameters'.")
@click.option("--rollup", metavar="NAME", help="A profile of rollups.toml instead of the chain's own.")
@click.option("--volatility", "volatilities", multiple=True, metavar="[MARKET=]PERCENT", help='"60%" a year, "3%/day".')
@click.option("--l1-gas-price", metavar="GWEI", help="Instead of L1's own.")
@click.option("--eth-price", metavar="DOLLARS", help="Instead of the index price of ETH/USD here.")
@click.option("--hedge-bps", type=click.IntRange(0), help="To open and close a hedge elsewhere, of its size.")
@click.option("--hedge-bps-day", type=click.IntRange(0), help="What the hedge costs a day.")
@click.option("--bridge-bps", type=click.IntRange(0, 10_000), help="What a fast bridge takes of the amount.")
@click.option("--bridge-fee", metavar="DOLLARS", help="What it takes besides.")
@click.option("--bridge-minutes", type=click.IntRange(0), help="How long it takes.")
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="All integers, as JSON.")
def cli(
    account: str,
    l1: str | None,
    portal: str | None,
    rollup: str | None,
    volatilities: tuple[str, ...],
    l1_gas_price: str | None,
    eth_price: str | None,
    hedge_bps: int | None,
    hedge_bps_day: int | None,
    bridge_bps: int | None,
    bridge_fee: str | None,
    bridge_minutes: int | None,
    deployment: Path | None,
    deployments: Path | None,
    as_json: bool,
) -> int:
    """Say how and when the dollars of ACCOUNT (its id, or an address for its cross account) would be on L1."""
    from plimsoll.chain.transactions import Chain
    from plimsoll.core.errors import UserError
    from plimsoll.core.units import to_units, to_wad
    from plimsoll.sdk.deployments import choose
    from plimsoll.sdk.exit_plan import reading, rules, shown
    from plimsoll.sdk.exit_plan.plan import Terms, make_plan

    if rollup and portal:
        raise UserError("--rollup takes a profile as it is written; leave out --portal, or --rollup")
    chain, own = connected_chain(), _rollup_of_network()
    if own is not None and not int(own.l1_token, 16):
        click.echo(f"note: {ISSUED_HERE}", err=True)
    found = choose(chain, deployment, deployments)
    contracts = found.on(chain)
    names = {market_id: name for name, market_id in found.markets.items()}
    l1_chain = Chain(l1) if l1 else None
    price = to_wad(eth_price, what="eth-price") if eth_price else reading.eth_price(contracts, names)
    if price is None:
        raise UserError("nothing here knows the price of an ETH; give --eth-price")
    leaving = reading.read_leaving(contracts, _account(account), names)
    known = {
        "hedge_fee_bps": hedge_bps,
        "hedge_bps_day": hedge_bps_day,
        "bridge_fee_bps": bridge_bps,
        "bridge_fee": None if bridge_fee is None else to_wad(bridge_fee, what="bridge-fee"),
        "bridge_seconds": None if bridge_minutes is None else bridge_minutes * 60,
    }
    plan = make_plan(
        _rules(chain, l1_chain, portal or (own.portal if own else None), rollup),
        leaving,
        reading.read_sending(
            chain,
            l1_chain,
            eth_price=price,
            l1_gas_price=None if l1_gas_price is None else to_units(l1_gas_price, 9, what="l1-gas-price"),
        ),
        _volatilities(contracts, leaving, names, volatilities),
        replace(Terms(), **{name: value for name, value in known.items() if value is not None}),
    )
    if as_json:
        click.echo(json.dumps(shown.plan_json(plan), indent=2))
        return 0
    others = [one for one in rules.profiles().values() if one.name != plan.rules.name]
    for line in (*shown.plan_lines(plan), "", *shown.comparison_lines(others)):
        click.echo(line)
    return 0


def _account(text: str) -> int:
    from plimsoll.core import ids

    return ids.pack(text) if len(text) == 42 and text.startswith("0x") else ids.parse_account(text)


def _rules(chain: Chain, l1: Chain | None, portal: str | None, rollup: str | None) -> Rules:
    """A named profile as it is; else the chain's, or an OP stack's, by what the portal says where it can be asked."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import parse_address
    from plimsoll.sdk.exit_plan.live import read_rules
    from plimsoll.sdk.exit_plan.rules import profile, profile_of_chain

    if rollup is not None:
        return profile(rollup)
    key = profile_of_chain(chain.chain_id)
    base = profile(key or DEFAULT_PROFILE)
    if key is None:
        base = replace(base, name=f"chain {chain.chain_id}")
    if l1 is None:
        return base
    if portal is None:
        raise UserError("--l1 alone says only what gas costs there; give the rollup's --portal too, or --l1-gas-price")
    parse_address(portal)
    return read_rules(l1, portal, base, chain)


def _rollup_of_network() -> Rollup | None:
    """What the network's parameters say of it; None where there are none, or they don't say."""
    from plimsoll.core.errors import UserError
    from plimsoll.deploy.parameters import load

    try:
        return load(network_name(), blanks=True).rollup
    except UserError:
        return None


def _volatilities(
    contracts: Contracts, leaving: Leaving, names: dict[int, str], texts: tuple[str, ...]
) -> dict[str, Volatility]:
    """Of each market with a position: what was given, or else realised; a note where neither is to be had."""
    from plimsoll.core.errors import UserError
    from plimsoll.sdk.exit_plan.reading import read_volatility
    from plimsoll.sdk.exit_plan.volatility import given
    from plimsoll.sdk.views import market_named

    ids = {name: market_id for market_id, name in names.items()}
    stated: dict[str, Volatility] = {}
    for text in texts:
        market, _, percent = text.rpartition("=")
        for name in [names[market_named(ids, market)]] if market else list(ids):
            stated[name] = given(percent)
    found = {}
    for one in leaving.holdings:
        try:
            found[one.market] = stated.get(one.market) or read_volatility(contracts, ids[one.market])
        except UserError as error:
            click.echo(f"note: {one.market}: {error}", err=True)
    return found
