"""Take-over: a keeper with capital takes part of an unhealthy position at a discount."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    OPEN,
    WAD,
    Core,
    actor,
    deploy_core,
)
from tests.support.evm import Evm, reverts
from tests.unit.liquidation.conftest import SetEquity, Weaken, sick, take
from tests.unit.liquidation.reference import ceil_div, holding, take_over

TAKER = actor("taker")
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
MINIMUM = ceil_div(1_000 * WAD * WAD, ETH_PRICE)


@SIDES
@pytest.mark.parametrize("size", [100 * WAD, 40 * WAD], ids=["all", "part"])
def test_takeOver__into_an_empty_account__events_and_resulting_state(
    core: Core, weaken: Weaken, taker: int, sign: int, size: int
) -> None:
    """LQ-02: base and quote move between two accounts, the taker pays the taker fee, the pool is not part of it."""
    account = sick(core, weaken, sign * 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, 4 * WAD)
    h = holding(core, account, ETH)
    expected = take_over(h, sign * size)
    assert expected.discount > 0
    cash = core.cash(taker)
    pool, fees = core.market.position(core.pool_account(ETH), ETH), core.market.unsweptFees(ETH)
    interest = core.market.openInterest(ETH)

    receipt = take(core, account, sign * size, taker)

    assert receipt.event("TakenOver").args == {
        "account": account,
        "marketId": ETH,
        "toAccount": taker,
        "base": sign * size,
        "quote": expected.quote,
        "healthPrice": h.price,
        "publishedAt": core.evm.timestamp,
        "equity": h.equity,
        "maintenance": h.maintenance,
        "discount": expected.discount,
        "fee": expected.fee,
    }
    rest = h.base - sign * size
    freed = h.freed_quote(size)
    fills = {event["account"]: event.args for event in receipt.events("Filled")}
    assert fills[account] == {
        "account": account,
        "marketId": ETH,
        "counter": taker,
        "base": -sign * size,
        "quote": expected.quote,
        "newBase": rest,
        "newQuote": h.quote - freed,
    }
    assert fills[taker] == {
        "account": taker,
        "marketId": ETH,
        "counter": account,
        "base": sign * size,
        "quote": -expected.quote,
        "newBase": sign * size,
        "newQuote": -expected.quote,
    }
    assert core.market.position(account, ETH) == (rest, h.quote - freed if rest else 0, 0)
    assert core.market.position(taker, ETH) == (sign * size, -expected.quote, 0)
    assert core.cash(account) == h.cash + freed + expected.quote
    assert core.cash(taker) == cash - expected.fee
    insurance, treasury = expected.fee * 2 // 10, expected.fee // 10
    assert core.market.unsweptFees(ETH) == (fees[0] + insurance, fees[1] + treasury)
    to_pool = expected.fee - insurance - treasury
    assert core.market.position(core.pool_account(ETH), ETH) == (pool[0], pool[1] + to_pool, 0)
    assert core.market.openInterest(ETH) == interest
    assert core.liquidator.counters(ETH) == (0, 0, 0, 0)
    after = holding(core, account, ETH)
    assert after.equity * h.maintenance >= h.equity * after.maintenance
    core.check_sums()


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_takeOver__with_other_tokens__leaves_the_rest_to_withdraw(evm: Evm, decimals: int) -> None:
    core = deploy_core(evm, decimals=decimals)
    account, taker = core.trader("trader", 20_000), core.trader("taker", 100_000)
    core.open(account, ETH, 100 * WAD)
    core.tick(1, {ETH: ETH_PRICE - 110 * WAD})
    h = holding(core, account, ETH)
    expected = take_over(h, 100 * WAD)
    take(core, account, 100 * WAD, taker)
    left = h.cash + h.quote + expected.quote
    assert core.cash(account) == left == h.equity - expected.discount
    owner = actor("trader")
    core.vault.withdraw(account, left // core.unit, owner, sender=owner)
    assert core.token.balanceOf(owner) == left // core.unit
    core.check_sums()


# --- the discount ---


@SIDES
@pytest.mark.parametrize("confidence", [0, 7 * WAD])
@pytest.mark.parametrize("health", [99, 80, 50, 20, 5, 1])
def test_takeOver__the_sicker_the_larger_the_discount__at_most_its_share_of_equity(
    core: Core, weaken: Weaken, taker: int, sign: int, confidence: int, health: int
) -> None:
    """5% × (1 − h) of the notional, and never more than E × R / M: what remains is as healthy as before."""
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, sign * 100 * WAD)
    core.evm.advance(1)
    core.record(ETH, ETH_PRICE, confidence)
    weaken(account, WAD * health // 100)
    h = holding(core, account, ETH)
    expected = take_over(h, sign * 30 * WAD)
    event = take(core, account, sign * 30 * WAD, taker).event("TakenOver")
    assert (event["quote"], event["discount"], event["fee"]) == tuple(expected)
    after = holding(core, account, ETH)
    assert after.equity == h.equity - expected.discount
    assert after.equity * h.maintenance >= h.equity * after.maintenance
    assert expected.discount <= 100 * WAD * ETH_PRICE // WAD * 5 // 100


def test_takeOver__a_wei_below_health__discount_of_next_to_nothing(
    core: Core, weaken: Weaken, set_equity: SetEquity, taker: int
) -> None:
    account = sick(core, weaken)
    required = holding(core, account, ETH).maintenance
    set_equity(account, required - 1)
    event = take(core, account, 50 * WAD, taker).event("TakenOver")
    assert event["discount"] == 50 * ETH_PRICE * 5 // 100 // required == 0
    assert event["quote"] == 50 * ETH_PRICE


def test_takeOver__all_at_an_equity_of_a_wei__discount_is_that_wei(
    core: Core, weaken: Weaken, set_equity: SetEquity, taker: int
) -> None:
    account = sick(core, weaken)
    set_equity(account, 1)
    event = take(core, account, 100 * WAD, taker).event("TakenOver")
    assert (event["equity"], event["discount"], event["quote"]) == (1, 1, 100 * ETH_PRICE - 1)
    assert core.cash(account) == 0
    core.check_sums()


def test_takeOver__part_at_an_equity_of_a_wei__no_discount(
    core: Core, weaken: Weaken, set_equity: SetEquity, taker: int
) -> None:
    account = sick(core, weaken)
    set_equity(account, 1)
    assert take(core, account, 99 * WAD, taker).event("TakenOver")["discount"] == 0


# --- of whom and how much ---


def test_takeOver__without_a_position__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    with reverts("Liquidator_NoPosition", account, BTC):
        take(core, account, WAD, taker, BTC)


@SIDES
def test_takeOver__equity_equal_to_maintenance__is_healthy(
    core: Core, weaken: Weaken, set_equity: SetEquity, taker: int, sign: int
) -> None:
    account = sick(core, weaken, sign * 100 * WAD)
    required = holding(core, account, ETH).maintenance
    set_equity(account, required)
    with reverts("Liquidator_Healthy", account, required, required):
        take(core, account, sign * 50 * WAD, taker)
    set_equity(account, required - 1)
    assert take(core, account, sign * 50 * WAD, taker).event("TakenOver")["equity"] == required - 1


@pytest.mark.parametrize("equity", [0, -1, -5_000 * WAD])
def test_takeOver__bankrupt__is_refused(
    core: Core, weaken: Weaken, set_equity: SetEquity, taker: int, equity: int
) -> None:
    account = sick(core, weaken)
    set_equity(account, equity)
    with reverts("Liquidator_Bankrupt", account, equity):
        take(core, account, 50 * WAD, taker)


@SIDES
@pytest.mark.parametrize("base", [0, -1, -WAD, -100 * WAD])
def test_takeOver__nothing_or_the_wrong_sign__is_refused(
    core: Core, weaken: Weaken, taker: int, sign: int, base: int
) -> None:
    account = sick(core, weaken, sign * 100 * WAD)
    with reverts("Liquidator_WrongSize", sign * base, sign * 100 * WAD):
        take(core, account, sign * base, taker)


@SIDES
@pytest.mark.parametrize("beyond", [0, 1, WAD, 2**254])
def test_takeOver__more_than_there_is__takes_all(
    core: Core, weaken: Weaken, taker: int, sign: int, beyond: int
) -> None:
    """LQ-02: the size, the sums and the fee are those of what there is."""
    account = sick(core, weaken, sign * 100 * WAD)
    expected = take_over(holding(core, account, ETH), sign * 100 * WAD)
    event = take(core, account, sign * (100 * WAD + beyond), taker).event("TakenOver")
    assert event["base"] == sign * 100 * WAD
    assert (event["quote"], event["discount"], event["fee"]) == tuple(expected)
    assert core.market.position(account, ETH) == (0, 0, 0)
    assert core.market.position(taker, ETH) == (sign * 100 * WAD, -expected.quote, 0)
    core.check_sums()


def test_takeOver__rest_below_a_minimum_position__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    with reverts("Liquidator_BelowMinimumPosition", (MINIMUM - 1) * ETH_PRICE // WAD, 1_000 * WAD):
        take(core, account, 100 * WAD - MINIMUM + 1, taker)
    take(core, account, 100 * WAD - MINIMUM, taker)
    assert core.market.position(account, ETH)[0] == MINIMUM


# --- the price ---


@pytest.mark.parametrize("state", [GRACE, DOWN])
def test_takeOver__grace_or_down__is_refused(core: Core, weaken: Weaken, taker: int, state: int) -> None:
    account = sick(core, weaken)
    core.tick(1, state=state)
    with reverts("Liquidator_PriceUnusable", ETH, core.evm.timestamp, state):
        take(core, account, 50 * WAD, taker)


def test_takeOver__doubtful_price__is_allowed(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    core.tick(1, state=DOUBTFUL)
    assert take(core, account, 50 * WAD, taker).event("TakenOver")["base"] == 50 * WAD


def test_takeOver__price_of_its_greatest_age__is_allowed_and_a_second_older_refused(
    core: Core, weaken: Weaken, taker: int
) -> None:
    account = sick(core, weaken)
    core.tick(1)
    published = core.evm.timestamp
    core.evm.advance(16)
    with reverts("Liquidator_PriceUnusable", ETH, published, OPEN):
        take(core, account, 50 * WAD, taker)
    core.evm.advance(-1)
    assert take(core, account, 50 * WAD, taker).event("TakenOver")["publishedAt"] == published


def test_takeOver__price_data__is_recorded_first(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    core.evm.advance(1)
    now = core.evm.timestamp
    data = b"".join(word.to_bytes(32, "big") for word in (ETH, ETH_PRICE - WAD, 0, now, OPEN))
    receipt = core.liquidator.takeOver(account, ETH, 50 * WAD, taker, b"", [data], sender=TAKER)
    event = receipt.event("TakenOver")
    assert (event["healthPrice"], event["publishedAt"]) == (ETH_PRICE - WAD, now)


def test_takeOver__market_halted__is_allowed(core: Core, weaken: Weaken, taker: int) -> None:
    """A halt stops opening against the pool; positions may still change hands."""
    account = sick(core, weaken)
    core.halt(ETH, 600)
    assert take(core, account, 50 * WAD, taker).event("TakenOver")["base"] == 50 * WAD
