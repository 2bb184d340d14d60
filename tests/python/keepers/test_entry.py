"""What a keeper's command takes: keys from the environment, one source of prices, fresh prices to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.index.store import SCHEMA
from plimsoll.keepers.entry import (
    Start,
    execution_terms,
    keeper_chain,
    key_from_environment,
    keys_from_environment,
    named_values,
    price_source,
    require_prices,
    run_executor,
    run_liquidator,
)
from plimsoll.keepers.executor import Terms
from plimsoll.keepers.operating import Operating
from plimsoll.sdk.deployments import Deployment
from tests.support.core import BTC, ETH
from tests.support.deployment import MARKETS, World


def start(world: World, **options: Any) -> Start:
    addresses = world.contracts.addresses
    deployment = Deployment(Path("d.json"), "test", 901, "0x", 0, addresses, MARKETS)
    return Start(deployment, world.contracts, None, **options)


def test_keys_from_environment__several_variables__give_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "0x11, 0x22,")
    monkeypatch.setenv("TWO", "0x33")
    monkeypatch.setenv("EMPTY", " ")
    assert keys_from_environment(["ONE", "TWO"]) == ["0x11", "0x22", "0x33"]
    assert keys_from_environment([]) == []
    with pytest.raises(UserError, match="the environment variable EMPTY is not set"):
        key_from_environment("EMPTY")


@pytest.mark.parametrize("pair", ["ETH", "=5", "ETH=", "ETH= "])
def test_named_values__no_pair__is_refused(pair: str) -> None:
    assert named_values(["ETH/USD = 5"], "price") == {"ETH/USD": "5"}
    with pytest.raises(UserError, match=r"price: .* is not NAME=value"):
        named_values([pair], "price")


def test_price_source__each_kind__is_by_market_name(tmp_path: Path) -> None:
    series, file = tmp_path / "eth.csv", tmp_path / "prices.json"
    series.write_text("ts,close\n1,7\n")
    file.write_text('{"BTC/USD": "6"}')
    assert price_source(MARKETS, prices=["eth=5.5"]).prices(0) == {ETH: 55 * WAD // 10}
    assert price_source(MARKETS, file=file).prices(0) == {BTC: 6 * WAD}
    assert price_source(MARKETS, series=[f"ETH/USD={series}"]).prices(0) == {ETH: 7 * WAD}


def test_price_source__single_sources__named_behind_the_market(tmp_path: Path) -> None:
    fixed = price_source(MARKETS, prices=["ETH/USD=3000", "ETH@api3-2=2990", "ETH/USD@datastreams=none"])
    assert [fixed.prices(0, name).get(ETH, 0) // WAD for name in ("", "api3-2", "datastreams")] == [3_000, 2_990, 0]
    spot, perpetual = tmp_path / "spot.csv", tmp_path / "perpetual.csv"
    spot.write_text("ts,close\n0,10\n")
    perpetual.write_text("ts,close\n0,9\n")
    series = price_source(MARKETS, series=[f"ETH/USD={spot}", f"ETH/USD@datastreams={perpetual}"])
    assert [series.prices(0, name)[ETH] // WAD for name in ("", "datastreams")] == [10, 9]
    with pytest.raises(UserError, match="a price of none is for a single source"):
        price_source(MARKETS, prices=["ETH/USD=none"])


def test_price_source__none_or_two__is_refused(tmp_path: Path) -> None:
    for options in ({}, {"prices": ["ETH=1"], "series": ["ETH=x"]}):
        with pytest.raises(UserError, match="name one source of prices"):
            price_source(MARKETS, **options)  # type: ignore[arg-type]


def test_execution_terms__price_of_eth__is_named_or_a_markets() -> None:
    assert execution_terms(MARKETS) == Terms(eth_market=ETH)
    assert execution_terms({}, 20_005 * WAD // 10, 100, sweeps=True) == Terms(None, 20_005 * WAD // 10, 100, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (({},), "no market ETH/USD says what gas costs"),
        ((MARKETS, None, -1), "a margin of -1 bps is negative"),
    ],
)
def test_execution_terms__without_sense__are_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        execution_terms(*given)


def test_keeper_chain__tips__no_more_than_it_says() -> None:
    assert keeper_chain("http://127.0.0.1:9").max_tip == 10**8
    assert keeper_chain("http://127.0.0.1:9", "0.001").max_tip == 10**6


def test_require_prices__one_fresh_price__is_enough(world: World) -> None:
    world.evm.advance(20)
    with pytest.raises(UserError, match=r"stale oracle: no price is fresh \(ETH/USD: 20 s ago, BTC/USD: \d+ s ago\)"):
        require_prices(start(world))
    require_prices(start(world, wait_for_prices=True))
    world.core.record(ETH)
    require_prices(start(world))


def test_run__without_a_key__is_refused_unless_dry(world: World) -> None:
    world.core.tick(1)
    with pytest.raises(UserError, match="executor: no key"):
        run_executor(start(world))
    with pytest.raises(UserError, match="taking over needs a key"):
        run_liquidator(start(world, dry_run=True), "5")


# --- where the index lies ------------------------------------------------------------------------------------------


def index_files(world: World, tmp_path: Path, **options: Any) -> list[str]:
    """Files that the ledger of a process opens, below the test's folder."""
    ledger = Operating(**options).ledger(world.contracts, start(world).deployment)
    with ledger._open():
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.duckdb"))


def test_ledger__of_a_keeper__lies_beside_its_store(world: World, tmp_path: Path) -> None:
    vault = world.contracts.vault.address[2:10].lower()
    assert index_files(world, tmp_path, store=f"{tmp_path}/keepers.sqlite") == [f"index/-{vault}-{SCHEMA}/1.duckdb"]


def test_ledger__folder_is_named__lies_there(world: World, tmp_path: Path) -> None:
    [file] = index_files(world, tmp_path, store="redis://127.0.0.1:1/1", index=f"{tmp_path}/own")
    assert file.startswith("own/")


@pytest.mark.parametrize("options", [{"store": "none"}, {"index": "memory"}])
def test_ledger__nothing_is_written_down__is_kept_in_memory(
    world: World, tmp_path: Path, options: dict[str, str]
) -> None:
    assert index_files(world, tmp_path, **options) == []
