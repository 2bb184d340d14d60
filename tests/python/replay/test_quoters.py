"""Quoters show both sides, lean against what they hold, and take everything back when they are worried."""

from __future__ import annotations

import dataclasses

import pytest

from plimsoll.core.orders import Order, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.replay.actions import CancelAll, CancelAllFor, Record, SignedOrder
from plimsoll.replay.quoters import QUOTE_SECONDS, Quoters
from plimsoll.replay.run import Replay
from tests.python.replay.setting import staged


@pytest.fixture
def stage() -> Replay:
    return staged(population={"book_share": WAD, "quoter_share": WAD, "relayed_share": 0, "delegate_share": 0})


def shown(quoters: Quoters) -> dict[tuple[int, int], list[Order]]:
    return {key: list(quotes.orders) for key, (_, quotes) in quoters._quotes.items()}


def test_quote__fresh_price__a_bid_below_and_an_ask_above(stage: Replay) -> None:
    stage.quoters.quote()
    for (account, market_id), orders in shown(stage.quoters).items():
        price = stage.mirror.price(market_id)
        assert {order.account for order in orders} <= {account}
        assert all((order.acceptable_price < price) == (order.base > 0) for order in orders)
        assert all(order.expiry == stage.mirror.now + QUOTE_SECONDS for order in orders)
        assert len(orders) in (0, 2)
    assert sum(map(len, shown(stage.quoters).values())) > 20


def test_quote__price_stays__quotes_stay(stage: Replay) -> None:
    stage.quoters.quote()
    before = shown(stage.quoters)
    stage.quoters.quote()
    assert shown(stage.quoters) == before


def test_quote__price_moves__old_quotes_are_out(stage: Replay) -> None:
    stage.quoters.quote()
    old = [order for orders in shown(stage.quoters).values() for order in orders]
    stage.mirror.end()
    stage.mirror.begin(stage.mirror.now + 5)
    prices = {market_id: stage.mirror.price(market_id) * 1_001 // 1_000 for market_id in stage.mirror.markets}
    stage.mirror.do(Record({market_id: (price,) * 3 for market_id, price in prices.items()}))
    stage.quoters.quote()
    assert not any(stage.engine.left(order) for order in old)


def test_quote__inventory__moves_both_prices_against_it(stage: Replay) -> None:
    stage.quoters.quote()
    before = shown(stage.quoters)
    taker = next(iter(stage.traders.by_account.values()))
    bids = [order for (_, market_id), orders in before.items() for order in orders[:1] if market_id == 1]
    best = max((bid for bid in bids if bid.account != taker.account), key=lambda bid: bid.acceptable_price)
    sell = best._replace(account=taker.account, base=-best.base, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    assert stage.engine.submit(SignedOrder(sell, taker.key.number)).matched == best.base
    assert stage.mirror.base_of(best.account, 1) == best.base
    stage.quoters.quote()
    old, new = before[best.account, 1], shown(stage.quoters)[best.account, 1]
    assert [order.base > 0 for order in new] == [True, False]
    assert all(after.acceptable_price < order.acceptable_price for after, order in zip(new, old, strict=True))


def test_pull__refused_maker__cancels_all_and_rests_for_a_while(stage: Replay) -> None:
    stage.quoters.quote()
    account = next(key[0] for key, orders in shown(stage.quoters).items() if orders)
    stage.engine.refused = [account]
    assert list(stage.quoters.pull()) == [CancelAll(account)]
    assert list(stage.quoters.pull()) == []
    stage.quoters.quote()
    assert not any(orders for key, orders in shown(stage.quoters).items() if key[0] == account)


def test_pull__relayed__by_a_signature(stage: Replay) -> None:
    stage.quoters.quote()
    account = next(key[0] for key, orders in shown(stage.quoters).items() if orders)
    trader = stage.traders.by_account[account]
    habits = dataclasses.replace(trader.plan.habits, is_relayed=True)
    trader.plan = dataclasses.replace(trader.plan, habits=habits)
    stage.engine.refused = [account]
    [action] = stage.quoters.pull()
    assert isinstance(action, CancelAllFor)
    assert action.counter == 1


def test_pull__nobody_worries__nothing(stage: Replay) -> None:
    stage.quoters.quote()
    assert list(stage.quoters.pull()) == []
