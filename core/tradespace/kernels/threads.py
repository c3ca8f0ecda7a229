"""What a second thread and the network stack of this machine cost."""

from __future__ import annotations

import ctypes
import os

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels.build import KernelError, load_shipped
from tradespace.kernels.running import usable_cpus


def pass_flag(rounds: int = 200) -> NDArray[np.float64]:
    """(rounds,) s for handing a flag to a thread that spins on another core. Raises `KernelError`."""
    return _measure("pass_flag", rounds, two=True)


def wake_up(rounds: int = 200) -> NDArray[np.float64]:
    """(rounds,) s from signalling a sleeping thread until it runs. Raises `KernelError`."""
    return _measure("wake_up", rounds, two=True)


def loopback(rounds: int = 500) -> NDArray[np.float64]:
    """(rounds,) s for 64 B there and back over TCP on 127.0.0.1. Raises `KernelError`."""
    return _measure("loopback", rounds, two=False)


def _measure(name: str, rounds: int, *, two: bool) -> NDArray[np.float64]:
    cpus = usable_cpus()
    if two and len(cpus) == 1:
        raise KernelError("two threads need two processors", value="1 usable", where=name)
    here, there = (cpus[-1], cpus[-2]) if len(cpus) > 1 else (-1, -1)
    seconds = np.zeros(rounds)
    function = getattr(load_shipped("threads"), name)
    places = (ctypes.c_int32(here), ctypes.c_int32(there)) if two else ()
    failed = _unpinned(function, ctypes.c_void_p(seconds.ctypes.data), ctypes.c_int64(rounds), *places)
    if failed:
        raise KernelError("the system must allow this probe", value=os.strerror(failed), where=name)
    return seconds


def _unpinned(function: object, *arguments: object) -> int:
    """Call a probe that pins the calling thread, and let that thread go again."""
    cpus = usable_cpus()
    try:
        return int(function(*arguments))  # type: ignore[operator]
    finally:
        if cpus:
            os.sched_setaffinity(0, set(cpus))
