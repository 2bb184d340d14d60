"""The command line: `make demo`, or `python -m plimsoll.replay` with a scenario, prices or accounts of one's own."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from plimsoll.chain.build import BuildError, ensure_built
from plimsoll.core.errors import UserError, run_command
from plimsoll.core.units import WAD, format_usd
from plimsoll.dashboard.page import write_report
from plimsoll.dashboard.report import ReplayReport, print_table
from plimsoll.deploy import parameters as deployment
from plimsoll.devnet.boot import boot_devnet
from plimsoll.replay.onchain import NotAsExpected, OnChain, deployment_of
from plimsoll.replay.run import OPENING_SECONDS, Progress, Replay, SumsBroken
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.scenario import PriceHistory, PriceSettings, Scenario, demo, load
from plimsoll.sdk.contracts import Contracts
from plimsoll.sdk.fund import ledger_lines, read_ledger

PARAMETERS = "devnet"
OUT = Path("reports") / "demo"
BROKEN_EXIT, INTERRUPTED_EXIT = 1, 130

_BOOT_SECONDS = 60
_BEFORE_LOW, _AFTER_LOW = 3, 1
"""How a shorter replay lies around the lowest price: so many parts before it and so many after."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 where everything held, 1 where a sum was broken or chain and model differed, 2 for wrong input."""
    options = _parser().parse_args(arguments)
    try:
        return run_command(lambda: _run(options))
    except (SumsBroken, NotAsExpected) as error:
        print(f"error: {error}", file=sys.stderr)
        return BROKEN_EXIT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll.replay",
        description="Replay a crash on the real contracts of a local rollup, with the reference model beside them.",
    )
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="a scenario in TOML or JSON")
    parser.add_argument("--prices-eth", type=Path, metavar="CSV", help="bars of ETH: ts, open, high, low, close")
    parser.add_argument("--prices-btc", type=Path, metavar="CSV", help="bars of BTC, of the same time")
    parser.add_argument("--minutes", type=int, metavar="N", help="only so many, around the lowest price")
    parser.add_argument("--accounts", type=int, metavar="N", help="how many accounts trade")
    parser.add_argument("--seed", type=int, metavar="N", help="of the accounts, their behaviour, and made-up prices")
    parser.add_argument("--out", type=Path, metavar="DIR", default=OUT, help=f"for the report (default: {OUT})")
    parser.add_argument("--port", type=int, metavar="N", help="of the local node (default: a free one)")
    parser.add_argument("--model-only", action="store_true", help="no chain: the reference model alone, in seconds")
    return parser


def _run(options: argparse.Namespace) -> int:
    console = Console()
    scenario = scenario_of(options)
    history = scenario.load_prices()
    if options.minutes is not None:
        history = around_the_low(history, options.minutes)
    try:
        report, difference = (_on_model if options.model_only else _on_chain)(scenario, history, options, console)
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED_EXIT
    files = write_report(report, options.out)
    print_table(report, console)
    for file in files:
        console.print(f"wrote {file}", highlight=False, soft_wrap=True)
    if difference:
        print(f"error: {difference}", file=sys.stderr)
        return BROKEN_EXIT
    return 0


def scenario_of(options: argparse.Namespace) -> Scenario:
    """The scenario that the options ask for. Raises UserError."""
    scenario = load(options.scenario) if options.scenario else demo()
    given = {"ETH": options.prices_eth, "BTC": options.prices_btc}
    if any(given.values()):
        missing = [name for name, path in given.items() if path is None]
        if missing:
            raise UserError(f"prices: give both --prices-eth and --prices-btc; {missing[0]} is missing")
        files = {name: str(path.absolute()) for name, path in given.items()}
        settings = PriceSettings(source="files", files=files, hours=scenario.prices.hours)
        scenario = dataclasses.replace(scenario, prices=settings, name="given prices")
    if options.accounts is not None:
        population = dataclasses.replace(scenario.population, accounts=options.accounts)
        scenario = dataclasses.replace(scenario, population=population)
    if options.seed is not None:
        scenario = dataclasses.replace(scenario, seed=options.seed)
    if options.scenario is None and not any(given.values()) and prices.data_folder() is None:
        scenario = dataclasses.replace(scenario, name="a made-up crash")
    return scenario


def around_the_low(history: PriceHistory, minutes: int) -> PriceHistory:
    """The bars of so many minutes with the worst market's lowest price in the last quarter. Raises UserError."""
    if not 1 <= minutes <= history.minutes:
        raise UserError(f"--minutes {minutes} does not lie between 1 and the {history.minutes:,} of the prices")
    count = max(1, minutes * 60 // history.bar_seconds)
    worst = min(history.markets.values(), key=lambda bars: min(bar.low for bar in bars) * WAD // bars[0].open)
    low = min(range(len(worst)), key=lambda place: worst[place].low)
    start = low - count * _BEFORE_LOW // (_BEFORE_LOW + _AFTER_LOW)
    start = max(0, min(start, len(worst) - count))
    cut = {name: bars[start : start + count] for name, bars in history.markets.items()}
    source = history.source.rpartition(", ")[0].rpartition(", ")[0]
    return PriceHistory(f"{source}, {prices.describe_span(cut)}", cut)


def _on_model(
    scenario: Scenario, history: PriceHistory, options: argparse.Namespace, console: Console
) -> tuple[ReplayReport, str]:
    with _shown(console, history) as show:
        replay = Replay(scenario, history, deployment.load(PARAMETERS), progress=show)
        return replay.run(), ""


def _on_chain(
    scenario: Scenario, history: PriceHistory, options: argparse.Namespace, console: Console
) -> tuple[ReplayReport, str]:
    """The report, and the first thing in which the chain was not as it must be."""
    with console.status("compiling the contracts"):
        try:
            ensure_built()
        except BuildError as error:
            raise UserError(f"the contracts do not compile: {error}") from None
    started = history.start - OPENING_SECONDS - _BOOT_SECONDS
    console.print("booting a local rollup and deploying the protocol")
    with (
        boot_devnet(
            port=options.port,
            timestamp=started,
            parameters=PARAMETERS,
            prices={},
            trader_dollars=0,
            pool_dollars=0,
            fund_dollars=0,
            extra=("--prune-history",),
        ) as devnet,
        _shown(console, history) as show,
    ):
        replay = Replay(scenario, history, devnet.parameters, at=deployment_of(devnet), progress=show)
        chain = OnChain(devnet, replay.roles, replay.keys)
        report = replay.run(chain)
        ledger = read_ledger(Contracts(devnet.chain, devnet.addresses))
    if chain.first_difference:
        difference = f"chain and reference model differ: {chain.first_difference}"
    else:
        difference = "" if ledger.is_right else list(ledger_lines(ledger))[-1]
    return dataclasses.replace(
        report, fund_ledger_entries=len(ledger.entries), fund_ledger_minus_balance=ledger.difference
    ), difference


@contextmanager
def _shown(console: Console, history: PriceHistory) -> Iterator[Callable[[Progress], None]]:
    """How far the replay is: a bar on a terminal, a line every two hours of the day elsewhere."""
    if not console.is_terminal:
        yield lambda state: print(_words(state), flush=True) if state.minute % 120 == 0 else None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("min"))
    with Bar(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task = bar.add_task("opening accounts", total=history.minutes)
        yield lambda state: bar.update(task, completed=state.minute, description=_words(state))


def _words(state: Progress) -> str:
    clock = datetime.fromtimestamp(state.ts, UTC).strftime("%H:%M")
    found = "  ".join(f"{name} {format_usd(price)}" for name, price in state.prices.items())
    return f"{clock}  {found}  {state.fills:,} fills, {state.liquidations:,} liquidations"
