"""Signer, chain and deployed contracts against a node: nonces, reverts by name, events, and answers that get lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from eth_account.messages import encode_defunct

from plimsoll.chain import transactions
from plimsoll.chain.abi import AbiError
from plimsoll.chain.contracts import Deployed, artifact, created_address, decode_logs, interface
from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.chain.transactions import Call, Chain, Reverted, Signer, plain
from plimsoll.core.errors import UserError
from plimsoll.devnet.anvil import Anvil, AnvilSettings

KEY_ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
OTHER_KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
EMPTY_KEY = "0x" + "11" * 32

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def node(built: None) -> Iterator[Anvil]:
    with Anvil(AnvilSettings()) as running:
        yield running


@pytest.fixture
def chain(node: Anvil) -> Iterator[Chain]:
    with_snapshot = Chain(node.url, poll_seconds=0.01)
    snapshot = with_snapshot.rpc.call("evm_snapshot")
    yield with_snapshot
    with_snapshot.rpc.call("evm_revert", snapshot)
    with_snapshot.close()


@pytest.fixture
def signer(chain: Chain) -> Signer:
    return Signer(chain, KEY, name="owner")


@pytest.fixture
def token(chain: Chain, signer: Signer) -> Deployed:
    code = artifact("MockToken").bytecode + interface("MockToken").encode_constructor(["Dollar", "USD", 6])
    receipt = signer.deploy(code)
    assert receipt.contract_address is not None
    return Deployed.of("MockToken", receipt.contract_address, chain)


class Broken:
    """Stands between a client and its node: fails the calls of a method in a way of its own."""

    def __init__(self, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
        self.call = chain.rpc.call
        self.failures: dict[str, list[Any]] = {}
        self.seen: list[str] = []
        monkeypatch.setattr(chain.rpc, "call", self)

    def __call__(self, method: str, *params: Any) -> Any:
        self.seen.append(method)
        waiting = self.failures.get(method)
        if not waiting:
            return self.call(method, *params)
        failure = waiting.pop(0)
        if isinstance(failure, RpcUnavailable):
            self.call(method, *params)  # it arrives, and the answer is lost
        raise failure


@pytest.fixture
def broken(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(chain, monkeypatch)


# --- sending -------------------------------------------------------------------------------------------------------


def test_send__success__receipt_with_events(token: Deployed, signer: Signer) -> None:
    receipt = token.transact(signer, "mint", signer, 5)
    assert (receipt.ok, receipt.to, receipt.sender) == (True, token.address, signer.address)
    event = token.event(receipt, "Transfer")
    assert event.values == {"from": "0x" + "0" * 40, "to": signer.address, "value": 5}
    assert token.call("balanceOf", signer) == 5
    assert receipt.fee == receipt.gas_used * receipt.gas_price > 0


def test_deploy__address__follows_from_the_nonce(chain: Chain, signer: Signer) -> None:
    for _ in range(2):
        nonce = signer.nonce
        assert signer.deploy(bytes.fromhex("6001600c60003960016000f300")).contract_address == created_address(
            signer, nonce
        )
    assert created_address(signer, 200) != created_address(signer, 20_000)


def test_send__would_revert__nothing_sent(token: Deployed, signer: Signer) -> None:
    nonce = signer.nonce
    with pytest.raises(Reverted) as caught:
        token.transact(signer, "transfer", token, 7)
    assert caught.value.name == "ERC20InsufficientBalance"
    assert caught.value.values == {"sender": signer.address, "balance": 0, "needed": 7}
    assert caught.value.receipt is None
    assert signer.nonce == nonce


def test_send__reverts_when_mined__named_with_receipt(token: Deployed, signer: Signer, chain: Chain) -> None:
    with pytest.raises(Reverted) as caught:
        token.transact(signer, "transfer", token, 7, gas=200_000)
    assert caught.value.reason == f"ERC20InsufficientBalance(sender={signer.address}, balance=0, needed=7)"
    assert caught.value.receipt is not None
    assert caught.value.receipt.status == 0
    assert signer.nonce == chain.nonce(signer)


def test_send__unchecked__failed_receipt(token: Deployed, signer: Signer) -> None:
    assert not token.transact(signer, "transfer", token, 7, gas=200_000, check=False).ok


def test_why__node_without_traces__call_repeated(token: Deployed, signer: Signer, broken: Broken) -> None:
    receipt = token.transact(signer, "transfer", token, 7, gas=200_000, check=False)
    broken.failures["debug_traceTransaction"] = [RpcError("debug_traceTransaction", -32601, "not found")]
    assert token.chain.why(receipt).values["needed"] == 7


def test_send__out_of_gas__has_no_name(token: Deployed, signer: Signer) -> None:
    with pytest.raises(Reverted) as caught:
        token.transact(signer, "mint", signer, 5, gas=30_000)
    assert (caught.value.name, caught.value.data) == ("", b"")


def test_send__without_ether__says_so(chain: Chain) -> None:
    with pytest.raises(UserError, match=r"poor 0x\w{40} has too little ETH; send it some"):
        Signer(chain, EMPTY_KEY, name="poor").send(created_address(KEY_ADDRESS, 0), value=1, gas=21_000)


# --- nonces and lost answers ---------------------------------------------------------------------------------------


def test_nonce__behind_the_chain__read_again(token: Deployed, signer: Signer) -> None:
    signer._nonce = 0
    assert token.transact(signer, "mint", signer, 5).ok


def test_nonce__ahead_of_the_chain__forgotten_on_request(token: Deployed, signer: Signer) -> None:
    signer._nonce = 50
    signer.forget_nonce()
    assert token.transact(signer, "mint", signer, 5).ok


def test_nonce__used_by_another_signer_of_the_key__read_again(token: Deployed, signer: Signer, chain: Chain) -> None:
    assert signer.nonce == chain.nonce(signer)
    token.transact(Signer(chain, KEY), "mint", signer, 1)
    assert token.transact(signer, "mint", signer, 1).ok
    assert token.call("balanceOf", signer) == 2


def test_send__node_without_sync_sending__polls(token: Deployed, signer: Signer, broken: Broken) -> None:
    broken.failures["eth_sendRawTransactionSync"] = [RpcError("eth_sendRawTransactionSync", -32601, "Method not found")]
    assert token.transact(signer, "mint", signer, 5).ok
    assert token.transact(signer, "mint", signer, 5).ok
    assert broken.seen.count("eth_sendRawTransactionSync") == 1
    assert broken.seen.count("eth_sendRawTransaction") == 2


@pytest.mark.parametrize("has_sync", [True, False])
def test_send__answer_lost__mined_once(token: Deployed, signer: Signer, broken: Broken, has_sync: bool) -> None:
    """The connection breaks after the transaction arrived; the same bytes sent again are no second transaction."""
    token.chain.has_sync = has_sync
    method = "eth_sendRawTransactionSync" if has_sync else "eth_sendRawTransaction"
    broken.failures[method] = [RpcUnavailable("lost")]
    nonce = signer.nonce
    assert token.transact(signer, "mint", signer, 5).ok
    assert broken.failures[method] == []
    assert token.call("balanceOf", signer) == 5
    assert token.chain.nonce(signer) == nonce + 1


def test_send_many__consecutive_nonces__receipts_in_order(token: Deployed, signer: Signer) -> None:
    receipts = signer.send_many([token.prepare("mint", signer, amount, gas=100_000) for amount in range(1, 51)])
    assert [token.event(receipt, "Transfer")["value"] for receipt in receipts] == list(range(1, 51))
    assert signer.nonce == token.chain.nonce(signer)


@pytest.fixture
def lazy(node: Anvil) -> Iterator[Anvil]:
    """Leaves what comes in its pool, and says that it mines at once: as anvil now and then does."""
    node.rpc.call("evm_setAutomine", False)
    yield node
    node.rpc.call("evm_setAutomine", True)


def test_send_many__node_left_them_in_its_pool__it_is_nudged(
    lazy: Anvil, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "NUDGE_SECONDS", 0.05)
    monkeypatch.setattr(transactions, "RECEIPT_SECONDS", 0.5)
    signer = Signer(chain, KEY)
    calls = [Call(signer.address, b"", gas=30_000)] * 3
    chain.nudge = lazy.mine_leftovers  # which does nothing while it is known not to mine
    with pytest.raises(RpcUnavailable, match="3 transactions were not mined in time"):
        signer.send_many(calls)
    monkeypatch.setattr(transactions, "RECEIPT_SECONDS", 30.0)
    call = lazy.rpc.call
    monkeypatch.setattr(lazy.rpc, "call", lambda name, *args: name == "anvil_getAutomine" or call(name, *args))
    assert [one.ok for one in signer.send_many(calls)] == [True] * 3
    height = chain.block_number
    lazy.mine_leftovers()
    assert chain.block_number == height


def test_send_many__one_fails__the_others_go_on(token: Deployed, signer: Signer) -> None:
    calls = [
        token.prepare("mint", signer, 1, gas=100_000),
        token.prepare("transfer", token, 7, gas=100_000),
        token.prepare("mint", signer, 1, gas=100_000),
    ]
    assert [receipt.ok for receipt in signer.send_many(calls)] == [True, False, True]
    with pytest.raises(Reverted, match="ERC20InsufficientBalance"):
        signer.send_many(calls[1:2], check=True)
    assert signer.send_many([]) == []


def test_sign_many__broadcast_twice__mined_once(token: Deployed, signer: Signer) -> None:
    first = token.chain.nonce(signer)
    signed = signer.sign_many([token.prepare("mint", signer, amount, gas=100_000) for amount in (1, 2)])
    assert [one.nonce for one in signed] == [first, first + 1]
    assert token.chain.nonce(signer) == first
    signer.broadcast(signed)
    signer.broadcast(signed)
    receipts = [token.chain.wait_for(one.tx_hash) for one in signed]
    assert [token.event(receipt, "Transfer")["value"] for receipt in receipts] == [1, 2]
    assert token.chain.nonce(signer) == signer.nonce == first + 2


def test_sign_many__not_sent__nonces_free_again(token: Deployed, signer: Signer) -> None:
    first = signer.nonce
    assert signer.sign_many([]) == []
    signer.sign_many([token.prepare("mint", signer, 1, gas=100_000)])
    assert signer.nonce == first + 1
    signer.forget_nonce()
    assert signer.nonce == first


def test_fees__tip__is_the_nodes_up_to_ours(chain: Chain) -> None:
    _, suggested = chain.fees(fresh=True)
    chain.max_tip = suggested - 1
    assert chain.fees(fresh=True)[1] == suggested - 1
    chain.max_tip = suggested + 1
    assert chain.fees(fresh=True)[1] == suggested
    assert chain.fees()[0] == 2 * chain.block().base_fee + suggested


def test_key__wrong__not_shown(chain: Chain) -> None:
    for key in ("0x12", "secret words", b"\0" * 32):
        with pytest.raises(UserError) as caught:
            Signer(chain, key)
        assert str(caught.value) == "private key: not 0x and 64 hexadecimal digits of a valid key"


def test_key__given_back_and_signs(chain: Chain, signer: Signer) -> None:
    assert signer.key == KEY
    assert len(signer.sign_message(encode_defunct(text="x"))) == 65


# --- reading -------------------------------------------------------------------------------------------------------


def test_read__many__decoded_in_order(token: Deployed, signer: Signer, chain: Chain) -> None:
    token.transact(signer, "mint", signer, 5)
    calls = [token.prepare("balanceOf", signer), token.prepare("symbol"), token.prepare("transfer", token, 1)]
    results = chain.read(calls, raise_errors=False)
    assert results[:2] == [5, "USD"]
    assert isinstance(results[2], Reverted)
    with pytest.raises(Reverted):
        chain.read(calls)


def test_call__past_block_and_sender(token: Deployed, signer: Signer, chain: Chain) -> None:
    before = chain.block_number
    token.transact(signer, "mint", signer, 5)
    assert token.call("balanceOf", signer, block=before) == 0
    assert token.call("transfer", token, 5, sender=signer) is True
    with pytest.raises(Reverted):
        token.call("transfer", token, 5, sender=Signer(chain, OTHER_KEY))


def test_call__nothing_there__says_so(chain: Chain) -> None:
    with pytest.raises(UserError, match=r"MockToken.decimals: nothing of that kind is deployed at 0x"):
        Deployed.of("MockToken", created_address(KEY_ADDRESS, 999), chain).call("decimals")


def test_call__wrong_name_or_arguments__says_what(token: Deployed) -> None:
    with pytest.raises(AbiError, match="MockToken has no balance"):
        token.call("balance")
    with pytest.raises(AbiError, match=r"balanceOf\(address\) takes 1 arguments, not 2"):
        token.call("balanceOf", 1, 2)


def test_history__by_indexed_value__those_only(token: Deployed, signer: Signer, chain: Chain) -> None:
    other = Signer(chain, OTHER_KEY)
    for account in (signer, other, signer):
        token.transact(signer, "mint", account, 5)
    found = token.history("Transfer", topics=[None, bytes.fromhex(signer.address[2:])])
    assert [event["to"] for event in found] == [signer.address] * 2
    assert len(token.history()) == 3
    assert [event.name for event in decode_logs(chain.logs(token))] == ["Transfer"] * 3


def test_block__unknown__says_so(chain: Chain) -> None:
    with pytest.raises(UserError, match="has no block 99999"):
        chain.block(99_999)
    assert chain.block().number == chain.block_number


def test_revert__plain_reason_and_panic__named(chain: Chain) -> None:
    reason = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (2).to_bytes(32, "big") + b"no".ljust(32, b"\0")
    assert chain.revert_of(reason).reason == "reverted: no"
    assert chain.revert_of(bytes.fromhex("4e487b71") + (17).to_bytes(32, "big")).values == {"code": 17}
    assert chain.revert_of(b"\1\2\3\4").reason == "reverted with 0x01020304"
    assert chain.revert_of(b"").reason == "reverted with no data"


def test_plain__structs__dicts_at_every_depth() -> None:
    decode = interface("Governance").function("roles")
    empty = decode.decode((32).to_bytes(32, "big") + (0).to_bytes(32, "big"))
    assert plain(empty) == []
    view = interface("OrderBook").function("queue").decode(b"".join(n.to_bytes(32, "big") for n in range(7)))
    assert plain(view)[0] == {
        "executionFee": 0,
        "feeReserveBps": 1,
        "settlementDelay": 2,
        "settlementWindow": 3,
        "relayFee": 4,
    }


def test_call__created_by_hand__label_and_gas(token: Deployed) -> None:
    call = token.prepare("mint", token, 1, value=3, gas=9)
    assert (call.label, call.value, call.gas, call.to) == ("MockToken.mint", 3, 9, token.address)
    assert Call(None, b"").decode(b"x") == b"x"
