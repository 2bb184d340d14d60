"""The book on a devnet: signed orders over HTTP, matched, settled by the contracts, and through crashes."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.core.orders import Scope, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.keepers.engine import HttpEngine
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.signed import SignedOrder
from plimsoll.sdk.signing import Cancel
from tests.integration.book.conftest import ETH, Venue
from tests.integration.keepers.conftest import Door, until

pytestmark = pytest.mark.node
Traders = dict[str, Plimsoll]


def base(trader: Plimsoll) -> int:
    """Whole units that a trader holds."""
    held = trader.position(ETH)
    return held.base // WAD if held else 0


def test_match__two_signed_orders__settled_on_the_chain(venue: Venue, traders: Traders) -> None:
    maker = venue.submit(traders["alice"], -5, 10)
    assert maker["status"] == "open"
    taker = venue.submit(traders["bob"], 8, 20)
    assert (taker["left"], taker["pending"]) == (str(3 * WAD), str(5 * WAD))
    venue.wait_for(maker["hash"], status="filled")
    assert (base(traders["alice"]), base(traders["bob"])) == (-5, 5)
    (trade,) = venue.get(f"/trades/{ETH}")["trades"]
    assert (trade["state"], trade["side"], trade["base"]) == ("settled", "buy", str(5 * WAD))
    bids = venue.get(f"/depth/{ETH}")["bids"]
    assert bids == [{"price": str(venue.price(20)), "size": str(3 * WAD), "orders": 1}]


def test_match__maker_withdrew_meanwhile__dropped_and_the_next_one_filled(venue: Venue, traders: Traders) -> None:
    bad = venue.submit(traders["alice"], -5, 10)
    good = venue.submit(traders["carol"], -5, 11)
    traders["alice"].withdraw("all")
    taker = venue.submit(traders["bob"], 5, 11)
    venue.wait_for(taker["hash"], status="filled")
    found = venue.get(f"/orders/{bad['hash']}")
    assert (found["status"], found["end"]) == ("ended", "refused")
    assert "margin" in found["reason"]
    assert venue.get(f"/orders/{good['hash']}")["status"] == "filled"
    assert (base(traders["alice"]), base(traders["bob"]), base(traders["carol"])) == (0, 5, -5)


def test_match__fill_or_kill_with_a_maker_who_withdrew__killed(venue: Venue, traders: Traders) -> None:
    bad = venue.submit(traders["alice"], -5, 10)
    good = venue.submit(traders["carol"], -5, 11)
    traders["alice"].withdraw("all")
    taker = venue.submit(traders["bob"], 10, 11, time_in_force=TimeInForce.FILL_OR_KILL)
    found = venue.wait_for(taker["hash"], status="ended")
    assert found["end"] == "not_filled"
    assert venue.get(f"/orders/{bad['hash']}")["end"] == "refused"
    assert venue.get(f"/orders/{good['hash']}")["left"] == str(5 * WAD)


def test_cancel__on_the_chain__out_of_the_book(venue: Venue, traders: Traders) -> None:
    alice = traders["alice"]
    order = venue.order(alice, -5, 10)
    one = venue.post(alice.signed(order), alice)
    other = venue.submit(alice, -5, 10)
    alice.cancel(order)
    assert venue.wait_for(one["hash"], end="ended_on_chain")["status"] == "ended"
    alice.cancel_all()
    venue.wait_for(other["hash"], end="ended_on_chain")
    again = venue.post(alice.signed(order), alice)
    assert again["code"] == "already_known"


def test_cancel__signed__out_of_the_book(venue: Venue, traders: Traders) -> None:
    alice, bob = traders["alice"], traders["bob"]
    one = venue.submit(alice, -5, 10)
    message = Cancel(bytes.fromhex(one["hash"][2:]))
    refused = venue.http.delete(f"/orders/{one['hash']}", params={"signature": "0x" + bob.sign(message).hex()})
    assert (refused.status_code, refused.json()["code"]) == (403, "bad_signature")
    done = venue.http.delete(f"/orders/{one['hash']}", params={"signature": "0x" + alice.sign(message).hex()})
    assert (done.status_code, done.json()["end"]) == (200, "cancelled")


def test_match__by_others_on_the_chain__what_is_left_shrinks(venue: Venue, traders: Traders) -> None:
    alice, bob = traders["alice"], traders["bob"]
    maker = venue.order(alice, -5, 0)
    shown = venue.post(alice.signed(maker), alice)
    taker = venue.order(bob, 2, 0)
    bob.match(alice.signed(maker), bob.signed(taker), 2 * WAD)
    venue.wait_for(shown["hash"], left=str(3 * WAD), filled=str(2 * WAD))


def test_market_makers_client__submit_list_cancel__the_same_api(venue: Venue, traders: Traders) -> None:
    alice = traders["alice"]
    engine = HttpEngine(str(venue.http.base_url), alice.domain)
    assert engine.steps(ETH).tick == WAD // 100
    order = venue.order(alice, -5, 10)
    engine.submit(alice.signed(order))
    assert engine.depth(ETH).asks == ((venue.price(10), 5 * WAD),)
    (standing,) = engine.standing(alice.account())
    assert (standing.order, standing.left) == (order, -5 * WAD)
    for _ in range(2):
        engine.cancel(standing.hash, alice.sign(Cancel(standing.hash)))
    assert engine.standing(alice.account()) == []


def test_delegate__quotes_and_takes_for_an_account__within_his_scope(venue: Venue, traders: Traders) -> None:
    alice, bob, bot = traders["alice"], traders["bob"], traders["carol"]
    order = venue.order(alice, -5, 10)
    signed = SignedOrder(order, bot.sign(order))
    assert venue.post(signed, alice)["code"] == "not_permitted"
    scope = Scope(1 << ETH - 1, venue.stage.devnet.now + 1_000, 20_000, may_match=True)
    alice.set_delegate(bot.signer.address, scope)
    maker = until("permitted", lambda: (found := venue.post(signed, alice)).get("hash") and found)
    venue.submit(bob, 5, 10)
    venue.wait_for(maker["hash"], status="filled")
    assert (base(alice), base(bot)) == (-5, 0)


def test_restart__killed_with_matches_on_their_way__settled_once(venue: Venue, traders: Traders) -> None:
    resting = venue.submit(traders["carol"], -5, 40)
    maker = venue.submit(traders["alice"], -6, 10)
    taker = venue.submit(traders["bob"], 6, 10)
    depth = venue.get(f"/depth/{ETH}")["asks"]
    venue.kill()
    venue.start()
    assert venue.get(f"/depth/{ETH}")["asks"] == depth
    venue.wait_for(taker["hash"], status="filled")
    venue.wait_for(maker["hash"], status="filled")
    assert (base(traders["alice"]), base(traders["bob"])) == (-6, 6)
    assert venue.get(f"/orders/{resting['hash']}")["status"] == "open"
    assert venue.bot.stop() == 0


def test_node__away_for_a_while__orders_wait_and_are_settled_after(venue: Venue, traders: Traders, door: Door) -> None:
    venue.kill()
    venue.uri = door.uri
    venue.start()
    venue.submit(traders["alice"], -5, 10)
    assert venue.submit(traders["bob"], 1, -10)["status"] == "open"  # its account is known from now on

    def submit() -> dict[str, Any] | None:
        """While the node is away; None where the last price that came through the door was too old by then."""
        door.shut()
        order = traders["bob"].signed(venue.order(traders["bob"], 5, 10))
        if (answer := venue.post_once(order, traders["bob"])) is None:
            door.open()
        return answer

    taker = until("taken in while the node is away", submit)
    assert taker["status"] == "matched"
    until("trouble", lambda: venue.bot.said("trouble"))
    assert venue.get("/health")["status"] == "degraded"
    door.open()
    venue.wait_for(taker["hash"], status="filled")
    until("health", lambda: venue.get("/health")["status"] == "ok")
