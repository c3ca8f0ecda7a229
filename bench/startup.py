"""What starting costs over ``python -c pass``: importing tradespace, and ``tradespace --help``.

Run ``python bench/startup.py``; exits 1 above the limits (50 ms and 150 ms). Pairs are interleaved and the median of
the differences is taken. Judged by CPU time, which is what starting consists of: on an idle machine wall time is the
same, on a busy one wall time measures the neighbours. Both are printed.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

CASES = {
    "import tradespace": ("import tradespace", 0.050),
    "tradespace --help": ("import sys; from tradespace.cli import main; sys.exit(main(['--help']))", 0.150),
}


def seconds(code: str) -> tuple[float, float]:
    """(CPU, wall) of one process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def measure(repeats: int) -> dict[str, tuple[float, float]]:
    """Case -> median (CPU, wall) seconds over ``python -c pass``."""
    for code, _ in CASES.values():  # byte code and file cache warm
        seconds(code)
    differences: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for _ in range(repeats):
        for name, (code, _) in CASES.items():
            (plain_cpu, plain_wall), (cpu, wall) = seconds("pass"), seconds(code)
            differences[name].append((cpu - plain_cpu, wall - plain_wall))
    return {
        name: (statistics.median(cpu for cpu, _ in values), statistics.median(wall for _, wall in values))
        for name, values in differences.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=21)
    measured = measure(parser.parse_args().repeats)
    for name, (cpu, wall) in measured.items():
        limit = f"over python -c pass (limit {CASES[name][1] * 1e3:.0f} ms)"
        print(f"{name:20} {cpu * 1e3:6.1f} ms CPU, {wall * 1e3:6.1f} ms wall {limit}")
    return int(any(cpu > CASES[name][1] for name, (cpu, _) in measured.items()))


if __name__ == "__main__":
    sys.exit(main())
