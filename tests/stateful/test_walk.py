"""A seeded random walk over every function that changes state, on the contracts and on the reference model at once."""

from __future__ import annotations

import os

import pytest

from tests.stateful.choices import Seeded
from tests.stateful.handlers import DYING, HANDLERS, POOR, Handler
from tests.stateful.world import MARKETS, World

CHECK_EVERY = 200
SEEDS = (5, 7)
CALLS = 20_000
DEEP_CALLS = 1_000_000
POOR_SEEDS = (7, 10, 14, 16)
POOR_CALLS = 24_000
DYING_SEEDS = (2, 10)
DYING_CALLS = 12_000


def walk(seed: int, calls: int, decimals: int = 6, handlers: dict[str, tuple[Handler, int]] = HANDLERS) -> World:
    """Make `calls` calls chosen by the seed. Fails at the first difference, naming seed and step."""
    world, choices = World(decimals), Seeded(seed)
    names = [name for name, (_, weight) in handlers.items() for _ in range(weight)]
    step = 0
    while world.calls < calls:
        step += 1
        name = choices.pick(names)
        try:
            handlers[name][0](world, choices)
            if step % CHECK_EVERY == 0:
                world.compare_all()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, step {step}, {name}: {error}") from error
    world.compare_all()
    return world


REACHED = (
    "deposit: done",
    "withdraw: done",
    "withdraw: MarginVault_InsufficientMargin",
    "transfer: done",
    "place: done",
    "place: OrderBook_BudgetExceeded",
    "placeFor: done",
    "placeFor: OrderBook_InsufficientCash",
    "placeFor: OrderBook_NotPermitted",
    "cancel: done",
    "cancelFor: done",
    "cancelFor: OrderBook_BadSignature",
    "cancelAll: done",
    "cancelAllFor: done",
    "setDelegate: done",
    "setDelegateFor: done",
    "execute: filled",
    "execute: void",
    "execute: failed PerpMarket_InsufficientMargin",
    "execute: failed PerpMarket_PriceNotAcceptable",
    "execute limit: filled",
    "execute limit: OrderBook_ParentPending",
    "execute limit: OrderBook_MarketOrdersPending",
    "execute stop loss: filled",
    "execute stop loss: void",
    "execute stop loss: OrderBook_NotTriggered",
    "execute take profit: filled",
    "execute take profit: void",
    "execute take profit: OrderBook_NotTriggered",
    "executeBatch: done",
    "matchOrders: done",
    "matchOrders: OrderBook_OutsideBand",
    "matchOrders: OrderBook_TooSmall",
    "matchOrders: PerpMarket_LessHealthy",
    "matchOrders: OrderBook_Overfilled",
    "matchOrders: OrderBook_FillOrKill",
    "matchOrders: OrderBook_BudgetExceeded",
    "matchOrders: PerpMarket_InsufficientMargin",
    "matchOrders: PerpMarket_NothingToReduce",
    "matchBatch: done",
    "matchBatch: OrderBook_NothingMatched",
    "matchBatch skipped: OrderBook_Overfilled",
    "matchBatch skipped: PerpMarket_InsufficientMargin",
    "liquidate: done",
    "liquidate: Liquidator_Healthy",
    "liquidate: Liquidator_CapReached",
    "takeOver: done",
    "takeOver: OrderBook_NotPermitted",
    "absorb: done",
    "attempt: done",
    "attempted: done",
    "attempted: Liquidator_Healthy",
    "attempted: Liquidator_CapReached",
    "attempted: Liquidator_NotBankrupt",
    "attempted: Liquidator_NothingDue",
    "sweep: done",
    "deleverage: Liquidator_NothingDue",
    "accrue: done",
    "inject: done",
    "setParams: done",
    "pool requestDeposit: done",
    "pool executeRequest: done",
    "fund executeRequest: done",
)


REACHED_POOR = (
    "deleverage: done",
    "deleverage: Liquidator_NothingDue",
    "deleveraged: long",
    "deleveraged: short",
    "deleveraged by accrue",
    "deleveraged by execute",
    "deleveraged by execute limit",
    "deleveraged by executeBatch",
    "deleveraged by matchOrders",
    "deleveraged by liquidate",
    "deleveraged by takeOver",
    "deleveraged by absorb",
    "deleveraged by attempt",
    "deleveraged by pool executeRequest",
    "deleveraged by setParams",
    "against a side: long",
    "against a side: short",
    "charged by absorb: long",
    "charged by absorb: short",
)
"""Of a side that is closed: whose position it is that is closed against the other, or who touched the market."""


def test_walk__every_function__model_predicts_every_result() -> None:
    reached: set[str] = set()
    for seed in SEEDS:
        reached |= walk(seed, CALLS // len(SEEDS)).outcomes.keys()
    missing = [outcome for outcome in REACHED if outcome not in reached]
    assert not missing, f"the walk never reached {missing}"


@pytest.mark.parametrize("decimals", [8, 18])
def test_walk__tokens_of_other_decimals__model_predicts_every_result(decimals: int) -> None:
    walk(decimals, 2_000, decimals)


def test_walk__pool_too_poor_for_what_it_holds__model_predicts_every_result() -> None:
    """Deleveraging, of either side and of an insolvent pool, comes first in whatever touches a market; and what passes
    an absorption's caps is closed against the other side."""
    reached: set[str] = set()
    for seed in POOR_SEEDS:
        world = walk(seed, POOR_CALLS // len(POOR_SEEDS), handlers=POOR)
        assert all(world.model.state.markets[market].events > 10 for market in MARKETS)
        reached |= world.outcomes.keys()
    missing = [outcome for outcome in REACHED_POOR if outcome not in reached]
    assert not missing, f"the walk never reached {missing}"


REACHED_DYING = (
    "executeForced: filled",
    "executeForced: OrderBook_TooEarly",
    "executeForced: OrderBook_NotSilent",
    "executeForced: OrderBook_NotTriggered",
    "executeForced: OrderBook_InvalidTerms",
    "executeForced: Oracle_NotNewer",
    "executeForced: Oracle_NoBound",
    "executeForced: PerpMarket_NothingToReduce",
    "declareDead: done",
    "declareDead: Shutdown_NotSilent",
    "declareDead: Shutdown_AlreadyDeclared",
    "confirmDead: done",
    "confirmDead: Shutdown_TooEarly",
    "confirmDead: Shutdown_NotDeclared",
    "confirmDead: Shutdown_SequencerNotOpen",
    "closeDead: done",
    "closeDead: Shutdown_NotDeclared",
    "settle: done",
    "settle: PerpMarket_StillOpen",
    "absorb: done",
    "charged by absorb: long",
    "charged by absorb: short",
    "a side charged in a closing market",
)


def test_walk__markets_without_prices__model_predicts_every_result() -> None:
    reached: set[str] = set()
    for seed in DYING_SEEDS:
        reached |= walk(seed, DYING_CALLS // len(DYING_SEEDS), handlers=DYING).outcomes.keys()
    missing = [outcome for outcome in REACHED_DYING if outcome not in reached]
    assert not missing, f"the walk never reached {missing}"


@pytest.mark.deep
def test_walk__a_million_calls__model_predicts_every_result() -> None:
    calls = int(os.environ.get("PLIMSOLL_WALK_CALLS", DEEP_CALLS))
    for seed in range(100, 110):
        walk(seed, calls // 10, handlers=(HANDLERS, POOR, DYING)[seed % 3])
