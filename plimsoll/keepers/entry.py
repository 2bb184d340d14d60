"""Starting a keeper as a process: what must be right before its first round, said in one line where it isn't."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plimsoll.chain.transactions import Chain, Signer
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.units import to_wad
from plimsoll.keepers.batches import MAX_BATCH
from plimsoll.keepers.bounds import Bounds
from plimsoll.keepers.dead_markets import DECLARE, setting_named
from plimsoll.keepers.engine import HttpEngine
from plimsoll.keepers.executor import Executor, Terms
from plimsoll.keepers.feeds import SignedPrices, feeds_of
from plimsoll.keepers.ledger import Ledger
from plimsoll.keepers.liquidations import Capital
from plimsoll.keepers.liquidator import Liquidator
from plimsoll.keepers.market_maker import MarketMaker
from plimsoll.keepers.operating import ETH_MARKET, MAX_TIP, Operating
from plimsoll.keepers.prices import FilePrices, FixedPrices, PriceSource, SeriesPrices
from plimsoll.keepers.publisher import Publisher
from plimsoll.keepers.publishing import BoundTerms, Cadence
from plimsoll.keepers.quoting import Quoting
from plimsoll.keepers.runner import Job, Pace, Runner, run_until_signalled
from plimsoll.keepers.serving import serving
from plimsoll.keepers.settlement import Settlement
from plimsoll.keepers.store import Store
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.deployments import Deployment
from plimsoll.sdk.signing import Domain
from plimsoll.sdk.snapshots import read_markets
from plimsoll.sdk.views import market_named


@dataclass(frozen=True, slots=True)
class Start:
    """What every keeper starts from."""

    deployment: Deployment
    contracts: Contracts
    signer: Signer | None
    dry_run: bool = False
    pace: Pace = field(default_factory=Pace)
    wait_for_prices: bool = False
    """Start although no price is fresh."""
    operating: Operating = field(default_factory=Operating)
    store: Store | None = None
    ledger: Ledger | None = None
    """The one of this process, which job and checks share."""


def make_start(
    operating: Operating,
    deployment: Deployment,
    chain: Chain,
    signer: Signer | None,
    *,
    dry_run: bool = False,
    pace: Pace | None = None,
    wait_for_prices: bool = False,
) -> Start:
    """What a keeper that is operated so starts from. A dry run writes nothing down. Raises UserError."""
    contracts = deployment.on(chain)
    store = None if dry_run or signer is None else operating.open_store(deployment)
    careful = None if signer is None else operating.signer(signer, store)
    ledger = Ledger(contracts) if dry_run else operating.ledger(contracts, deployment)
    return Start(
        deployment, contracts, careful, dry_run=dry_run, pace=pace or Pace(), wait_for_prices=wait_for_prices,
        operating=operating, store=store, ledger=ledger,
    )  # fmt: skip


def keeper_chain(uri: str, max_tip: str = MAX_TIP) -> Chain:
    """One node's chain, as keepers want it. `max_tip`: gwei of a unit of gas, whatever the node suggests."""
    return Operating(nodes=(uri,), max_tip=max_tip).chain()


def key_from_environment(name: str) -> str:
    """A private key. Raises UserError where the variable isn't set."""
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(f"no key: the environment variable {name} is not set")
    return key


def keys_from_environment(names: Iterable[str]) -> list[str]:
    """Private keys of several variables, each with one or several separated by commas."""
    return [key.strip() for name in names for key in key_from_environment(name).split(",") if key.strip()]


def named_values(pairs: Iterable[str], what: str) -> dict[str, str]:
    """`NAME=value` pairs. Raises UserError."""
    found = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not (separator and name.strip() and value.strip()):
            raise UserError(f"{what}: {pair!r} is not NAME=value")
        found[name.strip()] = value.strip()
    return found


SILENT = "none"


def price_source(
    markets: Mapping[str, int],
    *,
    prices: Iterable[str] = (),
    file: Path | None = None,
    series: Iterable[str] = (),
    speed: int = 1,
    job: str = "publisher",
) -> PriceSource:
    """The one kind of source that was named: fixed prices (`ETH/USD=3000`), a file, or series (`ETH/USD=path.csv`).

    `ETH/USD@api3-2=2990` is what one of the aggregator's sources says; `none` instead of a fixed price is its silence.
    """
    fixed, replayed = named_values(prices, "price"), named_values(series, "series")
    if (bool(fixed), file is not None, bool(replayed)).count(True) != 1:
        raise UserError(f"{job}: name one source of prices: fixed prices, a file, or series")
    if fixed:
        of_all, own = _by_source(markets, fixed)
        silent = [name for name, price in of_all.items() if price == SILENT]
        if silent:
            raise UserError(f"{job}: a price of none is for a single source: MARKET@SOURCE=none")
        common = {market_id: to_wad(price, what="price") for market_id, price in of_all.items()}
        return FixedPrices(
            common,
            {
                source: {
                    market_id: None if price == SILENT else to_wad(price, what=f"price of {source}")
                    for market_id, price in found.items()
                }
                for source, found in own.items()
            },
        )
    if file is not None:
        return FilePrices(file, markets)
    of_all, own = _by_source(markets, replayed)
    return SeriesPrices(
        {market_id: Path(path) for market_id, path in of_all.items()},
        own={source: {market_id: Path(path) for market_id, path in found.items()} for source, found in own.items()},
        speed=speed,
    )


def _by_source(
    markets: Mapping[str, int], named: Mapping[str, str]
) -> tuple[dict[int, str], dict[str, dict[int, str]]]:
    """What was named for all sources of a market (`ETH/USD`), and for single ones (`ETH/USD@api3-2`)."""
    of_all: dict[int, str] = {}
    own: dict[str, dict[int, str]] = {}
    for name, value in named.items():
        market, at, source = name.partition("@")
        market_id = market_named(markets, market)
        (own.setdefault(source.strip(), {}) if at else of_all)[market_id] = value
    return of_all, own


def run_publisher(start: Start, keys: Iterable[str], source: PriceSource, cadence: Cadence, **terms: Any) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code. `terms`: see `make_publisher`."""
    return _run(start, make_publisher(start, keys, source, cadence, **terms))


def make_publisher(
    start: Start,
    keys: Iterable[str],
    source: PriceSource,
    cadence: Cadence,
    *,
    stream_keys: Iterable[str] = (),
    pool_trader: str | None = None,
    terms: BoundTerms | None = None,
) -> Publisher:
    """The job. `keys` sign beacons, `stream_keys` reports together.

    With `pool_trader`, who swaps in the pools of a development network, it moves push feeds and pools, too.
    """
    feeds = feeds_of(start.contracts, _market_names(start), keys, stream_keys)
    bounds = None if pool_trader is None else Bounds(start.contracts.chain, feeds, pool_trader)
    return Publisher(
        start.contracts, start.signer, feeds, source, cadence=cadence, bounds=bounds, terms=terms, ledger=start.ledger
    )


def run_settlement(start: Start, min_sweep: str = "100", shutdown: str = DECLARE) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code. See `make_settlement`."""
    return _run(start, make_settlement(start, min_sweep, shutdown))


def make_settlement(start: Start, min_sweep: str = "100", shutdown: str = DECLARE) -> Settlement:
    """`min_sweep`: dollars of a market's fees, 0 for none; `shutdown`: off, declare or close. Raises UserError."""
    least = to_wad(min_sweep, what="min sweep")
    return Settlement(start.contracts, start.signer, min_sweep=least, shutdown=setting_named(shutdown))


def run_executor(start: Start, max_batch: int = MAX_BATCH, **terms: Any) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code. `terms`: see `make_executor`."""
    return _run(start, make_executor(start, max_batch, **terms))


def make_executor(
    start: Start,
    max_batch: int = MAX_BATCH,
    *,
    margin_bps: int = 0,
    sweeps: bool = False,
    keys: Iterable[str] = (),
    stream_keys: Iterable[str] = (),
    source: PriceSource | None = None,
) -> Executor:
    """The job, once a price is fresh.

    `margin_bps` of what sending costs; with `keys`, `stream_keys` and `source` it signs the prices that an order is
    refused for the want of.
    """
    require_prices(start)
    terms = execution_terms(start.deployment.markets, start.operating.ether, margin_bps, sweeps=sweeps)
    prices = None
    if source is not None:
        prices = SignedPrices(feeds_of(start.contracts, _market_names(start), keys, stream_keys), source)
    return Executor(start.contracts, start.signer, max_batch=max_batch, terms=terms, prices=prices)


def execution_terms(
    markets: Mapping[str, int], eth_price: int | None = None, margin_bps: int = 0, *, sweeps: bool = False
) -> Terms:
    """What pays an executor; `eth_price` in WAD dollars. Raises UserError where nothing says what gas costs."""
    if margin_bps < 0:
        raise UserError(f"executor: a margin of {margin_bps} bps is negative")
    if eth_price is not None:
        return Terms(eth_price=eth_price, margin_bps=margin_bps, sweeps=sweeps)
    if ETH_MARKET not in markets:
        raise UserError(f"executor: no market {ETH_MARKET} says what gas costs; name a price of ETH")
    return Terms(eth_market=markets[ETH_MARKET], margin_bps=margin_bps, sweeps=sweeps)


def run_liquidator(
    start: Start, take_over: str | None = None, account: str | None = None, min_profit_bps: int = 10
) -> int:
    """Until SIGINT or SIGTERM. Returns the exit code."""
    return _run(start, make_liquidator(start, take_over, account, min_profit_bps))


def make_liquidator(
    start: Start, take_over: str | None = None, account: str | None = None, min_profit_bps: int = 10
) -> Liquidator:
    """The job, once a price is fresh. `take_over` is the largest notional in all, dollars; none without it."""
    require_prices(start)
    capital = None
    if take_over is not None:
        if start.signer is None:
            raise UserError("liquidator: taking over needs a key")
        into = ids.pack(start.signer.address) if account is None else ids.parse_account(account)
        capital = Capital(into, to_wad(take_over, what="take over"), min_profit_bps)
    return Liquidator(start.contracts, start.signer, capital=capital, ledger=start.ledger)


def run_market_maker(start: Start, engine_url: str, market: str, account: str | None, terms: Quoting) -> int:
    """Until SIGINT or SIGTERM. `account` is the signer's cross account 0 where none is named. Returns the exit code."""
    require_prices(start)
    if account is None and start.signer is None:
        raise UserError("market maker: without a key it must be told the account to quote for")
    into = ids.parse_account(account) if account is not None else ids.pack(start.signer.address if start.signer else 0)
    engine = HttpEngine(engine_url, Domain(start.contracts.chain.chain_id, start.contracts.order_book.address))
    market_id = market_named(start.deployment.markets, market)
    return _run(start, MarketMaker(start.contracts, start.signer, engine, into, market_id, terms=terms))


def require_prices(start: Start) -> None:
    """Raises UserError where no market has a price young enough to act on, unless the keeper shall wait for one."""
    contracts = start.contracts
    markets = read_markets(contracts, contracts.chain.block()).values()
    if start.wait_for_prices or any(market.is_fresh() for market in markets):
        return
    names = _market_names(start)
    ages = [
        f"{names.get(one.market_id, one.market_id)}: " + ("never" if (age := one.age()) is None else f"{age} s ago")
        for one in markets
    ]
    raise UserError(f"stale oracle: no price is fresh ({', '.join(ages) or 'no market is listed'}); run a publisher")


def _market_names(start: Start) -> dict[int, str]:
    return {market_id: name for name, market_id in start.deployment.markets.items()}


def make_runner(start: Start, job: Job[Any, Any], stop: threading.Event | None = None) -> Runner:
    """The loop of a job, with all that stands between its decisions and money. Raises UserError."""
    signer = start.signer
    if signer is not None and not start.dry_run and not signer.balance:
        raise UserError(f"{job.name}: {signer.address} has no ETH to pay for gas")
    guard = None
    if signer is not None and not start.dry_run:
        ledger = start.ledger or Ledger(start.contracts)
        guard = start.operating.guard(job.name, ledger, start.deployment, signer, start.store)
    chain = start.contracts.chain
    return Runner(job, chain, signer, dry_run=start.dry_run, pace=start.pace, stop=stop, guard=guard)


def _run(start: Start, job: Job[Any, Any]) -> int:
    def run(stop: threading.Event) -> int:
        runner = make_runner(start, job, stop)
        with ExitStack() as stack:
            if start.ledger is not None:
                stack.callback(start.ledger.close)
            if port := stack.enter_context(serving(runner, start.operating.metrics)):
                runner.log("serving", port=port)
            return runner.run()

    return run_until_signalled(run)
