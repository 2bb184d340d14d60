"""Orders through the engine: what is open, what a match leaves, and everything put back when it is undone."""

from __future__ import annotations

import pytest

from plimsoll.book.book import End
from plimsoll.book.records import BookOrder, Match, MatchState
from plimsoll.book.refused import Refused
from plimsoll.core.units import WAD
from tests.python.book.setting import FOK, IOC, NOW, POST_ONLY, Desk, account_of, desk, order, signed_by
from tests.python.risk.setting import ETH

A, B, C, D = 1, 2, 3, 4


def sizes(one: BookOrder) -> tuple[int, int, int, str]:
    """Whole units left, pending and filled; the status."""
    return one.left // WAD, one.pending // WAD, one.filled // WAD, one.status


def settle(one: Desk) -> list[Match]:
    """All that waits happens."""
    done: list[Match] = []
    for work in one.engine.work(99):
        for match in work.matches:
            one.engine.pending.discard(match)
            match.state = MatchState.SENT
        one.engine.settled("0x", work.matches)
        done += work.matches
    return done


@pytest.fixture
def book() -> Desk:
    found = desk(A, B, C, D)
    found.facts.accounts[account_of(B, 1)] = found.facts.accounts[account_of(B)]
    return found


def test_submit__nothing_crosses__rests(book: Desk) -> None:
    resting = book.submit(A, 5, 0)
    assert sizes(resting) == (5, 0, 0, "open")
    assert book.depth == ([(0, 5)], [])
    assert book.engine.open.count(account_of(A)) == 1


def test_submit__crosses__matched_at_the_makers_price(book: Desk) -> None:
    maker = book.submit(A, -5, 10)
    taker = book.submit(B, 7, 20)
    assert sizes(maker) == (0, 5, 0, "matched")
    assert sizes(taker) == (2, 5, 0, "open")
    assert book.depth == ([(20, 2)], [])
    (work,) = book.engine.work(9)
    (match,) = work.matches
    assert (match.maker, match.taker, match.base, match.price) == (
        maker.hash, taker.hash, 5 * WAD, maker.order.acceptable_price,
    )  # fmt: skip
    assert match.is_buy


def test_submit__twice__refused_as_known(book: Desk) -> None:
    one = signed_by(A, order(A, 5, 0))
    book.engine.submit(one)
    with pytest.raises(Refused) as caught:
        book.engine.submit(one)
    assert (caught.value.status, caught.value.code) == (409, "already_known")


def test_submit__matched_before_on_the_chain__only_the_rest(book: Desk) -> None:
    one = signed_by(A, order(A, 5, 0))
    book.facts.matched[one.hash] = 2 * WAD
    assert sizes(book.engine.submit(one)) == (3, 0, 2, "open")


def test_settled__all__filled_and_closed(book: Desk) -> None:
    maker, taker = book.submit(A, -5, 0), book.submit(B, 5, 0)
    settle(book)
    assert sizes(maker) == sizes(taker) == (0, 0, 5, "filled")
    assert book.engine.open.count(account_of(A)) == 0
    book.engine.release(book.engine.drain().orders)
    assert book.engine.orders == {}


def test_cancel__partly_matched__the_rest_only(book: Desk) -> None:
    maker = book.submit(A, -5, 0)
    book.submit(B, 2, 0)
    assert sizes(book.engine.cancel(maker.hash)) == (0, 2, 0, "matched")
    assert maker.end == End.CANCELLED
    assert book.depth == ([], [])
    settle(book)
    assert sizes(maker) == (0, 0, 2, "ended")


def test_cancel__nothing_left_or_unknown__says_which(book: Desk) -> None:
    maker = book.submit(A, -5, 0)
    book.submit(B, 5, 0)
    with pytest.raises(Refused) as caught:
        book.engine.cancel(maker.hash)
    assert (caught.value.status, caught.value.code) == (409, "nothing_left")
    with pytest.raises(Refused) as caught:
        book.engine.cancel(bytes(32))
    assert (caught.value.status, caught.value.code) == (404, "unknown_order")


def test_expire__last_second_in_reach_of_the_next_block__out(book: Desk) -> None:
    one = book.submit(A, 5, 0, expiry=NOW + 2)
    other = book.submit(A, 5, 0, expiry=NOW + 3)
    book.engine.expire()
    assert one.is_live
    book.facts.now += 1
    book.engine.expire()
    assert (one.end, one.left) == (End.EXPIRED, 0)
    assert other.is_live


def test_change_counter__orders_of_the_old_one__out(book: Desk) -> None:
    one = book.submit(A, 5, 0)
    other = book.submit(B, 5, 0)
    book.engine.change_counter(account_of(A), 1)
    assert (one.end, one.left, other.left) == (End.ENDED_ON_CHAIN, 0, 5 * WAD)


def test_reconcile__matched_by_others__what_is_left_shrinks(book: Desk) -> None:
    one = book.submit(A, -5, 0)
    book.facts.matched[one.hash] = 2 * WAD
    assert book.engine.reconcile([one.hash]) == []
    assert sizes(one) == (3, 0, 2, "open")
    assert book.depth == ([], [(0, 3)])
    book.facts.matched[one.hash] = 5 * WAD
    book.engine.reconcile([one.hash, one.hash])
    assert sizes(one) == (0, 0, 5, "filled")


def test_drop_maker__taker_goes_on_to_the_next__in_its_old_place(book: Desk) -> None:
    bad = book.submit(A, -5, 0)
    good = book.submit(C, -5, 10)
    taker = book.submit(B, 6, 20)
    (work,) = book.engine.work(9)
    book.engine.drop_maker(work.matches[0], "no margin")
    assert sizes(bad) == (0, 0, 0, "ended")
    assert (bad.end, bad.reason) == (End.REFUSED, "no margin")
    assert sizes(good) == (0, 5, 0, "matched")
    assert sizes(taker) == (1, 5, 0, "open")
    assert book.depth == ([(20, 1)], [])
    assert [match.state for match in work.matches] == [MatchState.UNDONE, MatchState.PENDING]


def test_drop_maker__matched_with_two_takers__both_go_on(book: Desk) -> None:
    book.submit(A, -5, 0)
    first, second = book.submit(B, 2, 0), book.submit(C, 3, 0)
    good = book.submit(D, -10, 0)
    book.engine.drop_maker(book.engine.work(9)[1].matches[0], "")
    assert sizes(first) == (0, 2, 0, "matched")
    assert sizes(second) == (0, 3, 0, "matched")
    assert sizes(good) == (5, 5, 0, "open")


def test_drop_taker__makers_are_back_in_their_places(book: Desk) -> None:
    first, second = book.submit(A, -5, 0), book.submit(C, -5, 0)
    taker = book.submit(B, 7, 0)
    (work,) = book.engine.work(9)
    book.engine.drop_taker(taker, work.matches, "no margin")
    assert (sizes(taker), taker.end) == ((0, 0, 0, "ended"), End.REFUSED)
    assert [sizes(one) for one in (first, second)] == [(5, 0, 0, "open")] * 2
    book.submit(D, 6, 0)
    assert [sizes(one) for one in (first, second)] == [(0, 5, 0, "matched"), (4, 1, 0, "open")]


def test_drop_taker__for_one_of_his_matches__the_others_stand(book: Desk) -> None:
    first, second = book.submit(A, -5, 0), book.submit(C, -5, 10)
    taker = book.submit(B, 12, 10)
    (work,) = book.engine.work(9)
    book.engine.drop_taker(taker, work.matches[1:], "no margin for all")
    assert sizes(taker) == (0, 5, 0, "matched")
    assert (sizes(first), sizes(second)) == ((0, 5, 0, "matched"), (5, 0, 0, "open"))


def test_drop_taker__what_is_put_back_crosses_a_newer_order__matched_at_the_older_price(book: Desk) -> None:
    old = book.submit(A, -5, 0)
    taker = book.submit(B, 5, 0)
    newer = book.submit(C, 3, 20)
    (work,) = book.engine.work(9)
    book.engine.drop_taker(taker, work.matches, "")
    assert (sizes(old), sizes(newer)) == ((2, 3, 0, "open"), (0, 3, 0, "matched"))
    assert [match.price for match in book.engine.work(9)[0].matches] == [old.order.acceptable_price]
    assert book.depth == ([], [(0, 2)])


def test_drop_taker__what_is_put_back_crosses_a_newer_post_only__that_one_ends(book: Desk) -> None:
    old = book.submit(A, -5, 0)
    taker = book.submit(B, 5, 0)
    newer = book.submit(C, 3, 20, time_in_force=POST_ONLY)
    book.engine.drop_taker(taker, book.engine.work(9)[0].matches, "")
    assert (sizes(old), newer.end) == ((5, 0, 0, "open"), End.WOULD_TAKE)


def test_drop_maker__immediate_or_cancel__goes_on_and_the_rest_ends(book: Desk) -> None:
    book.submit(A, -5, 0)
    good = book.submit(C, -2, 10)
    taker = book.submit(B, 5, 10, time_in_force=IOC)
    book.engine.drop_maker(book.engine.work(9)[0].matches[0], "")
    assert (sizes(taker), taker.end) == ((0, 2, 0, "matched"), End.NOTHING_LEFT_TO_TAKE)
    assert sizes(good) == (0, 2, 0, "matched")


def test_drop_maker__fill_or_kill__all_anew_or_nothing(book: Desk) -> None:
    bad, good = book.submit(A, -2, 0), book.submit(C, -5, 10)
    taker = book.submit(B, 5, 10, time_in_force=FOK)
    assert sizes(taker) == (0, 5, 0, "matched")
    book.engine.drop_maker(book.engine.work(9)[0].matches[0], "")
    assert (sizes(bad), sizes(good), sizes(taker)) == ((0, 0, 0, "ended"), (0, 5, 0, "matched"), (0, 5, 0, "matched"))
    book.engine.drop_maker(book.engine.work(9)[0].matches[0], "")
    assert (sizes(taker), taker.end) == ((0, 0, 0, "ended"), End.NOT_FILLED)


def test_drop_maker__taker_cancelled_meanwhile__gets_nothing_more(book: Desk) -> None:
    book.submit(A, -5, 0)
    taker = book.submit(B, 6, 0)
    book.engine.cancel(taker.hash)
    good = book.submit(C, -5, 0)
    book.engine.drop_maker(book.engine.work(9)[0].matches[0], "")
    assert (sizes(taker), sizes(good)) == ((0, 0, 0, "ended"), (5, 0, 0, "open"))


def test_submit__own_order_in_the_way__rest_ends_as_self_match(book: Desk) -> None:
    book.submit(A, -2, 0)
    own = book.submit(B, -5, 10)
    taker = book.submit(B, 5, 10, account=account_of(B, 1))
    assert (sizes(taker), taker.end) == ((0, 2, 0, "matched"), End.SELF_MATCH)
    assert sizes(own) == (5, 0, 0, "open")


def test_drain__each_change_once__and_depth_by_market(book: Desk) -> None:
    maker = book.submit(A, -5, 0)
    first = book.engine.drain()
    assert ([one.hash for one in first.batch.accepted], first.batch.changed) == ([maker.hash], [])
    assert first.depth[ETH] == ([], book.engine.book(ETH).depth(1)[1])
    taker = book.submit(B, 2, 0)
    second = book.engine.drain()
    assert [one.hash for one in second.batch.accepted] == [taker.hash]
    assert [one.hash for one in second.batch.changed] == [maker.hash]
    assert len(second.matches) == 1
    assert not book.engine.drain().batch
