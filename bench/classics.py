"""The pymoo family through our adapter beside pymoo as one would use it by hand, at equal evaluations.

    python bench/classics.py [--seeds 11] [--evaluations 5000] [NAME ...]

ZDT1 (30 reals, two objectives) and DTLZ2 (12 reals, three). Hypervolume of all non-dominated points seen, reference
1.1 in every axis: median over seeds, least and most, and seconds per run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.age2 import AGEMOEA2
from pymoo.algorithms.moo.moead import MOEAD
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.moo.rvea import RVEA
from pymoo.algorithms.moo.sms import SMSEMOA
from pymoo.algorithms.moo.unsga3 import UNSGA3
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from pymoo.problems import get_problem
from pymoo.util.ref_dirs import get_reference_directions

from tradespace.designs import Designs, Real, Space
from tradespace.problem import Metric
from tradespace.search.api import search

Array = NDArray[np.float64]
NAMES = ("nsga2", "nsga3", "unsga3", "sms_emoa", "age_moea2", "rvea", "moead")


class Library:
    """A pymoo problem as an evaluator."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.space = Space(Real("x", 0.0, 1.0, length=problem.n_var))
        self.metrics = tuple(Metric(f"f{i}", "1", "min") for i in range(problem.n_obj))

    def price(self, designs: Designs) -> dict[str, Array]:
        values = self._problem.evaluate(designs["x"], return_values_of=["F"])
        return {m.name: values[:, i] for i, m in enumerate(self.metrics)}


class Watched(Problem):  # type: ignore[misc]  # pymoo is untyped
    """Remembers every objective vector that was computed."""

    def __init__(self, inner: Problem) -> None:
        super().__init__(n_var=inner.n_var, n_obj=inner.n_obj, xl=inner.xl, xu=inner.xu)
        self._inner, self.seen = inner, []

    def _evaluate(self, x: Array, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._inner.evaluate(x, return_values_of=["F"])
        self.seen.append(out["F"])


def by_hand(name: str, objectives: int) -> Any:
    lines = get_reference_directions("das-dennis", objectives, n_partitions={2: 99, 3: 12}[objectives])
    made: dict[str, Callable[[], Any]] = {
        "nsga2": lambda: NSGA2(pop_size=100),
        "nsga3": lambda: NSGA3(lines),
        "unsga3": lambda: UNSGA3(lines),
        "sms_emoa": lambda: SMSEMOA(pop_size=100),
        "age_moea2": lambda: AGEMOEA2(pop_size=100),
        "rvea": lambda: RVEA(lines),
        "moead": lambda: MOEAD(lines),
    }
    return made[name]()


def volume(values: Array) -> float:
    return float(moocore.hypervolume(np.ascontiguousarray(values), ref=np.full(values.shape[1], 1.1)))


def ours(name: str, problem: Problem, evaluations: int, seed: int) -> float:
    evaluator = Library(problem)
    names = [m.name for m in evaluator.metrics]
    return volume(search(evaluator, names, optimizer=name, evaluations=evaluations, seed=seed).minimised)


def theirs(name: str, problem: Problem, evaluations: int, seed: int) -> float:
    watched = Watched(problem)
    minimize(watched, by_hand(name, problem.n_obj), ("n_eval", evaluations), seed=seed)
    return volume(np.concatenate(watched.seen)[:evaluations])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--seeds", type=int, default=11)
    parser.add_argument("--evaluations", type=int, default=5000)
    given = parser.parse_args()
    problems = {"zdt1": get_problem("zdt1"), "dtlz2": get_problem("dtlz2", n_var=12, n_obj=3)}
    print(f"{'':18}{'ours: median (least, most), s':>36}{'by hand':>36}")
    for name in given.names:
        for title, problem in problems.items():
            line = f"{name + ' ' + title:18}"
            for run in (ours, theirs):
                began = time.perf_counter()
                found = [run(name, problem, given.evaluations, seed) for seed in range(given.seeds)]
                seconds = (time.perf_counter() - began) / given.seeds
                line += f"{np.median(found):14.4f} ({min(found):.4f}, {max(found):.4f}) {seconds:3.1f}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
