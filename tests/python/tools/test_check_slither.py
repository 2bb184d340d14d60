"""Findings against their explanations, and the detectors on a small contract with known faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from plimsoll.chain.build import ROOT
from tools.check_slither import Finding, analyse, compare, complaints, read_triage

FAULTY = """
// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

interface IReceiver { function receive_() external; }

contract Faulty {
    mapping(address => uint256) public balances;

    function withdraw(IReceiver receiver) external {
        if (balances[msg.sender] == 0) revert();
        receiver.receive_();
        balances[msg.sender] = 0;
    }

    function share(uint256 a, uint256 b, uint256 c) external pure returns (uint256 result) {
        result = a / b * c;
    }
}
"""

ENTRY = '[[finding]]\ncheck = "c"\nwhere = "A.f()"\nwhy = "because"\n'


def source(text: str, name: str = "contracts/market/Faulty.sol") -> dict[str, Any]:
    settings = {"evmVersion": "cancun", "outputSelection": {"*": {"*": ["abi"], "": ["ast"]}}}
    return {"language": "Solidity", "sources": {name: {"content": text}}, "settings": settings}


def test_compare__finding_without_explanation__is_told() -> None:
    messages = compare([Finding("c", "A.g()", "text")], read_triage(""))
    assert messages == ["text\n  [check = 'c', where = 'A.g()', found 1, explained 0]"]


def test_compare__explained_finding__is_quiet() -> None:
    assert compare([Finding("c", "A.f()")], read_triage(ENTRY)) == []


def test_compare__second_finding_in_an_explained_place__is_told() -> None:
    assert len(compare([Finding("c", "A.f()")] * 2, read_triage(ENTRY))) == 2
    assert compare([Finding("c", "A.f()")] * 2, read_triage(ENTRY + "count = 2")) == []


def test_compare__explanation_of_nothing__is_told() -> None:
    assert "remove what is gone" in compare([], read_triage(ENTRY))[0]


def test_compare__disabled_detector__is_quiet() -> None:
    triage = read_triage('[[disabled]]\ncheck = "c"\nwhy = "because"')
    assert compare([Finding("c", "A.f()"), Finding("c", "A.g()")], triage) == []


def test_read_triage__no_reason_or_twice__is_wrong() -> None:
    assert read_triage(ENTRY.replace("because", " ")).wrong == ["triage: c in A.f() has no reason"]
    assert read_triage('[[disabled]]\ncheck = "c"').wrong == ["triage: c in every contract has no reason"]
    assert read_triage(ENTRY + ENTRY).wrong == ["triage: c in A.f() stands there twice"]


def test_complaints__warnings__only_of_own_sources() -> None:
    header = "// SPDX-License-Identifier: MIT\npragma solidity 0.8.37;"
    unused = header + "contract A { function f() external pure { uint256 x; } }"
    assert "Unused local variable" in complaints(analyse(source(unused)))[0]
    assert complaints(analyse(source(unused, "package/A.sol"))) == []
    assert "ParserError" in complaints(analyse(source("contract {", "package/A.sol")))[0]


def test_run_detectors__faulty_contract__is_found_out(tmp_path: Path) -> None:
    """In a process of its own, because Slither leaves loggers and a working folder behind."""
    script = """
import json, pathlib, sys
from tools.check_slither import analyse, run_detectors
findings = run_detectors(analyse(json.load(sys.stdin)), pathlib.Path(sys.argv[1]))
print(json.dumps([finding.key for finding in findings]))
"""

    def findings(name: str) -> list[list[str]]:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(FAULTY)  # Slither reads the source again for line numbers
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            cwd=ROOT,
            input=json.dumps(source(FAULTY, name)),
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[list[str]] = json.loads(done.stdout)
        return sorted(found)

    assert findings("contracts/market/Faulty.sol") == [
        ["divide-before-multiply", "Faulty.share(uint256,uint256,uint256)"],
        ["reentrancy-no-eth", "Faulty.withdraw(IReceiver)"],
    ]
    assert findings("contracts/test/Faulty.sol") == []
