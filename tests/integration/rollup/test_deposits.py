"""Deposits from L1 into margin accounts, and every way in which they can fail on L2: nothing is ever stuck."""

from __future__ import annotations

import pytest
from eth_utils import keccak

from plimsoll.chain.transactions import Reverted
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.devnet.opstack import OpStack
from plimsoll.sdk.rollup.deposits import Arrival, arrival, deposit, deposit_in, relay_again
from plimsoll.sdk.rollup.derivation import aliased
from plimsoll.sdk.rollup.layers import Rollup
from tests.integration.rollup.conftest import Crossing, all_ok

pytestmark = pytest.mark.node

NOBODY = "0x" + "00" * 20
MESSENGER = "0x4200000000000000000000000000000000000007"


def test_deposit__with_a_permit__one_transaction_on_l1_and_it_is_cash(crossing: Crossing) -> None:
    amount, alice = crossing.fund(1_000), crossing.l1_signer()
    before = crossing.l1.nonce(alice.address)
    made = deposit(crossing.rollup, alice, amount, crossing.account())
    assert crossing.l1.nonce(alice.address) == before + 1
    assert (made.account, made.amount, made.claimant) == (crossing.account(), amount, alice.address)
    assert arrival(crossing.rollup, made) is Arrival.ON_THE_WAY
    receipts = crossing.stack.relay()
    assert [receipt.tx_hash for receipt in receipts] == [message.tx_hash for message in made.messages]
    assert all_ok(receipts)
    assert arrival(crossing.rollup, made) is Arrival.CREDITED
    assert crossing.cash(crossing.account()) == amount
    crossing.check()


def test_deposit__with_an_allowance__needs_no_permit(crossing: Crossing) -> None:
    amount, alice = crossing.fund(1_000), crossing.l1_signer()
    crossing.stack.l1_token.transact(alice, "approve", crossing.rollup.l1_gateway, amount)
    nonce = crossing.stack.l1_token.call("nonces", alice)
    deposit(crossing.rollup, alice, amount, crossing.account())
    assert crossing.stack.l1_token.call("nonces", alice) == nonce
    crossing.stack.relay()
    assert crossing.cash(crossing.account()) == amount
    crossing.check()


def test_deposit_with_permit__permit_used_by_another_first__goes_through(crossing: Crossing) -> None:
    """Who sees a permit in the pool may use it: the allowance is there all the same."""
    amount, alice = crossing.fund(10), crossing.l1_signer()
    gateway, token = crossing.rollup.l1_gateway, crossing.stack.l1_token
    with pytest.raises(Reverted):  # neither allowance nor a good permit
        gateway.transact(
            alice, "depositWithPermit", crossing.account(), amount, alice, 2**40, 27, b"\1" * 32, b"\1" * 32
        )
    token.transact(alice, "approve", gateway, amount)
    gateway.transact(alice, "depositWithPermit", crossing.account(), amount, alice, 2**40, 27, b"\1" * 32, b"\1" * 32)
    crossing.stack.relay()
    assert crossing.cash(crossing.account()) == amount
    crossing.check()


def test_deposit__what_l1_can_tell_at_once__is_refused_there(crossing: Crossing) -> None:
    alice, gateway, account = crossing.l1_signer(), crossing.rollup.l1_gateway, crossing.account()
    for arguments, error, values in (
        ((account, 0, alice), "L1Gateway_ZeroAmount", {}),
        ((ids.MAX_INDEX, 1, alice), "L1Gateway_InvalidAccount", {"account": ids.MAX_INDEX}),
        ((account, 1, NOBODY), "L1Gateway_InvalidClaimant", {}),
    ):
        with pytest.raises(Reverted) as caught:
            gateway.transact(alice, "deposit", *arguments)
        assert (caught.value.name, caught.value.values) == (error, values)
    with pytest.raises(UserError, match="has 0 tokens on L1, fewer than 5"):
        deposit(crossing.rollup, alice, 5 * 10**6, account)
    with pytest.raises(UserError, match="not more than zero"):
        deposit(crossing.rollup, alice, 0, account)
    crossing.fund(5)
    with pytest.raises(UserError, match="of the protocol itself"):
        deposit(crossing.rollup, alice, 5 * 10**6, ids.pack(crossing.contracts.addresses["LiquidityPool"], 1))
    with pytest.raises(UserError, match="of the protocol itself"):  # its own gateway would never withdraw it
        deposit(crossing.rollup, alice, 5 * 10**6, ids.pack(crossing.rollup.l2_gateway.address))


# --- the account refuses it ---


def test_deposit__account_that_takes_none__the_claimant_takes_it_out(crossing: Crossing) -> None:
    treasury = ids.pack(crossing.devnet.parameters.treasury)
    made = crossing.deposit(100, account=treasury)
    assert all_ok(crossing.stack.relay())
    assert arrival(crossing.rollup, made) is Arrival.REFUSED
    gateway, alice = crossing.rollup.l2_gateway, crossing.devnet.signers["alice"]
    crossing.check()
    before = crossing.devnet.token.call("balanceOf", alice)
    gateway.transact(alice, "reclaim", treasury, alice)
    assert arrival(crossing.rollup, made) is Arrival.CLAIMED
    assert crossing.devnet.token.call("balanceOf", alice) == before + made.amount
    crossing.check()


def test_deposit__vault_refuses_for_a_while__anyone_tries_again(crossing: Crossing) -> None:
    vault = crossing.contracts.vault.address
    made = crossing.deposit(100)
    code = crossing.refuse(crossing.l2, vault)
    assert all_ok(crossing.stack.relay())
    crossing.l2.rpc.call("anvil_setCode", vault, code)
    assert arrival(crossing.rollup, made) is Arrival.REFUSED
    crossing.check()
    crossing.rollup.l2_gateway.transact(crossing.devnet.signers["bob"], "retry", made.account, made.claimant)
    assert crossing.cash(crossing.account()) == made.amount
    crossing.check()


def test_deposit__claimant_is_a_contract_of_l1__takes_it_by_a_forced_transaction(crossing: Crossing) -> None:
    """As a multisig on L1 would name the address that it has on L2."""
    alice, treasury = crossing.l1_signer(), ids.pack(crossing.devnet.parameters.treasury)
    safe = crossing.deploy(crossing.l1, alice, "Batcher")
    amount = crossing.fund(100)
    deposit(crossing.rollup, alice, amount, treasury, claimant=aliased(safe.address))
    crossing.stack.relay()
    home = "0x" + "ab" * 20
    data = crossing.rollup.l2_gateway.encode("reclaim", treasury, home)
    portal = crossing.stack.l1_contract("OptimismPortal")
    forced = portal.encode("depositTransaction", crossing.rollup.l2_gateway.address, 0, 300_000, False, data)
    safe.transact(alice, "run", [portal.address], [forced])
    assert all_ok(crossing.stack.relay())
    assert crossing.devnet.token.call("balanceOf", home) == amount
    crossing.check()


# --- a message fails ---


def test_deposit__both_messages_fail__anyone_relays_them_again_in_order(crossing: Crossing) -> None:
    """As with a token that is paused on L2: nothing is minted, so nothing can be credited, and neither is lost."""
    token = crossing.devnet.token.address
    made = crossing.deposit(100)
    code = crossing.refuse(crossing.l2, token)
    crossing.stack.relay()
    assert arrival(crossing.rollup, made) is Arrival.FAILED
    crossing.l2.rpc.call("anvil_setCode", token, code)

    bob, credit = crossing.devnet.signers["bob"], made.messages[1]
    bob.send(MESSENGER, credit.data, gas=1_000_000)  # the second before the first: it fails again, and stays
    assert arrival(crossing.rollup, made) is Arrival.FAILED
    assert len(relay_again(crossing.rollup, made, bob)) == 2
    assert arrival(crossing.rollup, made) is Arrival.CREDITED
    assert crossing.cash(crossing.account()) == made.amount
    crossing.check()


def test_deposit__credit_fails_and_others_follow__each_gets_his_own(crossing: Crossing) -> None:
    """Alice's tokens wait at the gateway; Bob's deposit neither waits for hers nor is paid by them."""
    gateway = crossing.rollup.l2_gateway.address
    hers = crossing.deposit(100)
    code = crossing.refuse(crossing.l2, gateway)
    crossing.stack.relay()
    crossing.l2.rpc.call("anvil_setCode", gateway, code)
    assert arrival(crossing.rollup, hers) is Arrival.FAILED
    assert crossing.devnet.token.call("balanceOf", gateway) == hers.amount

    his = crossing.deposit(30, "bob")
    crossing.stack.relay()
    assert arrival(crossing.rollup, his) is Arrival.CREDITED
    assert crossing.cash(crossing.account("bob")) == his.amount
    assert crossing.devnet.token.call("balanceOf", gateway) == hers.amount
    relay_again(crossing.rollup, hers, crossing.devnet.signers["carol"])
    assert crossing.cash(crossing.account()) == hers.amount
    crossing.check()


def test_deposit__relayed_again_with_too_little_gas__stays_to_be_relayed(crossing: Crossing) -> None:
    """Nobody can make the credit fail for good, or be refused by the account, by bringing little gas."""
    gateway = crossing.rollup.l2_gateway.address
    made = crossing.deposit(100)
    code = crossing.refuse(crossing.l2, gateway)
    crossing.stack.relay()
    crossing.l2.rpc.call("anvil_setCode", gateway, code)
    bob, credit = crossing.devnet.signers["bob"], made.messages[1]
    for gas in (60_000, 120_000, 180_000, 240_000):
        bob.send(MESSENGER, credit.data, gas=gas, check=False)
        assert arrival(crossing.rollup, made) is Arrival.FAILED
        assert crossing.rollup.l2_gateway.call("totalClaims") == 0
    relay_again(crossing.rollup, made, bob)
    assert arrival(crossing.rollup, made) is Arrival.CREDITED
    crossing.check()


def test_deposit__relayed_twice__credits_once(crossing: Crossing) -> None:
    made = crossing.deposit(100)
    crossing.stack.relay()
    for message in made.messages:
        with pytest.raises(Reverted):
            crossing.devnet.signers["bob"].send(MESSENGER, message.data)
    assert crossing.cash(crossing.account()) == made.amount
    assert relay_again(crossing.rollup, made, crossing.devnet.signers["bob"]) == []
    crossing.check()


def test_credit__message_of_anyone_else__credits_nothing(crossing: Crossing) -> None:
    """Mallory sends the gateway's own message through the messenger, without any tokens escrowed."""
    hers = crossing.deposit(100)
    gateway, bob = crossing.rollup.l2_gateway, crossing.l1_signer("bob")
    code = crossing.refuse(crossing.l2, gateway.address)
    crossing.stack.relay()  # alice's tokens lie at the gateway
    crossing.l2.rpc.call("anvil_setCode", gateway.address, code)
    data = gateway.encode("credit", crossing.account("bob"), hers.amount, bob.address)
    messenger = crossing.stack.l1_contract("L1CrossDomainMessenger")
    messenger.transact(bob, "sendMessage", gateway, data, 300_000)
    crossing.force(gateway.prepare("credit", crossing.account("bob"), hers.amount, bob.address), bob)
    relayed, forced = crossing.stack.relay()
    assert (relayed.ok, forced.ok) == (True, False)  # the messenger keeps the failed one
    assert crossing.cash(crossing.account("bob")) == 0
    relay_again(crossing.rollup, hers, crossing.devnet.signers["bob"])
    assert crossing.cash(crossing.account()) == hers.amount
    crossing.check()


def test_arrival__relayed_again_and_then_refused__says_so(crossing: Crossing) -> None:
    """It said that the money is in the account: it looked for the refusal in the transaction that had failed."""
    gateway, vault = crossing.rollup.l2_gateway.address, crossing.contracts.vault.address
    made = crossing.deposit(100)
    code = crossing.refuse(crossing.l2, gateway)
    crossing.stack.relay()
    crossing.l2.rpc.call("anvil_setCode", gateway, code)
    code = crossing.refuse(crossing.l2, vault)
    relay_again(crossing.rollup, made, crossing.devnet.signers["bob"])
    crossing.l2.rpc.call("anvil_setCode", vault, code)
    assert arrival(crossing.rollup, made) is Arrival.REFUSED
    assert crossing.cash(crossing.account()) == 0
    crossing.check()


def test_relay_again__another_deposit_took_the_tokens__waits_for_anyone_to_bring_its_own(crossing: Crossing) -> None:
    """After a pause of the token Mallory has his credit relayed on Alice's tokens, while his own are not minted: Alice
    gets hers as soon as anyone relays the bridge's message of his, which he can't prevent."""
    token, l2 = crossing.devnet.token.address, crossing.devnet.signers
    hers, his = crossing.deposit(100), crossing.deposit(100, "bob")
    code = crossing.refuse(crossing.l2, token)
    crossing.stack.relay()
    crossing.l2.rpc.call("anvil_setCode", token, code)
    l2["bob"].send(MESSENGER, hers.messages[0].data, gas=1_000_000)
    l2["bob"].send(MESSENGER, his.messages[1].data, gas=1_000_000)
    assert crossing.cash(crossing.account("bob")) == his.amount
    relay_again(crossing.rollup, hers, l2["alice"])
    assert arrival(crossing.rollup, hers) is Arrival.FAILED
    relay_again(crossing.rollup, his, l2["alice"])
    relay_again(crossing.rollup, hers, l2["alice"])
    assert arrival(crossing.rollup, hers) is Arrival.CREDITED
    assert arrival(crossing.rollup, his) is Arrival.CREDITED
    assert crossing.cash(crossing.account()) == hers.amount
    crossing.check()


# --- the relayer, and L1 itself ---


def test_deposit__two_of_one_sender_and_another_relayer__each_once(crossing: Crossing) -> None:
    """Both in one L1 block; the relayer is started anew between one look and the next."""
    amount, alice = crossing.fund(30), crossing.l1_signer()
    gateway = crossing.rollup.l1_gateway
    calls = [
        crossing.stack.l1_token.prepare("approve", gateway, amount, gas=100_000),
        gateway.prepare("deposit", crossing.account(), amount // 3, alice, gas=2_000_000),
        gateway.prepare("deposit", crossing.account(index=1), amount * 2 // 3, alice, gas=2_000_000),
    ]
    crossing.l1.rpc.call("evm_setAutomine", False)
    signed = alice.sign_many(calls)
    alice.broadcast(signed)
    crossing.l1.rpc.call("evm_mine")
    crossing.l1.rpc.call("evm_setAutomine", True)
    receipts = [crossing.l1.wait_for(one.tx_hash) for one in signed]
    assert len({receipt.block_number for receipt in receipts}) == 1

    assert len(OpStack(crossing.l1, crossing.l2, crossing.stack.settings).relay()) == 4
    assert OpStack(crossing.l1, crossing.l2, crossing.stack.settings).relay() == []
    assert crossing.cash(crossing.account()) == amount // 3
    assert crossing.cash(crossing.account(index=1)) == amount * 2 // 3
    for receipt in receipts[1:]:
        assert arrival(crossing.rollup, deposit_in(crossing.rollup, receipt)) is Arrival.CREDITED
    crossing.check()


def test_deposit__taken_back_by_a_reorganisation_of_l1__is_gone_on_l2_too(crossing: Crossing) -> None:
    made = crossing.deposit(100)
    crossing.stack.relay()
    assert crossing.cash(crossing.account()) == made.amount
    crossing.stack.reorganise_l1(1)
    crossing.stack.relay()
    assert crossing.cash(crossing.account()) == 0
    crossing.devnet.forget_nonces()
    crossing.check()
    again = deposit(crossing.rollup, crossing.l1_signer(), made.amount, crossing.account())
    crossing.stack.relay()
    assert arrival(crossing.rollup, again) is Arrival.CREDITED
    assert crossing.cash(crossing.account()) == made.amount
    crossing.check()


def test_rollup__another_l1__is_said(crossing: Crossing) -> None:
    with pytest.raises(UserError, match="name its L1"):
        Rollup(crossing.contracts, crossing.l2)


def test_deposits_in__their_hashes__are_l2s(crossing: Crossing) -> None:
    made = crossing.deposit(1)
    assert [message.tx_hash for message in made.messages] == [
        "0x" + bytes(keccak(message.raw)).hex() for message in made.messages
    ]
    assert [receipt.tx_hash for receipt in crossing.stack.relay()] == [one.tx_hash for one in made.messages]
