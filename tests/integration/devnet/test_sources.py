"""Five vendors' contracts on a devnet: what each says arrives in the aggregator, and what is forged does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from plimsoll.chain.contracts import decode_logs
from plimsoll.chain.transactions import Receipt, Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import BPS, WAD
from plimsoll.deploy.parameters import load
from plimsoll.devnet.accounts import dev_account, stream_keys
from plimsoll.devnet.boot import Devnet, boot_devnet
from plimsoll.devnet.environment import PRICES
from plimsoll.sdk.events import PriceRecorded, UpdateSkipped, decode_all
from plimsoll.sdk.oracle import price_item
from plimsoll.sdk.sources import signings

pytestmark = pytest.mark.node

ETH = "ETH/USD"
PRICE = 2_510 * WAD
PULLS, PUSHES = ("api3-1", "api3-2", "datastreams"), ("chainlink", "uniswap")
OPEN, DOUBTFUL, GRACE, DOWN = range(4)
WINDOW, SILENT_AFTER, GRACE_SECONDS = 300, 30, 300
STRANGER = Account.from_key("0x" + "77" * 32)


def told(devnet: Devnet, receipt: Receipt) -> PriceRecorded:
    """The one record of a receipt."""
    events = decode_all(decode_logs(receipt.logs, devnet.chain.registry))
    [record] = [event for event in events if isinstance(event, PriceRecorded)]
    return record


def is_near(found: int, price: int, bps: int = 3) -> bool:
    return abs(found - price) * BPS <= price * bps


@pytest.mark.parametrize("market", list(PRICES))
def test_publish__every_source__its_reading_arrives(devnet: Devnet, market: str) -> None:
    """Each with a price of its own, so that none can stand in for another."""
    sources = devnet.sources
    assert sources.names(market) == (*PULLS, *PUSHES)
    said = {name: PRICES[market] * (10_000 + place) // 10_000 for place, name in enumerate((*PULLS, *PUSHES), 1)}
    at = devnet.advance(5)
    sources.publish(market, said)
    found = sources.readings(market)
    for name in (*PULLS, "chainlink"):
        assert (found[name].price, found[name].confidence, found[name].published_at) == (said[name], 0, at), name
    then = devnet.advance(WINDOW)  # the whole of the average's window is after the swap
    average = sources.readings(market)["uniswap"]
    assert is_near(average.price, said["uniswap"])
    assert average.confidence == average.price
    assert at <= average.published_at <= then - WINDOW


def test_record__three_sources_of_two_vendors__median_of_them(devnet: Devnet) -> None:
    devnet.advance(1)
    said = dict(zip(PULLS, (2_509 * WAD, 2_512 * WAD, 2_510 * WAD), strict=True))
    record = told(devnet, devnet.sources.record(ETH, said))
    assert (record.price, record.sources, record.state) == (2_510 * WAD, 0b111, OPEN)


@pytest.mark.parametrize("liar", PULLS)
@pytest.mark.parametrize("lie", [WAD, PRICE // 2, PRICE * 101 // 100, 10**9 * WAD])
def test_record__one_source_lies__the_others_make_the_price(devnet: Devnet, liar: str, lie: int) -> None:
    devnet.advance(1)
    record = told(devnet, devnet.sources.record(ETH, {**dict.fromkeys(PULLS, PRICE), liar: lie}))
    assert (record.price, record.sources) == (PRICE, 0b111 & ~(1 << PULLS.index(liar)))


@pytest.mark.parametrize(("source", "error"), [("api3-1", "Api3Adapter_WrongFeed"), ("datastreams", "BadVerification")])
def test_record__signed_by_a_stranger__is_refused(devnet: Devnet, source: str, error: str) -> None:
    at = devnet.advance(1)
    feed = devnet.sources.source(ETH, source).feed_id
    strange = signings(ETH, [STRANGER], [STRANGER, Account.from_key(stream_keys()[0])])
    # a stranger's beacon is another beacon; a stranger's report of a stream is no report
    sign = strange.get(feed) or next(iter(strange.values()))
    assert error in refusal(devnet, {source: devnet.sources.payload(ETH, source, PRICE, at, signing=sign)})


@pytest.mark.parametrize(("source", "error"), [("api3-2", "Signature mismatch"), ("datastreams", "BadVerification")])
def test_record__price_altered_after_signing__is_refused(devnet: Devnet, source: str, error: str) -> None:
    at = devnet.advance(1)
    payload = devnet.sources.payload(ETH, source, PRICE, at)
    word = PRICE.to_bytes(32, "big")
    assert payload.count(word) >= 1
    assert error in refusal(devnet, {source: payload.replace(word, (2 * PRICE).to_bytes(32, "big"))})


def test_record__report_with_one_signature__is_refused(devnet: Devnet) -> None:
    """Two of the four signers are needed; each of them counts once."""
    at = devnet.advance(1)
    one = Account.from_key(stream_keys()[0])
    for signers in ([one], [one, one]):
        [sign] = signings(ETH, [], signers).values()
        payload = devnet.sources.payload(ETH, "datastreams", PRICE, at, signing=sign)
        assert "BadVerification" in refusal(devnet, {"datastreams": payload})


def refusal(devnet: Devnet, payloads: dict[str, bytes]) -> str:
    """Why an update with these payloads among honest ones fails; nothing of it stays."""
    oracle, at = devnet.contract("OracleAggregator"), devnet.now
    honest = {name: devnet.sources.payload(ETH, name, PRICE, at) for name in PULLS}
    item = price_item(1, {**honest, **payloads}.values())
    before = oracle.call("price", 1)
    with pytest.raises(Reverted) as caught:
        oracle.transact(devnet.signers["alice"], "update", [item], gas=1_000_000)
    assert oracle.call("price", 1) == before
    return caught.value.reason


def test_record__a_vendor_silent__reported_and_left_out(devnet: Devnet) -> None:
    sources = devnet.sources
    two = {"api3-1": PRICE, "api3-2": PRICE}
    devnet.advance(5)
    skipped = decode_all(decode_logs(sources.record(ETH, two).logs, devnet.chain.registry))
    assert [type(event) for event in skipped] == [UpdateSkipped]
    sources.report_missing(ETH, "datastreams")
    devnet.advance(SILENT_AFTER)
    assert told(devnet, sources.record(ETH, two)).sources == 0b011


def test_record__pool_traded_away__only_reduces__and_two_bounds_refuse(devnet: Devnet) -> None:
    sources = devnet.sources
    sources.publish(ETH, {"uniswap": PRICE * 107 // 100})
    devnet.advance(WINDOW)
    all_three = dict.fromkeys(PULLS, PRICE)
    assert told(devnet, sources.record(ETH, {**all_three, "chainlink": PRICE})).state == DOUBTFUL
    sources.publish(ETH, {"uniswap": PRICE * 120 // 100})
    devnet.advance(WINDOW)
    assert told(devnet, sources.record(ETH, {**all_three, "chainlink": PRICE})).state == DOUBTFUL
    devnet.advance(1)
    with pytest.raises(Reverted, match="Oracle_OutOfBounds"):
        sources.record(ETH, {**all_three, "chainlink": PRICE * 120 // 100})


def test_record__pool_that_nobody_trades__bounds_nothing(devnet: Devnet) -> None:
    """As at boot: its average is there, and too old to count."""
    reading = devnet.sources.readings(ETH)["uniswap"]
    assert is_near(reading.price, PRICES[ETH], 1)
    assert devnet.now - reading.published_at > 900
    devnet.advance(130)  # the push feed is too old by then, too
    assert told(devnet, devnet.sources.record(ETH, dict.fromkeys(PULLS, PRICES[ETH] * 110 // 100))).state == OPEN


def test_record__with_trade__pool_bounds_from_then_on(devnet: Devnet) -> None:
    devnet.record(trade=True)
    devnet.advance(1)
    for market in PRICES:
        reading = devnet.sources.readings(market)["uniswap"]
        assert is_near(reading.price, PRICES[market], 1)
        assert devnet.now - reading.published_at <= WINDOW + 2


def test_report_sequencer__down_and_back__down_grace_open(devnet: Devnet) -> None:
    """The real feed, behind the messenger of L2; records carry the guard's state."""
    sources, guard = devnet.sources, devnet.contract("SequencerGuard")
    assert guard.call("state") == OPEN
    sources.report_sequencer(is_down=True)
    devnet.advance(1)
    assert told(devnet, sources.record(ETH, PRICE)).state == DOWN
    back = devnet.advance(3_600)
    sources.report_sequencer(is_down=False, at=back)
    assert told(devnet, sources.record(ETH, PRICE)).state == GRACE
    devnet.advance(back + GRACE_SECONDS - 1 - devnet.now)
    assert guard.call("state") == GRACE
    devnet.advance(1)
    assert told(devnet, sources.record(ETH, PRICE)).state == OPEN


def test_report_sequencer__another_sender_of_l1__is_refused(devnet: Devnet) -> None:
    environment = devnet.environment
    report = environment.sequencer_report(True, devnet.now)
    sender, feed = dev_account("alice").address, environment.uptime.address
    call = environment.messenger.prepare("relay", sender, feed, report, gas=300_000)
    with pytest.raises(Reverted, match="InvalidSender"):
        devnet.signers["alice"].send_many([call], check=True)
    with pytest.raises(Reverted, match="InvalidSender"):
        environment.uptime.transact(devnet.signers["faucet"], "updateStatus", True, devnet.now)
    assert devnet.contract("SequencerGuard").call("state") == OPEN


def test_sources__names_that_there_are_not__are_named(devnet: Devnet) -> None:
    with pytest.raises(UserError, match="ETH/USD has no source pyth; it has api3-1, api3-2, datastreams, chain"):
        devnet.sources.publish(ETH, {"pyth": PRICE})
    with pytest.raises(UserError, match="no market DOGE/USD; there are ETH/USD, BTC/USD"):
        devnet.sources.names("DOGE/USD")
    assert (devnet.sources.names(ETH, push=False), devnet.sources.names(ETH, push=True)) == (PULLS, PUSHES)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("data_streams", "data_streams is 0x1{40}; on a development network it is"),
        ("api3_server", "api3_server is 0x1{40}; on a development network it is"),
        ("sequencer", "sequencer feed is 0x1{40}; on a development network it is"),
        ("chainlink", "push feed of ETH/USD is 0x1{40}; on a development network it is"),
        ("uniswap", "pool of ETH/USD is 0x1{40}; on a development network it is"),
        ("decimals1", "pool of ETH/USD: its tokens have 6 and 18 decimals, not 6, 17"),
    ],
)
def test_boot__other_vendors_in_the_file__names_the_right_ones(
    built: None, tmp_path: Path, key: str, message: str
) -> None:
    text = Path(load("devnet").path).read_text()
    start = text.index(key)
    old = "decimals1 = 18" if key == "decimals1" else re.search("0x[0-9a-fA-F]{40}", text[start:])[0]  # type: ignore[index]
    new = "decimals1 = 17" if key == "decimals1" else "0x" + "11" * 20
    file = tmp_path / "other.toml"
    file.write_text(text[:start] + text[start:].replace(old, new, 1))
    with pytest.raises(UserError, match=message), boot_devnet(parameters=str(file)):
        pass


def test_boot__past_prices__pools_start_at_them(built: None) -> None:
    prices: dict[str, Any] = {"ETH/USD": 194 * WAD, "BTC/USD": 7_900 * WAD}
    with boot_devnet(timestamp=1_583_971_200, prices=prices, pool_dollars=0, fund_dollars=0) as past:
        for market, price in prices.items():
            assert is_near(past.sources.readings(market)["uniswap"].price, price, 1)
