"""What a market's configuration may say, and who may say it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evm import ANYONE, DEPLOYER, Contract, Evm, reverts
from tests.support.oracle import CONFIG, MARKET, NOW, MockedMarket, deploy_aggregator, feed_id, pull, push

BOUNDS = {
    "boundQuorum": (1, 8),
    "dispersionBps": (1, 200),
    "maxConfidenceBps": (1, 300),
    "recordWindow": (1, 30),
    "silentAfter": (10, 300),
    "moveBps": (100, 5_000),
    "moveInterval": (10, 600),
    "boundRefuseBps": (100, 5_000),
}


@pytest.fixture
def aggregator(evm: Evm) -> Contract:
    return deploy_aggregator(evm)


@pytest.fixture
def adapter(evm: Evm) -> Contract:
    return evm.deploy("MockAdapter")


def name(parameter: str) -> bytes:
    return parameter.encode().ljust(32, b"\0")


def pulls(adapter: Contract, count: int) -> list[dict[str, Any]]:
    return [pull(adapter, feed_id(index)) for index in range(count)]


def configure(aggregator: Contract, sources: list[dict[str, Any]], **changes: int) -> Any:
    return aggregator.setMarket(MARKET, {**CONFIG, **changes}, sources, sender=DEPLOYER)


def test_setMarket__by_the_authority__stores_and_tells(aggregator: Contract, adapter: Contract) -> None:
    sources = [*pulls(adapter, 3), push(adapter, feed_id(9), 60)]
    event = configure(aggregator, sources).event("MarketConfigured", aggregator)
    assert event["marketId"] == MARKET
    assert event["config"]._asdict() == CONFIG == aggregator.config(MARKET)._asdict()
    assert [s._asdict() for s in event["sources"]] == [s._asdict() for s in aggregator.sources(MARKET)] == sources


def test_setMarket__by_anyone_else__is_refused(aggregator: Contract, adapter: Contract) -> None:
    with reverts("AccessManagedUnauthorized", ANYONE):
        aggregator.setMarket(MARKET, CONFIG, pulls(adapter, 3))


@pytest.mark.parametrize("parameter", BOUNDS)
def test_setMarket__parameter_at_and_beyond_its_bounds(aggregator: Contract, adapter: Contract, parameter: str) -> None:
    low, high = BOUNDS[parameter]
    relaxed = {"openConfidenceBps": 1, "boundReduceBps": 10}
    for value in (low, high):
        configure(aggregator, pulls(adapter, 3), **relaxed, **{parameter: value})
    for value in (low - 1, high + 1):
        with reverts("Oracle_ParameterOutOfBounds", name(parameter), value, low, high):
            configure(aggregator, pulls(adapter, 3), **relaxed, **{parameter: value})


@pytest.mark.parametrize(
    ("parameter", "low", "ceiling"),
    [("openConfidenceBps", 1, "maxConfidenceBps"), ("boundReduceBps", 10, "boundRefuseBps")],
)
def test_setMarket__doubt_beyond_refusal__is_refused(
    aggregator: Contract, adapter: Contract, parameter: str, low: int, ceiling: str
) -> None:
    high = CONFIG[ceiling]
    for value in (low, high):
        configure(aggregator, pulls(adapter, 3), **{parameter: value})
    for value in (low - 1, high + 1):
        with reverts("Oracle_ParameterOutOfBounds", name(parameter), value, low, high):
            configure(aggregator, pulls(adapter, 3), **{parameter: value})


@pytest.mark.parametrize(("count", "low", "high"), [(3, 2, 2), (4, 3, 3), (5, 3, 4), (6, 4, 5), (7, 4, 6), (8, 5, 7)])
def test_setMarket__quorum__is_a_majority_and_never_all(
    aggregator: Contract, adapter: Contract, count: int, low: int, high: int
) -> None:
    for quorum in (low, high):
        configure(aggregator, pulls(adapter, count), quorum=quorum)
    for quorum in (low - 1, high + 1):
        with reverts("Oracle_ParameterOutOfBounds", name("quorum"), quorum, low, high):
            configure(aggregator, pulls(adapter, count), quorum=quorum)


def test_setMarket__number_of_sources__is_bounded(aggregator: Contract, adapter: Contract) -> None:
    for count in (0, 2, 9):
        with reverts("Oracle_ParameterOutOfBounds", name("sources"), count, 3, 8):
            configure(aggregator, pulls(adapter, count))
    two_and_a_push = [*pulls(adapter, 2), push(adapter, feed_id(7))]
    with reverts("Oracle_ParameterOutOfBounds", name("pullSources"), 2, 3, 8):
        configure(aggregator, two_and_a_push)


def test_setMarket__maxAge__belongs_to_push_sources(aggregator: Contract, adapter: Contract) -> None:
    with reverts("Oracle_ParameterOutOfBounds", name("maxAge"), 1, 0, 0):
        configure(aggregator, [*pulls(adapter, 3), {**pull(adapter, feed_id(3)), "maxAge": 1}])
    for age in (0, 2 * 86_400 + 1):
        with reverts("Oracle_ParameterOutOfBounds", name("maxAge"), age, 1, 2 * 86_400):
            configure(aggregator, [*pulls(adapter, 3), push(adapter, feed_id(3), age)])
    for age in (1, 2 * 86_400):
        configure(aggregator, [*pulls(adapter, 3), push(adapter, feed_id(3), age)])


def test_setMarket__same_feed_twice__is_refused(aggregator: Contract, adapter: Contract) -> None:
    with reverts("Oracle_DuplicateSource", 1, 3):
        configure(aggregator, [*pulls(adapter, 3), pull(adapter, feed_id(1))], quorum=3)
    with reverts("Oracle_DuplicateSource", 0, 3):
        configure(aggregator, [*pulls(adapter, 3), push(adapter, feed_id(0))])


def test_setMarket__same_feed_id_at_another_adapter__is_another_source(
    evm: Evm, aggregator: Contract, adapter: Contract
) -> None:
    configure(aggregator, [*pulls(adapter, 2), pull(evm.deploy("MockAdapter"), feed_id(0))])


def test_setMarket__pull_after_push__is_refused(aggregator: Contract, adapter: Contract) -> None:
    with reverts("Oracle_SourceOrder", 3):
        configure(aggregator, [*pulls(adapter, 2), push(adapter, feed_id(5)), pull(adapter, feed_id(2))])


def test_setMarket__adapters_mixed__is_refused(evm: Evm, aggregator: Contract, adapter: Contract) -> None:
    other = evm.deploy("MockAdapter")
    with reverts("Oracle_SourceOrder", 2):
        configure(aggregator, [pull(adapter, feed_id(0)), pull(other, feed_id(1)), pull(adapter, feed_id(2))])
    with reverts("Oracle_SourceOrder", 5):
        configure(
            aggregator,
            [*pulls(adapter, 3), push(adapter, feed_id(3)), push(other, feed_id(4)), push(adapter, feed_id(5))],
        )
    configure(aggregator, [*pulls(adapter, 3), push(other, feed_id(3)), push(adapter, feed_id(5))])


def test_setMarket__again__forgets_reports_and_keeps_records(evm: Evm) -> None:
    market = MockedMarket.create(evm)
    market.record_at()
    evm.advance(10)
    market.aggregator.reportMissing(MARKET, 1)
    market.configure(dispersionBps=60)
    assert market.aggregator.missingSince(MARKET, 1) == 0
    assert market.aggregator.config(MARKET).dispersionBps == 60
    assert market.newest.published_at == NOW


def test_views__unknown_market__revert(aggregator: Contract) -> None:
    for view in (aggregator.config, aggregator.sources, aggregator.readings):
        with reverts("Oracle_UnknownMarket", 7):
            view(7)
    with reverts("Oracle_UnknownMarket", 7):
        aggregator.reportMissing(7, 0)
    with reverts("Oracle_UnknownMarket", 7):
        aggregator.boundPrice(7, 0)
    with reverts("Oracle_UnknownMarket", 7):
        aggregator.forcedPrice(7, 0, 0, [])
