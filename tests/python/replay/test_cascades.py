"""The study's command, its tables, figures and files."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.replay.cascades import grid, tables
from plimsoll.replay.cascades.cli import REPORT, main
from plimsoll.replay.cascades.grid import FlatRow, PushRow, Row
from plimsoll.replay.cascades.plots import write_plots
from plimsoll.replay.cascades.report import fill, write_runs
from plimsoll.risk.study.cascade import Cascade
from plimsoll.risk.study.push import Pusher, flat_push
from plimsoll.risk.study.result import Result, Sample
from tests.python.risk.study.setting import MILLION, made_up, small


@pytest.fixture(scope="module")
def result() -> Result:
    return Cascade(made_up(), small()).run()


@pytest.fixture(scope="module")
def pusher() -> Pusher:
    return flat_push(small(pool_usd=40 * MILLION, publish_seconds=4), 5 * MILLION, MILLION, 60)


@pytest.fixture
def main_rows(result: Result) -> list[Row]:
    return [
        Row("made up", cap.name, setting, result)
        for cap in grid.CAPS
        for size in grid.SIZES
        for every in grid.FREQUENCIES
        for capital in (0, grid.TAKE_OVER_USD)
        if (setting := cap.on(small(open_interest_percent=size, publish_seconds=every, take_over_usd=capital)))
    ]


@pytest.fixture
def target_rows(result: Result) -> list[Row]:
    return [
        Row("made up", cap.name, small(target_health_bps=target, publish_seconds=every), result)
        for target in grid.TARGETS_BPS
        for every in grid.FREQUENCIES
        for cap in (grid.LONG, grid.SHIPPED)
    ]


@pytest.fixture
def attacks(result: Result, pusher: Pusher) -> tuple[list[FlatRow], list[PushRow]]:
    flat = [
        FlatRow(cap.name, victims, refill, pusher)
        for cap in grid.WINDOWS
        for victims in grid.FLAT_VICTIMS_USD
        for refill in grid.BUYERS_USD
    ]
    pushes = [
        PushRow("made up", cap.name, "leaning", refill, pusher, result, result)
        for cap in grid.WINDOWS
        for refill in grid.BUYERS_USD
    ]
    return flat, pushes


def test_all_tables__every_kind_of_row__has_a_place_in_the_report(
    main_rows: list[Row], target_rows: list[Row], attacks: tuple[list[FlatRow], list[PushRow]]
) -> None:
    found = tables.all_tables(main_rows, main_rows[:2], target_rows, *attacks)
    text = fill(REPORT.read_text(encoding="utf-8"), found)
    for table in found.values():
        assert table in text
        assert len({line.count("|") for line in table.splitlines()}) == 1
        assert len(table.splitlines()) > 2
    assert fill(text, found) == text


def test_report__its_figures__are_there() -> None:
    links = re.findall(r"\]\((cascades/[^)]+)\)", REPORT.read_text(encoding="utf-8"))
    assert len(links) >= 7
    assert all((REPORT.parent / link).is_file() for link in links)


def test_fill__a_marker_without_a_table__is_refused() -> None:
    with pytest.raises(UserError, match="marks tables one, the study has two"):
        fill("<!-- table: one -->\n<!-- end -->", {"two": "|"})


def test_write_plots__every_kind_of_row__writes_figures_that_are_the_same_again(
    tmp_path: Path, main_rows: list[Row], target_rows: list[Row], attacks: tuple[list[FlatRow], list[PushRow]]
) -> None:
    crash = made_up()
    trace = [Sample(crash.worst + second, 2_000 * WAD, -100 * second, 0, 0, 0) for second in range(0, 100, 10)]
    traces = {cap.name: Result(trace=trace) for cap in grid.COMPARED}
    written = [write_plots(tmp_path / name, crash, traces, main_rows, target_rows, *attacks) for name in ("a", "b")]
    assert [path.read_bytes() for path in written[0]] == [path.read_bytes() for path in written[1]]
    assert len(written[0]) == 6


def test_write_runs__a_run__stands_in_dollars_and_basis_points(tmp_path: Path) -> None:
    found = Result(bankrupt=3, against=1_500_000 * WAD + WAD // 2, skew_lowest=-1_205, delays=[0, 15, 30])
    write_runs(tmp_path / "runs.csv", [Row("made up", "×1, 5 s", small(take_over_usd=MILLION), found)])
    with (tmp_path / "runs.csv").open(encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert (line["bankrupt"], line["against"], line["skew_lowest"]) == ("3", "1500001", "-12.05")
    assert (line["take_over_usd"], line["delay_50"], line["delay_100"]) == ("1000000", "15", "30")


def test_main__a_part_of_the_study__prints_a_line_for_each_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLIMSOLL_DATA", "")
    monkeypatch.setattr(grid, "CAPS", (grid.SHIPPED, grid.OFF))
    monkeypatch.setattr(grid, "COMPARED", (grid.SHIPPED,))
    monkeypatch.setattr(grid, "Setting", lambda **given: replace(small(), **given))
    assert main(["--crash", "ETH made up", "--sizes", "100", "--every", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3
    assert lines[2].startswith("| ETH made up | 100% | 60 s | – | ×1, 5 s |")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crash", "DOGE"], "--crash DOGE: there are ETH made up, BTC made up"),
        (["--sizes", "0,100"], "--sizes 0,100: give whole numbers from 1 to 1,000"),
        (["--every", "fast"], "--every fast: give whole numbers from 1 to 3,600"),
        (["--write", "--every", "1"], "--write: the report is of the whole study"),
        (["--write"], "--write: there are no prices of ETH March 2020"),
    ],
)
def test_main__wrong_input__says_what_to_give(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLIMSOLL_DATA", "")
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
