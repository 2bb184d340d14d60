"""The compiler's launcher: what it remembers never differs from what the compiler says now."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from plimsoll.chain.build import ROOT, SOLC_VERSION

LIBRARY = """// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;
library L { function n() internal pure returns (uint256) { return 1; } }"""
CONTRACT = """// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;
import {L} from "../libraries/L.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
contract %s { function f(uint256 x) external pure returns (uint256) { return Math.sqrt(x) + L.n(); } }"""
OUTPUTS = {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"], "": ["ast"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of its own, so that nothing is remembered yet."""
    shutil.copytree(ROOT / "tools" / "solc", tmp_path / "tools" / "solc")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def sources(**changed: str) -> dict[str, str]:
    return {
        "contracts/libraries/L.sol": LIBRARY,
        "contracts/a/A.sol": CONTRACT % "A",
        "contracts/b/B.sol": CONTRACT % "B",
    } | {name.replace("__", "/") + ".sol": text for name, text in changed.items()}


def compile_all(project: Path, files: dict[str, str], whole: bool = False) -> dict[str, Any]:
    selection = {"*": OUTPUTS} if whole else dict.fromkeys(files, OUTPUTS)
    job = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in files.items()},
        "settings": {"optimizer": {"enabled": True, "runs": 200}, "outputSelection": selection},
    }
    launcher = project / "tools" / "solc" / f"solc-v{SOLC_VERSION}"
    done = subprocess.run(
        [launcher, "--standard-json"], input=json.dumps(job), capture_output=True, text=True, check=True
    )
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def codes(output: dict[str, Any]) -> dict[str, str]:
    return {
        name: contract["evm"]["bytecode"]["object"]
        for file, contracts in output["contracts"].items()
        if file.startswith("contracts/")
        for name, contract in contracts.items()
    }


def remembered(project: Path) -> int:
    return len(list((project / ".cache" / "solc").iterdir()))


def test_standard_json__in_parts__gives_the_code_of_one_compilation(project: Path) -> None:
    parts = compile_all(project, sources())
    assert codes(parts) == codes(compile_all(project, sources(), whole=True))
    assert set(parts["sources"]) == set(sources())
    assert parts["sources"]["contracts/a/A.sol"]["ast"]["nodeType"] == "SourceUnit"
    assert remembered(project) == 3
    assert compile_all(project, sources()) == parts


def test_standard_json__imported_library_changed__reaches_every_dependent(project: Path) -> None:
    before = codes(compile_all(project, sources()))
    after = codes(compile_all(project, sources(contracts__libraries__L=LIBRARY.replace("return 1", "return 2"))))
    assert before["A"] != after["A"]
    assert before["B"] != after["B"]


def test_standard_json__one_contract_changed__leaves_the_others_remembered(project: Path) -> None:
    compile_all(project, sources())
    compile_all(project, sources(contracts__a__A=CONTRACT.replace("L.n()", "2") % "A"))
    assert remembered(project) == 4


def test_standard_json__error__is_told_every_time(project: Path) -> None:
    broken = sources(contracts__a__A=CONTRACT.replace("L.n()", "nothing") % "A")
    for _ in range(2):
        errors = compile_all(project, broken)["errors"]
        assert [error["type"] for error in errors if error["severity"] == "error"] == ["DeclarationError"]
    missing = sources(contracts__a__A=CONTRACT.replace("L.sol", "M.sol") % "A")
    assert any("M.sol" in error["message"] for error in compile_all(project, missing)["errors"])


def test_version__is_the_full_one(project: Path) -> None:
    launcher = project / "tools" / "solc" / f"solc-v{SOLC_VERSION}"
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"Version: {SOLC_VERSION}+commit." in version


@pytest.mark.parametrize("arguments", [["--bin"], [], ["--standard-json", "--base-path"]])
def test_arguments__that_it_does_not_know__are_refused(project: Path, arguments: list[str]) -> None:
    launcher = project / "tools" / "solc" / f"solc-v{SOLC_VERSION}"
    done = subprocess.run([launcher, *arguments], input="{}", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("solc: ")
