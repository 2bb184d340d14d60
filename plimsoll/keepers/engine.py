"""A matching engine as a market maker calls it, over HTTP: submit and take back signed orders, list one's own, depth.

The engine is asked, never trusted: it can match or not match what it was given, at the price that was signed or a
better one, until the order's expiry.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from plimsoll.core.errors import UserError
from plimsoll.core.orders import Order
from plimsoll.sdk.signed import SignedOrder, order_from_json, signed_to_json
from plimsoll.sdk.signing import Domain, order_hash

ENGINE_SECONDS = 3.0
"""How long an answer may take before the engine counts as gone."""
GONE = frozenset({"nothing_left", "unknown_order"})
"""What a cancellation is refused with where there is nothing to take back."""


class EngineGone(UserError):
    """The engine doesn't answer, or answers with something that isn't its API."""


class EngineRefused(Exception):
    """The engine understood and said no: `code` for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Standing(NamedTuple):
    """An order of ours: signed WAD base that can still be matched, and base that is on its way to the chain."""

    order: Order
    left: int
    pending: int = 0

    @property
    def hash(self) -> bytes:
        return order_hash(self.order)


class Depth(NamedTuple):
    """(price, size) a level, WAD, the best first."""

    bids: tuple[tuple[int, int], ...] = ()
    asks: tuple[tuple[int, int], ...] = ()


class Steps(NamedTuple):
    """What the engine asks of orders in a market: multiples of tick and lot, dollars at least; all WAD."""

    tick: int
    lot: int
    min_notional: int


class Engine(Protocol):
    """All that a market maker needs of one. Every method raises EngineGone."""

    def standing(self, account: int) -> list[Standing]:
        """The account's live orders."""
        ...

    def depth(self, market_id: int) -> Depth: ...

    def steps(self, market_id: int) -> Steps:
        """Raises UserError where it has no such market."""
        ...

    def submit(self, signed: SignedOrder) -> None:
        """Raises EngineRefused."""
        ...

    def cancel(self, hash_: bytes, signature: bytes) -> None:
        """Take back what is left of an order, nothing where nothing is. Raises EngineRefused.

        `signature` is over `Cancel(hash_)` by the account's owner or whoever signed the order.
        """
        ...


class HttpEngine:
    """One connection, opened when it is needed."""

    def __init__(self, url: str, domain: Domain, *, timeout_seconds: float = ENGINE_SECONDS) -> None:
        """Raises UserError if `url` is not http(s)://host[:port][/path]."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"engine: {url!r} is not http(s)://host[:port]")
        self.url = url.rstrip("/")
        self._domain = domain
        self._root = parts.path.rstrip("/")
        if parts.scheme == "https":
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout_seconds, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_seconds)

    def standing(self, account: int) -> list[Standing]:
        found = self._look(f"/orders?account={account:#066x}")
        try:
            rows = found["orders"] if isinstance(found, Mapping) else found
            return [_standing(row) for row in rows]
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise self._strange(error) from None

    def depth(self, market_id: int) -> Depth:
        found = self._look(f"/depth/{market_id}")
        try:
            return Depth(
                *(tuple((int(one["price"]), int(one["size"])) for one in found[side]) for side in ("bids", "asks"))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from None

    def steps(self, market_id: int) -> Steps:
        found = self._look("/markets")
        try:
            for one in found["markets"]:
                if int(one["market"]) == market_id:
                    return Steps(*(int(one[name]) for name in ("tick", "lot", "minNotional")))
        except (KeyError, TypeError, ValueError) as error:
            raise self._strange(error) from None
        raise UserError(f"engine: {self.url} has no book of market {market_id}")

    def submit(self, signed: SignedOrder) -> None:
        self._ask("POST", "/orders", signed_to_json(signed, self._domain))

    def cancel(self, hash_: bytes, signature: bytes) -> None:
        try:
            self._ask("DELETE", f"/orders/0x{hash_.hex()}?signature=0x{signature.hex()}")
        except EngineRefused as error:
            if error.code not in GONE:
                raise

    def _look(self, path: str) -> Any:
        """What it shows; an engine that refuses to show is as good as gone."""
        try:
            return self._ask("GET", path)
        except EngineRefused as error:
            raise EngineGone(f"engine: {self.url}{path}: {error}") from None

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if data else {})
        status, text = self._answer(method, path, data, headers)
        try:
            found = json.loads(text) if text else {}
        except ValueError as error:
            raise self._strange(error) from None
        if status >= 500 and not (isinstance(found, Mapping) and "code" in found):
            raise EngineGone(f"engine: {self.url} answers with HTTP {status}")
        if status >= 400:
            raise _refusal(found, status)
        return found

    def _answer(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Asked again on a new connection where the old one had been closed, unless an order may have gone out."""
        for is_last in (method == "POST", True):
            try:
                self._connection.request(method, self._root + path, data, dict(headers))
                answer = self._connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if is_last or not isinstance(error, ConnectionError):
                    raise EngineGone(f"engine: {self.url} does not answer ({error or type(error).__name__})") from None
        raise AssertionError("the last attempt returns or raises")

    def _strange(self, error: Exception) -> EngineGone:
        return EngineGone(f"engine: {self.url} answers with something else ({error})")


def _standing(row: Mapping[str, Any]) -> Standing:
    order = order_from_json(row["order"])
    sign = 1 if order.base > 0 else -1
    return Standing(order, sign * int(row["left"]), sign * int(row["pending"]))


def _refusal(found: Any, status: int) -> EngineRefused:
    fields = found if isinstance(found, Mapping) else {}
    return EngineRefused(str(fields.get("code", f"http_{status}")), str(fields.get("message", f"HTTP {status}")))
