"""A booted devnet: deployed, funded, priced, its clock right; and the command that keeps one up."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plimsoll.chain.build import ROOT
from plimsoll.chain.rpc import RpcClient, RpcUnavailable
from plimsoll.chain.transactions import Chain, Reverted
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD
from plimsoll.deploy.manifest import require
from plimsoll.deploy.parameters import load
from plimsoll.deploy.verify import verify
from plimsoll.devnet.__main__ import _keep_prices
from plimsoll.devnet.accounts import NAMES, dev_accounts, publisher_keys, stream_keys
from plimsoll.devnet.anvil import free_port
from plimsoll.devnet.boot import FUND_DOLLARS, POOL_DOLLARS, TRADER_DOLLARS, Devnet, boot_devnet
from plimsoll.devnet.environment import PRICES, deploy_environment
from plimsoll.devnet.opstack.predeploys import predeploy

pytestmark = pytest.mark.node

MARCH_2020 = 1_583_971_200


# --- as a library --------------------------------------------------------------------------------------------------


def test_boot__protocol__deployed_and_verified(devnet: Devnet) -> None:
    assert devnet.manifest.is_complete
    assert verify(devnet.parameters, devnet.chain, devnet.manifest).differences == []


def test_boot__money__where_it_is_said_to_be(devnet: Devnet) -> None:
    for name in ("alice", "bob", "carol", "keeper", "provider"):
        assert devnet.token.call("balanceOf", devnet.signers[name]) == devnet.amount(TRADER_DOLLARS)
    assert devnet.contract("LiquidityPool").call("totalAssets") == devnet.amount(POOL_DOLLARS)
    assert devnet.contract("InsuranceFund").call("balance") == FUND_DOLLARS * WAD
    assert devnet.token.call("balanceOf", devnet.contract("MarginVault")) == devnet.amount(POOL_DOLLARS + FUND_DOLLARS)
    assert devnet.contract("LiquidityPool").call("balanceOf", devnet.signers["provider"]) > 0


def test_boot__prices__recorded_just_now(devnet: Devnet) -> None:
    for market in devnet.parameters.markets:
        price, confidence, published_at = devnet.contract("OracleAggregator").call("price", market.id)
        assert (price, confidence) == (PRICES[market.name], 0)
        assert abs(published_at - time.time()) < 300
        assert devnet.environment.feeds[market.name].call("latestRoundData")[1] == price // 10**10


def test_record__moves_the_price(devnet: Devnet) -> None:
    devnet.record({"ETH/USD": 2_600 * WAD})
    devnet.record({"ETH/USD": 2_610 * WAD, "BTC/USD": 61_000 * WAD})
    oracle = devnet.contract("OracleAggregator")
    assert [oracle.call("price", market)[0] for market in (1, 2)] == [2_610 * WAD, 61_000 * WAD]
    assert devnet.prices["ETH/USD"] == 2_610 * WAD
    with pytest.raises(Reverted, match="Oracle_MoveTooLarge"):
        devnet.record({"ETH/USD": 9_000 * WAD})


def test_keep_prices__old_ones_recorded_again__fresh_ones_left(devnet: Devnet) -> None:
    devnet.record({"ETH/USD": 2_600 * WAD})
    devnet.advance(60)
    records = devnet.contract("OracleAggregator")
    before = len(records.history("PriceRecorded"))
    _keep_prices(devnet)
    _keep_prices(devnet)
    prices = [(event["marketId"], event["price"]) for event in records.history("PriceRecorded")[before:]]
    assert prices == [(1, 2_600 * WAD), (2, PRICES["BTC/USD"])]


def test_deposit__in_the_margin_account(devnet: Devnet) -> None:
    account = devnet.deposit("alice", 1_000)
    assert devnet.contract("MarginVault").call("cashOf", account) == 1_000 * WAD
    devnet.mint(devnet.signers["faucet"].address, 7)
    assert devnet.token.call("balanceOf", devnet.signers["faucet"]) == devnet.amount(7)


def test_advance__time_passes(devnet: Devnet) -> None:
    before = devnet.now
    assert devnet.advance(3_600) >= before + 3_600


def test_environment__there_already__left_alone(devnet: Devnet) -> None:
    nonce = devnet.signers["faucet"].chain.nonce(devnet.signers["faucet"])
    assert deploy_environment(devnet.chain, devnet.parameters).token.address == devnet.token.address
    assert devnet.chain.nonce(devnet.signers["faucet"]) == nonce


def test_accounts__ten_by_name__the_mnemonic_of_anvil(devnet: Devnet) -> None:
    assert list(devnet.signers) == list(NAMES) == list(dev_accounts())
    assert len({*publisher_keys(), *stream_keys()}) == 6
    assert all(devnet.chain.balance(signer) > 9_000 * WAD for signer in devnet.signers.values())


def test_boot__without_an_l1__fee_oracle_asks_nothing_for_l1(devnet: Devnet) -> None:
    fees = predeploy("GasPriceOracle", devnet.chain)
    assert (fees.call("isFjord"), fees.call("getL1FeeUpperBound", 10_000), fees.call("getL1Fee", b"\1" * 500)) == (
        True,
        0,
        0,
    )
    sender, before = devnet.signers["bob"], devnet.signers["bob"].balance
    receipt = sender.send(devnet.signers["carol"].address, b"\1" * 500, gas=100_000)
    assert before - sender.balance == receipt.fee


def test_boot__in_the_past__clock_starts_there(built: None) -> None:
    with boot_devnet(timestamp=MARCH_2020, prices={"ETH/USD": 194 * WAD}, pool_dollars=0, fund_dollars=0) as past:
        assert 0 <= past.now - MARCH_2020 <= 5
        price, _, published_at = past.contract("OracleAggregator").call("price", 1)
        assert (price, published_at) == (194 * WAD, past.now - (past.now - published_at))
        assert past.contract("OracleAggregator").call("price", 2)[0] == 0
        assert past.contract("LiquidityPool").call("totalAssets") == 0


def test_boot__interval__blocks_come_by_themselves(built: None) -> None:
    with boot_devnet(block_time=1) as running:
        start = running.chain.block_number
        time.sleep(2.5)
        assert start + 2 <= running.chain.block_number <= start + 3
        assert abs(running.now - time.time()) < 3
        assert running.record({"ETH/USD": 2_501 * WAD}).ok


def test_boot__not_a_development_network__refused(built: None, tmp_path: Path) -> None:
    file = tmp_path / "live.toml"
    text = Path(load("devnet").path).read_text().replace("development = true", "development = false")
    file.write_text(text)
    with pytest.raises(UserError, match="not a development network"), boot_devnet(parameters=str(file)):
        pass


def test_boot__other_addresses_in_the_file__names_the_right_one(built: None, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    parameters = load("devnet")
    file.write_text(Path(parameters.path).read_text().replace(parameters.token, "0x" + "11" * 20))
    with pytest.raises(UserError, match=rf"token is 0x1+; on a development network it is {parameters.token}"):  # noqa: SIM117
        with boot_devnet(parameters=str(file)):
            pass


# --- as a command --------------------------------------------------------------------------------------------------


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "plimsoll.devnet", *arguments]


def test_command__port_taken__one_line_and_exit_code_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(command("--port", str(port)), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"error: port {port} is taken; stop what listens there or choose another\n"


@pytest.mark.parametrize("arguments", [["--block-time", "-1"], ["--port", "0"]])
def test_command__wrong_option__exit_code_2(arguments: list[str]) -> None:
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_command__deploys_with_ape__and_leaves_nothing_behind(built: None, tmp_path: Path) -> None:
    """The whole way: both nodes, ape's deploy script, the rollup at work, SIGTERM."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command("--port", str(port), "--deployments", str(tmp_path)),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_for(tmp_path / "log", "Ctrl-C stops it.", process)
            manifest = require(tmp_path / "devnet.json")
            assert verify(load("devnet"), Chain(url), manifest).differences == []
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    log_text = (tmp_path / "log").read_text()
    assert "devnet: 41 transactions" in log_text
    assert re.search(r"^L1: http://127\.0\.0\.1:\d+, chain 900$", log_text, re.MULTILINE)
    assert "a withdrawal waits: 60 s game clock, 60 s air gap, 120 s after its proof" in log_text
    assert "rollup   " not in log_text
    assert not (tmp_path / "devnet.json").exists()
    with pytest.raises(RpcUnavailable):
        RpcClient(url).call("eth_chainId")


def test_ape_deploy__refused__one_line_and_exit_code_2(devnet: Devnet, tmp_path: Path) -> None:
    network = ["--network", f"optimism:devnet:{devnet.node.url}", "--deployments", str(tmp_path)]
    done = _ape("deploy", *network, "--account", "nobody")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "error: no account nobody; make it with: ape accounts generate nobody (or import nobody)"
    )
    assert "Traceback" not in done.stderr


def _ape(*arguments: str) -> subprocess.CompletedProcess[str]:
    ape = str(Path(sys.executable).parent / "ape")
    return subprocess.run([ape, "run", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


def _wait_for(file: Path, text: str, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while text not in file.read_text():
        assert process.poll() is None, file.read_text()
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.1)
