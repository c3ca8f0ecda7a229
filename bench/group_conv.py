"""Group convolution against depthwise on this processor: GMAC/s and time by channels in a group.

DRACO's argument on a CPU: every activation that is loaded meets G filters, so arithmetic intensity grows with G.
512 channels of 14 x 14, 3 x 3, one thread; the fastest of many runs by the processor's clock, so that a busy machine
disturbs little. "of peak" counts fp32 multiply-adds on the maps, not on their padding, against registers alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, fastest, run

from tradespace.kernels import time_kernel
from tradespace.kernels.probes import FMAProbe
from tradespace_accelerators.draco_kernels import GroupConvFP32, GroupConvInt8

GROUPS = (1, 2, 4, 8, 16, 32)
CHANNELS, SIDE, KERNEL = 512, 14, 3


def measure(options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    peak = time_kernel(FMAProbe(256), FMAProbe(256).inputs(8192, rng)).flops / 2
    rows: list[dict[str, Any]] = []
    for kind in (GroupConvFP32, GroupConvInt8):
        for group in GROUPS:
            kernel = kind(group, options.isa)
            inputs = kernel.shaped(CHANNELS, SIDE, SIDE, KERNEL, rng)
            seconds = fastest(kernel, inputs, options)
            work = kernel.work(inputs)
            rows.append(
                {"kernel": kernel.name, "group": group, "seconds": seconds, "macs_per_s": work.flop / 2 / seconds,
                 "intensity": work.intensity}
            )  # fmt: skip
    return {"peak_fp32_macs": peak, "rows": rows}


def lines(document: dict[str, Any]) -> Iterator[str]:
    peak, rows = document["peak_fp32_macs"], document["rows"]
    yield f"peak {peak / 1e9:.1f} GMAC/s in fp32"
    yield f"{'kernel':16s}{'G':>4s}{'us':>8s}{'x G=1':>8s}{'GMAC/s':>8s}{'FLOP/B':>8s}{'of peak':>9s}"
    first = {row["kernel"]: row["seconds"] for row in reversed(rows)}
    for row in rows:
        share = f"{row['macs_per_s'] / peak:9.2f}" if row["kernel"].endswith("fp32") else ""
        yield (
            f"{row['kernel']:16s}{row['group']:4d}{row['seconds'] * 1e6:8.0f}"
            f"{row['seconds'] / first[row['kernel']]:8.2f}"
            f"{row['macs_per_s'] / 1e9:8.1f}{row['intensity']:8.1f}{share}"
        )


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=35))
