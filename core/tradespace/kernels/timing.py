"""Time a kernel: warm-up, repetitions, median and spread, one pinned thread, and where it stands on the roofline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tradespace.kernels.contract import Arrays, Kernel, Work


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run: median, and the quartile range as a share of it."""

    kernel: str
    median: float
    spread: float
    repetitions: int
    work: Work

    @property
    def flops(self) -> float:
        """Achieved FLOP/s."""
        return self.work.flop / self.median

    @property
    def bandwidth(self) -> float:
        """Achieved B/s."""
        return self.work.bytes / self.median


def time_kernel(kernel: Kernel, inputs: Arrays, *, warmup: int = 2, repetitions: int = 9) -> Timing:
    """Time ``kernel.run`` on one pinned core."""
    seconds = np.empty(repetitions)
    with pinned():
        for _ in range(warmup):
            kernel.run(inputs)
        for i in range(repetitions):
            start = time.perf_counter()
            kernel.run(inputs)
            seconds[i] = time.perf_counter() - start
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return Timing(kernel.name, float(median), float((high - low) / median), repetitions, kernel.work(inputs))


@contextmanager
def pinned() -> Iterator[None]:
    """Run on one core of those allowed (a no-op where the system cannot pin)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {max(allowed)})
        yield
    finally:
        os.sched_setaffinity(0, allowed)
