"""No contract's code on the chain exceeds 22 KiB, which leaves room for a fix below the EVM's limit of 24 KiB."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from plimsoll.chain.build import Artifact, ensure_built, load_artifacts

LIMIT = 22 * 1024


def oversized(artifacts: Mapping[str, Artifact]) -> list[str]:
    """One message for each contract over the limit. Those of tests never reach a chain that counts."""
    return [
        f"{artifact.source}: {name} has {len(artifact.runtime):,} bytes of code, {LIMIT:,} are allowed"
        for name, artifact in sorted(artifacts.items())
        if len(artifact.runtime) > LIMIT and not artifact.source.startswith("contracts/test/")
    ]


def main() -> int:
    ensure_built()
    messages = oversized(load_artifacts())
    print("\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
