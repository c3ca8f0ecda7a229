"""What the benches of native kernels share: arguments, threads, timing of peers, and how they report."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.kernels import ISAS, Timing, run_tasks, time_kernel, usable_cpus

THREADS = tuple(dict.fromkeys((1, len(usable_cpus()) or 1)))
_WARM = 3


@dataclass(frozen=True)
class Options:
    """``isa``: what kernels are compiled for. ``repetitions``: of what is timed."""

    isa: str
    repetitions: int


def run(
    about: str,
    measure: Callable[[Options], dict[str, Any]],
    lines: Callable[[dict[str, Any]], Iterable[str]],
    repetitions: int = 9,
) -> int:
    """The bench as a program: what ``measure`` finds, as lines, or with ``--json`` as one document.

    The load of the system and the instruction set join what was found; the first line begins with them.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--isa", choices=ISAS, default="native", help="compile for less than this processor has")
    parser.add_argument("--repetitions", type=int, default=repetitions, help=f"of what is timed ({repetitions})")
    given = parser.parse_args()
    if given.repetitions < 1:
        parser.error("--repetitions is 1 or more")
    document = {"load": os.getloadavg(), "isa": given.isa, **measure(Options(given.isa, given.repetitions))}
    if given.json:
        print(json.dumps(document))
        return 0
    print(f"load {', '.join(f'{load:.1f}' for load in document['load'])}, isa {given.isa}; ", end="")
    for line in lines(document):
        print(line)
    return 0


def by_threads(kernel: Any, inputs: Any, options: Options) -> dict[int, Timing]:
    """One thread, and all of them."""
    return {n: time_kernel(kernel, inputs, threads=n, repetitions=options.repetitions) for n in THREADS}


def fastest(kernel: Any, inputs: Any, options: Options) -> float:
    """Seconds of the fastest run on one thread by the processor's clock, so that a busy machine disturbs little."""
    seconds = run_tasks(kernel.tasks(inputs), repeat=_WARM + options.repetitions, clock="processor").sum(axis=1)
    return float(seconds[_WARM:].min())


def timed(call: Callable[[], Any], repetitions: int = 1) -> tuple[NDArray[np.float64], Any]:
    """(seconds of each call, what the last one gave)."""
    seconds, found = np.empty(repetitions), None
    for i in range(repetitions):
        begin = time.perf_counter()
        found = call()
        seconds[i] = time.perf_counter() - begin
    return seconds, found


def seconds_of(call: Callable[[], Any], repetitions: int = 1) -> float:
    """The median."""
    return float(np.median(timed(call, repetitions)[0]))
