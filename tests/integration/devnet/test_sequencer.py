"""A sequencer that is down, censors, comes back, or takes its blocks back; and deposits that get in all the same."""

from __future__ import annotations

import time

import pytest

from plimsoll.chain.abi import address_of
from plimsoll.chain.transactions import Call, Signer
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack import OpStack
from tests.integration.devnet.conftest import UNIT, deposit, withdraw

pytestmark = pytest.mark.node

STRANGER = address_of("0x" + "ab" * 20)


def send(signer: Signer) -> str:
    """Hash of a transfer that is sent and not waited for."""
    (one,) = signer.sign_many([Call(STRANGER, b"", 1, 30_000)])
    signer.broadcast([one])
    return one.tx_hash


def let_blocks_come() -> None:
    time.sleep(0.15)  # anvil mines within a millisecond, the censoring builder within ten


def test_stopped__nothing_gets_in__until_started(stack: OpStack) -> None:
    trader = stack.l2_signers["alice"]
    stack.sequencer.stop()
    stack.sequencer.stop()
    assert not stack.sequencer.is_running
    head, lost = stack.l2.block_number, send(trader)
    let_blocks_come()
    assert (stack.l2.block_number, stack.l2.receipt(lost)) == (head, None)
    stack.sequencer.start()
    stack.sequencer.start()
    trader.forget_nonce()
    assert trader.send(STRANGER, value=1).ok
    assert stack.l2.receipt(lost) is None


def test_stopped__deposit__enters_once_the_window_has_passed(stack: OpStack) -> None:
    stack.sequencer.stop()
    lost = send(stack.l2_signers["alice"])
    deposit(stack, "alice", STRANGER, value=7)
    window = stack.settings.sequencing_window_seconds
    assert stack.relay() == []
    stack.advance(window - 60)
    assert (stack.relay(), stack.l2.balance(STRANGER)) == ([], 0)
    stack.advance(61)
    (receipt,) = stack.relay()
    assert (receipt.ok, stack.l2.balance(STRANGER), stack.l2.receipt(lost)) == (True, 7, None)
    assert stack.relayer.origin().number < stack.l1.block_number
    stack.sequencer.start()
    assert stack.relay() == []
    assert stack.relayer.origin().number == stack.l1.block_number


def test_stopped__bridged_token__says_that_it_is_on_its_way(stack: OpStack) -> None:
    stack.sequencer.stop()
    with pytest.raises(UserError, match="on L1 but not on L2 yet"):
        stack.bridge("alice", UNIT)
    stack.sequencer.start()
    assert len(stack.relay()) == 1


def test_stopped__whole_exit__proven_and_finalised(either: OpStack) -> None:
    """Down to the last step nothing of L2's sequencer is needed: the withdrawal itself comes as a deposit."""
    either.bridge("alice", 5 * UNIT)
    either.sequencer.stop()
    bridge = either.l2_contract("L2StandardBridge")
    data = bridge.encode("bridgeERC20", either.l2_token, either.l1_token, 5 * UNIT, 200_000, b"")
    portal = either.l1_contract("OptimismPortal")
    portal.transact(either.l1_signers["alice"], "depositTransaction", bridge.address, 0, 500_000, False, data)
    either.advance(either.settings.sequencing_window_seconds + 1)
    (forced,) = either.relay()
    (withdrawal,) = either.withdrawals(forced)
    either.propose()
    either.prove(withdrawal, "alice")
    either.pass_challenge()
    either.finalise(withdrawal, "alice")
    assert either.l1_token.call("balanceOf", either.l1_signers["alice"]) == 5 * UNIT


def test_censored__others_get_in__and_his_deposits(stack: OpStack) -> None:
    trader, other = stack.l2_signers["alice"], stack.l2_signers["bob"]
    stack.sequencer.censor(trader)
    assert stack.sequencer.is_running
    lost = send(trader)
    assert other.send(STRANGER, value=2).ok
    deposit(stack, "alice", STRANGER, value=7)
    assert [receipt.ok for receipt in stack.relay()] == [True]
    let_blocks_come()
    assert (stack.l2.receipt(lost), stack.l2.balance(STRANGER)) == (None, 9)
    stack.sequencer.uncensor(trader)
    trader.forget_nonce()
    assert trader.send(STRANGER, value=1).ok
    assert stack.sequencer.censored == frozenset()


def test_censored__many_at_once__not_one_of_his_in_any_block(stack: OpStack) -> None:
    trader, other = stack.l2_signers["alice"], stack.l2_signers["bob"]
    first = stack.l2.block_number
    stack.sequencer.censor(trader)
    hashes = []
    for _ in range(10):
        trader.forget_nonce()
        hashes.append(send(trader))
        assert other.send(STRANGER, value=1).ok
    senders = {
        transaction["from"]
        for number in range(first + 1, stack.l2.block_number + 1)
        for transaction in stack.l2.rpc.call("eth_getBlockByNumber", hex(number), True)["transactions"]
    }
    assert senders == {other.address.lower()}
    assert [stack.l2.receipt(one) for one in hashes] == [None] * 10


def test_censor__while_stopped__refused(stack: OpStack) -> None:
    stack.sequencer.stop()
    with pytest.raises(UserError, match="start it first"):
        stack.sequencer.censor(STRANGER)


def test_restart__censored_stay_so(stack: OpStack) -> None:
    trader = stack.l2_signers["alice"]
    stack.sequencer.censor(trader)
    stack.sequencer.restart()
    lost = send(trader)
    assert stack.l2_signers["bob"].send(STRANGER, value=2).ok
    let_blocks_come()
    assert (stack.l2.receipt(lost), stack.sequencer.censored) == (None, frozenset({trader.address}))


def test_restart__interval_mining__as_before(stack: OpStack) -> None:
    stack.l2.rpc.batch([("evm_setAutomine", [False]), ("evm_setIntervalMining", [1])])
    try:
        stack.sequencer.restart()
        assert stack.l2.rpc.call("anvil_getIntervalMining") == 1
        stack.bridge("alice", UNIT)
    finally:
        stack.l2.rpc.batch([("evm_setIntervalMining", [0]), ("evm_setAutomine", [True])])


def test_reorganise__unsafe_blocks__deposits_come_again_once(stack: OpStack) -> None:
    head = stack.l2.block_number
    stack.bridge("alice", 5 * UNIT)
    lost = stack.l2_signers["bob"].send(STRANGER, value=2)
    stack.reorganise_l2(stack.l2.block_number - head)
    assert (stack.l2_token.call("totalSupply"), stack.l2.balance(STRANGER)) == (0, 0)
    assert len(stack.relay()) == 1
    assert stack.relay() == []
    assert (stack.l2_token.call("totalSupply"), stack.l2.receipt(lost.tx_hash)) == (5 * UNIT, None)


def test_reorganise__block_claimed_on_l1__refused(stack: OpStack) -> None:
    stack.bridge("alice", 5 * UNIT)
    withdraw(stack, "alice", UNIT, stack.l1_signers["alice"])
    stack.propose()
    stack.l2_signers["bob"].send(STRANGER, value=2)
    with pytest.raises(UserError, match="cannot reorganise 2 blocks: only 1 are not claimed on L1 yet"):
        stack.reorganise_l2(2)
    stack.reorganise_l2(1)
    assert stack.l2.balance(STRANGER) == 0
