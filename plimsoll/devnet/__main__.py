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
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

from plimsoll.chain.build import ROOT, build_environment
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import Chain, Reverted
from plimsoll.core.errors import UserError, run_command
from plimsoll.deploy.manifest import FOLDER, Manifest, require
from plimsoll.deploy.parameters import Parameters
from plimsoll.devnet.boot import Devnet, Report, boot_devnet
from plimsoll.devnet.opstack.follower import following
from plimsoll.devnet.opstack.settings import OpStackSettings
from plimsoll.devnet.summary import PORT, summary

L1_PORT = 8900
BLOCK_TIME = 1
SHORT_DELAYS = {"proof_maturity_seconds": 120, "game_clock_seconds": 60, "air_gap_seconds": 60}
"""So that a devnet shows a withdrawal's whole way within minutes."""
PUBLISH_SECONDS = 2
"""Prices are recorded again so often, so that orders settle; not while somebody else records them."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m plimsoll.devnet", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"of L2's node (default {PORT})")
    parser.add_argument(
        "--block-time", type=int, default=BLOCK_TIME, help="seconds between blocks; 0 mines each transaction at once"
    )
    parser.add_argument("--l2-only", action="store_true", help="no L1, no bridge: the token is minted on L2")
    parser.add_argument(
        "--l1-port", type=int, help=f"of L1's node (default {L1_PORT}; a free one where --port is another)"
    )
    parser.add_argument(
        "--portal", choices=["games", "oracle"], default="games", help="how outputs get to L1 (default games)"
    )
    parser.add_argument(
        "--real-delays", action="store_true", help="a withdrawal waits for a week as on OP Mainnet, not for minutes"
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
        command = ["run", "deploy", "--network", f"optimism:devnet:{chain.rpc.url}", "--account", "TEST::0"]
        _ape([*command, "--deployments", str(path.parent)], report)
        return require(path)

    with (
        _stopped_by_signals() as stop,
        boot_devnet(
            port=options.port,
            block_time=options.block_time or None,
            folder=options.deployments.absolute(),
            deploy=deploy,
            rollup=_rollup(options),
            l1_port=options.l1_port or (L1_PORT if options.port == PORT else None),
            report=_say,
        ) as devnet,
        nullcontext() if devnet.stack is None else following(devnet.stack, _say),
    ):
        for line in summary(devnet, time.monotonic() - started):
            _say(line)
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


def _rollup(options: argparse.Namespace) -> OpStackSettings | None:
    if options.l2_only:
        return None
    delays = {} if options.real_delays else SHORT_DELAYS
    return OpStackSettings(portal=options.portal, **delays)


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


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
