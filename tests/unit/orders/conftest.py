"""A core with 20 million dollars in its pool, and a trader."""

from __future__ import annotations

import pytest

from tests.support.core import Core, deploy_core
from tests.support.evm import Evm


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def trader(core: Core) -> int:
    """100,000 dollars and no position."""
    return core.trader("trader", 100_000)
