"""What any minority of sources can do to a price: nothing beyond what section 8 says."""

from hypothesis import given
from hypothesis import strategies as st

from plimsoll.risk.aggregation import OPEN, Accepted, Last, Reading, Rules, Skipped, aggregate

NOW = 1_700_000_000
PRICE = 2_000 * 10**18
BPS = PRICE // 10_000
LAST = Last(PRICE, NOW - 1)

lies = st.builds(
    Reading,
    price=st.one_of(st.integers(0, 2**200), st.integers(PRICE - 200 * BPS, PRICE + 200 * BPS)),
    confidence=st.one_of(st.just(0), st.integers(0, 2 * PRICE)),
    published_at=st.just(NOW),
)


@st.composite
def markets(draw: st.DrawFn) -> tuple[Rules, list[Reading], list[Reading]]:
    """Rules, honest readings within 40 bps of each other, and as many lies as the quorum leaves room for."""
    count = draw(st.integers(3, 8))
    quorum = draw(st.integers(count // 2 + 1, count - 1))
    low = draw(st.integers(PRICE - 100 * BPS, PRICE + 100 * BPS))
    honest = [Reading(low + draw(st.integers(0, 40 * BPS)), draw(st.integers(0, 5 * BPS)), NOW) for _ in range(quorum)]
    return Rules(quorum=quorum), honest, [draw(lies) for _ in range(count - quorum)]


@given(markets(), st.randoms())
def test_aggregate__minority_lies_about_prices__moves_and_blocks_nothing(
    market: tuple[Rules, list[Reading], list[Reading]], dice: object
) -> None:
    rules, honest, lying = market
    readings = honest + lying
    dice.shuffle(readings)  # type: ignore[attr-defined]
    record = aggregate(rules, 1, readings, [], LAST, {}, NOW)
    assert isinstance(record, Accepted)
    prices = [reading.price for reading in honest]
    assert min(prices) <= record.price <= max(prices)
    assert record.confidence <= max(prices) - min(prices) + max(reading.confidence for reading in honest)
    assert record.published_at == NOW


@given(markets(), st.integers(1, 2**97))
def test_aggregate__one_push_source_lies__refuses_nothing(
    market: tuple[Rules, list[Reading], list[Reading]], lie: int
) -> None:
    rules, honest, lying = market
    pushes = [(Reading(lie, 0, NOW), 3_600), (Reading(honest[0].price, 0, NOW), 3_600)]
    assert isinstance(aggregate(rules, 1, honest + lying, pushes, LAST, {}, NOW), Accepted)


@given(st.integers(0, NOW - 1))
def test_aggregate__old_time__never_drags_the_record_back(at: int) -> None:
    readings = [Reading(PRICE, 0, NOW), Reading(PRICE, 0, NOW), Reading(PRICE, 0, at)]
    outcome = aggregate(Rules(), 1, readings, [], LAST, {2: NOW - 30}, NOW)
    assert isinstance(outcome, Accepted)
    assert outcome.published_at == NOW
    if 0 < at:
        assert aggregate(Rules(), 1, readings, [], LAST, {}, NOW) == Skipped(2, at)


def test_aggregate__all_well__is_open() -> None:
    outcome = aggregate(Rules(), 1, [Reading(PRICE, 0, NOW)] * 3, [], LAST, {}, NOW)
    assert outcome == Accepted(PRICE, 0, NOW, OPEN, frozenset({0, 1, 2}), {})
