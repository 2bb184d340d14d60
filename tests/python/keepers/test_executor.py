"""The executor at work: on the contracts, behind a node in this process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.executor import Executor, Terms
from plimsoll.keepers.feeds import SignedPrices
from plimsoll.keepers.open_orders import OpenOrders
from plimsoll.keepers.prices import FixedPrices
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.order_book import Placed
from tests.python.keepers.running import Ran, events
from tests.support.core import BTC, ETH
from tests.support.deployment import World


def start(world: World, *, dry_run: bool = False, name: str = "keeper", **options: Any) -> Ran:
    signer = world.signer(name)
    return Ran(world, Executor(world.contracts, signer, **options), signer, dry_run=dry_run)


def sent(world: World) -> int:
    return len(world.node.sent)


@pytest.fixture
def trader(world: World) -> Plimsoll:
    return world.trader("trader", 50_000)


def test_act__market_order__is_settled_and_the_fee_earned(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    placed = trader.place_market("ETH", 2)
    assert keeper.round() == []  # no record at T yet
    world.tick(2)
    [line] = keeper.round()
    assert (line["event"], line["outcome"], line["order"]) == ("executed", "filled", placed.hash.hex())
    assert line["base"] == "2"
    assert trader.wait_for(placed, 0).status == "filled"
    assert world.core.cash(_main(keeper)) == WAD // 2
    before = sent(world)
    assert keeper.round() == []
    assert sent(world) == before


def _main(keeper: Ran) -> int:
    assert keeper.runner.signer is not None
    return int(keeper.runner.signer.address, 16) << 96


def test_act__queue__in_one_transaction_in_order(world: World, trader: Plimsoll) -> None:
    other = world.trader("other", 50_000)
    placed = [trader.place_market("ETH", 1), other.place_market("ETH", -3), trader.place_market("ETH", 2)]
    world.tick(2)
    keeper = start(world)
    before = sent(world)
    lines = keeper.round()
    assert sent(world) == before + 1
    assert [line["order"] for line in lines] == [one.hash.hex() for one in placed]


def test_act__batch_smaller_than_the_queue__goes_on(world: World, trader: Plimsoll) -> None:
    for _ in range(3):
        trader.place_market("ETH", 1)
    world.tick(2)
    assert len(start(world, max_batch=2).round()) == 3
    assert not world.client().market(ETH).has_pending_orders


def test_act__order_that_fails__is_reported_with_its_reason(world: World, trader: Plimsoll) -> None:
    trader.place_market("ETH", 1, acceptable_price=1)
    world.tick(2)
    [line] = start(world).round()
    assert line["outcome"] == "failed"
    assert line["reason"].startswith("PerpMarket_PriceNotAcceptable")
    assert line["reward"] == "0.5"


def test_act__no_record_in_time__voids(world: World, trader: Plimsoll) -> None:
    trader.place_market("ETH", 1)
    world.evm.advance(8)
    keeper = start(world)
    assert keeper.round() == []
    world.evm.advance(1)
    [line] = keeper.round()
    assert (line["outcome"], line["reward"]) == ("void", "0.5")


def test_act__reduce_only_order_without_a_record__leaves_the_queue_and_goes_later(
    world: World, trader: Plimsoll
) -> None:
    world.open(trader, "ETH", "2")
    keeper = start(world)
    placed = trader.close("ETH", slippage_bps=500)
    world.evm.advance(9)
    assert [line["outcome"] for line in keeper.round()] == ["left queue"]
    world.tick(1)
    assert [line["outcome"] for line in keeper.round()] == ["filled"]
    assert trader.wait_for(placed, 0).status == "filled"


def test_act__limit_order__waits_for_its_price(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_limit("ETH", 2, 2_950)
    world.tick(2)
    assert keeper.round() == []
    world.tick(1, {ETH: 2_940 * WAD})
    [line] = keeper.round()
    assert (line["event"], line["outcome"]) == ("executed", "filled")
    assert line["price"].startswith("2940.0")


def test_act__limit_order_that_the_market_refuses__waits_for_the_next_record(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_limit("ETH", 1_000, 3_100)
    world.tick(2)
    before = sent(world)
    [line] = keeper.round()
    assert line["event"] == "refused"
    assert line["reason"].startswith("PerpMarket_InsufficientMargin")
    assert keeper.round() == []
    world.tick(1)
    assert keeper.round() == []  # asked again, said once
    assert sent(world) == before
    world.core.fund_account(trader.account(), 1_000_000)
    world.tick(1)
    assert keeper.round() == []  # the more often it is refused the later it is asked
    world.tick(1)
    assert events(keeper.round()) == ["executed"]


def test_act__one_limit_order_refused__does_not_hold_the_others(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_limit("ETH", 1_000, 3_100)
    good = trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    lines = keeper.round()
    assert events(lines) == ["refused", "executed"]
    assert lines[1]["order"] == good.hash.hex()


def test_act__someone_else_was_faster__sends_nothing(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    placed = trader.place_market("ETH", 1)
    world.tick(2)
    block = world.chain.block()
    snapshot = keeper.runner.job.observe(block)
    actions = keeper.runner.job.decide(snapshot)
    assert len(actions) == 1
    world.execute(placed)
    before = sent(world)
    keeper.runner.job.act(actions, keeper.runner.log, keeper.stop)
    assert sent(world) == before
    assert keeper.round() == []


def test_act__stopped__does_no_more(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_market("ETH", 1)
    world.tick(2)
    keeper.stop.set()
    before = sent(world)
    assert keeper.round() == []
    assert sent(world) == before


# --- exits -------------------------------------------------------------------------------------------------------


def bracketed(world: World, trader: Plimsoll) -> tuple[Placed, Placed, Placed]:
    """An entry of 2 at 2,950, a stop-loss at 2,900 and a take-profit at 3,050."""
    parts = trader.bracket("ETH", 2, 2_900, 3_050, price=2_950)
    entry, stop_loss, take_profit = trader.place_together([parts.entry, parts.stop_loss, parts.take_profit])
    return entry, stop_loss, take_profit


def outcomes(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(line["order"], line["outcome"]) for line in lines]


@pytest.mark.parametrize("price", [2_890, 3_060])
def test_act__exit_of_a_bracket__ends_the_other_in_the_same_transaction(
    world: World, trader: Plimsoll, price: int
) -> None:
    keeper = start(world)
    entry, stop_loss, take_profit = bracketed(world, trader)
    world.tick(2, {ETH: 2_890 * WAD})
    assert outcomes(keeper.round()) == [(entry.hash.hex(), "filled")]
    world.tick(1, {ETH: 2_950 * WAD})
    assert keeper.round() == []
    world.tick(1, {ETH: price * WAD})
    before = sent(world)
    out, other = (stop_loss, take_profit) if price < 2_900 else (take_profit, stop_loss)
    assert outcomes(keeper.round()) == [(out.hash.hex(), "filled"), (other.hash.hex(), "void")]
    assert sent(world) == before + 1
    assert trader.position("ETH") is None


def test_act__children__wait_for_their_parent(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    bracketed(world, trader)
    world.tick(2, {ETH: 3_100 * WAD})
    assert keeper.runner.job.observe(world.chain.block()).waiting == ()
    assert keeper.round() == []


def test_act__ladder__goes_step_by_step_and_together(world: World, trader: Plimsoll) -> None:
    world.open(trader, "ETH", "3")
    keeper = start(world)
    steps = trader.place_together(trader.ladder("ETH", 3_020, 3_060, 3))
    world.tick(2, {ETH: 3_030 * WAD})
    assert outcomes(keeper.round()) == [(steps[0].hash.hex(), "filled")]
    before = sent(world)
    world.tick(1, {ETH: 3_070 * WAD})
    assert outcomes(keeper.round()) == [(one.hash.hex(), "filled") for one in steps[1:]]
    assert sent(world) == before + 1


def test_act__orphans__go_along_where_it_sweeps(world: World, trader: Plimsoll) -> None:
    """The entry is cancelled: its exits can never be filled."""
    entry, stop_loss, take_profit = bracketed(world, trader)
    trader.cancel(entry.order)
    keeper, sweeper = start(world), start(world, name="sweeper", terms=Terms(sweeps=True))
    world.tick(2)
    assert keeper.round() == sweeper.round() == []
    other = trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    dead = [(one.hash.hex(), "void") for one in (stop_loss, take_profit)]
    assert outcomes(sweeper.round()) == [(other.hash.hex(), "filled"), *dead]
    assert keeper.round() == []


def test_act__nothing_left_to_reduce__is_not_sent(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_limit("ETH", -1, 2_900, reduce_only=True)
    world.tick(2)
    before = sent(world)
    assert keeper.round() == []
    assert sent(world) == before


# --- batches -----------------------------------------------------------------------------------------------------


def test_act__batch__is_simulated_as_a_whole_and_without_what_would_be_skipped(world: World, trader: Plimsoll) -> None:
    """Each of three would go alone; after the second there is no margin left for the third."""
    other = world.trader("other", 50_000)
    first, second = other.place_limit("ETH", 1, 3_200), trader.place_limit("ETH", 250, 3_200)
    third, last = trader.place_limit("ETH", 260, 3_200), other.place_limit("ETH", 2, 3_200)
    keeper = start(world)
    world.tick(2)
    lines = keeper.round()
    assert events(lines) == ["refused", "executed", "executed", "executed"]
    assert [line["order"] for line in lines] == [one.hash.hex() for one in (third, first, second, last)]
    assert len({line["tx"] for line in lines[1:]}) == 1


def test_act__more_than_a_block_has_room_for__goes_with_the_next_round(world: World, trader: Plimsoll) -> None:
    """With the whole prepared first, the prices that the first bring along are too old once the last is ready."""
    placed = [trader.place_limit("ETH", 1, 3_100) for _ in range(9)]
    keeper = start(world, max_batch=1)
    world.tick(2)
    world.evm.gas_limit = 5_000_000
    for count in (4, 4, 1):  # each with a limit of 1.6 million
        assert outcomes(keeper.round()) == [(one.hash.hex(), "filled") for one in placed[:count]]
        del placed[:count]
        world.tick(2)


def test_act__race_lost__is_not_sent_again_before_its_state_was_read(world: World, trader: Plimsoll) -> None:
    """Somebody executes the order between our simulation and our transaction."""
    keeper = start(world)
    job: Any = keeper.runner.job
    placed = trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    real = job.signer.send_many

    def late(calls: list[Any]) -> Any:
        world.execute(placed)
        return real(calls)

    job.signer.send_many = late
    [line] = keeper.round()
    assert (line["outcome"], line["reason"][:22]) == ("skipped", "OrderBook_UnknownOrder")
    job.signer.send_many = real
    assert job._patience.resting == {placed.hash}
    before = sent(world)
    assert keeper.round() == []
    assert (sent(world), len(job._open)) == (before, 0)


def test_act__transaction_failed__tries_again_later(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    job: Any = keeper.runner.job
    trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    real = job.signer.send_many
    job.signer.send_many = lambda calls: real([replace(call, gas=300_000) for call in calls])
    [line] = keeper.round()
    assert (line["event"], line["reason"][:22]) == ("failed", "OrderBook_TooLittleGas")
    [line] = keeper.round()
    assert line["event"] == "failed"
    assert keeper.round() == []  # the second time it rests for a block more
    job.signer.send_many = real
    world.tick(1)
    assert events(keeper.round()) == ["executed"]


# --- what pays ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gwei", "executed"), [(1, True), (2, False)])
def test_act__gas_above_the_fee__is_left_and_said_once(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch, gwei: int, executed: bool
) -> None:
    """At first an order alone is taken to need 210,000 gas, which at 2,000 dollars an ETH is 42 cents a gwei."""
    monkeypatch.setattr(world.chain, "fees", lambda **more: (gwei * 10**9, gwei * 10**9))
    keeper = start(world, terms=Terms(eth_price=2_000 * WAD))
    trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    before = sent(world)
    [line] = keeper.round()
    if executed:
        assert (line["event"], sent(world)) == ("executed", before + 1)
        return
    assert (line["event"], line["reward"], line["cost"], line["in_all"]) == ("left", "0.5", "0.84", 1)
    assert keeper.round() == []
    assert sent(world) == before
    monkeypatch.undo()
    assert events(keeper.round()) == ["executed"]


def test_act__batch_that_pays_no_more_without_the_refused__is_left(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.chain, "fees", lambda **more: (1, 1_250_000_000))
    keeper = start(world, terms=Terms(eth_market=ETH))
    trader.place_limit("ETH", 1_000, 3_100)
    trader.place_limit("ETH", 1, 3_100)
    world.tick(2, {ETH: 2_200 * WAD})
    before = sent(world)
    lines = keeper.round()
    assert (events(lines), sent(world)) == (["refused", "left"], before)
    assert (lines[1]["reward"], lines[1]["cost"]) == ("0.5", "0.5775")


# --- prices brought along ----------------------------------------------------------------------------------------


class Prices(SignedPrices):
    """As the mock oracle takes them."""

    def __init__(self, price: int, *, is_good: bool = True) -> None:
        super().__init__({}, FixedPrices({}))
        self.price = price
        self.is_good = is_good

    def item(self, market_id: int, now: int) -> bytes | None:
        types, values = ["uint256"] * 5, [market_id, self.price, 0, now, 0]
        return encode(types, values) if self.is_good else b"\1"


def test_act__other_market_stale__its_price_is_brought_along(world: World, trader: Plimsoll) -> None:
    world.open(trader, "BTC", "0.1")
    limit = trader.place_limit("ETH", 1, 3_100)
    world.evm.advance(60)
    world.core.record(ETH)
    before = sent(world)
    for without in (start(world), start(world, name="poor", prices=Prices(60_000 * WAD, is_good=False))):
        [line] = without.round()
        assert (line["event"], line["reason"][:27]) == ("refused", "PerpMarket_StalePrice(marke")
    assert sent(world) == before
    rich = start(world, name="rich", prices=Prices(60_000 * WAD))
    assert outcomes(rich.round()) == [(limit.hash.hex(), "filled")]
    assert trader.market(BTC).age() == 0


@pytest.mark.parametrize(("apart", "age"), [(1, 1), (2, 0)])
def test_act__waiting_order__brings_a_price_where_the_last_is_too_old_by_the_next_block(
    world: World, trader: Plimsoll, apart: int, age: int
) -> None:
    """A price published as of one block is recorded in the next and read there: in blocks of two seconds it is four
    seconds old in the third, older than any may be, and orders that waited were sent and skipped again and again.
    """
    limit = trader.place_limit("ETH", 1, 3_050)
    keeper = start(world, prices=Prices(3_000 * WAD))
    world.tick(2, {ETH: 3_100 * WAD})
    for block in range(3):
        assert keeper.round() == []
        number = world.evm.block_number + 1
        world.evm.advance(apart)
        if block == 1:
            published_at = world.evm.timestamp
        if block == 2:
            world.core.record(ETH, 3_000 * WAD, published_at=published_at)
        world.evm.block_number = number
    assert outcomes(keeper.round()) == [(limit.hash.hex(), "filled")]
    assert trader.market(ETH).age() == age


# --- restarts, outages, dry runs ----------------------------------------------------------------------------------


def test_restart__open_orders__are_found_and_nothing_is_done_twice(world: World, trader: Plimsoll) -> None:
    first = trader.place_market("ETH", 1)
    world.tick(2)
    start(world).round()
    second, limit = trader.place_market("ETH", 1), trader.place_limit("ETH", 1, 3_100)
    world.tick(2)
    before = sent(world)
    again = start(world)
    assert [line["order"] for line in again.round()] == [second.hash.hex()]
    assert [line["order"] for line in again.round()] == [limit.hash.hex()]
    assert sent(world) == before + 2
    assert start(world).round() == []
    assert trader.wait_for(first, 0).status == "filled"


def test_restart__transaction_under_way__is_waited_for(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last process sent one and was killed: until it is mined it shows in nothing but the nonce."""
    trader.place_market("ETH", 1)
    world.tick(2)
    keeper = start(world)
    real = world.node._eth_getTransactionCount
    address = keeper.runner.signer.address if keeper.runner.signer else ""

    def count(of: str, block: str) -> str:
        return hex(int(real(of, block), 16) + (1 if block == "pending" and of == address else 0))

    monkeypatch.setattr(world.node, "_eth_getTransactionCount", count)
    with pytest.raises(UserError, match=r"1 transactions of .* are not mined yet"):
        keeper.round()
    monkeypatch.undo()
    assert events(keeper.round()) == ["executed"]


def test_missed_events__head_unknown__reads_them_again(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    job: Any = keeper.runner.job
    keeper.round()
    trader.place_market("ETH", 1)
    keeper.round()
    job._open = OpenOrders()  # as if the node had left the event out
    world.tick(2)
    assert events(keeper.round()) == ["rescan"]
    assert events(keeper.round()) == ["executed"]


def test_chain_restored__orders_from_before__are_read_again(world: World, trader: Plimsoll) -> None:
    keeper = start(world)
    trader.place_market("ETH", 1)
    world.tick(2)
    assert events(keeper.round()) == ["executed"]
    world.evm.block_number -= 2
    assert keeper.round() == []


def test_outage__orders_of_the_meantime__are_executed_after(
    world: World, trader: Plimsoll, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = start(world)
    keeper.round()
    trader.place_market("ETH", 1)
    world.tick(2)
    world.node.down = True
    waits = 0

    def wait(seconds: float) -> bool:
        nonlocal waits
        waits += 1
        world.node.down = waits < 4
        return False

    monkeypatch.setattr(keeper.stop, "wait", wait)
    assert keeper.runner.run(rounds=1) == 0
    assert events(keeper.new()) == ["started", "trouble", "executed", "recovered", "stopped"]


def test_dry_run__says_it_once__and_sends_nothing(world: World, trader: Plimsoll) -> None:
    placed = trader.place_market("ETH", 1)
    world.tick(2)
    job = Executor(world.contracts, None)
    keeper = Ran(world, job, None, dry_run=True)
    before = sent(world)
    [line] = keeper.round()
    assert (line["event"], line["do"], line["orders"]) == ("would", "settle", [placed.hash.hex()])
    assert keeper.round() == []
    assert sent(world) == before
    world.execute(placed)
    assert keeper.round() == []


@pytest.mark.parametrize("size", [0, 41])
def test_max_batch__out_of_range__is_refused(world: World, size: int) -> None:
    with pytest.raises(UserError, match="does not lie between 1 and 40"):
        Executor(world.contracts, None, max_batch=size)


def test_check__says_what_it_works_on(world: World) -> None:
    assert Executor(world.contracts, None).check()["order_book"] == world.core.order_book.address
