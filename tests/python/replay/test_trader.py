"""How an account's orders reach the order book, by its habits."""

from __future__ import annotations

import dataclasses

import pytest

from plimsoll.core.orders import COUNTER_SHIFT, OrderKind
from plimsoll.core.units import WAD
from plimsoll.replay.actions import (
    Cancel,
    CancelAll,
    CancelAllFor,
    CancelFor,
    Place,
    PlaceFor,
    SetDelegate,
    SetDelegateFor,
    Together,
)
from plimsoll.replay.keys import Key
from plimsoll.replay.run import Replay
from plimsoll.replay.trader import RELAY_SECONDS, Desk, Trader
from tests.python.replay.setting import PLAIN, staged

ETH, PRICE, CENT_10 = 1, 2_500 * WAD, WAD // 10


@pytest.fixture
def stage() -> Replay:
    return staged(population=PLAIN)


def someone(stage: Replay, *, is_relayed: bool = False, has_bot: bool = False) -> Trader:
    trader = next(iter(stage.traders.by_account.values()))
    habits = dataclasses.replace(trader.plan.habits, is_relayed=is_relayed, has_delegate=has_bot)
    trader.plan = dataclasses.replace(trader.plan, habits=habits)
    trader.bot = Key.named("a bot") if has_bot else None
    return trader


def test_place__owner__sends_it(stage: Replay) -> None:
    trader, desk = someone(stage), Desk(stage.mirror)
    order = desk.order(trader, ETH, OrderKind.MARKET, WAD, PRICE)
    assert desk.place(trader, order) == Place(order)
    assert order.expiry == 0


def test_place__bot__sends_and_signs(stage: Replay) -> None:
    trader, desk = someone(stage, has_bot=True), Desk(stage.mirror)
    assert trader.bot is not None
    order = desk.order(trader, ETH, OrderKind.MARKET, WAD, PRICE)
    assert desk.place(trader, order) == Place(order, trader.bot.number)
    assert trader.signed(order).signer == trader.bot.number
    assert desk.cancel(trader, order) == Cancel(order, trader.bot.number)


def test_place__relayed__signed_market_orders_expire(stage: Replay) -> None:
    trader, desk = someone(stage, is_relayed=True), Desk(stage.mirror)
    market = desk.order(trader, ETH, OrderKind.MARKET, WAD, PRICE)
    stop = desk.order(trader, ETH, OrderKind.STOP_LOSS, WAD, PRICE)
    assert (market.expiry, stop.expiry) == (stage.mirror.now + RELAY_SECONDS, 0)
    assert desk.place(trader, market, stop) == Together(
        (PlaceFor(market, trader.key.number), PlaceFor(stop, trader.key.number))
    )
    assert desk.cancel(trader, stop) == CancelFor(stop, CENT_10)


def test_replace__one_transaction__takes_back_first(stage: Replay) -> None:
    trader, desk = someone(stage), Desk(stage.mirror)
    old, new = (desk.order(trader, ETH, OrderKind.LIMIT, WAD, PRICE) for _ in range(2))
    assert desk.replace(trader, old, new) == Together((Cancel(old), Place(new)))


def test_cancel_all__counter_moves__salts_follow(stage: Replay) -> None:
    trader, desk = someone(stage), Desk(stage.mirror)
    assert desk.cancel_all(trader) == CancelAll(trader.account)
    stage.mirror.do(desk.cancel_all(trader))
    assert desk.salt(trader.account) >> COUNTER_SHIFT == 1
    relayed = someone(stage, is_relayed=True)
    assert desk.cancel_all(relayed) == CancelAllFor(relayed.account, 2, CENT_10)


@pytest.mark.parametrize(("is_relayed", "kind"), [(False, SetDelegate), (True, SetDelegateFor)])
def test_scopes__account_with_a_bot__may_trade_its_markets_until_the_day_is_over(
    stage: Replay, is_relayed: bool, kind: type
) -> None:
    trader = someone(stage, is_relayed=is_relayed, has_bot=True)
    assert trader.bot is not None
    [action] = stage.traders.scopes()
    assert isinstance(action, kind)
    stage.mirror.do(action)
    scope, used = stage.mirror.model.delegation(trader.account, trader.bot.number, stage.mirror.now)
    assert used == 0
    assert all(scope.covers(stage.market_ids[leg.market], stage.mirror.now + 600) for leg in trader.plan.legs)
    assert not scope.may_match
    assert not scope.may_take_over
