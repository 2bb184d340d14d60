import dataclasses
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD, to_wad
from plimsoll.dashboard import report as reports
from plimsoll.dashboard.report import ReplayReport
from tests.python.dashboard.made_up import made_up_report

SUMMARY_KEYS = {
    "prices_source",
    "minutes",
    "accounts",
    "fills",
    "closeouts",
    "takeovers",
    "absorbed",
    "bad_debt_usd",
    "insurance_start_usd",
    "insurance_end_usd",
    "pool_share_price_start",
    "pool_share_price_end",
    "keeper_rewards_usd",
    "liquidation_delay_blocks",
    "sum_base",
    "vault_tokens_minus_claims",
    "model_mismatches",
    "gas",
    "wall_seconds",
}


@pytest.fixture(scope="module")
def report() -> ReplayReport:
    return made_up_report(hours=2)


# ----------------------------------------------------------------------------------------------------------- summing


@pytest.mark.parametrize(
    ("health", "bucket"),
    [
        ("-3", 0),
        ("0", 0),
        ("0.000000000000000001", 1),
        ("0.499999999999999999", 1),
        ("0.5", 2),
        ("0.999999999999999999", 2),
        ("1", 3),
        ("1.25", 4),
        ("2", 5),
        ("4.999999999999999999", 5),
        ("5", 6),
        ("1000000", 6),
    ],
)
def test_health_bucket__edges__belong_to_the_upper_bucket(health: str, bucket: int) -> None:
    assert reports.health_bucket(to_wad(health)) == bucket


def test_health_histogram__accounts__are_counted_once() -> None:
    assert reports.health_histogram([0, WAD, WAD, 9 * WAD]) == (1, 0, 0, 2, 0, 0, 1)


@pytest.mark.parametrize(
    ("changes", "passed"),
    [
        ({}, [True, True, True, True]),
        ({"sum_base": {"ETH": 1, "BTC": 0}}, [False, True, False, True]),
        ({"sum_base": {"ETH": -3}, "base_dust_bound": {"ETH": 3}}, [True, True, True, True]),
        ({"sum_base": {"ETH": -4}, "base_dust_bound": {"ETH": 3}}, [False, True, False, True]),
        ({"vault_tokens_minus_claims": -1}, [True, False, False, True]),
        ({"vault_tokens_minus_claims": 10_001}, [True, False, False, True]),
        ({"vault_tokens_minus_claims": 10_001, "vault_dust_bound": None}, [True, True, True, True]),
        ({"equity_minus_tokens": -10_000}, [True, True, True, True]),
        ({"equity_minus_tokens": -10_001}, [True, True, False, True]),
        ({"equity_minus_tokens": 1, "vault_dust_bound": None}, [True, True, False, True]),
        ({"model_mismatches": 1}, [True, True, True, False]),
        ({"fund_ledger_entries": 5, "fund_ledger_minus_balance": 0}, [True, True, True, True, True]),
        ({"fund_ledger_entries": 5, "fund_ledger_minus_balance": -1}, [True, True, True, True, False]),
    ],
)
def test_checks__sums_and_mismatches__pass_within_their_dust(
    report: ReplayReport, changes: dict[str, Any], passed: list[bool]
) -> None:
    assert [check.passed for check in reports.checks(dataclasses.replace(report, **changes))] == passed


def test_series_row__wrong_number_of_buckets__is_refused(report: ReplayReport) -> None:
    with pytest.raises(UserError, match="6 health counts; give 7"):
        dataclasses.replace(report.series[0], health=(1,) * 6)


# -------------------------------------------------------------------------------------------------------------- JSON


def test_dumps__report__has_the_keys_and_plain_numbers(report: ReplayReport) -> None:
    content = json.loads(reports.dumps(report))
    assert set(content) >= SUMMARY_KEYS
    assert isinstance(content["bad_debt_usd"], (int, float))
    assert content["insurance_start_usd"] == 1_000_000
    assert content["sum_base"] == {"ETH": 0, "BTC": 0}
    assert content["liquidation_delay_blocks"] == {"median": 1.5, "max": 14}
    assert len(content["series"]) == report.minutes == 120
    assert set(content["series"][0]["markets"]["ETH"]) == {
        "price",
        "mark",
        "long_oi",
        "short_oi",
        "skew",
        "funding_rate",
    }


def test_dumps__report__says_how_the_order_book_was_used(report: ReplayReport) -> None:
    content = json.loads(reports.dumps(report))
    used = {"matches": 795, "stops_executed": 77, "take_profits_executed": 34, "orders_voided": 104}
    expected = used | {"relayed": 305, "delegated": 265, "matched_usd": 4_800_000}
    assert {key: content[key] for key in expected} == expected


def test_from_json__report_without_an_order_book__reads_as_unused(report: ReplayReport) -> None:
    content = {key: value for key, value in report.to_json().items() if key in SUMMARY_KEYS}
    read = ReplayReport.from_json(content)
    assert (read.matches, read.matched_usd, read.stops_executed, read.relayed) == (0, 0, 0, 0)


def test_dumps__last_wei__is_not_lost(report: ReplayReport, tmp_path: Path) -> None:
    exact = dataclasses.replace(report, bad_debt_usd=123_456_789 * WAD + 1, keeper_rewards_usd=-1)
    file = tmp_path / "report.json"
    file.write_text(reports.dumps(exact))
    assert "123456789.000000000000000001" in file.read_text()
    assert reports.load(file) == exact


def test_from_json__floats__are_rounded_to_nine_decimals(report: ReplayReport) -> None:
    content = json.loads(reports.dumps(report))
    content["bad_debt_usd"] = 0.1 + 0.2
    assert ReplayReport.from_json(content).bad_debt_usd == to_wad("0.3")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fills": None}, "report.fills must be a whole number, not 'None'"),
        ({"fills": 1.5}, "report.fills must be a whole number"),
        ({"fills": True}, "report.fills must be a whole number"),
        ({"bad_debt_usd": "12"}, "report.bad_debt_usd must be a number"),
        ({"prices_source": 1}, "report.prices_source must be text"),
        ({"sum_base": [0]}, "report.sum_base must be a table"),
        ({"sum_base": {"ETH": "0"}}, "report.sum_base.ETH must be a whole number"),
        ({"series": {}}, "report.series must be a list"),
        ({"series": [{}]}, r"report.series\[0\]: ts is missing"),
        ({"liquidation_delay_blocks": {"median": 1, "max": 2, "mean": 1}}, "mean is not a key; known are median, max"),
        ({"bad_dept": 1}, "report: bad_dept is not a key"),
    ],
)
def test_from_json__wrong_content__names_the_key(report: ReplayReport, changes: dict[str, Any], reason: str) -> None:
    content = {**report.to_json(), **changes}
    with pytest.raises(UserError, match=reason):
        ReplayReport.from_json(content)


def test_from_json__unknown_kind_of_event__names_it(report: ReplayReport) -> None:
    content = report.to_json()
    content["events"][0]["kind"] = "seizure"
    with pytest.raises(UserError, match=r"events\[0\].kind must be one of closeout, takeover, absorbed"):
        ReplayReport.from_json(content)


def test_from_json__optional_keys__may_be_left_out(report: ReplayReport) -> None:
    content = {key: value for key, value in report.to_json().items() if key in SUMMARY_KEYS}
    read = ReplayReport.from_json(content)
    assert (read.series, read.events, read.equity_minus_tokens) == ((), (), None)
    del content["gas"]
    with pytest.raises(UserError, match="gas is missing"):
        ReplayReport.from_json(content)


def test_load__unreadable__is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        reports.load(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        reports.load(tmp_path / "report.json")
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(UserError, match="report must be a table"):
        reports.load(tmp_path / "report.json")


# ---------------------------------------------------------------------------------------------------------- terminal


def printed(report: ReplayReport) -> str:
    console = Console(file=io.StringIO(), width=140)
    reports.print_table(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_print_table__report__shows_facts_checks_and_gas(report: ReplayReport) -> None:
    text = printed(report)
    for part in (
        "Replay: the crash",
        "120 minutes",
        "$1,000,000.00 →",
        "1.5 blocks",
        "model",
        "close-out",
        "268,120",
        "795",
        "305",
    ):
        assert part in text
    assert "FAILS" not in text


def test_print_table__failed_check__stands_out(report: ReplayReport) -> None:
    assert "FAILS" in printed(dataclasses.replace(report, model_mismatches=2, gas={}))


def test_facts__share_price_of_nothing__has_no_change(report: ReplayReport) -> None:
    empty = dataclasses.replace(report, pool_share_price_start=0, wall_seconds=Decimal(100))
    remarks = {fact.label: fact.remark for fact in reports.facts(empty)}
    assert remarks["Pool share price"] == "0.000%"
    assert remarks["Length"] == "replayed in 100 s"
