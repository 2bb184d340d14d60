"""What is done on a signature: placing, cancelling, delegating; by keys and by wallets; once, here, and as signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.core.orders import Scope
from plimsoll.sdk.signing import Cancel, CancelAll, Delegation, Domain, digest, recover, struct_hash
from tests.support.core import (
    ETH,
    ETH_PRICE,
    KEEPER,
    LIMIT_ORDER,
    LISTING,
    MARKET_ORDER,
    ORDER_CONFIG,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ZERO_ADDRESS, Receipt, reverts
from tests.support.signed import FIELDS, Signed, as_order, key_of
from tests.unit.orders.reference import (
    DELAY,
    EXECUTION_FEE,
    MATCHING,
    QUEUED,
    SPENT,
    WAITING,
    fee_reserve,
    fill,
    hash_of,
    queue,
    reserved,
    status,
)
from tests.unit.orders.steps import add_cash
from tests.unit.orders.wallets import ANSWERS, BOMB, BURNS_GAS, HOSTILE, approves, wallet

RELAY_FEE: int = ORDER_CONFIG["relayFee"]
RELAYER = actor("relayer")
RELAYER_ACCOUNT = account_id(RELAYER)
MAX_FEE = 10 * WAD
BOT = actor("bot")
SCOPE = Scope(markets=0b11, until=2**40 - 1, daily_budget=1_000_000, may_match=True, may_take_over=True)
N_SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def signed(core: Core) -> Signed:
    core.track(RELAYER_ACCOUNT)
    return Signed(core)


@pytest.fixture
def alice(signed: Signed) -> int:
    """100,000 dollars, an owner with a key."""
    return signed.trader("alice", 100_000)


def market_order(core: Core, account: int, base: int = 2 * WAD, **options: Any) -> dict[str, Any]:
    return core.order(account, ETH, base, **{"expiry": core.evm.timestamp + 60, **options})


def take_profit(core: Core, account: int, base: int = 2 * WAD, **options: Any) -> dict[str, Any]:
    """Due at once, and reserves nothing."""
    return core.order(account, ETH, base, kind=TAKE_PROFIT, trigger=ETH_PRICE, **options)


Build = Callable[..., dict[str, Any]]
KINDS = pytest.mark.parametrize("of_kind", [market_order, take_profit])


def place_for(signed: Signed, order: dict[str, Any], signature: bytes | None = None) -> Receipt:
    receipt: Receipt = signed.core.order_book.placeFor(
        order, signed.order(order) if signature is None else signature, sender=RELAYER
    )
    return receipt


def field(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


# --- placeFor ---


@pytest.mark.parametrize("base", [2 * WAD, -2 * WAD, 1234567890123456789])
def test_place_for__market_order__events_money_and_fill(core: Core, signed: Signed, alice: int, base: int) -> None:
    """OB-05: queued as if its owner had sent it, and the relayer is paid at once."""
    order = market_order(core, alice, base)
    cash, hash_ = core.cash(alice), hash_of(core, order)
    receipt = place_for(signed, order)
    reserve = fee_reserve(base, ETH_PRICE)
    assert receipt.value == hash_ == struct_hash(as_order(order))
    event = receipt.event("OrderPlaced")
    assert (event["hash"], event["account"], event["marketId"]) == (hash_, alice, ETH)
    assert tuple(event["order"]) == tuple(order[name] for name in FIELDS)
    assert (event["settleFrom"], event["sequence"]) == (core.evm.timestamp + DELAY, 1)
    assert (event["executionFee"], event["feeReserve"]) == (EXECUTION_FEE, reserve)
    assert [event["account"] for event in receipt.events("Posted")] == [alice, RELAYER_ACCOUNT]
    assert (core.cash(alice), reserved(core, alice)) == (cash - RELAY_FEE, EXECUTION_FEE + reserve)
    assert core.cash(RELAYER_ACCOUNT) == RELAY_FEE
    assert (status(core, order), queue(core, ETH)) == (QUEUED, (2, 1))

    core.settle(order).event("OrderExecuted")
    assert core.cash(alice) == cash - RELAY_FEE - EXECUTION_FEE - fill(ETH, 0, base, ETH_PRICE).fee
    core.check_sums()


@pytest.mark.parametrize("kind", [STOP_LOSS, TAKE_PROFIT])
def test_place_for__order_that_waits__pays_the_relayer_alone(core: Core, signed: Signed, alice: int, kind: int) -> None:
    """It needs no expiry: its counter ends it."""
    order = core.order(alice, ETH, WAD, kind=kind, trigger=ETH_PRICE)
    cash = core.cash(alice)
    receipt = place_for(signed, order)
    assert [event["account"] for event in receipt.events("Posted")] == [alice, RELAYER_ACCOUNT]
    assert (core.cash(alice), reserved(core, alice), status(core, order)) == (cash - RELAY_FEE, 0, WAITING)
    assert core.cash(RELAYER_ACCOUNT) == RELAY_FEE
    core.tick(DELAY)
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_place_for__without_a_relay_fee__costs_nothing(core: Core, signed: Signed) -> None:
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "relayFee": 0}, sender=LISTING)
    nobody = signed.trader("nobody")
    receipt = place_for(signed, take_profit(core, nobody))
    assert [event.name for event in receipt.logs] == ["OrderPlaced"]
    core.check_sums()


@KINDS
def test_place_for__cash_for_all_fees__is_needed_to_the_wei(core: Core, signed: Signed, of_kind: Build) -> None:
    trader = signed.trader("trader")
    order = of_kind(core, trader)
    required = RELAY_FEE
    if order["kind"] == MARKET_ORDER:
        required += EXECUTION_FEE + fee_reserve(2 * WAD, ETH_PRICE)
    add_cash(core, trader, required - 1)
    with reverts("OrderBook_InsufficientCash", required - 1, required):
        place_for(signed, order)
    add_cash(core, trader, 1)
    place_for(signed, order)
    assert core.cash(trader) - reserved(core, trader) == 0
    core.check_sums()


def test_place_for__reduce_only_without_cash__is_backed_by_what_is_beyond_maintenance(
    core: Core, signed: Signed
) -> None:
    trader = signed.trader("trader", 1_000)
    core.open(trader, ETH, 4 * WAD)
    add_cash(core, trader, -core.cash(trader))
    core.record(ETH, 3_200 * WAD, published_at=core.evm.timestamp + 1)
    core.evm.advance(1)
    equity, maintenance = core.market.healthOf(trader)
    order = market_order(core, trader, -4 * WAD, reduce_only=True)
    required = EXECUTION_FEE + fee_reserve(4 * WAD, 3_200 * WAD) + RELAY_FEE
    add_cash(core, trader, required - 1 - (equity - maintenance))
    with reverts("OrderBook_InsufficientCash", required - 1, required):
        place_for(signed, order)
    add_cash(core, trader, 1)
    assert core.cash(trader) < 0
    place_for(signed, order)
    core.settle(order).event("OrderExecuted")
    core.check_sums()


def test_place_for__anyone__may_bring_it(core: Core, signed: Signed, alice: int) -> None:
    order = market_order(core, alice)
    core.order_book.placeFor(order, signed.order(order), sender=owner_of(alice))
    assert status(core, order) == QUEUED
    core.check_sums()


def test_place_for__at_its_expiry__is_placed_and_a_second_later_refused(core: Core, signed: Signed, alice: int) -> None:
    expiry = core.evm.timestamp + 60
    first, second = market_order(core, alice), market_order(core, alice)
    core.evm.advance(60)
    place_for(signed, first)
    core.evm.advance(1)
    with reverts("OrderBook_Expired", expiry):
        place_for(signed, second)
    core.tick(1)
    core.execute(first).event("OrderExecuted")
    core.check_sums()


def test_place_for__market_order_without_an_expiry__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """Else whoever relays it chooses the moment."""
    with reverts("OrderBook_InvalidTerms", field("expiry")):
        place_for(signed, market_order(core, alice, expiry=0))
    core.check_sums()


@KINDS
@pytest.mark.parametrize("counter", [1, 2**128 - 1])
def test_place_for__other_counter__is_refused(
    core: Core, signed: Signed, alice: int, of_kind: Build, counter: int
) -> None:
    with reverts("OrderBook_WrongCounter", alice, 0):
        place_for(signed, of_kind(core, alice, counter=counter))
    core.check_sums()


@pytest.mark.parametrize("reduce_only", [False, True])
@pytest.mark.parametrize("parent", [bytes(32), b"\1" * 32], ids=["alone", "with a parent"])
def test_place_for__limit_order__is_refused_and_its_owner_may_place_it(
    core: Core, signed: Signed, alice: int, reduce_only: bool, parent: bytes
) -> None:
    """Signed it is there to be matched: nobody shall take it out of a book for the fee. Also with a parent, which no
    order that is matched can have."""
    order = core.order(alice, ETH, WAD, kind=LIMIT_ORDER, reduce_only=reduce_only, parent=parent)
    cash = core.cash(alice)
    for bring in (lambda: place_for(signed, order), lambda: own_relay(signed, order)):
        with reverts("OrderBook_InvalidTerms", field("kind")):
            bring()
    assert (status(core, order), core.cash(alice), core.cash(RELAYER_ACCOUNT)) == (0, cash, 0)
    core.place(order)
    assert (status(core, order), core.cash(alice)) == (WAITING, cash)
    core.check_sums()


def own_relay(signed: Signed, order: dict[str, Any]) -> None:
    """Its owner brings his own signature."""
    signed.core.order_book.placeFor(order, signed.order(order), sender=owner_of(order["account"]))


def test_place_for__limit_order_signed_by_a_delegate__is_refused_and_he_may_place_it(
    core: Core, signed: Signed, alice: int
) -> None:
    bot = key_of("bot")
    core.order_book.setDelegate(alice, bot.address, SCOPE, sender=owner_of(alice))
    order = signed.limit(alice, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_InvalidTerms", field("kind")):
        place_for(signed, order, signed.order(order, bot))
    assert core.order_book.delegation(alice, bot.address) == (SCOPE, 0)
    core.order_book.place(order, sender=bot.address).event("OrderPlaced")
    core.check_sums()


def test_place_for__limit_order_that_is_wrong_elsewhere_too__the_first_is_named(
    core: Core, signed: Signed, alice: int
) -> None:
    """After who may, size, time in force and trigger; before expiry, counter and what became of it."""
    order = signed.limit(alice, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_NotPermitted", alice, key_of("mallory").address):
        place_for(signed, order, signed.order(order, key_of("mallory")))
    with reverts("OrderBook_ZeroSize"):
        place_for(signed, {**order, "base": 0})
    with reverts("OrderBook_InvalidTerms", field("base")):
        place_for(signed, {**order, "base": 2**96})
    with reverts("OrderBook_InvalidTerms", field("triggerPrice")):
        place_for(signed, {**order, "triggerPrice": 1})
    core.place(order)
    for changes in ({"expiry": 1}, {"salt": 1 << 128}, {"marketId": 3}, {}):
        with reverts("OrderBook_InvalidTerms", field("kind")):
            place_for(signed, {**order, **changes})
    core.check_sums()


@pytest.mark.parametrize("time_in_force", [1, 2, 3])
def test_place_for__order_that_is_to_be_matched__is_refused(
    core: Core, signed: Signed, alice: int, time_in_force: int
) -> None:
    order = signed.limit(alice, ETH, WAD, ETH_PRICE, time_in_force=time_in_force)
    with reverts("OrderBook_InvalidTerms", field("timeInForce")):
        place_for(signed, order)
    core.check_sums()


# --- a signature is worth nothing elsewhere ---


def test_place_for__a_second_time__is_refused_whatever_became_of_it(core: Core, signed: Signed, alice: int) -> None:
    order = market_order(core, alice)
    signature, hash_ = signed.order(order), hash_of(core, order)
    place_for(signed, order, signature)
    with reverts("OrderBook_AlreadyUsed", hash_):
        place_for(signed, order, signature)
    core.settle(order).event("OrderExecuted")
    with reverts("OrderBook_AlreadyUsed", hash_):
        place_for(signed, order, signature)
    assert core.cash(RELAYER_ACCOUNT) == RELAY_FEE
    core.check_sums()


@pytest.mark.parametrize("end", ["placed", "cancelled"])
def test_place_for__after_its_owner_placed_or_ended_it__is_refused(
    core: Core, signed: Signed, alice: int, end: str
) -> None:
    order = take_profit(core, alice)
    if end == "placed":
        core.place(order)
    else:
        core.order_book.cancel(order, sender=owner_of(alice))
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        place_for(signed, order)
    core.check_sums()


@pytest.mark.parametrize("size", [WAD, 2 * WAD], ids=["in part", "whole"])
def test_place__after_it_was_matched__is_refused(core: Core, signed: Signed, alice: int, size: int) -> None:
    """Also by its owner."""
    order = signed.limit(alice, ETH, 2 * WAD, ETH_PRICE)
    signed.match(signed.limit(signed.trader("maker", 10_000), ETH, -size, ETH_PRICE), order)
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        core.place(order)
    core.check_sums()


def test_match__after_it_was_placed__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """One order, one use: against the pool or against others."""
    order = signed.limit(alice, ETH, 2 * WAD, ETH_PRICE + WAD)
    maker = signed.limit(signed.trader("maker", 10_000), ETH, -2 * WAD, ETH_PRICE)
    core.place(order)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        signed.match(maker, order)
    core.settle(order).event("OrderExecuted")
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        signed.match(maker, order)
    core.check_sums()


def test_place_for__signed_for_another_chain__is_refused(core: Core, signed: Signed, alice: int) -> None:
    order = market_order(core, alice)
    elsewhere = Signed(core)
    elsewhere.know("alice")
    elsewhere.domain = Domain(core.evm.chain_id + 1, core.order_book.address)
    signature = elsewhere.order(order)
    with reverts("OrderBook_NotPermitted", alice, recover(as_order(order), signed.domain, signature)):
        place_for(signed, order, signature)
    core.check_sums()


def test_place_for__signed_for_another_order_book__is_refused(core: Core, signed: Signed, alice: int) -> None:
    second = deploy_core(core.evm)
    order = market_order(second, alice)
    second.fund_account(alice, 10_000)
    signature = signed.order(order)
    there = Signed(second)
    with reverts("OrderBook_NotPermitted", alice, recover(as_order(order), there.domain, signature)):
        place_for(there, order, signature)
    there.know("alice")
    place_for(there, order)
    assert (status(core, order), status(second, order)) == (0, QUEUED)
    assert there.order(order) != signature
    core.check_sums()


OTHER_FIELDS: dict[str, Callable[[Any], Any]] = {
    "account": lambda account: account + 1,
    "marketId": lambda market: market + 1,
    "kind": lambda kind: MARKET_ORDER,
    "base": lambda base: base + 1,
    "acceptablePrice": lambda price: price + 1,
    "triggerPrice": lambda price: price + 1,
    "reduceOnly": lambda only: not only,
    "timeInForce": lambda in_force: in_force + 1,
    "expiry": lambda expiry: expiry + 1,
    "parent": lambda parent: b"\1" * 32,
    "salt": lambda salt: salt + 1,
}


@pytest.mark.parametrize("changed", FIELDS)
def test_place_for__with_another_field_than_was_signed__is_refused(
    core: Core, signed: Signed, alice: int, changed: str
) -> None:
    """Another account too, though it has the same owner."""
    order = take_profit(core, alice, acceptable=ETH_PRICE, expiry=core.evm.timestamp + 60)
    signature = signed.order(order)
    other = {**order, changed: OTHER_FIELDS[changed](order[changed])}
    signer = recover(as_order(other), signed.domain, signature)
    assert signer != owner_of(alice)
    with reverts("OrderBook_NotPermitted", other["account"], signer):
        place_for(signed, other, signature)
    place_for(signed, order, signature)
    core.check_sums()


def test_place_for__signed_by_somebody_else__is_refused(core: Core, signed: Signed, alice: int) -> None:
    mallory = key_of("mallory")
    order = market_order(core, alice)
    with reverts("OrderBook_NotPermitted", alice, mallory.address):
        place_for(signed, order, signed.order(order, mallory))
    core.check_sums()


def _high_s(signature: bytes) -> bytes:
    s = N_SECP256K1 - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


NO_SIGNATURES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "zeros": lambda _: bytes(65),
    "64 bytes": lambda s: s[:64],
    "66 bytes": lambda s: s + b"\0",
    "v of 0 or 1": lambda s: s[:64] + bytes([s[64] - 27]),
    "v of 29": lambda s: s[:64] + bytes([29]),
    "the other s": _high_s,
    "r of 0": lambda s: bytes(32) + s[32:],
}


@pytest.mark.parametrize("kind", NO_SIGNATURES)
@pytest.mark.parametrize("account", ["alice's", "nobody's"])
def test_place_for__no_signature__is_nobodys(core: Core, signed: Signed, alice: int, kind: str, account: str) -> None:
    """OB-05: nobody owns the accounts of address zero either, which stands for a signer that nobody could be."""
    owned = alice if account == "alice's" else 0
    order = market_order(core, owned)
    with reverts("OrderBook_NotPermitted", owned, ZERO_ADDRESS):
        place_for(signed, order, NO_SIGNATURES[kind](signed.order(order, key_of("alice"))))
    core.check_sums()


@pytest.mark.parametrize("name", ["kind", "reduceOnly", "timeInForce"])
def test_place__word_that_is_no_value_of_its_field__is_refused(
    core: Core, signed: Signed, alice: int, name: str
) -> None:
    """An order is hashed as its words are: no second hash is made of one order."""
    order = market_order(core, alice)
    data = bytearray(core.order_book.place.encode(order))
    data[4 + 32 * FIELDS.index(name)] = 1
    with reverts(None):
        core.evm.call_raw(owner_of(alice), core.order_book.address, bytes(data))
    assert queue(core, ETH) == (1, 1)


# --- cancelFor ---


def cancel_for(signed: Signed, order: dict[str, Any], fee: int = 0, signature: bytes | None = None) -> Receipt:
    receipt: Receipt = signed.core.order_book.cancelFor(
        order, fee, signed.cancel(order, fee) if signature is None else signature, sender=RELAYER
    )
    return receipt


@pytest.mark.parametrize("fee", [0, 1, RELAY_FEE, MAX_FEE])
def test_cancel_for__order_that_waits__events_and_money(core: Core, signed: Signed, alice: int, fee: int) -> None:
    order = core.order(alice, ETH, WAD, kind=LIMIT_ORDER)
    core.place(order)
    cash = core.cash(alice)
    receipt = cancel_for(signed, order, fee)
    assert receipt.event("OrderCancelled").args == {"hash": hash_of(core, order), "account": alice}
    assert receipt.event("Relayed").args == {"account": alice, "relayer": RELAYER, "fee": fee}
    assert (status(core, order), core.cash(alice), core.cash(RELAYER_ACCOUNT)) == (SPENT, cash - fee, fee)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        cancel_for(signed, order, fee)
    core.check_sums()


def test_cancel_for__signed_order_never_seen__can_not_be_used_any_more(core: Core, signed: Signed, alice: int) -> None:
    order = take_profit(core, alice)
    cancel_for(signed, order).event("OrderCancelled")
    with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
        place_for(signed, order)
    limit = signed.limit(alice, ETH, WAD, ETH_PRICE)
    cancel_for(signed, limit).event("OrderCancelled")
    with reverts("OrderBook_UnknownOrder", hash_of(core, limit)):
        signed.match(signed.limit(signed.trader("maker", 10_000), ETH, -WAD, ETH_PRICE), limit)
    core.check_sums()


def test_cancel_for__order_matched_in_part__ends_and_remembers_what_was(core: Core, signed: Signed, alice: int) -> None:
    order = signed.limit(alice, ETH, 3 * WAD, ETH_PRICE)
    signed.match(signed.limit(signed.trader("maker", 10_000), ETH, -WAD, ETH_PRICE), order)
    cancel_for(signed, order)
    found = core.order_book.commitment(hash_of(core, order))
    assert (found.status, found.amount) == (SPENT, WAD)
    core.check_sums()


def test_cancel_for__market_order_queued__is_refused(core: Core, signed: Signed, alice: int) -> None:
    order = core.order(alice, ETH, WAD)
    core.place(order)
    with reverts("OrderBook_NotCancellable", hash_of(core, order)):
        cancel_for(signed, order)
    core.check_sums()


def test_cancel_for__what_was_reserved__pays_the_relayer(core: Core, signed: Signed) -> None:
    """The fee is judged after all that the call does: what it released counts."""
    trader = signed.trader("trader", 10_000)
    core.open(trader, ETH, 2 * WAD)
    order = core.order(trader, ETH, -2 * WAD, reduce_only=True)
    core.place(order)
    core.tick(60)
    core.execute(order).event("OrderLeftQueue")
    core.tick(1)
    held = reserved(core, trader)
    free = core.market.freeCollateral(trader, core.vault.balanceOf(trader))
    fee = min(MAX_FEE, held)
    add_cash(core, trader, fee - free - held - 1)
    with reverts("OrderBook_InsufficientCash", fee - 1, fee):
        cancel_for(signed, order, fee)
    add_cash(core, trader, 1)
    cancel_for(signed, order, fee)
    assert (reserved(core, trader), core.cash(RELAYER_ACCOUNT)) == (0, fee)
    core.check_sums()


def test_cancel_for__more_than_ten_dollars__is_refused(core: Core, signed: Signed, alice: int) -> None:
    with reverts("OrderBook_InvalidTerms", field("relayFee")):
        cancel_for(signed, signed.limit(alice, ETH, WAD, ETH_PRICE), MAX_FEE + 1)
    core.check_sums()


@pytest.mark.parametrize("cash", [0, RELAY_FEE - 1])
def test_cancel_for__without_the_cash__is_refused(core: Core, signed: Signed, cash: int) -> None:
    trader = signed.trader("trader")
    add_cash(core, trader, cash)
    order = signed.limit(trader, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_InsufficientCash", cash, RELAY_FEE):
        cancel_for(signed, order, RELAY_FEE)
    add_cash(core, trader, RELAY_FEE - cash)
    cancel_for(signed, order, RELAY_FEE)
    assert core.cash(trader) == 0
    core.check_sums()


def test_cancel_for__on_another_word__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """Another fee, order, key, kind of word: nothing but what was signed."""
    order, other = (signed.limit(alice, ETH, WAD, ETH_PRICE) for _ in range(2))
    mallory = key_of("mallory")
    for fee, signature in (
        (RELAY_FEE + 1, signed.cancel(order, RELAY_FEE)),
        (0, signed.cancel(other)),
        (0, signed.cancel(order, key=mallory)),
        (0, signed.order(order)),
        (0, b""),
    ):
        with reverts("OrderBook_BadSignature", alice):
            cancel_for(signed, order, fee, signature)
    core.check_sums()


def test_cancel_for__by_a_delegates_key__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """He may cancel by call, at his own expense; the fee is the owner's to give."""
    bot = key_of("bot")
    core.order_book.setDelegate(alice, bot.address, SCOPE, sender=owner_of(alice))
    order = signed.limit(alice, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_BadSignature", alice):
        cancel_for(signed, order, 0, signed.cancel(order, key=bot))
    core.order_book.cancel(order, sender=bot.address).event("OrderCancelled")
    core.check_sums()


# --- cancelAllFor ---


def cancel_all_for(signed: Signed, account: int, counter: int, fee: int = 0, signature: bytes | None = None) -> Receipt:
    receipt: Receipt = signed.core.order_book.cancelAllFor(
        account,
        counter,
        fee,
        signed.cancel_all(account, counter, fee) if signature is None else signature,
        sender=RELAYER,
    )
    return receipt


@pytest.mark.parametrize("fee", [0, RELAY_FEE, MAX_FEE])
def test_cancel_all_for__events_money_and_counter(core: Core, signed: Signed, alice: int, fee: int) -> None:
    cash = core.cash(alice)
    receipt = cancel_all_for(signed, alice, 1, fee)
    assert receipt.event("AllCancelled").args == {"account": alice, "counter": 1}
    assert receipt.event("Relayed").args == {"account": alice, "relayer": RELAYER, "fee": fee}
    assert (core.cash(alice), core.cash(RELAYER_ACCOUNT)) == (cash - fee, fee)
    assert core.order_book.counterOf(alice) == 1
    core.check_sums()


def test_cancel_all_for__a_second_time__is_refused(core: Core, signed: Signed, alice: int) -> None:
    cancel_all_for(signed, alice, 1)
    with reverts("OrderBook_WrongCounter", alice, 1):
        cancel_all_for(signed, alice, 1)
    cancel_all_for(signed, alice, 2)
    assert core.order_book.counterOf(alice) == 2
    core.check_sums()


@pytest.mark.parametrize("counter", [0, 2, 2**256 - 1])
def test_cancel_all_for__any_counter_but_the_next__is_refused(
    core: Core, signed: Signed, alice: int, counter: int
) -> None:
    with reverts("OrderBook_WrongCounter", alice, 0):
        cancel_all_for(signed, alice, counter)
    core.check_sums()


def test_cancel_all_for__on_another_word__is_refused(core: Core, signed: Signed, alice: int) -> None:
    for signature in (
        signed.cancel_all(alice, 1, RELAY_FEE),
        signed.cancel_all(alice, 2),
        signed.cancel_all(alice + 1, 1, key=key_of("alice")),
        signed.cancel_all(alice, 1, key=key_of("mallory")),
        b"",
    ):
        with reverts("OrderBook_BadSignature", alice):
            cancel_all_for(signed, alice, 1, 0, signature)
    assert core.order_book.counterOf(alice) == 0
    core.check_sums()


def test_cancel_all_for__fee_beyond_its_bounds__is_refused(core: Core, signed: Signed) -> None:
    trader = signed.trader("trader", 10)
    with reverts("OrderBook_InvalidTerms", field("relayFee")):
        cancel_all_for(signed, trader, 1, MAX_FEE + 1)
    add_cash(core, trader, -1)
    with reverts("OrderBook_InsufficientCash", MAX_FEE - 1, MAX_FEE):
        cancel_all_for(signed, trader, 1, MAX_FEE)
    assert core.order_book.counterOf(trader) == 0
    core.check_sums()


# --- setDelegateFor ---


def delegate_for(
    signed: Signed, account: int, delegate: str, salt: int = 1, fee: int = 0, signature: bytes | None = None
) -> Receipt:
    if signature is None:
        signature = signed.delegation(account, delegate, SCOPE, salt, fee)
    receipt: Receipt = signed.core.order_book.setDelegateFor(
        account, delegate, SCOPE, salt, fee, signature, sender=RELAYER
    )
    return receipt


@pytest.mark.parametrize("fee", [0, RELAY_FEE, MAX_FEE])
def test_set_delegate_for__events_money_and_scope(core: Core, signed: Signed, alice: int, fee: int) -> None:
    cash = core.cash(alice)
    receipt = delegate_for(signed, alice, BOT, fee=fee)
    assert receipt.event("DelegateSet").args == {"account": alice, "delegate": BOT, "scope": SCOPE}
    assert receipt.event("Relayed").args == {"account": alice, "relayer": RELAYER, "fee": fee}
    assert core.order_book.delegation(alice, BOT) == (SCOPE, 0)
    assert (core.cash(alice), core.cash(RELAYER_ACCOUNT)) == (cash - fee, fee)
    core.check_sums()


def test_set_delegate_for__a_second_time__is_refused_also_after_its_revocation(
    core: Core, signed: Signed, alice: int
) -> None:
    delegate_for(signed, alice, BOT)
    hash_ = struct_hash(Delegation(alice, BOT, SCOPE, 1, 0))
    core.order_book.setDelegate(alice, BOT, Scope(0, 0, 0), sender=owner_of(alice))
    with reverts("OrderBook_AlreadyUsed", hash_):
        delegate_for(signed, alice, BOT)
    assert core.order_book.delegation(alice, BOT) == (Scope(0, 0, 0), 0)
    delegate_for(signed, alice, BOT, salt=2)
    core.check_sums()


def test_set_delegate_for__of_an_old_counter__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """Also where it was used: the counter comes first."""
    delegate_for(signed, alice, BOT)
    core.order_book.cancelAll(alice, sender=owner_of(alice))
    for salt in (1, 2):
        with reverts("OrderBook_WrongCounter", alice, 1):
            delegate_for(signed, alice, BOT, salt=salt)
    delegate_for(signed, alice, BOT, salt=1 << 128)
    core.check_sums()


def test_set_delegate_for__on_another_word__is_refused(core: Core, signed: Signed, alice: int) -> None:
    less = SCOPE._replace(daily_budget=1)
    for signature in (
        signed.delegation(alice, BOT, less, 1),
        signed.delegation(alice, BOT, SCOPE._replace(may_match=False), 1),
        signed.delegation(alice, BOT, SCOPE._replace(may_take_over=False), 1),
        signed.delegation(alice, BOT, SCOPE._replace(until=1), 1),
        signed.delegation(alice, BOT, SCOPE._replace(markets=1), 1),
        signed.delegation(alice, actor("other"), SCOPE, 1),
        signed.delegation(alice, BOT, SCOPE, 2),
        signed.delegation(alice, BOT, SCOPE, 1, 1),
        signed.delegation(alice + 1, BOT, SCOPE, 1, key=key_of("alice")),
        signed.delegation(alice, BOT, SCOPE, 1, key=key_of("bot")),
        b"",
    ):
        with reverts("OrderBook_BadSignature", alice):
            delegate_for(signed, alice, BOT, signature=signature)
    assert core.order_book.delegation(alice, BOT) == (Scope(0, 0, 0), 0)
    core.check_sums()


def test_set_delegate_for__by_a_delegates_key__is_refused(core: Core, signed: Signed, alice: int) -> None:
    """A delegate makes no delegates."""
    bot = key_of("bot")
    core.order_book.setDelegate(alice, bot.address, SCOPE, sender=owner_of(alice))
    with reverts("OrderBook_BadSignature", alice):
        delegate_for(signed, alice, BOT, signature=signed.delegation(alice, BOT, SCOPE, 1, key=bot))
    core.check_sums()


def test_set_delegate_for__nobody__is_refused(core: Core, signed: Signed, alice: int) -> None:
    with reverts("OrderBook_InvalidTerms", field("delegate")):
        delegate_for(signed, alice, ZERO_ADDRESS)
    core.check_sums()


def test_set_delegate_for__fee_beyond_its_bounds__is_refused(core: Core, signed: Signed) -> None:
    trader = signed.trader("trader", 1)
    with reverts("OrderBook_InvalidTerms", field("relayFee")):
        delegate_for(signed, trader, BOT, fee=MAX_FEE + 1)
    with reverts("OrderBook_InsufficientCash", WAD, WAD + 1):
        delegate_for(signed, trader, BOT, fee=WAD + 1)
    delegate_for(signed, trader, BOT, fee=WAD)
    core.check_sums()


def test_signatures__of_nobodys_account__are_refused(core: Core, signed: Signed) -> None:
    """Address zero owns the first accounts there are, and is what no signature recovers to."""
    order = core.order(0, ETH, WAD, kind=LIMIT_ORDER)
    with reverts("OrderBook_BadSignature", 0):
        cancel_for(signed, order, 0, bytes(65))
    with reverts("OrderBook_BadSignature", 0):
        cancel_all_for(signed, 0, 1, 0, bytes(65))
    with reverts("OrderBook_BadSignature", 0):
        delegate_for(signed, 0, BOT, signature=bytes(65))
    core.check_sums()


# --- wallets ---


def test_place_for__wallet_that_approves_the_digest__is_its_word(core: Core, signed: Signed) -> None:
    """OB-05: ERC-1271, asked for the digest that a key would sign."""
    account = wallet(core, b"")
    order, other = market_order(core, account), market_order(core, account)
    core.evm.set_code(owner_of(account), approves(digest(as_order(order), signed.domain)))
    with reverts("OrderBook_NotPermitted", account, ZERO_ADDRESS):
        place_for(signed, other, b"whatever")
    place_for(signed, order, b"whatever")
    assert core.cash(RELAYER_ACCOUNT) == RELAY_FEE
    core.settle(order).event("OrderExecuted")
    core.check_sums()


def test_cancel_and_delegate_for__wallet_that_approves_the_digest__is_its_word(core: Core, signed: Signed) -> None:
    account = wallet(core, b"")
    order = signed.limit(account, ETH, WAD, ETH_PRICE)

    def approve(message: Any) -> None:
        core.evm.set_code(owner_of(account), approves(digest(message, signed.domain)))

    approve(Cancel(hash_of(core, order), RELAY_FEE))
    with reverts("OrderBook_BadSignature", account):
        cancel_for(signed, order, 0, b"")
    cancel_for(signed, order, RELAY_FEE, b"")
    approve(CancelAll(account, 1, RELAY_FEE))
    cancel_all_for(signed, account, 1, RELAY_FEE, b"")
    approve(Delegation(account, BOT, SCOPE, 1 << 128, RELAY_FEE))
    delegate_for(signed, account, BOT, 1 << 128, RELAY_FEE, b"")
    assert core.cash(RELAYER_ACCOUNT) == 3 * RELAY_FEE
    core.check_sums()


@pytest.mark.parametrize("answer", HOSTILE)
def test_place_for__wallet_that_answers_anything_but_yes__is_refused(core: Core, signed: Signed, answer: str) -> None:
    account = wallet(core, ANSWERS[answer])
    order = market_order(core, account)
    with reverts("OrderBook_NotPermitted", account, ZERO_ADDRESS):
        place_for(signed, order, b"")
    mallory = key_of("mallory")
    with reverts("OrderBook_NotPermitted", account, mallory.address):
        place_for(signed, order, signed.order(order, mallory))
    with reverts("OrderBook_BadSignature", account):
        cancel_for(signed, order, 0, signed.cancel(order, key=mallory))
    core.check_sums()


@pytest.mark.parametrize("code", [BURNS_GAS, BOMB], ids=["burns its gas", "returns as much as it can"])
def test_place_for__wallet_that_wastes_gas__wastes_little(core: Core, signed: Signed, code: bytes) -> None:
    """It is asked with 100,000 gas, so that it can't burn its counterpart's."""
    account = wallet(core, code)
    order = market_order(core, account)
    with pytest.raises(Exception, match="OrderBook_NotPermitted") as caught:
        place_for(signed, order, b"")
    assert caught.value.gas_used < 300_000  # type: ignore[attr-defined]
    core.check_sums()


def test_match__maker_wallet_that_burns_its_gas__is_skipped_and_the_rest_matched(
    core: Core, signed: Signed, alice: int
) -> None:
    honest = signed.limit(signed.trader("maker", 10_000), ETH, -WAD, ETH_PRICE)
    hostile = [
        signed.limit(wallet(core, code, name=name), ETH, -WAD, ETH_PRICE)
        for name, code in (("burner", BURNS_GAS), ("bomber", BOMB))
    ]
    taken = signed.limit(alice, ETH, 3 * WAD, ETH_PRICE)
    makers = [*((order, b"", WAD) for order in hostile), signed.fill(honest)]
    receipt = signed.match_batch(taken, makers, gas=1_500_000)
    assert [event["makerHash"] for event in receipt.events("MatchSkipped")] == [hash_of(core, o) for o in hostile]
    assert receipt.event("OrdersMatched")["makerHash"] == hash_of(core, honest)
    assert receipt.value == WAD
    core.check_sums()


def test_match__wallets_on_both_sides__are_matched(core: Core, signed: Signed) -> None:
    maker, taker = (wallet(core, ANSWERS["yes"], name=name) for name in ("maker", "taker"))
    made, taken = signed.limit(maker, ETH, -WAD, ETH_PRICE), signed.limit(taker, ETH, 2 * WAD, ETH_PRICE)
    core.track(account_id(KEEPER))
    core.order_book.matchOrders(made, b"", taken, b"", WAD, sender=KEEPER)
    assert status(core, taken) == MATCHING
    core.check_sums()


def test_place_for__key_of_an_owner_with_code__needs_no_answer(core: Core, signed: Signed, alice: int) -> None:
    """A key may have code set to its address: its signature is its word, whatever that code says."""
    core.evm.set_code(owner_of(alice), ANSWERS["no"])
    place_for(signed, market_order(core, alice)).event("OrderPlaced")
    core.check_sums()


def test_place_for__delegate_of_a_wallet__signs_with_his_key(core: Core, signed: Signed) -> None:
    account = wallet(core, b"")
    bot = key_of("bot")
    core.order_book.setDelegate(account, bot.address, SCOPE, sender=owner_of(account))
    core.evm.set_code(owner_of(account), ANSWERS["no"])
    order = market_order(core, account)
    place_for(signed, order, signed.order(order, bot)).event("OrderPlaced")
    assert core.order_book.delegation(account, bot.address) == (SCOPE, 6_000)
    core.check_sums()


def test_place_for__delegate_that_is_a_wallet__can_not_sign(core: Core, signed: Signed, alice: int) -> None:
    """A signature names no signer: only the owner is asked, a contract that is a delegate calls by itself."""
    bot = wallet(core, b"", name="bot")
    core.order_book.setDelegate(alice, owner_of(bot), SCOPE, sender=owner_of(alice))
    core.evm.set_code(owner_of(bot), ANSWERS["yes"])
    order = market_order(core, alice)
    with reverts("OrderBook_NotPermitted", alice, ZERO_ADDRESS):
        place_for(signed, order, b"")
    core.order_book.place(order, sender=owner_of(bot)).event("OrderPlaced")
    core.check_sums()
