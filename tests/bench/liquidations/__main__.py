"""`make bench-liquidations`: ten thousand at once on a devnet with a rollup's blocks; the last line is JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.liquidations.measure import measure

ACCOUNTS = 10_000


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ACCOUNTS
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as folder:
        found = measure(count, Path(folder), lambda line: print(line, flush=True))
    if found.wrong:
        print(found.wrong)
    print(json.dumps(found.figures()))
    return 1 if found.wrong or found.twice else 0


if __name__ == "__main__":
    sys.exit(main())
