"""The HTTP API and the stream, without a socket: what is answered, what is refused and why."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from plimsoll.book import feed, service
from plimsoll.book.admission import Signed
from plimsoll.book.engine import Engine
from plimsoll.book.facts import Facts
from plimsoll.book.service import build_app
from plimsoll.book.store import Store
from plimsoll.book.venue import SILENT_SECONDS, Venue
from plimsoll.book.watch import Learned
from plimsoll.chain.rpc import RpcUnavailable
from plimsoll.chain.transactions import Reverted
from plimsoll.core.orders import Order
from plimsoll.core.units import WAD
from plimsoll.risk.protocol import Protocol
from plimsoll.sdk import signing
from plimsoll.sdk.signed import SignedOrder, signed_to_json
from plimsoll.sdk.signing import Cancel
from tests.python.book.setting import (
    DOMAIN,
    ETH,
    NOW,
    PRICE,
    account_of,
    facts_of,
    learn,
    market,
    order,
    signed_by,
    trader,
)  # fmt: skip

A, B, C, BOT = 1, 2, 3, 7


class World:
    """A venue on the model, and the eyes through which it sees it."""

    def __init__(self, path: Path) -> None:
        self.protocol: Protocol = market([A, B, C])
        self.facts = facts_of(self.protocol)
        self.now = 0.0
        self.trouble: Exception | None = None
        """What asking the node comes to."""
        self.asked = 0
        self.store = Store(path, "test")
        self.engine = Engine(self.facts, self.store.load(), is_taken=self.store.has, clock=lambda: NOW * 1_000)
        self.venue = Venue(self.engine, self.store, self, clock=lambda: self.now)
        self.salt = 0

    def learn(self, several: Sequence[Signed], facts: Facts) -> Learned:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        found = facts_of(self.protocol)
        learn(found, self.protocol, {one.order.account for one in several})
        return Learned(found.accounts, wallets={one.owner: False for one in several})

    def is_owners_word(self, account: int, message: Cancel, signature: bytes) -> bool:
        return signature == b"wallet"

    def body(self, number: int, size: int, cents: int, **fields: Any) -> dict[str, Any]:
        self.salt += 1
        one = signed_by(number, order(number, size, cents, salt=self.salt, **fields))
        return signed_to_json(SignedOrder(one.order, one.signature), DOMAIN)


class Client(TestClient):
    """What a trader's program does."""

    world: World

    def submit(self, number: int, size: int, cents: int, **fields: Any) -> dict[str, Any]:
        answer = self.post("/orders", json=self.world.body(number, size, cents, **fields))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def shown(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


def refusal(answer: Any) -> tuple[int, str, str]:
    """(status, code, field)."""
    found = answer.json()
    assert found["message"]
    return answer.status_code, found["code"], found.get("field", "")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "book.sqlite")
    yield world
    world.store.close()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with Client(build_app(world.venue)) as client:
        client.world = world
        yield client


# --- orders ----------------------------------------------------------------------------------------------------------


def test_post__signed_order__accepted_on_the_disk_and_shown(client: Client) -> None:
    body = client.world.body(A, 5, 10)
    answer = client.post("/orders", json=body)
    assert answer.status_code == 200
    found = answer.json()
    assert {name: found[name] for name in ("hash", "status", "left", "pending", "filled", "sequence")} == {
        "hash": body["hash"], "status": "open", "left": str(5 * WAD), "pending": "0", "filled": "0", "sequence": 1,
    }  # fmt: skip
    assert found["order"] == body["order"]
    assert client.world.store.has(bytes.fromhex(body["hash"][2:]))
    assert client.shown(f"/orders/{body['hash']}") == found


def test_post__crosses__matched_at_once(client: Client) -> None:
    maker = client.submit(A, -5, 10)
    taker = client.submit(B, 7, 20)
    assert (taker["left"], taker["pending"]) == (str(2 * WAD), str(5 * WAD))
    assert client.shown(f"/orders/{maker['hash']}")["status"] == "matched"
    (trade,) = client.shown(f"/trades/{ETH}")["trades"]
    assert trade == {
        "id": 1, "market": ETH, "state": "pending", "side": "buy", "price": str(PRICE + WAD // 10),
        "base": str(5 * WAD), "maker": maker["hash"], "taker": taker["hash"], "at": NOW * 1_000, "transaction": None,
    }  # fmt: skip


def test_post__account_seen_before__not_asked_for_again(client: Client) -> None:
    client.submit(A, 5, 0)
    client.submit(A, 5, 0)
    assert client.world.asked == 1


def test_post__twice__known_already(client: Client) -> None:
    body = client.world.body(A, 5, 0)
    client.post("/orders", json=body)
    assert refusal(client.post("/orders", json=body)) == (409, "already_known", "order")


def test_post__several__each_its_own_answer(client: Client) -> None:
    good, bad = client.world.body(A, 5, 0), client.world.body(A, 5, 0)
    bad["signature"] = "0x" + "00" * 65
    answer = client.post("/orders", json=[good, {"order": 5}, bad])
    assert answer.status_code == 200
    first, second, third = answer.json()
    assert first["status"] == "open"
    assert (second["code"], second["field"]) == ("bad_request", "signed order")
    assert third["code"] == "bad_signature"
    assert client.world.venue.committer.commits == 1


@pytest.mark.parametrize(("change", "field"), [
    ({"base": "x"}, "base"),
    ({"base": 1.5}, "base"),
    ({"salt": None}, "salt"),
    ({"extra": "1"}, "order"),
    ({"parent": "0x12"}, "parent"),
    ({"timeInForce": "soon"}, "timeInForce"),
])  # fmt: skip
def test_post__malformed_order__names_the_field(client: Client, change: dict[str, Any], field: str) -> None:
    body = client.world.body(A, 5, 0)
    body["order"] |= change
    del body["hash"]
    assert refusal(client.post("/orders", json=body)) == (400, "bad_request", field)


@pytest.mark.parametrize(("content", "status", "code"), [
    (b"", 400, "bad_request"),
    (b"{", 400, "bad_request"),
    (b"5", 400, "bad_request"),
    (b"[]", 400, "bad_request"),
    (b"[" * 50_000, 400, "bad_request"),
    (b" " * 1_000_001, 413, "too_large"),
], ids=["nothing", "half", "number", "empty list", "deep", "large"])  # fmt: skip
def test_post__no_order_at_all__says_what_is_wrong(client: Client, content: bytes, status: int, code: str) -> None:
    assert refusal(client.post("/orders", content=content))[:2] == (status, code)


def test_post__more_than_may_come_at_once__refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_ORDERS", 1)
    body = client.world.body(A, 5, 0)
    assert client.post("/orders", json=[body]).status_code == 200
    assert refusal(client.post("/orders", json=[body, body]))[:2] == (400, "bad_request")


def test_post__rules_of_admission__status_code_and_field(client: Client) -> None:
    client.submit(A, 5, 0)
    for fields, expected in (
        ({"expiry": NOW - 1}, (422, "expired", "order.expiry")),
        ({"market_id": 9}, (400, "bad_request", "order.marketId")),
        ({"base": 10**6 * WAD}, (422, "open_interest_limit", "order.base")),
        ({"base": 35_000 * WAD}, (422, "insufficient_margin", "order.base")),
    ):
        assert refusal(client.post("/orders", json=client.world.body(A, 5, 0, **fields))) == expected


def test_post__signed_for_another_book__says_so(client: Client) -> None:
    body = client.world.body(A, 5, 0)
    body["domain"]["chainId"] = "1"
    answer = client.post("/orders", json=body)
    assert "it is not for chain 901" in answer.json()["message"]
    assert answer.status_code == 400


def test_post__somebody_elses_account__not_permitted(client: Client) -> None:
    one = signed_by(BOT, order(A, 5, 0))
    body = signed_to_json(SignedOrder(one.order, one.signature), DOMAIN)
    answer = client.post("/orders", json=body)
    assert answer.status_code == 503  # who that is was asked, and nothing came back
    assert answer.json()["code"] == "try_again"


@pytest.mark.parametrize(
    "trouble",
    [RpcUnavailable("http://node: does not answer"), Reverted(b"", "Panic", {"code": 17})],
    ids=["gone", "between two blocks"],
)
def test_post__node_in_trouble__unknown_accounts_wait_and_known_ones_go_on(client: Client, trouble: Exception) -> None:
    client.submit(A, 5, 0)
    client.world.trouble = trouble
    client.submit(A, 5, 0)
    assert refusal(client.post("/orders", json=client.world.body(B, 5, 0)))[:2] == (503, "node_unavailable")


# --- cancelling ------------------------------------------------------------------------------------------------------


def word(number: int, hash_: str, relay_fee: int = 0) -> str:
    message = Cancel(bytes.fromhex(hash_[2:]), relay_fee)
    return "0x" + signing.sign(message, DOMAIN, trader(number)).hex()


def test_delete__owners_word__out_of_the_book(client: Client) -> None:
    one = client.submit(A, 5, 0)
    answer = client.delete(f"/orders/{one['hash']}", params={"signature": word(A, one["hash"])})
    assert (answer.status_code, answer.json()["status"], answer.json()["end"]) == (200, "ended", "cancelled")
    assert client.shown(f"/depth/{ETH}")["bids"] == []
    again = client.delete(f"/orders/{one['hash']}", params={"signature": word(A, one["hash"])})
    assert refusal(again)[:2] == (409, "nothing_left")


def test_delete__with_a_relay_fee__over_the_same(client: Client) -> None:
    one = client.submit(A, 5, 0)
    signature = word(A, one["hash"], 7)
    wrong = client.delete(f"/orders/{one['hash']}", params={"signature": signature})
    assert refusal(wrong) == (403, "bad_signature", "signature")
    right = client.delete(f"/orders/{one['hash']}", params={"signature": signature, "relayFee": "7"})
    assert right.status_code == 200


def test_delete__wallets_word__is_asked_for(client: Client) -> None:
    one = client.submit(A, 5, 0)
    assert client.delete(f"/orders/{one['hash']}", params={"signature": hexed(b"wallet")}).status_code == 200


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


@pytest.mark.parametrize(("params", "field"), [
    ({"signature": "xyz"}, "signature"),
    ({"signature": "0x", "relayFee": "-1"}, "relayFee"),
    ({"signature": "0x", "relayFee": "1" * 90}, "relayFee"),
])  # fmt: skip
def test_delete__malformed__names_the_field(client: Client, params: dict[str, str], field: str) -> None:
    one = client.submit(A, 5, 0)
    assert refusal(client.delete(f"/orders/{one['hash']}", params=params)) == (400, "bad_request", field)


def test_delete__somebody_elses_word__refused(client: Client) -> None:
    one = client.submit(A, 5, 0)
    answer = client.delete(f"/orders/{one['hash']}", params={"signature": word(B, one["hash"])})
    assert refusal(answer)[:2] == (403, "bad_signature")
    assert client.shown(f"/orders/{one['hash']}")["status"] == "open"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_get__unknown_things__404_with_a_code(client: Client) -> None:
    assert refusal(client.get(f"/orders/0x{'00' * 32}"))[:2] == (404, "unknown_order")
    assert refusal(client.get("/depth/9"))[:2] == (404, "unknown_market")
    assert refusal(client.get("/trades/9"))[:2] == (404, "unknown_market")
    assert refusal(client.get("/nothing"))[:2] == (404, "not_found")
    assert refusal(client.get("/orders/0x12"))[:2] == (400, "bad_request")
    assert refusal(client.get(f"/depth/{ETH}?levels=0")) == (400, "bad_request", "levels")
    assert refusal(client.get("/orders?account=x"))[:2] == (400, "bad_request")


def test_depth__levels_summed__the_best_first(client: Client) -> None:
    for number, size, cents in ((A, -5, 10), (B, -3, 10), (C, -1, 11), (A, 2, -10)):
        client.submit(number, size, cents)
    found = client.shown(f"/depth/{ETH}?levels=1")
    assert found["asks"] == [{"price": str(PRICE + WAD // 10), "size": str(8 * WAD), "orders": 2}]
    assert found["bids"] == [{"price": str(PRICE - WAD // 10), "size": str(2 * WAD), "orders": 1}]


def test_orders__of_an_account__live_ones_oldest_first(client: Client) -> None:
    first, second = client.submit(A, 5, 0), client.submit(A, 5, -10)
    client.submit(B, 5, -10)
    client.delete(f"/orders/{first['hash']}", params={"signature": word(A, first["hash"])})
    third = client.submit(A, 5, -20)
    found = client.shown(f"/orders?account={account_of(A):#x}")["orders"]
    assert [one["hash"] for one in found] == [second["hash"], third["hash"]]


def test_trades__pages__by_id(client: Client) -> None:
    for _ in range(3):
        client.submit(A, -2, 0)
        client.submit(B, 2, 0)
    assert [one["id"] for one in client.shown(f"/trades/{ETH}?limit=2")["trades"]] == [3, 2]
    assert [one["id"] for one in client.shown(f"/trades/{ETH}?limit=2&before=2")["trades"]] == [1]


def test_markets__what_an_order_must_be_like(client: Client) -> None:
    (found,) = client.shown("/markets")["markets"]
    assert (found["market"], found["indexPrice"], found["isFresh"]) == (ETH, str(PRICE), True)
    assert (found["lowestPrice"], found["highestPrice"]) == (
        str(PRICE * 9_975 // 10_000),
        str(PRICE * 10_025 // 10_000),
    )


def test_health__well__ok(client: Client) -> None:
    client.submit(A, 5, 0)
    found = client.shown("/health")
    assert (found["status"], found["problems"], found["liveOrders"]) == ("ok", [], 1)


def test_health__settlement_in_trouble__degraded(client: Client) -> None:
    client.world.venue.troubles["settlement"] = "no ETH"
    found = client.shown("/health")
    assert (found["status"], found["problems"]) == ("degraded", ["settlement: no ETH"])


def test_health__no_blocks__takes_no_orders(client: Client) -> None:
    client.world.now = SILENT_SECONDS
    client.submit(A, 5, 0)
    client.world.now += 1
    assert client.get("/health").status_code == 503
    assert refusal(client.post("/orders", json=client.world.body(A, 5, 0)))[:2] == (503, "no_blocks")
    client.world.venue.saw_block()
    client.submit(A, 5, 0)


def test_disk__can_not_be_written__nothing_is_acknowledged(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.submit(A, 5, 0)

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(client.world.store, "commit", full)
    body = client.world.body(A, 5, 0)
    assert refusal(client.post("/orders", json=body))[:2] == (503, "disk")
    monkeypatch.undo()
    assert refusal(client.post("/orders", json=client.world.body(A, 5, 0)))[:2] == (503, "disk")
    assert client.get("/health").json()["status"] == "down"
    assert not client.world.store.has(bytes.fromhex(body["hash"][2:]))


# --- the stream ------------------------------------------------------------------------------------------------------


def received(socket: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.receive_text())
    return found


def test_stream__depth__a_snapshot_then_changes_without_a_gap(client: Client) -> None:
    client.submit(A, -5, 10)
    with client.websocket_connect("/stream?channels=depth") as socket:
        snapshot = received(socket)
        assert (snapshot["type"], snapshot["asks"][0]["size"]) == ("snapshot", str(5 * WAD))
        client.submit(B, 2, 10)
        change = received(socket)
        assert change == {
            "type": "depth", "market": ETH, "sequence": snapshot["sequence"] + 1, "bids": [],
            "asks": [{"price": str(PRICE + WAD // 10), "size": str(3 * WAD), "orders": 1}],
        }  # fmt: skip
        client.submit(B, 3, 10)
        gone = received(socket)
        assert (gone["sequence"], gone["asks"][0]["size"], gone["asks"][0]["orders"]) == (
            change["sequence"] + 1,
            "0",
            0,
        )


def test_stream__trades__as_they_are_matched(client: Client) -> None:
    with client.websocket_connect("/stream?channels=trades") as socket:
        client.submit(A, -5, 10)
        client.submit(B, 2, 10)
        found = received(socket)
        assert (found["type"], found["state"], found["base"]) == ("trade", "pending", str(2 * WAD))


def test_stream__orders__of_one_account_only(client: Client) -> None:
    with client.websocket_connect(f"/stream?channels=orders&account={account_of(A):#x}") as socket:
        client.submit(B, 2, 10)
        mine = client.submit(A, -5, 5)
        first = received(socket)
        assert (first["type"], first["hash"], first["pending"]) == ("order", mine["hash"], str(2 * WAD))


def test_stream__other_markets__not_told(client: Client) -> None:
    with client.websocket_connect("/stream?channels=depth,trades&markets=7") as socket:
        client.submit(A, -5, 10)
        client.world.venue.feed._tell({"type": "end"}, list(client.world.venue.feed._subscribers))
        assert received(socket) == {"type": "end"}


@pytest.mark.parametrize(("query", "field"), [
    ("channels=gossip", "channels"), ("markets=x", "markets"), ("channels=orders", "account"), ("account=x", "account"),
])  # fmt: skip
def test_stream__asks_for_nonsense__told_and_closed(client: Client, query: str, field: str) -> None:
    with client.websocket_connect(f"/stream?{query}") as socket:
        found = received(socket)
        assert (found["type"], found["code"], found["field"]) == ("error", "bad_request", field)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1008


def test_stream__too_many__told_to_try_later(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_SUBSCRIBERS", 0)
    with client.websocket_connect("/stream") as socket:
        assert received(socket)["code"] == "too_many_subscribers"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1013


def test_stream__leaves__forgotten(client: Client) -> None:
    with client.websocket_connect("/stream") as socket:
        received(socket)
        assert len(client.world.venue.feed) == 1
    client.submit(A, -5, 10)
    assert len(client.world.venue.feed) == 0


def test_subscriber__too_slow__cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "QUEUE", 2)
    one = feed.Subscriber(["depth"], [])
    assert [one.put("x") for _ in range(3)] == [True, True, False]
    assert [one.queue.get_nowait() for _ in range(3)] == ["x", "x", None]


def test_order__any__the_same_terms_as_were_signed(client: Client) -> None:
    made: Order = order(A, 5, 0, salt=77, expiry=NOW + 90)
    one = signed_by(A, made)
    client.post("/orders", json=signed_to_json(SignedOrder(made, one.signature), DOMAIN))
    kept = client.world.store.order(one.hash)
    assert kept is not None
    assert (kept.order, kept.signature) == (made, one.signature)
