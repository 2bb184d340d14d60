"""A proxy in front of a node that does what nodes do on a bad day: it lies, stalls, limits, lags, loses transactions.

with FaultyNode(node.url) as faulty:
    chain = Chain(faulty.url)
    faulty.stall_seconds = 3
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

Lie = Callable[[str, list[Any], Any], Any]
"""A method, its parameters and the true result to what is answered."""

_AT_A_BLOCK = {"eth_call": 1, "eth_getBalance": 1, "eth_getTransactionCount": 1, "eth_getCode": 1, "eth_estimateGas": 1}


class FaultyNode(ThreadingHTTPServer):
    """All faults are off at first, and can be set at any time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.stall_seconds = 0.0
        """Before each answer."""
        self.limits = 0
        """So many requests are answered with 429 first."""
        self.retry_after = ""
        self.errors = 0
        """So many requests are answered with an error of the node's own, each call in them."""
        self.cuts = 0
        """Of so many requests the connection is cut after they arrived, and before the node had them."""
        self.lost_answers = 0
        """The same after the node had them."""
        self.lag = 0
        """Blocks behind the node."""
        self.loses_transactions = False
        """It says that it took them, and forgets them."""
        self.lie: Lie | None = None
        self.methods: Counter[str] = Counter()
        self._local = threading.local()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> FaultyNode:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        pass

    def forward(self, body: Any) -> Any:
        """What the node says."""
        return json.loads(self._post(json.dumps(body).encode()))

    def answer(self, raw: bytes) -> bytes:
        """What it says to a request, as it comes and goes."""
        body = json.loads(raw)
        calls = body if isinstance(body, list) else [body]
        self.methods.update(call["method"] for call in calls)
        if not (self.lag or self.lie or self.loses_transactions):
            return self._post(raw)
        return json.dumps(self._answers(body, calls)).encode()

    def _answers(self, body: Any, calls: list[dict[str, Any]]) -> Any:
        answers = [self._one(call) for call in calls]
        return answers if isinstance(body, list) else answers[0]

    def _post(self, body: bytes) -> bytes:
        """The node's answer, over a connection that each thread keeps; a new one where that was closed meanwhile."""
        for attempt in range(2):
            kept: tuple[str, http.client.HTTPConnection] | None = getattr(self._local, "kept", None)
            if kept is None or kept[0] != self.target:
                kept = self.target, http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=30)
                self._local.kept = kept
            try:
                kept[1].request("POST", "/", body, {"Content-Type": "application/json"})
                return kept[1].getresponse().read()
            except (OSError, http.client.HTTPException):
                kept[1].close()
                if attempt:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], list(call.get("params", []))
        if self.loses_transactions and method.startswith("eth_sendRawTransaction"):
            from eth_utils import keccak

            tx_hash = "0x" + bytes(keccak(bytes.fromhex(params[0][2:]))).hex()
            return {"jsonrpc": "2.0", "id": call["id"], "result": tx_hash}
        if self.lag:
            call = {**call, "params": self._earlier(method, params)}
        said: dict[str, Any] = self.forward(call)
        if self.lag and method == "eth_blockNumber":
            said["result"] = hex(max(0, int(said["result"], 16) - self.lag))
        if self.lie is not None and "result" in said:
            said["result"] = self.lie(method, params, said["result"])
        return said

    def _earlier(self, method: str, params: list[Any]) -> list[Any]:
        """The same as of a block that is `lag` behind."""
        if method == "eth_getBlockByNumber" and params and params[0] == "latest":
            return [self._head(), *params[1:]]
        place = _AT_A_BLOCK.get(method)
        if place is not None:
            if len(params) == place:
                return [*params, self._head()]
            if params[place] == "latest":
                return [*params[:place], self._head(), *params[place + 1 :]]
        return params

    def _head(self) -> str:
        said = self.forward({"jsonrpc": "2.0", "id": 0, "method": "eth_blockNumber", "params": []})
        return hex(max(0, int(said["result"], 16) - self.lag))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FaultyNode

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        node = self.server
        if node.cuts > 0:
            node.cuts -= 1
            self.close_connection = True
            return
        if node.limits > 0:
            node.limits -= 1
            self._send(429, b"slow down", {"Retry-After": node.retry_after} if node.retry_after else {})
            return
        if node.errors > 0:
            node.errors -= 1
            self._send(200, refused(body), {})
            return
        if node.stall_seconds:
            time.sleep(node.stall_seconds)
        content = node.answer(body)
        if node.lost_answers > 0:
            node.lost_answers -= 1
            self.close_connection = True
            return
        self._send(200, content, {})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def refused(raw: bytes) -> bytes:
    """A request's answer where the node has a trouble of its own, and not with what was asked."""
    body = json.loads(raw)
    calls = body if isinstance(body, list) else [body]
    error = {"code": -32603, "message": "internal error"}
    answers = [{"jsonrpc": "2.0", "id": call["id"], "error": error} for call in calls]
    return json.dumps(answers if isinstance(body, list) else answers[0]).encode()
