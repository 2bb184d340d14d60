"""What every test may use: contracts that are up to date, and an EVM of its own."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from plimsoll.chain.build import BuildError, ensure_built
from tests.support.evm import Evm

# `make test` tries the same examples every time; `make test-deep` new and more ones
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("deep", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session")
def built() -> None:
    """The contracts are up to date: compiled once for the session, and not for tests that use none."""
    try:
        ensure_built()
    except BuildError as error:
        pytest.exit(f"the contracts do not compile\n{error}", returncode=2)


@pytest.fixture
def evm(built: None) -> Evm:
    """A new chain; nothing is deployed on it."""
    return Evm()
