"""From L1 to L2: what arrives, as whom, once; and what becomes of what fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import rlp
from eth_account.messages import encode_typed_data

from plimsoll.chain.abi import address_of
from plimsoll.chain.transactions import Chain, Receipt, Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.devnet.opstack import Deposit, OpStack, OpStackSettings, aliased
from plimsoll.devnet.opstack.contracts import creation, deployed
from plimsoll.devnet.opstack.sequencer import Sequencer
from tests.integration.devnet.conftest import UNIT, deposit

pytestmark = pytest.mark.node

STRANGER, NOBODY = "0x" + "ab" * 20, "0x" + "00" * 20


def test_bridge__token__lands_on_l2_and_stays_in_escrow(either: OpStack) -> None:
    escrow, trader = either.escrow, either.l2_signers["alice"]
    assert either.bridge("alice", 5 * UNIT).ok
    assert either.l2_token.call("balanceOf", trader) == 5 * UNIT
    assert either.escrow == escrow + 5 * UNIT
    assert either.l1_token.call("balanceOf", trader) == 0


def test_token__six_decimals_and_one_bridge(stack: OpStack) -> None:
    assert stack.l1_token.call("decimals") == stack.l2_token.call("decimals") == 6
    assert stack.l2_token.call("REMOTE_TOKEN") == stack.l1_token.address
    assert stack.l2_token.call("BRIDGE") == stack.l2_contract("L2StandardBridge").address
    with pytest.raises(Reverted, match="only bridge can mint and burn"):
        stack.l2_token.transact(stack.l2_signers["alice"], "mint", STRANGER, 1)


def test_permit__l1_token__allows_once_by_signature(stack: OpStack) -> None:
    token, owner, spender = stack.l1_token, stack.l1_signers["alice"], stack.l1_signers["bob"]
    fields = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256", "deadline": "uint256"}
    message = {"owner": owner.address, "spender": spender.address, "value": 7, "nonce": 0, "deadline": 2**40}
    domain = {"name": "USD Coin", "version": "1", "chainId": stack.l1.chain_id, "verifyingContract": token.address}
    types = {"Permit": [{"name": name, "type": kind} for name, kind in fields.items()]}
    signature = owner.sign_message(encode_typed_data(domain, types, message))
    r, s, v = signature[:32], signature[32:64], signature[64]
    token.transact(spender, "permit", owner, spender, 7, 2**40, v, r, s)
    assert token.call("allowance", owner, spender) == 7
    with pytest.raises(Reverted, match="ERC2612InvalidSigner"):
        token.transact(spender, "permit", owner, spender, 7, 2**40, v, r, s)


def test_deposit__of_an_account__same_sender(stack: OpStack) -> None:
    trader = stack.l2_signers["alice"]
    nonce = stack.l2.nonce(trader)
    sent = deposit(stack, "alice", STRANGER, value=7, data=b"\x01\x02")
    (receipt,) = stack.relay()
    assert (receipt.ok, receipt.sender, stack.l2.balance(STRANGER)) == (True, trader.address, 7)
    assert stack.l2.nonce(trader) == nonce + 1
    raw = stack.l2.rpc.call("eth_getTransactionByHash", receipt.tx_hash)
    (derived,) = stack.relayer.deposits_of(sent)
    assert (raw["type"], raw["input"], raw["sourceHash"]) == ("0x7e", "0x0102", "0x" + derived.source_hash.hex())
    assert receipt.tx_hash == derived.tx_hash


def test_deposit__of_a_contract__aliased_sender(stack: OpStack) -> None:
    messenger = stack.l1_contract("L1CrossDomainMessenger")
    messenger.transact(stack.l1_signers["alice"], "sendMessage", STRANGER, b"\x01", 100_000)
    (receipt,) = stack.relay()
    assert (receipt.ok, receipt.sender) == (True, aliased(messenger.address))
    assert receipt.to == stack.l2_contract("L2CrossDomainMessenger").address


def test_deposit__creation__contract_on_l2(stack: OpStack) -> None:
    stack.l1_contract("OptimismPortal").transact(
        stack.l1_signers["alice"],
        "depositTransaction",
        "0x" + "00" * 20,
        0,
        1_000_000,
        True,
        creation("Proxy", STRANGER),
    )
    (receipt,) = stack.relay()
    assert receipt.contract_address is not None
    assert deployed("Proxy", receipt.contract_address, stack.l2).call("admin", sender="0x" + "00" * 20) == address_of(
        STRANGER
    )


def test_deposit__reverts_on_l2__the_ether_stays_with_its_sender(stack: OpStack) -> None:
    trader, refusing = stack.l2_signers["alice"], stack.l2_token.address
    before = stack.l2.balance(trader)
    deposit(stack, "alice", refusing, value=WAD, data=b"\xff" * 4)
    (receipt,) = stack.relay()
    assert not receipt.ok
    assert (stack.l2.balance(trader) - before, stack.l2.balance(refusing)) == (WAD, 0)
    assert stack.relay() == []


def test_deposit__of_more_than_its_sender_has__fails_and_holds_up_nobody(stack: OpStack) -> None:
    """The node refuses to take it; derivation must go on all the same, and what came from L1 must be there."""
    trader, fortune = stack.l2_signers["alice"], 10**24
    before, nonce = stack.l2.balance(trader), stack.l2.nonce(trader)
    portal = stack.l1_contract("OptimismPortal")
    portal.transact(stack.l1_signers["alice"], "depositTransaction", STRANGER, fortune, 100_000, False, b"", value=5)
    deposit(stack, "bob", STRANGER, value=7)
    assert [receipt.ok for receipt in stack.relay()] == [False, True]
    assert (stack.l2.balance(trader) - before, stack.l2.nonce(trader) - nonce) == (5, 1)
    assert (stack.l2.balance(STRANGER), stack.relay()) == (7, [])


def test_relay__two_relayers_at_once__each_deposit_once(stack: OpStack) -> None:
    for value in (1, 10, 100):
        deposit(stack, "alice", STRANGER, value=value)
    relayers = [OpStack(Chain(stack.l1.uri), Chain(stack.l2.uri), stack.settings) for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        executed = sum(len(receipts) for receipts in pool.map(OpStack.relay, relayers))
    assert (executed, stack.l2.balance(STRANGER)) == (3, 111)


def test_message__fails_on_l2__anyone_replays_it(stack: OpStack) -> None:
    """The bridge's message meets a token that has no code there yet, and passes once it has."""
    token, code = stack.l2_token.address, stack.l2.code(stack.l2_token.address)
    stack.l2.rpc.call("anvil_setCode", token, "0x60006000fd")
    receipt = stack.bridge("alice", 3 * UNIT)
    messenger = stack.l2_contract("L2CrossDomainMessenger")
    failed = messenger.event(receipt, "FailedRelayedMessage")
    assert receipt.ok
    stack.l2.rpc.call("anvil_setCode", token, "0x" + code.hex())
    assert stack.escrow == stack.l2_token.call("totalSupply") + 3 * UNIT
    call = stack.l2.rpc.call("eth_getTransactionByHash", receipt.tx_hash)["input"]
    stack.l2_signers["bob"].send(messenger.address, bytes.fromhex(call[2:]), gas=1_000_000)
    assert messenger.call("successfulMessages", failed["msgHash"])
    assert stack.l2_token.call("balanceOf", stack.l2_signers["alice"]) == 3 * UNIT


def test_relay__two_deposits_of_one_sender__each_once_in_order(stack: OpStack) -> None:
    deposit(stack, "alice", STRANGER, value=5)
    deposit(stack, "alice", STRANGER, value=7)
    receipts = stack.relay()
    values = [int(stack.l2.rpc.call("eth_getTransactionByHash", one.tx_hash)["value"], 16) for one in receipts]
    assert (values, stack.l2.balance(STRANGER)) == ([5, 7], 12)
    assert stack.relay() == []


def test_relay__two_in_one_l1_block__each_once(stack: OpStack) -> None:
    stack.l1.rpc.call("evm_setAutomine", False)
    portal = stack.l1_contract("OptimismPortal")
    calls = [
        portal.prepare("depositTransaction", STRANGER, 0, 100_000, False, bytes([one]), gas=300_000) for one in (1, 2)
    ]
    signer = stack.l1_signers["alice"]
    signer.broadcast(signer.sign_many(calls))
    stack.l1.rpc.call("evm_mine")
    stack.l1.rpc.call("evm_setAutomine", True)
    assert len({receipt.tx_hash for receipt in stack.relay()}) == 2
    assert stack.relay() == []


def test_relay__ended_in_between__goes_on_where_it_was(stack: OpStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (1, 10, 100):
        deposit(stack, "alice", STRANGER, value=value)
    include, left = Sequencer.include, [4]  # the attributes of two blocks and two deposits

    def dying(sequencer: Sequencer, one: Deposit) -> Receipt:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return include(sequencer, one)

    monkeypatch.setattr(Sequencer, "include", dying)
    with pytest.raises(KeyboardInterrupt):
        stack.relay()
    monkeypatch.undo()
    assert stack.l2.balance(STRANGER) == 11
    another = OpStack(stack.l1, stack.l2)
    assert [receipt.ok for receipt in another.relay()] == [True]
    assert (stack.l2.balance(STRANGER), stack.relay(), another.relay()) == (111, [], [])


def test_relay__ended_between_attributes_and_deposit__deposit_not_lost(
    stack: OpStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    deposit(stack, "alice", STRANGER, value=1)
    include = Sequencer.include
    seen: list[Deposit] = []

    def dying(sequencer: Sequencer, one: Deposit) -> Receipt:
        if seen:
            raise KeyboardInterrupt
        seen.append(one)
        return include(sequencer, one)

    monkeypatch.setattr(Sequencer, "include", dying)
    with pytest.raises(KeyboardInterrupt):
        stack.relay()
    monkeypatch.undo()
    assert stack.relayer.origin().number == stack.l1.block_number
    assert (len(stack.relay()), stack.l2.balance(STRANGER)) == (1, 1)


def test_relay__deposit_sent_but_not_yet_mined__waited_for(stack: OpStack) -> None:
    """A relayer that ended after sending: the next one must not send it again."""
    (one,) = stack.relayer.deposits_of(deposit(stack, "alice", STRANGER, value=1))
    stack.l2.rpc.call("eth_sendRawTransaction", "0x" + one.raw.hex())
    assert (stack.relay(), stack.l2.balance(STRANGER)) == ([], 1)


def test_attributes__as_l1_says__and_l2_never_before_it(stack: OpStack) -> None:
    stack.l1.rpc.call("evm_increaseTime", 1_000)
    stack.l1.rpc.call("evm_mine")
    stack.relay()
    head, known = stack.l1.block(), stack.l2_contract("L1Block")
    values = [known.call(name) for name in ("number", "timestamp", "basefee", "sequenceNumber", "baseFeeScalar")]
    assert values == [head.number, head.timestamp, head.base_fee, 0, 1_368]
    assert "0x" + known.call("hash").hex() == head.hash
    assert stack.l2.block().timestamp >= head.timestamp


def test_fees__l1_data__deducted_nearly_as_the_oracle_says(stack: OpStack) -> None:
    fees, trader, data = stack.l2_contract("GasPriceOracle"), stack.l2_signers["alice"], bytes(range(1, 200))
    assert (fees.call("isEcotone"), fees.call("isFjord")) == (True, True)
    before = trader.balance
    receipt = trader.send(STRANGER, data, gas=100_000)
    raw = bytes.fromhex(stack.l2.rpc.call("eth_getRawTransactionByHash", receipt.tx_hash)[2:])
    unsigned = b"\x02" + rlp.encode(rlp.decode(raw[1:])[:9])
    estimate = fees.call("getL1Fee", unsigned, block=receipt.block_number - 1)
    deducted = before - trader.balance - receipt.fee
    assert deducted > 0
    assert abs(deducted - estimate) * 50 < estimate  # the oracle guesses what the signature adds once compressed


def test_settings__mistakes__named() -> None:
    with pytest.raises(UserError, match="portal 'zk' is neither games nor oracle"):
        OpStackSettings(portal="zk")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="air_gap_seconds -1 is negative"):
        OpStackSettings(air_gap_seconds=-1)


def test_attach__settings__read_from_l1(either: OpStack) -> None:
    assert OpStack(either.l1, either.l2).settings == either.settings
    with pytest.raises(UserError, match="no rollup of a devnet is deployed there"):
        OpStack(either.l2, either.l1)


def test_contracts__unknown_name__says_what_there_is(stack: OpStack) -> None:
    with pytest.raises(UserError, match="Portal is not deployed on L1; there are SuperchainConfig, "):
        stack.l1_contract("Portal")
    with pytest.raises(UserError, match="Portal is no predeploy; there are L2CrossDomainMessenger, "):
        stack.l2_contract("Portal")
