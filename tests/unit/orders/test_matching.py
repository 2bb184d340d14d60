"""Two signed limit orders filled against each other: at the maker's price, near the index, to the wei."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core import (
    BTC,
    DOUBTFUL,
    ETH,
    ETH_PARAMS,
    ETH_PRICE,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    KEEPER,
    LISTING,
    MARKET_ORDER,
    OPEN,
    ORDER_CONFIG,
    POST_ONLY,
    STOP_LOSS,
    TAKE_PROFIT,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
    owner_of,
)
from tests.support.evm import ZERO_ADDRESS, Evm, reverts
from tests.support.signed import Signed, key_of
from tests.unit.market.reference import maintenance, worth
from tests.unit.orders.matched import Side, fee_parts, hold, pair, side, sums, unswept
from tests.unit.orders.reference import EXECUTION_FEE, FILLED, MATCHING, SPENT, ceil_div, hash_of, initial, status
from tests.unit.orders.steps import set_cash

KEEPER_ACCOUNT = account_id(KEEPER)
MAX_PRICE_AGE = int(ETH_PARAMS["maxPriceAge"])
MINIMUM = int(ETH_PARAMS["minPositionUsd"]) * WAD
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["taker buys", "taker sells"])
BOTH = pytest.mark.parametrize("who", ["maker", "taker"])
SIZE = 2 * WAD


@pytest.fixture
def signed(core: Core) -> Signed:
    core.track(KEEPER_ACCOUNT)
    return Signed(core)


@pytest.fixture
def maker(signed: Signed) -> int:
    return signed.trader("maker", 100_000)


@pytest.fixture
def taker(signed: Signed) -> int:
    return signed.trader("taker", 100_000)


def field(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


# --- success ---


def expect_match(signed: Signed, made: Any, taken: Any, size: int, execution_fee: int = EXECUTION_FEE) -> None:
    """Match, and assert all that it says and changes."""
    core = signed.core
    price, maker, taker = made["acceptablePrice"], made["account"], taken["account"]
    base = size if taken["base"] > 0 else -size
    s = sums(base, price)
    before = side(core, maker), side(core, taker)
    pool, fees, paid = side(core, core.pool_account(ETH)), unswept(core), core.cash(KEEPER_ACCOUNT)
    skew = core.market.skew(ETH)

    receipt = signed.match(made, taken, size)

    after = (
        before[0].after(-base, -s.quote, s.maker_fee),
        before[1].after(base, s.quote, s.taker_fee + execution_fee),
    )
    insurance, treasury, to_pool = fee_parts(s)
    assert (side(core, maker), side(core, taker)) == after
    assert core.cash(KEEPER_ACCOUNT) == paid + execution_fee
    assert unswept(core) == (fees[0] + insurance, fees[1] + treasury)
    assert side(core, core.pool_account(ETH)) == Side(pool.cash, pool.base, pool.quote + to_pool)
    assert core.market.skew(ETH) == skew
    longs = sum(max(one.base, 0) for one in after)
    shorts = sum(max(-one.base, 0) for one in after)
    assert core.market.openInterest(ETH) == (longs, shorts)

    made_hash, taken_hash = hash_of(core, made), hash_of(core, taken)
    assert receipt.event("OrdersMatched").args == {
        "makerHash": made_hash,
        "takerHash": taken_hash,
        "marketId": ETH,
        "makerAccount": maker,
        "takerAccount": taker,
        "base": base,
        "quote": s.quote,
        "makerFee": s.maker_fee,
        "takerFee": s.taker_fee,
        "executionFee": execution_fee,
    }
    fills = [tuple(event.args.values()) for event in receipt.events("Filled")]
    assert fills == [
        (taker, ETH, maker, base, s.quote, after[1].base, after[1].quote),
        (maker, ETH, taker, -base, -s.quote, after[0].base, after[0].quote),
    ]
    assert [event["account"] for event in receipt.events("Posted")] == [taker, maker] + (
        [KEEPER_ACCOUNT] if execution_fee else []
    )
    core.check_sums()


@SIDES
@pytest.mark.parametrize("price", [ETH_PRICE, ETH_PRICE + 7 * WAD, ETH_PRICE - 7 * WAD])
def test_match__both_open__events_and_resulting_state(
    signed: Signed, maker: int, taker: int, sign: int, price: int
) -> None:
    """OB-07: at the maker's price, whatever the index."""
    expect_match(signed, *pair(signed, maker, taker, sign * SIZE, price), SIZE)
    assert signed.core.market.position(taker, ETH)[0] == sign * SIZE


@SIDES
def test_match__at_the_makers_price__though_the_taker_would_give_more(
    signed: Signed, maker: int, taker: int, sign: int
) -> None:
    made = signed.limit(maker, ETH, -sign * SIZE, ETH_PRICE)
    taken = signed.limit(taker, ETH, sign * SIZE, ETH_PRICE + sign * 500 * WAD)
    expect_match(signed, made, taken, SIZE)


@SIDES
@pytest.mark.parametrize("held", [SIZE, 3 * WAD], ids=["all", "a part"])
def test_match__both_close__events_and_resulting_state(
    signed: Signed, maker: int, taker: int, sign: int, held: int
) -> None:
    """What closing released goes to cash at the price of the match."""
    long, short = (taker, maker) if sign < 0 else (maker, taker)
    hold(signed, long, short, held, ETH_PRICE - WAD)
    expect_match(signed, *pair(signed, maker, taker, sign * SIZE), SIZE)
    assert signed.core.market.openInterest(ETH) == (held - SIZE, held - SIZE)


@SIDES
@pytest.mark.parametrize("closer", ["maker", "taker"])
def test_match__one_opens_and_one_closes__events_and_resulting_state(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, closer: str
) -> None:
    """A position changes hands: the open interest stays."""
    other = signed.trader("other", 100_000)
    buys = (sign > 0) == (closer == "taker")
    one = taker if closer == "taker" else maker
    hold(signed, *((other, one) if buys else (one, other)), SIZE)
    s = sums(sign * SIZE, ETH_PRICE)
    before = side(core, maker), side(core, taker)
    signed.match(*pair(signed, maker, taker, sign * SIZE))
    assert side(core, maker) == before[0].after(-sign * SIZE, -s.quote, s.maker_fee)
    assert side(core, taker) == before[1].after(sign * SIZE, s.quote, s.taker_fee + EXECUTION_FEE)
    assert core.market.position(one, ETH) == (0, 0, 0)
    assert core.market.openInterest(ETH) == (SIZE, SIZE)
    core.check_sums()


@SIDES
def test_match__both_flip__events_and_resulting_state(signed: Signed, maker: int, taker: int, sign: int) -> None:
    """More than there is goes through to the other side, as an increase."""
    long, short = (taker, maker) if sign < 0 else (maker, taker)
    hold(signed, long, short, WAD, ETH_PRICE - WAD)
    expect_match(signed, *pair(signed, maker, taker, sign * 3 * WAD), 3 * WAD)
    assert signed.core.market.position(taker, ETH)[0] == sign * SIZE


@SIDES
@pytest.mark.parametrize("size", [10**18 // 3 + 1, 1234567890123456789, 999999999999999999])
@pytest.mark.parametrize("price", [ETH_PRICE + 1, 3_001234567890123456789, 2_999999999999999999999])
def test_match__odd_sizes_and_prices__are_rounded_once(
    signed: Signed, maker: int, taker: int, sign: int, size: int, price: int
) -> None:
    """The product is computed once, against the taker: what the one gives is what the other gets."""
    expect_match(signed, *pair(signed, maker, taker, sign * size, price), size)


def test_match__rounding__is_against_the_taker(core: Core, signed: Signed, maker: int, taker: int) -> None:
    size, price = WAD + 1, ETH_PRICE + 1
    bought = signed.match(*pair(signed, maker, taker, size, price)).event("OrdersMatched")
    sold = signed.match(*pair(signed, maker, taker, -size, price)).event("OrdersMatched")
    assert (bought["quote"], sold["quote"]) == (-ceil_div(size * price, WAD), size * price // WAD)
    assert bought["quote"] + sold["quote"] == -1
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_match__with_other_tokens__the_ledger_adds_up(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    signed = Signed(core)
    pair_ = pair(signed, signed.trader("maker", 10_000), signed.trader("taker", 10_000), SIZE, ETH_PRICE + 1)
    expect_match(signed, *pair_, SIZE)


def test_match__by_the_maker_himself__is_paid_like_anybody(core: Core, signed: Signed, maker: int, taker: int) -> None:
    cash, s = core.cash(maker), sums(SIZE, ETH_PRICE)
    signed.match(*pair(signed, maker, taker, SIZE), sender=owner_of(maker))
    assert core.cash(maker) == cash - s.maker_fee + EXECUTION_FEE
    core.check_sums()


# --- partly ---


def test_match__in_parts__is_remembered_by_both_and_pays_the_matcher_once(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    made, taken = signed.limit(maker, ETH, -4 * WAD, ETH_PRICE), signed.limit(taker, ETH, 3 * WAD, ETH_PRICE)
    expect_match(signed, made, taken, WAD)
    for order, amount in ((made, WAD), (taken, WAD)):
        assert core.order_book.commitment(hash_of(core, order)) == (MATCHING, 0, 0, 0, amount)
    expect_match(signed, made, taken, 2 * WAD, execution_fee=0)
    assert core.order_book.commitment(hash_of(core, made)) == (MATCHING, 0, 0, 0, 3 * WAD)
    assert core.order_book.commitment(hash_of(core, taken)) == (FILLED, 0, 0, 0, 3 * WAD)
    expect_match(signed, made, signed.limit(taker, ETH, WAD, ETH_PRICE), WAD)
    assert (status(core, made), core.cash(KEEPER_ACCOUNT)) == (FILLED, 2 * EXECUTION_FEE)


@BOTH
def test_match__more_than_is_left__is_refused(core: Core, signed: Signed, maker: int, taker: int, who: str) -> None:
    """Exactly what is left is matched, and then the order is known to nobody."""
    large, small = 5 * WAD, 2 * WAD
    made = signed.limit(maker, ETH, -(small if who == "maker" else large), ETH_PRICE)
    taken = signed.limit(taker, ETH, large if who == "maker" else small, ETH_PRICE)
    limited = made if who == "maker" else taken
    with reverts("OrderBook_Overfilled", hash_of(core, limited), small):
        signed.match(made, taken, small + 1)
    signed.match(made, taken, WAD)
    with reverts("OrderBook_Overfilled", hash_of(core, limited), WAD):
        signed.match(made, taken, WAD + 1)
    signed.match(made, taken, WAD)
    with reverts("OrderBook_UnknownOrder", hash_of(core, limited)):
        signed.match(made, taken, 1)
    core.check_sums()


def test_match__order_larger_than_any_slot__is_matched_in_part(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    made = signed.limit(maker, ETH, -(2**254), ETH_PRICE)
    signed.match(made, signed.limit(taker, ETH, SIZE, ETH_PRICE))
    assert status(core, made) == MATCHING
    core.check_sums()


@BOTH
@pytest.mark.parametrize("end", ["cancelled", "placed"])
def test_match__order_that_ended_or_waits_on_the_chain__is_refused(
    core: Core, signed: Signed, maker: int, taker: int, who: str, end: str
) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    order = made if who == "maker" else taken
    owner = owner_of(order["account"])
    if end == "cancelled":
        core.order_book.cancel(order, sender=owner)
    else:
        core.order_book.place(order, sender=owner)
    with reverts("OrderBook_UnknownOrder", hash_of(core, order)):
        signed.match(made, taken)
    core.check_sums()


# --- time in force ---


def test_match__immediate_or_cancel__its_rest_is_spent(core: Core, signed: Signed, maker: int, taker: int) -> None:
    made = signed.limit(maker, ETH, -4 * WAD, ETH_PRICE)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE, time_in_force=IMMEDIATE_OR_CANCEL)
    expect_match(signed, made, taken, WAD)
    assert core.order_book.commitment(hash_of(core, taken)) == (SPENT, 0, 0, 0, WAD)
    with reverts("OrderBook_UnknownOrder", hash_of(core, taken)):
        signed.match(made, taken, WAD)


def test_match__immediate_or_cancel_of_all__is_filled(core: Core, signed: Signed, maker: int, taker: int) -> None:
    made, taken = pair(signed, maker, taker, SIZE, time_in_force=IMMEDIATE_OR_CANCEL)
    signed.match(made, taken)
    assert (status(core, made), status(core, taken)) == (FILLED, FILLED)
    core.check_sums()


def test_match__fill_or_kill__is_matched_whole_or_not(core: Core, signed: Signed, maker: int, taker: int) -> None:
    made = signed.limit(maker, ETH, -4 * WAD, ETH_PRICE)
    taken = signed.limit(taker, ETH, SIZE, ETH_PRICE, time_in_force=FILL_OR_KILL)
    with reverts("OrderBook_FillOrKill", hash_of(core, taken), SIZE - 1):
        signed.match(made, taken, SIZE - 1)
    expect_match(signed, made, taken, SIZE)
    assert status(core, taken) == FILLED


def test_match__post_only__is_matched_as_a_maker_and_never_as_a_taker(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    made = signed.limit(maker, ETH, -SIZE, ETH_PRICE, time_in_force=POST_ONLY)
    taken = signed.limit(taker, ETH, SIZE, ETH_PRICE)
    with reverts("OrderBook_InvalidTerms", field("timeInForce")):
        signed.match(taken, made)
    expect_match(signed, made, taken, SIZE)


@pytest.mark.parametrize("time_in_force", [IMMEDIATE_OR_CANCEL, FILL_OR_KILL])
def test_match__maker_that_does_not_rest__is_refused(
    signed: Signed, maker: int, taker: int, time_in_force: int
) -> None:
    made = signed.limit(maker, ETH, -SIZE, ETH_PRICE, time_in_force=time_in_force)
    with reverts("OrderBook_InvalidTerms", field("timeInForce")):
        signed.match(made, signed.limit(taker, ETH, SIZE, ETH_PRICE))
    signed.core.check_sums()


# --- terms ---


def test_match__nothing__is_refused(signed: Signed, maker: int, taker: int) -> None:
    with reverts("OrderBook_ZeroSize"):
        signed.match(*pair(signed, maker, taker, SIZE), 0)
    signed.core.check_sums()


@BOTH
@pytest.mark.parametrize("kind", [MARKET_ORDER, STOP_LOSS, TAKE_PROFIT])
def test_match__any_kind_but_limit__is_refused(signed: Signed, maker: int, taker: int, who: str, kind: int) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    (made if who == "maker" else taken)["kind"] = kind
    with reverts("OrderBook_InvalidTerms", field("kind")):
        signed.match(made, taken)
    signed.core.check_sums()


def test_match__two_markets__are_refused(signed: Signed, maker: int, taker: int) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    with reverts("OrderBook_InvalidTerms", field("marketId")):
        signed.match({**made, "marketId": BTC}, taken)
    signed.core.check_sums()


@pytest.mark.parametrize(("made", "taken"), [(1, 1), (-1, -1), (0, -1), (-1, 0)])
def test_match__not_one_buy_and_one_sell__is_refused(
    signed: Signed, maker: int, taker: int, made: int, taken: int
) -> None:
    orders = (signed.limit(maker, ETH, made * SIZE, ETH_PRICE), signed.limit(taker, ETH, taken * SIZE, ETH_PRICE))
    with reverts("OrderBook_InvalidTerms", field("side")):
        signed.match(*orders, base=1)
    signed.core.check_sums()


def test_match__order_of_no_size__is_overfilled_by_anything(core: Core, signed: Signed, maker: int, taker: int) -> None:
    made, taken = signed.limit(maker, ETH, 0, ETH_PRICE), signed.limit(taker, ETH, SIZE, ETH_PRICE)
    with reverts("OrderBook_Overfilled", hash_of(core, made), 0):
        signed.match(made, taken, 1)
    core.check_sums()


@BOTH
def test_match__with_a_parent__is_refused(signed: Signed, maker: int, taker: int, who: str) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    (made if who == "maker" else taken)["parent"] = b"\1" * 32
    with reverts("OrderBook_InvalidTerms", field("parent")):
        signed.match(made, taken)
    signed.core.check_sums()


@SIDES
@pytest.mark.parametrize("index", [0, 1])
def test_match__one_owner_of_both__is_refused(signed: Signed, taker: int, sign: int, index: int) -> None:
    """The same account, or another of the same owner: a trade with oneself."""
    own = signed.trader("taker", 100_000, index=index)
    with reverts("OrderBook_SelfMatch", owner_of(taker)):
        signed.match(*pair(signed, own, taker, sign * SIZE))
    signed.core.check_sums()


@SIDES
def test_match__limits_that_do_not_cross__are_refused(signed: Signed, maker: int, taker: int, sign: int) -> None:
    made = signed.limit(maker, ETH, -sign * SIZE, ETH_PRICE)
    with reverts("OrderBook_NotCrossing", ETH_PRICE, ETH_PRICE - sign):
        signed.match(made, signed.limit(taker, ETH, sign * SIZE, ETH_PRICE - sign))
    expect_match(signed, made, signed.limit(taker, ETH, sign * SIZE, ETH_PRICE), SIZE)


# --- each order ---


@BOTH
def test_match__at_its_expiry__is_matched_and_a_second_later_refused(
    core: Core, signed: Signed, maker: int, taker: int, who: str
) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    expiry = core.evm.timestamp + 5
    (made if who == "maker" else taken)["expiry"] = expiry
    core.tick(5)
    signed.match(made, taken, WAD)
    core.tick(1)
    with reverts("OrderBook_Expired", expiry):
        signed.match(made, taken, WAD)
    core.check_sums()


@BOTH
def test_match__signed_by_somebody_else__is_refused(signed: Signed, maker: int, taker: int, who: str) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    mallory = key_of("mallory")
    account = maker if who == "maker" else taker
    keys = {"maker_key": mallory} if who == "maker" else {"taker_key": mallory}
    with reverts("OrderBook_NotPermitted", account, mallory.address):
        signed.match(made, taken, **keys)  # type: ignore[arg-type]
    signed.core.check_sums()


@BOTH
def test_match__not_signed__is_refused(core: Core, signed: Signed, maker: int, taker: int, who: str) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    signatures = [signed.order(made), signed.order(taken)]
    signatures[0 if who == "maker" else 1] = b""
    with reverts("OrderBook_NotPermitted", maker if who == "maker" else taker, ZERO_ADDRESS):
        core.order_book.matchOrders(made, signatures[0], taken, signatures[1], SIZE)


def test_match__taker_and_maker_both_dead__the_taker_is_named(signed: Signed, maker: int, taker: int) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    made["expiry"], taken["expiry"] = 1, 2
    with reverts("OrderBook_Expired", 2):
        signed.match(made, taken)
    signed.core.check_sums()


# --- the price ---


@SIDES
@pytest.mark.parametrize("index", [ETH_PRICE, ETH_PRICE + 399, 2_987654321098765432109])
@pytest.mark.parametrize("direction", [1, -1], ids=["above", "below"])
def test_match__at_the_edge_of_the_band__is_matched_and_a_wei_outside_refused(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, index: int, direction: int
) -> None:
    """OB-07: within 25 basis points of the newest index price, rounded to the inside."""
    core.tick(1, {ETH: index})
    edge = index + direction * (index * 25 // 10_000)
    with reverts("OrderBook_OutsideBand", edge + direction, index):
        signed.match(*pair(signed, maker, taker, sign * SIZE, edge + direction))
    signed.match(*pair(signed, maker, taker, sign * SIZE, edge))
    core.check_sums()


@SIDES
def test_match__price_of_zero__is_outside_the_band(signed: Signed, maker: int, taker: int, sign: int) -> None:
    made = signed.limit(maker, ETH, -sign * SIZE, 0)
    taken = signed.limit(taker, ETH, sign * SIZE, 0)
    with reverts("OrderBook_OutsideBand", 0, ETH_PRICE):
        signed.match(made, taken)
    signed.core.check_sums()


def test_match__price_of_its_greatest_age__is_fresh_and_a_second_older_not(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    made, taken = pair(signed, maker, taker, SIZE)
    core.tick(1)
    published = core.evm.timestamp
    core.evm.advance(MAX_PRICE_AGE + 1)
    with reverts("PerpMarket_StalePrice", ETH, published):
        signed.match(made, taken)
    core.evm.advance(-1)
    signed.match(made, taken)
    core.check_sums()


def test_match__without_any_price__is_refused(core: Core, signed: Signed, maker: int, taker: int) -> None:
    core.configurator.listMarket(3, 1_000 * WAD, ETH_PARAMS, sender=LISTING)
    made, taken = signed.limit(maker, 3, -SIZE, ETH_PRICE), signed.limit(taker, 3, SIZE, ETH_PRICE)
    with reverts("PerpMarket_StalePrice", 3, 0):
        signed.match(made, taken)
    core.check_sums()


# --- the size ---


def both_hold(signed: Signed, maker: int, taker: int, base: int = 4 * WAD) -> None:
    """Positions of both that no dust brings below the minimum: the taker's long, the maker's short."""
    hold(signed, taker, maker, base, signed.core.prices[ETH])


@SIDES
def test_match__worth_exactly_the_minimum__is_matched_and_a_wei_less_refused(
    core: Core, signed: Signed, maker: int, taker: int, sign: int
) -> None:
    """At the match price: less of the size, or of the price."""
    core.tick(1, {ETH: 2_500 * WAD})
    both_hold(signed, maker, taker)
    size, price = 4 * WAD // 10, 2_500 * WAD
    made, taken = pair(signed, maker, taker, sign * SIZE, price)
    with reverts("OrderBook_TooSmall", MINIMUM - 2_500, MINIMUM):
        signed.match(made, taken, size - 1)
    with reverts("OrderBook_TooSmall", MINIMUM - 1, MINIMUM):
        signed.match(*pair(signed, maker, taker, sign * SIZE, price - 1), size)
    assert (status(core, made), status(core, taken)) == (0, 0)
    expect_match(signed, made, taken, size)


@SIDES
def test_match__minimum__is_of_the_match_price_and_not_of_the_index(
    signed: Signed, maker: int, taker: int, sign: int
) -> None:
    both_hold(signed, maker, taker)
    size = ceil_div(MINIMUM * WAD, ETH_PRICE + 5 * WAD)
    below, above = (pair(signed, maker, taker, sign * SIZE, ETH_PRICE + by * WAD) for by in (0, 5))
    with reverts("OrderBook_TooSmall", size * ETH_PRICE // WAD, MINIMUM):
        signed.match(*below, size)
    expect_match(signed, *above, size)


@BOTH
@SIDES
@pytest.mark.parametrize("dust", [1, 2, 10**17])
def test_match__dust_that_is_all_that_is_left_of_one__is_matched_and_a_wei_less_refused(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, who: str, dust: int
) -> None:
    both_hold(signed, maker, taker)
    small, large = sign * (WAD + dust), sign * 3 * WAD
    made = signed.limit(maker, ETH, -(small if who == "maker" else large), ETH_PRICE)
    taken = signed.limit(taker, ETH, small if who == "taker" else large, ETH_PRICE)
    signed.match(made, taken, WAD)
    if dust > 1:
        with reverts("OrderBook_TooSmall", (dust - 1) * ETH_PRICE // WAD, MINIMUM):
            signed.match(made, taken, dust - 1)
    expect_match(signed, made, taken, dust, execution_fee=0)
    left = (FILLED, MATCHING) if who == "maker" else (MATCHING, FILLED)
    assert (status(core, made), status(core, taken)) == left


@pytest.mark.parametrize("dust", [1, 10**15, MINIMUM * WAD // ETH_PRICE], ids=["a wei", "some", "nearly the minimum"])
def test_match__order_that_is_dust_as_a_whole__is_matched_as_a_taker_only(
    core: Core, signed: Signed, maker: int, taker: int, dust: int
) -> None:
    """A maker of dust is anybody's to sign, so that it would use up what others signed."""
    both_hold(signed, maker, taker)
    made, taken = signed.limit(maker, ETH, -dust, ETH_PRICE), signed.limit(taker, ETH, SIZE, ETH_PRICE)
    with reverts("OrderBook_TooSmall", dust * ETH_PRICE // WAD, MINIMUM):
        signed.match(made, taken, dust)
    made, taken = signed.limit(maker, ETH, -SIZE, ETH_PRICE), signed.limit(taker, ETH, dust, ETH_PRICE)
    if dust > 1:
        with reverts("OrderBook_TooSmall", (dust - 1) * ETH_PRICE // WAD, MINIMUM):
            signed.match(made, taken, dust - 1)
    expect_match(signed, made, taken, dust)


def test_match__what_is_left_of_a_maker_that_was_the_minimum__is_matched(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    both_hold(signed, maker, taker)
    size = ceil_div(MINIMUM * WAD, ETH_PRICE)
    made, first = signed.limit(maker, ETH, -size, ETH_PRICE), signed.limit(taker, ETH, size - 1, ETH_PRICE)
    signed.match(made, first, size - 1)
    expect_match(signed, made, signed.limit(taker, ETH, SIZE, ETH_PRICE), 1)


def test_match__position_that_is_less_than_the_minimum__is_left_by_a_taker_of_all_of_it(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    """Whoever's position shrank below the minimum with the price closes it."""
    size = ceil_div(MINIMUM * WAD, ETH_PRICE)
    hold(signed, taker, maker, size)
    core.tick(1, {ETH: 2_900 * WAD})
    hold(signed, maker, signed.trader("heir", 100_000), SIZE, 2_900 * WAD)
    exit_ = signed.limit(taker, ETH, -size, 2_900 * WAD, reduce_only=True)
    entry = signed.limit(maker, ETH, SIZE, 2_900 * WAD)
    with reverts("OrderBook_TooSmall", size * 2_900, MINIMUM):
        signed.match(exit_, entry, size)
    signed.match(entry, exit_, size)
    assert core.market.position(taker, ETH) == (0, 0, 0)
    core.check_sums()


def test_match__minimum_of_the_market__is_what_counts(core: Core, signed: Signed, maker: int, taker: int) -> None:
    both_hold(signed, maker, taker)
    core.set_params(ETH, minPositionUsd=3_000)
    made, taken = pair(signed, maker, taker, SIZE)
    with reverts("OrderBook_TooSmall", 3_000 * WAD - 3_000, 3_000 * WAD):
        signed.match(made, taken, WAD - 1)
    expect_match(signed, made, taken, WAD)


def test_match__too_small_and_wrong_elsewhere__the_first_is_named(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    """After the band, before the exchange."""
    outside = ETH_PRICE + 8 * WAD
    with reverts("OrderBook_OutsideBand", outside, ETH_PRICE):
        signed.match(*pair(signed, maker, taker, SIZE, outside), 1)
    made, taken = pair(signed, maker, taker, SIZE)
    with reverts("OrderBook_TooSmall", 3_000, MINIMUM):
        signed.match(made, {**taken, "reduceOnly": True}, 1)
    core.halt(ETH, 600)
    with reverts("OrderBook_TooSmall", 3_000, MINIMUM):
        signed.match(made, taken, 1)
    core.check_sums()


# --- the exchange ---


@pytest.mark.parametrize("how", ["halted", "in doubt"])
def test_match__opening_while_halted__is_refused_and_closing_not(
    core: Core, signed: Signed, maker: int, taker: int, how: str
) -> None:
    hold(signed, taker, maker, SIZE)
    until, state = 0, OPEN
    if how == "halted":
        core.halt(ETH, 600)
        until = core.evm.timestamp + 600
    else:
        state = DOUBTFUL
        core.tick(1, state=DOUBTFUL)
    with reverts("PerpMarket_OpeningHalted", ETH, state, until):
        signed.match(*pair(signed, maker, taker, SIZE))
    with reverts("PerpMarket_OpeningHalted", ETH, state, until):
        signed.match(*pair(signed, maker, taker, -SIZE - 1))
    signed.match(*pair(signed, maker, taker, -SIZE))
    assert core.market.position(taker, ETH)[0] == 0
    core.check_sums()


@BOTH
@SIDES
def test_match__reduce_only__needs_a_position_and_does_not_clamp(
    core: Core, signed: Signed, maker: int, taker: int, who: str, sign: int
) -> None:
    """A match is of one size for both: a wei too much is refused, all of it is matched."""
    account = maker if who == "maker" else taker

    def orders(size: int) -> tuple[dict[str, Any], dict[str, Any]]:
        made, taken = pair(signed, maker, taker, sign * size)
        (made if who == "maker" else taken)["reduceOnly"] = True
        return made, taken

    with reverts("PerpMarket_NothingToReduce", account, ETH):
        signed.match(*orders(SIZE))
    other = signed.trader("other", 100_000)
    buys = (sign > 0) == (who == "taker")
    hold(signed, *((account, other) if buys else (other, account)), SIZE)
    with reverts("PerpMarket_NothingToReduce", account, ETH):
        signed.match(*orders(SIZE))
    hold(signed, *((other, account) if buys else (account, other)), 2 * SIZE)
    with reverts("PerpMarket_NothingToReduce", account, ETH):
        signed.match(*orders(SIZE + 1))
    signed.match(*orders(SIZE))
    assert core.market.position(account, ETH) == (0, 0, 0)
    core.check_sums()


@SIDES
@BOTH
def test_match__margin_of_one_that_grows__is_needed_to_the_wei(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, who: str
) -> None:
    """OB-07: also where it vanished after he signed: a signature is no margin."""
    made, taken = pair(signed, maker, taker, sign * SIZE)
    s = sums(sign * SIZE, ETH_PRICE)
    account, fees = (maker, s.maker_fee) if who == "maker" else (taker, s.taker_fee + EXECUTION_FEE)
    required = initial(ETH, SIZE, ETH_PRICE)
    set_cash(core, account, 0)
    with reverts("PerpMarket_InsufficientMargin", account, -fees, required):
        signed.match(made, taken)
    set_cash(core, account, required + fees - 1)
    with reverts("PerpMarket_InsufficientMargin", account, required - 1, required):
        signed.match(made, taken)
    assert (status(core, made), status(core, taken)) == (0, 0)
    set_cash(core, account, required + fees)
    signed.match(made, taken)
    core.check_sums()


@SIDES
@pytest.mark.parametrize("won", [5 * WAD, -5 * WAD], ids=["gain", "loss"])
def test_match__what_a_price_won_against_the_index__is_no_margin_and_what_it_lost_is_missing(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, won: int
) -> None:
    price = ETH_PRICE - sign * won
    made, taken = pair(signed, maker, taker, sign * SIZE, price)
    s = sums(sign * SIZE, price)
    needed = initial(ETH, SIZE, ETH_PRICE) + max(0, -2 * won) + s.taker_fee + EXECUTION_FEE
    set_cash(core, taker, needed - 1)
    required = initial(ETH, SIZE, ETH_PRICE)
    with reverts("PerpMarket_InsufficientMargin", taker, required - 1, required):
        signed.match(made, taken)
    set_cash(core, taker, needed)
    signed.match(made, taken)
    core.check_sums()


@SIDES
@BOTH
def test_match__sick_account_that_reduces__may_not_be_left_sicker(
    core: Core, signed: Signed, maker: int, taker: int, sign: int, who: str
) -> None:
    """Below maintenance it reduces at the index, where that helps it; not at a price that takes what it has left."""
    account, other = (maker, taker) if who == "maker" else (taker, maker)
    side_ = sign if who == "maker" else -sign  # of what it holds
    hold(signed, *((account, other) if side_ > 0 else (other, account)), 4 * WAD)
    required = maintenance(4 * WAD, ETH_PRICE)
    set_cash(core, account, required // 20)
    equity, found = core.market.healthOf(account)
    assert (equity, found) == (required // 20, required)

    bad = ETH_PRICE - side_ * 7 * WAD
    s = sums(sign * SIZE, bad)
    paid = s.maker_fee if who == "maker" else s.taker_fee + EXECUTION_FEE
    quote = -s.quote if who == "maker" else s.quote
    left = equity + quote + worth(side_ * SIZE, ETH_PRICE) - worth(side_ * 4 * WAD, ETH_PRICE) - paid
    rest = maintenance(SIZE, ETH_PRICE)
    assert left * required < equity * rest
    with reverts("PerpMarket_LessHealthy", account, left, rest):
        signed.match(*pair(signed, maker, taker, sign * SIZE, bad))
    good = ETH_PRICE + side_ * 7 * WAD
    signed.match(*pair(signed, maker, taker, sign * SIZE, good))
    equity_after, required_after = core.market.healthOf(account)
    assert equity_after * required >= equity * required_after
    core.check_sums()


def test_match__healthy_account_that_reduces__may_lose_by_it(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    """While it stays above maintenance."""
    hold(signed, taker, maker, 4 * WAD)
    signed.match(*pair(signed, maker, taker, -SIZE, ETH_PRICE - 7 * WAD))
    core.check_sums()


@SIDES
def test_match__open_interest_limit__is_reached_to_the_wei(evm: Evm, sign: int) -> None:
    core = deploy_core(evm, pool_dollars=20_000)
    signed = Signed(core)
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    limit = core.market.poolCapital(ETH)[0] * int(ETH_PARAMS["openInterestBps"]) // 10_000
    size = limit * WAD // ETH_PRICE
    open_ = ceil_div((size + 1) * ETH_PRICE, WAD)
    assert open_ > limit
    with reverts("PerpMarket_OpenInterestLimit", open_, limit):
        signed.match(*pair(signed, maker, taker, sign * (size + 1)))
    signed.match(*pair(signed, maker, taker, sign * size))
    assert core.market.openInterest(ETH) == (size, size)
    core.check_sums()


@pytest.mark.parametrize("grows", ["maker", "taker"])
def test_match__beyond_the_open_interest_limit__positions_change_hands_no_more_but_may_close(
    evm: Evm, grows: str
) -> None:
    """Only the side of one that grows is asked; two that close are not."""
    core = deploy_core(evm, pool_dollars=20_000)
    signed = Signed(core)
    maker, taker = signed.trader("maker", 100_000), signed.trader("taker", 100_000)
    heir = signed.trader("heir", 100_000)
    hold(signed, maker, taker, 6 * WAD)
    core.record(ETH, 4_000 * WAD, published_at=core.evm.timestamp + 1)
    core.evm.advance(1)
    limit = core.market.poolCapital(ETH)[0] * 2
    with reverts("PerpMarket_OpenInterestLimit", 6 * 4_000 * WAD, limit):
        if grows == "taker":
            signed.match(*pair(signed, maker, heir, SIZE, core.prices[ETH]))
        else:
            signed.match(*pair(signed, heir, maker, -SIZE, core.prices[ETH]))
    signed.match(*pair(signed, taker, maker, -SIZE, core.prices[ETH]))
    assert core.market.openInterest(ETH) == (4 * WAD, 4 * WAD)
    core.check_sums()


@BOTH
def test_match__isolated_only_market__takes_isolated_accounts_alone(
    core: Core, signed: Signed, maker: int, taker: int, who: str
) -> None:
    core.set_params(ETH, isolatedOnly=True)
    isolated = signed.trader("isolated", 100_000, isolated_market=ETH)
    cross = maker if who == "maker" else taker
    accounts = (cross, isolated) if who == "maker" else (isolated, cross)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        signed.match(*pair(signed, *accounts, SIZE))
    other = signed.trader("other", 100_000, isolated_market=ETH)
    signed.match(*pair(signed, isolated, other, SIZE))
    core.check_sums()


@BOTH
def test_match__account_isolated_in_another_market__is_refused(
    signed: Signed, maker: int, taker: int, who: str
) -> None:
    isolated = signed.trader("isolated", 100_000, isolated_market=BTC)
    accounts = (isolated, taker) if who == "maker" else (maker, isolated)
    with reverts("PerpMarket_WrongMarket", isolated, ETH):
        signed.match(*pair(signed, *accounts, SIZE))
    signed.core.check_sums()


@SIDES
def test_match__minimum_position__is_reached_to_the_wei(
    core: Core, signed: Signed, maker: int, taker: int, sign: int
) -> None:
    size = ceil_div(MINIMUM * WAD, ETH_PRICE)
    with reverts("PerpMarket_BelowMinimumPosition", (size - 1) * ETH_PRICE // WAD, MINIMUM):
        signed.match(*pair(signed, maker, taker, sign * (size - 1)))
    signed.match(*pair(signed, maker, taker, sign * size))
    core.check_sums()


@BOTH
def test_match__rest_below_the_minimum_position__is_refused(
    core: Core, signed: Signed, maker: int, taker: int, who: str
) -> None:
    """Of either; but nothing at all may be left."""
    account = maker if who == "maker" else taker
    other = signed.trader("other", 100_000)
    size = ceil_div(MINIMUM * WAD, ETH_PRICE)
    hold(signed, other, account, 2 * size)  # it is short, and buys
    sign = 1 if who == "taker" else -1
    with reverts("PerpMarket_BelowMinimumPosition", (size - 1) * ETH_PRICE // WAD, MINIMUM):
        signed.match(*pair(signed, maker, taker, sign * (size + 1)))
    signed.match(*pair(signed, maker, taker, sign * size))
    signed.match(*pair(signed, maker, taker, sign * size))
    assert core.market.position(account, ETH) == (0, 0, 0)
    core.check_sums()


@BOTH
def test_match__other_market_with_a_stale_price__lets_it_reduce_and_not_grow(
    core: Core, signed: Signed, maker: int, taker: int, who: str
) -> None:
    account = maker if who == "maker" else taker
    core.open(account, BTC, WAD // 10)
    hold(signed, maker, taker, 2 * SIZE)
    stale = core.evm.timestamp
    core.evm.advance(MAX_PRICE_AGE + 1)
    core.record(ETH)
    with reverts("PerpMarket_StalePrice", BTC, stale):
        signed.match(*pair(signed, maker, taker, -SIZE))
    signed.match(*pair(signed, maker, taker, SIZE))
    core.check_sums()


def test_match__relayed_by_somebody_without_an_account__opens_one_for_his_pay(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    matcher = actor("matcher")
    signed.match(*pair(signed, maker, taker, SIZE), sender=matcher)
    assert core.cash(account_id(matcher)) == EXECUTION_FEE
    core.vault.withdraw(account_id(matcher), EXECUTION_FEE // core.unit, matcher, sender=matcher)
    core.check_sums()


def test_match__market_without_an_execution_fee__pays_nobody(
    core: Core, signed: Signed, maker: int, taker: int
) -> None:
    core.order_book.setOrderConfig(ETH, {**ORDER_CONFIG, "executionFee": 0}, sender=LISTING)
    expect_match(signed, *pair(signed, maker, taker, SIZE, time_in_force=GOOD_TILL_TIME), SIZE, execution_fee=0)
