"""The matching engine's client: what it sends, what it makes of answers, and of none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.engine import Depth, EngineGone, EngineRefused, HttpEngine, Standing, Steps
from plimsoll.sdk.orders import limit_order
from plimsoll.sdk.signed import SignedOrder, order_to_json, signed_from_json
from plimsoll.sdk.signing import Domain
from tests.python.keepers.made_up import ETH, TRADER

DOMAIN = Domain(901, "0x" + "11" * 20)
ORDER = limit_order(TRADER, ETH, -2 * WAD, 3_000 * WAD, salt=1)
SIGNED = SignedOrder(ORDER, b"\x01" * 65)


class Server(ThreadingHTTPServer):
    """Answers everything alike and remembers what it was asked."""

    daemon_threads = True
    status, body = 200, "{}"
    hang_up = False
    """Whether the next request on a connection that was used before finds it closed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body: Any, status: int = 200) -> None:
        self.status, self.body = status, body if isinstance(body, str) else json.dumps(body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _handle(self) -> None:
        if self.server.hang_up:
            self.server.hang_up, self.close_connection = False, True
            return
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, json.loads(data) if data else None))
        text = self.server.body.encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(server: Server) -> HttpEngine:
    return HttpEngine(server.url + "/", DOMAIN)


def test_standing__orders__are_signed_by_their_side(server: Server, engine: HttpEngine) -> None:
    server.answer({"orders": [{"order": order_to_json(ORDER), "left": str(WAD), "pending": str(WAD // 2)}]})
    assert engine.standing(TRADER) == [Standing(ORDER, -WAD, -WAD // 2)]
    [(method, path, _)] = server.asked
    assert (method, path.split("?")[0]) == ("GET", "/orders")
    assert f"{TRADER:#066x}" in path


def test_depth__levels__are_numbers(server: Server, engine: HttpEngine) -> None:
    server.answer({"bids": [{"price": "7", "size": "5", "orders": 1}], "asks": []})
    assert engine.depth(ETH) == Depth(bids=((7, 5),))


def test_steps__market__is_found_by_its_id(server: Server, engine: HttpEngine) -> None:
    server.answer({"markets": [{"market": ETH, "tick": "3", "lot": "5", "minNotional": "7"}]})
    assert engine.steps(ETH) == Steps(3, 5, 7)
    with pytest.raises(UserError, match="has no book of market 2"):
        engine.steps(2)


def test_submit__signed_order__is_what_signed_from_json_reads(server: Server, engine: HttpEngine) -> None:
    engine.submit(SIGNED)
    [(method, path, body)] = server.asked
    assert (method, path) == ("POST", "/orders")
    assert signed_from_json(body, DOMAIN) == SIGNED


def test_cancel__hash__is_in_the_path(server: Server, engine: HttpEngine) -> None:
    engine.cancel(SIGNED.hash, SIGNED.signature)
    assert server.asked[0][:2] == ("DELETE", f"/orders/0x{SIGNED.hash.hex()}?signature=0x{'01' * 65}")


@pytest.mark.parametrize("code", ["nothing_left", "unknown_order"])
def test_cancel__nothing_there__is_done(server: Server, engine: HttpEngine, code: str) -> None:
    server.answer({"code": code, "message": "no"}, 404)
    engine.cancel(SIGNED.hash, SIGNED.signature)


@pytest.mark.parametrize("status", [400, 403, 409, 422, 503])
def test_submit__refused__says_why(server: Server, engine: HttpEngine, status: int) -> None:
    server.answer({"code": "stale_price", "message": "no fresh price"}, status)
    with pytest.raises(EngineRefused, match="no fresh price") as caught:
        engine.submit(SIGNED)
    assert caught.value.code == "stale_price"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("<html>", 200),
        ("<html>", 502),
        ({}, 500),
        ({"code": "disk", "message": "it is full"}, 503),
        ({"orders": [{}]}, 200),
        ([1], 200),
    ],
)
def test_standing__no_answer_of_an_engine__counts_as_gone(
    server: Server, engine: HttpEngine, body: Any, status: int
) -> None:
    server.answer(body, status)
    with pytest.raises(EngineGone):
        engine.standing(TRADER)


def test_standing__nobody_listens__is_gone_and_found_again(server: Server, engine: HttpEngine) -> None:
    port = server.server_address[1]
    server.answer({"orders": []})
    assert engine.standing(TRADER) == []
    away = HttpEngine("http://127.0.0.1:1", DOMAIN)
    with pytest.raises(EngineGone, match="does not answer"):
        away.standing(TRADER)
    assert HttpEngine(f"http://127.0.0.1:{port}", DOMAIN).standing(TRADER) == []


def test_standing__kept_connection_was_closed__is_asked_again(server: Server, engine: HttpEngine) -> None:
    server.answer({"orders": []})
    engine.standing(TRADER)
    server.hang_up = True
    assert engine.standing(TRADER) == []
    assert len(server.asked) == 2


@pytest.mark.parametrize("url", ["localhost:80", "ftp://x", "http://"])
def test_http_engine__no_url__is_refused(url: str) -> None:
    with pytest.raises(UserError, match="engine: "):
        HttpEngine(url, DOMAIN)
