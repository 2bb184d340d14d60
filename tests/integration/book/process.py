"""The book as a process of its own, without ape's start-up: `python -m tests.integration.book.process '{…}'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from plimsoll.book.entry import Options, run_book
from plimsoll.chain.transactions import Signer
from plimsoll.core.errors import run_command
from plimsoll.keepers.entry import keeper_chain
from plimsoll.keepers.runner import Log
from plimsoll.sdk.deployments import load


def main() -> int:
    options = json.loads(sys.argv[1])
    chain = keeper_chain(options["uri"])
    contracts = load(Path(options["deployment"])).on(chain)
    where = Options(Path(options["store"]), port=options.get("port", 0), poll_seconds=0.1)
    return run_book(contracts, Signer(chain, options["key"]), where, Log("book"))


if __name__ == "__main__":
    sys.exit(run_command(main))
