"""One taker against several makers: who can't be matched now is skipped, and nothing happens to him."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.core.orders import Scope
from tests.support.core import (
    ETH,
    ETH_PRICE,
    FILL_OR_KILL,
    GOOD_TILL_TIME,
    IMMEDIATE_OR_CANCEL,
    KEEPER,
    POST_ONLY,
    STOP_LOSS,
    WAD,
    Core,
    account_id,
    owner_of,
)
from tests.support.evm import Halt, Receipt, Revert, known, reverts
from tests.support.signed import Signed, key_of
from tests.unit.orders.matched import hold, side, sums
from tests.unit.orders.reference import EXECUTION_FEE, FILLED, MATCHING, NONE, SPENT, hash_of, initial, status
from tests.unit.orders.steps import set_cash

KEEPER_ACCOUNT = account_id(KEEPER)
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["taker buys", "taker sells"])


@pytest.fixture
def signed(core: Core) -> Signed:
    core.track(KEEPER_ACCOUNT)
    return Signed(core)


@pytest.fixture
def taker(signed: Signed) -> int:
    return signed.trader("taker", 1_000_000)


def maker_orders(signed: Signed, count: int, base: int, price: int = ETH_PRICE) -> list[dict[str, Any]]:
    """One order each of so many makers."""
    return [
        signed.limit(signed.trader(f"maker {number}", 10_000), ETH, base, price + number * WAD)
        for number in range(count)
    ]


def skipped(core: Core, receipt: Receipt) -> list[tuple[Any, ...]]:
    """(maker's hash, error, value, …) of each maker that was skipped."""
    found = []
    for event in receipt.events("MatchSkipped", core.order_book):
        error = known().registry.decode_error(event["reason"])
        assert error is not None
        found.append((event["makerHash"], error[0], *error[1]))
    return found


def field(name: str) -> bytes:
    return name.encode().ljust(32, b"\0")


# --- success ---


@SIDES
def test_match_batch__several_makers__each_at_his_own_price(core: Core, signed: Signed, taker: int, sign: int) -> None:
    """OB-08: the whole as if they had been matched one after another; the matcher is paid once."""
    made = maker_orders(signed, 3, -sign * 2 * WAD)
    taken = signed.limit(taker, ETH, sign * 5 * WAD, ETH_PRICE + (10 * WAD if sign > 0 else -10 * WAD))
    if sign < 0:
        for order in made:
            order["acceptablePrice"] = 2 * ETH_PRICE - order["acceptablePrice"]
    sizes = [2 * WAD, 2 * WAD, WAD]
    expected, makers = side(core, taker), []
    for number, (order, size) in enumerate(zip(made, sizes, strict=True)):
        s = sums(sign * size, order["acceptablePrice"])
        expected = expected.after(sign * size, s.quote, s.taker_fee + (EXECUTION_FEE if number == 0 else 0))
        makers.append(side(core, order["account"]).after(-sign * size, -s.quote, s.maker_fee))
    receipt = signed.match_batch(taken, [signed.fill(o, size) for o, size in zip(made, sizes, strict=True)])
    assert receipt.value == 5 * WAD
    assert side(core, taker) == expected
    assert [side(core, order["account"]) for order in made] == makers
    events = receipt.events("OrdersMatched")
    assert [event["makerHash"] for event in events] == [hash_of(core, order) for order in made]
    assert [event["executionFee"] for event in events] == [EXECUTION_FEE, 0, 0]
    assert [status(core, order) for order in made] == [FILLED, FILLED, MATCHING]
    assert (status(core, taken), core.cash(KEEPER_ACCOUNT)) == (FILLED, EXECUTION_FEE)
    core.check_sums()


def test_match_batch__one_maker_twice__is_matched_twice(core: Core, signed: Signed, taker: int) -> None:
    (made,) = maker_orders(signed, 1, -3 * WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE)
    receipt = signed.match_batch(taken, [signed.fill(made, WAD), signed.fill(made, 2 * WAD), signed.fill(made, WAD)])
    assert receipt.value == 3 * WAD
    assert skipped(core, receipt) == [(hash_of(core, made), "OrderBook_Overfilled", hash_of(core, taken), 0)]
    assert status(core, made) == FILLED
    core.check_sums()


def test_match_batch__matched_before__pays_the_matcher_no_more(core: Core, signed: Signed, taker: int) -> None:
    first, second = maker_orders(signed, 2, -WAD)
    taken = signed.limit(taker, ETH, 2 * WAD, ETH_PRICE + WAD)
    signed.match(first, taken)
    signed.match_batch(taken, [signed.fill(second)])
    assert (core.cash(KEEPER_ACCOUNT), status(core, taken)) == (EXECUTION_FEE, FILLED)
    core.check_sums()


# --- makers who fail ---


def _expired(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["expiry"] = 1
    return "OrderBook_Expired", 1


def _cancelled(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    core.order_book.cancel(order, sender=owner_of(order["account"]))
    return "OrderBook_UnknownOrder", hash_of(core, order)


def _all_cancelled(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    core.order_book.cancelAll(order["account"], sender=owner_of(order["account"]))
    return "OrderBook_WrongCounter", order["account"], 1


def _vanished(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    set_cash(core, order["account"], 0)
    fee = sums(2 * WAD, order["acceptablePrice"]).maker_fee
    # what selling above the index won is taken off again
    return "PerpMarket_InsufficientMargin", order["account"], -fee, initial(ETH, 2 * WAD, ETH_PRICE)


def _outside(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["acceptablePrice"] = 2_900 * WAD
    return "OrderBook_OutsideBand", 2_900 * WAD, ETH_PRICE


def _not_crossing(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["acceptablePrice"] = ETH_PRICE + 500 * WAD
    return "OrderBook_NotCrossing", ETH_PRICE + 500 * WAD, ETH_PRICE + 50 * WAD


def _own(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["account"] = signed.trader("taker", 100_000, index=1)
    return "OrderBook_SelfMatch", owner_of(order["account"])


def _wrong_side(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["base"] = -order["base"]
    return "OrderBook_InvalidTerms", field("side")


def _reduce_only(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["reduceOnly"] = True
    return "PerpMarket_NothingToReduce", order["account"], ETH


def _overfilled(core: Core, signed: Signed, order: dict[str, Any]) -> tuple[Any, ...]:
    order["base"] = -WAD
    return "OrderBook_Overfilled", hash_of(core, order), WAD


FAILURES: dict[str, Callable[[Core, Signed, dict[str, Any]], tuple[Any, ...]]] = {
    "expired": _expired,
    "cancelled": _cancelled,
    "all cancelled": _all_cancelled,
    "its margin vanished": _vanished,
    "outside the band": _outside,
    "not crossing": _not_crossing,
    "the taker's own": _own,
    "of the same side": _wrong_side,
    "reduce-only without a position": _reduce_only,
    "less than that": _overfilled,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "in the middle", "last"])
def test_match_batch__maker_who_fails__is_skipped_and_the_others_are_matched(
    core: Core, signed: Signed, taker: int, failure: str, place: int
) -> None:
    """Nothing of him changes; the taker is filled and charged by those that were matched alone."""
    made = maker_orders(signed, 3, -2 * WAD)
    reason = FAILURES[failure](core, signed, made[place])
    bad = made[place]
    before = side(core, bad["account"]), core.order_book.commitment(hash_of(core, bad))
    taken = signed.limit(taker, ETH, 6 * WAD, ETH_PRICE + 50 * WAD)
    expected, paid = side(core, taker), EXECUTION_FEE
    for order in made:
        if order is not bad:
            s = sums(2 * WAD, order["acceptablePrice"])
            expected, paid = expected.after(2 * WAD, s.quote, s.taker_fee + paid), 0
    receipt = signed.match_batch(taken, [signed.fill(order, 2 * WAD) for order in made])
    assert receipt.value == 4 * WAD
    assert skipped(core, receipt) == [(hash_of(core, bad), *reason)]
    assert (side(core, bad["account"]), core.order_book.commitment(hash_of(core, bad))) == before
    assert side(core, taker) == expected
    assert core.order_book.commitment(hash_of(core, taken)) == (MATCHING, 0, 0, 0, 4 * WAD)
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    core.check_sums()


def test_match_batch__maker_with_a_bad_signature__is_skipped(core: Core, signed: Signed, taker: int) -> None:
    good, bad = maker_orders(signed, 2, -WAD)
    mallory = key_of("mallory")
    taken = signed.limit(taker, ETH, 2 * WAD, ETH_PRICE + WAD)
    receipt = signed.match_batch(taken, [(bad, signed.order(bad, mallory), WAD), signed.fill(good)])
    assert skipped(core, receipt) == [(hash_of(core, bad), "OrderBook_NotPermitted", bad["account"], mallory.address)]
    assert (receipt.value, status(core, bad)) == (WAD, NONE)
    core.check_sums()


def test_match_batch__maker_whose_match_the_taker_can_not_bear__is_skipped(core: Core, signed: Signed) -> None:
    """The taker's margin is judged match by match: what he can't bear of it is left."""
    taker = signed.trader("taker")
    first, second = maker_orders(signed, 2, -2 * WAD)
    s = sums(2 * WAD, ETH_PRICE)
    set_cash(core, taker, initial(ETH, 2 * WAD, ETH_PRICE) + s.taker_fee + EXECUTION_FEE)
    taken = signed.limit(taker, ETH, 4 * WAD, ETH_PRICE + WAD)
    receipt = signed.match_batch(taken, [signed.fill(first), signed.fill(second)])
    assert receipt.value == 2 * WAD
    assert [reason[:3] for reason in skipped(core, receipt)] == [
        (hash_of(core, second), "PerpMarket_InsufficientMargin", taker)
    ]
    core.check_sums()


def test_match_batch__skipped_maker__leaves_a_delegates_budget_as_it_was(core: Core, signed: Signed) -> None:
    taker = signed.trader("taker", 100_000)
    bot = key_of("bot")
    scope = Scope(1, 2**40 - 1, 20_000, may_match=True)
    core.order_book.setDelegate(taker, bot.address, scope, sender=owner_of(taker))
    good, bad = maker_orders(signed, 2, -2 * WAD)
    bad["expiry"] = 1
    taken = signed.limit(taker, ETH, 4 * WAD, ETH_PRICE + WAD)
    makers = [signed.fill(bad), signed.fill(good)]
    receipt = core.order_book.matchBatch(taken, signed.order(taken, bot), makers, sender=KEEPER)
    assert receipt.value == 2 * WAD
    assert core.order_book.delegation(taker, bot.address) == (scope, 6_000)
    core.check_sums()


def test_match_batch__a_hundred_makers_of_whom_some_fail__the_others_are_matched(
    core: Core, signed: Signed, taker: int
) -> None:
    made = maker_orders(signed, 100, -WAD // 2)
    for number, order in enumerate(made):
        order["acceptablePrice"] = ETH_PRICE
        if number % 3 == 0:
            order["expiry"] = 1
        elif number % 7 == 0:
            set_cash(core, order["account"], 0)
    failing = [order for number, order in enumerate(made) if number % 3 == 0 or number % 7 == 0]
    before = [side(core, order["account"]) for order in failing]
    taken = signed.limit(taker, ETH, 100 * WAD, ETH_PRICE)
    receipt = signed.match_batch(taken, [signed.fill(order) for order in made])
    assert receipt.value == (100 - len(failing)) * WAD // 2
    assert [reason[0] for reason in skipped(core, receipt)] == [hash_of(core, order) for order in failing]
    assert [side(core, order["account"]) for order in failing] == before
    assert [status(core, order) for order in made] == [NONE if order in failing else FILLED for order in made]
    assert core.market.position(taker, ETH)[0] == receipt.value
    assert core.cash(KEEPER_ACCOUNT) == EXECUTION_FEE
    core.check_sums()


# --- dust ---


def holding(signed: Signed, taker: int, makers: list[dict[str, Any]]) -> None:
    """Positions of all that no dust brings below the minimum."""
    for order in makers:
        hold(signed, taker, order["account"], WAD)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "in the middle", "last"])
def test_match_batch__dust_of_a_maker__is_skipped_and_the_others_are_matched(
    core: Core, signed: Signed, taker: int, place: int
) -> None:
    made = maker_orders(signed, 3, -WAD)
    holding(signed, taker, made)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + 5 * WAD)
    least = -(-1_000 * WAD * WAD // made[place]["acceptablePrice"])
    for size, is_dust in ((1, True), (least - 1, True), (least, False)):
        makers = [signed.fill(order, size if number == place else WAD) for number, order in enumerate(made)]
        with core.evm.isolated():
            receipt = signed.match_batch(taken, makers)
            notional = size * made[place]["acceptablePrice"] // WAD
            too_small = (hash_of(core, made[place]), "OrderBook_TooSmall", notional, 1_000 * WAD)
            assert skipped(core, receipt) == ([too_small] if is_dust else [])
            assert receipt.value == 2 * WAD + (0 if is_dust else size)
            assert status(core, made[place]) == (NONE if is_dust else MATCHING)
            core.check_sums()


def test_match_batch__dust_that_is_all_the_others_left__is_matched_in_its_turn(
    core: Core, signed: Signed, taker: int
) -> None:
    """Whether it is all that is left of the taker is judged maker by maker."""
    first, second = maker_orders(signed, 2, -2 * WAD)
    holding(signed, taker, [first, second])
    taken = signed.limit(taker, ETH, 2 * WAD + 1, ETH_PRICE + WAD)
    with core.evm.isolated():
        receipt = signed.match_batch(taken, [signed.fill(first), signed.fill(second, 1)])
        assert (receipt.value, skipped(core, receipt)) == (2 * WAD + 1, [])
        assert (status(core, taken), status(core, second)) == (FILLED, MATCHING)
    receipt = signed.match_batch(taken, [signed.fill(second, 1), signed.fill(first)])
    notional = second["acceptablePrice"] // WAD
    assert skipped(core, receipt) == [(hash_of(core, second), "OrderBook_TooSmall", notional, 1_000 * WAD)]
    assert (receipt.value, status(core, taken)) == (2 * WAD, MATCHING)
    core.check_sums()


def test_match_batch__dust_that_is_all_of_makers__matches_nothing(core: Core, signed: Signed, taker: int) -> None:
    made = maker_orders(signed, 3, -1)
    holding(signed, taker, made)
    taken = signed.limit(taker, ETH, 2 * WAD, ETH_PRICE + 5 * WAD)
    with reverts("OrderBook_NothingMatched", hash_of(core, taken)):
        signed.match_batch(taken, [signed.fill(order) for order in made])
    core.check_sums()


@pytest.mark.parametrize("time_in_force", [GOOD_TILL_TIME, IMMEDIATE_OR_CANCEL, FILL_OR_KILL])
def test_match_batch__dust_alone__matches_nothing_and_ends_nothing(
    core: Core, signed: Signed, taker: int, time_in_force: int
) -> None:
    made = maker_orders(signed, 2, -WAD)
    holding(signed, taker, made)
    paid = core.cash(KEEPER_ACCOUNT)
    taken = signed.limit(taker, ETH, 2 * WAD, ETH_PRICE + WAD, time_in_force=time_in_force)
    with reverts("OrderBook_NothingMatched", hash_of(core, taken)):
        signed.match_batch(taken, [signed.fill(order, 1) for order in made])
    assert (status(core, taken), core.cash(KEEPER_ACCOUNT)) == (NONE, paid)
    core.check_sums()


def test_match_batch__fill_or_kill_with_dust_among_its_fills__is_filled_where_the_dust_comes_last(
    core: Core, signed: Signed, taker: int
) -> None:
    made = maker_orders(signed, 3, -WAD)
    holding(signed, taker, made)
    taken = signed.limit(taker, ETH, 2 * WAD, ETH_PRICE + 5 * WAD, time_in_force=FILL_OR_KILL)
    whole, most, dust = signed.fill(made[0]), signed.fill(made[1], WAD - 1), signed.fill(made[2], 1)
    with reverts("OrderBook_FillOrKill", hash_of(core, taken), 2 * WAD - 1):
        signed.match_batch(taken, [whole, dust, most])
    receipt = signed.match_batch(taken, [whole, most, dust])
    assert (receipt.value, status(core, taken)) == (2 * WAD, FILLED)
    core.check_sums()


# --- the taker alone ---


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"kind": STOP_LOSS}, "kind"),
        ({"timeInForce": POST_ONLY}, "timeInForce"),
        ({"parent": b"\1" * 32}, "parent"),
    ],
)
def test_match_batch__taker_that_can_not_be_matched__is_refused(
    signed: Signed, taker: int, changes: dict[str, Any], name: str
) -> None:
    taken = {**signed.limit(taker, ETH, WAD, ETH_PRICE), **changes}
    with reverts("OrderBook_InvalidTerms", field(name)):
        signed.match_batch(taken, [signed.fill(order) for order in maker_orders(signed, 1, -WAD)])
    signed.core.check_sums()


def test_match_batch__taker_that_is_dead__is_refused(core: Core, signed: Signed, taker: int) -> None:
    makers = [signed.fill(order) for order in maker_orders(signed, 1, -WAD)]
    taken = signed.limit(taker, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_Expired", 1):
        signed.match_batch({**taken, "expiry": 1}, makers)
    with reverts("OrderBook_WrongCounter", taker, 0):
        signed.match_batch({**taken, "salt": 1 << 128}, makers)
    mallory = key_of("mallory")
    with reverts("OrderBook_NotPermitted", taker, mallory.address):
        core.order_book.matchBatch(taken, signed.order(taken, mallory), makers)
    core.order_book.cancel(taken, sender=owner_of(taker))
    with reverts("OrderBook_UnknownOrder", hash_of(core, taken)):
        signed.match_batch(taken, makers)
    core.check_sums()


@pytest.mark.parametrize("makers", [0, 1, 3])
def test_match_batch__nothing_matched__is_refused(core: Core, signed: Signed, taker: int, makers: int) -> None:
    made = maker_orders(signed, makers, -WAD)
    for order in made:
        order["expiry"] = 1
    taken = signed.limit(taker, ETH, WAD, ETH_PRICE)
    with reverts("OrderBook_NothingMatched", hash_of(core, taken)):
        signed.match_batch(taken, [signed.fill(order) for order in made])
    assert status(core, taken) == NONE
    core.check_sums()


# --- time in force ---


def test_match_batch__fill_or_kill_across_makers__is_whole_or_nothing(core: Core, signed: Signed, taker: int) -> None:
    made = maker_orders(signed, 3, -WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + 5 * WAD, time_in_force=FILL_OR_KILL)
    before = [side(core, account) for account in (taker, *(order["account"] for order in made))]
    with reverts("OrderBook_FillOrKill", hash_of(core, taken), 3 * WAD - 1):
        signed.match_batch(taken, [*(signed.fill(o) for o in made[:2]), signed.fill(made[2], WAD - 1)])
    with reverts("OrderBook_FillOrKill", hash_of(core, taken), 2 * WAD):
        signed.match_batch(taken, [signed.fill(order) for order in (*made[:2], {**made[2], "expiry": 1})])
    assert [side(core, account) for account in (taker, *(order["account"] for order in made))] == before
    assert [status(core, order) for order in (taken, *made)] == [NONE] * 4
    receipt = signed.match_batch(taken, [signed.fill(order) for order in made])
    assert (receipt.value, status(core, taken)) == (3 * WAD, FILLED)
    core.check_sums()


def test_match_batch__immediate_or_cancel__its_rest_is_spent_at_the_end(core: Core, signed: Signed, taker: int) -> None:
    made = maker_orders(signed, 2, -WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + WAD, time_in_force=IMMEDIATE_OR_CANCEL)
    receipt = signed.match_batch(taken, [signed.fill(order) for order in made])
    assert receipt.value == 2 * WAD
    assert core.order_book.commitment(hash_of(core, taken)) == (SPENT, 0, 0, 0, 2 * WAD)
    with reverts("OrderBook_UnknownOrder", hash_of(core, taken)):
        signed.match_batch(taken, [signed.fill(made[0])])
    core.check_sums()


def test_match_batch__good_till_time__its_rest_rests(core: Core, signed: Signed, taker: int) -> None:
    made = maker_orders(signed, 2, -WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + WAD, time_in_force=GOOD_TILL_TIME)
    signed.match_batch(taken, [signed.fill(order) for order in made])
    assert status(core, taken) == MATCHING
    (more,) = maker_orders(signed, 1, -WAD)
    signed.match(more, taken)
    assert status(core, taken) == FILLED
    core.check_sums()


def test_match_batch__more_than_the_taker_wants__the_last_makers_are_skipped(
    core: Core, signed: Signed, taker: int
) -> None:
    made = maker_orders(signed, 3, -2 * WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + 5 * WAD)
    receipt = signed.match_batch(taken, [signed.fill(made[0]), signed.fill(made[1]), signed.fill(made[2], WAD)])
    taken_hash = hash_of(core, taken)
    assert skipped(core, receipt) == [(hash_of(core, made[1]), "OrderBook_Overfilled", taken_hash, WAD)]
    assert (receipt.value, status(core, taken)) == (3 * WAD, FILLED)
    core.check_sums()


# --- gas ---


def test_match_batch__too_little_gas__reverts_the_whole_and_skips_nobody(
    core: Core, signed: Signed, taker: int
) -> None:
    """Whoever sends it can't choose with his gas who is skipped: the outcome is the whole one, or none."""
    made = maker_orders(signed, 3, -WAD)
    taken = signed.limit(taker, ETH, 3 * WAD, ETH_PRICE + 5 * WAD)
    makers = [signed.fill(order) for order in made]
    with core.evm.isolated():
        needed = signed.match_batch(taken, makers).gas_used
    outcomes = []
    for gas in range(60_000, 2 * needed, needed // 40):
        with core.evm.isolated():
            try:
                receipt = signed.match_batch(taken, makers, gas=gas)
            except (Halt, Revert, ValueError):
                outcomes.append("nothing")
                continue
            assert (skipped(core, receipt), receipt.value) == ([], 3 * WAD)
            outcomes.append("all")
    assert set(outcomes) == {"nothing", "all"}
    assert outcomes == sorted(outcomes, reverse=True)
    core.check_sums()


def test_match_batch__gas_that_fails_the_last_of_many__never_skips_an_honest_maker(
    core: Core, signed: Signed, taker: int
) -> None:
    """The same with makers who reduce, whose matches cost less than the ones before them."""
    made = maker_orders(signed, 6, -WAD)
    for order in made[3:]:
        hold(signed, order["account"], signed.trader("counter", 100_000), WAD)
    taken = signed.limit(taker, ETH, 6 * WAD, ETH_PRICE + 5 * WAD)
    makers = [signed.fill(order) for order in made]
    with core.evm.isolated():
        needed = signed.match_batch(taken, makers).gas_used
    for gas in range(needed * 3 // 4, needed * 5 // 4, needed // 60):
        with core.evm.isolated():
            try:
                receipt = signed.match_batch(taken, makers, gas=gas)
            except (Halt, Revert, ValueError):
                continue
            assert (skipped(core, receipt), receipt.value) == ([], 6 * WAD)
    core.check_sums()
