"""The guard compiles when, and only when, an input changed; the compiler is a stand-in that counts its runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from plimsoll.chain import build
from plimsoll.chain.build import BuildError, ensure_built, load_artifacts

APE = """#!{python}
import json, pathlib, sys
runs = pathlib.Path("runs")
runs.write_text(runs.read_text() + "x")
if "broken" in pathlib.Path("contracts/A.sol").read_text():
    print("Traceback")
    print("ERROR: (SolcCompileError) broken")
    sys.exit(1)
code = {{"bytecode": "0x60"}}
contract = {{"abi": [], "deploymentBytecode": code, "runtimeBytecode": code, "sourceId": "contracts/A.sol"}}
interface = {{"abi": [], "sourceId": "interfaces/IA.sol"}}
pathlib.Path(".build/__local__.json").write_text(json.dumps({{"contractTypes": {{"A": contract, "IA": interface}}}}))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("contracts", "interfaces/vault", "tools/solc", "bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in (
        "contracts/A.sol",
        "interfaces/vault/IA.sol",
        "ape-config.yaml",
        "tools/solc/solc",
        "package-lock.json",
    ):
        (tmp_path / name).write_text(name)
    (tmp_path / "runs").write_text("")
    (tmp_path / "bin" / "ape").write_text(APE.format(python=sys.executable))
    (tmp_path / "bin" / "ape").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    return tmp_path


def runs(project: Path) -> int:
    return len((project / "runs").read_text())


def test_ensure_built__nothing_changed__compiles_once(project: Path) -> None:
    assert ensure_built(project) is True
    assert ensure_built(project) is False
    assert runs(project) == 1


@pytest.mark.parametrize(
    "name", ["contracts/A.sol", "interfaces/vault/IA.sol", "ape-config.yaml", "tools/solc/solc", "package-lock.json"]
)
def test_ensure_built__any_input_changed__compiles_again(project: Path, name: str) -> None:
    ensure_built(project)
    (project / name).write_text("changed")
    assert ensure_built(project) is True


def test_ensure_built__file_added_moved_or_removed__compiles_again(project: Path) -> None:
    ensure_built(project)
    (project / "contracts" / "B.sol").write_text("")
    assert ensure_built(project) is True
    (project / "contracts" / "B.sol").rename(project / "contracts" / "C.sol")
    assert ensure_built(project) is True
    (project / "contracts" / "C.sol").unlink()
    assert ensure_built(project) is True


def test_ensure_built__artifacts_gone__compiles_again(project: Path) -> None:
    ensure_built(project)
    build.artifacts_path(project).unlink()
    assert ensure_built(project) is True


def test_ensure_built__compile_error__tells_and_tries_again(project: Path) -> None:
    ensure_built(project)
    (project / "contracts" / "A.sol").write_text("broken")
    for _ in range(2):
        with pytest.raises(BuildError, match=r"^\(SolcCompileError\) broken$"):
            ensure_built(project)
    assert runs(project) == 3
    with pytest.raises(BuildError, match="nothing is compiled"):
        load_artifacts(project)  # what was compiled before is stale
    (project / "contracts" / "A.sol").write_text("contracts/A.sol")
    assert ensure_built(project) is True


def test_load_artifacts__contract_and_interface__are_read(project: Path) -> None:
    ensure_built(project)
    artifacts = load_artifacts(project)
    assert (artifacts["A"].bytecode, artifacts["A"].source) == (b"\x60", "contracts/A.sol")
    assert artifacts["IA"].bytecode == artifacts["IA"].runtime == b""


def test_solc_folder__native_compiler_installed__is_preferred(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = project / "home"
    monkeypatch.setenv("HOME", str(home))
    assert build.solc_folder(project) == project / "tools" / "solc"
    native = home / ".solcx" / f"solc-v{build.SOLC_VERSION}"
    native.parent.mkdir(parents=True)
    native.write_text("")
    native.chmod(0o755)
    assert build.solc_folder(project) == home / ".solcx"


def test_real_build__contracts_of_this_project__are_complete(built: None) -> None:
    token = load_artifacts()["MockToken"]
    assert token.bytecode.endswith(token.runtime[-40:])
    assert {entry["name"] for entry in token.abi if entry["type"] == "error"} >= {"MockToken_Blacklisted"}
    compiled = json.loads(build.artifacts_path().read_text())["compilers"]
    settings = compiled[0]["settings"]
    assert (settings["evmVersion"], settings["viaIR"], settings["optimizer"]["enabled"]) == ("cancun", True, True)
