"""The publisher at work: API3's real server and the aggregator, behind a node in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from plimsoll.chain.transactions import Signer
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.keepers.feeds import feeds_of, said
from plimsoll.keepers.prices import FilePrices, FixedPrices, PriceSource, SeriesPrices
from plimsoll.keepers.publisher import Publisher
from plimsoll.keepers.publishing import Cadence
from tests.python.keepers.running import Ran, events
from tests.support.core import deploy_core
from tests.support.deployment import World
from tests.support.evm import Evm
from tests.support.heard import HeardLedger, Listener
from tests.support.oracle import SIGNER_KEYS, Api3Market

KEYS = ["0x" + key.hex() for key in SIGNER_KEYS[:3]]
NAMES = {1: "ETH/USD"}
PRICE = 2_000 * WAD


class Prices(FixedPrices):
    """What a test says."""

    def __init__(self) -> None:
        self.now: dict[int, int] = {1: PRICE}
        super().__init__(self.now)

    def prices(self, now: int, source: str = "") -> dict[int, int]:
        return self.now


class Market:
    def __init__(self, evm: Evm, listener: Listener) -> None:
        self.api3 = Api3Market.create(evm)
        core = deploy_core(evm, markets=1, oracle=self.api3.aggregator, pool_dollars=0)
        core.prices.clear()
        self.world = World(core)
        self.world.ledger = HeardLedger(self.world.contracts, core, listener)
        self.prices = Prices()

    def start(self, keys: list[str] = KEYS, *, dry_run: bool = False, source: PriceSource | None = None) -> Ran:
        signer: Signer | None = None if dry_run else self.world.signer("keeper")
        feeds = feeds_of(self.world.contracts, NAMES, keys)
        cadence = Cadence(max_seconds=10, move_bps=10)
        job = Publisher(
            self.world.contracts, signer, feeds, source or self.prices, cadence=cadence, ledger=self.world.ledger
        )
        return Ran(self.world, job, signer, dry_run=dry_run)

    def pass_time(self, seconds: int) -> None:
        self.world.evm.advance(seconds)


@pytest.fixture
def market(evm: Evm) -> Iterator[Market]:
    listener = Listener()
    with listener.listening():
        yield Market(evm, listener)


def test_act__first_price_then_quiet__then_due(market: Market) -> None:
    keeper = market.start()
    [line] = keeper.round()
    assert (line["event"], line["why"], line["price"], line["sequence"]) == ("recorded", "first", "2000", 1)
    assert market.api3.newest.price == PRICE
    market.pass_time(9)
    assert keeper.round() == []
    market.pass_time(1)
    assert [line["why"] for line in keeper.round()] == ["due"]


def test_act__price_moves__records_at_once(market: Market) -> None:
    keeper = market.start()
    keeper.round()
    market.pass_time(1)
    market.prices.now[1] = PRICE + 2 * WAD - 1
    assert keeper.round() == []
    market.prices.now[1] = PRICE + 2 * WAD
    assert [line["why"] for line in keeper.round()] == ["moved"]


def test_act__price_jumps_too_far__is_refused_and_said_once(market: Market) -> None:
    keeper = market.start()
    keeper.round()
    market.prices.now[1] = 2 * PRICE
    before = len(market.world.node.sent)
    market.pass_time(1)
    [line] = keeper.round()
    assert line["event"] == "refused"
    assert line["reason"].startswith("Oracle_MoveTooLarge")
    market.pass_time(1)
    assert keeper.round() == []
    assert len(market.world.node.sent) == before
    market.prices.now[1] = PRICE + 100 * WAD
    assert events(keeper.round()) == ["recorded"]
    market.prices.now[1] = 3 * PRICE
    market.pass_time(1)
    assert events(keeper.round()) == ["refused"]


def test_act__an_order_waits__records_until_it_can_settle(market: Market) -> None:
    keeper = market.start()
    keeper.round()
    trader = market.world.trader("trader", 1_000)
    market.pass_time(1)
    assert keeper.round() == []
    placed = trader.place_market("ETH", 1)
    reasons = []
    for _ in range(5):
        market.pass_time(1)
        reasons += [line["why"] for line in keeper.round()]
    # T is two seconds after placing; from then on no executor's absence makes it publish
    assert reasons == ["awaited", "awaited", "awaited"]
    assert market.api3.newest.published_at >= placed.settle_from


def test_act__same_second__signs_nothing_new(market: Market) -> None:
    keeper = market.start()
    keeper.round()
    market.prices.now[1] = PRICE * 101 // 100
    assert keeper.round() == []


def test_act__someone_unhealthy__records_every_block(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = market.start()
    keeper.round()
    monkeypatch.setattr("plimsoll.health.monitor.Monitor.liquidatable", lambda *_: [5])
    market.pass_time(1)
    assert [line["why"] for line in keeper.round()] == ["awaited"]


def test_act__one_key_of_three__records_with_what_the_others_published(market: Market) -> None:
    others = market.start(KEYS[:2])
    refused, reported = others.round()
    assert (refused["event"], reported["event"], reported["source"]) == ("refused", "reported", "source-3")
    assert refused["reason"].startswith("Oracle_SourceMissing")
    full = market.start()
    assert events(full.round()) == ["recorded"]
    assert not market.api3.aggregator.missingSince(1, 2)


def test_dry_run__signs_nothing(market: Market) -> None:
    keeper = market.start(dry_run=True)
    [line] = keeper.round()
    assert (line["event"], line["do"], line["why"]) == ("would", "publish", "first")
    assert market.world.node.sent == []


def test_feeds_of__wrong_keys__are_refused(market: Market) -> None:
    contracts = market.world.contracts
    with pytest.raises(UserError, match="none of the 1 keys signs for a source of ETH/USD"):
        feeds_of(contracts, NAMES, ["0x" + "99" * 32])
    with pytest.raises(UserError, match="beacon key: not 0x and 64"):
        feeds_of(contracts, NAMES, ["0x12"])
    assert [one.index for one in feeds_of(contracts, NAMES, [KEYS[1]])[1].ours] == [1]


def test_check__source_without_prices__is_refused(market: Market) -> None:
    with pytest.raises(UserError, match="the source of prices has none"):
        market.start(source=FixedPrices({})).runner.run(1)


# --- sources of prices --------------------------------------------------------------------------------------------


def test_file_prices__is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    with pytest.raises(UserError, match="there is none"):
        FilePrices(path, {"ETH/USD": 1})
    path.write_text(json.dumps({"ETH/USD": "2000.5", "doge/usd": 1}))
    source = FilePrices(path, {"eth/usd": 1, "BTC/USD": 2})
    assert source.prices(0) == {1: 2000 * WAD + WAD // 2}
    path.write_text('{"BTC/USD": 60000')
    assert source.prices(0) == {}
    path.write_text('{"BTC/USD": 60000.25}')
    assert source.prices(0) == {2: 60_000 * WAD + WAD // 4}
    path.unlink()
    assert source.prices(0) == {}


def test_series_prices__is_replayed_from_the_first_look(tmp_path: Path) -> None:
    path = tmp_path / "eth.csv"
    path.write_text("ts,time_utc,close\n160,x,3\n100,x,1\n130,x,2.5\n")
    source = SeriesPrices({1: path}, speed=10)
    assert [source.prices(now)[1] * 2 // WAD for now in (7_000, 7_002, 7_003, 7_005, 7_006, 9_999)] == [
        2,
        2,
        5,
        5,
        6,
        6,
    ]


def test_file_prices__of_one_source__its_own_or_everyones_or_none(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"ETH/USD": 2000, "ETH/USD@api3-2": "1900", "BTC/USD@uniswap": 5, "BTC/USD": 6}))
    source = FilePrices(path, {"ETH/USD": 1, "BTC/USD": 2})
    assert source.prices(0) == source.prices(0, "api3-1") == {1: 2000 * WAD, 2: 6 * WAD}
    assert source.prices(0, "api3-2") == {1: 1900 * WAD, 2: 6 * WAD}
    assert source.prices(0, "uniswap") == {1: 2000 * WAD, 2: 5 * WAD}
    path.write_text(json.dumps({"ETH/USD": 2000, "ETH/USD@api3-2": None}))
    assert (source.prices(0, "api3-2"), source.prices(0)) == ({}, {1: 2000 * WAD})


def test_fixed_prices__of_one_source__its_own_or_silence() -> None:
    source = FixedPrices({1: PRICE, 2: WAD}, {"api3-2": {1: PRICE // 2}, "datastreams": {1: None}})
    assert source.prices(0) == source.prices(0, "api3-1") == {1: PRICE, 2: WAD}
    assert source.prices(0, "api3-2") == {1: PRICE // 2, 2: WAD}
    assert source.prices(0, "datastreams") == {2: WAD}


def test_series_prices__of_one_source__in_step_with_the_markets(tmp_path: Path) -> None:
    """The series of a perpetual begins later than that of the spot: its first price stands until then."""
    spot, perpetual = tmp_path / "spot.csv", tmp_path / "perpetual.csv"
    spot.write_text("ts,close\n100,10\n160,20\n220,30\n")
    perpetual.write_text("ts,close\n160,19\n220,25\n")
    source = SeriesPrices({1: spot}, own={"datastreams": {1: perpetual}, "chainlink": {2: perpetual}}, speed=60)
    found = [(source.prices(now)[1] // WAD, source.prices(now, "datastreams")[1] // WAD) for now in (7, 8, 9, 99)]
    assert found == [(10, 19), (20, 19), (30, 25), (30, 25)]
    assert [source.prices(now, "chainlink")[2] // WAD for now in (7, 8)] == [19, 25]


def test_said__one_source_cannot_be_asked__the_others_go_on() -> None:
    class Broken(FixedPrices):
        def prices(self, now: int, source: str = "") -> Mapping[int, int]:
            if source == "api3-2":
                raise OSError("no route to host")
            return super().prices(now, source)

    assert said(Broken({1: PRICE}), 0, ["api3-1", "api3-2"]) == {"api3-1": {1: PRICE}, "api3-2": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "it is empty"), ("a,b\n1,2\n", "not a CSV with the columns"), ("ts,close\n1,x\n", "close: 'x'")],
)
def test_series_prices__no_series__is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "eth.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        SeriesPrices({1: path})
    with pytest.raises(UserError, match="can't be read"):
        SeriesPrices({1: tmp_path / "none.csv"})
    with pytest.raises(UserError, match="speed 0 is not at least 1"):
        SeriesPrices({}, speed=0)
