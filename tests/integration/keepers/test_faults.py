"""Keepers on bad days: killed, lied to, stalled, limited, without their store, reorganised, restarted.

What may never happen: something is done twice that costs money, or something is forgotten.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plimsoll.devnet.anvil import Anvil, AnvilSettings
from plimsoll.keepers.status import read_status
from plimsoll.keepers.store import open_store
from plimsoll.sdk.events import OrderExecuted, OrderSkipped
from tests.integration.keepers.conftest import SECOND, Stage, until
from tests.integration.keepers.crowd import ETH, close_outs, crash, open_positions, unhealthy
from tests.support.faulty import FaultyNode
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.node


@pytest.fixture
def faulty(stage: Stage) -> Iterator[FaultyNode]:
    """A bad node in front of the good one."""
    with FaultyNode(stage.devnet.node.url) as node:
        yield node


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "keepers.sqlite")


def start_market(stage: Stage) -> None:
    stage.start("publisher", "provider")
    stage.start("executor", "carol")


def executions(stage: Stage) -> list[bytes]:
    alice = stage.client("alice")
    assert alice.history([OrderSkipped]) == []
    return [one.hash for one in alice.history([OrderExecuted]) if isinstance(one, OrderExecuted)]


# --- killed --------------------------------------------------------------------------------------------------------


def test_kill_9__again_and_again__every_account_is_closed_out_once(stage: Stage, store: str) -> None:
    """Two liquidators with one store, of which one at a time is killed a little later into its work."""
    start_market(stage)
    accounts = open_positions(stage, 24)
    options: dict[str, Any] = {"store": store, "patience": 1}
    bots = {name: stage.start("liquidator", name, **options) for name in ("keeper", "bob")}
    crash(stage)
    until("it has begun", lambda: len(unhealthy(stage, accounts)) > 0)
    for place in range(6):
        name = ("keeper", "bob")[place % 2]
        time.sleep(0.15 * place)
        bots[name].kill()
        bots[name] = stage.start("liquidator", name, **options)
    until("all are healthy", lambda: not unhealthy(stage, accounts), 90)
    assert {account: len(done) for account, done in close_outs(stage).items()} == dict.fromkeys(accounts, 1)
    assert stage.reverted("keeper") == stage.reverted("bob") == []


# --- nodes ---------------------------------------------------------------------------------------------------------


def test_nodes__one_stalls_limits_or_lags__the_other_serves(stage: Stage, faulty: FaultyNode) -> None:
    stage.start("publisher", "provider")
    executor = stage.start("executor", "keeper", nodes=[faulty.url, stage.devnet.node.url])
    alice = stage.client("alice")
    alice.deposit(100_000)
    placed = []
    for fault, value in (("limits", 10**6), ("stall_seconds", 3.5), ("lag", 25), ("cuts", 10**6)):
        setattr(faulty, fault, value)
        placed.append(alice.place_market(ETH, "0.5"))
        assert alice.wait_for(placed[-1]).status == "filled", fault
        setattr(faulty, fault, 0)
    assert executions(stage) == [one.hash for one in placed]
    assert stage.reverted("keeper") == []
    assert executor.said("recovered") or not executor.said("trouble")


def test_nodes__one_lies_about_health__nothing_is_sent(stage: Stage, faulty: FaultyNode) -> None:
    """It says that everybody is bankrupt, and that liquidating them goes through."""
    start_market(stage)
    [account] = open_positions(stage, 1)
    contracts = stage.client("alice").contracts
    health = "0x" + contracts.market.interface.selector("healthOf").hex()

    def lie(method: str, params: list[Any], said: Any) -> Any:
        if method == "eth_call" and params[0]["data"].startswith(health):
            return "0x" + (1).to_bytes(32, "big").hex() + (10**24).to_bytes(32, "big").hex()
        return hex(200_000) if method == "eth_estimateGas" else said

    faulty.lie = lie
    nodes = [faulty.url, stage.devnet.node.url]
    honest = stage.start("liquidator", "keeper", nodes=nodes)
    time.sleep(8 * SECOND)
    assert stage.sent_by("keeper", "pending") == 0
    crash(stage)  # and now it is true
    honest.wait_for("closed out", seconds=30)
    assert not unhealthy(stage, [account])


def test_nodes__they_contradict_each_other__nothing_is_sent_until_they_agree(stage: Stage, faulty: FaultyNode) -> None:
    faulty.lie = lambda method, params, said: (
        {**said, "hash": "0x" + "66" * 32} if method == "eth_getBlockByNumber" and params[0] != "0x0" else said
    )
    stage.start("publisher", "provider")
    alice = stage.client("alice")
    alice.deposit(10_000)
    executor = stage.start("executor", "keeper", nodes=[stage.devnet.node.url, faulty.url])
    [trouble] = executor.wait_for("trouble")
    assert "is not the same at" in trouble["reason"]
    placed = alice.place_market(ETH, 1)
    time.sleep(6 * SECOND)
    assert stage.sent_by("keeper", "pending") == 0
    faulty.lie = None
    executor.wait_for("recovered")
    assert alice.wait_for(placed).status == "filled"


# --- the store -----------------------------------------------------------------------------------------------------


def test_redis__gone_for_a_while__nothing_is_sent_and_nothing_forgotten(stage: Stage, tmp_path: Path) -> None:
    start_market(stage)
    accounts = open_positions(stage, 4)
    with RedisServer(tmp_path) as redis:
        bots = [stage.start("liquidator", name, store=redis.url) for name in ("keeper", "bob")]
        redis.stop()
        for bot in bots:
            bot.wait_for("trouble")
        crash(stage)
        until("they are due", lambda: len(unhealthy(stage, accounts)) == 4)
        time.sleep(8 * SECOND)
        assert [stage.sent_by(name, "pending") for name in ("keeper", "bob")] == [0, 0]
        redis.start()
        until("all are healthy", lambda: not unhealthy(stage, accounts))
    assert {account: len(done) for account, done in close_outs(stage).items()} == dict.fromkeys(accounts, 1)
    assert stage.reverted("keeper") == stage.reverted("bob") == []


def test_disk__full_for_logs__the_work_goes_on(stage: Stage) -> None:
    """Lines are lost, and nothing else."""
    start_market(stage)
    accounts = open_positions(stage, 1)
    given = {"job": "liquidator", "uri": stage.devnet.node.url, "deployment": str(stage.devnet.manifest_path)}
    with Path("/dev/full").open("w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.keepers.process", json.dumps(given)],
            stdout=full,
            env={**os.environ, "KEY": stage.devnet.signers["keeper"].key},
        )
        try:
            crash(stage)
            until("it is closed out", lambda: close_outs(stage), 30)
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait(10)
    assert not unhealthy(stage, accounts)


# --- the chain -----------------------------------------------------------------------------------------------------


def test_reorganisation__of_ten_blocks__what_was_undone_is_done_again_once(stage: Stage, store: str) -> None:
    start_market(stage)
    accounts = open_positions(stage, 3)
    liquidator = stage.start("liquidator", "keeper", store=store, patience=1)
    stage.pass_seconds(12)
    before = stage.devnet.chain.block_number
    crash(stage)
    liquidator.wait_for("closed out", 3)
    stage.miner.paused = True
    time.sleep(2 * SECOND)
    chain = stage.devnet.chain
    depth = chain.block_number - before + 1
    chain.rpc.call("anvil_rollback", max(10, depth))
    assert close_outs(stage) == {}
    stage.miner.paused = False
    until("all are closed out", lambda: len(close_outs(stage)) == 3, 40)
    until("all are healthy", lambda: not unhealthy(stage, accounts))
    assert {account: len(done) for account, done in close_outs(stage).items()} == dict.fromkeys(accounts, 1)
    assert stage.reverted("keeper") == []


def test_chain__started_again__the_breaker_opens_and_nothing_is_sent(
    stage: Stage, faulty: FaultyNode, store: str
) -> None:
    """The node's data was wiped: the same chain id, and another block 0."""
    stage.start("publisher", "provider")
    liquidator = stage.start("liquidator", "keeper", uri=faulty.url, store=store)
    with Anvil(AnvilSettings(chain_id=901, timestamp=1_600_000_000)) as other:
        faulty.target = other.url
        until("it halts", lambda: "halted" in [line["kind"] for line in liquidator.said("trouble")], 30)
        assert "is another chain by now" in liquidator.said("trouble")[-1]["reason"]
        space = f"{stage.deployment.genesis[2:14]}:{stage.deployment.addresses['MarginVault'][2:10].lower()}:"
        status = read_status(open_store(store, space), stage.devnet.chain.block())
        assert "another chain" in status.breaker
        assert liquidator.stop() == 3
        faulty.target = stage.devnet.node.url
    again = stage.start("liquidator", "keeper", store=store)
    assert again.wait_for("trouble")[0]["kind"] == "halted"  # until a person resets it


def test_clock__wrong_by_a_day__changes_nothing(stage: Stage, store: str) -> None:
    stage.start("publisher", "provider", clock=86_400)
    stage.start("executor", "carol", clock=-86_400, store=store)
    [account] = open_positions(stage, 1)
    liquidator = stage.start("liquidator", "keeper", clock=86_400, store=store)
    crash(stage)
    [line] = liquidator.wait_for("closed out")
    assert line["account"] == f"{account:#066x}"


# --- money ---------------------------------------------------------------------------------------------------------


def test_sums__do_not_add_up__every_keeper_stops_and_says_so(stage: Stage, store: str) -> None:
    start_market(stage)
    [account] = open_positions(stage, 1)
    bots = [stage.start("liquidator", name, store=store, sums=1) for name in ("keeper", "bob")]
    time.sleep(6 * SECOND)
    assert not any(bot.said("trouble") for bot in bots)
    vault, token = stage.devnet.contract("MarginVault"), stage.devnet.token
    chain = stage.devnet.chain
    chain.rpc.call("anvil_impersonateAccount", vault.address)
    chain.rpc.call("anvil_setBalance", vault.address, hex(10**18))
    data = token.encode("transfer", stage.devnet.signers["bob"].address, 10**6)
    chain.rpc.call("eth_sendTransaction", {"from": vault.address, "to": token.address, "data": "0x" + data.hex()})
    troubles = [bot.wait_for("trouble")[0] for bot in bots]
    assert {line["kind"] for line in troubles} == {"halted"}
    assert all("dollars less than was paid in" in line["reason"] for line in troubles)
    crash(stage)
    until("it is due", lambda: unhealthy(stage, [account]))
    time.sleep(6 * SECOND)
    assert [stage.sent_by(name, "pending") for name in ("keeper", "bob")] == [0, 0]


# --- secrets -------------------------------------------------------------------------------------------------------


def test_logs__of_a_run_with_troubles__hold_no_key(stage: Stage, faulty: FaultyNode, tmp_path: Path) -> None:
    start_market(stage)
    open_positions(stage, 1)
    secret = f"{faulty.url}/v2/api-key-of-mine?key=api-key-of-mine"
    store = tmp_path / "keepers.sqlite"
    bot = stage.start("liquidator", "keeper", nodes=[secret], store=str(store), metrics="127.0.0.1:0")
    faulty.cuts = 20
    bot.wait_for("trouble")
    faulty.cuts = 0
    crash(stage)
    bot.wait_for("closed out")
    key = stage.devnet.signers["keeper"].key
    assert bot.stop() == 0
    assert bot.process.stderr is not None
    written = json.dumps(bot.lines) + bot.process.stderr.read()
    written += "".join(path.read_bytes().decode(errors="replace") for path in tmp_path.glob("keepers.sqlite*"))
    assert len(bot.lines) > 3
    for hidden in (key, key[2:], key[2:].upper(), str(int(key, 16)), "api-key-of-mine"):
        assert hidden not in written
