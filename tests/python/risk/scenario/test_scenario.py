import itertools
import json
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, to_wad
from plimsoll.risk.scenario import prices, scenario
from plimsoll.risk.scenario.bar import CRASH_CENTRE
from plimsoll.risk.scenario.scenario import KeeperBehaviour, Scenario


@pytest.fixture(autouse=True)
def synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")


def write(folder: Path, text: str, name: str = "scenario.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_demo__no_data__is_a_day_of_two_markets_and_240_accounts() -> None:
    demo = scenario.demo()
    history = demo.load_prices()
    plans = demo.accounts(history)
    assert (history.minutes, history.bar_seconds, len(plans)) == (1440, 60, 240)
    assert prices.utc(history.start + history.crash_minute * 60) == "2021-05-19 12:00 UTC"
    assert all(leg.entry_minute <= history.crash_minute for plan in plans for leg in plan.legs)


def test_ticks__defaults__come_every_15_seconds_and_end_at_the_last_close() -> None:
    demo = scenario.demo()
    history = demo.load_prices()
    ticks = list(history.ticks(demo.keepers))
    assert len(ticks) == 1440 * 4 + 1
    assert {after.ts - before.ts for before, after in itertools.pairwise(ticks)} == {15}
    assert ticks[0].prices == {market: bars[0].open for market, bars in history.markets.items()}
    assert ticks[-1].prices == {market: bars[-1].close for market, bars in history.markets.items()}
    first = history.markets["ETH"][0]
    assert [tick.prices["ETH"] for tick in ticks[1:5]] == list(prices.path(first, 2, 2))


def test_load__toml__overrides_the_defaults(tmp_path: Path) -> None:
    text = """
    name = "short"
    seed = 7
    [prices]
    source = "synthetic"
    centre = 2021-05-19T13:00:00Z
    hours = 2
    [population]
    accounts = 10
    long_share = 0.7
    size_median_usd = 50_000
    market_weights = {ETH = 1}
    [keepers]
    publish_seconds = 30
    liquidator = false
    take_over_capital_usd = 0
    [capital]
    pool_usd = 1000000.50
    """
    loaded = scenario.load(write(tmp_path, text))
    assert (loaded.name, loaded.seed, loaded.folder) == ("short", 7, tmp_path.resolve())
    assert loaded.population.long_share == to_wad("0.7")
    assert loaded.population.size_median_usd == 50_000 * WAD
    assert loaded.population.market_weights == {"ETH": WAD}
    assert loaded.population.leverage_max == 20 * WAD
    assert loaded.keepers == KeeperBehaviour(publish_seconds=30, liquidator=False, take_over_capital_usd=0)
    assert loaded.capital.pool_usd == to_wad("1000000.5")
    assert loaded.prices.centre == CRASH_CENTRE
    assert loaded.load_prices().minutes == 120


def test_load__json__is_the_same(tmp_path: Path) -> None:
    content = {"seed": 7, "prices": {"centre": "2021-05-19T13:00:00Z"}, "population": {"long_share": 0.7}}
    loaded = scenario.load(write(tmp_path, json.dumps(content), "scenario.json"))
    assert loaded.population.long_share == to_wad("0.7")
    assert loaded.prices.centre == CRASH_CENTRE


def test_load__price_files__are_found_beside_it_and_centred_on_the_worst_hour(tmp_path: Path) -> None:
    closes = [100] * 200 + [100 - minute // 2 for minute in range(60)] + [71] * 200
    rows = [f"{minute * 60},{close},{close},{close},{close}" for minute, close in enumerate(closes)]
    write(tmp_path, "\n".join(["ts,open,high,low,close", *rows]), "sol.csv")
    text = '[prices]\nsource = "files"\nhours = 2\nfiles = {SOL = "sol.csv"}\n[population]\nmarket_weights = {SOL = 1}'
    history = scenario.load(write(tmp_path, text)).load_prices()
    assert history.source.startswith("sol.csv, 1-minute bars")
    assert abs(history.start // 60 + 60 - 230) <= 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sed = 1", "sed is not a setting; known are name, seed, prices, population, keepers, capital"),
        ("folder = 'x'", "folder is not a setting"),
        ("seed = 1.5", "seed must be a whole number, not '1.5'"),
        ("seed = true", "seed must be a whole number, not 'True'"),
        ("name = 1", "name must be text"),
        ("prices = 3", "prices must be a table of settings, not '3'"),
        ("[keepers]\nliquidator = 1", "keepers.liquidator must be true or false"),
        ("[population]\nlong_share = 'half'", "population.long_share must be a number, not 'half'"),
        ("[population]\nlong_share = 1.5", "long_share must lie between 0 and 1"),
        ("[population]\nmarket_weights = [1]", "population.market_weights must be a table of markets, not a list"),
        ("[population]\nmarket_weights = {ETH = 'x'}", "population.market_weights.ETH must be a number"),
        ("[prices]\nsource = 'web'", "prices.source must be one of default, synthetic, files, not 'web'"),
        ("[prices]\nsource = 'files'", "give files if, and only if"),
        ("[prices]\nhours = 0", "hours must be positive"),
        ("[prices]\ncentre = 'noon'", "prices.centre must be a time like"),
        ("[keepers]\npoints_per_bar = 3", "points_per_bar must be one of 1, 2, 4"),
        ("[keepers]\npublish_seconds = 0", "publish_seconds must be positive"),
        ("[capital]\npool_usd = 0", "pool_usd must be positive"),
        ("[capital]\ninsurance_usd = -1", "insurance_usd must not be negative"),
        ("seed = ", "is not valid TOML"),
    ],
)
def test_load__bad_setting__names_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UserError) as raised:
        scenario.load(file)
    assert str(raised.value).startswith(str(file))
    assert reason in str(raised.value)


def test_load__unreadable__is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        scenario.load(tmp_path / "absent.toml")
    with pytest.raises(UserError, match=r"neither \.toml nor \.json"):
        scenario.load(write(tmp_path, "", "scenario.yaml"))
    with pytest.raises(UserError, match="is not valid JSON"):
        scenario.load(write(tmp_path, "{", "scenario.json"))
    with pytest.raises(UserError, match="the file must be a table"):
        scenario.load(write(tmp_path, "[1]", "scenario.json"))


def test_load_prices__market_without_prices__is_named() -> None:
    from plimsoll.risk.scenario.population import PopulationParameters

    strange = Scenario(population=PopulationParameters(market_weights={"ETH": WAD, "DOGE": WAD}))
    with pytest.raises(UserError, match=r"names DOGE, .* there for ETH, BTC"):
        strange.load_prices()


@pytest.mark.parametrize(("seconds", "points"), [(7, 1), (60, 2), (120, 1), (20, 2)])
def test_steps__publications_that_do_not_divide_a_bar__are_refused(seconds: int, points: int) -> None:
    with pytest.raises(UserError, match="cannot be published"):
        KeeperBehaviour(publish_seconds=seconds, points_per_bar=points).steps(60)
