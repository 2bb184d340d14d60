"""A matching engine or a market maker as a process: `python -m tests.integration.keepers.market '{…}'`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from plimsoll.book.entry import Options, run_book, terms_from
from plimsoll.chain.transactions import Signer
from plimsoll.core.errors import run_command
from plimsoll.keepers.entry import Start, keeper_chain, run_market_maker
from plimsoll.keepers.quoting import Quoting
from plimsoll.keepers.runner import Log, Pace
from plimsoll.sdk.deployments import load


def main() -> int:
    options = json.loads(sys.argv[1])
    chain = keeper_chain(options["uri"])
    deployment = load(Path(options["deployment"]))
    contracts, signer = deployment.on(chain), Signer(chain, options["key"])
    if options["job"] == "book":
        terms = terms_from(contracts, deployment.markets, ticks={}, lots={}, least={})
        where = Options(Path(options["store"]), port=options["port"], poll_seconds=0.05, terms=terms)
        return run_book(contracts, signer, where, Log("book"))
    start = Start(deployment, contracts, signer, pace=Pace(poll=0.1, first_wait=0.2, max_wait=0.5))
    return run_market_maker(start, options["engine"], "ETH/USD", None, replace(Quoting(), **options.get("terms", {})))


if __name__ == "__main__":
    sys.exit(run_command(main))
