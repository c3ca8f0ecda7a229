"""Annealing of list schedules on the declared task graph: critical-path moves, tens of schedules decoded a design.

The evaluator declares its task graph (`TaskStructure`), so what a move does is computed here and only what is good is
priced: every priced design is the best of some tens of schedules. Starts from the suggested list schedules. Ours; see
`tradespace.costs.schedules_search` for the moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tradespace.costs import schedules_search as loops
from tradespace.costs.schedules import OUTPUTS
from tradespace.costs.schedules_structure import MINIMISED, TaskStructure
from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers.rl_aco import directions, tchebycheff
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rng = np.random.Generator

_BATCH = 16
_HOT = 0.01  # temperature at the start of a cycle, as a share of the makespan or of an objective's range
_CYCLES = (250, 500, 1000)  # designs a cycle of cooling lasts, then as long as is left, or twice the last
_STEPS = 5000  # schedules a design: so many over the number of tasks


@dataclass(frozen=True)
class ScheduleSearchOptions:
    """effort: schedules decoded per priced design; 0: 5,000 over the number of tasks, 10 to 100."""

    effort: int = 0


class ScheduleSearch:
    """List schedules of a declared task graph, annealed by moves around the critical path.

    State: archive and one schedule per direction of the objectives, changed by `tell` alone.
    """

    Options: ClassVar[type] = ScheduleSearchOptions
    supports: ClassVar[Supports] = Supports(
        variables=("Choice", "Permutation"),
        constraints="by the archive",
        batch="16",
        note="needs the structure of a task graph",
    )
    batch = _BATCH

    def __init__(self, view: SearchView, options: ScheduleSearchOptions) -> None:
        tasks = task_structure(view, "schedule_search")
        if options.effort < 0:
            raise ProblemError("effort is at least 0", value=options.effort, where="optimizer schedule_search")
        self._view, self._tasks = view, tasks
        self._annealing = Annealing(tasks, view.objectives)
        n = len(tasks.tables.graph.tasks)
        self._effort = options.effort or int(np.clip(_STEPS / n, 10, 100))
        self._queue = starts(view)
        self._archive = Archive(view.space, len(view.objectives), limit=400)
        self._directions = directions(len(view.objectives))
        self._states: list[tuple[Any, Any] | None] = [None] * len(self._directions)
        self._told, self._turn = 0, 0
        self._ends = _cycles(view.evaluations)

    @property
    def note(self) -> str:
        return f"each priced design is the best of {self._effort} schedules decoded on the declared task graph"

    def ask(self, n: int, rng: Rng) -> Designs:
        return self._queue.take(slice(0, n))

    def tell(self, designs: Designs, scores: Scores, rng: Rng) -> None:
        self._archive.add(designs, scores)
        self._told += len(designs)
        self._queue = self._queue.take(slice(len(designs), None))
        if not len(self._queue):
            self._queue = self._anneal(rng)

    def _anneal(self, rng: Rng) -> Designs:
        """A batch: the best schedule of each stretch of annealing; directions take turns."""
        a, found = self._archive, []
        heat, fresh = self._heat()
        for _ in range(_BATCH):
            d = self._turn % len(self._directions)
            self._turn += 1
            state = self._states[d]
            if state is None or fresh:
                best = int(
                    np.argmin(tchebycheff(self._annealing.scaled(a.objectives, a.objectives), self._directions[[d]]))
                )
                order, node = self._tasks.arrays(a.designs.take([best]))
                state = order[0], node[0]
            self._annealing.aim(a.objectives, self._directions[d])
            *stands, order, node = self._annealing.run(*state, np.full(self._effort, heat), rng)
            self._states[d] = stands[0], stands[1]
            found.append((order, node))
        orders, nodes = (np.stack(part) for part in zip(*found, strict=True))
        return self._view.repair(self._tasks.designs(self._view.space, orders, nodes))

    def _heat(self) -> tuple[float, bool]:
        """Temperature now, and whether a cycle begins: directions go on from the archive's best then."""
        while len(self._ends) > 2 and self._told >= self._ends[1]:
            self._ends.pop(0)
        first, last = self._ends[:2]
        left = max(0.0, 1.0 - (self._told - first) / max(last - first, 1))
        return _HOT * left**2, self._told - first < _BATCH


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


def _cycles(evaluations: int | None) -> list[int]:
    """Designs told at which a cycle of cooling begins; the last ends with the budget, or cycles go on doubling."""
    ends = [0]
    for length in _CYCLES if evaluations is None else ():
        ends.append(ends[-1] + length)
    if evaluations is not None:
        third = evaluations // 3
        return [0, third, evaluations] if evaluations >= 600 else [0, evaluations]
    while ends[-1] < 10**7:
        ends.append(2 * ends[-1])
    return ends
