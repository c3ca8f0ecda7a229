"""DASI on real silicon: measured utilisation of one core against min(1, arithmetic intensity / ridge point).

The peak is taken at 200 FMAs a float, the bandwidth at 1/4 FLOP/B; every intensity between them is predicted from the
two. Prints a table; ``--json`` prints one document. Exit code 1 if a point lies more than 20 % off (the brief's bar).
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np

from tradespace.kernels import Timing, time_kernel
from tradespace.kernels.dense import Gemv
from tradespace.kernels.probes import FMAProbe, Read

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128)
FLOATS = 2**25  # 128 MiB: beyond every cache


def measure(steps: int, inputs: dict[str, np.ndarray]) -> Timing:
    return time_kernel(FMAProbe(steps), inputs, warmup=1, repetitions=7)


def _read(inputs: dict[str, np.ndarray]) -> float:
    """B/s of reading the same floats once."""
    pages = {"x": inputs["a"].reshape(-1, Read.page), "out": np.zeros(FLOATS // Read.page, np.float32)}
    return time_kernel(Read(), pages, warmup=1, repetitions=7).bandwidth


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    inputs = dict(FMAProbe().inputs(FLOATS, np.random.default_rng(0)))
    peak, bandwidth = measure(200, inputs).flops, _read(inputs)
    rows = []
    for steps in STEPS:
        timing = measure(steps, inputs)
        predicted = min(1.0, timing.work.intensity * bandwidth / peak)
        rows.append(
            {
                "intensity": timing.work.intensity,
                "predicted": predicted,
                "measured": timing.flops / peak,
                "ratio": timing.flops / peak / predicted,
                "spread": timing.spread,
            }
        )
    gemv = time_kernel(Gemv(), Gemv().inputs(FLOATS, np.random.default_rng(1)), repetitions=7)
    worst = max(abs(row["ratio"] - 1) for row in rows)
    if as_json:
        print(json.dumps({"peak": peak, "bandwidth": bandwidth, "rows": rows, "gemv_bandwidth": gemv.bandwidth}))
    else:
        print(
            f"one core: peak {peak / 1e9:.1f} GFLOP/s, read {bandwidth / 1e9:.1f} GB/s, "
            f"ridge {peak / bandwidth:.2f} FLOP/B"
        )
        print("  FLOP/B   predicted  measured  ratio  spread")
        for row in rows:
            print(
                f"{row['intensity']:8.2f}   {row['predicted']:9.3f}  {row['measured']:8.3f}  {row['ratio']:5.2f}"
                f"  {row['spread']:6.1%}"
            )
        print(f"gemv fp32: {gemv.bandwidth / 1e9:.1f} GB/s = {gemv.bandwidth / bandwidth:.0%} of the read bandwidth")
        print(f"largest distance from min(1, AI/ridge): {worst:.0%}")
    return int(worst > 0.20)


if __name__ == "__main__":
    sys.exit(main())
