"""A core with a gateway to L1; mocks stand at the places of messenger and bridge."""

from __future__ import annotations

import pytest

from tests.support.core import Core, actor, deploy_core
from tests.support.evm import Evm
from tests.unit.rollup.steps import L1_GATEWAY


@pytest.fixture
def core(evm: Evm) -> Core:
    """With markets, prices and a pool; blacklisting the vault makes every deposit fail."""
    return deploy_core(evm, l1_gateway=L1_GATEWAY)


@pytest.fixture
def calm(evm: Evm) -> Core:
    """Without markets."""
    return deploy_core(evm, markets=0, l1_gateway=L1_GATEWAY)


@pytest.fixture
def owner() -> str:
    return actor("owner")
