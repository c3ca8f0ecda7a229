"""Number-theoretic transforms on this processor: products of bytes against butterflies, and against numpy.

Sets A, B and C of CROSS (degree and split; 4, 8 and 16 limbs), one thread; the fastest of many runs by the processor's
clock, so that a busy machine disturbs little. ``--isa avx2`` or ``scalar`` compiles for less than this processor has.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, fastest, run, seconds_of

from tradespace.kernels.contract import disagreement
from tradespace_accelerators.cross_he_kernel import NTTButterflies, NTTBytes

SETS = {"A": (128, 32, 4), "B": (128, 64, 8), "C": (128, 128, 16)}


def measure(options: Options) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for name, (r, c, limbs) in SETS.items():
        for kind in (NTTBytes, NTTButterflies):
            kernel = kind(r, c, limbs, isa=options.isa)
            inputs = kernel.inputs(3 * r * c * limbs * 4, rng)
            seconds = fastest(kernel, inputs, options)
            reference = seconds_of(functools.partial(kernel.reference, inputs))
            count, work = len(inputs["x"]), kernel.work(inputs)
            rows.append(
                {"set": name, "kernel": kernel.name, "transforms_per_s": count / seconds, "flops": work.flop / seconds,
                 "numpy_transforms_per_s": count / reference, "disagreement": disagreement(kernel, inputs)}
            )  # fmt: skip
    return {"rows": rows}


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield "a transform is one limb"
    for row in document["rows"]:
        yield (
            f"set {row['set']} {row['kernel']:16s}{row['transforms_per_s']:12,.0f} /s {row['flops'] / 1e9:8.1f} Gop/s"
            f"   numpy {row['numpy_transforms_per_s']:8,.0f} /s   disagreement {row['disagreement']:g}"
        )


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines, repetitions=10))
