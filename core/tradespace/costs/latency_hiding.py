"""How busy a worker is that must ask for each job: jobs in flight hide the delay of fetching them.

A worker runs one job at a time; ``depth`` more are on their way or wait. Each finished job orders a new one, which
arrives ``delay`` s later. Depth 0 is a dialogue: the worker idles for the whole delay.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tradespace.costs.timeline import TaskTable, ordered

Floats = NDArray[np.float64]

MAX_DEPTH = 4096


def busy_share(service: ArrayLike, delay: ArrayLike, depth: ArrayLike, *, exponential: bool) -> Floats:
    """(N,) share of the time that the worker works.

    Args:
        service: (N,) s, mean time of a job; delay: (N,) s of fetching one; depth: (N,) whole, up to `MAX_DEPTH`.
        exponential: times of jobs are exponential: one customer class in a closed network of one exponential server
            and one delay, which only the mean delay enters (BCMP, JACM 22, 1975). Otherwise all jobs take the mean.
    """
    s, d, k = (np.atleast_1d(np.asarray(a, np.float64)) for a in (service, delay, depth))
    s, d, k = np.broadcast_arrays(s, d, np.minimum(k, MAX_DEPTH))
    flight = k + 1.0
    if not exponential:
        return np.asarray(np.where(d > 0, np.minimum(1.0, flight * s / np.where(d > 0, s + d, 1.0)), 1.0))
    load = np.divide(d, s, out=np.full(s.shape, np.inf), where=s > 0)  # jobs that the delay holds
    return np.where(s > 0, 1.0 - _erlang(load, flight.astype(np.int64)), 0.0)


def _erlang(load: Floats, servers: NDArray[np.int64]) -> Floats:
    """(N,) chance that none of ``servers`` jobs is at the worker: Erlang's B formula, by its recursion."""
    blocked = np.ones(load.shape)
    out = np.ones(load.shape)
    for n in range(1, int(servers.max(initial=0)) + 1):
        with np.errstate(invalid="ignore"):
            blocked = np.where(np.isinf(load), 1.0, load * blocked / (n + load * blocked))
        out = np.where(servers == n, blocked, out)
    return out


def simulate(service: Floats, delay: Floats, depth: int) -> Floats:
    """(J, N) finish times of J jobs of N runs on the timeline engine, s.

    Args:
        service: (J, N) s of each job; delay: (J, N) s of its fetch. The first depth + 1 jobs are ordered at time 0.
    """
    jobs = len(service)
    return ordered(_dialogue(jobs, depth), np.concatenate([delay, service]))[jobs:]


@lru_cache(maxsize=8)
def _dialogue(jobs: int, depth: int) -> TaskTable:
    """Tasks: J fetches (delays), J runs in order; fetch i + depth + 1 waits for run i."""
    fetch, run = np.arange(jobs), jobs + np.arange(jobs)
    later = depth + 1
    edges = [np.column_stack([fetch, run]), np.column_stack([run[:-1], run[1:]])]
    edges.append(np.column_stack([run[: jobs - later], fetch[later:]]) if later < jobs else np.zeros((0, 2), np.int64))
    return TaskTable(2 * jobs, np.concatenate(edges))
