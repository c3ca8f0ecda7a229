"""What proposing, remembering and archiving a design costs, beside pymoo's NSGA-II as its user would run it.

    python bench/overhead.py            200,000 designs in large batches, 2,000 and 10,000 as they come (a minute)
    python bench/overhead.py --quick    a fifth of that

Overhead is all time outside the pricing of the evaluator. All rows of a table come from one process, each the best of
three runs; processor time counts all threads, and is what to read where other work shares the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradespace.search.api import search

GOALS = ["energy", "latency", "loss"]
PROBLEMS = (("llama-3.2-1b", "laptop"), ("qwen2-0.5b", "laptop"))
BATCH = 16_384
REPEATS = 3


class Timed:
    """An evaluator of which only prices are known, and that adds up the time it spends pricing."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.space, self.metrics, self.repair = inner, inner.space, inner.metrics, inner.repair
        self.seconds = self.processor = 0.0

    def price(self, designs: Any) -> Any:
        start, used = time.perf_counter(), time.process_time()
        prices = self.inner.price(designs)
        self.seconds += time.perf_counter() - start
        self.processor += time.process_time() - used
        return prices


@dataclass(frozen=True)
class Row:
    """us a design outside pricing: by the clock, of the processors; designs/s of the whole run; hypervolume."""

    clock: float
    processor: float
    rate: float
    volume: float


def ours(name: str, options: dict[str, Any], batch: int | None) -> Callable[[Timed, int], float]:
    def run(timed: Timed, evaluations: int) -> float:
        front = search(timed, GOALS, optimizer=name, options=options, evaluations=evaluations, batch=batch)
        return front.hypervolume

    return run


def pymoo_nsga2(population: int) -> Callable[[Timed, int], float]:
    """``minimize`` with whole numbers as pymoo's guide shows; its last population is what the user gets."""

    def run(timed: Timed, evaluations: int) -> float:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize

        space, (low, high) = timed.space, timed.space.bounds()

        class Placement(Problem):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(n_var=space.width, n_obj=3, n_ieq_constr=1, xl=low, xu=high)

            def _evaluate(self, x: Any, out: Any, *args: Any, **kwargs: Any) -> None:
                prices = timed.price(timed.repair(space.unflatten(x)))
                out["F"] = np.stack([prices[g] for g in GOALS], axis=1)
                out["G"] = np.max(list(prices.violations.values()), axis=0)[:, None]

        rounding = RoundingRepair()
        algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=rounding),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=rounding),
        )
        minimize(Placement(), algorithm, ("n_eval", evaluations), seed=1, verbose=False)
        return float("nan")

    return run


def measure(run: Callable[[Timed, int], float], evaluator: Any, evaluations: int, repeats: int = REPEATS) -> Row:
    rows = []
    for _ in range(repeats):
        timed, start, used = Timed(evaluator), time.perf_counter(), time.process_time()
        volume = run(timed, evaluations)
        clock, processor = time.perf_counter() - start, time.process_time() - used
        each = 1e6 / evaluations
        rows.append(
            Row((clock - timed.seconds) * each, (processor - timed.processor) * each, evaluations / clock, volume)
        )
    best = min(rows, key=lambda row: row.clock)
    return Row(best.clock, min(row.processor for row in rows), best.rate, best.volume)


def contestants(evaluations: int) -> Iterator[tuple[str, Callable[[Timed, int], float], int, int]]:
    """(name, run, designs, repeats) at a large batch, then as each comes."""
    cold = {"warm_start": "none"}
    yield f"pgsam, batches of {BATCH:,}", ours("pgsam", cold, BATCH), evaluations, REPEATS
    yield f"random, batches of {BATCH:,}", ours("random", {}, BATCH), evaluations, REPEATS
    yield "nsga2 (ours), population 1,000", ours("nsga2", {"pop_size": 1000}, None), evaluations // 20, 1
    yield "pymoo's NSGA-II, population 1,000", pymoo_nsga2(1000), evaluations // 20, 1
    for few in (2000, 10_000):
        yield f"pgsam, {few:,} designs", ours("pgsam", cold, None), few, REPEATS
        yield f"random, {few:,} designs", ours("random", {}, None), few, REPEATS
        yield f"nsga2 (ours), {few:,} designs", ours("nsga2", {}, None), few, 1
        yield f"pymoo's NSGA-II, {few:,} designs", pymoo_nsga2(100), few, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    evaluations = 40_000 if parser.parse_args().quick else 200_000
    from tradespace.plugins import registry
    from tradespace.settings import Setting, bind

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"overhead a design; load of the machine when it began: {load:.1f} on {os.cpu_count()} processors")
    for workload, target in PROBLEMS:
        evaluator = bind(Setting(workload, target), registry()).evaluator
        entries = len(evaluator.space.variables[0].entries)
        print(f"\n{workload} on {target}, {entries} blocks (ratio: peer over pgsam of the same group, processor time)")
        print(f"  {'':34} {'us':>8} {'us cpu':>8} {'designs/s':>11} {'hypervolume':>11} {'ratio':>7}")
        base = np.nan
        for name, run, count, repeats in contestants(evaluations):
            run(Timed(evaluator), 500)  # what is compiled or imported at first use
            row = measure(run, evaluator, count, repeats)
            base = row.processor if name.startswith("pgsam") else base
            print(
                f"  {name:34} {row.clock:8.2f} {row.processor:8.2f} {row.rate:11,.0f} {row.volume:11.4f} "
                f"{row.processor / base:7.1f}"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
