"""When an order is tried again."""

from __future__ import annotations

from plimsoll.keepers.patience import MAX_BLOCKS, MAX_RECORDS, Patience

ONE, OTHER = b"1" * 32, b"2" * 32


def test_refuse__again_and_again__waits_longer_up_to_a_bound() -> None:
    patience = Patience()
    waits = []
    for record in range(10, 18):
        assert patience.refuse(ONE, record) == (record == 10)
        waits.append(patience.retry_at[ONE] - record)
    assert waits == [1, 2, 4, 8, 16, 32, MAX_RECORDS, MAX_RECORDS]


def test_refuse__at_most_one_record__is_tried_at_each() -> None:
    patience = Patience()
    for record in range(10, 15):
        patience.refuse(ONE, record, 1)
        assert patience.retry_at == {ONE: record + 1}


def test_lose__rests_until_its_state_is_read() -> None:
    patience = Patience()
    patience.lose(ONE, 7)
    assert patience.resting == {ONE}
    assert patience.to_read(6) == []
    assert patience.to_read(7) == [ONE]
    patience.wake(ONE)
    assert (patience.resting, patience.to_read(9)) == (frozenset(), [])


def test_lose__again_and_again__is_read_later() -> None:
    patience, waits = Patience(), []
    for _ in range(8):
        patience.lose(ONE, 100)
        waits.append(next(block for block in range(100, 200) if patience.to_read(block)) - 100)
        patience.wake(ONE)
    assert waits == [0, 1, 3, 7, 15, 31, MAX_BLOCKS - 1, MAX_BLOCKS - 1]


def test_keep__forgets_the_others() -> None:
    patience = Patience()
    for hash_ in (ONE, OTHER):
        patience.refuse(hash_, 1)
        patience.lose(hash_, 1)
    patience.keep({OTHER})
    assert list(patience.retry_at) == [OTHER]
    assert patience.resting == {OTHER}
