"""One task on two queues: each computes a share of its rows, and they meet by a flag or on a barrier."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.running import Task, _packed, usable_cpus

Wait = Literal["poll", "sleep", "block"]
WAITS: tuple[Wait, ...] = ("poll", "sleep", "block")
"""A flag that is polled; one that is polled after sleeping for the predicted time; a condition that wakes a thread."""


def run_split(
    task: Task, share: float, *, wait: Wait = "poll", rounds: int = 1, predicted: float = 0.0
) -> NDArray[np.float64]:
    """Run a task with a share of its rows on each of two threads, pinned to the last two usable processors.

    Args:
        share: of the rows for the first thread, rounded to the task's grain.
        wait: how they meet, one of `WAITS`.
        predicted: s of one run, for "sleep".

    Returns:
        (rounds,) s from handing the work out until both shares are done.

    Raises:
        KernelError: a share outside of 0 to 1, an unknown wait, no compiler, or threads that cannot be started.
    """
    if not 0.0 <= share <= 1.0 or wait not in WAITS or rounds < 1:
        rule = f"a share is 0 to 1, a wait one of {', '.join(WAITS)}, and there is a round"
        raise KernelError(rule, value=(share, wait, rounds))
    seconds = np.zeros(rounds)
    cpus = (*usable_cpus()[::-1][:2], -1, -1)
    places = (cpus[0], cpus[1]) if cpus[1] >= 0 else (-1, -1)
    packed = _packed(task)
    cut = min(task.rows, round(share * task.rows / task.grain) * task.grain)
    arguments = (
        ctypes.addressof(packed), cut, rounds, WAITS.index(wait), float(predicted), *places, seconds.ctypes.data,
    )  # fmt: skip
    failed = _own_thread(lambda: _function()(*arguments))
    if failed:
        raise KernelError("the system must let threads start", value=os.strerror(failed), where="two queues")
    return seconds


def _own_thread(call: Callable[[], int]) -> int:
    """In a thread of its own, as the call pins the thread it runs in."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@cache
def _function() -> Any:
    function = load_shipped("queues").run_split
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, ctypes.c_double, ctypes.c_int32,
        ctypes.c_int32, ctypes.c_void_p,
    ]  # fmt: skip
    function.restype = ctypes.c_int
    return function
