"""A deployed core behind the in-process node, and its ledger as a keeper has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.core import deploy_core
from tests.support.deployment import World
from tests.support.evm import Evm
from tests.support.heard import HeardLedger, Listener


@pytest.fixture
def world(evm: Evm) -> Iterator[World]:
    listener = Listener()
    with listener.listening():
        world = World(deploy_core(evm, fund_dollars=1_000_000))
        world.ledger = HeardLedger(world.contracts, world.core, listener)
        yield world
