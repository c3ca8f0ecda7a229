"""Reads mutated files in a forked child with resource limits, and says what came of each."""

from __future__ import annotations

import gzip
import hashlib
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fuzz.mutate import mutant
from fuzz.targets import REGRESSIONS, Target

MEMORY = 1 << 30
SECONDS = 5.0
SILENCE = 60.0
"""Wall time without progress after which a child is taken for hung (a loaded machine needs some)."""
CHUNK = 5_000
FORMAT = "<4Q"
"""Shared progress: number of the file at work, workloads, refusals, findings."""

Read = Callable[[Path], Any]


@dataclass
class Tally:
    """What came of the files of one target."""

    files: int = 0
    workloads: int = 0
    refusals: int = 0
    contained: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)


def reading(target: Target) -> Read:
    """The reader's `read`, with the formats' packages loaded, so that a child only reads.

    The ONNX reader starts a process for each file; here the child is that process, so its inner part is called.
    """
    from tradespace.plugins import registry

    reader = registry().load("readers", target.reader)()
    if target.reader == "onnx":
        from tradespace.workloads.networks.graph import Origin, build
        from tradespace.workloads.networks.onnx_file import read_network

        def onnx(path: Path) -> Any:
            network = read_network(path, str(path), axes={}, values={}, trips=1)
            return build(network, Origin("net", "net", "fuzz", str(path)))

        return onnx
    return lambda path: reader.read(path, {})


def mutated(target: Target, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    return mutant(seeds, Random(f"{seed}:{target.name}:{number}"))


def place(target: Target, folder: Path, data: bytes, number: int) -> Path:
    """Write the file where the reader finds it; every twentieth is gzipped where the format allows it."""
    name = target.file
    if target.packs and number % 20 == 19:
        name, data = f"{name}.gz", gzip.compress(data, 1, mtime=0)
    file = folder / name
    file.write_bytes(data)
    return folder if target.folder else file


def verdict(read: Read, path: Path) -> str:
    """Either "workload" or "refusal", or what went wrong, in a line."""
    from tradespace.errors import TradespaceError

    start = time.process_time()
    try:
        read(path)
        outcome = "workload"
    except TradespaceError as error:
        outcome = "refusal" if str(error).strip() else "an error without words"
    except MemoryError:
        outcome = f"more than {MEMORY >> 20} MiB"
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        where = next((f for f in reversed(frames) if "tradespace" in f.filename), frames[-1])
        outcome = f"{type(error).__name__}: {str(error)[:80]} ({Path(where.filename).name}:{where.lineno})"
    spent = time.process_time() - start
    return outcome if spent <= SECONDS else f"{spent:.1f} s of processor time ({outcome})"


def fuzz(target: Target, count: int, seed: int, say: Callable[[str], None]) -> Tally:
    """Read `count` mutated files; findings are written to the target's folder of regressions."""
    seeds, tally, start = target.make(), Tally(), time.perf_counter()
    if not seeds:
        say(f"{target.name}: no seeds in fuzz/seeds/{target.name}")
        return tally
    read = reading(target)
    _warm(target, read, seeds)
    shared = mmap.mmap(-1, struct.calcsize(FORMAT))
    at = 0
    while at < count:
        end = min(count, at + CHUNK)
        shared[:] = struct.pack(FORMAT, at, 0, 0, 0)
        reason = _chunk(target, read, seeds, seed, range(at, end), shared)
        number, workloads, refusals, findings = struct.unpack(FORMAT, shared[:])
        tally.workloads, tally.refusals = tally.workloads + workloads, tally.refusals + refusals
        at = end if not reason else number + 1
        if reason:
            if target.contained and "signal" in reason:
                tally.contained += 1
            else:
                tally.findings.append(_keep(target, mutated(target, seeds, seed, number), reason))
        if findings:
            tally.findings.extend(_noted(target))
        tally.files = at
        say(f"{target.name}: {at:,} of {count:,}")
    tally.findings = sorted(set(tally.findings))
    tally.seconds = time.perf_counter() - start
    return tally


def _warm(target: Target, read: Read, seeds: Sequence[bytes]) -> None:
    """Read a seed once, so that imports are done before the children start; seeds must be good files."""
    with tempfile.TemporaryDirectory() as name:
        folder = _beside(target, Path(name))
        for data in seeds:
            found = verdict(read, place(target, folder, data, 0))
            if found not in ("workload", "refusal"):
                raise SystemExit(f"{target.name}: a seed gives {found}")


def _beside(target: Target, folder: Path) -> Path:
    for name, data in target.beside.items():
        (folder / name).write_bytes(data)
    return folder


def _chunk(target: Target, read: Read, seeds: Sequence[bytes], seed: int, numbers: range, shared: mmap.mmap) -> str:
    """Fork a child for these files; "" or why it ended early."""
    room = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = Path(tempfile.mkdtemp(prefix="tradespace-fuzz-", dir=room))
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _restrict()
            _work(target, read, seeds, seed, numbers, _beside(target, folder), shared)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    try:
        return _watch(child, shared)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _restrict() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if os.path.exists("/proc/self/statm") else 0
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(
    target: Target, read: Read, seeds: Sequence[bytes], seed: int, numbers: range, folder: Path, shared: mmap.mmap
) -> None:
    workloads = refusals = findings = 0
    for number in numbers:
        shared[:] = struct.pack(FORMAT, number, workloads, refusals, findings)
        data = mutated(target, seeds, seed, number)
        path = place(target, folder, data, number)
        found = verdict(read, path)
        workloads, refusals = workloads + (found == "workload"), refusals + (found == "refusal")
        if found not in ("workload", "refusal"):
            findings += 1
            _keep(target, data, found)
        if path.is_file() and path.suffix == ".gz":
            path.unlink()
    shared[:] = struct.pack(FORMAT, numbers[-1], workloads, refusals, findings)


def _watch(child: int, shared: mmap.mmap) -> str:
    last, since = b"", time.monotonic()
    pause = 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if os.WIFSIGNALED(status):
                return f"ended by signal {os.WTERMSIG(status)}"
            return "" if os.WEXITSTATUS(status) == 0 else "the child failed"
        now = bytes(shared[:])
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"no answer in {SILENCE:.0f} s"
        pause = min(0.2, pause * 1.5)
        time.sleep(pause)


def _keep(target: Target, data: bytes, reason: str) -> str:
    """Write a finding once (by its reason's place), with its reason beside it; the line that names it."""
    folder = REGRESSIONS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(reason.split("(")[-1].encode()).hexdigest()[:12]
    file = folder / f"{key}-{target.file}"
    if not file.exists():
        file.write_bytes(data)
        (folder / f"{key}.txt").write_text(reason + "\n")
    return f"{file.name}: {reason}"


def _noted(target: Target) -> list[str]:
    """What is kept for this target, with the reasons."""
    folder = REGRESSIONS / target.name
    return [f"{note.stem}: {note.read_text().strip()}" for note in sorted(folder.glob("*.txt"))]
