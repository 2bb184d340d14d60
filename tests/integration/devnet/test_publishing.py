"""The publisher on a devnet, every vendor at once: a series for each source, and what happens when one fails."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from plimsoll.core.units import BPS, WAD
from plimsoll.devnet.accounts import STREAM_QUORUM, publisher_keys, stream_keys
from plimsoll.devnet.boot import Devnet
from plimsoll.devnet.environment import pool_trader
from plimsoll.keepers.bounds import Bounds
from plimsoll.keepers.feeds import feeds_of
from plimsoll.keepers.prices import FixedPrices, PriceSource, SeriesPrices
from plimsoll.keepers.publisher import Publisher
from plimsoll.keepers.publishing import BoundTerms, Cadence
from plimsoll.keepers.runner import Log, Pace, Runner
from plimsoll.sdk.deployments import load

pytestmark = pytest.mark.node

NAMES = {1: "ETH/USD", 2: "BTC/USD"}
ETH, BTC = 2_520 * WAD, 60_500 * WAD


class Ran:
    """The keeper's own loop, a round at a time."""

    def __init__(self, devnet: Devnet, source: PriceSource, *, trader: str | None = None, **terms: int) -> None:
        self.devnet = devnet
        contracts = load(devnet.manifest_path).on(devnet.chain)
        feeds = feeds_of(contracts, NAMES, publisher_keys(), stream_keys()[:STREAM_QUORUM])
        bounds = Bounds(devnet.chain, feeds, trader or pool_trader())
        self._output = io.StringIO()
        signer = devnet.signers["keeper"]
        job = Publisher(
            contracts, signer, feeds, source, cadence=Cadence(2, 10), bounds=bounds, terms=BoundTerms(**terms)
        )
        log = Log(job.name, self._output)
        self._runner = Runner(job, devnet.chain, signer, pace=Pace(poll=0), log=log, stop=threading.Event())
        self._said = 0

    def round(self, seconds: int = 3) -> list[dict[str, Any]]:
        """What it logs in a round after some seconds."""
        self.devnet.advance(seconds)
        self._runner.round(self.devnet.chain.block())
        lines = [json.loads(line) for line in self._output.getvalue().splitlines()]
        fresh, self._said = lines[self._said :], len(lines)
        return fresh


def told(lines: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    """By event (and source, where it is of one) and market."""
    return {(" ".join(filter(None, (line["event"], line.get("source")))), line["market"]): line for line in lines}


def is_near(found: int, price: int, bps: int = 3) -> bool:
    return abs(found - price) * BPS <= price * bps


def test_round__every_vendor__is_published_to(devnet: Devnet) -> None:
    keeper = Ran(devnet, FixedPrices({1: ETH, 2: BTC}))
    lines = told(keeper.round())
    events = ("pushed chainlink", "swapped uniswap", "recorded")
    assert set(lines) == {(event, market) for event in events for market in NAMES}
    for market, price in ((1, ETH), (2, BTC)):
        found = devnet.sources.readings(NAMES[market])
        signed = [(found[name].price, found[name].published_at) for name in ("api3-1", "api3-2", "datastreams")]
        assert signed == [(price, lines["recorded", market]["published_at"])] * 3
        assert found["chainlink"].price == price // 10**10 * 10**10
        assert devnet.contract("OracleAggregator").call("price", market)[0] == price
    devnet.advance(300)
    assert is_near(devnet.sources.readings("ETH/USD")["uniswap"].price, ETH)
    assert is_near(devnet.sources.readings("BTC/USD")["uniswap"].price, BTC)


def test_round__quiet__bounds_by_their_heartbeats(devnet: Devnet) -> None:
    keeper = Ran(devnet, FixedPrices({1: ETH, 2: BTC}), feed_seconds=20, pool_seconds=30)
    keeper.round()
    assert {event for event, _ in told(keeper.round(10))} == {"recorded"}
    assert {event for event, _ in told(keeper.round(10))} == {"recorded", "pushed chainlink"}
    assert {event for event, _ in told(keeper.round(10))} == {"recorded", "swapped uniswap"}
    before = devnet.sources.readings("ETH/USD")["uniswap"]
    assert {event for event, _ in told(keeper.round(30))} == {"recorded", "pushed chainlink", "swapped uniswap"}
    devnet.advance(300)  # the swaps of the heartbeat stay at the price
    assert is_near(devnet.sources.readings("ETH/USD")["uniswap"].price, ETH, 4)
    assert before.price > 0


def test_round__series_of_spot_and_perpetual__each_source_its_own(devnet: Devnet, tmp_path: Path) -> None:
    spot, perpetual = tmp_path / "spot.csv", tmp_path / "perpetual.csv"
    spot.write_text("ts,close\n0,2505\n60,2506\n")
    perpetual.write_text("ts,close\n0,2503\n60,2150\n")
    source = SeriesPrices({1: spot}, own={"datastreams": {1: perpetual}}, speed=10)
    keeper = Ran(devnet, source)
    oracle = devnet.contract("OracleAggregator")
    keeper.round()
    assert oracle.call("price", 1)[:2] == (2_505 * WAD, 0)
    assert devnet.sources.readings("ETH/USD")["datastreams"].price == 2_503 * WAD
    keeper.round(6)  # the perpetual is 14% below: out of the record, whose price is the spot's
    assert oracle.call("price", 1)[:2] == (2_506 * WAD, 0)
    assert devnet.sources.readings("ETH/USD")["datastreams"].price == 2_150 * WAD


def test_round__one_source_silent__reported_left_out_and_welcome_again(devnet: Devnet) -> None:
    own: dict[str, dict[int, int | None]] = {"datastreams": {1: None}}
    prices = FixedPrices({1: ETH, 2: BTC}, own)
    keeper = Ran(devnet, prices)
    lines = told(keeper.round(6))
    assert ("reported datastreams", 1) in lines
    assert {market for event, market in lines if event == "recorded"} == {2}  # the other market goes on
    assert not [event for event, market in told(keeper.round(10)) if market == 1 and event == "recorded"]
    lines = told(keeper.round(21))
    assert {market for event, market in lines if event == "recorded"} == {1, 2}
    again = Ran(devnet, FixedPrices({1: ETH, 2: BTC}))
    assert ("recorded", 1) in told(again.round())
    assert devnet.sources.readings("ETH/USD")["datastreams"].price == ETH


def test_round__a_vendor_refuses__is_left_out_and_the_others_go_on(devnet: Devnet) -> None:
    """The verifier's owner sets other signers: reports of the old ones are worth nothing any more."""
    keeper = Ran(devnet, FixedPrices({1: ETH, 2: BTC}))
    keeper.round()
    others = [Account.create().address for _ in range(4)]
    devnet.environment.stream_verifier.transact(devnet.signers["faucet"], "setConfig", others, 1, [])
    lines = told(keeper.round(6))
    assert {event for event, _ in lines} == {"source_refused datastreams"}
    assert {"BadVerification" in line["reason"] for line in lines.values()} == {True}
    assert {event for event, _ in told(keeper.round(1))} == {"reported datastreams"}
    recorded = [line for line in keeper.round(29) if line["event"] == "recorded"]
    recorded += [line for line in keeper.round(3) if line["event"] == "recorded"]
    assert {line["market"] for line in recorded} == {1, 2}


def test_round__pools_cannot_be_traded__prices_are_recorded_all_the_same(devnet: Devnet) -> None:
    keeper = Ran(devnet, FixedPrices({1: ETH * 101 // 100}), trader=devnet.token.address)
    lines = keeper.round()
    assert [(line["event"], line["do"]) for line in lines if line["event"] == "refused"] == [("refused", "swap")]
    assert {("pushed chainlink", 1), ("recorded", 1)} <= set(told(lines))
    assert "refused" not in [line["event"] for line in keeper.round()]  # said once


def test_round__price_far_from_both_bounds__they_are_moved_first(devnet: Devnet) -> None:
    """Push feed and average say another price by more than a tenth: refused, until the feed has followed."""
    start = Ran(devnet, FixedPrices({1: ETH}))
    start.round()
    devnet.advance(301)
    start.round()
    keeper = Ran(devnet, FixedPrices({1: ETH * 112 // 100}))
    lines = told(keeper.round(60))
    assert ("pushed chainlink", 1) in lines
    assert "Oracle_OutOfBounds" in lines["refused", 1]["reason"]
    assert ("recorded", 1) in told(keeper.round())
