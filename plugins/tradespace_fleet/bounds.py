"""Lower bounds of every schedule's metrics: a linear relaxation for the makespan, least work for energy and cost."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from tradespace.costs.schedules_tables import ScheduleTables


def makespan_bound(tables: ScheduleTables) -> float:
    """s. Tasks may be split over nodes at will and nothing is sent: minimise T such that every task is done, no node
    works longer than its cores for T (work bound), and along every path the tasks' times add up to at most T after the
    release of its first (path bound). With equal tasks-per-node times both reduce to the textbook bounds.

    Solved by HiGHS through scipy (installed with pymoo).
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, eye, hstack, kron, vstack

    n, m = tables.exec.shape
    edges, count = tables.graph.edges, len(tables.graph.edges)
    pinned, row, times = tables.graph.tasks.pinned, np.arange(n), tables.exec.ravel()
    cells = np.arange(n * m)
    done = hstack([kron(eye(n), np.ones((1, m))), csr_matrix((n, n + 1))])  # shares x (n m), starts s (n), T
    work = csr_matrix((times, (cells % m, cells)), shape=(m, n * m))
    busy = hstack([work, csr_matrix((m, n)), csr_matrix(-tables.nodes.cores[:, None].astype(np.float64))])
    length = csr_matrix((times, (cells // m, cells)), shape=(n, n * m))
    end = hstack([length, eye(n), csr_matrix(-np.ones((n, 1)))])
    e = np.arange(count)
    link = csr_matrix(
        (np.repeat([1.0, -1.0], count), (np.tile(e, 2), np.concatenate([edges.source, edges.dest]))), shape=(count, n)
    )
    path = hstack([length[edges.source], link, csr_matrix((count, 1))])
    rows = vstack([busy, end, path] if count else [busy, end]).tocsr()
    limits: list[tuple[float, float | None]]
    limits = [(0.0, float(pinned[i] in (-1, j))) for i in row.tolist() for j in range(m)]
    limits += [(float(release), None) for release in tables.graph.tasks.release] + [(0.0, None)]
    cost = np.zeros(n * m + n + 1)
    cost[-1] = 1.0
    found = linprog(cost, A_ub=rows, b_ub=np.zeros(rows.shape[0]), A_eq=done.tocsr(), b_eq=np.ones(n), bounds=limits)
    return float(found.fun) * (1.0 - 1e-9)  # below the solver's tolerance


def lower_bounds(tables: ScheduleTables) -> Callable[[str], float]:
    """Metric -> a number that no schedule is below, -inf where none is known. Computed when asked, once."""

    @functools.cache
    def bound(metric: str) -> float:
        if metric == "makespan":
            return makespan_bound(tables)
        if metric == "energy":
            return energy_bound(tables, bound("makespan"))
        if metric == "cost":
            return cost_bound(tables)
        if metric == "response":
            return float((tables.ready + tables.exec).min(axis=1).mean() - tables.graph.tasks.release.mean())
        return 0.0 if metric in ("tardiness", "late") else -np.inf

    return bound


def energy_bound(tables: ScheduleTables, makespan: float) -> float:
    """J. Idle power of all nodes for a makespan, and for every task the least energy above idle: its time on a node
    times the smallest increase of that node's power per busy core."""
    cores, power, m = tables.cores, tables.power, len(tables.nodes)
    idle, least = np.empty(m), np.empty(m)
    for j in range(m):
        levels = power[cores[j] + j : cores[j + 1] + j + 1]
        idle[j], least[j] = levels[0], ((levels[1:] - levels[0]) / np.arange(1, len(levels))).min()
    if (least < 0).any():  # busy cores would cool the node: nothing is certain
        return -np.inf
    return float(idle.sum() * makespan + (_possible(tables) * least).min(axis=1).sum()) * (1.0 - 1e-9)


def cost_bound(tables: ScheduleTables) -> float:
    """Price of the least core time of every task: a node is leased at least as long as its work over its cores."""
    rate = tables.nodes.price / tables.nodes.cores / 3600.0
    return float((_possible(tables) * rate).min(axis=1).sum()) * (1.0 - 1e-9)


def _possible(tables: ScheduleTables) -> np.ndarray:
    """(n, m) s; inf where a task is pinned elsewhere."""
    pinned = tables.graph.tasks.pinned[:, None]
    return np.where((pinned < 0) | (pinned == np.arange(len(tables.nodes))), tables.exec, np.inf)
