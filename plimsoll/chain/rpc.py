"""A small JSON-RPC client over kept-alive HTTP: single and batched calls, retries where they do no harm.

It knows nothing of types: results are what the node's JSON holds, quantities as hex text.
"""

from __future__ import annotations

import http.client
import itertools
import json
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from plimsoll.core.errors import UserError

BATCH_SIZE = 100

MAX_RETRY_AFTER_SECONDS = 10.0
"""Longer than this nobody waits here, whatever the node asks for."""

_TOO_MANY = 429
_LIMITED = ("too many requests", "rate limit", "rate-limit", "ratelimit", "compute units per second", "request limit")
_IDLE_SECONDS = 3.0  # a connection unused for longer may have been closed by the other end; open another
_HARMLESS_PREFIXES = ("eth_", "net_", "web3_", "debug_", "trace_", "txpool_")
_HARMFUL = frozenset(
    {
        "eth_sendTransaction",
        "eth_sendTransactionSync",
        "eth_sendRawTransaction",
        "eth_sendRawTransactionSync",
        "eth_sendUnsignedTransaction",
        "eth_resend",
    }
)


class RpcError(Exception):
    """The node refused a call. `data` is the revert data (0x…) or whatever else the node adds."""

    def __init__(self, method: str, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{method}: {message} (code {code})")
        self.method = method
        self.code = code
        self.message = message
        self.data = data


class RpcUnavailable(UserError):
    """The node does not answer, or answers with something that is no JSON-RPC."""


class RpcLimited(RpcUnavailable):
    """The node has had too many requests. `retry_after_seconds` is what it asks for, 0 where it doesn't say."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try again when the connection fails, and how long to wait before: doubling up to a maximum."""

    attempts: int = 4
    first_wait_seconds: float = 0.05
    max_wait_seconds: float = 1.0

    def wait(self, failures: int) -> float:
        """Seconds to wait after the `failures`-th failure, counted from 1."""
        return min(self.first_wait_seconds * 2.0 ** min(failures - 1, 30), self.max_wait_seconds)


NO_RETRY = Retry(attempts=1)


class RpcClient:
    """A client of one node. Threads may share it; each has a connection of its own.

    A refused connection is tried again for every method. A connection that breaks after the request went out is tried
    again only for methods that read: a second `eth_sendTransaction` would be a second transaction.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 60.0, retry: Retry | None = None) -> None:
        """Opens nothing yet. Raises UserError if `url` is not http(s)://host[:port][/path]."""
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.retry = retry or Retry()
        self._parts = _split(url)
        self.name = endpoint_name(url)
        """For messages and labels: without path, query and password, which may hold a key."""
        self._ids = itertools.count(1)
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()

    def call(self, method: str, *params: Any) -> Any:
        """The result of one call. Raises RpcError if the node refuses it, RpcUnavailable if it does not answer."""
        request = self._request(method, params)
        return _result(method, self._answers([request], repeatable=is_harmless(method))[request["id"]])

    def batch(
        self, calls: Iterable[tuple[str, Sequence[Any]]], *, size: int = BATCH_SIZE, raise_errors: bool = True
    ) -> list[Any]:
        """The results of many (method, params) calls in their order, sent `size` at a time.

        A refused call raises RpcError once its chunk has been sent; with `raise_errors` false it stands in the list
        instead. Raises RpcUnavailable if the node does not answer.
        """
        results: list[Any] = []
        requests = [self._request(method, params) for method, params in calls]
        for start in range(0, len(requests), size):
            chunk = requests[start : start + size]
            answers = self._answers(chunk, repeatable=all(is_harmless(request["method"]) for request in chunk))
            for request in chunk:
                try:
                    results.append(_result(request["method"], answers[request["id"]]))
                except RpcError as error:
                    if raise_errors:
                        raise
                    results.append(error)
        return results

    def second_opinion(self, calls: Iterable[tuple[str, Sequence[Any]]]) -> list[Any]:
        """As `batch`, refused calls in the list; where there are several nodes, of another than is asked otherwise."""
        return self.batch(calls, raise_errors=False)

    def wait_for_receipt(self, tx_hash: str, *, timeout_seconds: float = 20.0) -> dict[str, Any]:
        """A transaction's receipt, polled for. Raises RpcUnavailable if it is not mined in time."""
        deadline = time.monotonic() + timeout_seconds
        wait = 0.001
        while (receipt := self.call("eth_getTransactionReceipt", tx_hash)) is None:
            if time.monotonic() > deadline:
                raise RpcUnavailable(f"{self.name}: no receipt of {tx_hash} after {timeout_seconds:g} s")
            time.sleep(wait)
            wait = min(wait * 2, 0.1)
        return dict(receipt)

    def close(self) -> None:
        """Close the connections of all threads. The client can be used again."""
        with self._lock:
            connections, self._open = self._open, set()
        for connection in connections:
            connection.close()

    def __enter__(self) -> RpcClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _answers(self, requests: list[dict[str, Any]], *, repeatable: bool) -> dict[int, dict[str, Any]]:
        """The node's answers by request id."""
        single = len(requests) == 1
        body = json.dumps(requests[0] if single else requests, separators=(",", ":")).encode()
        answer = self._post(body, repeatable)
        answers = answer if isinstance(answer, list) else [answer]
        if not all(isinstance(one, dict) for one in answers):
            raise RpcUnavailable(f"{self.name}: does not speak JSON-RPC; check the address of the node")
        if not isinstance(answer, list) and "error" in answer:  # a whole batch refused
            return {request["id"]: answer for request in requests}
        by_id = {one.get("id"): one for one in answers}
        missing = [request["method"] for request in requests if request["id"] not in by_id]
        if missing:
            raise RpcUnavailable(f"{self.name}: left {missing[0]} without an answer")
        return by_id

    def _post(self, body: bytes, repeatable: bool) -> Any:
        failures = 0
        while True:
            sent = False
            try:
                connection = self._connection()
                sent = True
                connection.request("POST", self._target, body, self._headers)
                response = connection.getresponse()
                content = response.read()
                self._local.used = time.monotonic()
                return self._decode(response.status, content, response.headers.get("Retry-After"))
            except RpcLimited as error:  # it did nothing, so that asking again does no harm
                failures += 1
                if failures >= self.retry.attempts:
                    raise
                time.sleep(min(max(self.retry.wait(failures), error.retry_after_seconds), MAX_RETRY_AFTER_SECONDS))
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                failures += 1
                if failures >= self.retry.attempts or (sent and not repeatable):
                    raise RpcUnavailable(
                        f"no answer from {self.name} ({type(error).__name__}: {error}); is the node running?"
                    ) from error
                time.sleep(self.retry.wait(failures))

    def _decode(self, status: int, content: bytes, retry_after: str | None) -> Any:
        if status == _TOO_MANY:
            raise RpcLimited(f"{self.name}: too many requests (HTTP 429)", _seconds(retry_after))
        try:
            answer = json.loads(content)
            if isinstance(answer, dict) and _is_limit(answer.get("error")):
                raise RpcLimited(f"{self.name}: too many requests ({answer['error'].get('message')})")
            return answer
        except ValueError:
            start = content[:80].decode(errors="replace").strip()
            raise RpcUnavailable(f"{self.name}: answered HTTP {status} {start!r}, which is no JSON-RPC") from None

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection, open. Raises OSError."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.sock is not None:
            if time.monotonic() - self._local.used < _IDLE_SECONDS:
                return connection
            self._drop()
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=self.timeout_seconds, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self.timeout_seconds)
        connection.connect()
        self._local.connection = connection
        self._local.used = time.monotonic()
        with self._lock:
            self._open.add(connection)
        return connection

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            with self._lock:
                self._open.discard(connection)
            self._local.connection = None

    @property
    def _target(self) -> str:
        path = self._parts.path or "/"
        return f"{path}?{self._parts.query}" if self._parts.query else path

    @property
    def _headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json"}


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise UserError(f"node address {url!r} is not a URL like http://127.0.0.1:8545")
    return parts


def endpoint_name(url: str) -> str:
    """A node's address without what may be secret: path, query, user and password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}:{parts.port}" if parts.port else f"{parts.scheme}://{host}"


def _seconds(retry_after: str | None) -> float:
    """Retry-After in seconds; a date counts as nothing said."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0


def _is_limit(error: Any) -> bool:
    return isinstance(error, dict) and any(word in str(error.get("message", "")).lower() for word in _LIMITED)


def is_harmless(method: str) -> bool:
    """Whether a method only reads, so that asking twice does no harm."""
    return method.startswith(_HARMLESS_PREFIXES) and method not in _HARMFUL


def _result(method: str, answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    if error is None:
        return answer.get("result")
    if not isinstance(error, dict):
        raise RpcError(method, 0, str(error))
    raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), error.get("data"))
