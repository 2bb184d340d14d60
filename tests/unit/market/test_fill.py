"""PerpMarket.fill: a transfer at a sum that the liquidator computed, with the pool or between two accounts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.core import BTC, BTC_PRICE, ETH, ETH_PRICE, KEEPER, SCALES, WAD, account_id, actor
from tests.support.evm import ANYONE, reverts
from tests.unit.market.conftest import Desk, signed
from tests.unit.market.reference import Slot, filled, split

KEEPER_ACCOUNT = account_id(KEEPER)


@pytest.mark.parametrize("sender", ["anyone", "order_book", "pool", "fund", "vault", "configurator"])
def test_fill__by_anybody_but_the_liquidator__is_refused(desk: Desk, trader: int, sender: str) -> None:
    """PM-02"""
    by = ANYONE if sender == "anyone" else getattr(desk.core, sender)
    with reverts("PerpMarket_NotModule", by):
        desk.fill(trader, -WAD, ETH_PRICE, sender=by)


# --- with the pool ---


@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("part", [3 * WAD, 10 * WAD])
@pytest.mark.parametrize(("charge", "reward", "to_fund"), [(0, 0, 0), (9, 9, 0), (9, 4, 5), (9, 12, -3), (9, 0, 9)])
def test_fill__with_the_pool__moves_the_sum_and_pays_keeper_and_fund(
    desk: Desk, trader: int, held: int, part: int, charge: int, reward: int, to_fund: int
) -> None:
    """PM-02: the account pays the charge, the keeper's main account and the fund get it."""
    desk.core.give_fund(100)
    desk.trade(trader, held)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    pool_quote = desk.pool_quote()
    base = -part if held > 0 else part
    more = -(base * 2_950 * WAD // WAD)
    left, left_quote, released = filled(held, quote, base, more)
    receipt = desk.fill(trader, base, more, charge=charge * WAD, reward=reward * WAD, to_fund=to_fund * WAD)
    after = Slot(cash + released - charge * WAD, 0, 1 if left else 0)
    assert receipt.value == (after.cash, after.markets)
    assert receipt.event("Filled").args == {
        "account": trader,
        "marketId": ETH,
        "counter": desk.core.pool_account(ETH),
        "base": base,
        "quote": more,
        "newBase": left,
        "newQuote": left_quote,
    }
    postings = [{"account": trader, "balance": after.word}]
    if reward:
        postings.append({"account": KEEPER_ACCOUNT, "balance": Slot(reward * WAD).word})
    if to_fund:
        postings.append({"account": desk.core.fund_main, "balance": Slot((100 + to_fund) * WAD).word})
    assert [event.args for event in receipt.events("Posted")] == postings
    assert desk.position(trader) == (left, left_quote, 0)
    assert desk.pool_quote() == pool_quote - more
    assert desk.core.market.skew(ETH) == left
    desk.core.check_sums(dust_bound=0)


def test_fill__after_time_passed__settles_first(desk: Desk, trader: int) -> None:
    desk.trade(trader, 100 * WAD)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    desk.core.tick(3_600)
    _, _, owed = desk.position(trader)
    state = desk.core.market.marketState(ETH)
    receipt = desk.fill(trader, -100 * WAD, 100 * ETH_PRICE)
    assert receipt.event("Accrued").args == {
        "marketId": ETH,
        "rate": state.rate,
        "longG": state.longG,
        "shortG": state.shortG,
        "poolQuote": state.poolQuote,
    }
    assert receipt.value == (cash + quote + 100 * ETH_PRICE - owed, 0)
    assert owed > 0
    desk.core.check_sums()


def test_fill__in_one_of_two_markets__leaves_the_others_bit(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.trade(trader, WAD // 10, market=BTC)
    assert desk.fill(trader, -WAD, ETH_PRICE).value[1] == 0b10
    assert desk.slot(trader).markets == 0b10


def test_fill__into_negative_cash__is_the_liquidators_to_settle(desk: Desk, trader: int) -> None:
    desk.trade(trader, WAD)
    desk.set_cash(trader, 0)
    _, quote, _ = desk.position(trader)
    assert desk.fill(trader, -WAD, 1_000 * WAD).value == (quote + 1_000 * WAD, 0)
    assert desk.core.cash(trader) == quote + 1_000 * WAD < 0


# --- between two accounts ---


@pytest.mark.parametrize("held", [10 * WAD, -10 * WAD])
@pytest.mark.parametrize("theirs", [0, 4 * WAD, -4 * WAD, 10 * WAD, -10 * WAD, -5 * WAD, 5 * WAD])
def test_fill__between_accounts__is_one_transfer(desk: Desk, trader: int, held: int, theirs: int) -> None:
    """PM-02: one gets what the other gives; the other pays a fee, split as fees are."""
    counter = desk.rich("counter")
    desk.trade(trader, held)
    if theirs:
        desk.trade(counter, theirs)
    cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
    counter_cash, (_, counter_quote, _) = desk.core.cash(counter), desk.position(counter)
    pool_quote, unswept = desk.pool_quote(), desk.core.market.unsweptFees(ETH)
    skew = desk.core.market.skew(ETH)
    base = -held // 2
    more = -(base * 2_900 * WAD // WAD)
    fee = 7 * WAD + 1
    receipt = desk.fill(trader, base, more, counter=counter, counter_fee=fee)
    left, left_quote, released = filled(held, quote, base, more)
    got, got_quote, got_cash = filled(theirs, counter_quote, -base, -more)
    assert [event.args for event in receipt.events("Filled")] == [
        {
            "account": counter,
            "marketId": ETH,
            "counter": trader,
            "base": -base,
            "quote": -more,
            "newBase": got,
            "newQuote": got_quote,
        },
        {
            "account": trader,
            "marketId": ETH,
            "counter": counter,
            "base": base,
            "quote": more,
            "newBase": left,
            "newQuote": left_quote,
        },
    ]
    assert receipt.value == (cash + released, 1)
    assert desk.position(trader) == (left, left_quote, 0)
    assert desk.position(counter) == (got, got_quote, 0)
    assert desk.slot(counter) == Slot(counter_cash + got_cash - fee, 0, 1 if got else 0)
    parts = split(fee)
    assert desk.core.market.unsweptFees(ETH) == (unswept[0] + parts.insurance, unswept[1] + parts.treasury)
    assert desk.pool_quote() == pool_quote + parts.pool
    assert desk.core.market.skew(ETH) == skew
    desk.core.check_sums(dust_bound=0)


def test_fill__all_of_it_to_another__closes_one_and_opens_the_other(desk: Desk, trader: int) -> None:
    counter = desk.rich("counter")
    desk.trade(trader, 10 * WAD)
    assert desk.fill(trader, -10 * WAD, 10 * ETH_PRICE, counter=counter).value[1] == 0
    assert desk.position(trader) == (0, 0, 0)
    assert desk.position(counter) == (10 * WAD, -10 * ETH_PRICE, 0)
    assert (desk.slot(trader).markets, desk.slot(counter).markets) == (0, 1)
    assert desk.core.market.openInterest(ETH) == (10 * WAD, 0)


def test_fill__counter_isolated_in_another_market__is_refused(desk: Desk, trader: int) -> None:
    counter = desk.rich("counter", isolated_market=BTC)
    desk.trade(trader, 10 * WAD)
    with reverts("PerpMarket_WrongMarket", counter, ETH):
        desk.fill(trader, -WAD, ETH_PRICE, counter=counter)


def test_fill__cross_counter_in_an_isolated_only_market__may_keep_and_not_open(desk: Desk) -> None:
    holder, newcomer = desk.rich("holder"), desk.rich("newcomer")
    isolated = desk.rich("isolated", isolated_market=ETH)
    desk.trade(holder, -5 * WAD)
    desk.trade(isolated, 10 * WAD)
    desk.core.set_params(ETH, isolatedOnly=True)
    with reverts("PerpMarket_IsolatedOnly", ETH):
        desk.fill(isolated, -WAD, ETH_PRICE, counter=newcomer)
    desk.fill(isolated, -WAD, ETH_PRICE, counter=holder)
    assert desk.position(holder)[0] == -4 * WAD
    desk.fill(isolated, -WAD, ETH_PRICE, counter=desk.rich("other", isolated_market=ETH))


def test_fill__counter_with_eight_markets__opens_no_ninth(desk: Desk) -> None:
    while desk.core.market.marketCount() < 9:
        market = desk.core.list_market(BTC_PRICE, SCALES[BTC])
        desk.core.post(desk.core.pool_account(market), 10_000_000 * WAD)
    trader, counter = desk.rich(), desk.rich("counter")
    desk.trade(trader, 2 * WAD, market=9)
    for market in range(1, 9):
        desk.trade(counter, WAD, market=market)
    with reverts("PerpMarket_TooManyMarkets", counter):
        desk.fill(trader, -WAD, BTC_PRICE, market=9, counter=counter)
    desk.trade(counter, -WAD, market=8)
    desk.fill(trader, -WAD, BTC_PRICE, market=9, counter=counter)
    desk.fill(trader, -WAD, BTC_PRICE, market=9, counter=counter)
    assert desk.slot(counter).markets == 0b1_0111_1111
    desk.core.check_sums()


@settings(max_examples=60)
@given(
    held=signed(WAD, 500 * WAD),
    theirs=signed(WAD, 500 * WAD),
    part=st.integers(1, WAD),
    sum_=st.integers(0, 10**24),
    fee=st.integers(0, 10**21),
)
def test_fill__random_transfers__follow_the_specification(
    shared_desk: Desk, held: int, theirs: int, part: int, sum_: int, fee: int
) -> None:
    desk = shared_desk
    with desk.isolated():
        trader, counter = desk.rich(), desk.rich("counter")
        desk.trade(trader, held)
        desk.trade(counter, theirs)
        cash, (_, quote, _) = desk.core.cash(trader), desk.position(trader)
        counter_cash, (_, counter_quote, _) = desk.core.cash(counter), desk.position(counter)
        base = -(held * part // WAD) or (-1 if held > 0 else 1)
        more = sum_ if base < 0 else -sum_
        desk.fill(trader, base, more, counter=counter, counter_fee=fee)
        left, left_quote, released = filled(held, quote, base, more)
        got, got_quote, got_cash = filled(theirs, counter_quote, -base, -more)
        assert desk.position(trader) == (left, left_quote, 0)
        assert desk.position(counter) == (got, got_quote, 0)
        assert desk.core.cash(trader) == cash + released
        assert desk.core.cash(counter) == counter_cash + got_cash - fee
        assert desk.core.market.openInterest(ETH) == (
            max(left, 0) + max(got, 0),
            max(-left, 0) + max(-got, 0),
        )
        desk.core.check_sums(dust_bound=0)


def test_fill__account_of_the_keeper_itself__is_paid_in_two_postings(desk: Desk) -> None:
    """A keeper may liquidate his own account: what he pays and what he gets add up."""
    own = desk.rich("keeper of his own")
    desk.trade(own, 10 * WAD)
    cash, (_, quote, _) = desk.core.cash(own), desk.position(own)
    desk.fill(own, -10 * WAD, 10 * ETH_PRICE, charge=5 * WAD, reward=5 * WAD, keeper=actor("keeper of his own"))
    assert desk.core.cash(own) == cash + quote + 10 * ETH_PRICE
    desk.core.check_sums(dust_bound=0)
