"""Native kernels: built once for this machine, checked against numpy, timed."""

from __future__ import annotations

from tradespace.kernels.build import ISAS, KernelError, cache_folder, compiler, load, load_shipped
from tradespace.kernels.contract import Arrays, Kernel, TaskKernel, Work, disagreement
from tradespace.kernels.running import Task, run_tasks, task_function, usable_cpus
from tradespace.kernels.timing import Timing, median_and_spread, time_kernel

__all__ = [
    "ISAS",
    "Arrays",
    "Kernel",
    "KernelError",
    "Task",
    "TaskKernel",
    "Timing",
    "Work",
    "cache_folder",
    "compiler",
    "disagreement",
    "load",
    "load_shipped",
    "median_and_spread",
    "run_tasks",
    "task_function",
    "time_kernel",
    "usable_cpus",
]
