"""Names of lease holders, by which a process of the same machine sees that another is gone.

Read from Linux's /proc. Elsewhere, and of a process on another machine or in another container, nothing can be seen,
and nobody counts as gone.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

PROC = Path("/proc")
STATE, STARTED = 0, 19
"""Fields of /proc/PID/stat after the command's name."""
ENDED = ("Z", "X")


def own_name() -> str:
    """Of this process, another one at each call: machine, process, when it was started, and something random."""
    pid = os.getpid()
    fields = _stat(pid)
    return f"{_machine()}/{pid}/{fields[STARTED] if fields else ''}/{secrets.token_hex(8)}"


def is_gone(name: str) -> bool:
    """Whether that process is known to have ended: its number is free, or another's by now."""
    machine, pid, started, _ = name.split("/") if name.count("/") == 3 else ("", "", "", "")
    if not pid.isdigit() or not started or not machine or machine != _machine():
        return False
    fields = _stat(int(pid))
    return not _exists(int(pid)) if fields is None else fields[STATE] in ENDED or fields[STARTED] != started


def boot_id() -> str:
    """Changes when the machine starts again, and its uptime with it."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _machine() -> str:
    """In which process numbers mean the same; empty where that can't be said: /proc is cut short, or another's."""
    boot = boot_id()
    try:
        is_ours = (PROC / "self").readlink().name == str(os.getpid())
        return f"{boot}:{(PROC / 'self/ns/pid').readlink()}" if boot and is_ours else ""
    except OSError:
        return ""


def _stat(pid: int) -> list[str] | None:
    """None where there is no such process, or it is hidden from us."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _exists(pid: int) -> bool:
    """Hidden ones, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
