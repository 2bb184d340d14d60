import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plimsoll.chain.rpc import RpcClient
from plimsoll.core.errors import UserError
from plimsoll.devnet import anvil
from plimsoll.devnet.anvil import Anvil, AnvilSettings

ROOT = Path(anvil.__file__).resolve().parents[2]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def assert_ends(pid: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is left behind"
        time.sleep(0.02)


def program(folder: Path, body: str) -> Path:
    """An executable that stands for anvil."""
    file = folder / "anvil"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


# -------------------------------------------------------------------------------------------------- without a node


def test_arguments__settings__become_flags() -> None:
    settings = AnvilSettings(block_time=2, gas_limit=60_000_000, timestamp=1_621_429_200, extra=("--steps-tracing",))
    line = " ".join(settings.arguments(8901))
    for part in (
        "--host 127.0.0.1 --port 8901 --chain-id 901",
        "--network optimism",
        "--block-time 2",
        "--gas-limit 60000000",
        "--timestamp 1621429200",
        "--silent --steps-tracing",
    ):
        assert part in line
    plain = AnvilSettings(network=None, chain_id=900, silent=False).arguments(1)
    assert not {"--network", "--block-time", "--silent", "--timestamp"} & set(plain)


@pytest.mark.parametrize(("port", "block_time"), [(0, None), (65_536, None), (None, 0)])
def test_settings__out_of_range__are_refused(port: int | None, block_time: int | None) -> None:
    with pytest.raises(UserError, match=r"port|block time"):
        AnvilSettings(port=port, block_time=block_time)


def test_find_anvil__node_modules_then_path__else_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="anvil not found: run make bootstrap"):
        anvil.find_anvil(tmp_path)
    on_path = program(tmp_path, "exit 0")
    assert anvil.find_anvil(tmp_path) == on_path
    folder = tmp_path / "node_modules/@foundry-rs/anvil-linux-arm64/bin"
    folder.mkdir(parents=True)
    installed = program(folder, "exit 0")
    assert anvil.find_anvil(tmp_path) == installed


def test_start__anvil_that_ends_at_once__passes_on_what_it_said(tmp_path: Path) -> None:
    node = Anvil(binary=program(tmp_path, "echo 'error: unexpected argument'; exit 2"))
    with pytest.raises(UserError, match="ended with code 2: error: unexpected argument"):
        node.start()
    assert not node.is_running


def test_start__anvil_that_stays_silent__is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anvil, "START_SECONDS", 0.2)
    node = Anvil(binary=program(tmp_path, f"echo $$ > {tmp_path}/pid; sleep 60"))
    with pytest.raises(UserError, match="did not answer"):
        node.start()
    assert_ends(int((tmp_path / "pid").read_text()))


def test_start__no_program__says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be started"):
        Anvil(binary=tmp_path / "absent").start()


def test_stop__anvil_that_ignores_sigterm_with_a_child__kills_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anvil, "START_SECONDS", 0.4)
    monkeypatch.setattr(anvil, "_STOP_SECONDS", 0.1)
    node = Anvil(binary=program(tmp_path, f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/pid; wait; sleep 60"))
    with pytest.raises(UserError, match="did not answer"):
        node.start()
    assert_ends(int((tmp_path / "pid").read_text()))


# ------------------------------------------------------------------------------------------------------ with a node


@pytest.mark.node
def test_context__optimism_node__answers_and_is_gone_afterwards() -> None:
    with Anvil(AnvilSettings(timestamp=1_621_429_200, accounts=3, gas_limit=60_000_000)) as node:
        assert node.rpc.call("eth_chainId") == hex(901)
        assert len(node.rpc.call("eth_accounts")) == 3
        block = node.rpc.call("eth_getBlockByNumber", "latest", False)
        assert (int(block["timestamp"], 16), int(block["gasLimit"], 16)) == (1_621_429_200, 60_000_000)
        sender, to, _ = node.rpc.call("eth_accounts")
        tx_hash = node.rpc.call("eth_sendTransaction", {"from": sender, "to": to, "value": "0x1"})
        assert node.rpc.wait_for_receipt(tx_hash)["status"] == "0x1"
        assert node.start() is node
        pid, port = node.pid, node.port
    assert pid is not None
    assert_ends(pid)
    assert anvil.is_free(port)
    assert not node.is_running
    assert node.pid is None
    with pytest.raises(UserError, match="not running"):
        _ = node.rpc
    node.stop()


@pytest.mark.node
def test_context__body_that_fails__stops_the_node() -> None:
    node = Anvil()

    def fail() -> None:
        with node:
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert not node.is_running


@pytest.mark.node
def test_start__port_taken__is_a_user_error_and_harms_no_one() -> None:
    with Anvil() as first:
        with pytest.raises(UserError, match=f"port {first.port} is taken"):
            Anvil(AnvilSettings(port=first.port)).start()
        assert first.rpc.call("eth_chainId") == hex(901)


@pytest.mark.node
def test_start__given_port_after_stop__starts_again_there() -> None:
    node = Anvil(AnvilSettings(port=anvil.free_port(), chain_id=900, network=None))
    for _ in range(2):
        with node:
            assert node.rpc.call("eth_chainId") == hex(900)


@pytest.mark.node
def test_start__free_port_lost_to_another__tries_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with Anvil() as first:
        ports = iter([first.port, anvil.free_port()])
        monkeypatch.setattr(anvil, "free_port", lambda: next(ports))
        with Anvil() as second:
            assert second.port != first.port
            assert second.rpc.call("eth_chainId") == hex(901)


@pytest.mark.node
def test_settings__block_time__mines_by_the_clock() -> None:
    with Anvil(AnvilSettings(block_time=1)) as node:
        deadline = time.monotonic() + 5
        while int(node.rpc.call("eth_blockNumber"), 16) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)


PARENT = """
import sys, time
from plimsoll.devnet.anvil import Anvil
node = Anvil().start()
print(node.pid, node._watchdog.pid, node.url, flush=True)
if sys.argv[1] == "sleep":
    time.sleep(60)
"""


def parent(mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PARENT, mode], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.node
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_parent__killed_by_a_signal__leaves_no_process(number: signal.Signals) -> None:
    with parent("sleep") as process:
        assert process.stdout is not None
        pid, watchdog, url = process.stdout.readline().split()
        with RpcClient(url) as rpc:
            assert rpc.call("eth_chainId") == hex(901)
        process.send_signal(number)
        process.wait()
    assert_ends(int(pid))
    assert_ends(int(watchdog))


@pytest.mark.node
def test_parent__ends_without_stopping_it__leaves_no_process() -> None:
    with parent("end") as process:
        assert process.stdout is not None
        pid, watchdog, _ = process.stdout.readline().split()
        assert process.wait() == 0
    assert_ends(int(pid))
    assert_ends(int(watchdog))
