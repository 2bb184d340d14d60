"""Withdrawals to L1: every stage as the tracker tells it, and what can come in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plimsoll.chain.transactions import Reverted, Signer
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack.settings import role_key
from plimsoll.sdk.rollup.shown import followed_lines
from plimsoll.sdk.rollup.stages import Stage
from tests.integration.rollup.conftest import Crossing

pytestmark = pytest.mark.node

NOWHERE = "0x" + "00" * 32


def arrive(crossing: Crossing, dollars: int = 1_000) -> None:
    crossing.deposit(dollars)
    crossing.stack.relay()


def guardian(crossing: Crossing) -> Signer:
    return Signer(crossing.l1, role_key("owner"), name="guardian")


def test_withdraw__the_whole_way__dollars_on_l1_by_anyones_hand(either: Crossing) -> None:
    """Bob takes every step; the money is alice's. In one L2 transaction of hers it began."""
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    assert (started.account, started.amount) == (crossing.account(), 400 * 10**6)
    assert started.to == crossing.l1_signer().address
    assert crossing.withdrawals.of_owner(started.to) == [started]
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.UNCLAIMED
    crossing.propose()
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.PROVABLE
    crossing.follow_to_the_end(started.withdrawal, crossing.l1_signer("bob"))
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.PAID
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_take_step__before_its_time__does_nothing_and_l1_refuses(either: Crossing) -> None:
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    alice = crossing.l1_signer()
    assert crossing.withdrawals.take_step(started.withdrawal, alice) == []
    crossing.propose()
    crossing.withdrawals.take_step(started.withdrawal, alice)
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert standing.stage is Stage.WAITING
    assert standing.next_at is not None
    assert crossing.withdrawals.take_step(started.withdrawal, alice) == []
    crossing.devnet.advance(standing.next_at - crossing.l1.block().timestamp - 10)
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.WAITING
    with pytest.raises(Reverted):
        crossing.stack.finalise(started.withdrawal, alice)
    assert crossing.l1_tokens() == 0


def test_withdrawals__each_stage__is_told_with_what_comes_next(crossing: Crossing) -> None:
    arrive(crossing)
    started = crossing.withdraw(400)

    def told() -> str:
        (one,) = crossing.withdrawals.followed([started])
        return "\n".join(followed_lines(one, 6))

    assert "$400 to 0x976EA74026E726554dB657fA54763abd0C3a0aa9" in told()
    assert "waits for an output of its L2 block on L1" in told()
    crossing.propose()
    assert "can be proven: next step prove" in told()
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    assert "is proven and waits until" in told()
    assert "3 d 11 h from now" in told() or "3 d 12 h from now" in told()
    assert "its game has to be resolved; final on" in told()
    crossing.follow_to_the_end(started.withdrawal)
    assert told().endswith("is paid")


def test_prove__a_withdrawal_that_never_was__is_refused(either: Crossing) -> None:
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    proof = crossing.stack.proof(started.withdrawal)
    forged = replace(started.withdrawal, nonce=started.withdrawal.nonce + 1)
    with pytest.raises(Reverted):
        crossing.stack.prove(forged, "alice", proof=proof)
    with pytest.raises(UserError, match="has no withdrawal"):
        crossing.withdrawals.take_step(forged, crossing.l1_signer())
    assert crossing.withdrawals.standing(forged).stage is Stage.PROVABLE


def test_finalise__twice__pays_once(either: Crossing) -> None:
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    crossing.follow_to_the_end(started.withdrawal)
    with pytest.raises(Reverted):
        crossing.stack.finalise(started.withdrawal, "alice")
    assert crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer()) == []
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_withdrawals__two_at_once__each_by_itself(crossing: Crossing) -> None:
    arrive(crossing)
    first, second = crossing.withdraw(100), crossing.withdraw(250)
    assert crossing.withdrawals.of_owner(first.to) == [first, second]
    crossing.propose()
    crossing.follow_to_the_end(second.withdrawal)
    assert crossing.l1_tokens() == 250 * 10**6
    assert crossing.withdrawals.standing(first.withdrawal).stage is Stage.PROVABLE
    crossing.follow_to_the_end(first.withdrawal)
    assert crossing.l1_tokens() == 350 * 10**6
    crossing.check()


# --- what can come in between ---


def test_prove__taken_back_by_a_reorganisation_of_l1__is_made_again(either: Crossing) -> None:
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.WAITING
    crossing.stack.reorganise_l1(1)
    crossing.devnet.forget_nonces()
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.PROVABLE
    crossing.follow_to_the_end(started.withdrawal)
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_standing__output_that_is_not_true__is_not_proven_against(either: Crossing) -> None:
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.l2.rpc.call("anvil_mine", hex(10))
    crossing.stack.propose(b"\1" * 32)
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert standing.stage is Stage.UNCLAIMED
    assert crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer()) == []


def test_standing__game_that_the_guardian_blacklists__is_proven_anew_against_another(crossing: Crossing) -> None:
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    game = crossing.withdrawals.standing(started.withdrawal).game
    portal = crossing.stack.l1_contract("OptimismPortal")
    portal.transact(guardian(crossing), "blacklistDisputeGame", game)
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert standing.stage is Stage.UNCLAIMED
    assert "the game is blacklisted" in standing.note
    crossing.propose()
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert standing.stage is Stage.PROVABLE
    assert "the game is blacklisted" in standing.note
    crossing.follow_to_the_end(started.withdrawal)
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_standing__output_that_the_challenger_deletes__is_proven_anew(crossing_oracle: Crossing) -> None:
    crossing = crossing_oracle
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    oracle = crossing.stack.l1_contract("L2OutputOracle")
    oracle.transact(guardian(crossing), "deleteL2Outputs", 0)
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert (standing.stage, standing.note) == (Stage.UNCLAIMED, "the proof counts no more: its output was deleted")
    crossing.propose()
    crossing.follow_to_the_end(started.withdrawal)
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_standing__game_being_played__says_so(crossing: Crossing) -> None:
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    address = crossing.withdrawals.standing(started.withdrawal).game
    from plimsoll.devnet.opstack.contracts import deployed

    game = deployed("FaultDisputeGame", str(address), crossing.l1)
    bond = game.call("getRequiredBond", 2)
    game.transact(crossing.l1_signer("bob"), "attack", game.call("rootClaim"), 0, b"\2" * 32, value=bond)
    standing = crossing.withdrawals.standing(started.withdrawal)
    assert standing.stage is Stage.WAITING
    assert "is being played" in standing.note


def test_withdrawal__payment_fails_on_l1__is_paid_later_by_anyone(either: Crossing) -> None:
    """As where the token is paused there: the withdrawal is used up, and its message is kept for ever."""
    crossing = either
    arrive(crossing)
    started = crossing.withdraw(400)
    crossing.propose()
    token = crossing.stack.l1_token.address
    while (standing := crossing.withdrawals.standing(started.withdrawal)).stage is not Stage.FINAL:
        if standing.next_at is not None:
            crossing.devnet.advance(standing.next_at - crossing.l1.block().timestamp)
        else:
            crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer())
    code = crossing.refuse(crossing.l1, token)
    call = crossing.withdrawals.outputs.finalise(started.withdrawal, standing)
    crossing.l1_signer().send(call.to, call.data, gas=2_000_000)
    crossing.l1.rpc.call("anvil_setCode", token, code)
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.FAILED
    crossing.withdrawals.take_step(started.withdrawal, crossing.l1_signer("bob"))
    assert crossing.withdrawals.standing(started.withdrawal).stage is Stage.PAID
    assert crossing.l1_tokens() == 400 * 10**6
    crossing.check()


def test_of_transaction__none_or_another_kind__is_said(crossing: Crossing) -> None:
    with pytest.raises(UserError, match="has no transaction"):
        crossing.withdrawals.of_transaction(NOWHERE)
    receipt = crossing.devnet.record()
    with pytest.raises(UserError, match="began no withdrawal to L1"):
        crossing.withdrawals.of_transaction(receipt.tx_hash)
    assert crossing.withdrawals.of_owner(crossing.l1_signer().address) == []
