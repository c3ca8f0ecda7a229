"""What `milp` and `cpsat` share about task graphs: objectives in whole numbers of a quantum, bounds, designs of points.

A solver gives starts and nodes; the tasks in the order of their starts, decoded by the evaluator's own rule, start no
later (each finds its place at its start at the latest, by induction along the order). So makespan, response, tardiness
and, for a given assignment, energy are no worse than the solver's: its optimum is the optimum over all schedules. A
lease may grow when its first task starts earlier, so for cost the solver's value is a lower bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.schedules_structure import MINIMISED, TaskStructure
from tradespace.costs.schedules_tables import ScheduleTables
from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.search.contract import SearchView
from tradespace_optimizers.schedule_annealing import starts, task_structure
from tradespace_optimizers.zones import Point

Array = NDArray[np.float64]

SOLVED = ("makespan", "energy", "cost", "response", "tardiness")
MOST_TASKS = 2000
_GRAIN = 1e-6  # of the makespan, where times are not whole
HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class TaskJob:
    """A task graph as `Model`. ``rows`` (M,) of the objectives in `ScheduleTables.price`; ``known``: designs to start
    from; ``resolution``: of their range, what counts as different where there are several objectives."""

    view: SearchView
    tasks: TaskStructure
    rows: tuple[int, ...]
    known: Designs
    resolution: float

    @property
    def tables(self) -> ScheduleTables:
        return self.tasks.tables

    @cached_property
    def values(self) -> Array:
        """(K, M) objectives of the known designs."""
        return self.tasks.values(*self.tasks.arrays(self.known))[:, list(self.rows)]

    @cached_property
    def horizon(self) -> float:
        """s within which some schedule ends that is worth having: every task on its slowest node, one by one."""
        t = self.tables
        sent = float((t.by_dest[2] * t.inverse.max() + t.latency.max()).sum())
        return float(t.ready.max() + t.exec.max(axis=1).sum() + sent)

    @cached_property
    def exact_times(self) -> bool:
        t = self.tables
        parts = [t.exec, t.ready, t.latency, t.by_dest[2][:, None, None] * t.inverse]
        return all(bool((part == np.round(part)).all()) for part in parts) and self.horizon < 1e9

    @cached_property
    def quantum(self) -> float:
        """s of one unit of a solver's time."""
        return 1.0 if self.exact_times else _GRAIN * self._makespan

    @property
    def _makespan(self) -> float:
        return float(self.tasks.values(*self.tasks.arrays(self.known))[:, MINIMISED["makespan"]].min()) or 1.0

    @cached_property
    def lowest(self) -> Array:
        found = [self.tasks.bound(name) for name in self.view.objectives]
        return np.asarray([value if np.isfinite(value) else 0.0 for value in found])

    @cached_property
    def highest(self) -> Array:
        return np.asarray(self.values.max(axis=0) * (1.0 + 1e-9))

    @cached_property
    def step(self) -> Array:
        span = np.maximum(self.highest - self.values.min(axis=0), 1e-3 * np.abs(self.highest))
        one = np.full(1, self.quantum if self.rows[0] == MINIMISED["makespan"] else 1e-6 * float(span[0] or 1.0))
        step = one if len(self.rows) == 1 else self.resolution * np.where(span > 0, span, 1.0)
        return np.asarray(np.where(self.whole, np.maximum(step, 1.0) if len(self.rows) == 1 else 1.0, step))

    @cached_property
    def whole(self) -> NDArray[np.bool_]:
        return np.asarray([self.exact_times and row == MINIMISED["makespan"] for row in self.rows])

    @property
    def lower(self) -> tuple[str, ...]:
        return tuple(name for name in self.view.objectives if name == "cost")

    @property
    def grain(self) -> str:
        return "a millionth" if len(self.rows) == 1 else f"{self.resolution:.3g} of the known range"

    def slopes(self) -> tuple[float, Array]:
        """Energy = idle W x makespan + sum of W (m,) x busy time of each node."""
        t = self.tables
        levels = [t.power[t.cores[j] + j : t.cores[j + 1] + j + 1] for j in range(len(t.nodes))]
        return float(sum(level[0] for level in levels)), np.asarray([(lv[-1] - lv[0]) / (len(lv) - 1) for lv in levels])

    def point(self, start: Array, node: NDArray[np.intp], bound: float, proved: bool) -> Point:
        """The schedule that the evaluator makes of a solver's."""
        level = self.tables.graph.level
        order = np.lexsort((np.arange(len(start)), level, start)).astype(np.int32)  # no length: by precedence
        order = self.tables.canonical(order[None])
        values = self.tasks.values(order, node[None].astype(np.int32))[0, list(self.rows)]
        states = np.concatenate([order[0].astype(np.intp), node])
        return Point(values, states, values[0] if proved and not self.lower else min(bound, values[0]), proved)

    def designs(self, points: Sequence[Point]) -> Designs:
        n = len(self.tables.graph.tasks)
        states = np.asarray([point.states for point in points], np.int32).reshape(len(points), 2 * n)
        return self.view.repair(self.tasks.designs(self.view.space, states[:, :n], states[:, n:]))


def task_job(view: SearchView, resolution: float, name: str) -> TaskJob:
    """The job, or the reason why there is nothing to solve. Raises `ProblemError`."""
    tasks = task_structure(view, name)
    where, remedy = f"optimizer {name}", "Use optimizer=schedule_search."
    lacking = [o for o in view.objectives if o not in SOLVED]
    if lacking:
        raise ProblemError(
            f"{name} minimises {', '.join(SOLVED)}", value=", ".join(lacking), where=where, remedy=remedy
        )
    count = len(tasks.tables.graph.tasks)
    if count > MOST_TASKS:
        raise ProblemError(f"{name} takes at most {MOST_TASKS} tasks", value=count, where=where, remedy=remedy)
    if not tasks.insertion and not (tasks.tables.graph.tasks.pinned >= 0).all() and len(tasks.tables.nodes) > 1:
        raise ProblemError(f"{name} needs gaps to be filled", value="placing=append", where=where, remedy=remedy)
    job = TaskJob(view, tasks, tuple(MINIMISED[o] for o in view.objectives), starts(view), resolution)
    if "energy" in view.objectives and not _straight(tasks.tables):
        rule = f"{name} minimises energy that grows evenly with busy cores"
        raise ProblemError(rule, value="a power table with a bend", where=where, remedy=remedy)
    return job


def _straight(tables: ScheduleTables) -> bool:
    for j in range(len(tables.nodes)):
        level = tables.power[tables.cores[j] + j : tables.cores[j + 1] + j + 1]
        if not np.allclose(np.diff(level, 2), 0.0, atol=1e-9 * max(float(level.max()), 1.0)):
            return False
    return True
