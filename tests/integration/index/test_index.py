"""The mirror from events alone is the chain, word by word; and who it says may be liquidated, the contracts say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from plimsoll.index.follow import Index
from plimsoll.index.store import open_store
from tests.integration.index.conftest import Traded

pytestmark = [pytest.mark.node]


def test_update__from_block_0__the_mirror_is_what_the_contracts_store(traded: Traded, tmp_path: Path) -> None:
    with open_store(tmp_path / "index.duckdb") as store:
        index = Index(traded.contracts, store)
        index.update()
        stored, mirrored = traded.at_chain(index.mirror)
        assert mirrored == stored
        assert len(stored.balances) > 60
        assert sum(1 for words in stored.positions.values() if words[0]) > 10
        names = Counter(name for (name,) in store.query("SELECT name FROM events"))
        print(names)
        assert min(names[one] for one in ("Traded", "Filled", "OrdersMatched", "Liquidated", "FeesSwept")) > 0
