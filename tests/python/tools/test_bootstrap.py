"""Bootstrap: what it leaves of large packages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import bootstrap


def test_prune__folder_that_package_json_names__only_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "NODE_MODULES", tmp_path / "node_modules")
    (tmp_path / "package.json").write_text(json.dumps({"keep": {"big/out": ["A.sol"]}}))
    for name in ("big/out/A.sol", "big/out/B.sol", "big/src", "small"):
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    for _ in range(2):
        bootstrap.prune()
        left = sorted(path.relative_to(tmp_path / "node_modules").as_posix() for path in (tmp_path).rglob("*/*"))
        assert left == ["big", "big/out", "big/out/A.sol", "big/src", "small"]


def test_prune__this_project__every_kept_contract_is_there() -> None:
    for folder, names in json.loads((bootstrap.ROOT / "package.json").read_text())["keep"].items():
        assert sorted(path.name for path in (bootstrap.NODE_MODULES / folder).iterdir()) == sorted(names)
