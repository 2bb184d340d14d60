"""Start and stop anvil so that no process is ever left behind.

Three things stop it: leaving the context, the interpreter's end, and, whatever happens to this process (SIGTERM,
SIGKILL, a crash), a watchdog that holds the other end of a pipe and kills anvil's process group when the pipe closes.
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from plimsoll.chain.abi import Registry
from plimsoll.chain.rpc import NO_RETRY, RpcClient, RpcError, RpcUnavailable
from plimsoll.chain.transactions import Chain
from plimsoll.core.errors import UserError

CHAIN_ID = 901
HOST = "127.0.0.1"
POLL_SECONDS = 0.02
"""Between two questions whether a transaction is mined."""
START_SECONDS = 20.0

_STOP_SECONDS = 5.0
_FREE_PORT_ATTEMPTS = 5
_PROJECT_ROOT = Path(__file__).resolve().parents[2]
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "windows": "win32"}
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_WATCHDOG = 'read -r _; kill -s KILL -- "-$0"'


@dataclass(frozen=True, kw_only=True)
class AnvilSettings:
    """How to start a node. `port` None picks a free one; `block_time` None mines each transaction at once.

    `network` "optimism" gives the OP stack's rules, None Ethereum's. `timestamp` is the first block's, Unix seconds;
    `gas_limit` a block's; `balance` each account's, in whole ETH. `extra` is passed on to anvil as it is.
    """

    chain_id: int = CHAIN_ID
    network: str | None = "optimism"
    port: int | None = None
    block_time: int | None = None
    accounts: int = 10
    balance: int = 10_000
    gas_limit: int | None = None
    base_fee: int | None = None
    timestamp: int | None = None
    hardfork: str | None = None
    silent: bool = True
    extra: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise UserError(f"port {self.port} does not lie between 1 and 65535")
        if self.block_time is not None and self.block_time < 1:
            raise UserError(f"block time {self.block_time} s is not at least 1; leave it out to mine at once")

    def arguments(self, port: int) -> list[str]:
        """anvil's command line, without the program."""
        optional = {
            "--network": self.network,
            "--block-time": self.block_time,
            "--gas-limit": self.gas_limit,
            "--block-base-fee-per-gas": self.base_fee,
            "--timestamp": self.timestamp,
            "--hardfork": self.hardfork,
        }
        arguments = ["--host", HOST, "--port", str(port), "--chain-id", str(self.chain_id)]
        arguments += ["--accounts", str(self.accounts), "--balance", str(self.balance), "--order", "fifo"]
        for flag, value in optional.items():
            if value is not None:
                arguments += [flag, str(value)]
        return [*arguments, *(["--silent"] if self.silent else []), *self.extra]


def find_anvil(root: Path = _PROJECT_ROOT) -> Path:
    """The anvil of node_modules for this machine, else the one on PATH. Raises UserError if there is none."""
    system, machine = platform.system().lower(), platform.machine().lower()
    package = f"anvil-{_SYSTEMS.get(system, system)}-{_MACHINES.get(machine, machine)}"
    name = "anvil.exe" if system == "windows" else "anvil"
    installed = root / "node_modules" / "@foundry-rs" / package / "bin" / name
    if installed.is_file() and os.access(installed, os.X_OK):
        return installed
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise UserError("anvil not found: run make bootstrap")


def is_free(port: int) -> bool:
    """Whether nothing listens on the port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Anvil:
    """A running node. Use as a context manager, or `start` and `stop` it; both may be called twice.

    ```python
    with Anvil(AnvilSettings(block_time=1)) as node:
        node.rpc.call("eth_chainId")
    ```
    """

    def __init__(self, settings: AnvilSettings | None = None, *, binary: Path | None = None) -> None:
        """Starts nothing yet."""
        self.settings = settings or AnvilSettings()
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._rpc: RpcClient | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port it listens on; 0 before it was first started."""
        return self._port

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://{HOST}:{self._port}"

    @property
    def ws_url(self) -> str:
        """Its WebSocket address."""
        return f"ws://{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """Its process id, None when it is stopped."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def rpc(self) -> RpcClient:
        """A client of it. Raises UserError when it is stopped."""
        if self._rpc is None:
            raise UserError("anvil is not running; start it first")
        return self._rpc

    def start(self) -> Anvil:
        """Start it and wait until it answers. Raises UserError: no anvil, port taken, or what anvil complains of."""
        if self.is_running:
            return self
        self.stop()
        binary = self._binary or find_anvil()
        given = self.settings.port
        attempts = 1 if given is not None else _FREE_PORT_ATTEMPTS
        for left in reversed(range(attempts)):
            self._port = given if given is not None else free_port()
            try:
                self._start(binary)
                return self
            except _PortLost:
                if not left:
                    raise UserError(f"port {self._port} is taken; stop what listens there or choose another") from None
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Stop it: politely first, so that it can dump its state where told to, then by force. Never raises."""
        atexit.unregister(self.stop)
        if self._rpc is not None:
            self._rpc.close()
            self._rpc = None
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:  # first: later the group's id could belong to someone else
            watchdog.kill()
            watchdog.wait()
            if watchdog.stdin is not None:
                watchdog.stdin.close()
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        if self._log is not None:
            self._log.close()
            self._log = None

    def log(self) -> str:
        """The last lines of what it printed; empty once stopped."""
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 4_000))
        text = self._log.read().decode(errors="replace")
        self._log.seek(0, os.SEEK_END)
        return text

    def chain(self, registry: Registry | None = None) -> Chain:
        """A client of it, which asks it often and has it mine what it leaves in its pool; to be closed."""
        return Chain(self.url, registry=registry, poll_seconds=POLL_SECONDS, nudge=self.mine_leftovers)

    def mine_leftovers(self) -> None:
        """Mine what it left in its pool, where it mines each transaction at once: of several that come together it may
        miss the last (foundry-rs/foundry, issue 10122).
        """
        is_waiting = int(self.rpc.call("txpool_status")["pending"], 16)
        if is_waiting and self.rpc.call("anvil_getAutomine"):
            self.rpc.call("evm_mine")

    def __enter__(self) -> Anvil:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, binary: Path) -> None:
        if not is_free(self._port):
            raise _PortLost
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop
        atexit.register(self.stop)
        try:
            self._process = subprocess.Popen(
                [str(binary), *self.settings.arguments(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            if os.name == "posix":
                self._watchdog = subprocess.Popen(
                    ["/bin/sh", "-c", _WATCHDOG, str(self._process.pid)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._wait()
            self._rpc = RpcClient(self.url)
        except OSError as error:
            self.stop()
            raise UserError(f"anvil cannot be started ({error}); run make bootstrap") from error
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        """Until it answers. Raises UserError when it ends or stays silent, _PortLost when someone took its port."""
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        with RpcClient(self.url, timeout_seconds=START_SECONDS, retry=NO_RETRY) as rpc:
            while True:
                code = self._process.poll()
                if code is not None:
                    log = self.log()
                    if "in use" in log.lower() or not is_free(self._port):
                        raise _PortLost
                    lines = [line.strip() for line in log.splitlines() if line.strip()]
                    raise UserError(f"anvil ended with code {code}: {' '.join(lines[:3]) or 'it said nothing'}")
                try:
                    chain_id = int(rpc.call("eth_chainId"), 16)
                except (RpcUnavailable, RpcError):
                    chain_id = None
                if chain_id == self.settings.chain_id and self._process.poll() is None:
                    return
                if chain_id is not None and chain_id != self.settings.chain_id:
                    raise _PortLost
                if time.monotonic() > deadline:
                    raise UserError(f"anvil did not answer at {self.url} within {START_SECONDS:g} s")
                time.sleep(0.02)


class _PortLost(Exception):
    """Someone else took the port between choosing it and listening on it."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, by force after a while, and reap it."""
    if os.name != "posix":
        process.kill()
        process.wait()
        return
    for number, patience in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            break
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
