"""The guard over a Chainlink-style uptime feed."""

from __future__ import annotations

import pytest

from tests.support.evm import ZERO_ADDRESS, Contract, Evm, reverts
from tests.support.oracle import DOUBTFUL, DOWN, GRACE, GRACE_SECONDS, NOW, OPEN

UP, IS_DOWN = 0, 1
REVERT, SHORT_ANSWER, BURN_GAS = 1, 2, 3


@pytest.fixture
def feed(evm: Evm) -> Contract:
    return evm.deploy("MockAggregatorV3", 0)


@pytest.fixture
def guard(evm: Evm, feed: Contract) -> Contract:
    evm.timestamp = NOW
    return evm.deploy("SequencerGuard", feed, GRACE_SECONDS)


def test_state__no_feed__is_open(evm: Evm) -> None:
    guard = evm.deploy("SequencerGuard", ZERO_ADDRESS, GRACE_SECONDS)
    assert guard.state() == OPEN
    assert (guard.feed(), guard.graceSeconds()) == (ZERO_ADDRESS, GRACE_SECONDS)


@pytest.mark.parametrize(
    ("answer", "started_at", "state"),
    [
        (UP, NOW - GRACE_SECONDS, OPEN),
        (UP, NOW - GRACE_SECONDS + 1, GRACE),
        (UP, NOW, GRACE),
        (UP, NOW + 1, GRACE),
        (UP, 1, OPEN),
        (UP, 0, DOWN),
        (IS_DOWN, NOW, DOWN),
        (IS_DOWN, 1, DOWN),
        (2, 1, DOUBTFUL),
        (-1, 1, DOUBTFUL),
    ],
)
def test_state__answer_and_start__decide(
    guard: Contract, feed: Contract, answer: int, started_at: int, state: int
) -> None:
    feed.setRound(1, answer, started_at, NOW)
    assert guard.state() == state


@pytest.mark.parametrize("fault", [REVERT, SHORT_ANSWER, BURN_GAS])
def test_state__feed_broken__is_doubtful_and_never_reverts(guard: Contract, feed: Contract, fault: int) -> None:
    feed.setFault(fault)
    assert guard.state() == DOUBTFUL


def test_state__feed_is_no_contract__is_doubtful(evm: Evm) -> None:
    assert evm.deploy("SequencerGuard", "0x" + "22" * 20, GRACE_SECONDS).state() == DOUBTFUL


def test_constructor__grace_out_of_bounds__reverts(evm: Evm, feed: Contract) -> None:
    for grace in (60, 1_800):
        assert evm.deploy("SequencerGuard", feed, grace).graceSeconds() == grace
    for grace in (0, 59, 1_801, 2**256 - 1):
        with reverts("SequencerGuard_GraceOutOfBounds", grace, 60, 1_800):
            evm.deploy("SequencerGuard", feed, grace)
