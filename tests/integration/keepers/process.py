"""A keeper as a process of its own, without ape's start-up: `python -m tests.integration.keepers.process '{…}'`.

The key comes by the environment (`KEY`), as an operator would give it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from plimsoll.chain.transactions import Signer
from plimsoll.core.errors import run_command
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from plimsoll.devnet.environment import pool_trader
from plimsoll.keepers.entry import Start, make_start, run_executor, run_liquidator, run_publisher, run_settlement
from plimsoll.keepers.operating import NO_STORE, Operating
from plimsoll.keepers.prices import FilePrices
from plimsoll.keepers.publishing import Cadence
from plimsoll.keepers.runner import Pace
from plimsoll.sdk.deployments import load


def main() -> int:
    options = json.loads(sys.argv[1])
    if "clock" in options:
        skew_clock(options["clock"])
    operating = Operating(
        nodes=tuple(options.get("nodes", [options["uri"]])),
        store=options.get("store", NO_STORE),
        metrics=options.get("metrics"),
        patience=str(options.get("patience", 8)),
        sums=str(options.get("sums", 0)),
    )
    chain = operating.chain()
    return run(
        options,
        make_start(
            operating,
            load(Path(options["deployment"])),
            chain,
            Signer(chain, os.environ["KEY"]),
            dry_run=options.get("dry_run", False),
            pace=Pace(poll=0.1, first_wait=0.2, max_wait=0.5),
        ),
    )


def run(options: dict[str, Any], start: Start) -> int:
    if options["job"] == "publisher":
        source = FilePrices(Path(options["prices"]), start.deployment.markets)
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
    if options["job"] == "settlement":
        return run_settlement(start)
    return run_liquidator(start, options.get("take_over"))


def skew_clock(seconds: float) -> None:
    """The machine's wall clock is wrong by so much."""
    real = time.time
    time.time = lambda: real() + seconds


if __name__ == "__main__":
    sys.exit(run_command(main))
