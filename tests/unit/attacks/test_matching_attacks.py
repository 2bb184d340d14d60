"""Attacks on orders that anybody may execute, relay or match: own keepers, picked moments, drains by fees."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils import keccak

from plimsoll.core.orders import Scope
from plimsoll.sdk.signing import Delegation, Domain, struct_hash
from tests.support.core import (
    ETH,
    ETH_PRICE,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    LIMIT_ORDER,
    ORDER_CONFIG,
    POST_ONLY,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    deploy_core,
    owner_of,
)
from tests.support.evm import ZERO_ADDRESS, Evm, reverts
from tests.support.signed import Signed, key_of
from tests.unit.attacks.reference import MALLORY, main_account, wealth
from tests.unit.market.reference import maintenance
from tests.unit.orders.matched import hold, pair, sums
from tests.unit.orders.reference import (
    EXECUTION_FEE,
    FILLED,
    WAITING,
    ceil_div,
    fee_reserve,
    fill,
    hash_of,
    status,
)
from tests.unit.orders.steps import set_cash

RELAY_FEE: int = ORDER_CONFIG["relayFee"]
DELAY: int = ORDER_CONFIG["settlementDelay"]
SIZE = 2 * WAD


@pytest.fixture
def core(evm: Evm) -> Core:
    return deploy_core(evm, markets=1)


@pytest.fixture
def signed(core: Core) -> Signed:
    main_account(core)
    return Signed(core)


# --- the trader is his own keeper ---


@pytest.mark.parametrize("kind", [LIMIT_ORDER, STOP_LOSS, TAKE_PROFIT])
def test_own_keeper__in_and_out_at_one_price__pays_impact_and_fees(core: Core, kind: int) -> None:
    """He executes his own orders: the execution fee comes back to him, and nothing else."""
    account = main_account(core, 100_000)
    before = wealth(core, [account])
    fees = 0
    for sign, skew in ((1, 0), (-1, SIZE)):
        trigger = 0 if kind == LIMIT_ORDER else ETH_PRICE
        order = core.order(account, ETH, sign * SIZE, kind=kind, trigger=trigger)
        core.order_book.place(order, sender=MALLORY)
        core.evm.advance(DELAY)
        core.record(ETH)
        core.order_book.execute(order, [], sender=MALLORY).event("OrderExecuted")
        fees += fill(ETH, skew, sign * SIZE, ETH_PRICE).fee
    lost = before - wealth(core, [account])
    assert fees <= lost < fees + WAD // 10
    core.check_sums()


def test_own_keeper__who_tries_every_record__never_fills_outside_his_limit(core: Core) -> None:
    """A limit that its owner executes himself is an option on its limit and no better: of each record he may take the
    one that is newest, never one of before, and what was refused cost nobody anything."""
    account = main_account(core, 100_000)
    order = core.order(account, ETH, SIZE, kind=LIMIT_ORDER, acceptable=2_990 * WAD)
    core.order_book.place(order, sender=MALLORY)
    core.tick(DELAY, {ETH: 2_980 * WAD})  # he lets this one pass, and repents
    for price in (3_000, 2_995, 2_991):
        core.tick(1, {ETH: price * WAD})
        with reverts("PerpMarket_PriceNotAcceptable", fill(ETH, 0, SIZE, price * WAD).price, 2_990 * WAD):
            core.order_book.execute(order, [], sender=MALLORY)
    assert wealth(core, [account]) == 100_000 * WAD
    core.tick(1, {ETH: 2_985 * WAD})
    core.order_book.execute(order, [], sender=MALLORY).event("OrderExecuted")
    core.check_sums()


def test_own_counterpart__two_owners_matched_in_circles__lose_their_fees_and_move_nothing(
    core: Core, signed: Signed
) -> None:
    """One man with two addresses who matches himself: the mark, the skew and the pool stay; fees are what it costs."""
    ours = [signed.trader("first", 100_000), signed.trader("second", 100_000), main_account(core)]
    before, pool, fees = wealth(core, ours), core.market.poolCapital(ETH)[0], 0
    for round_ in range(6):
        sign = 1 if round_ % 2 else -1
        price = ETH_PRICE + sign * 7 * WAD
        signed.match(*pair(signed, ours[0], ours[1], sign * SIZE, price), sender=MALLORY)
        s = sums(sign * SIZE, price)
        fees += s.maker_fee + s.taker_fee
    assert wealth(core, ours) == before - fees
    assert (core.market.skew(ETH), core.market.markPrice(ETH)) == (0, ETH_PRICE)
    assert core.market.poolCapital(ETH)[0] > pool
    core.check_sums()


# --- a keeper who picks the moment ---


def stop_of(core: Core, victim: int, acceptable: int) -> dict[str, Any]:
    core.open(victim, ETH, SIZE)
    order = core.order(victim, ETH, -SIZE, kind=STOP_LOSS, trigger=2_900 * WAD, acceptable=acceptable, reduce_only=True)
    core.place(order)
    return order


def test_keeper__who_picks_a_price_in_wide_doubt_for_a_stop__kills_nothing_and_earns_nothing(core: Core) -> None:
    """Attack 11: in a draft the stop failed and was gone, with its fee."""
    main_account(core)
    victim = core.trader("victim", 10_000)
    order = stop_of(core, victim, 2_880 * WAD)
    core.evm.advance(DELAY)
    core.record(ETH, 2_895 * WAD, 60 * WAD)
    before = core.cash(victim), wealth(core, [main_account(core)])
    price = fill(ETH, SIZE, -SIZE, 2_895 * WAD, 60 * WAD).price
    for _ in range(3):
        with reverts("PerpMarket_PriceNotAcceptable", price, 2_880 * WAD):
            core.order_book.execute(order, [], sender=MALLORY)
        core.order_book.executeBatch([order], [], sender=MALLORY).event("OrderSkipped")
    assert (core.cash(victim), wealth(core, [main_account(core)])) == before
    assert status(core, order) == WAITING
    core.tick(1, {ETH: 2_890 * WAD})
    core.execute(order).event("OrderExecuted")
    core.check_sums()


def test_keeper__who_moves_the_skew_before_a_stop__fills_it_within_its_limit_or_not_at_all(core: Core) -> None:
    """Attack 11: he sells before it; its own limit holds, and when he has bought back it is filled."""
    attacker = main_account(core, 1_000_000)
    victim = core.trader("victim", 10_000)
    order = stop_of(core, victim, 2_885 * WAD)
    core.tick(1, {ETH: 2_890 * WAD})
    core.open(attacker, ETH, -2_000 * WAD)
    pushed = core.market.fillPrice(ETH, -SIZE)
    assert pushed < 2_885 * WAD
    with reverts("PerpMarket_PriceNotAcceptable", pushed, 2_885 * WAD):
        core.order_book.execute(order, [], sender=MALLORY)
    core.close(attacker, ETH)
    core.execute(order).event("OrderExecuted")
    assert wealth(core, [attacker]) < 1_000_000 * WAD
    core.check_sums()


def test_keeper__who_waits_for_the_worst_price_of_a_limit__gives_the_limit_at_worst(core: Core) -> None:
    """He picks the record in the widest doubt at which the limit still holds: it is the price that was asked for, his
    pay is the same, and a wei more of doubt is refused."""
    account = main_account(core)
    victim = core.trader("victim", 10_000)
    order = core.order(victim, ETH, SIZE, kind=LIMIT_ORDER, acceptable=3_010 * WAD)
    core.place(order)
    doubt = next(c for c in range(10 * WAD, 0, -(10**14)) if fill(ETH, 0, SIZE, ETH_PRICE, c).price <= 3_010 * WAD)
    core.evm.advance(DELAY)
    core.record(ETH, ETH_PRICE, doubt + 10**14)
    with reverts("PerpMarket_PriceNotAcceptable", fill(ETH, 0, SIZE, ETH_PRICE, doubt + 10**14).price, 3_010 * WAD):
        core.order_book.execute(order, [], sender=MALLORY)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, doubt)
    event = core.order_book.execute(order, [], sender=MALLORY).event("Traded")
    assert 3_009 * WAD < event["fillPrice"] <= 3_010 * WAD
    assert core.cash(account) == EXECUTION_FEE
    core.check_sums()


def test_keeper__with_a_record_of_the_past_at_the_trigger__can_not_use_it(core: Core) -> None:
    """A stop that was touched and not executed is judged anew at each newest record, by the keeper's clock or not."""
    main_account(core)
    victim = core.trader("victim", 10_000)
    order = stop_of(core, victim, 0)
    core.tick(DELAY, {ETH: 2_899 * WAD})
    core.tick(1, {ETH: 2_901 * WAD})
    with reverts("OrderBook_NotTriggered", 2_901 * WAD, 2_900 * WAD):
        core.order_book.execute(order, [], sender=MALLORY)
    core.evm.advance(ORDER_CONFIG["settlementWindow"] + 1)
    with reverts("OrderBook_NoRecord", core.order_book.commitment(hash_of(core, order)).settleFrom):
        core.order_book.execute(order, [], sender=MALLORY)
    assert status(core, order) == WAITING
    core.check_sums()


def test_keeper__who_voids_an_exit_before_its_entry__can_not(core: Core) -> None:
    """Reduce-only with nothing to reduce is void; an exit whose entry is pending is not judged yet."""
    main_account(core)
    victim = core.trader("victim", 10_000)
    entry = core.order(victim, ETH, SIZE)
    stop = core.order(
        victim, ETH, -SIZE, kind=STOP_LOSS, trigger=2_900 * WAD, reduce_only=True, parent=hash_of(core, entry)
    )
    for order in (entry, stop):
        core.place(order)
    with reverts("OrderBook_ParentPending", hash_of(core, entry)):
        core.order_book.execute(stop, [], sender=MALLORY)
    core.settle(entry)
    core.tick(1, {ETH: 2_900 * WAD})
    core.execute(stop).event("OrderExecuted")
    core.check_sums()


# --- draining by fees ---


def at_its_margin(core: Core, signed: Signed) -> int:
    """A position whose account has nothing free."""
    victim = signed.trader("victim", 10_000)
    core.open(victim, ETH, 4 * WAD)
    core.tick(1)
    free = core.market.freeCollateral(victim, core.vault.balanceOf(victim))
    set_cash(core, victim, core.cash(victim) - free)
    return victim


def test_relayer__of_one_who_has_nothing_free__draws_out_no_margin(core: Core, signed: Signed) -> None:
    """Margin that relay fees could take would be money that leaves a position past every check of a withdrawal."""
    victim = at_its_margin(core, signed)
    waits = core.order(victim, ETH, WAD, kind=TAKE_PROFIT, trigger=ETH_PRICE)
    with reverts("OrderBook_InsufficientCash", 0, RELAY_FEE):
        core.order_book.placeFor(waits, signed.order(waits), sender=MALLORY)
    with reverts("OrderBook_InsufficientCash", 0, 10 * WAD):
        core.order_book.cancelFor(waits, 10 * WAD, signed.cancel(waits, 10 * WAD), sender=MALLORY)
    with reverts("OrderBook_InsufficientCash", 0, 1):
        core.order_book.cancelAllFor(victim, 1, 1, signed.cancel_all(victim, 1, 1), sender=MALLORY)
    scope = Scope(1, 2**40 - 1, 1_000)
    with reverts("OrderBook_InsufficientCash", 0, 1):
        signature = signed.delegation(victim, MALLORY, scope, 1, 1)
        core.order_book.setDelegateFor(victim, MALLORY, scope, 1, 1, signature, sender=MALLORY)
    assert core.cash(account_id(MALLORY)) == 0
    core.order_book.cancelFor(waits, 0, signed.cancel(waits), sender=MALLORY).event("OrderCancelled")
    core.check_sums()


def test_own_executor__whose_orders_fail__draws_out_no_margin(core: Core, signed: Signed) -> None:
    """Orders that must fail pay their executor: out of what is free, and for a reduction out of what is beyond
    maintenance, so that nobody moves a position's margin to his keeper's account."""
    victim = at_its_margin(core, signed)
    failing = core.order(victim, ETH, WAD, acceptable=1)
    with reverts("OrderBook_InsufficientCash", 0, EXECUTION_FEE + fee_reserve(WAD, ETH_PRICE)):
        core.place(failing)
    equity, maintenance = core.market.healthOf(victim)
    set_cash(core, victim, core.cash(victim) - (equity - maintenance))
    reducing = core.order(victim, ETH, -4 * WAD, reduce_only=True, acceptable=2 * ETH_PRICE)
    with reverts("OrderBook_InsufficientCash", 0, EXECUTION_FEE + fee_reserve(4 * WAD, ETH_PRICE)):
        core.place(reducing)
    # a stop reserves nothing: it is the way out
    stop = core.order(victim, ETH, -4 * WAD, kind=LIMIT_ORDER, reduce_only=True)
    core.place(stop)
    core.tick(DELAY)
    core.execute(stop).event("OrderExecuted")
    core.check_sums()


def test_relayer__who_brings_each_signature_again_and_again__is_paid_once_each(core: Core, signed: Signed) -> None:
    victim = signed.trader("victim", 1_000)
    orders = [core.order(victim, ETH, WAD, kind=TAKE_PROFIT, trigger=ETH_PRICE) for _ in range(5)]
    signatures = [signed.order(order) for order in orders]
    for order, signature in zip(orders, signatures, strict=True):
        core.order_book.placeFor(order, signature, sender=MALLORY)
    for _ in range(2):
        for order, signature in zip(orders, signatures, strict=True):
            with reverts("OrderBook_AlreadyUsed", hash_of(core, order)):
                core.order_book.placeFor(order, signature, sender=MALLORY)
    assert core.cash(account_id(MALLORY)) == 1_000 * WAD - core.cash(victim) == 5 * RELAY_FEE
    core.check_sums()


@pytest.mark.parametrize(
    ("in_force", "named"),
    [
        (GOOD_TILL_TIME, b"kind"),
        (POST_ONLY, b"timeInForce"),
        (IMMEDIATE_OR_CANCEL, b"timeInForce"),
        (FILL_OR_KILL, b"timeInForce"),
    ],
)
def test_relayer__of_the_orders_of_a_book__can_place_none_and_earns_nothing(
    core: Core, signed: Signed, in_force: int, named: bytes
) -> None:
    """A book shows the signatures it has: whoever may place those orders takes them out of it, against the pool, and is
    paid a relay fee for each. In a draft he emptied a book of all that was good till time."""
    maker, taker = signed.trader("maker", 10_000), signed.trader("taker", 10_000)
    theirs = [signed.limit(maker, ETH, -WAD, ETH_PRICE, time_in_force=in_force) for _ in range(3)]
    bids = [signed.limit(taker, ETH, WAD, ETH_PRICE) for _ in theirs]
    for order in theirs:
        with reverts("OrderBook_InvalidTerms", named.ljust(32, b"\0")):
            core.order_book.placeFor(order, signed.order(order), sender=MALLORY)
    calls = [core.order_book.placeFor.encode(order, signed.order(order)) for order in theirs]
    with reverts("OrderBook_InvalidTerms", named.ljust(32, b"\0")):
        core.order_book.multicall(calls, sender=MALLORY)
    assert (core.cash(account_id(MALLORY)), core.cash(maker)) == (0, 10_000 * WAD)
    for order, bid in zip(theirs, bids, strict=True):  # all are there still
        signed.match(*((order, bid) if in_force in (GOOD_TILL_TIME, POST_ONLY) else (bid, order)))
    core.check_sums()


@pytest.mark.parametrize("module", ["pool", "fund", "order_book", "vault", "market", "oracle", "matching"])
def test_signatures__for_the_protocols_own_accounts__are_nobodys(core: Core, signed: Signed, module: str) -> None:
    """Its contracts own accounts, and answer no wallet's question."""
    account = account_id(getattr(core, module))
    order = core.order(account, ETH, WAD, kind=LIMIT_ORDER)
    for signature in (b"", bytes(65), bytes(32) * 3):
        with reverts("OrderBook_NotPermitted", account, ZERO_ADDRESS):
            core.order_book.placeFor(order, signature, sender=MALLORY)
        with reverts("OrderBook_BadSignature", account):
            core.order_book.setDelegateFor(account, MALLORY, SCOPE, 1, 0, signature, sender=MALLORY)
    core.check_sums()


# --- a hostile matcher ---


LEAST = ceil_div(1_000 * WAD * WAD, ETH_PRICE)
"""The smallest size that is worth a match, at a price of `ETH_PRICE` or a wei more."""


@pytest.mark.parametrize("time_in_force", [GOOD_TILL_TIME, IMMEDIATE_OR_CANCEL])
@pytest.mark.parametrize("size", [1, 10**12, LEAST - 1])
def test_matcher__who_fills_a_wei_of_two_orders__is_refused_and_earns_nothing(
    core: Core, signed: Signed, time_in_force: int, size: int
) -> None:
    """In a draft a wei ended an immediate-or-cancel order, whose rest is spent, and earned the execution fee."""
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    hold(signed, taker, maker, SIZE)
    made, taken = pair(signed, maker, taker, SIZE, time_in_force=time_in_force)
    before = wealth(core, [maker]), wealth(core, [taker])
    too_small = ("OrderBook_TooSmall", size * ETH_PRICE // WAD, 1_000 * WAD)
    with reverts(*too_small):
        signed.match(made, taken, size, sender=MALLORY)
    with reverts("OrderBook_NothingMatched", hash_of(core, taken)):
        signed.match_batch(taken, [signed.fill(made, size)] * 3, sender=MALLORY)
    assert (core.cash(account_id(MALLORY)), status(core, made), status(core, taken)) == (0, 0, 0)
    assert (wealth(core, [maker]), wealth(core, [taker])) == before
    signed.match(made, taken, sender=MALLORY)
    assert status(core, taken) == FILLED
    core.check_sums()


def test_matcher__who_fills_as_little_as_he_may__earns_one_execution_fee(core: Core, signed: Signed) -> None:
    """Each fill rounds the taker's quote and both fees by a wei at most: a hundred fills are a few hundred wei."""
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    hold(signed, taker, maker, SIZE)
    count, price = 100, ETH_PRICE + 1
    total = count * LEAST + 1
    made, taken = pair(signed, maker, taker, total, price)
    before = wealth(core, [maker]), wealth(core, [taker])
    for _ in range(count):
        signed.match(made, taken, LEAST, sender=MALLORY)
    assert core.cash(account_id(MALLORY)) == EXECUTION_FEE
    assert core.order_book.commitment(hash_of(core, taken)).amount == total - 1
    signed.match(made, taken, 1, sender=MALLORY)  # all that is left
    assert core.cash(account_id(MALLORY)) == EXECUTION_FEE
    lost = before[0] - wealth(core, [maker]), before[1] - wealth(core, [taker]) - EXECUTION_FEE
    whole = sums(total, price)
    won = total * price // WAD - total * ETH_PRICE // WAD  # by the maker, against the index
    assert 0 <= sum(lost) - whole.maker_fee - whole.taker_fee <= 2 * count + 4
    assert abs(lost[0] + won - whole.maker_fee) <= 2 * count + 4
    assert abs(lost[1] - won - whole.taker_fee) <= 2 * count + 4
    core.check_sums()


def test_matcher__who_opens_less_than_a_position__is_refused(core: Core, signed: Signed) -> None:
    """No position below the minimum comes of it, of either: a wei of two orders is too small, and two orders of a wei
    make no position."""
    maker, taker = signed.trader("maker", 10_000), signed.trader("taker", 10_000)
    with reverts("OrderBook_TooSmall", 1 * ETH_PRICE // WAD, 1_000 * WAD):
        signed.match(*pair(signed, maker, taker, SIZE), 1, sender=MALLORY)
    with reverts("PerpMarket_BelowMinimumPosition", 1 * ETH_PRICE // WAD, 1_000 * WAD):
        signed.match(*pair(signed, maker, taker, 1), sender=MALLORY)
    core.check_sums()


@pytest.mark.parametrize("held", [0, WAD], ids=["no position", "a position"])
def test_matcher__with_a_maker_of_a_wei_of_his_own__uses_up_no_order_and_no_budget(
    core: Core, signed: Signed, held: int
) -> None:
    """In a draft all that was left of either order was enough for a match, so that a wei, signed for this, ended an
    immediate-or-cancel order for one execution fee, and six of them used up a delegate's day. A maker that is dust as a
    whole is refused."""
    crumbs, taker = signed.trader("mallory", 10_000), signed.trader("taker", 100_000)
    hold(signed, *((taker, crumbs) if held else (signed.trader("other", 100_000), crumbs)), WAD)
    bot = key_of("bot")
    core.order_book.setDelegate(taker, bot.address, SCOPE._replace(daily_budget=6_000), sender=owner_of(taker))
    taken = signed.limit(taker, ETH, SIZE, ETH_PRICE, time_in_force=IMMEDIATE_OR_CANCEL)
    with reverts("OrderBook_TooSmall", ETH_PRICE // WAD, 1_000 * WAD):
        signed.match(signed.limit(crumbs, ETH, -1, ETH_PRICE), taken, taker_key=bot, sender=MALLORY)
    assert core.order_book.commitment(hash_of(core, taken)) == (0, 0, 0, 0, 0)
    assert core.order_book.delegation(taker, bot.address)[1] == core.cash(account_id(MALLORY)) == 0
    core.check_sums()


@pytest.mark.parametrize("size", [2 * WAD, 4 * WAD], ids=["half", "all"])
def test_matcher__of_a_bankrupt_account__can_not_move_its_position(core: Core, signed: Signed, size: int) -> None:
    """Whoever stands behind a bankrupt account would sell it to himself before the pool absorbs it."""
    victim, other = signed.trader("victim", 10_000), signed.trader("other", 100_000)
    hold(signed, victim, other, 4 * WAD)
    set_cash(core, victim, -WAD)
    below = ETH_PRICE - ETH_PRICE * 25 // 10_000
    s = sums(-size, below)
    left = -WAD + s.quote - size * ETH_PRICE // WAD - s.taker_fee - EXECUTION_FEE
    with reverts("PerpMarket_LessHealthy", victim, left, maintenance(4 * WAD - size, ETH_PRICE)):
        signed.match(*pair(signed, other, victim, -size, below), sender=MALLORY)
    core.check_sums()


# --- the second part of the book's code, by itself ---


def _slot(slot: int, *keys: int) -> int:
    """Where a mapping, or a mapping of mappings, that is at a slot keeps the value of its keys."""
    for key in keys:
        slot = int.from_bytes(keccak(key.to_bytes(32, "big") + slot.to_bytes(32, "big")), "big")
    return slot


QUEUES, COMMITMENTS, COUNTERS, DELEGATIONS = 2, 3, 4, 5
SCOPE = Scope(1, 2**40 - 1, 10**6, may_match=True, may_take_over=True)


def test_matching__called_by_itself__changes_nothing_of_the_book(core: Core, signed: Signed) -> None:
    """It has no say anywhere: whatever it keeps is its own, and no module takes its word."""
    matching, book = core.matching, core.order_book
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    made, taken = pair(signed, maker, taker, SIZE)
    before = [(core.cash(account), core.market.position(account, ETH)) for account in (maker, taker)]

    matching.setDelegate(maker, MALLORY, SCOPE, sender=owner_of(maker))
    assert book.delegation(maker, MALLORY) == (Scope(0, 0, 0), 0)
    with reverts("OrderBook_NotPermitted", maker, MALLORY):
        matching.setDelegate(maker, MALLORY, SCOPE, sender=MALLORY)
    with reverts("OrderBook_NotModule", MALLORY):
        matching.useForTakeOver(maker, MALLORY, ETH, WAD, sender=MALLORY)

    there = Signed(core)
    there.domain = Domain(core.evm.chain_id, matching.address)
    for name in ("maker", "taker"):
        there.know(name)
    arguments = (made, there.order(made), taken, there.order(taken), SIZE)
    with reverts("PerpMarket_NotModule", matching):
        matching.matchOrders(*arguments, sender=MALLORY)
    with reverts("OrderBook_NothingMatched", hash_of(core, taken)):
        matching.matchBatch(taken, arguments[3], [(made, arguments[1], SIZE)], sender=MALLORY)
    unsigned = (hash_of(core, taken), owner_of(taker))
    with reverts("PerpMarket_NotModule", matching):
        matching.matchPair(made, arguments[1], taken, unsigned, SIZE, sender=MALLORY)
    assert [(core.cash(account), core.market.position(account, ETH)) for account in (maker, taker)] == before
    assert (status(core, made), status(core, taken)) == (0, 0)
    core.check_sums()


def test_match_pair__on_the_book__does_not_exist(core: Core, signed: Signed) -> None:
    """It takes a taker's signer for granted, so only the batch that found him may call it."""
    made, taken = pair(signed, signed.trader("maker", 100_000), signed.trader("taker", 100_000), SIZE)
    unsigned = (hash_of(core, taken), owner_of(taken["account"]))
    data = core.matching.matchPair.encode(made, signed.order(made), taken, unsigned, SIZE)
    with reverts(None):
        core.evm.call_raw(MALLORY, core.order_book.address, data)


def test_storage__of_both_parts_of_the_book__has_one_layout(core: Core, signed: Signed) -> None:
    """The same calls write the same words to the same slots, and each reads what the other wrote."""
    evm, matching, book = core.evm, core.matching, core.order_book
    trader = signed.trader("trader", 10_000)
    owner, mallory = owner_of(trader), int(MALLORY, 16)
    delegation = _slot(DELEGATIONS, trader, mallory)
    for part in (matching, book):
        part.setDelegate(trader, MALLORY, SCOPE, sender=owner)
        word = evm.storage(part, delegation)
        assert word == 1 | (2**40 - 1) << 16 | 10**6 << 56 | 1 << 120 | 1 << 128

    there = Signed(core)
    there.domain = Domain(evm.chain_id, matching.address)
    there.know("trader")
    book.cancelAll(trader, sender=owner)
    counter = _slot(COUNTERS, trader)
    assert evm.storage(book, counter) == 1
    evm.set_storage(matching, counter, 1)
    for part, by in ((matching, there), (book, signed)):
        signature = by.delegation(trader, MALLORY, SCOPE, 1 << 128)
        spent = spent_by(part.setDelegateFor, (trader, MALLORY, SCOPE, 1 << 128, 0, signature))
        assert evm.storage(part, _slot(COMMITMENTS, spent)) == 5

    maker = signed.trader("maker", 10_000)
    made, taken = pair(signed, maker, trader, SIZE, counter=0)
    taken["salt"] |= 1 << 128
    terms = evm.storage(book, _slot(QUEUES, ETH))
    assert terms & 2**64 - 1 == EXECUTION_FEE
    evm.set_storage(book, _slot(QUEUES, ETH), terms + 1)
    assert signed.match(made, taken, WAD, sender=MALLORY).event("OrdersMatched")["executionFee"] == EXECUTION_FEE + 1
    assert evm.storage(book, _slot(COMMITMENTS, int.from_bytes(hash_of(core, taken), "big"))) >> 152 == WAD
    core.check_sums()


def spent_by(method: Any, arguments: tuple[Any, ...]) -> int:
    """Call setDelegateFor; the hash that it spends."""
    method(*arguments, sender=MALLORY)
    account, delegate, scope, salt, fee, _ = arguments
    return int.from_bytes(struct_hash(Delegation(account, delegate, scope, salt, fee)), "big")


def test_multicall__of_calls_that_are_passed_on__is_the_callers_own(core: Core, signed: Signed) -> None:
    """Each part of a multicall is passed on as it is, by whoever sent the whole."""
    book, trader = core.order_book, signed.trader("trader", 10_000)
    order = core.order(trader, ETH, WAD, kind=LIMIT_ORDER)
    calls = [book.setDelegate.encode(trader, MALLORY, SCOPE), book.place.encode(order)]
    with reverts("OrderBook_NotPermitted", trader, MALLORY):
        book.multicall(calls, sender=MALLORY)
    book.multicall(calls, sender=owner_of(trader))
    assert book.delegation(trader, MALLORY) == (SCOPE, 0)
    assert status(core, order) == WAITING
    core.check_sums()
