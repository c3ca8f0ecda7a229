"""`cpsat`: fronts of chain placements by constraint programming with OR-Tools' CP-SAT (extra "exact").

CP-SAT knows whole numbers only: terms that are not whole are counted in quanta so fine that a path's rounding stays
below a sixteenth of a step (see `zones`); it is added to every upper limit, so nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.search.contract import SearchView
from tradespace_optimizers.chain_epsilon import EpsilonConstraint, EpsilonOptions, Job
from tradespace_optimizers.schedule_cpsat import make_task_solver
from tradespace_optimizers.supports import Supports
from tradespace_optimizers.zones import Answer, Point, Solver

Array = NDArray[np.float64]

_FINE = 16.0  # a path's rounding is at most a sixteenth of a step
_LIMIT = 2.0**40  # a limit's coefficients are rounded up, by a 2^-40th of it


class CPSAT(EpsilonConstraint):
    """The epsilon-constraint method with CP-SAT. Sums, maxima and capacities of the structure are exact."""

    supports = Supports(
        variables=("Choice", "Composition"),
        constraints="exact where in the structure",
        batch="8 solves",
        extra=("ortools", "exact"),
        note="needs the structure of a chain, or of tasks",
    )

    def __init__(self, view: SearchView, options: EpsilonOptions) -> None:
        self.supports.require("cpsat")
        super().__init__(view, options, "cpsat", make_solver, make_task_solver)


@dataclass(frozen=True)
class _Whole:
    """The rows of a model in whole numbers.

    ``objectives`` (M, V) and ``cost`` (V,) for the objective to minimise; ``room`` (M,) is what rounding may add to an
    objective, in ``quanta`` (M,); ``unit`` is one of the cost.
    """

    objectives: NDArray[np.int64]
    quanta: Array
    room: int
    cost: NDArray[np.int64]
    unit: float
    limits: NDArray[np.int64]
    caps: NDArray[np.int64]

    @classmethod
    def of(cls, job: Job) -> _Whole:
        model, dense = job.model, job.model.objectives.toarray()
        terms = 2 * model.entries + 1
        quanta = np.where(model.whole, 1.0, job.step / (_FINE * terms))
        least = min([1.0, *(job.weights[1:] * job.step[1:] / job.step[0])])
        unit = float(job.step[0] * least / (4 * terms))
        unit = float(quanta[0] / np.ceil(_FINE * quanta[0] / unit))  # a maximum counted in quanta has a whole price
        rows, caps = model.limits.toarray(), model.caps
        first = model.variables - model.maxima
        for column in range(first, model.variables):  # maxima are counted in quanta of their objective
            unit_of = quanta[int(np.argmax(dense[:, column]))]
            dense[:, column] *= unit_of
            above = rows[:, column] != 0
            rows[above] /= unit_of
            rows[:, column] *= unit_of
            rows[above] = np.rint(rows[above])
        over = np.zeros(0) if not len(caps) else np.maximum(np.abs(rows).max(axis=1), np.abs(caps)) / _LIMIT
        over = np.where((rows == np.round(rows)).all(axis=1), 1.0, over) if len(caps) else over
        return cls(
            np.rint(dense / quanta[:, None]).astype(np.int64),
            quanta,
            0 if model.whole.all() else terms,
            np.rint((job.weights @ dense) / unit).astype(np.int64),
            unit,
            np.ceil(rows / over[:, None]).astype(np.int64),
            np.floor(caps / over).astype(np.int64),
        )


def make_solver(job: Job, left: Callable[[], float]) -> Solver:
    from ortools.sat.python import cp_model

    whole, sizes = _Whole.of(job), job.model

    def solve(below: Array) -> Point | Answer:
        model, variables = _variables(cp_model, job, whole)
        for m in range(1, len(below)):
            room = int(np.floor(below[m] / whole.quanta[m] + 1e-9)) + whole.room
            model.add(_dot(cp_model, variables, whole.objectives[m]) <= room)
        model.minimize(_dot(cp_model, variables, whole.cost))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1  # one worker is deterministic
        solver.parameters.random_seed = 0
        solver.parameters.max_time_in_seconds = max(left(), 0.01)
        status = solver.solve(model)
        if status == cp_model.INFEASIBLE:
            return Answer.EMPTY
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Answer.UNKNOWN
        chosen = [float(solver.value(v)) for v in variables[: sizes.entries * sizes.states]]
        path = sizes.path(np.asarray(chosen))
        values = sizes.cost(job.groups, path)
        if status == cp_model.OPTIMAL:
            return Point(values, path, values[0])
        bound = float(solver.best_objective_bound) * whole.unit - job.step[0]
        return Point(values, path, min(bound, values[0]), proved=False)

    return solve


def _variables(cp_model: Any, job: Job, whole: _Whole) -> tuple[Any, list[Any]]:
    """A model with its variables, its path and its limits."""
    sizes, model = job.model, cp_model.CpModel()
    variables = [model.new_bool_var("") for _ in range(sizes.variables - sizes.maxima)]
    variables += [model.new_int_var(0, 2**40, "") for _ in range(sizes.maxima)]
    equal = sizes.equal
    for r, right in enumerate(sizes.right.tolist()):
        part = slice(equal.indptr[r], equal.indptr[r + 1])
        index, values = equal.indices[part], equal.data[part]
        if right == 1.0:
            model.add_exactly_one(variables[i] for i in index.tolist())
        else:
            terms = [variables[i] for i in index.tolist()]
            model.add(cp_model.LinearExpr.weighted_sum(terms, values.astype(int).tolist()) == 0)
    for row, cap in zip(whole.limits, whole.caps.tolist(), strict=True):
        model.add(_dot(cp_model, variables, row) <= cap)
    return model, variables


def _dot(cp_model: Any, variables: list[Any], row: NDArray[np.int64]) -> Any:
    index = np.flatnonzero(row)
    return cp_model.LinearExpr.weighted_sum([variables[i] for i in index.tolist()], row[index].tolist())
