"""How drills are run and told of, without a chain."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.drills import __main__ as command
from plimsoll.drills import run
from plimsoll.drills.notes import Notes, ratio, usd
from plimsoll.drills.run import drill, drill_all, lines_of
from plimsoll.drills.venues import NoData


def passes(notes: Notes) -> None:
    notes.parameters["size"] = "small"
    notes.figure("money", usd(1_234_560 * WAD // 1_000))
    notes.figure("parts", {"one": 1, "others": [2, 3]})
    notes.promise("the sun rises", True, "in the east")


def breaks(notes: Notes) -> None:
    notes.promise("it holds", True)
    notes.promise("it doesn't", False, "42 wei")


def ends(notes: Notes) -> None:
    notes.figure("so far", 1)
    raise ValueError("no more")


def lacks(notes: Notes) -> None:
    raise NoData("needs prices")


@pytest.fixture
def drills(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        one.__name__: SimpleNamespace(__doc__=f"What {one.__name__}.\n", play=one)
        for one in (passes, breaks, ends, lacks)
    }
    monkeypatch.setattr(run, "DRILLS", made)
    monkeypatch.setattr(command, "DRILLS", made)


@pytest.mark.usefixtures("drills")
def test_drill_all__one_of_each__json_at_the_end_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    assert drill_all(["passes", "breaks", "ends", "lacks"], tmp_path, lines.append) == 1
    assert json.loads(lines[-1]) == {
        "passes": {"passed": True, "figures": {"money": "1234.56", "parts": {"one": 1, "others": [2, 3]}}},
        "breaks": {"passed": False, "figures": {"reason": "broken: it doesn't (42 wei)"}},
        "ends": {"passed": False, "figures": {"so far": 1, "reason": "ValueError: no more"}},
        "lacks": {"passed": None, "figures": {"reason": "needs prices"}},
    }
    assert "  BROKEN  it doesn't: 42 wei" in lines
    assert not any("it holds" in line for line in lines)
    assert "ValueError: no more" in capsys.readouterr().err
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["breaks", "ends", "lacks", "passes"]


@pytest.mark.usefixtures("drills")
@pytest.mark.parametrize(("names", "code"), [(["passes"], 0), (["passes", "lacks"], 0), (["ends"], 1), (["breaks"], 1)])
def test_drill_all__exit_code__is_1_where_one_fails(names: list[str], code: int, tmp_path: Path) -> None:
    assert drill_all(names, tmp_path, lambda line: None) == code


@pytest.mark.usefixtures("drills")
def test_drill__passes__the_report_has_everything(tmp_path: Path) -> None:
    report = drill("passes", tmp_path)
    assert list(lines_of(report)) == [
        "passes                  passed   1 of 1 promises held, 0 s",
        "What passes.",
        "  size: small",
        "figures",
        "  money: 1234.56",
        "  parts",
        "    one: 1",
        "    others: 2, 3",
        "promises",
        "  holds   the sun rises: in the east",
    ]
    written = json.loads((tmp_path / "passes.json").read_text())
    assert written["promises"] == [{"text": "the sun rises", "held": True, "found": "in the east"}]
    assert "reason" not in written


@pytest.mark.usefixtures("drills")
def test_drill__wrong_setting__is_the_users_and_ends_the_run(tmp_path: Path) -> None:
    def play(notes: Notes) -> None:
        raise UserError("PLIMSOLL_DATA=x is not a folder")

    with pytest.raises(UserError, match="is not a folder"):
        drill("passes", tmp_path, play)


@pytest.mark.usefixtures("drills", "built")
def test_main__unknown_name__one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["nope"]) == 2
    assert capsys.readouterr().err == "error: no drill nope; there are passes, breaks, ends, lacks\n"


@pytest.mark.usefixtures("drills", "built")
def test_main__a_name_and_a_folder__only_that_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["passes", "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]).keys() == {"passes"}
    assert (tmp_path / "out" / "passes.json").is_file()


def test_ratio__health__four_places() -> None:
    assert ratio(WAD * 3 // 4) == "0.7500"
