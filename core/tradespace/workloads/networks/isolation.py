"""Reads a hostile file in a process of its own: limited memory and processor time, and a crash stays there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradespace.errors import InputError, TradespaceError, UnknownName
from tradespace.workloads.networks.network import Network, dumps, loads

BASE_MEMORY = 1 << 30
BASE_SECONDS = 4
BYTES_PER_SECOND = 1 << 18
MAX_SECONDS = 120
WALL = 4
"""Wall time over processor time: a loaded machine still reads the file."""
WELL_FORMED = "the file is a well-formed ONNX model"
MAX_ANSWER = 512 * 2**20


def limits(size: int) -> tuple[int, int]:
    """(bytes of address space, seconds of processor time) that reading a file of `size` bytes may take (ours)."""
    return BASE_MEMORY + 6 * size, min(MAX_SECONDS, BASE_SECONDS + size // BYTES_PER_SECOND)


def read_apart(path: Path, options: Mapping[str, Any], where: str) -> Network:
    """The network in an ONNX file, read by another Python process.

    Raises:
        InputError, UnknownName: what the reading raised; or that it crashed, or hit a limit.
    """
    size = path.stat().st_size
    memory, seconds = limits(size)
    order = {"path": str(path), "options": dict(options), "where": where, "memory": memory, "seconds": seconds}
    command = [sys.executable, "-P", "-m", "tradespace.workloads.networks.isolation"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, input=json.dumps(order).encode(), capture_output=True, timeout=WALL * seconds, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _limit(where, f"{WALL * seconds} s", "in time") from None
    if done.returncode != 0 or len(done.stdout) > MAX_ANSWER:
        raise _failed(done.returncode, done.stderr, where, memory, seconds)
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise _raised(answer["error"])
    return loads(answer["network"])


def _limit(where: str, value: str, what: str) -> InputError:
    return InputError(
        f"a network is read {what}", value=f"stopped at the limit of {value}", where=where,
        remedy="The file is damaged, or far larger than a network of its size should be.",
    )  # fmt: skip


def _failed(code: int, stderr: bytes, where: str, memory: int, seconds: int) -> InputError:
    if code in (-24, -9):  # SIGXCPU, SIGKILL
        return _limit(where, f"{seconds} s of processor time or {memory >> 20} MiB", "within its limits")
    words = stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    if any("MemoryError" in line or "bad_alloc" in line for line in words):
        return _limit(where, f"{memory >> 20} MiB", "in bounded memory")
    reason = f"the onnx package crashed on it (signal {-code})" if code < 0 else f"{' '.join(words)[:160]}"
    return InputError(WELL_FORMED, value=reason, where=where, remedy="Export it again.")


def _raised(error: Mapping[str, Any]) -> TradespaceError:
    if error["kind"] == "UnknownName":
        return UnknownName(error["named"], error["name"], error["known"], where=error["where"])
    return InputError(error["rule"], value=error["value"], where=error["where"], remedy=error["remedy"])


def _told(error: TradespaceError) -> dict[str, Any]:
    value = None if error.value is None else str(error.value)
    told: dict[str, Any] = {
        "kind": "InputError",
        "rule": error.rule,
        "value": value,
        "where": error.where,
        "remedy": error.remedy,
    }
    if isinstance(error, UnknownName):
        told |= {"kind": "UnknownName", "named": error.kind, "name": error.name, "known": list(error.known)}
    return told


def _restrict(memory: int, seconds: int) -> None:
    """Limits of this process, where the system has them."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Reads an order from standard input, writes the network or the error as JSON."""
    order = json.loads(sys.stdin.buffer.read())
    _restrict(order["memory"], order["seconds"])
    from tradespace.workloads.networks.onnx_file import read_network

    try:
        network = read_network(Path(order["path"]), order["where"], **order["options"])
        answer: dict[str, Any] = {"network": dumps(network)}
    except TradespaceError as error:
        answer = {"error": _told(error)}
    except MemoryError:
        answer = {"error": _told(_limit(order["where"], f"{order['memory'] >> 20} MiB", "in bounded memory"))}
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        refusal = InputError(WELL_FORMED, value=reason, where=order["where"], remedy="Export it again.")
        answer = {"error": _told(refusal)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
