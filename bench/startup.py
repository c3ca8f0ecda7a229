"""What starting costs over ``python -c pass``: importing tradespace, and ``tradespace --help``.

Run ``python bench/startup.py``; exits 1 above the limits (50 ms and 150 ms). Pairs are interleaved and the median of
the differences is taken, so a busy machine moves both sides alike.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

CASES = {
    "import tradespace": ("import tradespace", 0.050),
    "tradespace --help": ("import sys; from tradespace.cli import main; sys.exit(main(['--help']))", 0.150),
}


def seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def measure(repeats: int) -> dict[str, float]:
    """Case -> median seconds over ``python -c pass``."""
    for code, _ in CASES.values():  # byte code and file cache warm
        seconds(code)
    differences: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(repeats):
        for name, (code, _) in CASES.items():
            differences[name].append(-seconds("pass") + seconds(code))
    return {name: statistics.median(values) for name, values in differences.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=21)
    measured = measure(parser.parse_args().repeats)
    for name, value in measured.items():
        print(f"{name:20} {value * 1e3:6.1f} ms over python -c pass   (limit {CASES[name][1] * 1e3:.0f} ms)")
    return int(any(value > CASES[name][1] for name, value in measured.items()))


if __name__ == "__main__":
    sys.exit(main())
