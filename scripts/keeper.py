"""Run a keeper until Ctrl-C or SIGTERM: `ape run keeper executor --network optimism:devnet:node --account TEST::5`.

One JSON line for everything that it does. Exit code 0 after a stop, 2 and one line where it can't start.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts._command import (
    Command,
    account_option,
    connected_chain,
    deployment_options,
    network_name,
    signer_of,
    signing_keys,
)

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Chain, Signer
    from plimsoll.keepers.entry import Start
    from plimsoll.keepers.store import Store

COMMON = (
    account_option,
    click.option("--key-env", metavar="NAME", help="Environment variable with the private key that sends."),
    click.option("--dry-run", is_flag=True, help="Say what it would do, and send nothing. Needs no key."),
    deployment_options,
    click.option("--poll", type=click.FloatRange(0.01), default=0.5, show_default=True, help="Seconds between looks."),
    click.option(
        "--node", "nodes", multiple=True, metavar="URL", envvar="PLIMSOLL_NODES", help="Another node, for fail-over."
    ),
    click.option("--metrics", metavar="HOST:PORT", envvar="PLIMSOLL_METRICS", help="Serve /metrics and /health there."),
    click.option(
        "--max-tip", default="0.1", show_default=True, metavar="GWEI", envvar="PLIMSOLL_MAX_TIP_GWEI", help="A ceiling."
    ),
    click.option("--max-fee", metavar="GWEI", envvar="PLIMSOLL_MAX_FEE_GWEI", help="Of a unit of gas; a ceiling."),
    click.option(
        "--max-gas", default="16000000", show_default=True, envvar="PLIMSOLL_MAX_GAS", help="Of a transaction."
    ),
    click.option(
        "--patience",
        default="8",
        show_default=True,
        metavar="SECONDS",
        envvar="PLIMSOLL_PATIENCE_SECONDS",
        help="Before a transaction that isn't mined is sent again or replaced.",
    ),
    click.option(
        "--sums",
        default="60",
        show_default=True,
        metavar="SECONDS",
        envvar="PLIMSOLL_SUMS_SECONDS",
        help="Between sums of the ledger; 0 for never.",
    ),
    click.option(
        "--low-balance",
        default="0.01",
        show_default=True,
        metavar="ETHER",
        envvar="PLIMSOLL_LOW_BALANCE_ETHER",
        help="Below it the alarm goes.",
    ),
    click.option(
        "--index-folder",
        "index",
        metavar="FOLDER|memory",
        envvar="PLIMSOLL_INDEX_FOLDER",
        help="Where each process keeps a file of its own for its index; by default beside the store.",
    ),
    click.option(
        "--eth-price",
        metavar="DOLLARS",
        envvar="PLIMSOLL_ETH_PRICE",
        help="What gas is valued by; the price of ETH/USD by default.",
    ),
    click.option("--wait-for-prices", is_flag=True, help="Start although every price is old."),
)


store_option = click.option(
    "--store", metavar="FILE|redis://…", envvar="PLIMSOLL_STORE", help="What the keepers of one operator share."
)


def keeper(command: Callable[..., int]) -> Callable[..., int]:
    """What every keeper's command has: the common options, made into a `Start`, which comes first.

    A command with a `--store` of its own writes down itself what it sends.
    """
    has_own_store = "store" in {option.name for option in getattr(command, "__click_params__", ())}

    @functools.wraps(command)
    def run(
        account: str | None,
        key_env: str | None,
        dry_run: bool,
        deployment: Path | None,
        deployments: Path | None,
        poll: float,
        wait_for_prices: bool,
        nodes: tuple[str, ...],
        **own: Any,
    ) -> int:
        from plimsoll.keepers.entry import make_start
        from plimsoll.keepers.operating import NO_STORE, Operating
        from plimsoll.keepers.runner import Pace
        from plimsoll.sdk.deployments import choose

        names = ("metrics", "max_tip", "max_fee", "max_gas", "patience", "sums", "low_balance", "index", "eth_price")
        every = tuple(dict.fromkeys((connected_chain().rpc.url, *nodes)))
        store = NO_STORE if has_own_store else own.pop("store")
        operating = Operating(nodes=every, store=store, **{name: own.pop(name) for name in names})
        chain = operating.chain()
        found = choose(chain, deployment, deployments)
        signer = _signer(chain, account, key_env, dry_run)
        pace = Pace(poll=poll)
        start = make_start(operating, found, chain, signer, dry_run=dry_run, pace=pace, wait_for_prices=wait_for_prices)
        return command(start, **own)

    for option in reversed(COMMON if has_own_store else (*COMMON, store_option)):
        run = option(run)
    return run


def _signer(chain: Chain, account: str | None, key_env: str | None, dry_run: bool) -> Signer | None:
    from plimsoll.chain.transactions import Signer
    from plimsoll.keepers.entry import key_from_environment

    if key_env is not None:
        return Signer(chain, key_from_environment(key_env), name="keeper")
    return None if account is None and dry_run else signer_of(chain, account)


def _pool_trader(named: str | None) -> str | None:
    """Who swaps in pools: the devnet's own where none is named there."""
    from plimsoll.devnet.environment import pool_trader

    return named or (pool_trader() if network_name() == "devnet" else None)


@click.group()
def cli() -> None:
    """Keep the protocol moving: publish prices, execute orders, liquidate, settle requests, make markets."""


@cli.command(cls=Command)
@keeper
@click.option("--beacon-key-env", multiple=True, metavar="NAME", help="Variable with keys of beacons, commas between.")
@click.option("--stream-key-env", multiple=True, metavar="NAME", help="Keys that sign a stream's reports together.")
@click.option("--price", "prices", multiple=True, metavar="ETH/USD=3000", help="A fixed price.")
@click.option("--price-file", type=click.Path(path_type=Path), help="A JSON file of prices, read again each time.")
@click.option("--series", multiple=True, metavar="ETH/USD=FILE", help="A CSV (ts, close) to replay.")
@click.option("--speed", type=int, default=1, show_default=True, help="Seconds of the series in one of the chain's.")
@click.option("--every", type=int, default=10, show_default=True, help="Seconds between records in quiet times.")
@click.option("--move-bps", type=int, default=10, show_default=True, help="A move that is recorded earlier.")
@click.option("--pool-trader", metavar="ADDRESS", help="Also move push feeds and pools, swapping through it.")
@click.option("--feed-bps", type=int, default=25, show_default=True, help="A move that a push feed follows at once.")
@click.option("--feed-every", type=int, default=45, show_default=True, help="Seconds between its updates otherwise.")
@click.option("--pool-bps", type=int, default=30, show_default=True, help="How far off a pool is traded.")
@click.option("--pool-every", type=int, default=120, show_default=True, help="Seconds between its swaps otherwise.")
def publisher(
    start: Start,
    beacon_key_env: tuple[str, ...],
    stream_key_env: tuple[str, ...],
    prices: tuple[str, ...],
    price_file: Path | None,
    series: tuple[str, ...],
    speed: int,
    every: int,
    move_bps: int,
    pool_trader: str | None,
    feed_bps: int,
    feed_every: int,
    pool_bps: int,
    pool_every: int,
) -> int:
    """Sign prices for each source as its vendor does, and record them; on a devnet, move push feeds and pools.

    One series of prices for all, or one of its own for a source: --series ETH/USD=spot.csv
    --series ETH/USD@datastreams=perpetual.csv. Sources are named by vendor, and numbered where a market has several
    of one: api3-1, api3-2, datastreams, chainlink, uniswap. --price ETH/USD@api3-2=none silences one.
    """
    from plimsoll.keepers.entry import price_source, run_publisher
    from plimsoll.keepers.publishing import BoundTerms, Cadence

    keys, stream_keys = signing_keys(beacon_key_env, stream_key_env)
    source = price_source(start.deployment.markets, prices=prices, file=price_file, series=series, speed=speed)
    return run_publisher(
        start,
        keys,
        source,
        Cadence(every, move_bps),
        stream_keys=stream_keys,
        pool_trader=_pool_trader(pool_trader),
        terms=BoundTerms(feed_bps, feed_every, pool_bps, pool_every),
    )


@cli.command(cls=Command)
@keeper
@click.option("--max-batch", type=int, default=12, show_default=True, help="Orders in one transaction.")
@click.option(
    "--margin-bps", type=int, default=1_000, show_default=True, help="Of the cost: what a reward is above it."
)
@click.option("--sweep", is_flag=True, help="Also end orders that are dead, where a batch pays for it.")
@click.option("--beacon-key-env", multiple=True, metavar="NAME", help="Keys that sign prices nobody else brings.")
@click.option("--stream-key-env", multiple=True, metavar="NAME", help="Such keys of a stream's reports.")
@click.option("--price", "prices", multiple=True, metavar="ETH/USD=3000", help="Such a price, fixed.")
@click.option("--price-file", type=click.Path(path_type=Path), help="Such prices from a JSON file, read each time.")
def executor(
    start: Start,
    max_batch: int,
    margin_bps: int,
    sweep: bool,
    beacon_key_env: tuple[str, ...],
    stream_key_env: tuple[str, ...],
    prices: tuple[str, ...],
    price_file: Path | None,
) -> int:
    """Execute orders as soon as they can be and pay for it."""
    from plimsoll.keepers.entry import price_source, run_executor

    source = None
    if prices or price_file is not None:
        source = price_source(start.deployment.markets, prices=prices, file=price_file, job="executor")
    keys, stream_keys = signing_keys(beacon_key_env, stream_key_env) if source is not None else ([], [])
    return run_executor(
        start,
        max_batch,
        margin_bps=margin_bps,
        sweeps=sweep,
        keys=keys,
        stream_keys=stream_keys,
        source=source,
    )


@cli.command(cls=Command)
@keeper
@click.option("--take-over", metavar="DOLLARS", help="Take positions over, up to this notional in all.")
@click.option("--take-over-account", metavar="ID", help="Into this account; the cross account 0 by default.")
@click.option("--min-profit-bps", type=int, default=10, show_default=True, help="Of the notional, for a take-over.")
def liquidator(start: Start, take_over: str | None, take_over_account: str | None, min_profit_bps: int) -> int:
    """Close out unhealthy accounts, absorb bankrupt ones."""
    from plimsoll.keepers.entry import run_liquidator

    return run_liquidator(start, take_over, take_over_account, min_profit_bps)


@cli.command(cls=Command)
@keeper
@click.option("--min-sweep", default="100", show_default=True, metavar="DOLLARS", help="Of a market's fees; 0: never.")
@click.option(
    "--shutdown",
    type=click.Choice(["off", "declare", "close"]),
    default="declare",
    show_default=True,
    help="How far to go with a market that has no price any more.",
)
def settlement(start: Start, min_sweep: str, shutdown: str) -> int:
    """Execute requests of pool and fund, give lapsed ones back, sweep fees, see to markets without prices."""
    from plimsoll.keepers.entry import run_settlement

    return run_settlement(start, min_sweep, shutdown)


STORED = (
    deployment_options,
    store_option,
)


def stored(command: Callable[..., int]) -> Callable[..., int]:
    """A command on the store of a deployment's keepers, which comes first, with the chain."""

    @functools.wraps(command)
    def run(deployment: Path | None, deployments: Path | None, store: str | None, **own: Any) -> int:
        from plimsoll.core.errors import UserError
        from plimsoll.keepers.operating import Operating
        from plimsoll.sdk.deployments import choose

        chain = connected_chain()
        found = choose(chain, deployment, deployments)
        opened = Operating(store=store).open_store(found)
        if opened is None:
            raise UserError("without a store nothing is known of the keepers; name theirs by --store")
        return command(opened, chain, **own)

    for option in reversed(STORED):
        run = option(run)
    return run


@cli.command(cls=Command)
@stored
def status(store: Store, chain: Chain) -> int:
    """Show the keepers of a store: how far they are, and what is wrong. Exit code 1 where something is."""
    from plimsoll.keepers.status import read_status, show_status

    found = read_status(store, chain.block())
    show_status(found)
    return 0 if found.is_well else 1


@cli.command(cls=Command)
@stored
def reset(store: Store, chain: Chain) -> int:
    """Close the circuit breaker again, once it is known why it opened."""
    from plimsoll.keepers.status import close_breaker

    click.echo(close_breaker(store))
    return 0


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`MARKET=value`, several of them."""
    found = dict(value.rpartition("=")[::2] for value in values)
    if "" in found or "" in found.values():
        raise click.BadParameter("write it as MARKET=value, such as ETH/USD=0.01", ctx, param)
    return found


def _by_market(name: str, text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    return click.option(name, multiple=True, metavar="ETH/USD=0.01", callback=_pairs, help=text)


@cli.command(cls=Command)
@keeper
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, default=8645, show_default=True, help="0 for any that is free.")
@click.option("--store", type=click.Path(path_type=Path), help="Its file; books/<network>.sqlite by default.")
@_by_market("--tick", "Prices of a market are multiples of it, dollars; 0.01 where not named.")
@_by_market("--lot", "Sizes of a market are multiples of it; 0.0001 where not named.")
@_by_market("--least", "The smallest order of a market, dollars; its smallest position where not named.")
def book(
    start: Start,
    host: str,
    port: int,
    store: Path | None,
    tick: dict[str, str],
    lot: dict[str, str],
    least: dict[str, str],
) -> int:
    """Keep a book of signed orders, serve it over HTTP, match and settle them."""
    from plimsoll.book.entry import Options, run_book, terms_from
    from plimsoll.chain.build import ROOT
    from plimsoll.keepers.entry import require_prices
    from plimsoll.keepers.runner import Log

    require_prices(start)
    markets = start.deployment.markets
    terms = terms_from(start.contracts, markets, ticks=tick, lots=lot, least=least)
    path = store or ROOT / "books" / f"{start.deployment.network}.sqlite"
    options = Options(path, host, port, start.pace.poll, terms)
    return run_book(start.contracts, None if start.dry_run else start.signer, options, Log("book"))


@cli.command("market-maker", cls=Command)
@keeper
@click.option(
    "--engine", default="http://127.0.0.1:8645", show_default=True, metavar="URL", help="The matching engine."
)
@click.option("--market", default="ETH/USD", show_default=True)
@click.option("--for-account", metavar="ID", help="To quote for, as owner or delegate; the cross account 0 by default.")
@click.option("--size", default="10000", show_default=True, metavar="DOLLARS", help="Of a quote.")
@click.option("--max-inventory", default="100000", show_default=True, metavar="DOLLARS", help="Nothing is added to it.")
@click.option("--max-leverage", default="3", show_default=True, help="Of the account's equity.")
@click.option("--edge-bps", default="1", show_default=True, help="Of a fill, beyond the fee and what risk asks.")
@click.option("--aversion", default="1", show_default=True, help="To risk: how far quotes go by volatility, inventory.")
@click.option("--replace-bps", default="1", show_default=True, help="How far off a quote is replaced.")
@click.option("--lifetime", type=int, default=30, show_default=True, help="Seconds until a quote expires by itself.")
@click.option("--min-health", default="3", show_default=True, help="Below, all quotes are pulled.")
@click.option("--lay-off-beyond", metavar="DOLLARS", help="Inventory that is brought down against the pool.")
def market_maker(
    start: Start,
    engine: str,
    market: str,
    for_account: str | None,
    lifetime: int,
    lay_off_beyond: str | None,
    **own: str,
) -> int:
    """Quote both sides of a market around its index."""
    from plimsoll.core.units import to_units, to_wad
    from plimsoll.keepers.entry import run_market_maker
    from plimsoll.keepers.quoting import Quoting

    bps = {name: to_units(own.pop(f"{name}_bps"), 14, what=name) for name in ("edge", "replace")}
    wads = {name: to_wad(value, what=name.replace("_", " ")) for name, value in own.items()}
    beyond = None if lay_off_beyond is None else to_wad(lay_off_beyond, what="lay off beyond")
    terms = Quoting(lifetime=lifetime, lay_off_beyond=beyond, **bps, **wads)
    return run_market_maker(start, engine, market, for_account, terms)
