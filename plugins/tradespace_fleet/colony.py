"""An ant system on many random single-machine instances, as an evaluator: its designs are set-ups of the algorithm.

This is how DeepACO (Ye et al., NeurIPS 2023) measures: mean over instances of the best weighted tardiness that 20 ants
find in T iterations, with eta = 1 / due or a learned one. Details as in its public code: trails start at 1, decay by
0.9, every ant adds 1 / (cost + 1) to each step from one job to the next (not to the choice of the first job).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.compiled import in_two, njit
from tradespace.costs.option_numbers import check_names
from tradespace.designs import Choice, Designs, Space
from tradespace.plugins import Registry
from tradespace.problem import Declined, Metric, Prices
from tradespace.workloads.options import integer
from tradespace_fleet.binding import accepts
from tradespace_fleet.reading import MAX_SEED, rng_of
from tradespace_fleet.smtwtp_policy import learned_eta, manual_eta
from tradespace_fleet.workloads import DEEPACO_COUNT, DRAWS

Array = NDArray[np.float64]
HEURISTICS: Mapping[str, Callable[[Array, Array, Array], Array]] = {"due": manual_eta, "learned": learned_eta}
ITERATIONS = (1, 10, 100)
DECAY = 0.9
METRICS = (
    Metric("best_cost", "1", "min", "mean over instances of the best total weighted tardiness found"),
    Metric("spread", "1", "min", "standard error of that mean"),
)


@njit
def run_colony(eta, due, weight, time, decay, learning, uniform, best):  # type: ignore[no-untyped-def]
    """``eta`` (n + 1, n), instance (n,) each, ``uniform`` (T, ants, n); ``best`` (T,) becomes the best cost so far."""
    rounds, count, n = uniform.shape
    tau, weights = np.ones((n + 1, n)), np.empty((n + 1, n))
    left, orders, cost = np.empty(n, np.int32), np.empty((count, n), np.int32), np.empty(count)
    least = np.inf
    for t in range(rounds):
        weights[:] = tau * eta
        for a in range(count):
            for i in range(n):
                left[i] = i
            row, clock, total_cost = 0, 0.0, 0.0
            for step in range(n):
                rest = n - step
                total = 0.0
                for q in range(rest):
                    total += weights[row, left[q]]
                pointer, pick = uniform[t, a, step] * total, rest - 1
                for q in range(rest):
                    pointer -= weights[row, left[q]]
                    if pointer < 0.0:
                        pick = q
                        break
                job = left[pick]
                left[pick] = left[rest - 1]
                orders[a, step], row = job, job + 1
                clock += time[job]
                if clock > due[job]:
                    total_cost += weight[job] * (clock - due[job])
            cost[a] = total_cost
            least = min(least, total_cost)
        best[t] = least
        if learning:
            tau *= decay
            for a in range(count):
                for step in range(1, n):
                    tau[orders[a, step - 1] + 1, orders[a, step]] += 1.0 / (cost[a] + 1.0)


class ColonyFactory:
    """Takes one-machine jobs drawn by `smtwtp`; must be asked for by name. Options: ``instances`` (seeds of the
    workload and the following ones), ``ants``, ``seed`` of the ants."""

    fidelity = 1

    def accepts(self, workload: Any, target: Any) -> Literal[True] | Declined:
        refusal = accepts(workload, target)
        if refusal is not None:
            return refusal
        if "smtwtp_seed" not in workload.facts:
            return Declined("runs on the random instances of workload type smtwtp only")
        return True

    def bind(
        self, workload: Any, target: Any, options: Mapping[str, Any], registry: Registry | None = None
    ) -> ColonyEvaluator:
        """Raises `UnknownName` or `InputError` for options that do not fit."""
        known, where = ("instances", "ants", "seed"), "evaluator options"
        check_names(options, known)
        first, draw = int(workload.facts["smtwtp_seed"]), str(workload.facts["draw"])
        most = DEEPACO_COUNT - first if draw == "deepaco-test" else 10_000
        return ColonyEvaluator(
            len(workload.tasks),
            draw,
            first,
            integer(options, "instances", where, high=most, default=min(20, most)),
            integer(options, "ants", where, high=1000, default=20),
            integer(options, "seed", where, low=0, high=MAX_SEED, default=0),
        )


@dataclass(frozen=True, eq=False)
class ColonyEvaluator:
    """Prices set-ups of the ant system. Pure: each instance has its own stream of numbers."""

    jobs: int
    draw: str
    first: int
    instances: int
    ants: int
    seed: int
    metrics: tuple[Metric, ...] = METRICS
    _runs: dict[tuple[int, int, int], Array] = field(default_factory=dict)  # what was run before, by set-up

    default_objectives = ("best_cost",)

    @cached_property
    def space(self) -> Space:
        return Space(
            Choice("heuristic", tuple(HEURISTICS)),
            Choice("trails", ("on", "off")),
            Choice("iterations", ITERATIONS),
        )

    def price(self, designs: Designs) -> Prices:
        rows = [self.best(*(int(designs[name][i]) for name in ("heuristic", "trails", "iterations")))
                for i in range(len(designs))]  # fmt: skip
        table = np.array(rows).reshape(len(designs), self.instances)
        deviation = table.std(axis=1) / np.sqrt(self.instances)
        return Prices({"best_cost": table.mean(axis=1), "spread": deviation})

    def best(self, heuristic: int, trails: int, iterations: int) -> Array:
        """``(instances,)`` best cost of each instance for codes of the three variables."""
        key = (heuristic, trails, iterations)
        if key not in self._runs:
            self._runs[key] = self._run(tuple(HEURISTICS)[heuristic], trails == 0, ITERATIONS[iterations])
        return self._runs[key]

    def _run(self, heuristic: str, learning: bool, rounds: int) -> Array:
        """``(instances,)``. Fewer rounds meet the first numbers of the same streams."""
        out = np.empty((self.instances, rounds))

        def run(lo: int, hi: int) -> None:
            for i in range(lo, hi):
                instance = DRAWS[self.draw](self.jobs, self.first + i)
                uniform = rng_of(self.seed, self.first + i).random((rounds, self.ants, self.jobs))
                run_colony(HEURISTICS[heuristic](*instance), *instance, DECAY, learning, uniform, out[i])

        in_two(run, self.instances)
        return out[:, -1].copy()
