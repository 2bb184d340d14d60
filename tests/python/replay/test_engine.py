"""Signed orders matched in the replay's own books: what the model takes, and who is out where it refuses."""

from __future__ import annotations

import pytest

from plimsoll.core import ids
from plimsoll.core.orders import Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD
from plimsoll.replay.actions import Deposit, ExecuteRequest, Match, Record, RequestEntry, SignedOrder
from plimsoll.replay.engine import MAX_FILLS, Engine, Submitted
from plimsoll.replay.mirror import Mirror
from plimsoll.risk.commitments import FILLED, MATCHING, SPENT
from plimsoll.sdk.signing import order_hash
from tests.python.replay.setting import START, mirror

ETH, PRICE = 1, 2_500 * WAD
ANN, BOB, CAT, POOR = (ids.pack(0xA0 + place) for place in range(4))
IOC, FOK, GTT = TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL, TimeInForce.GOOD_TILL_TIME


class Stage:
    """Two accounts with money and one without; a price; a block open a second after it."""

    def __init__(self) -> None:
        self.mirror: Mirror = mirror()
        provider = self.mirror.roles.provider.number
        self.mirror.begin(START + 1)
        self.mirror.do(Deposit(ids.pack(provider), 10**13))
        entry = self.mirror.do(RequestEntry("pool", provider, 10**13)).result
        for account in (ANN, BOB, CAT):
            self.mirror.do(Deposit(account, 10_000 * 10**6))
        self.mirror.end()
        self.mirror.begin(START + 100)
        self.mirror.do(ExecuteRequest("pool", entry))
        self.mirror.do(Record({ETH: (PRICE, PRICE, PRICE)}))
        self.mirror.end()
        self.mirror.begin(START + 101)
        self.engine = Engine(self.mirror, [ETH])
        self.heard: list[tuple[int, int]] = []
        self.engine.heard = lambda order, left: self.heard.append((order.account, left))
        self._salt = 0

    def order(self, account: int, base: int, bps: int = 0, time_in_force: TimeInForce = GTT, expiry: int = 0) -> Order:
        """`bps` from the index."""
        self._salt += 1
        price = PRICE * (10_000 + bps) // 10_000
        return Order(
            account,
            ETH,
            OrderKind.LIMIT,
            base * WAD,
            price,
            time_in_force=time_in_force,
            expiry=expiry,
            salt=self._salt,
        )

    def submit(self, order: Order) -> Submitted:
        return self.engine.submit(SignedOrder(order, order.account >> 96))

    def status(self, order: Order) -> int:
        return self.mirror.model.state.orders[order_hash(order)].status


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_submit__nothing_crosses__rests(stage: Stage) -> None:
    ask = stage.order(ANN, -2, 5)
    assert stage.submit(ask) == (0, True)
    assert stage.submit(stage.order(BOB, 2, 4)) == (0, True)
    assert stage.engine.left(ask) == 2 * WAD


def test_submit__crosses__filled_at_the_makers_price_on_the_ledger(stage: Stage) -> None:
    ask, bid = stage.order(ANN, -2, 5), stage.order(BOB, 3, 10)
    stage.submit(ask)
    assert stage.submit(bid) == (2 * WAD, True)
    assert stage.mirror.base_of(BOB, ETH) == 2 * WAD == -stage.mirror.base_of(ANN, ETH)
    assert (stage.status(ask), stage.status(bid)) == (FILLED, MATCHING)
    assert (stage.engine.left(ask), stage.engine.left(bid)) == (0, WAD)
    assert stage.heard == [(ANN, 0)]


def test_submit__immediate_or_cancel__its_rest_is_gone(stage: Stage) -> None:
    bid = stage.order(BOB, 3, 10, IOC)
    stage.submit(stage.order(ANN, -2, 5))
    assert stage.submit(bid) == (2 * WAD, False)
    assert stage.status(bid) == SPENT


@pytest.mark.parametrize(("base", "matched"), [(4, 4 * WAD), (5, 0)])
def test_submit__fill_or_kill__all_or_nothing(stage: Stage, base: int, matched: int) -> None:
    stage.submit(stage.order(ANN, -2, 5))
    stage.submit(stage.order(CAT, -2, 6))
    assert stage.submit(stage.order(BOB, base, 10, FOK)) == (matched, False)


def test_submit__one_maker_cannot_pay__only_that_one_is_skipped_and_out(stage: Stage) -> None:
    poor, rich = stage.order(POOR, -2, 4), stage.order(ANN, -2, 5)
    stage.submit(poor)
    stage.submit(rich)
    assert stage.submit(stage.order(BOB, 4, 10, IOC)) == (2 * WAD, False)
    assert stage.engine.refused == [POOR]
    assert (stage.engine.left(poor), stage.heard) == (0, [(ANN, 0)])


def test_submit__the_taker_cannot_pay__makers_are_back_where_they_were(stage: Stage) -> None:
    first, second = stage.order(ANN, -2, 4), stage.order(CAT, -2, 5)
    stage.submit(first)
    stage.submit(second)
    assert stage.submit(stage.order(POOR, 3, 10)) == (0, False)
    assert (stage.engine.left(first), stage.engine.left(second)) == (2 * WAD, 2 * WAD)
    assert stage.submit(stage.order(BOB, 4, 10, IOC)) == (4 * WAD, False)
    assert stage.heard == [(ANN, 0), (CAT, 0)]


def test_submit__two_alone_are_refused__both_are_out(stage: Stage) -> None:
    ask = stage.order(ANN, -2, 4)
    stage.submit(ask)
    assert stage.submit(stage.order(POOR, 2, 10)) == (0, False)
    assert stage.engine.left(ask) == 0


@pytest.mark.parametrize(("bps", "matched"), [(25, 2 * WAD), (26, 0)])
def test_submit__end_of_the_band__beyond_it_nothing_is_matched(stage: Stage, bps: int, matched: int) -> None:
    stage.submit(stage.order(ANN, -2, bps))
    assert stage.submit(stage.order(BOB, 2, 40, IOC)).matched == matched


@pytest.mark.parametrize(("expiry", "matched"), [(START + 101, 2 * WAD), (START + 100, 0)])
def test_submit__maker_with_an_expiry__its_second_is_the_last(stage: Stage, expiry: int, matched: int) -> None:
    stage.submit(stage.order(ANN, -2, 5, expiry=expiry))
    assert stage.submit(stage.order(BOB, 2, 10, IOC)).matched == matched


def test_submit__many_makers__at_most_so_many_in_a_transaction(stage: Stage) -> None:
    for _ in range(MAX_FILLS + 1):
        stage.submit(stage.order(ANN, -1, 5))
    assert stage.submit(stage.order(BOB, MAX_FILLS + 1, 10, IOC)).matched == MAX_FILLS * WAD
    matches = [one.action for one in stage.mirror.end().applied if isinstance(one.action, Match)]
    assert [len(match.makers) for match in matches] == [MAX_FILLS]


def test_remove__waiting_order__is_not_matched_any_more(stage: Stage) -> None:
    ask = stage.order(ANN, -2, 5)
    stage.submit(ask)
    assert stage.engine.remove(ask) == 2 * WAD
    assert stage.engine.remove(ask) == 0
    assert stage.submit(stage.order(BOB, 2, 10, IOC)).matched == 0
