"""`ape run keeper book`: starts, serves and stops; and what it says where it can't."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from plimsoll.chain.build import ROOT, build_environment
from plimsoll.core.units import WAD
from tests.integration.book.conftest import ETH
from tests.integration.keepers.conftest import Bot, Stage

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = pytest.mark.node

KEEPER = "TEST::5"


def refused(stage: Stage, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """The command in this process, with a mistake in it."""
    monkeypatch.chdir(ROOT)
    from click.testing import CliRunner

    from scripts import keeper

    common = ["--network", f"optimism:devnet:{stage.devnet.node.url}"]
    common += ["--deployments", str(stage.devnet.manifest_path.parent)]
    return CliRunner().invoke(keeper.cli, ["book", *common, *arguments])


def test_book__command__serves_until_it_is_told_to_stop(stage: Stage, tmp_path: Path) -> None:
    stage.start("publisher", "provider")
    command = [str(Path(sys.executable).parent / "ape"), "run", "keeper", "book"]
    command += ["--network", f"optimism:devnet:{stage.devnet.node.url}", "--account", KEEPER, "--port", "0"]
    command += ["--deployments", str(stage.devnet.manifest_path.parent), "--store", str(tmp_path / "x" / "book.sqlite")]
    command += ["--tick", "ETH/USD=0.5", "--least", "ETH/USD=2000"]
    bot = Bot(command, cwd=ROOT, env={**os.environ, **build_environment()})
    stage.bots.append(bot)
    (started,) = bot.wait_for("started", seconds=40)
    found = httpx.get(f"{started['url']}/markets").json()["markets"][ETH - 1]
    assert (found["tick"], found["minNotional"]) == (str(WAD // 2), str(2_000 * WAD))
    assert bot.stop() == 0
    assert bot.said("stopped")


def test_book__command__mistakes_in_one_line(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    common = ("--account", KEEPER, "--wait-for-prices")
    no_market = refused(stage, monkeypatch, *common, "--tick", "DOGE=1")
    assert no_market.output == "error: there is no market DOGE; there are ETH/USD, BTC/USD\n"
    no_value = refused(stage, monkeypatch, *common, "--lot", "ETH/USD")
    assert "write it as MARKET=value" in no_value.output
    (tmp_path / "other").write_text("no database, but long enough to look like something" * 20)
    no_file = refused(stage, monkeypatch, *common, "--store", str(tmp_path / "other"))
    assert (no_file.exit_code, "it is no book's file" in no_file.output) == (2, True)
