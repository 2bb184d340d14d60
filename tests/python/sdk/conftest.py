"""A deployed core behind the in-process node."""

from __future__ import annotations

import pytest

from tests.support.core import deploy_core
from tests.support.deployment import World
from tests.support.evm import Evm


@pytest.fixture
def world(evm: Evm) -> World:
    return World(deploy_core(evm, fund_dollars=1_000_000))
