"""`milp`: fronts of chain placements by mixed-integer programming with HiGHS, through scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp

from tradespace.search.contract import SearchView
from tradespace_optimizers.chain_epsilon import EpsilonConstraint, EpsilonOptions, Job
from tradespace_optimizers.schedule_milp import make_task_solver
from tradespace_optimizers.supports import Supports
from tradespace_optimizers.zones import Answer, Point, Solver

Array = NDArray[np.float64]

_MARGIN = 1e-5  # of a limit, where HiGHS's tolerance (1e-6) let a design through that breaks it
_OPTIMAL, _TIME, _INFEASIBLE = 0, 1, 2


class MILP(EpsilonConstraint):
    """The epsilon-constraint method with HiGHS. Sums, maxima and capacities of the structure are exact."""

    supports = Supports(
        variables=("Choice", "Composition"),
        constraints="exact where in the structure",
        batch="8 solves",
        note="needs the structure of a chain, or of tasks",
    )

    def __init__(self, view: SearchView, options: EpsilonOptions) -> None:
        super().__init__(view, options, "milp", make_solver, make_task_solver)


def make_solver(job: Job, left: Callable[[], float]) -> Solver:
    model = job.model
    rows = [model.objectives[m] / job.step[m] for m in range(1, len(job.step))]
    cost = np.asarray(job.weights @ model.objectives).ravel() / job.step[0]
    kinds = np.ones(model.variables)
    kinds[model.variables - model.maxima :] = 0
    top = np.ones(model.variables)
    top[model.variables - model.maxima :] = np.inf
    scale = np.where(model.caps > 0, np.abs(model.caps), 1.0)

    def run(below: Array, margin: float) -> OptimizeResult:
        rules = [LinearConstraint(model.equal, model.right, model.right)]
        if len(model.caps):
            tight = np.where(model.caps > 0, 1.0 - margin, 0.0)
            rules.append(LinearConstraint(model.limits.multiply(1.0 / scale[:, None]).tocsr(), -np.inf, tight))
        rules += [LinearConstraint(row, -np.inf, below[m + 1] / job.step[m + 1]) for m, row in enumerate(rows)]
        options = {"time_limit": max(left(), 0.01), "mip_rel_gap": 0.0, "presolve": True}
        return milp(cost, integrality=kinds, bounds=Bounds(0.0, top), constraints=rules, options=options)

    def solve(below: Array) -> Point | Answer:
        result = run(below, 0.0)
        if result.status == _INFEASIBLE:
            return Answer.EMPTY
        proved = result.status == _OPTIMAL
        if result.x is not None and job.broken(model.path(result.x)):
            result, proved = run(below, _MARGIN), False
        if result.x is None:
            return Answer.UNKNOWN
        path = model.path(result.x)
        values = model.cost(job.groups, path)
        if proved:
            return Point(values, path, values[0])
        dual = getattr(result, "mip_dual_bound", None)
        bound = -np.inf if dual is None else float(dual) * job.step[0] - job.step[0]
        return Point(values, path, min(bound, values[0]), proved=False)

    return solve
