"""Native kernels: built once for this machine, checked against numpy, timed."""

from __future__ import annotations

from tradespace.kernels.build import KernelError, cache_folder, compiler, load
from tradespace.kernels.contract import Arrays, Kernel, Work, disagreement
from tradespace.kernels.timing import Timing, time_kernel

__all__ = [
    "Arrays",
    "Kernel",
    "KernelError",
    "Timing",
    "Work",
    "cache_folder",
    "compiler",
    "disagreement",
    "load",
    "time_kernel",
]
