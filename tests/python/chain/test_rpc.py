import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from plimsoll.chain.rpc import NO_RETRY, Retry, RpcClient, RpcError, RpcLimited, RpcUnavailable
from plimsoll.core.errors import UserError

FAST = Retry(attempts=3, first_wait_seconds=0.001, max_wait_seconds=0.002)


class Node(ThreadingHTTPServer):
    """A node of few words. `breaks` requests are received and then cut off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks = 0
        self.limits = 0
        self.retry_after = ""
        self.requests: list[Any] = []
        self.connections: set[tuple[str, int]] = set()
        self.reply: Callable[[Any], Any] | None = None
        self.raw: bytes | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Node

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.connections.add(self.client_address)
        if self.server.breaks > 0:
            self.server.breaks -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.server.limits > 0:
            self.server.limits -= 1
            self.send_response(429)
            self.send_header("Retry-After", self.server.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.server.reply is not None:
            answer = self.server.reply(body)
        else:
            answer = [self.one(call) for call in reversed(body)] if isinstance(body, list) else self.one(body)
        content = self.server.raw if self.server.raw is not None else json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def one(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "eth_fail":
            error = {"code": 3, "message": "execution reverted", "data": "0x1234"}
            return {"jsonrpc": "2.0", "id": call["id"], "error": error}
        return {"jsonrpc": "2.0", "id": call["id"], "result": call["params"]}

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_call__result__comes_over_one_kept_connection(node: Node) -> None:
    with RpcClient(node.url) as rpc:
        assert [rpc.call("eth_echo", 1, "a"), rpc.call("eth_echo")] == [[1, "a"], []]
    assert len(node.connections) == 1


def test_call__refused__raises_with_code_message_and_data(node: Node) -> None:
    with RpcClient(node.url) as rpc, pytest.raises(RpcError) as raised:
        rpc.call("eth_fail")
    error = raised.value
    assert (error.method, error.code, error.message, error.data) == ("eth_fail", 3, "execution reverted", "0x1234")
    assert str(error) == "eth_fail: execution reverted (code 3)"


def test_batch__answers_out_of_order__are_put_in_order_and_sent_in_chunks(node: Node) -> None:
    with RpcClient(node.url) as rpc:
        assert rpc.batch([("eth_echo", [n]) for n in range(25)], size=10) == [[n] for n in range(25)]
        assert rpc.batch([]) == []
    assert [len(request) for request in node.requests] == [10, 10, 5]


def test_batch__one_refused__raises_or_stands_in_the_list(node: Node) -> None:
    calls = [("eth_echo", [1]), ("eth_fail", []), ("eth_echo", [2])]
    with RpcClient(node.url) as rpc:
        with pytest.raises(RpcError):
            rpc.batch(calls)
        first, second, third = rpc.batch(calls, raise_errors=False)
    assert (first, third) == ([1], [2])
    assert isinstance(second, RpcError)


def test_batch__refused_as_a_whole__raises(node: Node) -> None:
    node.reply = lambda _: {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "batch too large"}}
    with RpcClient(node.url) as rpc, pytest.raises(RpcError, match="batch too large"):
        rpc.batch([("eth_echo", []), ("eth_echo", [])])


def test_batch__answer_left_out__raises(node: Node) -> None:
    node.reply = lambda body: [{"jsonrpc": "2.0", "id": body[0]["id"], "result": 1}]
    with RpcClient(node.url) as rpc, pytest.raises(RpcUnavailable, match="left eth_echo without an answer"):
        rpc.batch([("eth_echo", []), ("eth_echo", [])])


@pytest.mark.parametrize("method", ["eth_call", "net_version", "web3_clientVersion"])
def test_call__reading_method_cut_off__is_sent_again(node: Node, method: str) -> None:
    node.breaks = 2
    with RpcClient(node.url, retry=FAST) as rpc:
        assert rpc.call(method, 1) == [1]
    assert len(node.requests) == 3


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_sendRawTransaction", "evm_mine", "anvil_setBalance"])
def test_call__changing_method_cut_off__is_never_sent_twice(node: Node, method: str) -> None:
    node.breaks = 1
    with RpcClient(node.url, retry=FAST) as rpc, pytest.raises(RpcUnavailable, match="no answer"):
        rpc.call(method, 1)
    assert len(node.requests) == 1


def test_batch__with_a_changing_method_cut_off__is_never_sent_twice(node: Node) -> None:
    node.breaks = 1
    with RpcClient(node.url, retry=FAST) as rpc, pytest.raises(RpcUnavailable):
        rpc.batch([("eth_call", []), ("eth_sendTransaction", [])])
    assert len(node.requests) == 1


def test_call__more_failures_than_attempts__raises(node: Node) -> None:
    node.breaks = 9
    with RpcClient(node.url, retry=FAST) as rpc, pytest.raises(RpcUnavailable):
        rpc.call("eth_call")
    assert len(node.requests) == 3


def test_call__connection_refused__retries_any_method() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with RpcClient(url, retry=NO_RETRY) as rpc, pytest.raises(RpcUnavailable, match="is the node running"):
        rpc.call("evm_mine")
    started = time.monotonic()
    with RpcClient(url, retry=Retry(3, 0.05, 0.05)) as rpc, pytest.raises(RpcUnavailable):
        rpc.call("evm_mine")
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize("raw", [b"<html>no</html>", b"", b"[1]", b'"x"'])
def test_call__no_json_rpc__raises(node: Node, raw: bytes) -> None:
    node.raw = raw
    with RpcClient(node.url) as rpc, pytest.raises(RpcUnavailable, match="JSON-RPC"):
        rpc.call("eth_call")


def test_client__threads__have_a_connection_each(node: Node) -> None:
    with RpcClient(node.url) as rpc:
        barrier = threading.Barrier(4)
        results: list[Any] = []

        def work(number: int) -> None:
            barrier.wait()
            results.extend(rpc.call("eth_echo", number) for _ in range(20))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == sorted([number] for number in range(4) for _ in range(20))
    assert len(node.connections) == 4


def test_client__closed__can_be_used_again(node: Node) -> None:
    rpc = RpcClient(node.url)
    rpc.call("eth_echo")
    rpc.close()
    rpc.close()
    assert rpc.call("evm_echo", 2) == [2]
    rpc.close()


def test_retry__waits__double_up_to_the_maximum() -> None:
    retry = Retry(9, 0.5, 3)
    assert [retry.wait(failures) for failures in (1, 2, 3, 4, 5)] == [0.5, 1, 2, 3, 3]


def test_wait_for_receipt__pending_then_mined__polls(node: Node) -> None:
    left = [None, None, {"status": "0x1"}]
    node.reply = lambda body: {"id": body["id"], "result": left.pop(0) if len(left) > 1 else left[0]}
    with RpcClient(node.url) as rpc:
        assert rpc.wait_for_receipt("0xab") == {"status": "0x1"}
        left[:] = [None]
        with pytest.raises(RpcUnavailable, match="no receipt of 0xab"):
            rpc.wait_for_receipt("0xab", timeout_seconds=0.02)


@pytest.mark.parametrize("url", ["127.0.0.1:8545", "ws://127.0.0.1:1", "http://", "http://host:99999", ""])
def test_client__no_http_address__is_a_user_error(url: str) -> None:
    with pytest.raises(UserError, match="node address"):
        RpcClient(url)


# --- too many requests ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["eth_call", "eth_sendRawTransaction"])
def test_call__limited__waits_and_asks_again(node: Node, method: str) -> None:
    """A request that was refused for its number did nothing, so that even what changes something may go again."""
    node.limits = 2
    with RpcClient(node.url, retry=FAST) as rpc:
        assert rpc.call(method, 1) == [1]
    assert len(node.requests) == 3


def test_call__limited_for_longer__raises_with_what_the_node_asks_for(node: Node) -> None:
    node.limits, node.retry_after = 9, "0.01"
    started = time.monotonic()
    with RpcClient(node.url, retry=FAST) as rpc, pytest.raises(RpcLimited, match="HTTP 429") as raised:
        rpc.call("eth_call")
    assert raised.value.retry_after_seconds == 0.01
    assert time.monotonic() - started >= 0.02
    assert len(node.requests) == 3


@pytest.mark.parametrize("said", ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "-5"])
def test_call__limited__retry_after_of_no_sense__counts_as_nothing(node: Node, said: str) -> None:
    node.limits, node.retry_after = 1, said
    with RpcClient(node.url, retry=FAST) as rpc:
        assert rpc.call("eth_call", 1) == [1]


def test_call__limited_in_json__is_the_same(node: Node) -> None:
    error = {"code": -32005, "message": "Your app has exceeded its compute units per second capacity"}
    node.reply = lambda body: {"id": body["id"], "error": error}
    with RpcClient(node.url, retry=FAST) as rpc, pytest.raises(RpcLimited, match="compute units"):
        rpc.call("eth_call")
    assert len(node.requests) == 3


def test_name__address_with_a_key__shows_the_host_alone() -> None:
    rpc = RpcClient("https://user:secret@node.example:8545/v2/secret?key=secret", retry=NO_RETRY, timeout_seconds=0.01)
    assert rpc.name == "https://node.example:8545"
    with pytest.raises(RpcUnavailable) as raised:
        rpc.call("eth_call")
    assert "secret" not in str(raised.value)
