"""Words of the order book, packed as the contracts pack them."""

from __future__ import annotations

from plimsoll.core.orders import Scope
from plimsoll.core.units import WAD
from plimsoll.replay.promises import COMMITMENTS, COUNTERS, DELEGATIONS, QUEUES, Promises
from plimsoll.risk.commitments import FILLED, MATCHING, QUEUED, SPENT, WAITING
from plimsoll.risk.protocol import Protocol
from plimsoll.risk.state import Delegation, OrderRecord
from plimsoll.sdk.slots import slot_of
from tests.python.replay.setting import mirror

ACCOUNT, DELEGATE = 7 << 96, 9
HASH = b"\x05" * 32


def model() -> Protocol:
    return mirror().model


def commitment(record: OrderRecord, fee_reserve: int = 0) -> int:
    found = model()
    found.state.orders[HASH] = record
    [word] = Promises([], [], [], [HASH]).expected(found, {HASH: fee_reserve})
    return word


def fields(word: int, *sizes: int) -> list[int]:
    found = []
    for size in sizes:
        found.append(word % (1 << size))
        word >>= size
    return [*found, word]


def test_slots__one_of_each__in_the_order_of_the_words() -> None:
    promises = Promises([1], [ACCOUNT], [(ACCOUNT, DELEGATE)], [HASH])
    assert promises.slots == [
        slot_of(QUEUES, 1),
        slot_of(COUNTERS, ACCOUNT),
        slot_of(DELEGATIONS, ACCOUNT, DELEGATE),
        slot_of(COMMITMENTS, int.from_bytes(HASH, "big")),
    ]
    assert len(promises) == len(promises.expected(model(), {})) == 4


def test_expected__queue__terms_next_and_head() -> None:
    found = model()
    market = found.state.markets[1]
    market.queue_next, market.queue_head = 12, 11
    params = market.order_params
    [word] = Promises([1], [], [], []).expected(found, {})
    assert fields(word, 64, 16, 16, 16, 64, 40) == [
        params.execution_fee,
        params.fee_reserve_bps,
        params.settlement_delay,
        params.settlement_window,
        params.relay_fee,
        12,
        11,
    ]


def test_expected__delegation__scope_and_what_was_used() -> None:
    found = model()
    scope = Scope(3, 1_800_000_000, 50_000, may_match=True)
    found.state.delegations[ACCOUNT, DELEGATE] = Delegation(scope, 20_000, 1_234)
    promises = Promises([], [], [(ACCOUNT, DELEGATE), (ACCOUNT, 10)], [])
    word, none = promises.expected(found, {})
    assert fields(word, 16, 40, 64, 8, 8, 24) == [3, 1_800_000_000, 50_000, 1, 0, 20_000, 1_234]
    assert none == 0


def test_expected__commitments__amount_is_what_the_status_says() -> None:
    queued = OrderRecord(QUEUED, 100, 5, reserved=3 * WAD, execution_fee=WAD)
    assert fields(commitment(queued), 8, 40, 40, 64) == [QUEUED, 100, 5, WAD, 2 * WAD]
    waiting = OrderRecord(WAITING, 100, 0, execution_fee=WAD)
    assert fields(commitment(waiting), 8, 40, 40, 64) == [WAITING, 100, 0, WAD, 0]
    filled = OrderRecord(FILLED, 100, 5, execution_fee=WAD)
    assert fields(commitment(filled, 2 * WAD), 8, 40, 40, 64) == [FILLED, 100, 5, WAD, 2 * WAD]
    failed = OrderRecord(SPENT, 100, 5, execution_fee=WAD)
    assert fields(commitment(failed, 2 * WAD), 8, 40, 40, 64) == [SPENT, 100, 5, WAD, 0]
    matched = OrderRecord(MATCHING, matched=4 * WAD)
    assert fields(commitment(matched), 8, 40, 40, 64) == [MATCHING, 0, 0, 0, 4 * WAD]
    killed = OrderRecord(SPENT, matched=4 * WAD)
    assert fields(commitment(killed), 8, 40, 40, 64) == [SPENT, 0, 0, 0, 4 * WAD]


def test_differences__a_word_of_each_kind__names_whose_it_is() -> None:
    promises = Promises([2], [ACCOUNT], [(ACCOUNT + 1, DELEGATE)], [HASH])
    same = [1, 2, 3, 4]
    assert promises.differences(same, same) == set()
    names = [-2, ACCOUNT, ACCOUNT + 1, int.from_bytes(HASH, "big")]
    for place, name in enumerate(names):
        assert promises.differences(same, [*same[:place], 0, *same[place + 1 :]]) == {name}
