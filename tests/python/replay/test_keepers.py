"""What the executor sends in a replay: triggers by the index, what a fill leaves with nothing goes along."""

from __future__ import annotations

import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind
from plimsoll.core.units import WAD
from plimsoll.replay.actions import CancelAll, Deposit, Execute, Place, Record
from plimsoll.replay.keepers import OpenOrders
from plimsoll.replay.mirror import Mirror
from plimsoll.replay.run import Replay
from tests.python.replay.setting import PLAIN, staged

ETH = 1
TRADER = 0x7777
ACCOUNT = ids.pack(TRADER)


class Stage:
    """A long of 4 ETH, with a stop below and a profit order above."""

    def __init__(self, replay: Replay) -> None:
        self.mirror: Mirror = replay.mirror
        self.orders = OpenOrders(self.mirror)
        self.price = self.mirror.price(ETH)
        self.mirror.do(Deposit(ACCOUNT, 5_000 * 10**6))
        self.entry = self.place(OrderKind.MARKET, 4 * WAD, 0)
        self.record(self.price)
        self.settle()
        self.stop = self.place(OrderKind.STOP_LOSS, -4 * WAD, self.price * 98 // 100)
        self.profit = self.place(OrderKind.TAKE_PROFIT, -4 * WAD, self.price * 102 // 100)

    def place(self, kind: OrderKind, base: int, trigger: int) -> Order:
        price = 2**256 - 1 if base > 0 else 0
        order = Order(ACCOUNT, ETH, kind, base, price, trigger, base < 0, salt=len(self.orders) + 1 + self.mirror.now)
        self.mirror.do(Place(order))
        self.orders.add(order)
        return order

    def record(self, price: int) -> None:
        self.mirror.end()
        self.mirror.begin(self.mirror.now + 3)
        self.mirror.do(Record({ETH: (price,) * 3}))

    def settle(self) -> list[tuple[tuple[Order, ...], list[str]]]:
        done = []
        for batch in self.orders.due():
            outcomes = self.mirror.do(batch).result
            self.orders.hear(batch, outcomes)
            done.append((batch.orders, [outcome.status for outcome in outcomes]))
        return done


@pytest.fixture
def stage() -> Stage:
    return Stage(staged(population=PLAIN))


@pytest.mark.parametrize(("bps", "is_due"), [(9_801, False), (9_800, True), (10_199, False), (10_200, True)])
def test_due__index_at_a_trigger__one_exit_fills_and_the_other_is_void(stage: Stage, bps: int, is_due: bool) -> None:
    stage.record(stage.price * bps // 10_000)
    first, second = (stage.stop, stage.profit) if bps < 10_000 else (stage.profit, stage.stop)
    assert stage.settle() == ([((first, second), ["filled", "void"])] if is_due else [])
    assert len(stage.orders) == (0 if is_due else 2)
    assert stage.mirror.base_of(ACCOUNT, ETH) == (0 if is_due else 4 * WAD)


def test_due__would_be_refused__not_sent_and_tried_at_the_next_record(stage: Stage) -> None:
    fall = stage.price * 98 // 100
    picky = stage.stop._replace(acceptable_price=fall * 2, salt=1)
    stage.mirror.do(Place(picky))
    stage.orders.add(picky)
    stage.orders.end(stage.stop)
    stage.record(fall)
    assert stage.settle() == []


def test_end_all__counter_has_moved__all_but_the_queue_is_dead(stage: Stage) -> None:
    queued = stage.place(OrderKind.MARKET, WAD, 0)
    stage.mirror.do(CancelAll(ACCOUNT))
    stage.orders.end_all(ACCOUNT)
    assert len(stage.orders) == 1
    assert stage.orders.has(ACCOUNT, ETH)
    stage.record(stage.price)
    assert stage.orders.due() == [Execute((queued,))]
