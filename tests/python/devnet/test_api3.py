from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.devnet.api3 import access_control_registry, api3_server, parse_factory


def test_api3_server__from_npm__has_its_functions_and_code() -> None:
    artifact = api3_server()
    names = {entry.get("name") for entry in artifact.abi if entry["type"] == "function"}
    assert names >= {"updateBeaconWithSignedData", "dataFeeds", "readDataFeedWithId"}
    assert len(artifact.bytecode) > 10_000
    assert [entry["type"] for entry in next(e for e in artifact.abi if e["type"] == "constructor")["inputs"]] == [
        "address",
        "string",
        "address",
    ]


def test_access_control_registry__from_npm__needs_no_arguments() -> None:
    assert all(entry["type"] != "constructor" for entry in access_control_registry().abi)


def test_parse_factory__another_shape__says_so(tmp_path: Path) -> None:
    path = tmp_path / "X__factory.js"
    path.write_text("module.exports = {};")
    with pytest.raises(UserError, match="was the package updated"):
        parse_factory("X", path)
