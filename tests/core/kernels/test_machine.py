"""What of a machine may be used: affinity, cgroup v1 and v2 limits, available memory, caches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tradespace.kernels import KernelError, machine, power, storage
from tradespace.kernels.machine import this_machine

GB = 10**9


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux system with 8 processors of 64 GB, of which 40 GB are available, and no limits."""
    monkeypatch.setattr(machine, "usable_cpus", lambda: tuple(range(8)))
    write(tmp_path, "proc/cpuinfo", "processor : 0\nmodel name : Test 9000\n")
    write(tmp_path, "proc/meminfo", f"MemTotal: {64 * GB // 1024} kB\nMemAvailable: {40 * GB // 1024} kB\n")
    for index, (level, kind, size) in enumerate(
        ((1, "Data", "32K"), (1, "Instruction", "32K"), (2, "Unified", "1024K"), (3, "Unified", "16M"))
    ):
        cache = f"sys/devices/system/cpu/cpu0/cache/index{index}"
        for name, text in (("level", level), ("type", kind), ("size", size)):
            write(tmp_path, f"{cache}/{name}", f"{text}\n")
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_without_limits_everything_available_counts(root: Path) -> None:
    found = machine._linux(root)
    assert (found.name, found.cores) == ("Test 9000", 8)
    assert found.memory == 40 * GB // 1024 * 1024 and found.memory_from == "MemAvailable"
    assert found.caches == ((1, 32 * 1024), (2, 2**20), (3, 16 * 2**20))
    assert found.last_cache == 16 * 2**20 and found.cache(2) == 2**20 and found.cache(4) is None


def test_cgroup_v2_limits_hold_also_from_above(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/pod/box\n")
    write(root, "sys/fs/cgroup/pod/cpu.max", "250000 100000\n")
    write(root, "sys/fs/cgroup/pod/box/cpu.max", "max 100000\n")
    write(root, "sys/fs/cgroup/pod/box/memory.max", f"{4 * GB}\n")
    write(root, "sys/fs/cgroup/pod/box/memory.current", f"{3 * GB}\n")
    write(root, "sys/fs/cgroup/pod/box/memory.stat", f"anon 5\ninactive_file {GB}\n")
    found = machine._linux(root)
    assert found.cores == 2 and "quota of 2.5" in found.cores_from
    assert found.memory == 2 * GB and "cgroup limit of 4 GB" in found.memory_from


def test_cgroup_v1_limits_hold(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n")
    write(root, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "50000\n")
    write(root, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n")
    write(root, "sys/fs/cgroup/memory/box/memory.limit_in_bytes", f"{2 * GB}\n")
    write(root, "sys/fs/cgroup/memory/box/memory.usage_in_bytes", f"{GB}\n")
    write(root, "sys/fs/cgroup/memory/box/memory.stat", "total_inactive_file 0\n")
    found = machine._linux(root)
    assert found.cores == 1 and "quota of 0.5" in found.cores_from  # half a processor still runs one thread
    assert found.memory == GB


def test_no_limit_of_v1_is_a_huge_number(root: Path) -> None:
    write(root, "proc/self/cgroup", "4:memory:/\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    found = machine._linux(root)
    assert found.memory_from == "MemAvailable" and found.cores == 8


def test_windows_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "platform", "win32")
    with pytest.raises(KernelError, match=r"needs Linux or macOS.*On Windows the kernels would need"):
        this_machine()


def test_macos_reads_sysctl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code path as written; no such machine has been tried."""
    answers = {
        "hw.perflevel0.logicalcpu": "4",
        "hw.perflevel0.l1dcachesize": "131072", "hw.perflevel0.l2cachesize": "12582912",
        "hw.pagesize": "16384", "hw.memsize": "17179869184", "machdep.cpu.brand_string": "Apple M2",
    }  # fmt: skip

    def output(command: list[str]) -> str:
        if command[0] == "sysctl":
            return answers.get(command[2], "") + "\n"
        return "Mach Virtual Memory Statistics:\nPages free:   100.\nPages inactive:   200.\nPages active:   9.\n"

    monkeypatch.setattr(machine, "_output", output)
    found = machine._darwin()
    assert (found.name, found.cores, found.memory) == ("Apple M2", 4, 300 * 16384)
    assert found.caches == ((1, 131072), (2, 12582912))


def test_files_are_read_whole_and_removed(tmp_path: Path) -> None:
    found = storage.file_reads(tmp_path, size=4 << 20, reads=20, limit=1.0, rng=np.random.default_rng(0))
    assert set(found.seconds) == {(p, s) for p in ("random", "sequential") for s in storage.SIZES}
    assert [len(found.seconds["random", size]) for size in storage.SIZES] == [20, 8]
    assert (found.bandwidth("sequential", 4096) > 0).all() and found.how
    assert not list(tmp_path.iterdir())


def test_a_folder_without_room_is_told(tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="a file for the storage probe must fit"):
        storage.file_reads(tmp_path / "absent", size=4096, reads=1, limit=1.0, rng=np.random.default_rng(0))


def test_package_energy_is_read_before_and_after(tmp_path: Path) -> None:
    assert power.package_power(lambda: None, tmp_path) is None
    counter = tmp_path / "intel-rapl:0/energy_uj"
    write(tmp_path, "intel-rapl:0/energy_uj", "999000000\n")
    write(tmp_path, "intel-rapl:0/max_energy_range_uj", "1000000000\n")

    def busy() -> None:
        counter.write_text("1000000\n")  # 2 J further, over the end of the counter

    found = power.package_power(busy, tmp_path)
    assert found is not None and found[0] == 0 and found[1] > 100  # 2 J in far less than 20 ms
