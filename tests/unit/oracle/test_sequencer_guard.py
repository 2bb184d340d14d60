"""The guard over a Chainlink-style uptime feed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from plimsoll.devnet.chainlink import uptime_feed
from tests.support.evm import DEPLOYER, ZERO_ADDRESS, Contract, Evm, known, reverts
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


# -------------------------------------------------------------------------- Chainlink's own feed for OP-stack rollups

L1_SENDER = "0x" + "11" * 20


@dataclass
class Uptime:
    """The real feed behind a messenger through which L1 speaks, and a guard that it lets read it."""

    evm: Evm
    messenger: Contract
    feed: Contract
    guard: Contract

    def report(self, is_down: bool, at: int, l1_sender: str = L1_SENDER) -> None:
        self.messenger.relay(l1_sender, self.feed, self.feed.updateStatus.encode(is_down, at))


@pytest.fixture
def uptime(evm: Evm) -> Uptime:
    evm.timestamp = NOW - 86_400
    messenger = evm.deploy("MockMessenger")
    feed = evm.deploy(known().add(uptime_feed()), L1_SENDER, messenger, False)
    evm.timestamp = NOW
    return Uptime(evm, messenger, feed, evm.deploy("SequencerGuard", feed, GRACE_SECONDS))


def test_state__feed_that_does_not_let_the_guard_read__is_doubtful(uptime: Uptime) -> None:
    """Chainlink's feed answers only who is listed: a guard that was forgotten closes opening, not liquidation."""
    assert uptime.guard.state() == DOUBTFUL
    uptime.feed.addAccess(uptime.guard, sender=DEPLOYER)
    assert uptime.guard.state() == OPEN


def test_state__down_for_an_hour_and_back__grace_and_then_open(uptime: Uptime) -> None:
    uptime.feed.disableAccessCheck(sender=DEPLOYER)
    uptime.report(True, NOW)
    assert uptime.guard.state() == DOWN
    uptime.evm.timestamp = back = NOW + 3_600
    assert uptime.guard.state() == DOWN
    uptime.report(False, back)
    for passed, state in ((0, GRACE), (GRACE_SECONDS - 1, GRACE), (GRACE_SECONDS, OPEN)):
        uptime.evm.timestamp = back + passed
        assert uptime.guard.state() == state


def test_state__said_by_another_sender_of_l1__stays(uptime: Uptime) -> None:
    uptime.feed.disableAccessCheck(sender=DEPLOYER)
    with reverts("InvalidSender"):
        uptime.report(True, NOW, "0x" + "12" * 20)
    with reverts("InvalidSender"):
        uptime.feed.updateStatus(True, NOW)
    assert uptime.guard.state() == OPEN


def test_state__report_from_before_the_last__stays(uptime: Uptime) -> None:
    uptime.feed.disableAccessCheck(sender=DEPLOYER)
    uptime.report(True, NOW)
    uptime.report(False, NOW - 1)
    assert uptime.guard.state() == DOWN
