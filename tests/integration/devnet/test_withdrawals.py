"""From L2 to L1: proven and finalised once, by whom it is due, not before its time, and through reorganisations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.chain.transactions import Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.devnet.opstack import OpStack
from tests.integration.devnet.conftest import UNIT, withdraw

pytestmark = pytest.mark.node


def l1_balance(stack: OpStack, name: str) -> int:
    return int(stack.l1_token.call("balanceOf", stack.l1_signers[name]))


def test_withdrawal__token__whole_way(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", 2 * UNIT, either.l1_signers["bob"])
    either.propose()
    either.prove(withdrawal, "carol")
    either.pass_challenge()
    receipt = either.finalise(withdrawal, "carol")
    finalized = either.l1_contract("OptimismPortal").event(receipt, "WithdrawalFinalized")
    assert (finalized["withdrawalHash"], finalized["success"]) == (withdrawal.hash, True)
    assert (l1_balance(either, "bob"), either.l2_token.call("balanceOf", either.l2_signers["alice"])) == (
        2 * UNIT,
        3 * UNIT,
    )


def test_withdrawal__ether__paid_out_of_the_portal(stack: OpStack) -> None:
    bridge, stranger = stack.l2_contract("L2StandardBridge"), "0x" + "ab" * 20
    receipt = bridge.transact(stack.l2_signers["bob"], "bridgeETHTo", stranger, 200_000, b"", value=WAD)
    (withdrawal,) = stack.withdrawals(receipt)
    stack.propose()
    stack.prove(withdrawal, "bob")
    stack.pass_challenge()
    stack.finalise(withdrawal, "bob")
    assert stack.l1.balance(stranger) == WAD


def test_proof__before_an_output__says_what_is_missing(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    with pytest.raises(UserError, match=rf"no output of L2 block {withdrawal.block_number} or later .* propose one"):
        either.proof(withdrawal)


def test_prove__wrong_proof__refused(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    either.propose()
    proof = either.proof(withdrawal)
    tampered = proof.nodes[-1][:-1] + bytes([proof.nodes[-1][-1] ^ 1])
    forged = replace(withdrawal, value=withdrawal.value + 1)
    for wrong, what, reason in (
        (withdrawal, replace(proof, nodes=(*proof.nodes[:-1], tampered)), "MerkleTrie"),
        (withdrawal, replace(proof, output=proof.output._replace(block_hash=bytes(32))), "invalid output root proof"),
        (forged, proof, "MerkleTrie"),
    ):
        with pytest.raises(Reverted, match=reason):
            either.prove(wrong, "alice", proof=what)


def test_prove__of_what_never_was__no_proof_of_it(stack: OpStack) -> None:
    stack.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(stack, "alice", UNIT, stack.l1_signers["alice"])
    stack.propose()
    with pytest.raises(UserError, match="has no withdrawal 0x"):
        stack.proof(replace(withdrawal, target=stack.l1_token.address))


def test_finalise__too_early__refused_until_all_waits_are_over(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    either.propose()
    either.prove(withdrawal, "alice")
    settings, games = either.settings, either.settings.portal == "games"
    immature = "has not matured yet" if games else "finalization period has not elapsed"
    either.advance(settings.game_clock_seconds + 1)
    either.resolve()
    either.advance(settings.proof_maturity_seconds - settings.game_clock_seconds - 60)
    with pytest.raises(Reverted, match=immature):
        either.finalise(withdrawal, "alice")
    either.advance(60)
    if games:
        with pytest.raises(Reverted, match="air-gap"):
            either.finalise(withdrawal, "alice")
        either.advance(60)
    assert either.finalise(withdrawal, "alice").ok


def test_finalise__game_not_resolved__refused_however_late(stack: OpStack) -> None:
    stack.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(stack, "alice", UNIT, stack.l1_signers["alice"])
    stack.propose()
    stack.prove(withdrawal, "alice")
    assert stack.resolve() == []
    stack.advance(30 * 86_400)
    with pytest.raises(Reverted, match="output proposal has not been validated"):
        stack.finalise(withdrawal, "alice")
    assert len(stack.resolve()) == 1
    with pytest.raises(Reverted, match="air-gap"):
        stack.finalise(withdrawal, "alice")


def test_finalise__again__refused(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    either.propose()
    either.prove(withdrawal, "alice")
    either.pass_challenge()
    either.finalise(withdrawal, "alice")
    with pytest.raises(Reverted, match="already been finalized"):
        either.finalise(withdrawal, "alice")
    assert l1_balance(either, "alice") == UNIT


def test_finalise__never_proven__refused(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    either.propose()
    with pytest.raises(Reverted, match="has not been proven"):
        either.finalise(withdrawal, "alice")


def test_propose__nothing_new__the_same_again(either: OpStack) -> None:
    either.bridge("alice", UNIT)
    assert either.propose() == either.propose()


@pytest.mark.parametrize("blocks", [0, 1, 9, 10, 11, 25])
def test_propose__oracle__newest_block_covered(oracle: OpStack, blocks: int) -> None:
    snapshot = oracle.snapshot()
    last = oracle.propose().block_number
    oracle.l2.rpc.call("anvil_mine", hex(blocks))
    output = oracle.propose()
    assert output.block_number == last + -(-blocks // 10) * 10 == oracle.l2.block_number
    oracle.restore(snapshot)


def test_propose__false_root__nothing_is_proven_against_it(stack: OpStack) -> None:
    stack.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(stack, "alice", UNIT, stack.l1_signers["alice"])
    stack.propose(b"\xbb" * 32)
    with pytest.raises(UserError, match="propose one"):
        stack.proof(withdrawal)
    honest = stack.propose()
    assert stack.proof(withdrawal).index == honest.index == 1


def test_l1_reorganised__proof_gone__proven_again(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    either.propose()
    either.prove(withdrawal, "alice")
    either.reorganise_l1(1)
    either.relay()
    with pytest.raises(Reverted, match="has not been proven"):
        either.finalise(withdrawal, "alice")
    either.prove(withdrawal, "alice")
    either.pass_challenge()
    assert either.finalise(withdrawal, "alice").ok


def test_l1_reorganised__output_gone__proposed_again(either: OpStack) -> None:
    either.bridge("alice", 5 * UNIT)
    either.relay()
    withdrawal = withdraw(either, "alice", UNIT, either.l1_signers["alice"])
    before = either.l1.block_number
    either.propose()
    either.reorganise_l1(either.l1.block_number - before)
    with pytest.raises(UserError, match="propose one"):
        either.proof(withdrawal)
    either.propose()
    assert either.prove(withdrawal, "alice").ok


def test_l1_reorganised__deposit_gone__undone_on_l2_and_others_stay(stack: OpStack) -> None:
    stack.bridge("alice", 5 * UNIT)
    stack.bridge("bob", 3 * UNIT)
    other = stack.l2_signers["carol"].send("0x" + "cd" * 20, value=3)
    stack.reorganise_l1(1)
    assert stack.relay() == []
    holders = [stack.l2_token.call("balanceOf", stack.l2_signers[name]) for name in ("alice", "bob")]
    assert (holders, stack.escrow) == ([5 * UNIT, 0], 5 * UNIT)
    assert (stack.l2.balance("0x" + "cd" * 20), stack.l2.receipt(other.tx_hash) is not None) == (3, True)
    with pytest.raises(UserError, match="cannot reorganise 0 blocks"):
        stack.reorganise_l1(0)
