"""Calls and events of the contracts, on a node that answers from a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.book.engine import Work
from plimsoll.book.matcher import OnChain
from plimsoll.book.records import Sent
from plimsoll.book.settle import Gone, Mined, Simulated
from plimsoll.chain.abi import AbiError, Registry
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.rpc import RpcClient, RpcError
from plimsoll.chain.transactions import Chain, Signer
from plimsoll.core.orders import TimeInForce
from plimsoll.core.units import WAD
from tests.python.book.setting import FOK, GTT, desk

ORDER = "(uint256,uint256,uint8,int256,uint256,uint256,bool,uint8,uint256,bytes32,uint256)"
BOOK = "0x" + "B0" * 20
KEY = (7).to_bytes(32, "big")
A, B, TAKER = 1, 2, 9


def struct(name: str, kinds: str) -> dict[str, Any]:
    """A parameter: `kinds` with commas between, in parentheses where it is a struct."""
    if not kinds.startswith("("):
        return {"name": name, "type": kinds}
    inner = kinds[1:-1].split(",")
    return {
        "name": name,
        "type": "tuple",
        "components": [{"name": f"f{i}", "type": one} for i, one in enumerate(inner)],
    }


def entry(kind: str, name: str, *inputs: dict[str, Any], outputs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": kind,
        "name": name,
        "stateMutability": "nonpayable",
        "inputs": list(inputs),
        "outputs": [{"name": "", "type": one} for one in outputs],
    }


def indexed(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "indexed": True}


def plain(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind, "indexed": False}


FILL = {
    "name": "makers",
    "type": "tuple[]",
    "components": [struct("order", ORDER), struct("signature", "bytes"), struct("base", "uint256")],
}
ABI = [
    entry("function", "matchBatch", struct("taker", ORDER), struct("signature", "bytes"), FILL, outputs=("uint256",)),
    entry(
        "function", "matchOrders", struct("maker", ORDER), struct("a", "bytes"), struct("taker", ORDER),
        struct("b", "bytes"), struct("base", "uint256"),
    ),
    entry("error", "OrderBook_NothingMatched", struct("takerHash", "bytes32")),
    entry("error", "OrderBook_FillOrKill", struct("hash", "bytes32"), struct("matched", "uint256")),
    entry("error", "OrderBook_Expired", struct("expiry", "uint256")),
    entry(
        "event", "OrdersMatched", indexed("makerHash", "bytes32"), indexed("takerHash", "bytes32"),
        indexed("marketId", "uint256"), plain("base", "int256"),
    ),
    entry("event", "MatchSkipped", indexed("makerHash", "bytes32"), plain("reason", "bytes")),
]  # fmt: skip
INTERFACE = Interface("OrderBook", ABI)
REGISTRY = Registry()
REGISTRY.add(ABI)
Answer = Callable[[list[Any]], Any]


class Node(RpcClient):
    """Answers by method; what it has no answer for it doesn't know."""

    def __init__(self, **answers: Answer) -> None:
        super().__init__("http://127.0.0.1:1")
        self.answers = {"eth_chainId": lambda _: "0x385"} | answers
        self.asked: list[str] = []

    def call(self, method: str, *params: Any) -> Any:
        self.asked.append(method)
        if method not in self.answers:
            raise RpcError(method, -32601, f"the method {method} does not exist/is not available")
        return self.answers[method](list(params))

    def batch(self, calls: Any, *, size: int = 100, raise_errors: bool = True) -> list[Any]:
        results = []
        for method, params in calls:
            try:
                results.append(self.call(method, *params))
            except RpcError as error:
                if raise_errors:
                    raise
                results.append(error)
        return results


def on_chain(node: Node) -> OnChain:
    chain = Chain(node, registry=REGISTRY)
    return OnChain(Deployed(INTERFACE, BOOK, chain), Signer(chain, KEY))


def work(*makers: int, time_in_force: TimeInForce = GTT) -> Work:
    """A taker with makers of five each."""
    book = desk(A, B, TAKER)
    for number in makers:
        book.submit(number, -5, 0)
    book.submit(TAKER, 5 * len(makers), 0, time_in_force=time_in_force)
    return book.engine.work(1)[0]


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


def word(number: int) -> bytes:
    return (number % 2**256).to_bytes(32, "big")


def error_data(name: str, *args: Any) -> bytes:
    return REGISTRY.errors_named(name)[0].encode(args)


def matched(one: Work, place: int, base: int = 5 * WAD) -> dict[str, Any]:
    topics = [INTERFACE.events["OrdersMatched"].topic, one.matches[place].maker, one.taker.hash, word(1)]
    return log(topics, word(base))


def skipped(one: Work, place: int, reason: bytes) -> dict[str, Any]:
    padded = reason.ljust(-(-len(reason) // 32) * 32, b"\0")
    topics = [INTERFACE.events["MatchSkipped"].topic, one.matches[place].maker]
    return log(topics, word(32) + word(len(reason)) + padded)


def log(topics: list[bytes], data: bytes, address: str = BOOK) -> dict[str, Any]:
    return {"address": address.lower(), "topics": [hexed(topic) for topic in topics], "data": hexed(data)}


def simulation(*calls: dict[str, Any]) -> Answer:
    return lambda _: [{"calls": list(calls)}]


def refusal(data: bytes) -> Answer:
    def refuse(_: list[Any]) -> Any:
        raise RpcError("eth_call", 3, "execution reverted", hexed(data))

    return refuse


EXPIRED = error_data("OrderBook_Expired", 5)


def reasons(one: Simulated) -> dict[int, str]:
    return {match_id: reverted.reason for match_id, reverted in one.skips.items()}


def test_simulate__all_matched__clean() -> None:
    one = work(A, B)
    other = log([b"\0" * 32], b"", "0x" + "11" * 20)
    node = Node(eth_simulateV1=simulation({"status": "0x1", "logs": [matched(one, 0), other, matched(one, 1)]}))
    assert on_chain(node).simulate([one]) == [Simulated()]


def test_simulate__one_skipped__by_its_match_with_the_reason() -> None:
    one = work(A, B)
    logs = [skipped(one, 0, EXPIRED), matched(one, 1)]
    (found,) = on_chain(Node(eth_simulateV1=simulation({"status": "0x1", "logs": logs}))).simulate([one])
    assert (found.reverts, reasons(found)) == (None, {one.matches[0].id: "OrderBook_Expired(expiry=5)"})


def test_simulate__several_takers__one_request_in_order() -> None:
    first, second = work(A), work(B)
    calls = {"status": "0x1", "logs": [matched(first, 0)]}, {"status": "0x0", "returnData": hexed(EXPIRED)}
    node = Node(eth_simulateV1=simulation(*calls))
    found = on_chain(node).simulate([first, second])
    assert (found[0], found[1].reverts is not None and found[1].reverts.name) == (Simulated(), "OrderBook_Expired")
    assert node.asked.count("eth_simulateV1") == 1


def test_simulate__events_of_others__is_an_error() -> None:
    one, other = work(A), work(B)
    node = Node(eth_simulateV1=simulation({"status": "0x1", "logs": [matched(other, 0)]}))
    with pytest.raises(AbiError, match="of other makers"):
        on_chain(node).simulate([one])


def test_simulate__nothing_matched__traced_to_each_maker() -> None:
    one = work(A, B)
    failed = {"status": "0x0", "error": {"data": hexed(error_data("OrderBook_NothingMatched", one.taker.hash))}}
    parts = [
        {"type": "DELEGATECALL", "input": "0x11223344aa", "error": "execution reverted", "output": hexed(EXPIRED)},
        {"type": "DELEGATECALL", "input": "0x11223344bb", "calls": []},
    ]
    inner = {"type": "DELEGATECALL", "input": "0x", "calls": [{"type": "STATICCALL", "input": "0x"}, *parts]}
    trace = {"type": "CALL", "input": "0x", "calls": [inner]}
    node = Node(eth_simulateV1=simulation(failed), debug_traceCall=lambda _: trace)
    (found,) = on_chain(node).simulate([one])
    assert reasons(found) == {one.matches[0].id: "OrderBook_Expired(expiry=5)"}


def test_simulate__one_maker_and_a_proxy__the_batch_itself_is_no_match() -> None:
    """The order book passes a batch on by one delegatecall, which looks like the match of a single maker."""
    one = work(A)
    failed = {"status": "0x0", "returnData": hexed(error_data("OrderBook_NothingMatched", one.taker.hash))}
    selector = hexed(INTERFACE.selector("matchBatch"))
    part = {"type": "DELEGATECALL", "input": "0x11223344", "error": "reverted", "output": hexed(EXPIRED)}
    outer = {"type": "DELEGATECALL", "input": selector + "00", "error": "reverted", "output": "0x", "calls": [part]}
    trace = {"type": "CALL", "input": selector, "error": "reverted", "calls": [outer]}
    node = Node(eth_simulateV1=simulation(failed), debug_traceCall=lambda _: trace)
    assert reasons(on_chain(node).simulate([one])[0]) == {one.matches[0].id: "OrderBook_Expired(expiry=5)"}


def test_simulate__nothing_matched_and_no_trace__each_maker_asked() -> None:
    one = work(A, B)
    failed = {"status": "0x0", "returnData": hexed(error_data("OrderBook_NothingMatched", one.taker.hash))}
    node = Node(eth_simulateV1=simulation(failed), eth_call=refusal(EXPIRED))
    (found,) = on_chain(node).simulate([one])
    assert set(reasons(found)) == {match.id for match in one.matches}


def test_simulate__fill_or_kill_and_no_trace__reverts_as_a_whole() -> None:
    one = work(A, B, time_in_force=FOK)
    failed = {"status": "0x0", "returnData": hexed(error_data("OrderBook_FillOrKill", one.taker.hash, 5))}
    (found,) = on_chain(Node(eth_simulateV1=simulation(failed))).simulate([one])
    assert (found.reverts is not None and found.reverts.name, found.skips) == ("OrderBook_FillOrKill", {})


@pytest.mark.parametrize("code", [-32601, -32000])
def test_simulate__node_without_it__called_and_not_asked_again(code: int) -> None:
    one = work(A, B)

    def unknown(_: list[Any]) -> Any:
        raise RpcError("eth_simulateV1", code, "Method not found")

    node = Node(eth_simulateV1=unknown, eth_call=lambda _: hexed(word(10 * WAD)))
    chain = on_chain(node)
    assert chain.simulate([one]) == chain.simulate([one]) == [Simulated()]
    assert node.asked.count("eth_simulateV1") == 1


def test_simulate__node_without_it_and_less_matched__each_maker_asked() -> None:
    one = work(A, B)
    batch = INTERFACE.selector("matchBatch").hex()

    def call(params: list[Any]) -> Any:
        data = params[0].get("input") or params[0]["data"]
        if data[2:10] == batch:
            return hexed(word(5 * WAD))
        if data[10:74] == word(one.makers[0].order.account).hex():
            raise RpcError("eth_call", 3, "execution reverted", hexed(EXPIRED))
        return "0x"

    (found,) = on_chain(Node(eth_call=call)).simulate([one])
    assert reasons(found) == {one.matches[0].id: "OrderBook_Expired(expiry=5)"}


def test_simulate__node_fails__not_taken_for_an_answer() -> None:
    def broken(_: list[Any]) -> Any:
        raise RpcError("eth_simulateV1", -32000, "header not found")

    chain = on_chain(Node(eth_simulateV1=broken))
    for _ in range(2):
        with pytest.raises(RpcError, match="header not found"):
            chain.simulate([work(A)])


# --- outcomes --------------------------------------------------------------------------------------------------------

SENT = Sent("0x" + "ab" * 32, 3, b"raw", bytes(32))


def receipt(status: int, logs: list[dict[str, Any]]) -> dict[str, Any]:
    placed = {"blockNumber": "0x9", "transactionHash": SENT.tx_hash, "logIndex": "0x0"}
    return {
        "transactionHash": SENT.tx_hash, "status": hex(status), "blockNumber": "0x9", "gasUsed": "0x1",
        "from": "0x" + "11" * 20, "to": BOOK, "contractAddress": None, "logs": [one | placed for one in logs],
    }  # fmt: skip


def test_outcome__mined__makers_in_order() -> None:
    one = work(A, B)
    logs = [matched(one, 0, -5 * WAD), skipped(one, 1, EXPIRED)]
    node = Node(
        eth_blockNumber=lambda _: "0x9",
        eth_getTransactionCount=lambda _: "0x3",
        eth_getTransactionReceipt=lambda _: receipt(1, logs),
    )
    found = on_chain(node).outcome(SENT)
    assert isinstance(found, Mined)
    assert found.makers[0] == (one.matches[0].maker, 5 * WAD)
    assert (found.makers[1][0], str(found.makers[1][1])) == (one.matches[1].maker, "OrderBook_Expired(expiry=5)")


def test_outcome__reverted__says_why() -> None:
    node = Node(
        eth_blockNumber=lambda _: "0x9",
        eth_getTransactionCount=lambda _: "0x4",
        eth_getTransactionReceipt=lambda _: receipt(0, []),
        debug_traceTransaction=lambda _: {"output": hexed(EXPIRED)},
    )
    found = on_chain(node).outcome(SENT)
    assert isinstance(found, Mined)
    assert found.reverted is not None
    assert found.reverted.name == "OrderBook_Expired"


@pytest.mark.parametrize(("nonce", "is_gone"), [(3, False), (4, True)])
def test_outcome__no_receipt__gone_once_its_nonce_was_used_some_blocks_ago(nonce: int, is_gone: bool) -> None:
    asked: list[Any] = []

    def count(params: list[Any]) -> str:
        asked.append(params[1])
        return hex(nonce)

    node = Node(
        eth_blockNumber=lambda _: "0x9",
        eth_getTransactionCount=count,
        eth_getTransactionReceipt=lambda _: None,
    )
    assert isinstance(on_chain(node).outcome(SENT), Gone) == is_gone
    assert asked == ["0x4"]


def test_sign_and_send__bytes_that_are_known_already__no_trouble() -> None:
    sent_raw: list[str] = []

    def send(params: list[Any]) -> str:
        if params[0] in sent_raw:
            raise RpcError("eth_sendRawTransaction", -32000, "already known")
        sent_raw.append(params[0])
        return "0x"

    block = {
        "number": "0x1", "timestamp": "0x1", "gasLimit": "0x1", "gasUsed": "0x0", "hash": "0x", "parentHash": "0x",
        "baseFeePerGas": "0x5",
    }  # fmt: skip
    node = Node(
        eth_getBlockByNumber=lambda _: block,
        eth_maxPriorityFeePerGas=lambda _: "0x0",
        eth_getTransactionCount=lambda _: "0x7",
        eth_sendRawTransaction=send,
    )
    chain = on_chain(node)
    signed = chain.sign([work(A), work(B)])
    assert [one.nonce for one in signed] == [7, 8]
    chain.send(signed)
    chain.send(signed)
    assert sent_raw == [hexed(one.raw) for one in signed]
