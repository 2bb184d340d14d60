"""Take-over: a keeper with capital takes part of an unhealthy position at a discount."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    BTC_PARAMS,
    DOUBTFUL,
    DOWN,
    ETH,
    ETH_PRICE,
    GRACE,
    OPEN,
    WAD,
    Core,
    account_id,
    actor,
    deploy_core,
)
from tests.support.evm import ANYONE, Evm, Receipt, reverts
from tests.unit.liquidation.conftest import SetEquity, Weaken
from tests.unit.liquidation.reference import ceil_div, holding, take_over, terms

TAKER = actor("taker")
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
MINIMUM = ceil_div(1_000 * WAD * WAD, ETH_PRICE)


@pytest.fixture
def taker(core: Core) -> int:
    return core.trader("taker", 100_000)


def sick(core: Core, weaken: Weaken, base: int = 100 * WAD, health: int = WAD * 60 // 100) -> int:
    account = core.trader("trader", 1_000_000)
    core.open(account, ETH, base)
    weaken(account, health)
    return account


def take(core: Core, account: int, base: int, taker: int, market: int = ETH) -> Receipt:
    receipt: Receipt = core.liquidator.takeOver(account, market, base, taker, b"", [], sender=TAKER)
    return receipt


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


# --- who ---


def test_takeOver__into_the_account_of_another__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    with reverts("Liquidator_NotOwner", taker, ANYONE):
        core.liquidator.takeOver(account, ETH, 100 * WAD, taker, b"", [], sender=ANYONE)


def test_takeOver__into_the_same_account__is_refused(core: Core, weaken: Weaken) -> None:
    account = sick(core, weaken)
    with reverts("Liquidator_SameAccount", account):
        core.liquidator.takeOver(account, ETH, 100 * WAD, account, b"", [], sender=actor("trader"))


def test_takeOver__into_another_account_of_the_same_owner__is_allowed(core: Core, weaken: Weaken) -> None:
    """The owner may rescue himself: at his own discount, and the fee."""
    account = sick(core, weaken)
    second = core.trader("trader", 100_000, index=1)
    core.liquidator.takeOver(account, ETH, 100 * WAD, second, b"", [], sender=actor("trader"))
    assert core.market.position(second, ETH)[0] == 100 * WAD
    core.check_sums()


def test_takeOver__with_data_for_a_callback__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    with reverts("Liquidator_CallbackUnsupported"):
        core.liquidator.takeOver(account, ETH, 100 * WAD, taker, b"\0", [], sender=TAKER)


def test_takeOver__into_an_account_isolated_elsewhere__is_refused(core: Core, weaken: Weaken) -> None:
    account = sick(core, weaken)
    isolated = core.trader("taker", 100_000, isolated_market=BTC)
    with reverts("PerpMarket_WrongMarket", isolated, ETH):
        take(core, account, 100 * WAD, isolated)


def test_takeOver__in_an_isolated_only_market__needs_an_isolated_account(
    core: Core, weaken: Weaken, taker: int
) -> None:
    account = sick(core, weaken)
    core.set_params(ETH, isolatedOnly=True)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        take(core, account, 50 * WAD, taker)
    isolated = core.trader("taker", 100_000, isolated_market=ETH)
    take(core, account, 50 * WAD, isolated)
    assert core.market.position(isolated, ETH)[0] == 50 * WAD


def test_takeOver__into_an_account_with_eight_markets__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    for _ in range(7):
        market = core.list_market(100 * WAD, 1_000_000 * WAD, BTC_PARAMS)
        core.post(core.pool_account(market), 10_000_000 * WAD)
        core.open(taker, market, 20 * WAD)
    account = sick(core, weaken)
    core.open(taker, BTC, WAD)
    core.tick(1)
    weaken(account, WAD // 2)
    with reverts("PerpMarket_TooManyMarkets", taker):
        take(core, account, 50 * WAD, taker)
    core.close(taker, BTC)
    core.tick(1)
    weaken(account, WAD // 2)
    take(core, account, 50 * WAD, taker)
    assert core.market.position(taker, ETH)[0] == 50 * WAD


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
@pytest.mark.parametrize("base", [0, -WAD, 100 * WAD + 1])
def test_takeOver__nothing_or_the_wrong_sign_or_too_much__is_refused(
    core: Core, weaken: Weaken, taker: int, sign: int, base: int
) -> None:
    account = sick(core, weaken, sign * 100 * WAD)
    with reverts("Liquidator_WrongSize", sign * base, sign * 100 * WAD):
        take(core, account, sign * base, taker)


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


# --- what the taker must have ---


@SIDES
def test_takeOver__taker_at_initial_margin__is_enough_and_a_wei_less_is_not(
    core: Core, weaken: Weaken, sign: int
) -> None:
    """The discount is a gain against the index: it does not count toward the taker's own margin."""
    account = sick(core, weaken, sign * 100 * WAD)
    taker = account_id(TAKER)
    expected = take_over(holding(core, account, ETH), sign * 50 * WAD)
    needed = terms(core, ETH).initial(50 * WAD)
    core.post(taker, needed + expected.fee - 1)
    with reverts("PerpMarket_InsufficientMargin", taker, needed - 1, needed):
        take(core, account, sign * 50 * WAD, taker)
    core.post(taker, 1)
    take(core, account, sign * 50 * WAD, taker)
    assert core.cash(taker) == needed


def test_takeOver__taker_with_a_stale_market__is_refused_if_he_grows(core: Core, weaken: Weaken, taker: int) -> None:
    core.open(taker, BTC, WAD)
    account = sick(core, weaken)
    core.evm.advance(1)
    published = core.record(BTC)
    core.evm.advance(15)
    core.record(ETH)
    weaken(account, WAD // 2)
    with core.evm.isolated():
        take(core, account, 50 * WAD, taker)
    core.evm.advance(1)
    with reverts("PerpMarket_StalePrice", BTC, published):
        take(core, account, 50 * WAD, taker)


def test_takeOver__taker_with_a_stale_market__may_shrink(core: Core, weaken: Weaken, taker: int) -> None:
    core.open(taker, BTC, WAD)
    core.open(taker, ETH, -50 * WAD)
    account = sick(core, weaken)
    core.evm.advance(16)
    core.record(ETH)
    weaken(account, WAD // 2)
    take(core, account, 50 * WAD, taker)
    assert core.market.position(taker, ETH) == (0, 0, 0)


@SIDES
def test_takeOver__taker_left_with_too_small_a_position__is_refused(core: Core, weaken: Weaken, sign: int) -> None:
    """Both sides of the minimum, for a position that is new and for one that shrinks."""
    account = sick(core, weaken, sign * 100 * WAD)
    taker = core.trader("taker", 100_000)
    too_small = (MINIMUM - 1) * ETH_PRICE // WAD
    with reverts("PerpMarket_BelowMinimumPosition", too_small, 1_000 * WAD):
        take(core, account, sign * (MINIMUM - 1), taker)
    core.open(taker, ETH, -sign * 10 * WAD)
    core.tick(1)
    weaken(account, WAD // 2)
    with reverts("PerpMarket_BelowMinimumPosition", too_small, 1_000 * WAD):
        take(core, account, sign * (10 * WAD - MINIMUM + 1), taker)
    take(core, account, sign * (10 * WAD - MINIMUM), taker)
    assert core.market.position(taker, ETH)[0] == -sign * MINIMUM


@SIDES
def test_takeOver__taker_with_the_opposite__nets_and_open_interest_falls(core: Core, weaken: Weaken, sign: int) -> None:
    account = sick(core, weaken, sign * 100 * WAD)
    taker = core.trader("taker", 100_000)
    core.open(taker, ETH, -sign * 40 * WAD)
    core.tick(1)
    weaken(account, WAD // 2)
    expected = take_over(holding(core, account, ETH), sign * 40 * WAD)
    before = holding(core, taker, ETH)
    take(core, account, sign * 40 * WAD, taker)
    assert core.market.position(taker, ETH) == (0, 0, 0)
    assert core.cash(taker) == before.cash + before.quote - expected.quote - expected.fee
    assert sorted(core.market.openInterest(ETH)) == [0, 60 * WAD]
    assert core.vault.balanceOf(taker) == core.cash(taker)
    core.check_sums()


@pytest.mark.parametrize("equity_bps", [9_000, 11_000])
def test_takeOver__unhealthy_taker_who_shrinks__must_not_be_left_sicker(
    core: Core, weaken: Weaken, set_equity: SetEquity, equity_bps: int
) -> None:
    """LQ-02: the fee is a loss. Who is below h = 1 may take what makes him healthier by more."""
    account = sick(core, weaken)
    taker = core.trader("taker", 1_000_000)
    core.open(taker, ETH, -80 * WAD)
    core.tick(1)
    weaken(account, WAD * 999 // 1_000)
    required = holding(core, taker, ETH).maintenance
    set_equity(taker, required * equity_bps // 10_000)
    before = holding(core, taker, ETH)
    expected = take_over(holding(core, account, ETH), 40 * WAD)
    take(core, account, 40 * WAD, taker)
    after = holding(core, taker, ETH)
    assert after.equity == before.equity + expected.discount - expected.fee
    assert after.equity * before.maintenance > before.equity * after.maintenance


def test_takeOver__taker_made_sicker_by_the_fee__is_refused(core: Core, weaken: Weaken, set_equity: SetEquity) -> None:
    """An equity that is small against the fee: closing half his position at the index still leaves him sicker."""
    account = sick(core, weaken)
    taker = core.trader("taker", 1_000_000)
    core.open(taker, ETH, -80 * WAD)
    core.tick(1)
    required = holding(core, account, ETH).maintenance
    set_equity(account, required - 1)
    before = holding(core, taker, ETH)
    expected = take_over(holding(core, account, ETH), 40 * WAD)
    assert expected.discount == 0
    kept = terms(core, ETH).maintenance(40 * WAD, ETH_PRICE)
    # sicker if and only if (E − fee) × M < E × M'
    least = ceil_div(expected.fee * before.maintenance, before.maintenance - kept)
    set_equity(taker, least - 1)
    with reverts("Liquidator_LessHealthy", taker, least - 1 - expected.fee, kept):
        take(core, account, 40 * WAD, taker)
    set_equity(taker, least)
    take(core, account, 40 * WAD, taker)
    assert holding(core, taker, ETH).equity == least - expected.fee


@SIDES
def test_takeOver__taker_who_crosses_zero__passes_the_test_of_opening(core: Core, weaken: Weaken, sign: int) -> None:
    account = sick(core, weaken, sign * 100 * WAD)
    taker = core.trader("taker", 100_000)
    core.open(taker, ETH, -sign * 10 * WAD)
    core.tick(1)
    weaken(account, WAD // 2)
    take(core, account, sign * 60 * WAD, taker)
    assert core.market.position(taker, ETH)[0] == sign * 50 * WAD
    core.check_sums()
