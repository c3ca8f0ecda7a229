"""A lower bound on the makespan of every schedule: a linear relaxation (ours, from two textbook bounds)."""

from __future__ import annotations

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
