"""Finding a deployment's record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plimsoll.core.errors import UserError
from plimsoll.sdk.deployments import find, load
from tests.support.deployment import World


def record(world: World, **changes: object) -> dict[str, object]:
    return {
        "network": "test",
        "chain_id": world.chain.chain_id,
        "genesis": world.chain.block(0).hash,
        "start_block": 7,
        "contracts": {name: {"address": at, "args": {}} for name, at in world.contracts.addresses.items()},
        "markets": {"ETH/USD": 1},
        **changes,
    }


def write(folder: Path, name: str, data: object) -> Path:
    path = folder / f"{name}.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_find__by_chain_id__passes_over_other_files(world: World, tmp_path: Path) -> None:
    write(tmp_path, "broken", "{")
    write(tmp_path, "other", record(world, chain_id=10))
    mine = write(tmp_path, "mine", record(world))
    found = find(world.chain, tmp_path)
    assert found.path == mine
    contracts = found.on(world.chain)
    assert contracts.from_block == 7
    assert contracts.vault.address == world.contracts.vault.address


def test_find__several__takes_the_one_of_this_genesis(world: World, tmp_path: Path) -> None:
    write(tmp_path, "a", record(world, genesis="0x12"))
    mine = write(tmp_path, "b", record(world))
    assert find(world.chain, tmp_path).path == mine
    write(tmp_path, "c", record(world))
    with pytest.raises(UserError, match=r"several: .*b\.json, .*c\.json"):
        find(world.chain, tmp_path)


def test_find__none__says_deploy(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is deployed on chain 901"):
        find(world.chain, tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chain_id": 10}, "is of chain 10, and .* is chain 901"),
        ({"genesis": "0x99"}, "another chain 901 than .*; was it started again"),
    ],
)
def test_on__another_chain__is_refused(world: World, tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load(write(tmp_path, "a", record(world, **changes))).on(world.chain)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"network": 1}'])
def test_load__no_record__is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="not a record of a deployment"):
        load(write(tmp_path, "a", text))
    with pytest.raises(UserError, match="does not exist; deploy first"):
        load(tmp_path / "none.json")
