"""Compiled queues: tasks that arrive over time at nodes of k servers.

`kiefer_wolfowitz` is first come first served on k servers as a recurrence over the servers' free times. `serve` decides
by time and so takes any discipline: a server that is free takes the waiting task that the discipline puts first, or
refuses one that cannot make its deadline any more. Under first come first served both give equal times. The plain twin
is in `schedules_twin`.
"""

from __future__ import annotations

import numpy as np

from tradespace.costs.compiled import njit
from tradespace.costs.schedules import OUTPUTS, measure

FCFS, PRIORITY, DEADLINE = 0, 1, 2
"""Disciplines: order of arrival; a fixed order; weight / time left before the deadline, at each decision anew."""

LEAST = 1e-9
"""s of slack below which a task is as urgent as can be (the denominator of the dynamic priority)."""


@njit
def kiefer_wolfowitz(tasks, arrive, service, free, start, finish):  # type: ignore[no-untyped-def]
    """First come first served: ``tasks`` in order of arrival, ``free`` (k,) s when each server is free (used up);
    writes ``start`` and ``finish`` (n,) (Kiefer and Wolfowitz 1955)."""
    for q in range(tasks.shape[0]):
        i = tasks[q]
        first = 0
        for c in range(1, free.shape[0]):
            if free[c] < free[first]:
                first = c
        start[i] = max(arrive[i], free[first])
        finish[i] = start[i] + service[i]
        free[first] = finish[i]


@njit
def urgency(i, now, discipline, rank, service, deadline, weight):  # type: ignore[no-untyped-def]
    """What is served first has the largest: nothing (who came first), minus the rank, or weight over slack left."""
    if discipline == FCFS:
        return 0.0
    if discipline == DEADLINE:
        slack = deadline[i] - now - service[i]
        if slack == np.inf:
            return 0.0
        return weight[i] / max(LEAST, slack)
    return -float(rank[i])


@njit
def serve(tasks, arrive, service, deadline, weight, rank, discipline, refuse, free, waiting, start, finish, node):  # type: ignore[no-untyped-def] # fmt: skip
    """``tasks`` in order of arrival; among equals the one that came first. A task whose finish would miss its deadline
    is refused if ``refuse``: its ``node`` becomes -1."""
    count, queue, nxt, now = tasks.shape[0], 0, 0, 0.0
    while queue or nxt < count:
        first = 0
        for c in range(1, free.shape[0]):
            if free[c] < free[first]:
                first = c
        now = max(now, free[first])  # a server that has waited takes a task now, not when it became free
        if not queue:
            now = max(now, arrive[tasks[nxt]])
        while nxt < count and arrive[tasks[nxt]] <= now:
            waiting[queue] = tasks[nxt]
            queue, nxt = queue + 1, nxt + 1
        best, pick = -np.inf, 0
        for w in range(queue):
            value = urgency(waiting[w], now, discipline, rank, service, deadline, weight)
            if value > best:
                best, pick = value, w
        i = waiting[pick]
        queue -= 1
        for w in range(pick, queue):
            waiting[w] = waiting[w + 1]
        if refuse and now + service[i] > deadline[i]:
            start[i], finish[i], node[i] = now, now, -1
        else:
            start[i], finish[i] = now, now + service[i]
            free[first] = finish[i]


@njit
def price_queues(nodes, ranks, discipline, refuse, coming, exec, ready, cores, release, deadline, weight, memory, speed, power, price, ram, out, lo, hi):  # type: ignore[no-untyped-def] # fmt: skip # noqa: E501
    """Prices designs lo..hi-1: ``nodes`` and ``ranks`` (N, n) int32 (ranks: arrival for FCFS), ``coming`` (m, n) the
    tasks in order of arrival at each node; ``out`` (OUTPUTS, N)."""
    n, m = exec.shape
    tasks, waiting, node = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    arrive, service, start, finish = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    row, free = np.empty(OUTPUTS), np.empty(cores[m])
    for d in range(lo, hi):
        node[:] = nodes[d]
        for i in range(n):
            arrive[i], service[i] = ready[i, node[i]], exec[i, node[i]]
        for j in range(m):
            count, k = 0, cores[j + 1] - cores[j]
            for q in range(n):
                if nodes[d, coming[j, q]] == j:
                    tasks[count] = coming[j, q]
                    count += 1
            free[:k] = 0.0
            if discipline == FCFS and not refuse:
                kiefer_wolfowitz(tasks[:count], arrive, service, free[:k], start, finish)
            else:
                serve(tasks[:count], arrive, service, deadline, weight, ranks[d], discipline, refuse, free[:k], waiting, start, finish, node)  # fmt: skip # noqa: E501
        measure(node, start, finish, release, deadline, weight, memory, exec, cores, speed, power, price, ram, row)
        for q in range(OUTPUTS):
            out[q, d] = row[q]


@njit
def run_queues(node, rank, discipline, refuse, coming, exec, ready, cores, deadline, weight, start, finish):  # type: ignore[no-untyped-def] # fmt: skip
    """One design: ``node`` (n,) becomes -1 where refused; writes ``start`` and ``finish`` (n,)."""
    n, m = exec.shape
    tasks, waiting, free = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(cores[m])
    arrive, service, given = np.empty(n), np.empty(n), node.copy()
    for i in range(n):
        arrive[i], service[i] = ready[i, node[i]], exec[i, node[i]]
    for j in range(m):
        count, k = 0, cores[j + 1] - cores[j]
        for q in range(n):
            if given[coming[j, q]] == j:
                tasks[count] = coming[j, q]
                count += 1
        free[:k] = 0.0
        serve(tasks[:count], arrive, service, deadline, weight, rank, discipline, refuse, free[:k], waiting, start, finish, node)  # fmt: skip # noqa: E501
