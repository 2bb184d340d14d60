"""Attacks on earlier drafts, tried again. Each docstring says what happened; each test that it earns nothing now."""

from __future__ import annotations

import contextlib
import itertools

import pytest

from plimsoll.sdk.oracle import beacon_update, price_item
from tests.support.evm import Contract, Evm, Halt, Revert, reverts
from tests.support.oracle import (
    DOUBTFUL,
    MARKET,
    NOW,
    OPEN,
    PRICE,
    SIGNER_KEYS,
    WAD,
    Api3Market,
    MockedMarket,
    recorded,
)

BPS = PRICE // 10_000
SILENT_AFTER = 30
LIES = [1, PRICE // 2, PRICE - 60 * BPS, PRICE - 40 * BPS, PRICE + 40 * BPS, PRICE + 60 * BPS, 2 * PRICE, 2**96 - 1]


@pytest.fixture
def market(evm: Evm) -> MockedMarket:
    return MockedMarket.create(evm)


@pytest.fixture
def api3(evm: Evm) -> Api3Market:
    return Api3Market.create(evm)


# ------------------------------------------------------------------------------------------------------------ attack 3


def test_attack_3__leaving_out_a_source__is_refused(api3: Api3Market) -> None:
    """The executor brought two of three sources, whichever pair suited him: ±2.5 bps a trade in the draft."""
    for absent in range(3):
        prices: list[int | None] = [PRICE, PRICE + WAD, PRICE - WAD]
        prices[absent] = None
        with reverts("Oracle_SourceMissing", MARKET, absent):
            api3.update(prices)


def test_attack_3__leaving_out_a_source_in_a_quiet_market__is_refused(api3: Api3Market) -> None:
    """Silence was the time since the last record that had the source. After a quiet half-minute every source had been
    silent, and the next executor could leave out whichever he liked."""
    api3.update()
    api3.evm.advance(86_400)
    for absent in range(3):
        prices: list[int | None] = [PRICE, PRICE + WAD, PRICE - WAD]
        prices[absent] = None
        with api3.evm.isolated():
            assert api3.update(prices).event("UpdateSkipped")["index"] == absent
    assert api3.newest.sequence == 1


def test_attack_3__picking_prints__only_newer_ones_within_seconds(api3: Api3Market) -> None:
    """The executor chose the best print of the last ten seconds: 3 to 15 bps. Now a print is at most three seconds old,
    and one older than what the server holds can't come back."""
    prints = [(at, PRICE + at * WAD) for at in range(-9, 1)]
    for at, price in prints:
        with api3.evm.isolated():
            if at < -3:
                with reverts("Oracle_SourceMissing", MARKET, 0):
                    api3.update(price, NOW + at)
            else:
                assert recorded(api3.update(price, NOW + at))["price"] == price
    api3.update(PRICE, NOW - 1)
    assert api3.update(PRICE + 50 * WAD, NOW - 2).event("UpdateSkipped")["index"] == 0
    assert api3.newest.price == PRICE


# ------------------------------------------------------------------------------------------------------------ attack 6


def test_attack_6__true_crash__gets_through_the_move_limit(market: MockedMarket) -> None:
    """A true 40% fall kept failing the move limit until the market was declared dead, and losers settled at the price
    before the crash. The limit widens with time: 40% gets through after three minutes, 60% after five."""
    market.record_at()
    market.evm.advance(60)
    market.say_all(PRICE * 6 // 10)
    with reverts("Oracle_MoveTooLarge", MARKET, PRICE * 6 // 10, PRICE, PRICE * 2 // 10):
        market.record()
    market.evm.advance(120)
    assert recorded(market.record_at(PRICE * 6 // 10))["price"] == PRICE * 6 // 10


def test_attack_6__crash_in_steps__is_recorded_as_it_happens(market: MockedMarket) -> None:
    """The same fall seen every few seconds, as publishers see it, is never refused at all."""
    price = PRICE
    market.record_at(price)
    while price > PRICE // 2:
        price = price * 93 // 100
        market.evm.advance(3)
        assert recorded(market.record_at(price))["price"] == price


# ----------------------------------------------------------------------------------------------------------- attack 18


def test_attack_18__stale_push_price__never_sets_a_record(evm: Evm) -> None:
    """A push feed half a percent behind the market was a price to trade at. It bounds records and never makes one:
    without pull sources there is no record, and the fallback gets it only if it was updated after the order."""
    market = MockedMarket.create(evm, pushes=2)
    for index in (3, 4):
        market.say(index, PRICE - 50 * BPS)
    with reverts("Oracle_SourceMissing", MARKET, 0):
        market.record()
    with reverts("Oracle_NoBound", MARKET, NOW + 1):
        market.aggregator.boundPrice(MARKET, NOW + 1)
    market.say_all()
    assert recorded(market.record())["price"] == PRICE


# ----------------------------------------------------------------------------------------------------------- attack 21


@pytest.mark.parametrize("confidence_bps", [31, 99, 100, 101, 5_000])
@pytest.mark.parametrize("offset_bps", [-49, -3, 0, 3, 49])
def test_attack_21__one_source_widening_doubt__changes_nothing(
    market: MockedMarket, confidence_bps: int, offset_bps: int
) -> None:
    """One lying source widened the confidence so that nobody could be liquidated: bad debt × 3. The draft's
    confidence was the widest of all; 99 bps of one source closed opening, 100 bps 3 bps off refused every record."""
    market.say(0, PRICE, confidence=2 * BPS)
    market.say(1, PRICE + BPS, confidence=3 * BPS)
    market.say(2, PRICE + offset_bps * BPS, confidence=confidence_bps * BPS)
    event = recorded(market.record())
    assert event["confidence"] <= 5 * BPS
    assert event["state"] == OPEN


# ----------------------------------------------------------------------------------------------------------- attack 22


@pytest.mark.parametrize("liar", range(3))
@pytest.mark.parametrize("lie", LIES)
def test_attack_22__one_venues_wick__moves_nothing(market: MockedMarket, liar: int, lie: int) -> None:
    """13 March 2020: one venue printed 323 in a market of 117, and 24.7 million were liquidated at it. A source
    of three can say whatever it likes: the price stays between the honest two."""
    honest = [PRICE, PRICE + 30 * BPS]
    prices = [*honest[:liar], lie, *honest[liar:]]
    event = recorded(market.record_at(prices))
    assert PRICE <= event["price"] <= PRICE + 30 * BPS
    assert event["confidence"] <= 30 * BPS


@pytest.mark.parametrize("lie", LIES)
def test_attack_22__liar_and_one_honest_left__within_dispersion_or_refused(market: MockedMarket, lie: int) -> None:
    """With one source proven silent and one of the remaining two lying, beyond what is assumed, the price still can't
    leave the honest one by more than the dispersion limit."""
    market.record_at()
    market.evm.advance(10)
    market.aggregator.reportMissing(MARKET, 2)
    market.evm.advance(SILENT_AFTER)
    market.say(0, PRICE)
    market.say(1, lie)
    if abs(lie - PRICE) <= 2 * 50 * BPS:
        assert abs(recorded(market.record())["price"] - PRICE) <= 50 * (PRICE + 50 * BPS) // 10_000
    else:
        with reverts("Oracle_Dispersed", MARKET, 0, 2):
            market.record()


def test_attack_22__wick_of_the_quorum__is_refused_by_the_move_limit(market: MockedMarket) -> None:
    """The same wick printed by two venues at once: the move limit holds it off until it has lasted for minutes."""
    market.record_at(117 * WAD)
    market.evm.advance(1)
    market.say_all([323 * WAD, 323 * WAD, 117 * WAD])
    limit = 117 * WAD * 1_000 * 61 // (60 * 10_000)
    with reverts("Oracle_MoveTooLarge", MARKET, 323 * WAD, 117 * WAD, limit):
        market.record()


# ----------------------------------------------------------------------------------------------------------- attack 25


def test_attack_25__recording_first__breaks_nobodys_batch(api3: Api3Market) -> None:
    """Someone recorded the same data just before, and the whole batch of the one who came second reverted, with the
    liquidations in it. What is not newer is skipped."""
    item = api3.item()
    assert recorded(api3.aggregator.update([item]))["sequence"] == 1
    receipt = api3.aggregator.update([item])
    assert [event.name for event in receipt.logs] == ["UpdateSkipped"]
    assert api3.newest.sequence == 1


@pytest.mark.parametrize("pushed", [(0,), (2,), (0, 1), (0, 1, 2)])
def test_attack_25__updating_the_beacons_first__breaks_nobodys_batch(api3: Api3Market, pushed: tuple[int, ...]) -> None:
    """The same with API3's server, which anybody may update: what it holds already is not brought again."""
    for index in pushed:
        api3.adapter.read([api3.publisher.feed_ids[index]], [api3.publisher.payload(index, PRICE, NOW)])
    assert recorded(api3.aggregator.update([api3.item()]))["price"] == PRICE


def test_attack_25__late_by_more_than_the_window__still_is_no_error(api3: Api3Market) -> None:
    """The one who came second was also late, so that some of his readings were too old although newer than the record
    that another had made of them. Nothing newer comes before too old."""
    item = api3.item(at=[NOW - 1, NOW, NOW])
    api3.aggregator.update([item])
    api3.evm.advance(60)
    assert api3.aggregator.update([item]).event("UpdateSkipped")["index"] == 0


def test_attack_25__in_every_order__one_record_and_no_error(evm: Evm) -> None:
    """Three executors bring overlapping data in one block; each call succeeds in any order and time only grows."""
    for order in itertools.permutations(range(3)):
        api3 = Api3Market.create(Evm())
        items = [api3.item(PRICE + number, at=NOW - number) for number in range(3)]
        seen = 0
        for number in order:
            api3.aggregator.update([items[number]])
            assert api3.newest.published_at >= seen
            seen = api3.newest.published_at
        assert api3.newest.published_at == NOW


# ------------------------------------------------------------------------------------------ one source against all


def blocked_for(market: MockedMarket, lie: tuple[int, int, int], seconds: int = 700) -> tuple[int, int]:
    """Record every second while source 2 says (price, confidence, age); the longest gap and the number of records."""
    price, confidence, age = lie
    last, longest, count = market.evm.timestamp, 0, 0
    for _ in range(seconds):
        market.evm.advance(1)
        market.say(0)
        market.say(1)
        market.say(2, price, confidence=confidence, at=max(0, market.evm.timestamp - age))
        if try_record(market):
            last, count = market.evm.timestamp, count + 1
        longest = max(longest, market.evm.timestamp - last)
    return longest, count


def try_record(market: MockedMarket) -> bool:
    """Record, or report the source that is missing, as keepers do."""
    try:
        if market.record().events("PriceRecorded"):
            return True
    except Revert as refusal:
        if refusal.name != "Oracle_SourceMissing":
            raise
    if market.aggregator.missingSince(MARKET, 2) == 0:
        market.aggregator.reportMissing(MARKET, 2)
    return False


@pytest.mark.parametrize(
    ("what", "lie", "longest"),
    [
        ("any price", (2 * PRICE, 0, 0), 0),
        ("zero", (0, 0, 0), 0),
        ("doubt", (PRICE, PRICE, 0), 0),
        ("lagging within the window", (PRICE, 0, 3), 3),
        ("too old", (PRICE, 0, 4), SILENT_AFTER),
        ("very old", (PRICE, 0, 10**6), SILENT_AFTER),
        ("from the future", (PRICE, 0, -1), SILENT_AFTER),
        ("from a far future", (PRICE, 0, -3_600), SILENT_AFTER),
    ],
)
def test_one_liar__whatever_it_says__blocks_at_most_until_its_silence_is_proven(
    market: MockedMarket, what: str, lie: tuple[int, int, int], longest: int
) -> None:
    """A source from the future, or one that repeats an old time, blocked records or dragged publishedAt back."""
    market.record_at()
    found, count = blocked_for(market, lie)
    assert found <= longest, what
    assert count >= 700 - longest - 1


def test_one_liar__frozen_time__is_left_out_after_its_silence(market: MockedMarket) -> None:
    """A source that signs the same second again and again, within dispersion: the oldest kept time never grew, every
    update was 'not newer', and since the source was there each time, it was never silent either."""
    market.record_at()
    frozen = NOW
    for elapsed in range(1, SILENT_AFTER + 3):
        market.evm.advance(1)
        market.say(0)
        market.say(1)
        market.say(2, at=frozen)
        recorded_now = try_record(market)
        assert recorded_now == (elapsed > SILENT_AFTER)


def test_one_liar__coming_back_for_a_moment__cannot_block_again_and_again(market: MockedMarket) -> None:
    """A source that shows itself once in half a minute had to be waited for each time: one record in thirty seconds. On
    probation it is waited for once in ten minutes."""
    market.record_at()
    count = 0
    for second in range(1, 601):
        market.evm.advance(1)
        market.say(0)
        market.say(1)
        if second % 32 == 0:
            market.say(2)
        count += try_record(market)
    assert count >= 600 - SILENT_AFTER


def test_future_update__at_the_server__blocks_only_while_the_clock_lags(api3: Api3Market) -> None:
    """API3's server takes an hour of future. Anyone may bring it an honest update that the chain's clock has not
    reached yet; the adapter itself never does, and the block ends when the clock is there."""
    api3.update()
    api3.evm.advance(1)
    ahead = beacon_update_args(api3, NOW + 3)
    api3.server.updateBeaconWithSignedData(*ahead)
    with reverts("Oracle_SourceMissing", MARKET, 0):
        api3.update([None, PRICE, PRICE])
    api3.evm.advance(2)
    assert recorded(api3.update([None, PRICE, PRICE]))["sources"] == 0b111


def beacon_update_args(api3: Api3Market, at: int) -> list[object]:
    from eth_abi.abi import decode

    payload = beacon_update(api3.publisher.signers[0], api3.publisher.template, at, PRICE)
    return list(decode(["address", "bytes32", "uint256", "bytes", "bytes"], payload))


def test_forged_payload__of_any_source__reverts_the_update(api3: Api3Market) -> None:
    """A payload signed by somebody else, for one source or swapped between two, records nothing."""
    payloads = api3.publisher.payloads(PRICE, NOW)
    swapped = [payloads[1], payloads[0], payloads[2]]
    with reverts("Api3Adapter_WrongFeed", 0, api3.publisher.feed_ids[0], api3.publisher.feed_ids[1]):
        api3.aggregator.update([price_item(MARKET, swapped)])
    assert len(SIGNER_KEYS) > len(payloads)


def test_one_push_source__whatever_it_says__never_refuses(evm: Evm) -> None:
    """A Chainlink feed that is wrong or far behind in a crash refused each record, and with them liquidations. One of
    two only makes records doubtful."""
    api3 = Api3Market.create(evm, feeds=2)
    for number, answer in enumerate((1, 10**8, 2**190)):
        api3.feeds[0].setAnswer(answer, evm.timestamp)
        api3.feeds[1].setAnswer(PRICE // 10**10, evm.timestamp)
        event = recorded(api3.update())
        assert (event["state"], event["sequence"]) == (DOUBTFUL if answer < 2**96 else OPEN, number + 1)
        evm.advance(1)
    break_feed(api3.feeds[0])
    assert recorded(api3.update())["state"] == OPEN


def test_starved_push_source__never_lets_a_record_through(evm: Evm) -> None:
    """A feed that gets too little gas to answer looks like one that is dead, and bounds nothing. Whoever sends just so
    little has none left to record with."""
    api3 = Api3Market.create(evm, feeds=2)
    for feed in api3.feeds:
        feed.setAnswer(PRICE // 10**10 // 2, evm.timestamp)
    item = api3.item()
    for gas in range(100_000, 400_000, 500):
        with evm.isolated(), contextlib.suppress(Revert, Halt):
            api3.aggregator.update([item], gas=gas)
            raise AssertionError(f"recorded with {gas} gas")


def break_feed(feed: Contract) -> None:
    feed.setFault(3)
