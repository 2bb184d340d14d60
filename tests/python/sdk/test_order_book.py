"""The order book's functions from Python, on deployed contracts: together, on signatures, by delegates, matched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from plimsoll.chain.transactions import Receipt
from plimsoll.core import ids
from plimsoll.core.errors import UserError
from plimsoll.core.orders import NO_SCOPE, Order, Scope, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.compositions import bracket, trail
from plimsoll.sdk.delegates import scope_of
from plimsoll.sdk.events import AllCancelled, DelegateSet, MatchSkipped, OrdersMatched, Relayed, decode_all
from plimsoll.sdk.order_book import OrderStatus
from plimsoll.sdk.orders import limit_order, market_order, stop_loss_order, take_profit_order
from plimsoll.sdk.signed import SignedOrder
from plimsoll.sdk.signing import Cancel, CancelAll, Delegation, Domain, order_hash, sign
from tests.support.core import BTC, ETH, ORDER_CONFIG
from tests.support.deployment import World

Record = TypeVar("Record")

PRICE = 3_000 * WAD
NEVER = 2**40 - 1
RELAY_FEE = ORDER_CONFIG["relayFee"]
EXECUTION_FEE = ORDER_CONFIG["executionFee"]
YES = bytes.fromhex("631626ba7e60e01b60005260206000f3")
"""Code of a wallet that finds every signature good: it returns ERC-1271's word."""


def waiting(trader: Plimsoll, price: int = 2_000 * WAD, counter: int = 0) -> Order:
    return limit_order(trader.account(), ETH, WAD, price, counter=counter)


def dip(trader: Plimsoll, price: int = 2_000 * WAD) -> Order:
    """What others can place instead of a limit order at that price."""
    return take_profit_order(
        trader.account(), ETH, WAD, price, acceptable_price=price, reduce_only=False, counter=trader.counter_of()
    )


def cash(world: World, account: int) -> int:
    return int(world.core.vault.cashOf(account))


@pytest.fixture
def trader(world: World) -> Plimsoll:
    return world.trader("trader", 10_000)


@pytest.fixture
def relayer(world: World) -> Plimsoll:
    return world.trader("relayer")


# --- hashes ------------------------------------------------------------------------------------------------------


def test_order_hash__any_fields__are_the_contracts(world: World, trader: Plimsoll) -> None:
    for order in (
        waiting(trader),
        market_order(trader.account(), ETH, -5, reduce_only=True, expiry=7),
        stop_loss_order(trader.account(), BTC, -(2**127) + 1, PRICE, parent=b"\x81" * 32, counter=2**128 - 1),
        waiting(trader)._replace(time_in_force=TimeInForce.FILL_OR_KILL, base=-(2**255), acceptable_price=2**256 - 1),
    ):
        assert order_hash(order) == world.core.order_book.hashOf(order)


# --- placing together --------------------------------------------------------------------------------------------


def test_place_together__a_bracket__is_one_transaction(world: World, trader: Plimsoll) -> None:
    whole = bracket(market_order(trader.account(), ETH, WAD), 2_900 * WAD, 3_100 * WAD)
    sent = len(world.node.sent)
    placed = trader.place_together(whole)
    assert len(world.node.sent) == sent + 1
    assert [one.order for one in placed] == list(whole)
    assert [one.hash for one in placed] == [order_hash(order) for order in whole]
    assert [one.sequence for one in placed] == [1, 0, 0]
    assert [one.hash for one in trader.open_orders()] == [one.hash for one in placed]


def test_bracket__one_exit_fills__the_other_is_void(world: World, trader: Plimsoll) -> None:
    whole = bracket(market_order(trader.account(), ETH, WAD), 2_900 * WAD, 3_100 * WAD)
    entry, stop_loss, take_profit = trader.place_together(whole)
    world.tick(2, {ETH: 3_100 * WAD})
    with pytest.raises(UserError, match="the order that it waits for is not filled yet"):
        _execute(world, take_profit.order)
    world.execute(entry)
    with pytest.raises(UserError, match=r"the index price is \$3,100.00, and the order is due at \$2,900.00"):
        _execute(world, stop_loss.order)
    world.execute(take_profit)
    assert trader.position("ETH") is None
    world.execute(stop_loss)
    assert trader.wait_for(take_profit, 1).status == "filled"
    ended = trader.wait_for(stop_loss, 1)
    assert (ended.status, ended.reason) == ("void", "nothing was left to reduce")
    assert trader.open_orders() == []
    assert trader.commitment(take_profit.order).is_filled
    assert not trader.commitment(stop_loss.hash).is_filled


def test_bracket__entry_cancelled__its_exits_are_void(world: World, trader: Plimsoll) -> None:
    whole = bracket(waiting(trader), 1_900 * WAD, 2_100 * WAD)
    placed = trader.place_together(whole)
    trader.cancel(whole.entry)
    world.execute(placed[1])
    ended = trader.wait_for(placed[1].hash, 1)
    assert (ended.status, ended.reason) == ("void", "the order that it waited for ended without a fill")


def test_place_together__one_is_refused__none_is_placed(trader: Plimsoll) -> None:
    good, bad = waiting(trader), waiting(trader, counter=1)
    with pytest.raises(UserError, match="orders: it was made under another counter than the account's, which is 0"):
        trader.place_together([good, bad])
    assert trader.open_orders() == []
    assert trader.commitment(good).status == OrderStatus.NONE
    with pytest.raises(UserError, match="there is nothing to send"):
        trader.place_together([])


def test_replace__a_trailing_stop__is_one_transaction(world: World, trader: Plimsoll) -> None:
    world.open(trader, "ETH", "1")
    old = trader.place(stop_loss_order(trader.account(), ETH, -WAD, 2_900 * WAD))
    moved = trail(old.order, 3_050 * WAD, 100 * WAD)
    assert moved is not None
    sent = len(world.node.sent)
    placed = trader.replace(old.order, moved)
    assert len(world.node.sent) == sent + 1
    assert trader.commitment(old.order).status == OrderStatus.SPENT
    assert trader.commitment(placed.hash).status == OrderStatus.WAITING
    assert [one.order for one in trader.open_orders()] == [moved]


def test_replace__the_old_one_is_gone__places_nothing(trader: Plimsoll) -> None:
    old, new = waiting(trader), waiting(trader)
    trader.place(old)
    trader.cancel(old)
    with pytest.raises(UserError, match="replace: there is no such open order"):
        trader.replace(old, new)
    assert trader.commitment(new).status == OrderStatus.NONE


def test_cancel_together__several__are_spent(trader: Plimsoll) -> None:
    orders = [waiting(trader), waiting(trader), waiting(trader)]
    trader.place_together(orders[:2])
    trader.cancel_together(orders)  # the third was never placed, and can't be any more
    assert {trader.commitment(order).status for order in orders} == {OrderStatus.SPENT}
    with pytest.raises(UserError, match="order: this order or signature was used before"):
        trader.place(orders[2])


def test_cancel_all__orders_that_wait__are_dead_and_new_ones_count_on(world: World, trader: Plimsoll) -> None:
    waits = trader.place(waiting(trader))
    queued = trader.place(market_order(trader.account(), ETH, WAD))
    signed = trader.signed(dip(trader))
    (cancelled,) = _of(trader, trader.cancel_all(), AllCancelled)
    assert (cancelled.account, cancelled.counter) == (trader.account(), 1)
    assert [one.hash for one in trader.open_orders()] == [queued.hash]
    assert [one.hash for one in trader.open_orders(0)] == [queued.hash]
    assert trader.wait_for(waits, 1).status == trader.wait_for(waits.hash, 1).status == "cancelled"
    with pytest.raises(UserError, match="order: it was made under another counter than the account's, which is 1"):
        world.client(world.signer("relayer")).place_for(signed)
    after = trader.place(trader.limit_order("ETH", 1, 2_000))
    assert after.order.counter == trader.counter_of() == trader.new_salt() >> 128 == 1
    assert [one.hash for one in trader.open_orders()] == [queued.hash, after.hash]


# --- signatures --------------------------------------------------------------------------------------------------


def test_place_for__relayed__pays_whoever_brings_it(world: World, trader: Plimsoll, relayer: Plimsoll) -> None:
    signed = trader.signed(dip(trader))
    before = cash(world, trader.account())
    placed = relayer.place_for(signed)
    assert placed.hash == signed.hash
    assert cash(world, trader.account()) == before - RELAY_FEE
    assert cash(world, relayer.account()) == RELAY_FEE
    with pytest.raises(UserError, match="order: this order or signature was used before"):
        relayer.place_for(signed)
    world.tick(2, {ETH: 1_999 * WAD})
    world.execute(placed)
    assert trader.wait_for(placed, 1).status == "filled"


LIMIT_IS_FOR_MATCHING = (
    "^order: a signed limit order is for matching; use a take-profit order with the same trigger and limit, or place "
    "it yourself$"
)


def test_place_for__limit_order__says_what_to_do_and_sends_nothing(
    world: World, trader: Plimsoll, relayer: Plimsoll
) -> None:
    limit = trader.signed(waiting(trader))
    sent = len(world.node.sent)
    with pytest.raises(UserError, match=LIMIT_IS_FOR_MATCHING):
        relayer.place_for(limit)
    whole = bracket(waiting(trader), 1_900 * WAD, 2_100 * WAD)
    with pytest.raises(UserError, match=LIMIT_IS_FOR_MATCHING):
        relayer.place_for_together(trader.signed(order) for order in whole)
    assert len(world.node.sent) == sent
    assert relayer.commitment(limit.order).status == OrderStatus.NONE
    trader.place(limit.order)
    assert [one.order for one in trader.open_orders()] == [limit.order]


def test_place_for__limit_order_past_the_sdk__is_refused_in_words(trader: Plimsoll, relayer: Plimsoll) -> None:
    limit = trader.signed(waiting(trader))
    with pytest.raises(UserError, match=r"^relay: only limit orders are matched, and nobody can place"):
        _transact(relayer, "relay", "placeFor", limit.order, limit.signature)


def test_place_for_together__exits_of_a_limit_order__wait_until_it_is_matched(
    world: World, trader: Plimsoll, relayer: Plimsoll
) -> None:
    whole = bracket(limit_order(trader.account(), ETH, WAD, PRICE), 2_900 * WAD, 3_100 * WAD)
    exits = relayer.place_for_together(trader.signed(order) for order in whole[1:])
    world.tick(2, {ETH: 2_900 * WAD})
    with pytest.raises(UserError, match="the order that it waits for is not filled yet"):
        _execute(world, exits[0].order)
    world.tick(1, {ETH: PRICE})
    relayer.match(signed(world.trader("maker", 10_000), -WAD), trader.signed(whole.entry), WAD)
    world.tick(1, {ETH: 2_900 * WAD})
    world.execute(exits[0])
    assert trader.position("ETH") is None


def test_place_for_together__bracket_entered_by_a_take_profit__is_one_transaction(
    trader: Plimsoll, relayer: Plimsoll
) -> None:
    whole = bracket(dip(trader), 1_900 * WAD, 2_100 * WAD)
    relayer.place_for_together(trader.signed(order) for order in whole)
    assert [one.order for one in trader.open_orders()] == list(whole)


def test_place_for_together__a_bracket_signed__is_one_transaction(trader: Plimsoll, relayer: Plimsoll) -> None:
    whole = bracket(market_order(trader.account(), ETH, WAD, expiry=NEVER), 2_900 * WAD, 3_100 * WAD)
    placed = relayer.place_for_together(trader.signed(order) for order in whole)
    assert [one.sequence for one in placed] == [1, 0, 0]
    assert [one.order for one in trader.open_orders()] == list(whole)


def test_place_for__signature_of_nobody_or_a_stranger__says_so(trader: Plimsoll, relayer: Plimsoll) -> None:
    order = dip(trader)
    with pytest.raises(UserError, match="order: the signature is nobody's, and account 0x"):
        relayer.place_for(SignedOrder(order, b"\1" * 64))
    with pytest.raises(UserError, match=rf"order: {relayer.signer.address} is neither the owner of account 0x"):
        relayer.place_for(relayer.signed(order))


@pytest.mark.parametrize("domain", [Domain(1, "0x" + "11" * 20), None], ids=["all else", "chain"])
def test_place_for__of_another_domain__is_a_strangers(
    trader: Plimsoll, relayer: Plimsoll, domain: Domain | None
) -> None:
    order, own = dip(trader), trader.domain
    signature = sign(order, domain or Domain(own.chain_id + 1, own.order_book), trader.signer)
    with pytest.raises(UserError, match=r"order: 0x.* is neither the owner"):
        relayer.place_for(SignedOrder(order, signature))


def test_place_for__market_order_without_expiry__is_refused(trader: Plimsoll, relayer: Plimsoll) -> None:
    with pytest.raises(UserError, match="order: a market order that others place on a signature needs an expiry"):
        relayer.place_for(trader.signed(market_order(trader.account(), ETH, WAD)))


def test_cancel_for__relayed__pays_what_was_signed(world: World, trader: Plimsoll, relayer: Plimsoll) -> None:
    order = trader.place(waiting(trader)).order
    cancel = Cancel(order_hash(order), 3 * WAD)
    with pytest.raises(UserError, match="cancel: the signature is not of the owner of account 0x"):
        relayer.cancel_for(order, cancel, relayer.sign(cancel))
    (relayed,) = _of(relayer, relayer.cancel_for(order, cancel, trader.sign(cancel)), Relayed)
    assert (relayed.account, relayed.relayer, relayed.fee) == (trader.account(), relayer.signer.address, 3 * WAD)
    assert trader.commitment(order).status == OrderStatus.SPENT
    assert cash(world, relayer.account()) == 3 * WAD
    dear = Cancel(order_hash(waiting(trader)), 10 * WAD + 1)
    with pytest.raises(UserError, match="cancel: the signature is not of the owner"):
        relayer.cancel_for(waiting(trader), dear, trader.sign(dear))  # another salt, another hash


def test_cancel_for__fee_above_ten_dollars__is_refused(trader: Plimsoll, relayer: Plimsoll) -> None:
    order = waiting(trader)
    cancel = Cancel(order_hash(order), 10 * WAD + 1)
    with pytest.raises(UserError, match=r"cancel: the relay fee is above \$10.00"):
        relayer.cancel_for(order, cancel, trader.sign(cancel))


def test_cancel_all_for__relayed__once(world: World, trader: Plimsoll, relayer: Plimsoll) -> None:
    message = CancelAll(trader.account(), 1, WAD)
    signature = trader.sign(message)
    relayer.cancel_all_for(message, signature)
    assert trader.counter_of() == 1
    assert cash(world, relayer.account()) == WAD
    with pytest.raises(UserError, match="cancel all: it was made under another counter than the account's, which is 1"):
        relayer.cancel_all_for(message, signature)


def test_signer_of__key_or_wallet__is_the_order_books_word(world: World, trader: Plimsoll, relayer: Plimsoll) -> None:
    order = waiting(trader)
    account, stranger = trader.account(), relayer.signer.address
    assert relayer.signer_of(account, order, trader.sign(order)) == trader.signer.address
    assert relayer.signer_of(account, order, relayer.sign(order)) == stranger
    assert relayer.signer_of(account, order, b"") is None
    wallet = world.evm.deploy_code(_creation(YES))
    assert relayer.signer_of(ids.pack(wallet), order, b"") == wallet
    assert relayer.signer_of(ids.pack(wallet), order, relayer.sign(order)) == wallet
    for no in ("00", "fe", "60006000fd"):  # nothing, a halt, a revert
        refusing = world.evm.deploy_code(_creation(bytes.fromhex(no)))
        assert relayer.signer_of(ids.pack(refusing), order, relayer.sign(order)) == stranger


# --- delegates ---------------------------------------------------------------------------------------------------


def test_set_delegate__in_scope__trades_until_its_budget_is_used(world: World, trader: Plimsoll) -> None:
    bot, account = world.client(world.signer("bot")), trader.account()
    until = world.evm.timestamp + 100
    receipt = trader.delegate(bot.signer.address, ["ETH"], until, "4_000")
    (made,) = _of(trader, receipt, DelegateSet)
    assert (made.account, made.delegate) == (account, bot.signer.address)
    assert made.scope == Scope(1, until, 4_000)
    assert bot.delegation(bot.signer.address, account) == (made.scope, 0)
    bot.place(waiting(trader))
    found = bot.delegation(bot.signer.address, account)
    assert (found.used_today, found.left_today, found.markets) == (3_000, 1_000, [ETH])
    refused = r"order: the delegate may trade \$1,000.00 more today, and this counts as \$3,000.00"
    with pytest.raises(UserError, match=refused):
        bot.place(waiting(trader))
    with pytest.raises(UserError, match="nor a delegate who may do this"):
        bot.place(limit_order(account, BTC, WAD, PRICE))
    with pytest.raises(UserError, match=r"delegate: 0x.* is neither the owner"):
        bot.set_delegate(bot.signer.address, made.scope, account)
    trader.end_delegation(bot.signer.address)
    assert bot.delegation(bot.signer.address, account) == (NO_SCOPE, 0)
    with pytest.raises(UserError, match=r"cancel: .* nor a delegate"):
        bot.cancel(trader.open_orders()[0].order)


def test_set_delegate_for__relayed__once(world: World, trader: Plimsoll, relayer: Plimsoll) -> None:
    scope = scope_of([ETH, BTC], NEVER, 5_000, may_match=True)
    message = Delegation(trader.account(), relayer.signer.address, scope, trader.new_salt(), WAD)
    signature = trader.sign(message)
    relayer.set_delegate_for(message, signature)
    assert relayer.delegation(relayer.signer.address, trader.account()).scope == scope
    assert cash(world, relayer.account()) == WAD
    with pytest.raises(UserError, match="delegate: this order or signature was used before"):
        relayer.set_delegate_for(message, signature)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: scope_of([], 5, 1_000), "without a market it may do nothing"),
        (lambda: scope_of([17], 5, 1_000), "there is no market 17"),
        (lambda: scope_of([0], 5, 1_000), "there is no market 0"),
        (lambda: scope_of([1], 0, 1_000), "0 is no Unix time"),
        (lambda: scope_of([1], 2**40, 1_000), "is no Unix time"),
        (lambda: scope_of([1], 5, 999), r"a budget of \$999 a day; every order counts for \$1,000 or more"),
        (lambda: scope_of([1], 5, 2**64), "every order counts for"),
    ],
)
def test_scope_of__what_permits_nothing__is_refused(build: Callable[[], Scope], said: str) -> None:
    with pytest.raises(UserError, match=said):
        build()


def test_scope_of__at_the_bounds__is_taken() -> None:
    assert scope_of([1, 16, 1], 2**40 - 1, 2**64 - 1, may_take_over=True) == Scope(
        1 << 15 | 1, 2**40 - 1, 2**64 - 1, False, True
    )
    assert scope_of([2], 1, 1_000) == Scope(2, 1, 1_000)


# --- matching ----------------------------------------------------------------------------------------------------


@pytest.fixture
def maker(world: World) -> Plimsoll:
    return world.trader("maker", 10_000)


def signed(
    trader: Plimsoll, base: int, price: int = PRICE, in_force: TimeInForce = TimeInForce.GOOD_TILL_TIME
) -> SignedOrder:
    return trader.signed(limit_order(trader.account(), ETH, base, price, time_in_force=in_force))


def test_match__in_part__is_in_both_histories_with_its_fees(
    world: World, trader: Plimsoll, maker: Plimsoll, relayer: Plimsoll
) -> None:
    offer, bid = signed(maker, -3 * WAD), signed(trader, 2 * WAD, PRICE + WAD)
    found = relayer.match(offer, bid, 2 * WAD)
    (matched,) = found.matched
    assert isinstance(matched, OrdersMatched)
    assert (matched.maker_hash, matched.taker_hash) == (offer.hash, bid.hash)
    assert (matched.base, matched.quote, found.base, found.skipped) == (2 * WAD, -6_000 * WAD, 2 * WAD, ())
    assert cash(world, relayer.account()) == EXECUTION_FEE == matched.execution_fee
    assert trader.commitment(bid.order).status == OrderStatus.FILLED
    left = trader.commitment(offer.hash)
    assert (left.status, left.amount, left.is_filled) == (OrderStatus.MATCHING, 2 * WAD, True)
    (bought,), (sold,) = trader.fills(), maker.fills()
    assert (bought.role, bought.base, bought.price, bought.new_base) == ("taker", 2 * WAD, PRICE, 2 * WAD)
    assert (sold.role, sold.base, sold.price, sold.new_base) == ("maker", -2 * WAD, PRICE, -2 * WAD)
    assert (bought.fee, bought.execution_fee) == (matched.taker_fee, EXECUTION_FEE)
    assert (sold.fee, sold.execution_fee) == (matched.maker_fee, 0)
    assert 10_000 * WAD - cash(world, trader.account()) == matched.taker_fee + EXECUTION_FEE
    assert 10_000 * WAD - cash(world, maker.account()) == matched.maker_fee
    assert trader.history([OrdersMatched], account=trader.account()) == [matched]
    assert trader.history([OrdersMatched], account=maker.account()) == [matched]
    assert trader.history([OrdersMatched], account=relayer.account()) == []


def test_match_batch__one_maker_is_bad__is_skipped(trader: Plimsoll, maker: Plimsoll, relayer: Plimsoll) -> None:
    good, better = signed(maker, -WAD), signed(maker, -2 * WAD, PRICE - WAD)
    stranger = SignedOrder(good.order, relayer.sign(good.order))
    bid = signed(trader, 4 * WAD)
    found = relayer.match_batch(bid, [(better, 2 * WAD), (stranger, WAD), (good, WAD)])
    assert [one.maker_hash for one in found.matched] == [better.hash, good.hash]
    assert found.base == 3 * WAD
    (skipped,) = found.skipped
    assert isinstance(skipped, MatchSkipped)
    assert skipped.maker_hash == good.hash
    assert relayer.chain.revert_of(skipped.reason).name == "OrderBook_NotPermitted"
    assert [(fill.role, fill.base) for fill in trader.fills()] == [("taker", 2 * WAD), ("taker", WAD)]
    assert [fill.fee for fill in maker.fills()] == [one.maker_fee for one in found.matched]


def test_match__what_the_rules_refuse__is_in_words(trader: Plimsoll, maker: Plimsoll, relayer: Plimsoll) -> None:
    offer, bid = signed(maker, -WAD), signed(trader, WAD)
    kill = signed(trader, 2 * WAD, in_force=TimeInForce.FILL_OR_KILL)
    far = PRICE + 8 * WAD
    cases = [
        (offer, bid, WAD + 1, "match: only 1 of the order is left"),
        (offer, kill, WAD, "match: only 1 could be filled of an order for all or nothing"),
        (offer, signed(trader, WAD, PRICE - 1), WAD, r"match: the maker's price \$3,000.00 is not within the taker's"),
        (signed(maker, -WAD, far), signed(trader, WAD, far), WAD, r"match: .* more than 0.25% away from the index"),
        (offer, signed(maker, WAD), WAD, "match: both orders have the same owner"),
        (offer, signed(trader, -WAD), WAD, "match: the orders are of the same side"),
        (offer, bid, 0, "match: the size is zero"),
        (offer, bid, WAD // 4, r"match: a match of \$750.00 is too small; it needs \$1,000.00, or to be all"),
        (offer, signed(trader, WAD, in_force=TimeInForce.POST_ONLY), WAD, "match: its time in force is for orders"),
    ]
    for one, other, base, said in cases:
        with pytest.raises(UserError, match=said):
            relayer.match(one, other, base)
    with pytest.raises(UserError, match="match: none of the makers could be matched"):
        relayer.match_batch(bid, [(signed(trader, -WAD), WAD)])
    assert relayer.commitment(offer.order).status == OrderStatus.NONE


# --- helpers -----------------------------------------------------------------------------------------------------


def _execute(world: World, order: Order) -> None:
    _transact(world.client(world.signer("anyone")), "execute", "execute", order, [])


def _transact(client: Plimsoll, what: str, name: str, *args: object) -> None:
    with client._refusals(what):
        client.contracts.order_book.transact(client.signer, name, *args)


def _of(client: Plimsoll, receipt: Receipt, kind: type[Record]) -> list[Record]:
    found = decode_all(client.contracts.order_book.events(receipt))
    return [one for one in found if isinstance(one, kind)]


def _creation(runtime: bytes) -> bytes:
    """Code that creates a contract with this code: copy what follows these 12 bytes, return it."""
    return bytes.fromhex(f"60{len(runtime):02x}600c60003960{len(runtime):02x}6000f3") + runtime
