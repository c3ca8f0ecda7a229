"""Time a kernel: warm-up, repetitions, median and spread, pinned threads, and where it stands on the roofline."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError
from tradespace.kernels.contract import Arrays, Kernel, TaskKernel, Work
from tradespace.kernels.running import run_tasks


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run: median, and the quartile range as a share of it."""

    kernel: str
    median: float
    spread: float
    repetitions: int
    work: Work
    threads: int = 1

    @property
    def flops(self) -> float:
        """Achieved FLOP/s."""
        return self.work.flop / self.median

    @property
    def bandwidth(self) -> float:
        """Achieved B/s."""
        return self.work.bytes / self.median

    def roofline(self, peak: float, bandwidth: float) -> float:
        """Achieved share of what a machine of `peak` FLOP/s and `bandwidth` B/s allows at this intensity
        (Williams, Waterman, Patterson 2009): 1 is on the roof."""
        return self.flops / min(peak, self.work.intensity * bandwidth)


def time_kernel(kernel: Kernel, inputs: Arrays, *, threads: int = 1, warmup: int = 2, repetitions: int = 9) -> Timing:
    """Time one run on pinned cores; a `TaskKernel` is timed inside C, another kernel around `run`, on one core.

    Raises:
        KernelError: it cannot be built, or has no tasks to split over several threads.
    """
    if isinstance(kernel, TaskKernel):
        tasks = kernel.tasks(inputs)
        seconds = run_tasks(tasks, threads=threads, repeat=warmup + repetitions)[warmup:].sum(axis=1)
    elif threads == 1:
        seconds = _time_calls(kernel, inputs, warmup, repetitions)
    else:
        raise KernelError("only kernels made of tasks run on several threads", value=kernel.name)
    median, spread = median_and_spread(seconds)
    return Timing(kernel.name, median, spread, repetitions, kernel.work(inputs), threads)


def median_and_spread(seconds: NDArray[np.float64]) -> tuple[float, float]:
    """The median, and the quartile range as a share of it."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return float(median), float((high - low) / median) if median else 0.0


def _time_calls(kernel: Kernel, inputs: Arrays, warmup: int, repetitions: int) -> NDArray[np.float64]:
    seconds = np.empty(repetitions)
    with pinned():
        for _ in range(warmup):
            kernel.run(inputs)
        for i in range(repetitions):
            start = time.perf_counter()
            kernel.run(inputs)
            seconds[i] = time.perf_counter() - start
    return seconds


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
