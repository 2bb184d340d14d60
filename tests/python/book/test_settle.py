"""Settlement against the reference model: makers that fail, takers that fail, and crashes at every point."""

from __future__ import annotations

import pytest

from plimsoll.book.book import End
from plimsoll.book.engine import MAX_FILLS
from plimsoll.book.records import BookOrder
from plimsoll.book.settle import MATCH_SECONDS
from plimsoll.core.units import WAD
from tests.python.book.setting import (
    ETH,
    FOK,
    IOC,
    NOW,
    PRICE,
    UNIT,
    account_of,
    market,
)  # fmt: skip
from tests.python.book.stage import TAKER, TRADERS, A, B, C, D, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage(market(TRADERS), TRADERS)


def ended(one: BookOrder) -> tuple[End | None, int, int]:
    return one.end, one.left // WAD, one.filled // WAD


def test_round__clean_match__settled_and_positions_move(stage: Stage) -> None:
    maker, taker = stage.submit(A, -5, 0), stage.submit(TAKER, 7, 10)
    assert stage.round()
    stage.round()
    assert (maker.filled, maker.status) == (5 * WAD, "filled")
    assert (taker.left, taker.filled) == (2 * WAD, 5 * WAD)
    assert (stage.base(A), stage.base(TAKER)) == (-5, 5)
    assert stage.engine.open.count(account_of(A)) == 0
    assert not stage.round()


def test_round__maker_whose_margin_vanished__dropped_and_the_taker_goes_on(stage: Stage) -> None:
    bad, good = stage.submit(A, -5, 0), stage.submit(B, -5, 10)
    stage.take_cash(A)
    taker = stage.submit(TAKER, 5, 10)
    stage.settle()
    assert ended(bad) == (End.REFUSED, 0, 0)
    assert "margin" in bad.reason
    assert (ended(good), ended(taker)) == ((None, 0, 5), (None, 0, 5))
    assert (stage.base(A), stage.base(B), stage.base(TAKER)) == (0, -5, 5)


def test_round__taker_whose_margin_vanished__out_and_no_maker_suffers(stage: Stage) -> None:
    makers = [stage.submit(number, -5, 0) for number in (A, B)]
    taker = stage.submit(TAKER, 10, 0)
    stage.take_cash(TAKER)
    stage.settle()
    assert ended(taker) == (End.REFUSED, 0, 0)
    assert [ended(one) for one in makers] == [(None, 5, 0)] * 2
    assert stage.chain.sends == 0


def test_round__taker_can_carry_a_part__that_is_filled(stage: Stage) -> None:
    first, second = stage.submit(A, -5, 0), stage.submit(B, -500, 0)
    taker = stage.submit(TAKER, 505, 0)
    stage.protocol.withdraw(account_of(TAKER), 999_000 * UNIT, 1, now=NOW, sender=account_of(TAKER) >> 96)
    stage.settle()
    assert ended(taker) == (End.REFUSED, 0, 5)
    assert (ended(first), ended(second)) == ((None, 0, 5), (None, 500, 0))


def test_round__margin_vanishes_after_the_simulation__skipped_on_the_chain_and_dropped(stage: Stage) -> None:
    bad, good = stage.submit(A, -5, 0), stage.submit(B, -5, 10)
    taker = stage.submit(TAKER, 10, 10)
    stage.chain.holds = True
    stage.round()
    stage.take_cash(A)
    stage.chain.mine()
    stage.chain.holds = False
    stage.settle()
    assert ended(bad) == (End.REFUSED, 0, 0)
    assert (ended(good), ended(taker)) == ((None, 0, 5), (None, 5, 5))
    assert stage.depth == ([(10, 5)], [])


def test_round__immediate_or_cancel_skipped_on_the_chain__its_rest_is_over(stage: Stage) -> None:
    stage.submit(A, -5, 0)
    stage.submit(B, -5, 10)
    taker = stage.submit(TAKER, 10, 10, time_in_force=IOC)
    spare = stage.submit(C, -5, 10)
    stage.chain.holds = True
    stage.round()
    stage.take_cash(A)
    stage.chain.mine()
    stage.chain.holds = False
    stage.settle()
    assert ended(taker) == (End.ENDED_ON_CHAIN, 0, 5)
    assert ended(spare) == (None, 5, 0)


def test_round__everything_fails_on_the_chain__reverts_and_is_tried_with_what_is_left(stage: Stage) -> None:
    bad = stage.submit(A, -5, 0)
    taker = stage.submit(TAKER, 5, 0)
    stage.chain.holds = True
    stage.round()
    stage.take_cash(A)
    stage.chain.mine()
    stage.chain.holds = False
    good = stage.submit(B, -5, 0)
    stage.settle()
    assert (ended(bad), ended(good), ended(taker)) == ((End.REFUSED, 0, 0), (None, 0, 5), (None, 0, 5))
    assert "not settled" in stage.log


def test_round__fill_or_kill_with_a_failing_maker__killed_as_a_whole(stage: Stage) -> None:
    stage.submit(A, -5, 0)
    good = stage.submit(B, -5, 10)
    stage.take_cash(A)
    taker = stage.submit(TAKER, 10, 10, time_in_force=FOK)
    stage.settle()
    assert (ended(taker)[1:], stage.base(TAKER)) == ((0, 0), 0)
    assert ended(good) == (None, 5, 0)


def test_round__cancelled_on_the_chain_unseen__maker_dropped(stage: Stage) -> None:
    bad, good = stage.submit(A, -5, 0), stage.submit(B, -5, 0)
    stage.protocol.cancel(bad.order, now=NOW, sender=account_of(A) >> 96)
    taker = stage.submit(TAKER, 5, 0)
    stage.settle()
    assert (ended(bad), ended(good), ended(taker)) == ((End.REFUSED, 0, 0), (None, 0, 5), (None, 0, 5))


def test_round__no_fresh_price__waits_for_the_next_block_that_has_one(stage: Stage) -> None:
    maker, taker = stage.submit(A, -5, 0), stage.submit(TAKER, 5, 0)
    stage.pass_time(30, price=None)
    assert not stage.round()
    assert (maker.pending, taker.pending) == (5 * WAD, 5 * WAD)
    assert not stage.round()
    assert stage.chain.simulations == 1
    stage.pass_time(1)
    stage.settle()
    assert ended(taker) == (None, 0, 5)


def test_round__no_fresh_price_for_too_long__taker_let_go(stage: Stage) -> None:
    maker, taker = stage.submit(A, -5, 0), stage.submit(TAKER, 5, 0)
    stage.pass_time(MATCH_SECONDS + 1, price=None)
    stage.settle()
    assert (ended(maker), ended(taker)) == ((None, 5, 0), (End.REFUSED, 0, 0))


def test_round__index_moved_away__maker_outside_the_band_dropped(stage: Stage) -> None:
    maker = stage.submit(A, -5, 0)
    taker = stage.submit(TAKER, 5, 0)
    stage.pass_time(1, price=PRICE + 10 * WAD)
    stage.settle()
    assert (ended(maker), ended(taker)) == ((End.REFUSED, 0, 0), (None, 5, 0))


def test_round__best_price_is_of_a_crumb__matched_last_so_that_no_position_is_too_small(stage: Stage) -> None:
    stage.submit(C, -5, 0)
    stage.submit(D, 5, 0)
    stage.settle()
    crumb = stage.submit(C, 0, 0, base=-WAD // 2)
    stage.submit(A, -5, 1)
    taker = stage.submit(TAKER, 0, 1, base=11 * WAD // 2)
    (work,) = stage.engine.work(1)
    assert work.matches[0].maker == crumb.hash
    stage.settle()
    assert (taker.end, taker.filled, crumb.filled) == (None, 11 * WAD // 2, WAD // 2)


def test_round__crumb_of_a_failing_makers_taker__begins_again_with_the_rest(stage: Stage) -> None:
    """The crumb was all that was left of the taker; when the maker before it fails, it isn't any more."""
    bad = stage.submit(A, 0, 0, base=-49 * WAD // 10)
    good = stage.submit(B, -9, 1)
    taker = stage.submit(TAKER, 5, 1)
    stage.take_cash(A)
    stage.settle()
    assert (ended(bad), ended(taker), ended(good)) == ((End.REFUSED, 0, 0), (None, 0, 5), (None, 4, 5))
    assert stage.base(TAKER) == 5


def test_round__order_too_small_as_a_whole__dropped_and_the_taker_goes_on(stage: Stage) -> None:
    stage.submit(C, -5, 0)
    stage.submit(D, 5, 0)
    stage.settle()
    small, good = stage.submit(C, 0, 0, base=-WAD // 2), stage.submit(A, -5, 1)
    taker = stage.submit(TAKER, 9, 1)
    stage.settle()
    assert (small.end, ended(good), ended(taker)) == (End.REFUSED, (None, 0, 5), (None, 4, 5))


def test_round__dust_that_is_left_of_a_maker__goes_and_the_taker_stays(stage: Stage) -> None:
    """A flat taker can't begin with it; what the maker was matched with otherwise stands."""
    maker = stage.submit(A, -5, 0)
    stage.submit(B, 0, 0, base=45 * WAD // 10)
    taker = stage.submit(TAKER, 5, 0)
    stage.settle()
    assert (maker.end, maker.filled, maker.left) == (End.REFUSED, 45 * WAD // 10, 0)
    assert (ended(taker), stage.base(TAKER)) == ((None, 5, 0), 0)


def test_round__more_makers_than_one_call_takes__in_several(stage: Stage) -> None:
    for _ in range(MAX_FILLS + 5):
        stage.submit(A, -2, 0)
    taker = stage.submit(TAKER, 2 * (MAX_FILLS + 5), 0)
    stage.settle()
    assert (ended(taker), stage.base(TAKER)) == ((None, 0, 90), 90)
    assert stage.chain.nonce == 2


def test_work__more_than_a_block_holds__the_oldest_takers_first(stage: Stage) -> None:
    for number in (A, B, C):
        for _ in range(15):
            stage.submit(TAKER, -2, 0)
        stage.submit(number, 30, 0)
    assert [len(work.matches) for work in stage.engine.work(9)] == [15, 15]
    assert [work.taker.order.account for work in stage.engine.work(1)] == [account_of(A)]
    assert stage.engine.work(9, waiting={ETH}) == []
    stage.settle()
    assert [stage.base(number) for number in (A, B, C)] == [30, 30, 30]


def test_round__several_takers__one_round(stage: Stage) -> None:
    stage.submit(A, -9, 0)
    takers = [stage.submit(number, 3, 0) for number in (B, C, D)]
    stage.round()
    stage.round()
    assert [one.filled for one in takers] == [3 * WAD] * 3
    assert stage.chain.nonce == 3


# --- a large book ----------------------------------------------------------------------------------------------------


def test_settle__ten_thousand_orders_a_hundred_fail__as_if_those_had_never_been() -> None:
    """One taker sweeps 300 makers of 10,000 resting orders, every third of which fails."""
    makers, bad_makers = range(100, 112), range(200, 202)
    traders = [*makers, *bad_makers, TAKER]
    stage = Stage(market(traders, dollars=50_000_000), traders)
    rows = []
    for place in range(300):
        number = bad_makers[place % 2] if place % 3 == 2 else makers[place % 12]
        rows.append((number in bad_makers, stage.submit_quickly(number, -2, 1 + place // 4)))
    for place in range(9_700):
        stage.submit_quickly(makers[place % 12], -2, 100 + place % 150)
    assert len(stage.engine.book(ETH)) == 10_000
    for number in bad_makers:
        stage.take_cash(number)
    taker = stage.submit(TAKER, 2 * 250, 200)
    stage.settle()

    assert [ended(one) for bad, one in rows if bad] == [(End.REFUSED, 0, 0)] * 100
    assert [ended(one) for bad, one in rows if not bad] == [(None, 0, 2)] * 200
    assert ended(taker) == (None, 0, 500)
    assert [stage.base(number) for number in (*bad_makers, TAKER)] == [0, 0, 500]
    assert len(stage.engine.book(ETH)) == 10_000 - 300 - 50
    assert len(stage.engine.pending) == 0
