"""`cpsat` on task graphs: optional intervals, no overlap (or a cumulative) per node, transfers between nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradespace.costs.schedules_structure import MINIMISED
from tradespace_optimizers.schedule_epsilon import HOUR, TaskJob
from tradespace_optimizers.zones import Answer, Point, Solver

Array = NDArray[np.float64]

_FINE = 1000  # parts of a step in which the other objectives are counted
_WORKERS = 1  # deterministic


def make_task_solver(job: TaskJob, left: Callable[[], float]) -> Solver:
    from ortools.sat.python import cp_model

    def solve(below: Array) -> Point | Answer:
        model = _Model(cp_model, job)
        first = model.objective(0)
        for k in range(1, len(below)):
            other = model.objective(k)
            model.cp.add(other <= int(np.floor(below[k] / model.unit(k) + 1e-9)))
        model.cp.minimize(first)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = _WORKERS
        solver.parameters.random_seed = 0
        solver.parameters.max_time_in_seconds = max(left(), 0.01)
        status = solver.solve(model.cp)
        if status == cp_model.INFEASIBLE:
            return Answer.EMPTY
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return Answer.UNKNOWN
        start = np.asarray([float(solver.value(v)) for v in model.start])
        node = np.asarray([int(np.argmax([solver.value(x) for x in row])) for row in model.on], np.intp)
        bound = float(solver.best_objective_bound) * model.unit(0)
        return job.point(start, node, bound, status == cp_model.OPTIMAL)

    return solve


class _Model:
    """A task graph as a constraint program, times in quanta of the job."""

    def __init__(self, cp_model: Any, job: TaskJob) -> None:
        self.cp, self._job, t = cp_model.CpModel(), job, job.tables
        n, m = t.exec.shape
        self._time = np.rint(t.exec / job.quantum).astype(np.int64)
        self._horizon = int(np.ceil(job.horizon / job.quantum)) + n
        ready = np.rint(t.ready / job.quantum).astype(np.int64)
        pinned = t.graph.tasks.pinned
        self.start = [self.cp.new_int_var(0, self._horizon, "") for _ in range(n)]
        self.end = [self.cp.new_int_var(0, self._horizon, "") for _ in range(n)]
        self.on = [[self.cp.new_bool_var("") for _ in range(m)] for _ in range(n)]
        intervals: list[list[Any]] = [[] for _ in range(m)]
        for i in range(n):
            self.cp.add_exactly_one(self.on[i])
            for j in range(m):
                if pinned[i] >= 0 and pinned[i] != j:
                    self.cp.add(self.on[i][j] == 0)
                    continue
                args = (self.start[i], int(self._time[i, j]), self.end[i], self.on[i][j])
                intervals[j].append(self.cp.new_optional_interval_var(*args, ""))
                self.cp.add(self.start[i] >= int(ready[i, j])).only_enforce_if(self.on[i][j])
        for j, cores in enumerate(t.nodes.cores.tolist()):
            if cores == 1:
                self.cp.add_no_overlap(intervals[j])
            else:
                self.cp.add_cumulative(intervals[j], [1] * len(intervals[j]), cores)
        self._transfers()
        self._hint()

    def _transfers(self) -> None:
        t = self._job.tables
        ptr, pred, _ = t.by_dest
        m = len(t.nodes)
        for i in range(len(t.exec)):
            for e in range(ptr[i], ptr[i + 1]):
                p = int(pred[e])
                wait = self._wait(e)
                self.cp.add(self.start[i] >= self.end[p])
                for j in range(m):
                    away = np.delete(wait[j], j)
                    if not away.any():
                        continue
                    if (away == away[0]).all():
                        late = self.start[i] >= self.end[p] + int(away[0])
                        self.cp.add(late).only_enforce_if(self.on[p][j], self.on[i][j].negated())
                        continue
                    for k in range(m):
                        if k != j and wait[j, k]:
                            late = self.start[i] >= self.end[p] + int(wait[j, k])
                            self.cp.add(late).only_enforce_if(self.on[p][j], self.on[i][k])

    def _wait(self, e: int) -> NDArray[np.int64]:
        """(m, m) quanta that edge ``e`` takes from node to node."""
        t = self._job.tables
        seconds: Array = t.latency + t.by_dest[2][e] * t.inverse
        return np.rint(seconds / self._job.quantum).astype(np.int64)

    def _hint(self) -> None:
        """The known schedule that is best in the first objective, in whole quanta."""
        start, end, node = self._whole()
        for i, row in enumerate(self.on):
            self.cp.add_hint(self.start[i], start[i])
            self.cp.add_hint(self.end[i], end[i])
            for j, x in enumerate(row):
                self.cp.add_hint(x, int(node[i] == j))

    def _whole(self) -> tuple[list[int], list[int], list[int]]:
        """(start, end, node) of that schedule: its tasks in the order of their starts, each as early as the rounded
        times allow. Rounded starts alone break a rounded transfer here and there, and the solver drops such hints."""
        job, t = self._job, self._job.tables
        orders, nodes = job.tasks.arrays(job.known.take([int(np.argmin(job.values[:, 0]))]))
        begin, _ = t.decode(orders[0], nodes[0], job.tasks.insertion)
        ptr, pred, _ = t.by_dest
        ready = np.rint(t.ready / job.quantum).astype(np.int64)
        free = [[0] * int(cores) for cores in t.nodes.cores]
        start, end, node = [0] * len(begin), [0] * len(begin), [int(j) for j in nodes[0]]
        for i in np.lexsort((t.graph.level, begin)).tolist():
            j = node[i]
            start[i] = int(ready[i, j])
            for e, p in enumerate(pred[ptr[i] : ptr[i + 1]].tolist(), int(ptr[i])):
                start[i] = max(start[i], end[p] + (int(self._wait(e)[node[p], j]) if node[p] != j else 0))
            core = min(range(len(free[j])), key=free[j].__getitem__)
            start[i] = max(start[i], free[j][core])
            end[i] = free[j][core] = start[i] + int(self._time[i, j])
        return start, end, node

    def unit(self, k: int) -> float:
        """What one of the whole numbers of objective ``k`` is."""
        if self._job.rows[k] == MINIMISED["makespan"]:
            return self._job.quantum
        if self._job.rows[k] == MINIMISED["response"]:
            return self._job.quantum / len(self.start)
        return float(self._job.step[k]) / _FINE if len(self._job.rows) > 1 else float(self._job.step[k])

    def objective(self, k: int) -> Any:
        """A linear expression of objective ``k`` in its unit; at most rounded by half a unit a task."""
        t, row, unit, quantum = self._job.tables, self._job.rows[k], self.unit(k), self._job.quantum
        if row == MINIMISED["makespan"]:
            return self._last()
        if row == MINIMISED["response"]:
            return sum(self.end) - int(np.rint(t.graph.tasks.release / quantum).sum())
        if row == MINIMISED["energy"]:
            idle, slope = self._job.slopes()
            joule = np.rint(t.exec * slope / unit).astype(np.int64)
            used = sum(int(joule[i, j]) * x for i, xs in enumerate(self.on) for j, x in enumerate(xs))
            return used + self._scaled(self._last(), idle * quantum / unit)
        if row == MINIMISED["cost"]:
            leases = [self._lease(j) for j in range(len(t.nodes))]
            each = zip(leases, t.nodes.price.tolist(), strict=True)
            return sum(self._scaled(lease, price * quantum / HOUR / unit) for lease, price in each)
        return sum(
            self._scaled(self._late(i), float(t.graph.tasks.weight[i]) * quantum / unit)
            for i in range(len(self.end))
            if np.isfinite(t.graph.tasks.deadline[i])
        )

    def _last(self) -> Any:
        makespan = self.cp.new_int_var(0, self._horizon, "")
        self.cp.add_max_equality(makespan, self.end)
        return makespan

    def _late(self, i: int) -> Any:
        deadline = self._job.tables.graph.tasks.deadline[i] / self._job.quantum
        late = self.cp.new_int_var(0, self._horizon, "")
        self.cp.add(late >= self.end[i] - int(np.rint(deadline)))
        return late

    def _lease(self, j: int) -> Any:
        first, last = (self.cp.new_int_var(0, self._horizon, "") for _ in range(2))
        for i, xs in enumerate(self.on):
            self.cp.add(first <= self.start[i]).only_enforce_if(xs[j])
            self.cp.add(last >= self.end[i]).only_enforce_if(xs[j])
        lease = self.cp.new_int_var(0, self._horizon, "")
        self.cp.add(lease >= last - first)
        return lease

    def _scaled(self, variable: Any, factor: float) -> Any:
        """floor(variable x factor), by a rational whose error stays below one over the horizon."""
        whole = int(np.rint(factor))
        if abs(factor - whole) * self._horizon < 0.5:
            return whole * variable
        scaled = self.cp.new_int_var(0, int(self._horizon * factor) + 1, "")
        bits = 2 ** max(
            0, 61 - int(np.ceil(np.log2(max(self._horizon, 2)))) - max(0, int(np.ceil(np.log2(factor + 1))))
        )
        self.cp.add(bits * scaled >= int(np.floor(factor * bits)) * variable - bits + 1)
        return scaled
