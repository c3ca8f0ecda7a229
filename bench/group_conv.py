"""Group convolution against depthwise on this processor: GMAC/s and time by channels in a group.

DRACO's argument on a CPU: every activation that is loaded meets G filters, so arithmetic intensity grows with G.
512 channels of 14 x 14, 3 x 3, one thread; the fastest of many runs by the processor's clock, so that a busy machine
disturbs little. "of peak" counts fp32 multiply-adds on the maps, not on their padding, against registers alone.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import numpy as np

from tradespace.kernels import ISAS, run_tasks, time_kernel
from tradespace.kernels.probes import FMAProbe
from tradespace_accelerators.draco_kernels import GroupConvFP32, GroupConvInt8

GROUPS = (1, 2, 4, 8, 16, 32)
CHANNELS, SIDE, KERNEL, RUNS = 512, 14, 3, 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    peak = time_kernel(FMAProbe(256), FMAProbe(256).inputs(8192, rng)).flops / 2
    rows: list[dict[str, Any]] = []
    for kind in (GroupConvFP32, GroupConvInt8):
        for group in GROUPS:
            kernel = kind(group, options.isa)
            inputs = kernel.shaped(CHANNELS, SIDE, SIDE, KERNEL, rng)
            seconds = float(run_tasks(kernel.tasks(inputs), repeat=RUNS, clock="processor").sum(axis=1)[5:].min())
            work = kernel.work(inputs)
            rows.append(
                {"kernel": kernel.name, "group": group, "seconds": seconds, "macs_per_s": work.flop / 2 / seconds,
                 "intensity": work.intensity}
            )  # fmt: skip
    document = {"load": os.getloadavg(), "isa": options.isa, "peak_fp32_macs": peak, "rows": rows}
    if options.json:
        print(json.dumps(document))
        return 0
    print(f"load {document['load']}, isa {options.isa}, peak {peak / 1e9:.1f} GMAC/s in fp32")
    print(f"{'kernel':16s}{'G':>4s}{'us':>8s}{'x G=1':>8s}{'GMAC/s':>8s}{'FLOP/B':>8s}{'of peak':>9s}")
    first = {row["kernel"]: row["seconds"] for row in reversed(rows)}
    for row in rows:
        share = f"{row['macs_per_s'] / peak:9.2f}" if row["kernel"].endswith("fp32") else ""
        print(
            f"{row['kernel']:16s}{row['group']:4d}{row['seconds'] * 1e6:8.0f}"
            f"{row['seconds'] / first[row['kernel']]:8.2f}"
            f"{row['macs_per_s'] / 1e9:8.1f}{row['intensity']:8.1f}{share}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
