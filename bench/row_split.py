"""What it costs two queues to meet after every product: polling a flag, sleeping first, a blocking barrier.

A product of fp32 weights with 8 columns, half of its rows on each of two pinned threads, against one thread. Medians
with quartile ranges; the load of the system is printed. The smallest product is almost no work: the meeting alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, run

from tradespace.kernels import run_tasks
from tradespace.kernels.dense import Gemm
from tradespace.kernels.queues import WAITS
from tradespace.kernels.timing import median_and_spread
from tradespace_edge.heteroinfer import RowSplit

SHAPES = ((4, 16), (256, 256), (1024, 1024), (4096, 4096))


def measure(options: Options) -> dict[str, Any]:
    rng, rows = np.random.default_rng(0), []
    for m, k in SHAPES:
        inputs = RowSplit(isa=options.isa).shaped(m, k, rng)
        rounds = options.repetitions if m * k < 1 << 22 else max(options.repetitions // 10, 1)
        alone, _ = median_and_spread(run_tasks(Gemm(isa=options.isa).tasks(inputs), repeat=rounds)[:, 0])
        waits: dict[str, tuple[float, float]] = {}
        for wait in WAITS:
            found = RowSplit(wait=wait, isa=options.isa).seconds(inputs, rounds, predicted=alone / 2)
            waits[wait] = median_and_spread(found[rounds // 10 :])
        rows.append({"weights": f"{m} x {k}", "seconds": alone, "waits": waits})
    return {"rows": rows}


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield "two queues meet after every product"
    yield f"{'weights':>12s}{'one thread':>12s}" + "".join(f"{wait:>12s}{'spread':>8s}" for wait in WAITS)
    for row in document["rows"]:
        meetings = "".join(f"{median * 1e6:9.1f} us{spread:8.1%}" for median, spread in row["waits"].values())
        yield f"{row['weights']:>12s}{row['seconds'] * 1e6:9.1f} us{meetings}"


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=300))
