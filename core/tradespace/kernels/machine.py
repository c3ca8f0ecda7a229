"""What this machine is and what of it this process may use: processors, memory, caches, within cgroup limits."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tradespace.kernels.build import KernelError
from tradespace.kernels.running import usable_cpus

DEFAULT_CACHE = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Machine:
    """What a calibration may count on.

    Args:
        name: of the processor, as the system gives it.
        system: "Linux", "Darwin".
        cores: processors this process may keep busy: affinity, rounded down to a cgroup's quota.
        cores_from: what set `cores`.
        memory: B that can still be used: what is available, within a cgroup's limit.
        memory_from: what set `memory`.
        caches: (level, bytes) of the data caches of one core, sorted; () where the system does not say.
    """

    name: str
    system: str
    cores: int
    cores_from: str
    memory: int
    memory_from: str
    caches: tuple[tuple[int, int], ...]

    @property
    def last_cache(self) -> int:
        """B of the largest cache, or a guess of 32 MB."""
        return self.caches[-1][1] if self.caches else DEFAULT_CACHE

    def cache(self, level: int) -> int | None:
        """B of the data cache of a level."""
        return dict(self.caches).get(level)


def this_machine() -> Machine:
    """Ask the system. Raises `KernelError` where it is neither Linux nor macOS."""
    if sys.platform == "linux":
        return _linux(Path("/"))
    if sys.platform == "darwin":
        return _darwin()
    raise KernelError(
        "calibration needs Linux or macOS",
        value=platform.system(),
        remedy="On Windows the kernels would need its threads, affinity and unbuffered files; WSL works as Linux.",
    )


def _linux(root: Path) -> Machine:
    cores, cores_from = _linux_cores(root)
    memory, memory_from = _linux_memory(root)
    name = next(
        (line.split(":", 1)[1].strip() for line in _lines(root / "proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    return Machine(name, "Linux", cores, cores_from, memory, memory_from, _linux_caches(root))


def _linux_cores(root: Path) -> tuple[int, str]:
    allowed = len(usable_cpus())
    best, source = allowed, f"scheduler affinity ({allowed} of {os.cpu_count()})"
    for folder in _cgroups(root):
        words = (_lines(folder / "cpu.max") or [""])[0].split()  # v2
        if len(words) == 2 and words[0] != "max":
            quota = int(words[0]) / int(words[1])
        else:
            quota = _integer(folder / "cpu.cfs_quota_us", -1) / max(1, _integer(folder / "cpu.cfs_period_us", 0))  # v1
        if 0 < quota < best:
            best, source = max(1, int(quota)), f"cgroup quota of {quota:g} processors"
    return best, source


def _linux_memory(root: Path) -> tuple[int, str]:
    facts = {line.split(":")[0]: line.split() for line in _lines(root / "proc/meminfo")}
    best, source = int(facts["MemAvailable"][1]) * 1024, "MemAvailable"
    for folder in _cgroups(root):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most = _integer(folder / limit, -1)
            if most <= 0 or most >= 2**60:  # "max", or v1's word for no limit
                continue
            stat = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if len(line.split()) == 2)
            free = most - _integer(folder / used, 0) + int(stat.get(cached, 0))
            if free < best:
                best, source = max(0, free), f"cgroup limit of {most / 1e9:.3g} GB less what is used"
    return best, source


def _cgroups(root: Path) -> list[Path]:
    """The folders whose limits hold for this process: its own group's and those above it, v2 and v1."""
    found = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        names = [""] if not controllers else [controllers, *controllers.split(",")]
        for name in names:
            base = root / "sys/fs/cgroup" / name
            folder = base / path.lstrip("/")
            steps = [folder, *folder.parents]
            found += [step for step in steps if step == base or base in step.parents]
        found += [root / "sys/fs/cgroup" / name for name in names]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _linux_caches(root: Path) -> tuple[tuple[int, int], ...]:
    sizes: dict[int, int] = {}
    for index in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind, text = (_lines(index / "type") or [""])[0], (_lines(index / "size") or ["0"])[0]
        if kind in ("Data", "Unified"):
            scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
            sizes[_integer(index / "level", 0)] = int(text.rstrip("KMG") or 0) * scale
    return tuple(sorted((level, size) for level, size in sizes.items() if size > 0))


def _darwin() -> Machine:
    """macOS: written from the manual pages of sysctl(3) and vm_stat(1), not tried."""
    fast = _sysctl("hw.perflevel0.logicalcpu") or _sysctl("hw.logicalcpu") or str(os.cpu_count() or 1)
    caches = []
    for level, names in (
        (1, ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize")),
        (2, ("hw.perflevel0.l2cachesize", "hw.l2cachesize")),
        (3, ("hw.l3cachesize",)),
    ):
        size = next((int(value) for value in map(_sysctl, names) if value and int(value) > 0), 0)
        if size:
            caches.append((level, size))
    page = int(_sysctl("hw.pagesize") or 16384)
    total, free = int(_sysctl("hw.memsize") or 0), 0
    for line in _output(["vm_stat"]).splitlines():
        key, _, value = line.partition(":")
        if key in ("Pages free", "Pages inactive", "Pages speculative", "Pages purgeable"):
            free += int(value.strip().rstrip(".") or 0) * page
    name = _sysctl("machdep.cpu.brand_string") or platform.machine()
    source = "free, inactive, speculative and purgeable pages of vm_stat" if free else "three quarters of hw.memsize"
    return Machine(name, "Darwin", int(fast), "performance cores", free or total * 3 // 4, source, tuple(caches))


def _sysctl(name: str) -> str:
    return _output(["sysctl", "-n", name]).strip()


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _integer(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return otherwise
