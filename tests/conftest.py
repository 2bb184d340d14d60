"""What every test may use: contracts that are up to date, and an EVM of its own."""

from __future__ import annotations

import pytest

from plimsoll.chain.build import BuildError, ensure_built
from tests.support.evm import Evm


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The contracts, compiled once for the session if anything changed."""
    try:
        ensure_built()
    except BuildError as error:
        pytest.exit(f"the contracts do not compile\n{error}", returncode=2)


@pytest.fixture
def evm(built: None) -> Evm:
    """A new chain; nothing is deployed on it."""
    return Evm()
