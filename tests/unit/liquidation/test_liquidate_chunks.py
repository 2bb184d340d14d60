"""How much a close-out closes, what caps it, what the keeper gets of it, and the debt that may be left."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, Core, account_id
from tests.support.evm import reverts
from tests.unit.liquidation.conftest import SetEquity, Weaken
from tests.unit.liquidation.reference import KEEPER_MAX, ceil_div, close_out, holding, terms

KEEPER_ACCOUNT = account_id(KEEPER)
MINIMUM = ceil_div(1_000 * WAD * WAD, ETH_PRICE)
"""Base of the smallest position at the listing price."""
CAP = 333_333 * WAD * 8 // 10_000
CAP_SECONDS = 4
MAX_AGE = 15


def opened(core: Core, name: str, base: int, market: int = ETH) -> int:
    account = core.trader(name, 5_000_000)
    core.open(account, market, base)
    return account


def liquidate(core: Core, account: int, market: int = ETH) -> int:
    """Returns the size closed."""
    event = core.liquidator.liquidate(account, market, [], sender=KEEPER).event("Liquidated")
    return abs(event["base"])


# --- the target ---


def test_liquidate__without_a_cap__leaves_the_target_health_or_nothing(core: Core, weaken: Weaken) -> None:
    """The chunk is computed for 1.25; the first-order solution never falls short of it where impact is a loss."""
    account = opened(core, "trader", -100 * WAD)
    weaken(account, WAD * 95 // 100)
    assert liquidate(core, account) < 100 * WAD
    assert core.liquidator.health(account) >= WAD * 125 // 100


@pytest.mark.parametrize(("surplus", "closes_all"), [(0, False), (-1, True)])
def test_liquidate__rest_at_the_minimum_position__stays(
    core: Core, weaken: Weaken, surplus: int, closes_all: bool
) -> None:
    """A chunk is at least a minimum position; a rest smaller than one goes with it."""
    account = opened(core, "trader", 2 * MINIMUM + surplus)
    weaken(account, WAD * 99 // 100)
    assert liquidate(core, account) == (2 * MINIMUM - 1 if closes_all else MINIMUM)
    assert core.market.position(account, ETH)[0] == (0 if closes_all else MINIMUM)


def test_liquidate__impact_beyond_what_a_chunk_can_gain__closes_all(core: Core, weaken: Weaken) -> None:
    """At a confidence of 4% no chunk makes the account healthier: all of it goes."""
    account = opened(core, "trader", 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, ETH_PRICE * 4 // 100)
    weaken(account, WAD * 99 // 100)
    assert liquidate(core, account) == 100 * WAD


def test_liquidate__position_below_the_minimum__closes_whole(core: Core, weaken: Weaken) -> None:
    """After a fall of the price a position may be smaller than any that could be opened."""
    account = opened(core, "trader", MINIMUM)
    core.tick(1, {ETH: ETH_PRICE // 2})
    weaken(account, WAD * 99 // 100)
    h = holding(core, account, ETH)
    # too small to leave a minimum position and to be one: the cap does not hold it up
    assert terms(core, ETH).minimum_base(h.price) > h.size
    assert liquidate(core, account) == MINIMUM
    assert core.vault.balanceOf(account) == core.cash(account)


# --- the cap ---


def test_liquidate__beyond_the_cap__closes_the_cap(core: Core, weaken: Weaken) -> None:
    """LQ-01: close-outs move a market by maker and taker fee of its scale in a window, not more."""
    account = opened(core, "trader", 1_000 * WAD)
    core.tick(1)
    weaken(account, WAD // 100)
    h = holding(core, account, ETH)
    expected = close_out(h)
    assert expected.size == CAP
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["base"], event["quote"]) == (-CAP, expected.quote)
    assert (event["cost"], event["reward"]) == (expected.cost, expected.reward)
    began = core.evm.timestamp
    assert core.liquidator.counters(ETH) == (began, CAP, began // 3_600, 0)
    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, 0):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)


def test_liquidate__cap_of_one_market__leaves_the_other_alone(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", 1_000 * WAD)
    other = opened(core, "other", 20 * WAD, BTC)
    for sick in (account, other):
        weaken(sick, WAD // 2)
    liquidate(core, account)
    assert liquidate(core, other, BTC) > 0
    assert core.liquidator.counters(BTC)[0] == core.evm.timestamp


def test_liquidate__window_at_its_end__holds_and_a_second_later_begins_anew(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", 1_000 * WAD)
    core.tick(1)
    began = core.evm.timestamp
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP
    core.tick(CAP_SECONDS)
    weaken(account, WAD // 100)
    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, 0):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    core.tick(1)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP
    assert core.liquidator.counters(ETH)[:2] == (began + CAP_SECONDS + 1, CAP)


def test_liquidate__second_move_in_a_window__does_not_prolong_it(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", 1_000 * WAD)
    small = opened(core, "small", 2 * WAD)
    core.tick(1)
    began = core.evm.timestamp
    weaken(small, WAD * 99 // 100)
    first = liquidate(core, small)
    core.tick(CAP_SECONDS)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP - first
    assert core.liquidator.counters(ETH)[:2] == (began, CAP)
    core.tick(1)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP


@pytest.mark.parametrize("late", [0, 1, CAP_SECONDS, CAP_SECONDS + 1, MAX_AGE])
def test_liquidate__window__is_of_the_time_of_publication(core: Core, weaken: Weaken, late: int) -> None:
    """LQ-01: a record belongs to one window however late it is used: at 4 seconds after the window's own record it is
    of that window, at 5 of the next."""
    account = opened(core, "trader", 2_000 * WAD)
    core.tick(1)
    began = core.evm.timestamp
    core.evm.advance(late)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP
    assert core.liquidator.counters(ETH)[:2] == (began, CAP)
    first_use = max(late, CAP_SECONDS)
    core.evm.timestamp = began + first_use
    for market in (ETH, BTC):
        core.record(market, published_at=began + CAP_SECONDS)
    for used in (first_use, first_use + 1, CAP_SECONDS + MAX_AGE):
        core.evm.timestamp = began + used
        weaken(account, WAD // 100)
        with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, 0):
            core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    now = core.evm.timestamp
    core.record(ETH, published_at=began + CAP_SECONDS + 1)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == CAP
    assert core.liquidator.counters(ETH) == (began + CAP_SECONDS + 1, CAP, now // 3_600, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_liquidate__market_too_small_for_its_cap__closes_two_minimum_positions(
    core: Core, weaken: Weaken, sign: int
) -> None:
    """LQ-01: with a cap below the smallest chunk nothing could ever be closed out there: losses grew until the backstop
    came, and the pool bore them. Room for a minimum position and a remainder is in any window."""
    account = opened(core, "trader", sign * 1_200 * WAD)
    core.set_params(ETH, minPositionUsd=1_000_000)
    core.tick(1)
    began = core.evm.timestamp
    weaken(account, WAD // 100)
    h = holding(core, account, ETH, minPositionUsd=1_000_000)
    minimum = ceil_div(10**6 * WAD * WAD, ETH_PRICE)
    assert h.cap == 2 * minimum > CAP
    expected = close_out(h)
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["base"], event["quote"], event["cost"]) == (expected.base, expected.quote, expected.cost)
    assert event["base"] == -sign * 2 * minimum
    weaken(account, WAD // 100)
    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, 0):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    core.tick(CAP_SECONDS + 1)
    weaken(account, WAD // 100)
    assert liquidate(core, account) == 1_200 * WAD - 2 * minimum
    assert core.market.position(account, ETH) == (0, 0, 0)


@pytest.mark.parametrize("fits", [True, False], ids=["room", "room_less_a_wei"])
def test_liquidate__room_of_a_minimum_position__is_enough(core: Core, weaken: Weaken, fits: bool) -> None:
    """A room of exactly the smallest chunk is used up; where the chunk is a wei larger, nothing is closed."""
    room = WAD * 35 // 100
    first = opened(core, "first", CAP - room)
    second = opened(core, "second", 50 * WAD)
    price = ceil_div(1_000 * WAD * WAD, room) if fits else 1_000 * WAD * WAD // room
    assert ceil_div(1_000 * WAD * WAD, price) == (room if fits else room + 1)
    core.tick(1, {ETH: price})
    began = core.evm.timestamp
    weaken(first, WAD // 1_000)
    assert liquidate(core, first) == CAP - room
    weaken(second, WAD // 2)
    if fits:
        assert liquidate(core, second) == room
        assert core.liquidator.counters(ETH)[1] == CAP
    else:
        with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, room):
            core.liquidator.liquidate(second, ETH, [], sender=KEEPER)


def test_liquidate__cap_that_would_leave_less_than_a_minimum__leaves_a_minimum(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", CAP + 1)
    weaken(account, WAD // 1_000)
    assert liquidate(core, account) == CAP + 1 - MINIMUM
    assert core.market.position(account, ETH)[0] == MINIMUM


@pytest.mark.parametrize(("size", "closed"), [(2 * MINIMUM, MINIMUM), (2 * MINIMUM - 1, None)])
def test_liquidate__position_that_cannot_be_split__waits_for_the_cap(
    core: Core, weaken: Weaken, size: int, closed: int | None
) -> None:
    """With room for less than the position, a part is closed only where both parts are minimum positions."""
    room = MINIMUM + WAD // 100
    first = opened(core, "first", CAP - room)
    second = opened(core, "second", size)
    began = core.evm.timestamp
    weaken(first, WAD // 1_000)
    assert liquidate(core, first) == CAP - room
    weaken(second, WAD // 100)
    if closed is None:
        with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, room):
            core.liquidator.liquidate(second, ETH, [], sender=KEEPER)
    else:
        assert liquidate(core, second) == closed


def test_liquidate__fees_lowered_in_a_window__leave_no_room_below_zero(core: Core, weaken: Weaken) -> None:
    """What was moved may exceed a cap that shrank since: the room in the error is 0."""
    account = opened(core, "trader", 1_000 * WAD)
    core.tick(1)
    began = core.evm.timestamp
    weaken(account, WAD // 100)
    liquidate(core, account)
    core.set_params(ETH, takerBps=3)
    weaken(account, WAD // 100)
    with reverts("Liquidator_CapReached", ETH, began + CAP_SECONDS + 1, 0):
        core.liquidator.liquidate(account, ETH, [], sender=KEEPER)


# --- the reward ---


def test_liquidate__small_cost__keeper_gets_the_minimum_of_it(core: Core, weaken: Weaken) -> None:
    """3/10 of a cost below 6.67 dollars is less than keeperMin of 2 dollars."""
    account = opened(core, "trader", MINIMUM)
    core.tick(1, {ETH: 2_500 * WAD})
    weaken(account, WAD * 99 // 100)
    h = holding(core, account, ETH)
    expected = close_out(h)
    assert expected.reward == 2 * WAD < expected.cost
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["cost"], event["reward"], event["topUp"]) == (expected.cost, 2 * WAD, 0)
    assert core.cash(core.fund_main) == expected.cost - 2 * WAD


def test_liquidate__large_cost__keeper_gets_at_most_the_maximum(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", CAP)
    weaken(account, WAD * 90 // 100)
    h = holding(core, account, ETH)
    expected = close_out(h)
    assert expected.reward == KEEPER_MAX < expected.cost * 3 // 10
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["cost"], event["reward"]) == (expected.cost, KEEPER_MAX)
    assert core.cash(core.fund_main) == expected.cost - KEEPER_MAX


def test_liquidate__penalty_raised_since_listing__costs_what_it_did(core: Core, weaken: Weaken) -> None:
    """No vote makes a liquidation dearer or nearer: the maintenance set only falls."""
    account = opened(core, "trader", 100 * WAD)
    before = holding(core, account, ETH)
    core.set_params(ETH, penaltyBps=90, keeperMinCents=400, imBaseBps=600)
    weaken(account, WAD * 80 // 100)
    h = holding(core, account, ETH)
    assert h.maintenance == before.maintenance
    expected = close_out(h)
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert event["maintenance"] == h.maintenance
    assert (event["base"], event["cost"], event["reward"]) == (expected.base, expected.cost, expected.reward)


def test_liquidate__penalty_lowered_since_listing__costs_less_at_once(core: Core, weaken: Weaken) -> None:
    account = opened(core, "trader", 100 * WAD)
    core.set_params(ETH, penaltyBps=60)
    weaken(account, WAD * 80 // 100)
    h = holding(core, account, ETH, penaltyBps=60)
    expected = close_out(h)
    event = core.liquidator.liquidate(account, ETH, [], sender=KEEPER).event("Liquidated")
    assert (event["maintenance"], event["cost"]) == (h.maintenance, expected.cost)
    assert (event["base"], event["reward"]) == (expected.base, expected.reward)


@pytest.mark.parametrize("fund", [0, 1, 2 * WAD - 1, 2 * WAD, 3 * WAD])
def test_liquidate__account_that_can_bear_no_cost__pays_no_least_reward(
    core: Core, set_equity: SetEquity, fund: int
) -> None:
    """No gas is priced here, so the fund adds nothing; it has the debt as far as it goes."""
    account = opened(core, "trader", 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 3 * WAD)
    set_equity(account, 10 * WAD)
    core.post(core.fund_main, fund)
    h = holding(core, account, ETH)
    expected = close_out(h)
    assert (expected.size, expected.cost, expected.top_up) == (h.size, 0, 0)
    debt = h.loss(h.size) - h.equity
    assert debt > 3 * WAD
    keeper = core.cash(KEEPER_ACCOUNT)
    pool = core.market.position(core.pool_account(ETH), ETH)[1] - expected.quote

    receipt = core.liquidator.liquidate(account, ETH, [], sender=KEEPER)

    event = receipt.event("Liquidated")
    assert (event["cost"], event["reward"], event["topUp"]) == (0, expected.reward, expected.top_up)
    assert core.cash(KEEPER_ACCOUNT) == keeper + expected.top_up
    by_fund = fund - expected.top_up
    assert receipt.event("DebtCovered").args == {
        "account": account,
        "debt": debt,
        "byFund": by_fund,
        "byPool": debt - by_fund,
    }
    assert receipt.event("PoolCharged").args == {
        "marketId": ETH,
        "amount": debt - by_fund,
        "poolQuote": pool - (debt - by_fund),
    }
    assert core.cash(account) == core.cash(core.fund_main) == 0
    assert core.market.position(account, ETH) == (0, 0, 0)
    core.check_sums(dust_bound=10**12)


def test_liquidate__debt_within_the_fund__costs_the_pool_nothing(core: Core, set_equity: SetEquity) -> None:
    account = opened(core, "trader", 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 3 * WAD)
    set_equity(account, 10 * WAD)
    core.give_fund(1_000)
    h = holding(core, account, ETH)
    debt = h.loss(h.size) - h.equity
    receipt = core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    assert receipt.event("DebtCovered").args == {"account": account, "debt": debt, "byFund": debt, "byPool": 0}
    assert not receipt.events("PoolCharged")
    assert core.cash(core.fund_main) == 1_000 * WAD - debt
    core.check_sums()


def test_liquidate__loss_of_all_equity_in_one_of_two_markets__leaves_no_debt_to_others(
    core: Core, set_equity: SetEquity
) -> None:
    """While a position remains its account keeps negative cash: what it owes is covered by the other position."""
    account = opened(core, "trader", 100 * WAD)
    core.open(account, BTC, 2 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 30 * WAD)
    core.record(BTC)
    set_equity(account, 10 * WAD)
    h = holding(core, account, ETH)
    receipt = core.liquidator.liquidate(account, ETH, [], sender=KEEPER)
    assert not receipt.events("DebtCovered")
    assert core.market.position(account, ETH) == (0, 0, 0)
    expected = close_out(h)
    assert core.cash(account) == h.cash + h.quote + expected.quote - expected.cost
    core.check_sums()
