"""When and by whom: UTC times, and which process may append to a study."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

_SEPARATOR = "|"


def now() -> str:
    """UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def writer() -> str:
    """The program that made a database: its name and version."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"tradespace {version('tradespace')}"
    except PackageNotFoundError:
        return "tradespace"


def claim() -> str:
    """A new right to append: host, process, the process's start and a token that no other claim has."""
    pid = os.getpid()
    return _SEPARATOR.join((socket.gethostname()[:100], str(pid), _started(pid), secrets.token_hex(8)))


def alive(claimed: str | None) -> bool:
    """Whether the process behind a claim still runs. A process of another machine is taken to be alive."""
    parts = (claimed or "").split(_SEPARATOR)
    if len(parts) != 4 or not parts[1].isdigit():
        return False
    host, pid = parts[0], int(parts[1])
    if host != socket.gethostname()[:100]:
        return True
    return _exists(pid) and _started(pid) == parts[2]  # numbers of processes are used again


def process(claimed: str) -> str:
    """A claim for people: "process 123 on host"."""
    host, pid = [*claimed.split(_SEPARATOR), "", ""][:2]
    return f"process {pid} on {host}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return _stat(pid)[:1] != ["Z"]  # ended, but its parent has not looked yet


def _started(pid: int) -> str:
    """Start of a process in clock ticks since boot where the system tells (Linux, field 22 of stat), else ""."""
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
