"""Attention over keys of four ranks, merged: the native kernel against numpy on the same inputs, and against one rank.

Medians with quartile ranges; the load of the system is printed, as it decides what they are worth.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tradespace.kernels import time_kernel
from tradespace.kernels.contract import disagreement
from tradespace_training.tokenring_kernel import RingAttention

QUERIES, KEYS, HEAD, RANKS = 64, 6000, 128, 4  # keys and head as in TokenRing's README


def main() -> int:
    kernel = RingAttention()
    inputs = kernel.shaped(QUERIES, KEYS, HEAD, RANKS, np.random.default_rng(0))
    whole = {**inputs, **{key: inputs[key].reshape(1, -1, HEAD) for key in ("k", "v")}}
    flop = kernel.work(inputs).flop
    ranks, one = (time_kernel(kernel, case, threads=1, repetitions=9) for case in (inputs, whole))
    peer = median_of(lambda: kernel.reference(inputs))
    wrong, extra = disagreement(kernel, inputs), ranks.median / one.median - 1
    print(f"load {os.getloadavg()[0]:.1f}, {QUERIES} queries, {RANKS} x {KEYS} keys, disagreement {wrong:.1e}")
    print(f"native, {RANKS} ranks: {flop / ranks.median / 1e9:.1f} GFLOP/s, spread {ranks.spread:.0%}")
    print(f"merging costs {extra:+.1%} beside one rank; numpy (doubles): {flop / peer / 1e9:.1f} GFLOP/s")
    return 0


def median_of(action: Callable[[], Any], repetitions: int = 5) -> float:
    """Seconds."""
    seconds = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


if __name__ == "__main__":
    raise SystemExit(main())
