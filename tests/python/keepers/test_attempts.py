"""Many liquidations at once: batches on the contracts, what is under way, and what fails alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plimsoll.chain.sending import CarefulSigner
from plimsoll.keepers.attempts import BLOCK_PARTS, FIRST_GAS, MOST_GAS, NEXT_GAS, Attempts
from plimsoll.keepers.liquidations import Absorb, CloseOut, Decision
from plimsoll.keepers.liquidator import Liquidator
from plimsoll.sdk.client import Plimsoll
from tests.python.keepers.running import Ran, events
from tests.support.core import ETH, WAD
from tests.support.deployment import World

LOW = 2_870


@pytest.fixture
def crowd(world: World) -> list[Plimsoll]:
    """Six traders, the first with the least."""
    found = [world.trader(f"trader {place}", 2_000 + 10 * place) for place in range(6)]
    for one in found:
        world.open(one, "ETH", "10")
    return found


def start(world: World) -> Ran:
    signer = CarefulSigner(world.chain, world.signer("keeper").wallet)
    return Ran(world, Liquidator(world.contracts, signer, ledger=world.ledger), signer)


def crash(world: World, price: int = LOW) -> None:
    world.tick(1, {ETH: price * WAD})


def close_outs(count: int) -> list[Decision]:
    return [CloseOut(number << 96, ETH, WAD, 0) for number in range(1, count + 1)]


# --- batches -------------------------------------------------------------------------------------------------------


def test_size__of_a_rollups_block__is_a_thirty_second_of_it(world: World) -> None:
    attempts = Attempts(world.contracts)
    for gas_limit in (30_000_000, 60_000_000, 200_000_000):
        size = attempts.size(gas_limit)
        assert FIRST_GAS + size * NEXT_GAS <= gas_limit // BLOCK_PARTS < FIRST_GAS + (size + 1) * NEXT_GAS
    assert FIRST_GAS + attempts.size(10**12) * NEXT_GAS <= MOST_GAS < 16_000_000
    assert Attempts(world.contracts, 1_000_000).size(10**12) == (1_000_000 - FIRST_GAS) // NEXT_GAS
    assert attempts.size(1_000_000) == 1


def test_parts__in_order__the_first_alone(world: World) -> None:
    attempts, actions = Attempts(world.contracts), close_outs(500)
    groups = list(attempts.parts(actions, 60_000_000))
    assert [len(group) for group in groups][:3] == [1, 8, 8]
    assert [one for group in groups for part in group for one in part] == actions
    assert {len(part) for group in groups for part in group[:-1]} <= {attempts.size(60_000_000)}


def test_act__several__go_in_one_transaction__the_sickest_first(world: World, crowd: list[Plimsoll]) -> None:
    keeper = start(world)
    crash(world)
    before = len(world.node.sent)
    lines = keeper.round()
    assert events(lines) == ["closed out"] * 6
    assert len({line["tx"] for line in lines}) == len(world.node.sent) - before == 1
    assert [line["account"] for line in lines] == [f"{one.account():#066x}" for one in crowd]
    assert keeper.round() == []


def test_act__one_of_a_batch_was_done_by_another__the_others_go_on(world: World, crowd: list[Plimsoll]) -> None:
    """Somebody else was faster by the time of the simulation: that one is dropped, and said once a record."""
    keeper = start(world)
    crash(world)
    job: Any = keeper.runner.job
    actions = job.decide(job.observe(world.chain.block()))
    world.node.record(world.core.liquidator.liquidate(crowd[2].account(), ETH, []))
    job.act(actions, keeper.runner.log, keeper.stop)
    assert actions[2] in job.land(keeper.runner.log)
    refused, *done = keeper.new()
    assert (refused["event"], refused["account"]) == ("refused", f"{crowd[2].account():#066x}")
    assert refused["reason"].startswith("Liquidator_Healthy")
    assert events(done) == ["closed out"] * 5
    assert keeper.round() == []


def test_act__one_of_a_batch_fails_on_the_chain__is_said_with_its_reason(
    world: World, crowd: list[Plimsoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else was faster between the simulation and the block."""
    keeper = start(world)
    crash(world)
    signer = cast(Any, keeper.runner.signer)
    real = signer.dispatch

    def late(calls: Any) -> Any:
        world.core.liquidator.liquidate(crowd[0].account(), ETH, [])
        return real(calls)

    monkeypatch.setattr(signer, "dispatch", late)
    lines = keeper.round()
    assert sorted(events(lines)) == ["closed out"] * 5 + ["failed"]
    [failed] = [line for line in lines if line["event"] == "failed"]
    assert failed["account"] == f"{crowd[0].account():#066x}"
    assert failed["reason"].startswith("Liquidator_Healthy")
    assert world.node.sent[-1]["status"] == "0x1"
    monkeypatch.undo()
    assert keeper.round() == []


def test_act__close_outs_and_absorptions__in_one_batch(world: World, crowd: list[Plimsoll]) -> None:
    poor = world.trader("poor", 1_700)
    world.open(poor, "ETH", "10")
    crash(world, 2_825)
    job: Any = start(world).runner.job
    first, *rest = job.decide(job.observe(world.chain.block()))
    assert first == Absorb(poor.account())
    assert len(rest) == 6
    lines = start(world).round()
    assert sorted(set(events(lines))) in (["absorbed", "closed out"], ["absorbed", "closed out", "debt covered"])
    assert len({line["tx"] for line in lines}) == 1
    assert not any(world.core.liquidator.isLiquidatable(one.account()) for one in (*crowd, poor))


def test_simulate__gas_is_not_enough__is_estimated_after_all(
    world: World, crowd: list[Plimsoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last estimate said of others doesn't hold for these."""
    crash(world)
    attempts = Attempts(world.contracts)
    attempts._each = 30_000
    parts = [tuple(CloseOut(one.account(), ETH, 0, 0) for one in part) for part in (crowd[:3], crowd[3:])]
    found = attempts.simulate(parts, world.signer("keeper").address)
    assert [one.actions for one in found.attempts] == parts
    assert found.refused == []
    assert all((one.call.gas or 0) > 1_000_000 for one in found.attempts)  # this node's estimate of everything


# --- under way -----------------------------------------------------------------------------------------------------


class Slow:
    """A signer whose transactions are mined when a test says so."""

    def __init__(self, keeper: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[Any] = []
        self._signer = cast(Any, keeper.runner.signer)
        self._real = self._signer.dispatch
        self._receipts: dict[int, Any] = {}
        monkeypatch.setattr(self._signer, "dispatch", self._dispatch)
        monkeypatch.setattr(self._signer, "landed", self._landed)
        monkeypatch.setattr(self._signer, "is_clear", lambda: True)
        self._land = self._signer.__class__.landed

    def _dispatch(self, calls: Any) -> list[int]:
        first = len(self.sent)
        self.sent += list(calls)
        return list(range(first, len(self.sent)))

    def _landed(self) -> dict[int, Any]:
        found, self._receipts = self._receipts, {}
        return found

    def mine(self, place: int) -> None:
        [nonce] = self._real([self.sent[place]])
        self._receipts[place] = self._land(self._signer)[nonce]


def test_round__while_something_is_under_way__decides_about_everybody_else(
    world: World, crowd: list[Plimsoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = start(world)
    slow = Slow(keeper, monkeypatch)
    prices = iter(range(2_900, LOW, -1))
    while not world.core.liquidator.isLiquidatable(crowd[0].account()):
        crash(world, next(prices))
    assert not world.core.liquidator.isLiquidatable(crowd[-1].account())
    assert keeper.round() == []
    assert len(slow.sent) == 1
    crash(world)
    assert keeper.round() == []
    assert len(slow.sent) == 2
    slow.mine(0)
    slow.mine(1)
    lines = keeper.round()
    assert events(lines) == ["closed out"] * 6
    assert len({line["account"] for line in lines}) == 6
    assert keeper.round() == []
    assert len(slow.sent) == 2


def test_act__blocks_are_full_with_what_is_under_way__sends_no_more(
    world: World, crowd: list[Plimsoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks' gas, of which a transaction takes a half here."""
    keeper = start(world)
    slow = Slow(keeper, monkeypatch)
    monkeypatch.setattr(world.evm, "gas_limit", 2 * 1_030_000 + 140_000)
    monkeypatch.setattr(Attempts, "size", lambda *_: 1)
    monkeypatch.setattr("plimsoll.keepers.attempts.GROUP", 1)
    crash(world)
    keeper.round()
    sent = len(slow.sent)
    assert 0 < sent < 6
    keeper.round()
    assert len(slow.sent) == sent
    slow.mine(0)
    keeper.round()
    assert len(slow.sent) == sent + 1


def test_lost__what_was_under_way__is_decided_again(
    world: World, crowd: list[Plimsoll], monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = start(world)
    slow = Slow(keeper, monkeypatch)
    crash(world)
    keeper.round()
    job: Any = keeper.runner.job
    assert job.is_flying
    assert len(job.lost()) == 6
    assert not job.is_flying
    keeper.round()
    assert len(slow.sent) > 1
    assert len(job.lost()) == 6
