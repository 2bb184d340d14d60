"""A core whose pool has no capital, and the packed slot of an account, written from its layout."""

from __future__ import annotations

import pytest

from tests.support.core import Core, deploy_core
from tests.support.evm import Evm


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=0)


@pytest.fixture(params=[6, 8, 18])
def decimal_core(evm: Evm, request: pytest.FixtureRequest) -> Core:
    """The same with a token of each number of decimals."""
    return deploy_core(evm, markets=0, decimals=request.param)


@pytest.fixture(scope="module", params=[6, 8, 18])
def shared_core(built: None, request: pytest.FixtureRequest) -> Core:
    """One for all random examples: each runs in `evm.isolated()`."""
    return deploy_core(Evm(), markets=0, decimals=request.param)


@pytest.fixture
def trading_core(evm: Evm) -> Core:
    """With markets, prices and a pool of 20 million dollars."""
    return deploy_core(evm)
