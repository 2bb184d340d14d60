"""Take-over: who may take a position, and what he must have for it."""

from __future__ import annotations

import pytest

from tests.support.core import (
    BTC,
    BTC_PARAMS,
    ETH,
    ETH_PRICE,
    WAD,
    Core,
    account_id,
    actor,
)
from tests.support.evm import ANYONE, reverts
from tests.unit.liquidation.conftest import SetEquity, Weaken, sick, take
from tests.unit.liquidation.reference import ceil_div, holding, take_over, terms

TAKER = actor("taker")
SIDES = pytest.mark.parametrize("sign", [1, -1], ids=["long", "short"])
MINIMUM = ceil_div(1_000 * WAD * WAD, ETH_PRICE)


# --- who ---


def test_takeOver__into_the_account_of_another__is_refused(core: Core, weaken: Weaken, taker: int) -> None:
    account = sick(core, weaken)
    with reverts("OrderBook_NotPermitted", taker, ANYONE):
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


def test_takeOver__with_data_by_who_has_no_code_to_call_back__is_refused(
    core: Core, weaken: Weaken, taker: int
) -> None:
    account = sick(core, weaken)
    with reverts(None):
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
    with reverts("PerpMarket_LessHealthy", taker, least - 1 - expected.fee, kept):
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
