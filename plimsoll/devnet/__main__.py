"""`make devnet`: boot a devnet, deploy the protocol with the deploy script, and stay up until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from plimsoll.chain.build import ROOT, build_environment
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Chain, Reverted
from plimsoll.core.errors import UserError, run_command
from plimsoll.core.units import format_usd
from plimsoll.deploy.manifest import FOLDER, Manifest, require
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.accounts import NAMES, dev_accounts, publisher_keys, stream_keys
from plimsoll.devnet.boot import Devnet, Report, boot_devnet

PORT = 8901
BLOCK_TIME = 1
PUBLISH_SECONDS = 2
"""Prices are recorded again so often, so that orders settle; not while somebody else records them."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m plimsoll.devnet", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"of the node (default {PORT})")
    parser.add_argument(
        "--block-time", type=int, default=BLOCK_TIME, help="seconds between blocks; 0 mines each transaction at once"
    )
    parser.add_argument("--deployments", type=Path, default=FOLDER, help="folder of the manifest")
    parser.add_argument("--no-prices", action="store_true", help="record no prices after the first ones")
    parser.add_argument("--once", action="store_true", help="stop as soon as everything is up (to try it out)")
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.block_time < 0:
        raise UserError(f"block time {options.block_time} s is negative; 0 mines each transaction at once")
    started = time.monotonic()

    def deploy(parameters: Parameters, chain: Chain, path: Path, report: Report) -> Manifest:
        """With the very command that deploys anywhere else."""
        command = ["run", "deploy", "--network", f"optimism:devnet:{chain.uri}", "--account", "TEST::0"]
        _ape([*command, "--deployments", str(path.parent)], report)
        return require(path)

    with (
        _stopped_by_signals() as stop,
        boot_devnet(
            port=options.port,
            block_time=options.block_time or None,
            folder=options.deployments.absolute(),
            deploy=deploy,
            report=_say,
        ) as devnet,
    ):
        _print_summary(devnet, time.monotonic() - started)
        try:
            while not options.once and not stop.wait(PUBLISH_SECONDS):
                if not devnet.node.is_running:
                    raise UserError(f"the node ended by itself: {devnet.node.log()[-300:] or 'it said nothing'}")
                if not options.no_prices:
                    _keep_prices(devnet)
        finally:
            devnet.manifest_path.unlink(missing_ok=True)
    _say("stopped")
    return 0


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set once everything is up; while it boots they end it like Ctrl-C."""
    stop = threading.Event()

    def handle(_number: int, _frame: object) -> NoReturn:
        stop.set()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except KeyboardInterrupt:
        _say("stopped")
        raise SystemExit(0) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ape(arguments: Sequence[str], report: Report) -> None:
    """Run ape, passing on what it prints. Raises UserError with its last line where it fails."""
    with subprocess.Popen(
        [str(Path(sys.executable).parent / "ape"), *arguments],
        cwd=ROOT,
        env=build_environment() | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            last = ""
            for line in process.stdout:
                line = line.rstrip()
                last = line or last
                if not line.startswith(("INFO", "WARNING")):
                    report(line)
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise UserError(f"ape {' '.join(arguments[:2])} ended with {code}: {last.removeprefix('error: ')}")


def _keep_prices(devnet: Devnet) -> None:
    """Record the newest prices again where nobody else did for a while; whatever moved them stays."""
    oracle = devnet.contract("OracleAggregator")
    names = {market.id: market.name for market in devnet.parameters.markets}
    now = devnet.now
    newest = devnet.chain.read([oracle.prepare("price", market) for market in names])
    due = {
        names[market]: price
        for market, (price, _, published_at) in zip(names, newest, strict=True)
        if price and now - published_at >= PUBLISH_SECONDS
    }
    try:
        if due:
            devnet.record(due, trade=True)
    except (Reverted, RpcError, UserError) as error:  # a price that somebody else recorded meanwhile, above all
        _say(f"prices   {error}")


def _print_summary(devnet: Devnet, seconds: float) -> None:
    _say("")
    _say(f"The devnet is up after {seconds:.1f} s: {devnet.node.url}, chain {devnet.chain.chain_id}")
    _say("")
    _say("contracts")
    for name, address in devnet.addresses.items():
        _say(f"  {name:<18} {address}")
    for name, address in devnet.manifest.external.items():
        _say(f"  {name:<18} {address}")
    _say("")
    _say("accounts (public keys of a well-known mnemonic; never send anything of value to them)")
    tokens = devnet.chain.read([devnet.token.prepare("balanceOf", devnet.signers[name]) for name in NAMES])
    unit = devnet.amount(1)
    for place, ((name, account), balance) in enumerate(zip(dev_accounts().items(), tokens, strict=True)):
        _say(f"  TEST::{place}  {name:<9} {account.address}  {account.key}  {balance // unit:>9,} USDC")
    _say("")
    _say("price sources: " + ", ".join(devnet.sources.names(next(iter(devnet.prices), "ETH/USD"))))
    for what, keys in (("API3 beacon", publisher_keys()), ("stream signer", stream_keys())):
        for place, key in enumerate(keys, start=1):
            _say(f"  {what} {place}  {key}")
    _say("")
    _say("prices   " + ", ".join(f"{name} {format_usd(price)}" for name, price in devnet.prices.items()))
    network = "optimism:devnet:node" if devnet.node.port == PORT else f"optimism:devnet:{devnet.node.url}"
    _say("next")
    for command in (
        f"ape run verify --network {network}",
        f"ape run roles --network {network}",
        f"ape run keeper executor --network {network} --account TEST::5",
        f"ape run keeper publisher --network {network} --account TEST::7 --price ETH/USD=2520",
        f"ape run trade deposit 10_000 --network {network} --account TEST::6",
        f"ape run trade buy ETH/USD 2 --wait 20 --network {network} --account TEST::6",
        f"ape run trade show --network {network} --account TEST::6",
    ):
        _say(f"  {command}")
    _say("")
    _say("Ctrl-C stops it.")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
