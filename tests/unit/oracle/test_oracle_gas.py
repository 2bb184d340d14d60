"""What recording costs on a real node, where cold storage is paid for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from plimsoll.chain.abi import Function, parameters_codec
from plimsoll.chain.build import Artifact, load_artifacts
from plimsoll.chain.rpc import RpcClient
from plimsoll.devnet.anvil import Anvil, AnvilSettings
from plimsoll.devnet.api3 import ADMIN_ROLE, access_control_registry, api3_server
from plimsoll.sdk.oracle import Publisher
from tests.support.evm import ZERO_ADDRESS
from tests.support.oracle import CONFIG, GRACE_SECONDS, MARKET, PRICE, SIGNER_KEYS, WAD

BARE_TRANSACTION = 21_000
RING = 64
UPDATE_GAS = 100_000
"""Three signed beacons and the record, on top of a bare transaction, once the ring has been round."""

GUARD_GAS = 16_000
"""The sequencer guard and its uptime feed (a mock with four words of storage)."""

pytestmark = pytest.mark.node


@dataclass
class Node:
    """A node and its first account; every call is one transaction."""

    rpc: RpcClient
    sender: str

    def send(self, to: str | None, data: bytes) -> dict[str, Any]:
        transaction = {"from": self.sender, "data": "0x" + data.hex(), "gas": hex(15_000_000)}
        if to is not None:
            transaction["to"] = to
        receipt = self.rpc.wait_for_receipt(self.rpc.call("eth_sendTransaction", transaction))
        assert int(receipt["status"], 16) == 1
        return receipt

    def deploy(self, artifact: Artifact, *args: Any) -> str:
        inputs: list[Any] = next((entry["inputs"] for entry in artifact.abi if entry["type"] == "constructor"), [])
        address: str = self.send(None, artifact.bytecode + parameters_codec(inputs).encode(args))["contractAddress"]
        return address

    def time(self, timestamp: int) -> None:
        """The next block's time."""
        self.rpc.call("evm_setNextBlockTimestamp", timestamp)


@pytest.fixture
def node(built: None) -> Iterator[Node]:
    with Anvil(AnvilSettings()) as anvil:
        yield Node(anvil.rpc, anvil.rpc.call("eth_accounts")[0])


def function(artifact: Artifact, name: str) -> Function:
    return Function(next(entry for entry in artifact.abi if entry.get("name") == name and entry["type"] == "function"))


@pytest.mark.parametrize(("guarded", "budget"), [(False, UPDATE_GAS), (True, UPDATE_GAS + GUARD_GAS)])
def test_update__three_signed_beacons__costs_at_most_the_budget(node: Node, guarded: bool, budget: int) -> None:
    contracts = load_artifacts()
    oracle = contracts["OracleAggregator"]
    server = node.deploy(api3_server(), node.deploy(access_control_registry()), ADMIN_ROLE, node.sender)
    adapter = node.deploy(contracts["Api3Adapter"], server)
    uptime = node.deploy(contracts["MockAggregatorV3"], 0)
    node.send(uptime, function(contracts["MockAggregatorV3"], "setRound").encode([1, 0, 1, 1]))
    guard = node.deploy(contracts["SequencerGuard"], uptime if guarded else ZERO_ADDRESS, GRACE_SECONDS)
    aggregator = node.deploy(oracle, node.deploy(contracts["MockAuthority"], node.sender), guard)
    publisher = Publisher.from_keys(SIGNER_KEYS[:3], "ETH/USD")
    sources = [{"adapter": adapter, "isPush": False, "maxAge": 0, "feedId": feed} for feed in publisher.feed_ids]
    node.send(aggregator, function(oracle, "setMarket").encode([MARKET, CONFIG, sources]))

    now = int(node.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    update = function(oracle, "update")
    costs = []
    for count in range(RING + 2):
        now += 2
        node.time(now)
        prices = [PRICE + count * WAD, PRICE + count * WAD + 7, PRICE + count * WAD - 9]
        receipt = node.send(aggregator, update.encode([[publisher.item(MARKET, prices, [now, now - 1, now])]]))
        costs.append(int(receipt["gasUsed"], 16) - BARE_TRANSACTION)
    print(f"first {costs[0]:,}, filling the ring {costs[1]:,}, warm {costs[-1]:,}")
    assert costs[-1] <= budget
