"""The protocol on a rollup with an L1: all its money bridged; saved and loaded; kept going by the follower."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.verify import verify
from plimsoll.devnet.boot import FUND_DOLLARS, FUNDED, POOL_DOLLARS, TRADER_DOLLARS, Devnet, boot_devnet
from plimsoll.devnet.opstack import OpStackSettings
from plimsoll.devnet.opstack.contracts import deployed
from plimsoll.devnet.opstack.follower import following
from plimsoll.devnet.opstack.proposals import DEFENDER_WINS
from plimsoll.devnet.saved import load_devnet, save_devnet
from tests.integration.devnet.conftest import UNIT, withdraw

pytestmark = pytest.mark.node

GRACE, DOWN = 2, 3
"""States of the sequencer's guard."""
SHORT = OpStackSettings(proof_maturity_seconds=20, game_clock_seconds=10, air_gap_seconds=10)


@pytest.fixture(scope="module")
def saved(built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a rollup, whose withdrawals wait for seconds; saved as soon as it was up, and stopped."""
    folder = tmp_path_factory.mktemp("saved")
    with boot_devnet(rollup=SHORT) as devnet:
        save_devnet(devnet, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(saved: Path) -> Iterator[Devnet]:
    with load_devnet(saved) as devnet:
        yield devnet


@pytest.fixture
def devnet(loaded: Devnet) -> Iterator[Devnet]:
    snapshot = loaded.snapshot()
    yield loaded
    assert loaded.stack is not None
    loaded.stack.relay()
    try:
        assert loaded.stack.escrow == loaded.token.call("totalSupply") + loaded.stack.on_the_way
    finally:
        loaded.restore(snapshot)


def test_boot__rollup__protocol_deployed_and_every_dollar_bridged(devnet: Devnet) -> None:
    assert devnet.stack is not None
    assert verify(devnet.parameters, devnet.chain, devnet.manifest).differences == []
    assert devnet.contract("MarginVault").call("token") == devnet.token.address == devnet.stack.l2_token.address
    total = POOL_DOLLARS + FUND_DOLLARS + TRADER_DOLLARS * len(FUNDED)
    assert devnet.stack.escrow == devnet.token.call("totalSupply") == devnet.amount(total)
    for name in FUNDED:
        held = [token.call("balanceOf", devnet.signers[name]) for token in (devnet.token, devnet.stack.l1_token)]
        assert held == [devnet.amount(TRADER_DOLLARS)] * 2


def test_load__goes_on__clock_prices_and_money_as_they_were(saved: Path, devnet: Devnet) -> None:
    assert devnet.stack is not None
    with load_devnet(saved) as another:
        assert another.manifest.addresses == devnet.manifest.addresses
        assert 0 <= another.now - devnet.now <= 60
        assert another.record({"ETH/USD": 2_510 * WAD}).ok
        account = another.deposit("alice", 1_000)
        assert another.contract("MarginVault").call("cashOf", account) == 1_000 * WAD


def test_mint__rollup__comes_from_l1(devnet: Devnet) -> None:
    assert devnet.stack is not None
    escrow, stranger = devnet.stack.escrow, "0x" + "ab" * 20
    devnet.mint(stranger, 7)
    assert (devnet.token.call("balanceOf", stranger), devnet.stack.escrow - escrow) == (devnet.amount(7),) * 2


def test_sequencer_report__from_l1__reaches_the_guard(devnet: Devnet) -> None:
    guard = devnet.contract("SequencerGuard")
    for is_down in (True, False):
        devnet.report_sequencer(is_down)
        assert devnet.environment.uptime.call("latestRoundData").answer == int(is_down)
        assert guard.call("state") == (DOWN if is_down else GRACE)


def test_load__withdrawal_after_it__proven_and_finalised(devnet: Devnet) -> None:
    stack = devnet.stack
    assert stack is not None
    before = stack.l1_token.call("balanceOf", devnet.signers["alice"])
    withdrawal = withdraw(stack, "alice", UNIT, devnet.signers["alice"])
    stack.propose()
    stack.prove(withdrawal, "alice")
    stack.pass_challenge()
    assert stack.finalise(withdrawal, "alice").ok
    assert stack.l1_token.call("balanceOf", devnet.signers["alice"]) == before + UNIT


def test_load__output_of_before__nothing_is_proven_against_it(devnet: Devnet, tmp_path: Path) -> None:
    assert devnet.stack is not None
    withdrawal = withdraw(devnet.stack, "alice", UNIT, devnet.signers["alice"])
    devnet.stack.propose()
    devnet.record({"ETH/USD": 2_510 * WAD})
    save_devnet(devnet, tmp_path)
    with load_devnet(tmp_path) as again:
        assert again.stack is not None
        with pytest.raises(UserError, match="propose one"):
            again.stack.proof(withdrawal)
        again.stack.propose()
        assert again.stack.prove(withdrawal, "alice").ok


def test_load__without_a_rollup__as_it_was(built: None, tmp_path: Path) -> None:
    with boot_devnet(pool_dollars=0, fund_dollars=0) as devnet:
        save_devnet(devnet, tmp_path)
    with load_devnet(tmp_path) as again:
        assert again.stack is None
        assert again.token.call("balanceOf", again.signers["alice"]) == again.amount(TRADER_DOLLARS)
        again.mint(again.signers["alice"].address, 1)
        assert again.token.call("balanceOf", again.signers["alice"]) == again.amount(TRADER_DOLLARS + 1)


def test_load__nothing_saved__says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no saved devnet; save one first"), load_devnet(tmp_path):
        pass


def test_follower__deposit_and_withdrawal__need_nobody_else(devnet: Devnet) -> None:
    stack = devnet.stack
    assert stack is not None
    bridge, trader = stack.l1_contract("L1StandardBridge"), devnet.signers["bob"]
    before = devnet.token.call("balanceOf", trader)
    troubles: list[str] = []
    with following(stack, troubles.append):
        signer = stack.l1_signers["bob"]
        stack.l1_token.transact(signer, "approve", bridge, UNIT)
        bridge.transact(signer, "bridgeERC20To", stack.l1_token, stack.l2_token, trader, UNIT, 200_000, b"")
        until(lambda: devnet.token.call("balanceOf", trader) == before + UNIT)
        withdrawal = withdraw(stack, "bob", UNIT, trader)
        until(lambda: stack.l1_contract("DisputeGameFactory").call("gameCount") == 1)
        stack.prove(withdrawal, "bob")
        stack.l1.rpc.batch([("evm_increaseTime", [11]), ("evm_mine", [])])
        game = deployed("FaultDisputeGame", stack.l1_contract("DisputeGameFactory").call("gameAtIndex", 0)[2], stack.l1)
        until(lambda: game.call("status") == DEFENDER_WINS)
        stack.l1.rpc.batch([("evm_increaseTime", [21]), ("evm_mine", [])])
        assert stack.finalise(withdrawal, "bob").ok
    assert troubles == []


def until(happens: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
