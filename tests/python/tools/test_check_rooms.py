"""Who may import whom among the Solidity rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_rooms import imports_of, objection, resolve, violations


def test_imports_of__every_form__is_found_and_comments_are_not() -> None:
    source = """
        import "a.sol";
        import {B} from "b.sol";
        import {
            C,
            D as E
        } from '../c.sol';
        import * as F from "f.sol";
        // import "line.sol";
        /* import "block.sol"; */
        string constant G = "g.sol";
    """
    assert imports_of(source) == ["a.sol", "b.sol", "../c.sol", "f.sol"]


def test_resolve__relative_or_not__is_a_project_path() -> None:
    assert resolve("contracts/vault/A.sol", "../types/B.sol") == "contracts/types/B.sol"
    assert resolve("contracts/vault/A.sol", "./B.sol") == "contracts/vault/B.sol"
    assert resolve("contracts/vault/A.sol", "@openzeppelin/contracts/B.sol") == "@openzeppelin/contracts/B.sol"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("contracts/vault/A.sol", "contracts/vault/B.sol"),
        ("contracts/oracle/adapters/pyth/A.sol", "contracts/oracle/B.sol"),
        ("contracts/vault/A.sol", "contracts/types/B.sol"),
        ("contracts/vault/A.sol", "contracts/libraries/B.sol"),
        ("contracts/vault/A.sol", "interfaces/market/IB.sol"),
        ("contracts/vault/A.sol", "@openzeppelin/contracts/B.sol"),
        ("contracts/test/A.sol", "contracts/vault/B.sol"),
        ("interfaces/vault/IA.sol", "contracts/types/B.sol"),
        ("interfaces/vault/IA.sol", "interfaces/market/IB.sol"),
    ],
)
def test_objection__allowed_import__has_none(importer: str, imported: str) -> None:
    assert objection(importer, imported) is None


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("contracts/vault/A.sol", "contracts/market/B.sol"),
        ("contracts/market/A.sol", "contracts/lens/B.sol"),
        ("contracts/vault/A.sol", "contracts/test/B.sol"),
        ("contracts/libraries/A.sol", "contracts/market/B.sol"),
        ("contracts/types/A.sol", "contracts/market/B.sol"),
        ("interfaces/vault/IA.sol", "contracts/vault/B.sol"),
    ],
)
def test_objection__another_rooms_contract__is_named(importer: str, imported: str) -> None:
    assert objection(importer, imported) is not None


def test_violations__project__are_listed(tmp_path: Path) -> None:
    (tmp_path / "contracts" / "vault").mkdir(parents=True)
    (tmp_path / "contracts" / "vault" / "A.sol").write_text('import {B} from "../market/B.sol";')
    assert violations(tmp_path) == [
        "contracts/vault/A.sol: imports contracts/market/B.sol: "
        "the room vault doesn't import from the room market; take an interface"
    ]
