"""The HTTP API: orders, depth, trades, health, and a stream of what changes.

A refusal is `{"code", "message", "field"}` with a 4xx status (5xx: nothing wrong with the request, try later).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from plimsoll.book.feed import CHANNELS, Subscriber
from plimsoll.book.records import BookOrder
from plimsoll.book.refused import BAD_REQUEST, Refused
from plimsoll.book.shown import order_shown, trade_shown
from plimsoll.book.venue import Venue
from plimsoll.core.errors import UserError
from plimsoll.core.ids import parse_account
from plimsoll.sdk.signed import SignedOrder, signed_from_json

MAX_BODY_BYTES = 1_000_000
MAX_ORDERS = 200
"""In one request."""
MAX_LEVELS = 1_000
MAX_TRADES = 1_000
MAX_SUBSCRIBERS = 1_000
TOO_LARGE, TRY_LATER = 413, 1013

Market = Annotated[int, Path(ge=1, lt=2**32)]
Levels = Annotated[int, Query(ge=1, le=MAX_LEVELS)]
Hash = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{64}$")]


def build_app(venue: Venue) -> FastAPI:
    """The API of one venue."""
    app = FastAPI(title="Plimsoll order book", docs_url="/docs", redoc_url=None)
    _handle_errors(app)
    _add_orders(app, venue)
    _add_views(app, venue)
    _add_stream(app, venue)
    return app


def _add_orders(app: FastAPI, venue: Venue) -> None:
    @app.post("/orders")
    async def submit(request: Request) -> Response:
        """Submit a signed order, or several as a list. One: the order, or its refusal. Several: a list of both."""
        body = await _body(request)
        if isinstance(body, list):
            return JSONResponse(await _submitted(venue, body))
        (result,) = await venue.submit([_signed(body, venue)])
        if isinstance(result, Refused):
            raise result
        return JSONResponse(order_shown(result))

    @app.delete("/orders/{hash}")
    async def cancel(hash: Hash, signature: str = "", relay_fee: Annotated[str, Query(alias="relayFee")] = "0") -> Any:  # noqa: A002
        """Take back what is left of an order; `signature` is over Cancel(orderHash, relayFee)."""
        signed = _bytes(signature, "signature")
        if not relay_fee.isascii() or not relay_fee.isdigit() or int(relay_fee[:80]) >= 2**256:
            raise Refused(BAD_REQUEST, "bad_request", "relayFee is no amount in WAD", "relayFee")
        return order_shown(await venue.cancel(bytes.fromhex(hash[2:]), signed, int(relay_fee)))

    @app.get("/orders/{hash}")
    async def order(hash: Hash) -> Any:  # noqa: A002
        """An order that was accepted, live or not."""
        return order_shown(await venue.order(bytes.fromhex(hash[2:])))

    @app.get("/orders")
    async def orders(account: str) -> Any:
        """An account's live orders, oldest first."""
        return {"orders": [order_shown(one) for one in await venue.orders_of(_account(account))]}


def _add_views(app: FastAPI, venue: Venue) -> None:
    @app.get("/markets")
    async def markets() -> Any:
        """What orders must be like now, by market."""
        return {"markets": venue.markets()}

    @app.get("/depth/{market}")
    async def depth(market: Market, levels: Levels = 50) -> Any:
        """Price levels, the best first."""
        return venue.depth(market, levels)

    @app.get("/trades/{market}")
    async def trades(
        market: Market,
        limit: Annotated[int, Query(ge=1, le=MAX_TRADES)] = 100,
        before: Annotated[int | None, Query(ge=0, lt=2**62)] = None,
    ) -> Any:
        """Matches that happened or may, the newest first; `before` is an id to go on from."""
        return {"trades": [trade_shown(one) for one in venue.trades(market, limit, before)]}

    @app.get("/health")
    async def health() -> Response:
        """Status 503 where no orders are taken."""
        works, fields = venue.health()
        return JSONResponse(fields, 200 if works else 503)


def _add_stream(app: FastAPI, venue: Venue) -> None:
    @app.websocket("/stream")
    async def stream(
        socket: WebSocket,
        channels: str = "depth,trades",
        markets: str = "",
        account: str = "",
        levels: Levels = 50,
    ) -> None:
        """Depth (a snapshot, then changes), trades, and with `account` what happens to its orders."""
        await socket.accept()
        try:
            subscriber = _subscriber(channels, markets, account)
            if len(venue.feed) >= MAX_SUBSCRIBERS:
                raise Refused(TRY_LATER, "too_many_subscribers", "there are too many subscribers; try later")
        except Refused as refused:
            await socket.send_text(json.dumps({"type": "error"} | _shown(refused)))
            await socket.close(TRY_LATER if refused.status == TRY_LATER else 1008, refused.code)
            return
        venue.feed.add(subscriber, levels, venue.facts.markets)
        sender = asyncio.create_task(_send(socket, subscriber))
        try:
            await _listen(socket)
        finally:
            sender.cancel()
            venue.feed.remove(subscriber)


async def _send(socket: WebSocket, subscriber: Subscriber) -> None:
    """Until the other end is gone, or cut off."""
    try:
        while (text := await subscriber.queue.get()) is not None:
            await socket.send_text(text)
        await socket.close(TRY_LATER, "too slow")
    except (WebSocketDisconnect, RuntimeError):
        return


async def _listen(socket: WebSocket) -> None:
    """Until the other end is gone; what it says is of no interest."""
    try:
        while True:
            await socket.receive()
    except (WebSocketDisconnect, RuntimeError):
        return


async def _submitted(venue: Venue, bodies: list[Any]) -> list[Any]:
    """An answer for each of several orders."""
    if not 0 < len(bodies) <= MAX_ORDERS:
        raise Refused(BAD_REQUEST, "bad_request", f"1 to {MAX_ORDERS} orders at once, not {len(bodies)}")
    given = [_signed_or_refused(body, venue) for body in bodies]
    results = iter(await venue.submit([one for one in given if isinstance(one, SignedOrder)]))
    answers: list[BookOrder | Refused] = [one if isinstance(one, Refused) else next(results) for one in given]
    return [_shown(one) if isinstance(one, Refused) else order_shown(one) for one in answers]


# --- requests --------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> Any:
    """The request's JSON. Raises Refused."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise Refused(TOO_LARGE, "too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")
        parts.append(part)
    try:
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError):
        raise Refused(BAD_REQUEST, "bad_request", "the body is no JSON") from None


def _signed(body: Any, venue: Venue) -> SignedOrder:
    try:
        return signed_from_json(body, venue.facts.domain)
    except UserError as error:
        message = str(error)
        raise Refused(BAD_REQUEST, "bad_request", message, message.partition(":")[0]) from None


def _signed_or_refused(body: Any, venue: Venue) -> SignedOrder | Refused:
    try:
        return _signed(body, venue)
    except Refused as refused:
        return refused


def _bytes(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Refused(BAD_REQUEST, "bad_request", f"{field} is not 0x and hexadecimal digits", field) from None


def _account(text: str) -> int:
    try:
        return parse_account(text[:100])
    except UserError as error:
        raise Refused(BAD_REQUEST, "bad_request", str(error), "account") from None


def _subscriber(channels: str, markets: str, account: str) -> Subscriber:
    names = [name for name in channels.split(",") if name]
    if unknown := [name for name in names if name not in CHANNELS]:
        message = f"there is no channel {unknown[0]!r:.40}; there are {', '.join(CHANNELS)}"
        raise Refused(BAD_REQUEST, "bad_request", message, "channels")
    if not all(part.isascii() and part.isdigit() for part in markets.split(",") if part):
        raise Refused(BAD_REQUEST, "bad_request", "markets are numbers with commas between", "markets")
    if "orders" in names and not account:
        raise Refused(BAD_REQUEST, "bad_request", "the channel orders is of one account; name it", "account")
    numbers = [int(part[:20]) for part in markets.split(",") if part]
    return Subscriber(names, numbers, _account(account) if account else None)


# --- refusals --------------------------------------------------------------------------------------------------------


def _shown(refused: Refused) -> dict[str, Any]:
    shown = {"code": refused.code, "message": refused.message}
    return shown | {"field": refused.field} if refused.field else shown


def _handle_errors(app: FastAPI) -> None:
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse(_shown(error), error.status)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = str(first["loc"][-1])
        shown = {"code": "bad_request", "message": f"{field}: {first['msg']}", "field": field}
        return JSONResponse(shown, BAD_REQUEST)

    async def other(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = str(error.detail).lower().replace(" ", "_")
        return JSONResponse({"code": code, "message": str(error.detail)}, error.status_code)

    handlers: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
        Refused: refused,
        RequestValidationError: invalid,
        HTTPException: other,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
