"""What it costs two queues to meet after every product: polling a flag, sleeping first, a blocking barrier.

A product of fp32 weights with 8 columns, half of its rows on each of two pinned threads, against one thread. Medians
with quartile ranges; the load of the system is printed. The smallest product is almost no work: the meeting alone.
"""

from __future__ import annotations

import os

import numpy as np

from tradespace.kernels import run_tasks
from tradespace.kernels.dense import Gemm
from tradespace.kernels.queues import WAITS
from tradespace.kernels.timing import median_and_spread
from tradespace_edge.heteroinfer import RowSplit

SHAPES = ((4, 16), (256, 256), (1024, 1024), (4096, 4096))
ROUNDS = 300


def main() -> int:
    rng = np.random.default_rng(0)
    print(f"load {os.getloadavg()}")
    print(f"{'weights':>12s}{'one thread':>12s}" + "".join(f"{wait:>12s}{'spread':>8s}" for wait in WAITS))
    for m, k in SHAPES:
        inputs = RowSplit().shaped(m, k, rng)
        rounds = ROUNDS if m * k < 1 << 22 else ROUNDS // 10
        alone, _ = median_and_spread(run_tasks(Gemm().tasks(inputs), repeat=rounds)[:, 0])
        line = f"{f'{m} x {k}':>12s}{alone * 1e6:9.1f} us"
        for wait in WAITS:
            found = RowSplit(wait=wait).seconds(inputs, rounds, predicted=alone / 2)
            median, spread = median_and_spread(found[rounds // 10 :])
            line += f"{median * 1e6:9.1f} us{spread:8.1%}"
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
