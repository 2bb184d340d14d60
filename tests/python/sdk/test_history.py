"""Following events: each once, across refused ranges, exchanged blocks and restarted chains."""

from __future__ import annotations

import dataclasses

import pytest

from plimsoll.chain.rpc import RpcError, RpcUnavailable
from plimsoll.sdk.events import (
    AllCancelled,
    Happened,
    OrderCancelled,
    OrderExecuted,
    OrderLeftQueue,
    OrderPlaced,
    decode_all,
)
from plimsoll.sdk.history import (
    CHUNK_BLOCKS,
    Follower,
    OrderTracker,
    in_order,
    logs_between,
    occurrences,
    open_orders,
    topics_of,
)
from plimsoll.sdk.orders import limit_order, market_order
from tests.support.deployment import World


def follower(world: World, name: str = "Deposited") -> Follower:
    vault = world.contracts.vault
    return Follower(world.chain, [vault.address], topics_of(vault.name, [name]))


def amounts(world: World, followed: Follower) -> list[int]:
    found = decode_all(occurrences([world.contracts.vault], followed.poll()))
    return [record.amount for record in found]  # type: ignore[attr-defined]


def test_poll__new_events__come_once(world: World) -> None:
    followed = follower(world)
    assert amounts(world, followed) == []
    trader = world.trader("trader", 10)
    world.trader("other", 20)
    assert amounts(world, followed) == [10_000_000, 20_000_000]
    assert amounts(world, followed) == []
    world.core.token.mint(trader.signer.address, 10**9)
    trader.deposit("30")
    assert amounts(world, followed) == [30_000_000]


def test_poll__node_away__is_caught_up_later(world: World) -> None:
    followed = follower(world)
    amounts(world, followed)
    world.trader("trader", 10)
    world.node.down = True
    with pytest.raises(RpcUnavailable):
        followed.poll()
    world.node.down = False
    assert amounts(world, followed) == [10_000_000]


def test_poll__a_late_log_in_a_block_already_read__is_found(world: World) -> None:
    """A rollup's newest blocks may be exchanged: the same height, other transactions."""
    followed = follower(world)
    world.trader("trader", 10)
    assert amounts(world, followed) == [10_000_000]
    kept = dict(world.node._logs[-1])
    world.node._logs.append(kept | {"transactionHash": "0x" + "ab" * 32})
    assert amounts(world, followed) == [10_000_000]
    assert amounts(world, followed) == []


def test_poll__chain_is_shorter__gives_all_again(world: World) -> None:
    followed = follower(world)
    world.trader("trader", 10)
    assert amounts(world, followed) == [10_000_000]
    assert followed.restarts == 0
    world.evm.block_number -= 3
    world.node.forget()
    assert amounts(world, followed) == []
    assert followed.restarts == 1
    world.trader("other", 20)
    assert amounts(world, followed) == [20_000_000]


def test_logs_between__node_refuses_long_ranges__asks_for_shorter_ones(world: World) -> None:
    world.trader("trader", 10)
    last = world.chain.block_number
    world.trader("other", 20)
    vault, topics = world.contracts.vault, [topics_of("MarginVault", ["Deposited"])]
    assert last - world.node._first_block < CHUNK_BLOCKS
    world.node.refused_ranges = 7
    found = logs_between(world.chain, [vault.address], topics, world.node._first_block, world.chain.block_number)
    assert len(found) == 2
    assert len(logs_between(world.chain, [vault.address], topics, world.node._first_block, last)) == 1


def test_logs_between__node_refuses_single_blocks__gives_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(query: object) -> None:
        raise RpcError("eth_getLogs", -32000, "no logs here")

    monkeypatch.setattr(world.node, "_eth_getLogs", refuse)
    with pytest.raises(RpcError, match="no logs here"):
        logs_between(world.chain, [world.contracts.vault.address], [], 5, 9)


# --- open orders -------------------------------------------------------------------------------------------------

AT = {"block_number": 1, "log_index": 0, "tx_hash": "0x"}
HASH = b"\1" * 32
ACCOUNT = 1 << 96


def placed(sequence: int = 1) -> OrderPlaced:
    order = market_order(ACCOUNT, 1, 5, salt=1)
    return OrderPlaced(
        hash=HASH,
        account=1,
        market_id=1,
        order=order,
        settle_from=100,
        sequence=sequence,
        execution_fee=2,
        fee_reserve=3,
        **AT,  # type: ignore[arg-type]
    )


def executed() -> OrderExecuted:
    return OrderExecuted(hash=HASH, account=1, executor="0x", **AT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("records", "open_count"),
    [
        ([placed()], 1),
        ([placed(), placed()], 1),
        ([placed(), executed()], 0),
        ([placed(), executed(), placed()], 0),  # read again after the end
        ([executed(), placed()], 0),
        ([placed(), OrderCancelled(hash=HASH, account=1, **AT)], 0),  # type: ignore[arg-type]
        ([placed(), OrderLeftQueue(hash=HASH, account=1, **AT)], 1),  # type: ignore[arg-type]
        ([OrderLeftQueue(hash=HASH, account=1, **AT)], 0),  # type: ignore[arg-type]
    ],
)
def test_open_orders__after_events__are_those_without_an_end(records: list[Happened], open_count: int) -> None:
    assert len(open_orders(records)) == open_count


def test_tracker__order_left_the_queue__waits_without_a_place() -> None:
    tracker = OrderTracker()
    tracker.feed([placed(7)])
    assert tracker.open[HASH].is_queued
    tracker.feed([OrderLeftQueue(hash=HASH, account=1, **AT)])  # type: ignore[arg-type]
    assert not tracker.open[HASH].is_queued
    assert tracker.open[HASH].settle_from == 100
    tracker.end(HASH)
    tracker.feed([placed(7)])
    assert not tracker.open


def cancelled(counter: int, account: int = ACCOUNT) -> AllCancelled:
    return AllCancelled(account=account, counter=counter, **AT)  # type: ignore[arg-type]


def waits(counter: int) -> OrderPlaced:
    order = limit_order(ACCOUNT, 1, 5, 6, counter=counter, salt=1)
    return dataclasses.replace(placed(0), order=order)


@pytest.mark.parametrize(
    ("records", "open_count"),
    [
        ([waits(0), cancelled(1)], 0),
        ([waits(1), cancelled(1)], 1),  # placed after it, and read before
        ([waits(0), cancelled(1, 2 << 96)], 1),
        ([placed(7), cancelled(1)], 1),  # market orders that were placed stay
        ([cancelled(1), waits(0)], 0),  # read again after the end
        ([cancelled(2), cancelled(1), waits(1)], 0),
        ([waits(0), cancelled(1), waits(0)], 0),
    ],
)
def test_open_orders__after_a_cancel_all__are_those_of_the_new_counter(
    records: list[Happened], open_count: int
) -> None:
    assert len(open_orders(records)) == open_count


def test_in_order__of_two_readings__is_the_chains() -> None:
    first, second = placed(1), dataclasses.replace(placed(2), log_index=1)
    third = dataclasses.replace(placed(3), block_number=2)
    assert in_order([third, second, first]) == [first, second, third]
