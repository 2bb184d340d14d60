"""A keeper as a process of its own, without ape's start-up: `python -m tests.integration.keepers.process '{…}'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from plimsoll.chain.transactions import Signer
from plimsoll.core.errors import run_command
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from plimsoll.devnet.environment import pool_trader
from plimsoll.keepers.entry import Start, keeper_chain, run_executor, run_liquidator, run_publisher
from plimsoll.keepers.prices import FilePrices
from plimsoll.keepers.publishing import Cadence
from plimsoll.keepers.runner import Pace
from plimsoll.sdk.deployments import load


def main() -> int:
    options = json.loads(sys.argv[1])
    chain = keeper_chain(options["uri"])
    deployment = load(Path(options["deployment"]))
    start = Start(
        deployment,
        deployment.on(chain),
        Signer(chain, options["key"]),
        dry_run=options.get("dry_run", False),
        pace=Pace(poll=0.1, first_wait=0.2, max_wait=0.5),
    )
    if options["job"] == "publisher":
        source = FilePrices(Path(options["prices"]), deployment.markets)
        return run_publisher(
            start,
            publisher_keys(),
            source,
            Cadence(max_seconds=3, move_bps=10),
            stream_keys=stream_keys()[:STREAM_QUORUM],
            pool_trader=pool_trader() if options.get("bounds") else None,
        )
    if options["job"] == "executor":
        return run_executor(start)
    return run_liquidator(start, options.get("take_over"))


if __name__ == "__main__":
    sys.exit(run_command(main))
