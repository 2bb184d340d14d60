from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.devnet import anvil
from plimsoll.replay import cli
from plimsoll.replay.run import Replay, SumsBroken
from plimsoll.risk.scenario import prices
from plimsoll.risk.scenario.scenario import demo

SHORT = ["--minutes", "3", "--accounts", "12"]


@pytest.fixture(autouse=True)
def synthetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")
    monkeypatch.chdir(tmp_path)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr of a command that ends with 2 and writes nothing."""
    assert cli.main(arguments) == 2
    assert not Path("reports").exists()
    [line] = capsys.readouterr().err.splitlines()
    return line


def write_bars(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join(["ts,open,high,low,close", *rows]))
    return str(path)


def bars(count: int = 5, price: int = 2_000) -> list[str]:
    return [f"{1_700_000_040 + 60 * n},{price},{price + 10},{price - 10},{price + n}" for n in range(count)]


def test_main__model_only__prints_the_table_and_writes_both_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--model-only", *SHORT]) == 0
    out = capsys.readouterr().out
    assert "Replay: a made-up crash" in out
    assert "holds" in out
    assert "FAILS" not in out
    report = json.loads(Path("reports/demo/report.json").read_text())
    assert (report["minutes"], report["accounts"], report["model_mismatches"]) == (3, 12, 0)
    assert "<html" in Path("reports/demo/report.html").read_text()


def test_main__out__writes_there(tmp_path: Path) -> None:
    assert cli.main(["--model-only", "--out", str(tmp_path / "there"), *SHORT]) == 0
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["report.html", "report.json"]


def test_main__given_prices__are_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eth = write_bars(tmp_path / "eth.csv", bars())
    btc = write_bars(tmp_path / "btc.csv", bars(price=60_000))
    assert cli.main(["--model-only", "--prices-eth", eth, "--prices-btc", btc, "--accounts", "12"]) == 0
    assert "eth.csv, btc.csv" in capsys.readouterr().out
    assert json.loads(Path("reports/demo/report.json").read_text())["minutes"] == 5


def test_main__bad_row__names_file_row_and_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eth = write_bars(tmp_path / "eth.csv", [*bars(2), "1700000160,2000,2010,abc,2000"])
    btc = write_bars(tmp_path / "btc.csv", bars(3, 60_000))
    line = failed(capsys, "--model-only", "--prices-eth", eth, "--prices-btc", btc)
    assert line.startswith(f"error: {eth}: row 4, column low: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prices-eth", "x.csv"], "--prices-btc"),
        (["--prices-eth", "x.csv", "--prices-btc", "y.csv"], "x.csv: cannot be read"),
        (["--minutes", "0"], "--minutes 0 does not lie between 1 and the 1,440 of the prices"),
        (["--minutes", "2000"], "--minutes 2000"),
        (["--accounts", "0"], "population: accounts must be at least 1"),
        (["--scenario", "none.toml"], "none.toml: cannot be read"),
    ],
)
def test_main__wrong_input__one_line_and_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in failed(capsys, "--model-only", *arguments)


def test_main__scenario_file__is_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[prices]\nsource = "synthetic"\nhours = 1\n[population]\naccounts = 9\n')
    assert cli.main(["--model-only", "--scenario", str(path), "--minutes", "2"]) == 0
    report = json.loads(Path("reports/demo/report.json").read_text())
    assert (report["title"], report["accounts"], report["minutes"]) == ("Replay: mine", 9, 2)


def test_main__interrupted__says_that_nothing_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Replay, "run", stop)
    assert cli.main(["--model-only", *SHORT]) == 130
    assert capsys.readouterr().err == "interrupted: nothing was written\n"
    assert not Path("reports").exists()


def test_main__a_sum_is_broken__one_line_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_(*_: Any) -> None:
        raise SumsBroken("minute 3: Σ base of market 1 is 5 wei, not 0")

    monkeypatch.setattr(Replay, "run", break_)
    assert cli.main(["--model-only", *SHORT]) == 1
    assert capsys.readouterr().err == "error: minute 3: Σ base of market 1 is 5 wei, not 0\n"
    assert not Path("reports").exists()


def test_main__no_anvil__says_how_to_get_it(
    built: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: Any) -> Path:
        raise UserError("anvil not found: run make bootstrap")

    monkeypatch.setattr(anvil, "find_anvil", missing)
    assert failed(capsys, *SHORT) == "error: anvil not found: run make bootstrap"


def test_around_the_low__fewer_minutes__the_lowest_price_in_their_last_quarter() -> None:
    history = demo().load_prices()
    low = min(history.markets["ETH"], key=lambda bar: bar.low).ts
    cut = cli.around_the_low(history, 40)
    assert cut.minutes == 40
    assert (low - cut.start) // 60 == 30
    assert cut.source.startswith("synthetic crash of ETH and BTC, seed 1, 1-minute bars, 2021-05-19 12:")
    assert cli.around_the_low(history, 1_440).minutes == 1_440
