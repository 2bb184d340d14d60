"""A core whose pool holds 20 million dollars of one provider, and two who join it."""

from __future__ import annotations

import pytest

from tests.support.core import PROVIDER, Core, account_id, deploy_core
from tests.support.evm import Evm


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def provider() -> int:
    return account_id(PROVIDER)


@pytest.fixture
def newcomer(core: Core) -> int:
    """A trader's account with a million dollars of cash and no shares."""
    return core.trader("newcomer", 1_000_000)
