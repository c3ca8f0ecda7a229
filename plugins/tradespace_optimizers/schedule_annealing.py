"""`schedules_search.improve` for optimizers: a declared task graph, objectives and a direction between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import schedules_search as loops
from tradespace.costs.schedules import OUTPUTS
from tradespace.costs.schedules_structure import MINIMISED, TaskStructure
from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.search.contract import SearchView

Array = NDArray[np.float64]
Rng = np.random.Generator

_HOT = 0.5  # temperature at the start: such a share of a task's mean part of the makespan, or of an objective's range
_HOTTEST = 0.01
_STEPS = 5000  # schedules decoded a design: so many over the number of tasks


def effort_of(tasks: TaskStructure) -> int:
    """Schedules worth decoding per priced design: 5,000 over the number of tasks, 10 to 100."""
    return int(np.clip(_STEPS / len(tasks.tables.graph.tasks), 10, 100))


def heat_at(progress: float, tasks: TaskStructure) -> float:
    """Temperature at a share of a cycle of cooling."""
    return min(_HOT / len(tasks.tables.graph.tasks), _HOTTEST) * (1.0 - min(max(progress, 0.0), 1.0)) ** 2


class Annealing:
    """`schedules_search.improve` over the arrays of a task graph, towards one direction of the objectives."""

    def __init__(self, tasks: TaskStructure, objectives: tuple[str, ...]) -> None:
        self._tasks, tables = tasks, tasks.tables
        self.rows = [MINIMISED[name] for name in objectives]
        fits = tables.graph.tasks.memory[:, None] <= tables.nodes.memory[None, :]
        pinned = tables.graph.tasks.pinned
        fits &= (pinned[:, None] < 0) | (pinned[:, None] == np.arange(len(tables.nodes)))
        self._allowed = np.where(fits.any(axis=1, keepdims=True), fits, True)
        self._weights, self._ideal, self._scale = (np.zeros(OUTPUTS) for _ in range(3))

    def scaled(self, objectives: Array, known: Array) -> Array:
        """Objectives in units of the known ones' range, from their best on."""
        low, span = self._range(known)
        return np.asarray((objectives - low) / span)

    def aim(self, known: Array, weights: Array) -> None:
        """Towards the direction ``weights`` (M,), in the units of the known objectives (K, M)."""
        low, span = self._range(known)
        for m, row in enumerate(self.rows):
            self._weights[row], self._ideal[row], self._scale[row] = (
                weights[m] + (len(weights) > 1) * 1e-3,
                low[m],
                span[m],
            )

    def run(self, order: Any, node: Any, heat: Array, rng: Rng) -> tuple[Any, Any, Any, Any]:
        """(order, node) after ``len(heat)`` steps, then the best met."""
        t, order, node = self._tasks.tables, order.astype(np.int32), node.astype(np.int32)
        best_order, best_node = order.copy(), node.copy()
        release, deadline, weight, memory, exec, cores, speed, power, price, ram = t.facts
        loops.improve(
            order, node, best_order, best_node, self._weights, self._ideal, self._scale, heat,
            rng.random((len(heat), loops.UNIFORMS)), self._tasks.insertion, self._allowed, *t.by_source, t.ready,
            *t.by_dest, t.latency, t.inverse, release, deadline, weight, memory, exec, cores, speed, power, price, ram,
        )  # fmt: skip
        return order, node, best_order, best_node

    def _range(self, known: Array) -> tuple[Array, Array]:
        """(ideal, unit): with one objective, 0 and its best value."""
        best, worst = known.min(axis=0), known.max(axis=0)
        if known.shape[1] == 1:
            return np.zeros(1), np.maximum(np.abs(best), 1e-300)
        return best, np.where(worst > best, worst - best, np.maximum(np.abs(best), 1e-300))


def task_structure(view: SearchView, name: str) -> TaskStructure:
    """The declared task graph, or the reason why there is nothing to schedule."""
    where, remedy = f"optimizer {name}", "Use optimizer=pgsam, which needs no structure."
    tasks = view.structure.tasks if view.structure is not None else None
    if tasks is None:
        raise ProblemError(f"{name} needs an evaluator that declares its task graph", where=where, remedy=remedy)
    lacking = [o for o in view.objectives if o not in MINIMISED]
    if lacking:
        known = ", ".join(MINIMISED)
        raise ProblemError(
            f"{name} minimises {known}", value=f"asked for {', '.join(lacking)}", where=where, remedy=remedy
        )
    return tasks


def starts(view: SearchView) -> Designs:
    """The suggested plans and the homogeneous designs, each once."""
    plans = list(view.suggestions().values()) if view.suggestions is not None else []
    designs = view.repair(view.space.concat([*plans, view.space.homogeneous().take(slice(0, 16))]))
    return designs.take(np.sort(np.unique(designs.digest, return_index=True)[1]))
