import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.dashboard import page
from plimsoll.dashboard.report import ReplayReport, load
from tests.python.dashboard.made_up import made_up_report


@pytest.fixture(scope="module")
def report() -> ReplayReport:
    return made_up_report(hours=2)


@pytest.fixture
def uplot(tmp_path: Path) -> Path:
    """A folder that stands for uPlot's distribution."""
    folder = tmp_path / "uplot"
    folder.mkdir()
    (folder / "uPlot.min.css").write_text(".uplot{}")
    (folder / "uPlot.iife.min.js").write_text('var uPlot="</script>";')
    return folder


def data_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    content: dict[str, object] = json.loads(found[1])
    return content


def test_write_report__dataclass_or_mapping__writes_the_same_files(
    report: ReplayReport, tmp_path: Path, uplot: Path
) -> None:
    json_file, html_file = page.write_report(report, tmp_path / "new" / "folder", uplot=uplot)
    assert (json_file.name, html_file.name) == ("report.json", "report.html")
    assert load(json_file) == report
    again = page.write_report(report.to_json(), tmp_path / "again", uplot=uplot)
    assert [file.read_text() for file in again] == [json_file.read_text(), html_file.read_text()]


def test_write_report__folder_that_is_a_file__is_a_user_error(
    report: ReplayReport, tmp_path: Path, uplot: Path
) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        page.write_report(report, tmp_path / "taken", uplot=uplot)


def test_write_report__no_uplot__says_what_to_do_and_writes_nothing(report: ReplayReport, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"uPlot.min.css not found: run make bootstrap"):
        page.write_report(report, tmp_path / "reports", uplot=tmp_path)
    assert not (tmp_path / "reports").exists()


def test_render__page__loads_nothing_from_elsewhere(report: ReplayReport, uplot: Path) -> None:
    html = page.render(report, uplot=uplot)
    assert "default-src 'none'" in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
    assert not re.search(r"@import|url\(", html)
    assert "{{" not in html
    assert html.count("<script") == html.count("</script>") == 3


def test_render__every_plot__has_a_place_a_title_and_a_sentence(report: ReplayReport, uplot: Path) -> None:
    html = page.render(report, uplot=uplot)
    for plot in page.plots(report):
        assert f'id="plot-{plot.id}"' in html
        assert plot.title in html
        assert plot.caption.endswith(".")
    for title in ("ETH: price", "BTC: open interest", "Health of accounts", "Insurance fund", "Funding rate"):
        assert f"<h3>{title}</h3>" in html


def test_render__numbers_for_plots__are_one_a_row(report: ReplayReport, uplot: Path) -> None:
    data = data_of(page.render(report, uplot=uplot))
    rows = len(report.series)
    assert isinstance(data["ts"], list)
    assert isinstance(data["plots"], list)
    assert len(data["ts"]) == rows
    assert {len(line["values"]) for plot in data["plots"] for line in plot["lines"]} == {rows}
    price = next(plot for plot in data["plots"] if plot["id"] == "price-ETH")["lines"][0]["values"]
    assert price[-1] == pytest.approx(report.series[-1].markets["ETH"].price / WAD)


def test_plots__health__is_stacked_with_the_worst_at_the_bottom(report: ReplayReport) -> None:
    health = next(plot for plot in page.plots(report) if plot.id == "health")
    row = report.series[70]
    assert [line.values[70] for line in health.lines] == [sum(row.health[: bucket + 1]) for bucket in range(6, -1, -1)]
    assert [line.shown[70] for line in health.lines if line.shown] == list(reversed(row.health))


def test_plots__volume__by_way_and_all_of_it_in_words(report: ReplayReport) -> None:
    volume = next(plot for plot in page.plots(report) if plot.id == "volume")
    assert [line.label for line in volume.lines] == ["pool", "book", "liquidations"]
    last = report.series[-1]
    assert [line.values[-1] * WAD for line in volume.lines[:2]] == [last.pool_usd, last.matched_usd]
    assert "pool $14.4m, book $4.80m" in volume.caption


def test_render__headline__has_what_was_matched(report: ReplayReport, uplot: Path) -> None:
    html = page.render(report, uplot=uplot)
    assert "Through the book" in html
    assert "795 matches" in html


def test_plots__liquidations_a_minute__sum_to_the_total(report: ReplayReport) -> None:
    rate = next(plot for plot in page.plots(report) if plot.id == "liquidations-rate")
    shown = {line.label: sum(line.shown or ()) for line in rate.lines}
    assert shown == {"absorptions": report.absorbed, "take-overs": report.takeovers, "close-outs": report.closeouts}
    assert sum(rate.lines[0].values) == report.liquidations


def test_render__hostile_text__is_shown_and_not_run(report: ReplayReport, uplot: Path) -> None:
    attack = "</script><script>alert(1)</script>{{css}}"
    event = dataclasses.replace(report.events[0], account=attack, market=attack)
    hostile = dataclasses.replace(report, title=attack, prices_source=attack, gas={attack: 1}, events=(event,))
    html = page.render(hostile, uplot=uplot)
    assert "<script>alert" not in html
    assert html.count("<script") == html.count("</script>") == 3
    assert "&lt;script&gt;alert(1)" in html


def test_render__failed_check__is_marked(report: ReplayReport, uplot: Path) -> None:
    html = page.render(dataclasses.replace(report, sum_base={"ETH": 7}), uplot=uplot)
    assert '<li class="fail">' in html
    assert "ETH 7 wei" in html
    assert "2 of 4" in html


def test_render__no_series_and_no_events__has_tables_only(report: ReplayReport, uplot: Path) -> None:
    html = page.render(dataclasses.replace(report, series=(), events=(), gas={}), uplot=uplot)
    assert data_of(html) == {"ts": [], "focus": None, "plots": []}
    assert "<figure" not in html
    assert "one by one" not in html


def test_render__quiet_replay__has_no_focus_and_says_so(report: ReplayReport, uplot: Path) -> None:
    rows = tuple(
        dataclasses.replace(row, closeouts=0, takeovers=0, absorbed=0, bad_debt_usd=0, health=(0, 0, 0, 9, 9, 9, 9))
        for row in report.series
    )
    html = page.render(dataclasses.replace(report, series=rows, events=()), uplot=uplot)
    assert data_of(html)["focus"] is None
    for sentence in ("There were none.", "There was none.", "None stood below 1"):
        assert sentence in html


def test_render__many_events__shows_the_largest_in_order_of_time(report: ReplayReport, uplot: Path) -> None:
    event = report.events[0]
    events = tuple(
        dataclasses.replace(event, ts=event.ts + place, notional_usd=place * WAD, account=f"account-{place:03d}")
        for place in range(page.MAX_EVENTS + 5)
    )
    html = page.render(dataclasses.replace(report, events=events), uplot=uplot)
    shown = re.findall(r"account-(\d{3})", html)
    assert shown == [f"{place:03d}" for place in range(5, page.MAX_EVENTS + 5)]
    assert f"The {page.MAX_EVENTS} largest of 205 steps" in html


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to parse it")
def test_script__of_the_page__parses() -> None:
    script = Path(page.__file__).parent / "assets" / "report.js"
    assert subprocess.run(["node", "--check", str(script)], check=False).returncode == 0
