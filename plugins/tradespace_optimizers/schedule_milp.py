"""`milp` on task graphs: the disjunctive model (Manne 1960) with assignment, for HiGHS. For a dozen tasks; big-M
relaxations are weak, so `cpsat` proves larger ones."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from tradespace.costs.schedules_structure import MINIMISED
from tradespace.errors import ProblemError
from tradespace_optimizers.schedule_epsilon import HOUR, TaskJob
from tradespace_optimizers.zones import Answer, Point, Solver

Array = NDArray[np.float64]

MOST_TASKS = 60
_OPTIMAL, _INFEASIBLE = 0, 2


def make_task_solver(job: TaskJob, left: Callable[[], float]) -> Solver:
    if len(job.tables.exec) > MOST_TASKS:
        raise ProblemError(
            f"milp schedules at most {MOST_TASKS} tasks",
            value=len(job.tables.exec),
            where="optimizer milp",
            remedy="Use optimizer=cpsat or schedule_search.",
        )
    model = _Model(job)
    rows = [model.objective(k) for k in range(len(job.rows))]

    def solve(below: Array) -> Point | Answer:
        rules = [model.equal, model.upper]
        rules += [LinearConstraint(row[None], -np.inf, below[k]) for k, row in enumerate(rows) if k]
        options = {"time_limit": max(left(), 0.01), "mip_rel_gap": 0.0}
        size = max(float(np.abs(rows[0]).max()), 1e-300)
        found = milp(rows[0] / size, integrality=model.kinds, bounds=model.bounds, constraints=rules, options=options)
        if found.status == _INFEASIBLE:
            return Answer.EMPTY
        if found.x is None:
            return Answer.UNKNOWN
        dual = getattr(found, "mip_dual_bound", None)
        bound = -np.inf if dual is None else float(dual) * size
        return job.point(*model.schedule(found.x), bound, found.status == _OPTIMAL)

    return solve


class _Model:
    """Columns: x (n, c) on which core, start (n,), before (pairs,), the makespan, leases (first, last of each node),
    tardiness (n,). Seconds in units of the best known makespan's size."""

    def __init__(self, job: TaskJob) -> None:
        self._job, t = job, job.tables
        self.owner = np.repeat(np.arange(len(t.nodes)), t.nodes.cores)
        self.time = t.exec[:, self.owner]
        n, c = self.time.shape
        level = _reachable(n, t.by_dest[0], t.by_dest[1])
        self.pairs = [(a, b) for a, b in combinations(range(n), 2) if not (level[a, b] or level[b, a])]
        self.at_start = n * c
        self.at_pair = self.at_start + n
        self.at_last = self.at_pair + len(self.pairs)
        self.at_lease = self.at_last + 1
        self.at_late = self.at_lease + 2 * len(t.nodes)
        self.width = self.at_late + n
        self.big = float(min(job.horizon, self._cap()))
        self.kinds = np.zeros(self.width)
        self.kinds[: self.at_start] = 1
        self.kinds[self.at_pair : self.at_last] = 1
        low, high = np.zeros(self.width), np.full(self.width, self.big)
        high[: self.at_start] = (
            (t.graph.tasks.pinned[:, None] < 0) | (t.graph.tasks.pinned[:, None] == self.owner)
        ).ravel()
        high[self.at_pair : self.at_last] = 1.0
        self.bounds = Bounds(low, high)
        one = sparse.kron(sparse.eye(n), np.ones((1, c)))
        self.equal = LinearConstraint(sparse.hstack([one, sparse.csr_matrix((n, self.width - n * c))]).tocsr(), 1, 1)
        self.upper = self._rules()

    def _cap(self) -> float:
        """The worst known makespan, where nothing else is wanted: no schedule worth having ends later."""
        values = self._job.tasks.values(*self._job.tasks.arrays(self._job.known))[:, MINIMISED["makespan"]]
        return float(values.max()) * (1 + 1e-9) if self._job.rows == (MINIMISED["makespan"],) else np.inf

    def _rules(self) -> LinearConstraint:
        rows: list[dict[int, float]] = []
        right: list[float] = []
        t, c, big = self._job.tables, self.time.shape[1], self.big

        def add(row: dict[int, float], most: float) -> None:
            rows.append(row)
            right.append(most)

        def ends(i: int) -> dict[int, float]:
            return {self.at_start + i: 1.0} | {i * c + k: float(self.time[i, k]) for k in range(c)}

        ptr, pred, size = t.by_dest
        for i in range(len(self.time)):
            ready = {i * c + k: float(t.ready[i, self.owner[k]]) for k in range(c)}
            add(ready | {self.at_start + i: -1.0}, 0.0)
            add(ends(i) | {self.at_last: -1.0}, 0.0)
            for e in range(ptr[i], ptr[i + 1]):
                p = int(pred[e])
                wait = t.latency + size[e] * t.inverse
                add(ends(p) | {self.at_start + i: -1.0}, 0.0)
                for j in range(len(t.nodes)):
                    for k in range(len(t.nodes)):
                        if j == k or wait[j, k] <= 0:
                            continue
                        row = ends(p) | {self.at_start + i: -1.0}
                        for core in np.flatnonzero(self.owner == j).tolist():
                            row[p * c + core] = row.get(p * c + core, 0.0) + float(wait[j, k])
                        for core in np.flatnonzero(self.owner == k).tolist():
                            row[i * c + core] = float(wait[j, k])
                        add(row, float(wait[j, k]))
            if np.isfinite(t.graph.tasks.deadline[i]):
                add(ends(i) | {self.at_late + i: -1.0}, float(t.graph.tasks.deadline[i]))
        for q, (a, b) in enumerate(self.pairs):
            for k in range(c):
                both = {a * c + k: big, b * c + k: big}
                for i, other, sign, most in ((a, b, big, 3 * big), (b, a, -big, 2 * big)):
                    row = ends(i) | {self.at_start + other: -1.0, self.at_pair + q: sign}
                    for column, value in both.items():
                        row[column] = row.get(column, 0.0) + value
                    add(row, most)
        if MINIMISED["cost"] in self._job.rows:
            self._leases(add, ends)
        values = [value for row in rows for value in row.values()]
        at = np.repeat(np.arange(len(rows)), [len(row) for row in rows]), [column for row in rows for column in row]
        return LinearConstraint(sparse.csr_matrix((values, at), (len(rows), self.width)), -np.inf, np.array(right))

    def _leases(self, add: Callable[[dict[int, float], float], None], ends: Callable[[int], dict[int, float]]) -> None:
        n, c = self.time.shape
        for j in range(len(self._job.tables.nodes)):
            first, last = self.at_lease + 2 * j, self.at_lease + 2 * j + 1
            add({first: 1.0, last: -1.0}, 0.0)
            for i in range(n):
                here = [i * c + k for k in np.flatnonzero(self.owner == j).tolist()]
                add({first: 1.0, self.at_start + i: -1.0} | dict.fromkeys(here, self.big), self.big)
                row = ends(i) | {last: -1.0}
                add(row | {column: row[column] + self.big for column in here}, self.big)

    def objective(self, k: int) -> Array:
        """(V,) of objective ``k``, in its own unit, less the releases of response."""
        row, t, n = np.zeros(self.width), self._job.tables, len(self.time)
        which = self._job.rows[k]
        if which == MINIMISED["makespan"]:
            row[self.at_last] = 1.0
        elif which == MINIMISED["energy"]:
            idle, slope = self._job.slopes()
            row[self.at_last] = idle
            row[: self.at_start] = (self.time * slope[self.owner]).ravel()
        elif which == MINIMISED["cost"]:
            for j, price in enumerate((t.nodes.price / HOUR).tolist()):
                row[self.at_lease + 2 * j], row[self.at_lease + 2 * j + 1] = -price, price
        elif which == MINIMISED["response"]:
            row[self.at_start : self.at_pair] = 1.0 / n
            row[: self.at_start] = (self.time / n).ravel()
        else:
            row[self.at_late :] = np.where(np.isfinite(t.graph.tasks.deadline), t.graph.tasks.weight, 0.0)
        return row

    def schedule(self, x: Array) -> tuple[Array, NDArray[np.intp]]:
        """(start, node) of a solution."""
        n, c = self.time.shape
        core = x[: self.at_start].reshape(n, c).argmax(axis=1)
        return x[self.at_start : self.at_pair], self.owner[core].astype(np.intp)


def _reachable(n: int, ptr: NDArray[np.int32], pred: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(n, n) whether a task must be over before another."""
    found = np.zeros((n, n), bool)
    for i in range(n):
        found[pred[ptr[i] : ptr[i + 1]], i] = True
    for k in range(n):
        found |= found[:, [k]] & found[[k]]
    return found
