"""Run native kernels on pinned threads: a task is one C function over a range of rows, a step is a list of tasks."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped

ROWS = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
"""Arguments of a task function: ``void f(const void *args, int64_t begin, int64_t end)``, see ``c/task.h``."""

MAX_THREADS = 256


@dataclass(frozen=True, eq=False)
class Task:
    """One kernel call over `rows` rows, dealt to the threads in contiguous shares that are multiples of `grain`.

    Args:
        function: of a loaded library; computes a range of rows (see `ROWS`).
        args: the C structure it reads.
        keep: arrays (and tasks) that `args` points into; they must live as long as the task.
        label: shown with its time.
    """

    function: Any
    args: ctypes.Structure
    rows: int
    grain: int = 1
    keep: tuple[Any, ...] = ()
    label: str = ""


class _Task(ctypes.Structure):
    _fields_ = (
        ("run", ctypes.c_void_p),
        ("args", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("grain", ctypes.c_int64),
    )


@cache
def _run_tasks() -> Any:
    function = load_shipped("runner").run_tasks
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p,
        ctypes.c_void_p,
    ]  # fmt: skip
    function.restype = ctypes.c_int
    return function


def usable_cpus() -> tuple[int, ...]:
    """The processors this process may run on; () where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def run_tasks(
    tasks: Sequence[Task], *, threads: int = 1, repeat: int = 1, clock: Literal["wall", "processor"] = "wall"
) -> NDArray[np.float64]:
    """Run all tasks in order, each split over all threads, `repeat` times over.

    Thread i is pinned to the i-th last processor of `usable_cpus`; threads beyond their number are not pinned.

    Args:
        clock: "wall", up to the barrier behind each task: a row adds up to one run. "processor": what the busiest
            thread ran of each task, without barriers and without the time that the system gave to other processes:
            what a task would take on a machine of its own. The cost of reading it is taken off; at least 1 ns stays.

    Returns:
        (repeat, len(tasks)) seconds.

    Raises:
        KernelError: no compiler, or threads that cannot be started.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise KernelError(f"threads are 1 to {MAX_THREADS}", value=threads)
    packed = (_Task * len(tasks))(*(_packed(task) for task in tasks))
    allowed = usable_cpus()[::-1]
    cpus = np.array([allowed[i] if i < len(allowed) else -1 for i in range(threads)], np.int32)
    seconds = np.zeros((1 if clock == "wall" else threads, repeat, len(tasks)))
    wall, busy = (seconds.ctypes.data, None) if clock == "wall" else (None, seconds.ctypes.data)
    failed = _run_tasks()(packed, len(tasks), threads, cpus.ctypes.data, repeat, wall, busy)
    if failed:
        raise KernelError("the system must let threads start", value=os.strerror(failed), where=f"{threads} threads")
    return np.asarray(seconds.max(axis=0))


def _packed(task: Task) -> _Task:
    function = ctypes.cast(task.function, ctypes.c_void_p)
    return _Task(function, ctypes.addressof(task.args), task.rows, task.grain)


def task_function(library: ctypes.CDLL, name: str) -> Any:
    """A task function of a library, with its argument types set."""
    function = getattr(library, name)
    function.argtypes, function.restype = list(ROWS), None
    return function
