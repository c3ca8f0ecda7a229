"""Attention over keys of four ranks, merged: the native kernel against numpy on the same inputs, and against one rank.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.kernel_runs import Options, run, seconds_of

from tradespace.kernels import time_kernel
from tradespace.kernels.contract import disagreement
from tradespace_training.tokenring_kernel import RingAttention

QUERIES, KEYS, HEAD, RANKS = 64, 6000, 128, 4  # keys and head as in TokenRing's README


def measure(options: Options) -> dict[str, Any]:
    kernel = RingAttention(isa=options.isa)
    inputs = kernel.shaped(QUERIES, KEYS, HEAD, RANKS, np.random.default_rng(0))
    whole = {**inputs, **{key: inputs[key].reshape(1, -1, HEAD) for key in ("k", "v")}}
    flop = kernel.work(inputs).flop
    ranks, one = (time_kernel(kernel, case, repetitions=options.repetitions) for case in (inputs, whole))
    return {
        "flops": flop / ranks.median,
        "spread": ranks.spread,
        "merging": ranks.median / one.median - 1,
        "numpy_flops": flop / seconds_of(lambda: kernel.reference(inputs), 5),
        "disagreement": disagreement(kernel, inputs),
    }


def lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{QUERIES} queries, {RANKS} x {KEYS} keys, disagreement {document['disagreement']:.1e}"
    yield f"native, {RANKS} ranks: {document['flops'] / 1e9:.1f} GFLOP/s, spread {document['spread']:.0%}"
    merging, peer = document["merging"], document["numpy_flops"]
    yield f"merging costs {merging:+.1%} beside one rank; numpy (doubles): {peer / 1e9:.1f} GFLOP/s"


if __name__ == "__main__":
    raise SystemExit(run(str(__doc__), measure, lines))
