"""Number-theoretic transforms on this processor: products of bytes against butterflies, and against numpy.

Sets A, B and C of CROSS (degree and split; 4, 8 and 16 limbs), one thread; the fastest of many runs by the processor's
clock, so that a busy machine disturbs little. ``--isa avx2`` or ``scalar`` compiles for less than this processor has.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np

from tradespace.kernels import ISAS, run_tasks
from tradespace.kernels.contract import disagreement
from tradespace_accelerators.cross_he_kernel import NTTButterflies, NTTBytes

SETS = {"A": (128, 32, 4), "B": (128, 64, 8), "C": (128, 128, 16)}
RUNS = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for name, (r, c, limbs) in SETS.items():
        for kind in (NTTBytes, NTTButterflies):
            kernel = kind(r, c, limbs, isa=options.isa)
            inputs = kernel.inputs(3 * r * c * limbs * 4, rng)
            seconds = float(run_tasks(kernel.tasks(inputs), repeat=RUNS, clock="processor").sum(axis=1)[2:].min())
            begin = time.perf_counter()
            kernel.reference(inputs)
            reference = time.perf_counter() - begin
            count, work = len(inputs["x"]), kernel.work(inputs)
            rows.append(
                {"set": name, "kernel": kernel.name, "transforms_per_s": count / seconds, "flops": work.flop / seconds,
                 "numpy_transforms_per_s": count / reference, "disagreement": disagreement(kernel, inputs)}
            )  # fmt: skip
    document: dict[str, Any] = {"load": os.getloadavg(), "isa": options.isa, "rows": rows}
    if options.json:
        print(json.dumps(document))
        return 0
    print(f"load {document['load']}, isa {options.isa}; a transform is one limb")
    for row in rows:
        print(
            f"set {row['set']} {row['kernel']:16s}{row['transforms_per_s']:12,.0f} /s {row['flops'] / 1e9:8.1f} Gop/s"
            f"   numpy {row['numpy_transforms_per_s']:8,.0f} /s   disagreement {row['disagreement']:g}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
