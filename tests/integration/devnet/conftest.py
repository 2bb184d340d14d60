"""One devnet for the tests of this folder that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plimsoll.devnet.boot import Devnet, boot_devnet


@pytest.fixture(scope="package")
def devnet(built: None) -> Iterator[Devnet]:
    with boot_devnet() as running:
        yield running


@pytest.fixture(autouse=True)
def _taken_back(request: pytest.FixtureRequest) -> Iterator[None]:
    if "devnet" not in request.fixturenames:
        yield
        return
    running: Devnet = request.getfixturevalue("devnet")
    snapshot = running.snapshot()
    prices = dict(running.prices)
    yield
    running.restore(snapshot)
    running.prices = prices
