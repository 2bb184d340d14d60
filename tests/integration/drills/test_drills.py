"""Each fault drill, played on a devnet of its own: it passes, and what it found is what docs/drills.md says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plimsoll.core.errors import UserError
from plimsoll.drills.notes import Report
from plimsoll.drills.run import drill
from plimsoll.risk.scenario import prices

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("built")]

Play = Callable[[str], dict[str, Any]]
LEDGER = (
    "Σ base = 0 in every market, to the dust",
    "Σ claims = tokens, to the dust",
    "Σ equity = tokens, to the dust",
    "contracts = reference model, to the wei",
    "each liquidation's receipt is right",
    "the fund's ledger from events = its balance",
)
"""What every drill on a stage ends with."""


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays a drill that passes; its figures. The report file says the same."""

    def play(name: str) -> dict[str, Any]:
        report = drill(name, tmp_path)
        assert report.passed, report.reason
        written = json.loads((tmp_path / f"{name}.json").read_text())
        assert written["passed"] is True
        if "20" not in name.rpartition("-")[2]:  # replays end with sums of their own
            assert [one["text"] for one in written["promises"]][-len(LEDGER) :] == list(LEDGER)
        assert written["figures"] == report.notes.figures
        return written["figures"]

    return play


@pytest.fixture
def real_prices() -> None:
    if prices.data_folder() is None:
        pytest.skip(f"no folder of real prices; set {prices.DATA_VARIABLE}")


def test_drill__lying_source__every_lie_is_told_and_none_moves_a_price(play: Play) -> None:
    figures = play("lying-source")
    for market in ("ETH/USD", "BTC/USD"):
        assert figures[f"{market}: lies told"] == 5 * 3 * 32
        refused = figures[f"{market}: refused, while the honest ones are"]
        assert all(reason.endswith("bps apart: Oracle_Dispersed") for reason in refused)
    gaps = figures["ETH/USD: seconds between two records while one source said"]
    assert set(gaps) == {"from the future", "too old", "nothing"}
    assert max(gaps.values()) < 35, "a silent source holds records up for silentAfter and a report"


@pytest.mark.usefixtures("real_prices")
def test_drill__perpetual_below_spot__not_one_liquidation_differs(play: Play) -> None:
    figures = play("perp-below-spot-2021")
    with_it, without = figures["with the perpetual"], figures["spot alone"]
    assert with_it["liquidated accounts"] == without["liquidated accounts"] > 0
    assert with_it["farthest the third source was from a record"] == "30.0%"
    assert figures["of them not by spot"] > 0, "had it been the price, others would have been hit"


@pytest.mark.usefixtures("real_prices")
def test_drill__print_of_323__no_short_is_hit(play: Play) -> None:
    figures = play("print-323-2020")
    assert figures["with the print"]["farthest the third source was from a record"] == "175.5%"
    assert figures["with the print"]["liquidated accounts"] == figures["spot alone"]["liquidated accounts"] > 0
    assert figures["a short at half its value, had the print been the price: equity"].startswith("-")


def test_drill__publisher_silent__exits_first_and_everything_comes_back(play: Play) -> None:
    figures = play("publisher-silent")
    assert figures["seconds from the first price until exits and close-outs were done"] <= 10
    assert figures["fills of stop and waiting order"] == ["1840.16", "1840.12"]
    assert figures["close-outs"] == 1
    costs = figures["exits at 1960.00 cost, fees of opening included"]
    assert 98 < float(costs["asker"]) < 130, "half a percent of $19,600, and fees"
    assert 490 < float(costs["pusher"]) < 530, "two and a half"


def test_drill__sequencer_down__top_ups_first_then_liquidations(play: Play) -> None:
    figures = play("sequencer-down")
    assert list(figures["health when prices are back"]) == ["rescued", "late"]
    assert figures["the stop"]["trigger"] == "1980.00"
    assert figures["the stop"]["filled at"].startswith("1940.")
    assert figures["close-outs after the grace"] == 1


def test_drill__all_dead__everyone_is_out_to_the_last_token_unit(play: Play) -> None:
    figures = play("all-dead")
    paid = figures["paid out"]
    assert set(paid) == {"winner", "loser", "both", "leaver", "bankrupt"}
    assert paid["bankrupt"] == "0.00"
    assert float(paid["winner"]) > 6_150, "a gain of $1,200 is kept, less fees"
    assert figures["token units left in the vault"] < 30
    assert figures["seconds from the last price until every market was closed"] > 7 * 3_600


def test_drill__l1_at_2230_gwei__liquidations_go_on(play: Play) -> None:
    figures = play("gas-2230-gwei")
    cells = [f"{gwei} gwei, data in {where}" for where in ("blobs", "blocks of L1") for gwei in (100, 2_230)]
    for cell in cells:
        earned = {size: float(one["earned"]) for size, one in figures[f"close-outs at {cell}"].items()}
        assert set(earned) == {"smallest", "middle", "large"}
        assert earned["large"] > 0
    smallest = [float(figures[f"close-outs at {cell}"]["smallest"]["gas and data"]) for cell in cells]
    assert 0 < smallest[0] < smallest[1], "the node charges for data"
    assert 0 < smallest[2] < smallest[3]


def test_drill__usdc_at_97_cents__opening_halts_and_all_else_goes_on(play: Play) -> None:
    figures = play("usdc-0.97")
    assert figures["won and lost by a rise of 5%"]["long"] == {"tokens": "500.00", "worth": "485.00"}
    assert 100 < figures["seconds from the loss of the peg until opening halted"] < 300
    assert figures["left over in dollars to who holds 10 ETH and is short as much"] == "30.00"


@pytest.mark.parametrize("name", ["perp-below-spot-2021", "print-323-2020"])
def test_drill__no_real_prices__is_skipped_and_says_why(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(prices.DATA_VARIABLE, "")
    report: Report = drill(name, tmp_path)
    assert report.passed is None
    assert report.reason.startswith("needs prices/eth_usdt_binance_")
    assert json.loads((tmp_path / f"{name}.json").read_text())["reason"] == report.reason


def test_drill__no_such_name__lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no drill nope; there are lying-source, .*usdc-0\.97$"):
        drill("nope", tmp_path)
