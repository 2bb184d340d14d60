"""`ape run index` and `ape run history`: what they print, and how they end."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.index.store import open_store
from tests.integration.index.conftest import Traded

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

Run = Callable[..., "Result"]


@pytest.fixture
def run(traded: Traded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command of scripts/ in this process, on the devnet: its result."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PLIMSOLL_INDEX", str(tmp_path / "index.duckdb"))
    from click.testing import CliRunner

    from scripts import history, index

    def invoke(command: str, *arguments: str) -> Result:
        common = ["--network", f"optimism:devnet:{traded.devnet.node.url}"]
        common += ["--deployments", str(traded.devnet.manifest_path.parent)]
        return CliRunner().invoke({"index": index.cli, "history": history.cli}[command], [*arguments, *common])

    return invoke


def busiest(path: Path) -> str:
    with open_store(path) as store:
        rows = store.query("SELECT account FROM events WHERE name = 'Traded' GROUP BY 1 ORDER BY count(*) DESC, 1")
    return str(rows[0][0])


def test_index__once__reads_all_and_says_how_much(run: Run, traded: Traded, tmp_path: Path) -> None:
    result = run("index", "--once")
    assert result.exit_code == 0, result.output
    assert f" to {traded.devnet.chain.block_number}: " in result.output
    again = run("index", "--once")
    assert (again.exit_code, again.output) == (0, "")


def test_history__of_an_account__for_people_tables_and_programs(run: Run, tmp_path: Path) -> None:
    run("index", "--once")
    account = busiest(tmp_path / "index.duckdb")
    shown = run("history", "fills", account)
    assert shown.exit_code == 0, shown.output
    rows = json.loads(run("history", "fills", account, "--json").output)
    table = list(csv.DictReader(io.StringIO(run("history", "fills", account, "--csv").output)))
    assert rows == table
    assert len(shown.output.splitlines()) == len(rows) > 1
    assert {"time", "kind", "base", "price", "fee"} <= rows[0].keys()
    paid = run("history", "funding", account)
    assert all(" paid " in line or " got " in line for line in paid.output.splitlines())
    assert paid.output.count("\n") == len(json.loads(run("history", "funding", account, "--json").output)) > 0


def test_history__of_everybody__liquidations_rates_and_fund(run: Run) -> None:
    liquidations = run("history", "liquidations")
    assert " Liquidated " in liquidations.output
    kinds = {row["kind"] for row in json.loads(run("history", "liquidations", "--json").output)}
    assert {"Liquidated", "TakenOver", "Absorbed"} <= kinds
    assert "% a day" in run("history", "rates", "--market", "eth").output
    fund = run("history", "fund")
    assert fund.exit_code == 0
    assert fund.output.splitlines()[-1] == "right: the ledger from events is the balance, to the wei"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fills"], "name the account"),
        (["fills", "0x12"], "has no owner"),
        (["rates"], "--market must be one of"),
        (["rates", "--market", "DOGE"], "--market must be one of"),
        (["fills", "1", "--json", "--csv"], "give one of them"),
    ],
)
def test_history__mistakes__are_one_line_and_2(run: Run, arguments: list[str], said: str) -> None:
    result = run("history", *arguments)
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert said in result.output


def test_history__database_is_no_database__is_one_line_and_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database\n" * 1_000)
    result = run("history", "fund", "--database", str(tmp_path / "notes.txt"))
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
