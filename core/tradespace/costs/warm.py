"""Compile every loop once and keep it in the user's cache: ``python -m tradespace.costs.warm``.

The pricing kernel is called by hand; all other loops (schedules, queues, the memory planner, ants, chains, the archive)
by short searches of built-in problems, which meet the types that a user's searches meet.
"""

from __future__ import annotations

import sys
import time

import numpy as np

SEARCHES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("llama-3.2-1b", "laptop", "pgsam", ("energy", "latency", "loss")),
    ("llama-3.2-1b", "laptop", "chain_exact", ("energy", "latency", "loss")),
    ("mcunet-vww", "stm32f746", "pgsam", ("proxy", "latency")),
    ("topcuoglu-10", "three-processors", "rl_aco", ("makespan",)),
    ("ft06", "six-machines", "rl_aco", ("makespan",)),
    ("smtwtp-50", "single-machine", "rl_aco", ("tardiness",)),
    ("iot-100", "cloud-fleet", "rl_aco", ("response", "energy", "late")),
    ("task-32", "device-fleet", "nsga2", ("makespan", "energy")),
)
"""Workload, target, optimizer and objectives of problems that run all loops between them."""

_DESIGNS = 160  # enough for a few batches of every optimizer


def main() -> int:
    began = time.perf_counter()
    compile_all()
    for line in search_all():
        print(f"passed over: {line}", file=sys.stderr)
    from tradespace.costs.compiled import cache_folder

    print(f"compiled all loops in {time.perf_counter() - began:.1f} s into {cache_folder()}", file=sys.stderr)
    return 0


def search_all() -> list[str]:
    """Search all of `SEARCHES`; what cannot be searched here, a line each."""
    from tradespace.errors import TradespaceError
    from tradespace.plugins import registry
    from tradespace.search.api import search
    from tradespace.settings import Setting, bind

    missing = []
    for workload, target, optimizer, objectives in SEARCHES:
        try:
            evaluator = bind(Setting(workload, target), registry()).evaluator
            search(evaluator, objectives, optimizer=optimizer, evaluations=_DESIGNS)
        except TradespaceError as error:
            missing.append(f"{workload} on {target}: {str(error).splitlines()[0]}")
    return missing


def compile_all() -> None:
    """Call each compiled function with the types that it meets in use; a second process loads them from the cache."""
    from tradespace.costs import kernel, thermal
    from tradespace.costs.columns import COLUMNS

    d = np.stack([np.concatenate([thermal.constants(300.0, 1.0, 370.0, 1.0, 300.0, 30.0), [0.1, 1e9]])])
    codes = np.zeros((1, 1), np.int8)
    out = np.empty((kernel.GLOBALS + kernel.GROUPS + 1, 1))
    i8, i4 = np.int64, np.int32
    kernel.price(
        codes, codes, np.zeros(1, i8), np.ones(COLUMNS), np.zeros(1, i8), np.zeros(0), np.zeros((0, 3), i8),
        np.zeros((0, 2), i4), np.zeros((0, 1)), np.zeros(1, i4), d, np.ones((1, 2)), np.ones(1),
        np.zeros(kernel.RULES), out, 0, 1,
    )  # fmt: skip
    thermal.leakage(1.0, d, 0)


if __name__ == "__main__":
    raise SystemExit(main())
