"""PerpMarket.fill: a transfer with the pool, at a sum that the liquidator computed."""

from __future__ import annotations

import pytest

from tests.support.core import BTC, ETH, ETH_PRICE, KEEPER, WAD, account_id, actor
from tests.support.evm import ANYONE, reverts
from tests.unit.market.conftest import Desk
from tests.unit.market.reference import Slot, filled

KEEPER_ACCOUNT = account_id(KEEPER)


@pytest.mark.parametrize("sender", ["anyone", "order_book", "pool", "fund", "vault", "configurator"])
def test_fill__by_anybody_but_the_liquidator__is_refused(desk: Desk, trader: int, sender: str) -> None:
    """PM-02"""
    by = ANYONE if sender == "anyone" else getattr(desk.core, sender)
    with reverts("PerpMarket_NotModule", by):
        desk.fill(trader, -WAD, ETH_PRICE, sender=by)


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


def test_fill__account_of_the_keeper_itself__is_paid_in_two_postings(desk: Desk) -> None:
    """A keeper may liquidate his own account: what he pays and what he gets add up."""
    own = desk.rich("keeper of his own")
    desk.trade(own, 10 * WAD)
    cash, (_, quote, _) = desk.core.cash(own), desk.position(own)
    desk.fill(own, -10 * WAD, 10 * ETH_PRICE, charge=5 * WAD, reward=5 * WAD, keeper=actor("keeper of his own"))
    assert desk.core.cash(own) == cash + quote + 10 * ETH_PRICE
    desk.core.check_sums(dust_bound=0)
