"""A core with capital, and one in which time costs nothing."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, Core, deploy_core
from tests.support.evm import Evm


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm)


@pytest.fixture
def calm(core: Core) -> Core:
    """Without funding and utilisation fees: what an account has follows from its fills alone."""
    for market in (ETH, BTC):
        core.set_params(market, maxFundingVelocity=0, rateAtKinkBps=0, rateAtFullBps=0)
    return core
