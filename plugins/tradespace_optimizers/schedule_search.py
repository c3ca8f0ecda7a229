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

from tradespace.designs import Designs
from tradespace.errors import ProblemError
from tradespace.problem import Scores
from tradespace.search.archive import Archive
from tradespace.search.contract import SearchView
from tradespace_optimizers.rl_aco_directions import directions, tchebycheff
from tradespace_optimizers.schedule_annealing import Annealing, effort_of, heat_at, starts, task_structure
from tradespace_optimizers.supports import Supports

Array = NDArray[np.float64]
Rng = np.random.Generator

_BATCH = 16
_CYCLES = (250, 500, 1000)  # designs a cycle of cooling lasts, then as long as is left, or twice the last


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
        self._effort = options.effort or effort_of(tasks)
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
        progress = (self._told - first) / max(last - first, 1)
        return heat_at(progress, self._tasks), self._told - first < _BATCH


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
