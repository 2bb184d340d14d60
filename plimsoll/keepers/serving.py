"""A keeper's small HTTP server: `/metrics` for Prometheus, `/health` for a supervisor. It only shows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from plimsoll.core.errors import UserError
from plimsoll.keepers.runner import Runner
from plimsoll.keepers.telemetry import Telemetry, health

STALE_SECONDS = 60.0
"""Without a round for so long a keeper counts as ill."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    metrics: Callable[[], bytes]
    health: Callable[[], dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, self.server.metrics())
        elif path == "/health":
            found = self.server.health()
            self._answer(200 if found["ok"] else 503, "application/json", json.dumps(found).encode())
        else:
            self._answer(404, "text/plain", b"/metrics or /health\n")

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(runner: Runner, address: str | None) -> Iterator[int]:
    """Serve at HOST:PORT while the context lasts, nowhere where `address` is None; gives the port.

    Raises UserError where the address is none, or taken.
    """
    telemetry = Telemetry(runner)
    if address is None:
        yield 0
        return
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise UserError(f"metrics: {address!r} is not HOST:PORT")
    try:
        server = _Server((host or "127.0.0.1", int(port)), _Handler)
    except OSError as error:
        raise UserError(f"metrics: can't listen on {address} ({error}); name another port") from None
    server.metrics = telemetry.text
    server.health = lambda: health(runner, STALE_SECONDS)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
